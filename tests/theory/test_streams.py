"""Keyed streams: equal names give equal numbers, others give others, however much was drawn before."""

import numpy as np

from theory.streams import stream


def test_equal_names_equal_numbers() -> None:
    stream(1, "other").random(1000)
    np.testing.assert_array_equal(stream(1, "weights", 3).random(5), stream(1, "weights", 3).random(5))


def test_another_part_gives_other_numbers() -> None:
    known = stream(1, "weights", 3).random(5)
    for name in ((2, "weights", 3), (1, "weight", 3), (1, "weights", 4)):
        assert not (stream(*name).random(5) == known).any()
