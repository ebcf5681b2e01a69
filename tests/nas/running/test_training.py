"""One training from scratch: never done twice, resumed to the same bits, and refused where it diverges."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.running import runs, training
from nas.running.runs import Diverged


@dataclass(frozen=True)
class Recipe:
    architecture: str = "one weight"
    seed: int = 4


class OneWeight:
    """A weight w that goes half of its way to 1 a step, from 0: w = 1 - 2^-steps; its loss is the way left."""

    steps_per_epoch = 3

    def __init__(self) -> None:
        self.weight = torch.tensor(0.0)

    def step(self, progress: float) -> Tensor:
        self.weight = (1 + self.weight) / 2
        return 1 - self.weight

    def judged(self) -> dict[str, float]:
        return {"weight": float(self.weight)}

    def state(self) -> dict[str, Tensor]:
        return {"weight": self.weight}

    def load(self, state: dict[str, Tensor]) -> None:
        self.weight = state["weight"]


def trained(folder: Path, **more: Any) -> dict[str, Any] | None:
    return training.once(folder, Recipe(), 2, OneWeight, lambda one: {"end": float(one.weight)}, **more)


def test_by_hand(tmp_path: Path) -> None:
    """Two epochs of three steps: the weight ends at 1 - 1/64; an epoch's loss is the mean of its three."""
    row = trained(tmp_path / "run")
    assert row is not None
    assert row.pop("seconds") >= 0
    assert row == {"architecture": "one weight", "end": 1 - 1 / 64, "epochs": 2, "seed": 4}
    first, second = runs.records(tmp_path / "run")
    assert (first["step"], first["epoch"], first["weight"]) == (3, 1, 7 / 8)
    assert first["loss"] == pytest.approx((1 / 2 + 1 / 4 + 1 / 8) / 3)
    assert second["loss"] == pytest.approx((1 / 16 + 1 / 32 + 1 / 64) / 3)


@pytest.mark.parametrize("stop_at", range(1, 6))
def test_stopped_anywhere_it_goes_on_to_the_same_end(tmp_path: Path, stop_at: int) -> None:
    calls = itertools.count(1)
    assert trained(tmp_path / "parts", stopped=lambda: next(calls) == stop_at) is None
    parts, whole = trained(tmp_path / "parts"), trained(tmp_path / "whole")
    assert parts is not None
    assert whole is not None
    assert {**parts, "seconds": 0} == {**whole, "seconds": 0}
    of_parts, of_whole = (runs.records(tmp_path / name) for name in ("parts", "whole"))
    assert [{**r, "seconds": 0} for r in of_parts] == [{**r, "seconds": 0} for r in of_whole]


def test_stopped_before_its_first_step_it_answers_only_if_it_is_finished(tmp_path: Path) -> None:
    assert trained(tmp_path / "run", stopped=lambda: True) is None
    assert not (tmp_path / "run").exists()
    row = trained(tmp_path / "run")
    assert row is not None
    assert trained(tmp_path / "run", stopped=lambda: True) == row


def test_what_is_finished_is_read_and_not_done_again(tmp_path: Path) -> None:
    first = trained(tmp_path / "run")

    def again() -> OneWeight:
        pytest.fail("built again")

    assert training.once(tmp_path / "run", Recipe(), 2, again, lambda one: {}) == first
    with pytest.raises(pytest.fail.Exception):  # control: another folder is another training
        training.once(tmp_path / "other", Recipe(), 2, again, lambda one: {})


def test_a_loss_that_is_not_finite_leaves_no_result(tmp_path: Path) -> None:
    class Broken(OneWeight):
        def step(self, progress: float) -> Tensor:
            return super().step(progress) * (torch.nan if progress >= 0.5 else 1.0)

    with pytest.raises(Diverged, match=r"not finite at step 4"):
        training.once(tmp_path / "run", Recipe(), 2, Broken, lambda one: {})
    assert not (tmp_path / "run" / runs.RESULT).exists()
