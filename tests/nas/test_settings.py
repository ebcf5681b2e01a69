"""Settings of a search: when it records and ends, and what is refused."""

import math
from dataclasses import replace

import pytest

from nas.settings import SearchSettings, build_method


def test_a_record_every_so_many_steps_and_at_ends() -> None:
    settings = SearchSettings(epochs=3, warmup_epochs=1, record_every=4, until=2.5)
    assert (settings.lengths(10), settings.end(10)) == ((10, 30), 25)
    assert [n for n in range(1, 26) if settings.recorded(n, 10)] == [4, 8, 10, 12, 16, 20, 24, 25]
    assert [n for n in range(1, 26) if settings.kept(n, 10)] == [10, 20, 25]
    assert replace(settings, until=None).end(10) == 30


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 0 to epochs = 3, not 4: set both"):
        SearchSettings(epochs=3, warmup_epochs=4)
    for wrong, says in (
        ({"rate": -1.0}, "not negative"),
        ({"rate": math.nan}, "finite"),
        ({"record_every": 0}, "record_every must be at least 1, not 0"),
        ({"rate": math.inf}, "finite"),
        ({"decay": -1e-9}, "not negative"),
        ({"decay": math.inf}, "finite"),
        ({"beta1": 1.0}, "beta1"),
        ({"beta1": -0.1}, "beta1"),
        ({"beta2": 1.0}, "beta2"),
        ({"clip": math.nan}, "clip must be positive"),
        ({"clip": -1.0}, "clip must be positive"),
        ({"clip": 0.0}, "clip must be positive"),
    ):
        with pytest.raises(ValueError, match=says):
            SearchSettings(**wrong)
    assert SearchSettings(clip=None).clip is None
    at_its_limits = SearchSettings(rate=0.0, decay=0.0, beta1=0.0, beta2=0.0, epochs=1, warmup_epochs=1, record_every=1)
    assert at_its_limits.lengths(7) == (7, 7)
    with pytest.raises(ValueError, match="unknown method 'advantag'"):
        build_method(SearchSettings(method="advantag"))
