"""A search that ends early: when its seconds are over, when its architecture has settled; resumed, it ends the same."""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nas
from nas.ending import Standing
from nas.running import config, runs
from nas.running.searching import search_in
from nas.settings import SearchSettings
from tests.nas.tiny import Tiny

SETTINGS = SearchSettings(rate=0.1, decay=0.0, epochs=12, warmup_epochs=2, record_every=7)  # 10 steps an epoch


class Clock:
    """What the time is; one second passes a weight step."""

    now = 500.0


class Timed(Tiny):
    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        Clock.now += 1
        return super().weight_step(gates, progress)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: Clock.now)


def search(folder: Path, settings: SearchSettings, stopped: Callable[[], bool] = lambda: False) -> Any:
    with runs.open_run(folder, settings) as run:
        return search_in(run, Timed(), settings, 3, stopped)


def after(steps: int) -> Callable[[], bool]:
    counted = itertools.count(1)
    return lambda: next(counted) == steps


def same(one: Path, other: Path) -> bool:
    """Whether two runs left the same records and tensors, seconds apart."""
    told = [[{**record, "seconds": 0} for record in runs.records(folder)] for folder in (one, other)]
    (a, _), (b, _) = (runs.read_checkpoint(folder / runs.CHECKPOINT) for folder in (one, other))
    return told[0] == told[1] and a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------ seconds


@pytest.mark.parametrize("seconds", [33, 40])  # in the middle of an epoch, and at the end of one
def test_the_search_ends_when_its_seconds_are_over_at_a_record_and_a_checkpoint(tmp_path: Path, seconds: int) -> None:
    result = search(tmp_path / "r", replace(SETTINGS, seconds=float(seconds)))
    assert (result["steps"], result["ended"], result["seconds"]) == (seconds, "seconds", float(seconds))
    assert json.loads((tmp_path / "r" / "result.json").read_text()) == result
    last = runs.records(tmp_path / "r")[-1]
    assert (last["step"], last["seconds"]) == (seconds, float(seconds))
    assert "validation" in last
    assert last["architecture"] == result["architecture"]
    assert runs.read_checkpoint(tmp_path / "r" / runs.CHECKPOINT)[1]["step"] == seconds


def test_until_then_it_is_the_search_without_a_budget(tmp_path: Path) -> None:
    search(tmp_path / "budget", replace(SETTINGS, seconds=33.0))
    assert search(tmp_path / "without", SETTINGS, after(33)) is None
    a, b = (runs.read_checkpoint(tmp_path / name / runs.CHECKPOINT)[0] for name in ("budget", "without"))
    assert torch.equal(a["logits"], b["logits"])
    assert not torch.equal(a["logits"], torch.zeros(2, 3))


def test_control_with_time_enough_it_goes_to_its_end(tmp_path: Path) -> None:
    result = search(tmp_path / "r", replace(SETTINGS, seconds=121.0))
    assert result["steps"] == 120
    assert "ended" not in result
    search(tmp_path / "without", SETTINGS)
    assert same(tmp_path / "r", tmp_path / "without")


