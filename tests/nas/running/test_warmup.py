"""Searches that go on from one warm-up: the same bits as one that warms up itself, and one warm-up for all."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.running import runs, warmup
from nas.running.searching import search_in
from nas.settings import SearchSettings
from nas.tasks.task import Experiment
from tests.nas.tiny import Tiny

SETTINGS = SearchSettings(rate=0.1, decay=0.0, epochs=6, warmup_epochs=2, record_every=7, warmup="shared")


def experiment_of(settings: SearchSettings) -> Experiment[str]:
    return Experiment("tiny", settings, task="tiny")


def warmed(root: Path, settings: SearchSettings, seed: int = 3) -> Path:
    folder = warmup.folder_of(root, experiment_of(settings), seed)
    assert folder is not None
    assert warmup.warm_up(folder, experiment_of(settings), Tiny(), seed, "cpu")
    return folder


def forked(root: Path, settings: SearchSettings, seed: int = 3) -> Path:
    experiment, begun = experiment_of(settings), warmed(root, settings, seed)
    folder = runs.folder_of(root, "tiny", experiment, seed)
    with runs.open_run(folder, experiment) as run:
        search_in(run, Tiny(), settings, seed, warmup_run=begun)
    return folder


def whole(root: Path, settings: SearchSettings, seed: int = 3) -> Path:
    with runs.open_run(root / settings.method, settings) as run:
        search_in(run, Tiny(), settings, seed)
    return root / settings.method


def same(a: Path, b: Path) -> bool:
    one, other = (runs.read_checkpoint(folder / runs.CHECKPOINT)[0] for folder in (a, b))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def without_seconds(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in record.items() if k != "seconds"} for record in runs.records(folder)]


@pytest.mark.parametrize("method", ["advantage", "reinforce", "gdas", "parsec", "proxyless", "random"])
def test_a_fork_ends_with_the_bits_of_a_search_that_warms_up_itself(tmp_path: Path, method: str) -> None:
    settings = replace(SETTINGS, method=method)
    fork, alone = forked(tmp_path / "runs", settings), whole(tmp_path, settings)
    assert same(fork, alone)
    after = [r for r in without_seconds(alone) if r["step"] > 20]
    # The first record after the warm-up may average over steps of it in one that never stopped between two records.
    assert without_seconds(fork)[-len(after) :] == after


@pytest.mark.parametrize(("method", "equal"), [("advantage", True), ("random", True), ("gdas", False)])
def test_one_path_draws_are_those_of_a_warm_up_of_ones_own(tmp_path: Path, method: str, equal: bool) -> None:
    own = whole(tmp_path / "own", replace(SETTINGS, method=method, warmup="own"))
    assert same(own, whole(tmp_path / "shared", replace(SETTINGS, method=method))) is equal


def test_many_searches_go_on_from_one_warm_up_and_say_so(tmp_path: Path) -> None:
    folders = [
        forked(tmp_path, replace(SETTINGS, method=name, rate=rate))
        for name, rate in (("advantage", 0.1), ("gdas", 0.2))
    ]
    warmups = list((tmp_path / warmup.NAME).iterdir())
    assert len(warmups) == 1
    for folder in folders:
        assert runs.result(folder)["forked_from"]["run"] == str(warmups[0])
        assert runs.records(folder)[0]["step"] > 20
    assert runs.records(warmups[0])[-1]["step"] == 20
    forked(tmp_path, replace(SETTINGS, epochs=8))  # another schedule of the weights' rate
    forked(tmp_path, SETTINGS, seed=4)
    assert len(list((tmp_path / warmup.NAME).iterdir())) == 3


def test_equal_time_counts_the_warm_up(tmp_path: Path) -> None:
    folder = forked(tmp_path, SETTINGS)
    before = runs.result(folder)["forked_from"]["seconds"]
    assert runs.records(folder)[0]["seconds"] > before - 0.1


def test_a_fork_stopped_and_resumed_ends_the_same(tmp_path: Path) -> None:
    begun, calls = warmed(tmp_path / "a", SETTINGS), itertools.count(1)
    for stop in (lambda: next(calls) == 13, lambda: False):
        with runs.open_run(tmp_path / "parts", SETTINGS) as run:
            search_in(run, Tiny(), SETTINGS, 3, stop, begun)
    assert same(tmp_path / "parts", forked(tmp_path / "b", SETTINGS))


def test_a_stopped_warm_up_goes_on(tmp_path: Path) -> None:
    folder, calls = warmup.folder_of(tmp_path / "a", experiment_of(SETTINGS), 3), itertools.count(1)
    assert folder is not None
    assert not warmup.warm_up(folder, experiment_of(SETTINGS), Tiny(), 3, "cpu", lambda: next(calls) == 5)
    assert same(warmed(tmp_path / "a", SETTINGS), warmed(tmp_path / "b", SETTINGS))
    assert warmed(tmp_path / "a", SETTINGS) == folder


def test_a_longer_warm_up_goes_on_from_the_longest_shorter_one(tmp_path: Path) -> None:
    """To the same bits as one from the start, and not from one of another schedule, seed or length beyond its own."""
    longer, alone = replace(SETTINGS, warmup_epochs=4), warmed(tmp_path / "alone", replace(SETTINGS, warmup_epochs=4))
    root = tmp_path / "chain"
    for other in (replace(longer, epochs=7), replace(longer, record_every=5), replace(SETTINGS, warmup_epochs=5)):
        warmed(root, other)
    warmed(root, replace(SETTINGS, warmup_epochs=3), seed=13)  # whose name also ends in 3
    folders = [warmed(root, replace(SETTINGS, warmup_epochs=epochs)) for epochs in (1, 3)]
    chained = warmed(root, longer)
    assert same(chained, alone)
    assert runs.result(chained)["forked_from"]["run"] == str(folders[1])
    assert [record["step"] for record in runs.records(chained)] == [35, 40]
    assert runs.result(folders[1])["forked_from"]["run"] == str(folders[0])
    assert "forked_from" not in runs.result(folders[0])


def test_a_shorter_warm_up_that_is_not_finished_is_no_beginning(tmp_path: Path) -> None:
    shorter, calls = warmup.folder_of(tmp_path, experiment_of(SETTINGS), 3), itertools.count(1)
    assert shorter is not None
    assert not warmup.warm_up(shorter, experiment_of(SETTINGS), Tiny(), 3, "cpu", lambda: next(calls) == 15)
    assert "forked_from" not in runs.result(warmed(tmp_path, replace(SETTINGS, warmup_epochs=3)))
    warmed(tmp_path, SETTINGS)  # the control: finished, it is one
    assert runs.result(warmed(tmp_path, replace(SETTINGS, warmup_epochs=4)))["forked_from"]


def test_a_beginning_whose_settings_lost_its_length_is_not_gone_on_from(tmp_path: Path) -> None:
    file = warmed(tmp_path, replace(SETTINGS, warmup_epochs=1)) / runs.CONFIG
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "warmup_epochs" not in line))
    assert "forked_from" not in runs.result(warmed(tmp_path, replace(SETTINGS, warmup_epochs=3)))


def test_what_was_begun_from_nothing_stays_so(tmp_path: Path) -> None:
    """Also where a shorter warm-up was finished before it went on."""
    folder, calls = warmup.folder_of(tmp_path, experiment_of(SETTINGS), 3), itertools.count(1)
    assert folder is not None
    assert not warmup.warm_up(folder, experiment_of(SETTINGS), Tiny(), 3, "cpu", lambda: next(calls) == 5)
    warmed(tmp_path, replace(SETTINGS, warmup_epochs=1))
    assert "forked_from" not in runs.result(warmed(tmp_path, SETTINGS))


def test_what_a_stopped_run_was_forked_from_is_not_forgotten(tmp_path: Path) -> None:
    """Nor replaced by a longer beginning that was made in the meantime."""
    first, longer = warmed(tmp_path, replace(SETTINGS, warmup_epochs=1)), replace(SETTINGS, warmup_epochs=4)
    folder, calls = warmup.folder_of(tmp_path, experiment_of(longer), 3), itertools.count(1)
    assert folder is not None
    assert not warmup.warm_up(folder, experiment_of(longer), Tiny(), 3, "cpu", lambda: next(calls) == 5)
    warmed(tmp_path, replace(SETTINGS, warmup_epochs=3))
    assert warmed(tmp_path, longer) == folder
    assert runs.result(folder)["forked_from"]["run"] == str(first)


def test_a_search_with_a_warm_up_of_its_own_shares_none(tmp_path: Path) -> None:
    for settings in (replace(SETTINGS, warmup="own"), replace(SETTINGS, warmup_epochs=0)):
        assert warmup.folder_of(tmp_path, experiment_of(settings), 3) is None
