"""A search in a run folder, on the smallest parent network: finds the best cell, resumes bit for bit, stops on NaN."""

import io
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nas
from nas import progress
from nas.methods import METHODS
from nas.objective import Gradients
from nas.running import runs
from nas.running.runs import Diverged
from nas.running.searching import search_in
from nas.settings import SearchSettings
from tests.nas.tiny import Tiny

SETTINGS = SearchSettings(rate=0.1, decay=0.0, epochs=12, warmup_epochs=2, record_every=7)


def run_search(folder: Path, settings: SearchSettings = SETTINGS, stopped: Callable[[], bool] = lambda: False) -> Any:
    with runs.open_run(folder, settings) as run:
        return search_in(run, Tiny(), settings, 3, stopped)


SERVED = sorted({*METHODS, "enas", "enas_critic", "evolution"} - {"nasp", "binomial_advantage", "binomial_reinforce"})


@pytest.mark.parametrize("method", SERVED)
def test_finds_the_best_cell(tmp_path: Path, method: str) -> None:
    result = run_search(tmp_path / "r", replace(SETTINGS, method=method, epochs=60))
    assert result["architecture"] == "0-0"
    assert json.loads((tmp_path / "r" / "result.json").read_text()) == result


@pytest.mark.parametrize(
    "method", ["advantage", "reinforce", "parsec", "gdas", "proxyless", "random", "enas", "evolution"]
)
@pytest.mark.parametrize("stop_at", [1, 20, 33, 119])
def test_stopped_anywhere_and_resumed_ends_bit_identical(tmp_path: Path, method: str, stop_at: int) -> None:
    settings = replace(SETTINGS, method=method)
    run_search(tmp_path / "whole", settings)
    steps = itertools.count(1)
    assert run_search(tmp_path / "parts", settings, lambda: next(steps) == stop_at) is None
    run_search(tmp_path / "parts", settings)
    whole, parts = (runs.read_checkpoint(tmp_path / f / "checkpoint.safetensors") for f in ("whole", "parts"))
    assert whole[0].keys() == parts[0].keys()
    for name, tensor in whole[0].items():
        assert torch.equal(tensor, parts[0][name]), name
    for a, b in zip(runs.records(tmp_path / "whole"), runs.records(tmp_path / "parts"), strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


def test_control_another_seed_ends_elsewhere(tmp_path: Path) -> None:
    run_search(tmp_path / "a")
    with runs.open_run(tmp_path / "b", SETTINGS) as run:
        search_in(run, Tiny(), SETTINGS, 4)
    a, b = (runs.read_checkpoint(tmp_path / f / "checkpoint.safetensors")[0] for f in ("a", "b"))
    assert not torch.equal(a["logits"], b["logits"])


def test_records_say_what_was_found_when(tmp_path: Path) -> None:
    run_search(tmp_path / "r")
    records = runs.records(tmp_path / "r")
    assert [r["step"] for r in records] == sorted({*range(7, 121, 7), *range(10, 121, 10)})
    assert [r["step"] for r in records if "validation" in r] == list(range(10, 121, 10))
    assert records[0]["architecture_loss"] == 0  # warm-up trains weights only
    assert records[-1]["architecture_loss"] > 0
    assert records[-1]["entropy"] < records[0]["entropy"]


def test_nan_stops_says_the_step_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    network = Tiny()
    network.broken_at = 34
    with runs.open_run(tmp_path / "r", SETTINGS) as run, pytest.raises(Diverged, match="not finite at step 34;"):
        search_in(run, network, SETTINGS, 3)
    _, about = runs.read_checkpoint(tmp_path / "r" / "checkpoint.safetensors")
    assert about["step"] == 30
    assert not (tmp_path / "r" / "result.json").exists()


@pytest.mark.parametrize("what", ["weights", "logits"])
def test_what_is_not_a_number_is_not_kept(tmp_path: Path, what: str) -> None:
    """Broken by the last step of an epoch, whose loss was still finite: no loss tells before the checkpoint."""

    class Broken(Tiny):
        def weight_step(self, gates: Tensor, progress: float) -> Tensor:
            loss = super().weight_step(gates, progress)
            if what == "weights" and self.steps == 40:
                self.weights = self.weights * torch.nan
                self.objective().noise = -self.weights  # and the architecture step does not see it
            return loss

        def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
            found = super().gradients(gates, runs)
            zero = torch.zeros(())
            if self.steps == 40:
                return replace(found, loss=zero, gate_gradient=found.gate_gradient * torch.nan)
            return found

    with runs.open_run(tmp_path / "r", SETTINGS) as run, pytest.raises(Diverged, match="after step 40; lower"):
        search_in(run, Broken(), SETTINGS, 3)
    tensors, about = runs.read_checkpoint(tmp_path / "r" / "checkpoint.safetensors")
    assert about["step"] == 30
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_a_search_is_not_resumed_on_another_kind_of_device(tmp_path: Path) -> None:
    steps = itertools.count(1)
    assert run_search(tmp_path / "r", SETTINGS, lambda: next(steps) == 25) is None
    tensors, about = runs.read_checkpoint(tmp_path / "r" / "checkpoint.safetensors")
    of_a_gpu = {**tensors, "generator": torch.zeros(16, dtype=torch.uint8)}  # a seed and an offset
    with runs.open_run(tmp_path / "r", SETTINGS) as run:
        run.checkpoint(of_a_gpu, {name: value for name, value in about.items() if name != "metrics_bytes"})
    with pytest.raises(runs.RunError, match="was begun on another kind of device"):
        run_search(tmp_path / "r")
    with runs.open_run(tmp_path / "r", SETTINGS) as run:
        run.checkpoint(tensors, {name: value for name, value in about.items() if name != "metrics_bytes"})
    assert run_search(tmp_path / "r") is not None  # the control


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The progress bars that are made."""
    made: list[Any] = []

    class Bar(progress.tqdm):  # type: ignore[type-arg]
        def __init__(self, **options: Any) -> None:
            made.append(self)
            super().__init__(**{**options, "disable": False, "file": io.StringIO()})

    monkeypatch.setattr(progress, "tqdm", Bar)
    return made


def test_progress_counts_weight_and_architecture_steps(tmp_path: Path, bars: list[Any]) -> None:
    """So that the time left is right although an epoch of the warm-up costs half of a later one."""
    steps = itertools.count(1)
    assert run_search(tmp_path / "r", SETTINGS, lambda: next(steps) == 45) is None
    run_search(tmp_path / "r")
    first, second = bars
    assert (first.total, first.initial, first.n) == (120 + 100, 0, 45 + 25)  # the first 20 steps are the warm-up's
    assert (second.total, second.initial, second.n) == (220, 70, 220)


def test_a_search_in_one_call_shows_the_same_progress(bars: list[Any]) -> None:
    nas.search(Tiny(), epochs=12, warmup_epochs=2)
    (bar,) = bars
    assert (bar.total, bar.initial, bar.n) == (220, 0, 220)


def test_random_search_stands_for_the_first_cell_until_it_has_seen_one(tmp_path: Path) -> None:
    asked = []

    class Watched(Tiny):
        def validate(self, gates: Tensor) -> dict[str, float]:
            asked.append(gates)
            return super().validate(gates)

    settings = replace(SETTINGS, method="random")
    with runs.open_run(tmp_path / "r", settings) as run:
        search_in(run, Watched(), settings, 3)
    assert all(torch.equal(gates.sum(dim=-1), torch.ones(2)) for gates in asked)  # one operation an edge, always
    assert runs.records(tmp_path / "r")[0]["architecture"] == "0-0"
