"""Streams: the same key, the same numbers; any other key, others."""

from simulate.streams import stream


def test_a_stream_is_its_key() -> None:
    assert (stream(0, "teacher", 3).random(4) == stream(0, "teacher", 3).random(4)).all()
    first = stream(0, "teacher", 3).random()
    assert first not in [stream(*key).random() for key in ((1, "teacher", 3), (0, "inputs", 3), (0, "teacher", 4))]