def test_a_resumed_search_counts_its_earlier_seconds_and_not_the_pause(tmp_path: Path) -> None:
    settings = replace(SETTINGS, seconds=33.0)
    search(tmp_path / "whole", settings)
    assert search(tmp_path / "parts", settings, after(25)) is None
    Clock.now += 10_000
    assert search(tmp_path / "parts", settings)["steps"] == 33
    assert same(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("settings", [replace(SETTINGS, seconds=33.0), replace(SETTINGS, patience=3)])
def test_what_lacks_its_result_alone_takes_no_further_step(tmp_path: Path, settings: SearchSettings) -> None:
    """As when it was killed between its last checkpoint and result.json."""
    result = search(tmp_path / "r", settings)
    (tmp_path / "r" / runs.RESULT).unlink()
    before, then = (tmp_path / "r" / runs.METRICS).read_bytes(), Clock.now
    assert search(tmp_path / "r", settings) == result
    assert (tmp_path / "r" / runs.METRICS).read_bytes() == before
    assert Clock.now == then
    (tmp_path / "r" / runs.RESULT).unlink()
    (tmp_path / "r" / runs.CHECKPOINT).unlink()
    assert search(tmp_path / "r", settings) == result
    assert then + result["steps"] == Clock.now  # the control: this one had to begin again


@pytest.mark.parametrize("seconds", [15, 20])
def test_time_that_is_over_before_an_architecture_step_is_refused(tmp_path: Path, seconds: int) -> None:
    for _ in range(2):  # and again when it is started again
        with pytest.raises(
            ValueError, match=rf"= {seconds}\.0 were over after step {seconds}, in the warm-up of 20: no"
        ):
            search(tmp_path / "r", replace(SETTINGS, seconds=float(seconds)))
        assert not (tmp_path / "r" / runs.RESULT).exists()
    assert search(tmp_path / "one more", replace(SETTINGS, seconds=21.0))["steps"] == 21


# ------------------------------------------------------------------ patience


def expected_end(records: list[dict[str, Any]], patience: int, warmup: int = 20) -> int | None:
    """The step, by the records of a search that went to its end: as many equal architectures after the first."""
    ends = [record for record in records if record["step"] > warmup and record["step"] % 10 == 0]
    for place in range(patience, len(ends)):
        if len({record["architecture"] for record in ends[place - patience : place + 1]}) == 1:
            return int(ends[place]["step"])
    return None


@pytest.mark.parametrize("method", ["advantage", "reinforce", "random", "gdas"])
@pytest.mark.parametrize("patience", [1, 3])
def test_the_search_ends_when_its_architecture_has_settled(tmp_path: Path, method: str, patience: int) -> None:
    settings = replace(SETTINGS, method=method)
    search(tmp_path / "whole", settings)
    end = expected_end(runs.records(tmp_path / "whole"), patience)
    assert end is not None
    result = search(tmp_path / "r", replace(settings, patience=patience))
    assert (result["steps"], result.get("ended")) == (end, "patience" if end < 120 else None)
    whole = [record for record in runs.records(tmp_path / "whole") if record["step"] <= end]
    assert [{**r, "seconds": 0} for r in runs.records(tmp_path / "r")] == [{**r, "seconds": 0} for r in whole]


def test_epochs_of_the_warm_up_are_not_counted(tmp_path: Path) -> None:
    """Equal logits have one argmax, so a warm-up's architecture never changes: it has not settled."""
    result = search(tmp_path / "r", replace(SETTINGS, patience=3, rate=0.0))
    assert result["steps"] == 60  # epochs 3 to 6 are the first of architecture steps and three that are like it
    assert search(tmp_path / "c", replace(SETTINGS, patience=3, rate=0.0, warmup_epochs=0))["steps"] == 40


@pytest.mark.parametrize("stop_at", [1, 25, 30, 41, 59, 60])
def test_stopped_anywhere_and_resumed_it_ends_at_the_same_step(tmp_path: Path, stop_at: int) -> None:
    settings = replace(SETTINGS, patience=3, rate=0.0)
    search(tmp_path / "whole", settings)
    assert search(tmp_path / "parts", settings, after(stop_at)) is None
    result = search(tmp_path / "parts", settings)
    assert (result["steps"], result["ended"]) == (60, "patience")
    assert same(tmp_path / "whole", tmp_path / "parts")


def test_control_an_architecture_that_changes_begins_to_count_again() -> None:
    standing = Standing()
    for choices, epochs in ([0, 1], 0), ([0, 1], 1), ([0, 1], 2), ([0, 2], 0), ([0, 1], 0), ([0, 1], 1):
        standing = standing.after(choices)
        assert standing == Standing(choices, epochs)


# ------------------------------------------------------------------ both


def test_a_search_in_one_call_ends_early_too() -> None:
    found = nas.search(Timed(), epochs=12, warmup_epochs=2, rate=0.1, seconds=33.0)
    assert (found.steps, found.ended, found.seconds) == (33, "seconds", 33.0)
    assert (found.records[-1]["step"], found.records[-1]["seconds"]) == (33, 33.0)
    assert "validation" in found.records[-1]
    found = nas.search(Timed(), epochs=12, warmup_epochs=2, rate=0.0, patience=3)
    assert (found.steps, found.ended) == (60, "patience")
    found = nas.search(Timed(), epochs=12, warmup_epochs=2, rate=0.1)
    assert (found.steps, found.ended) == (120, None)
    assert "ended" not in found.result
    found = nas.search(Timed(), epochs=12, warmup_epochs=2, rate=0.1, seconds=120.0)
    assert (found.steps, found.ended) == (120, None)  # over at its last step: that is the schedule's end
    with pytest.raises(ValueError, match="no architecture step was made"):
        nas.search(Timed(), epochs=12, warmup_epochs=2, seconds=15.0)


def test_at_their_defaults_the_settings_are_not_written() -> None:
    """So that the folders of searches that were made before keep their names."""
    assert not {"seconds", "patience", "penalty"} & set(config.dump(SearchSettings()).replace("=", " ").split())
    assert "seconds = 60.0" in config.dump(SearchSettings(seconds=60.0))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"seconds": 0.0}, "seconds must be positive and finite, or none, not 0.0"),
        ({"seconds": float("inf")}, "seconds must be positive and finite"),
        ({"seconds": float("nan")}, "seconds must be positive and finite"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SearchSettings(**setting)
