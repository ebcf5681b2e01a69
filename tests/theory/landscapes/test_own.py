"""A user's landscape under one name in every program: three forms, one protocol, refusals in one line."""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.running import plugins
from simulate import __main__ as simulate_program
from simulate import landscapes as simulated
from simulate.run import Machine, Setting, simulate
from theory import __main__ as theory_program
from theory.landscapes import Affine, Bilinear, Landscape, from_function, make

HERE = __name__
plugins.allow(HERE)  # as a command line does that names it


@dataclass(frozen=True, eq=False)
class Cheapest(Affine):
    """Every edge pays its own price."""

    prices: Any

    @property
    def shape(self) -> tuple[int, int]:
        return (int(self.prices.shape[0]), int(self.prices.shape[1]))

    def loss(self, gates: Any) -> Any:
        return (gates * self.prices).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self.prices + 0 * gates


def build(edges: int, candidates: int, seed: int, *, scale: float = 1.0) -> Landscape:
    return Cheapest(scale * np.random.default_rng(seed).random((edges, candidates)))


made_in_c = math.hypot
BUILT = Cheapest(np.array([[1.0, 2.0], [4.0, 3.0]]))


def hill(gates: Any, height: float = 1.0) -> Any:
    return height * (gates[..., 0].sum(-1) - 2.0) ** 2


def in_torch_alone(gates: torch.Tensor) -> torch.Tensor:
    return torch.tanh(gates[..., 1].sum(dim=-1))


def through_numpy(gates: Any) -> Any:
    return np.tanh(gates).sum(-1).sum(-1)


def without_batch(gates: Any) -> Any:
    return gates.sum()


def at_even_gates_alone(gates: Any) -> Any:
    """Refuses what is not at the middle of the simplex, where it is tried first."""
    if not bool((gates == 1 / gates.shape[-1]).all()):
        raise ValueError("not in the middle")
    return gates.sum(-1).sum(-1)


def broken(edges: int, candidates: int, seed: int) -> Any:
    raise KeyError("no such file")


def strange(gates: Any, edges: int) -> Any:
    return gates


def number(edges: int, candidates: int, seed: int) -> float:
    return 3.0


def moving(edges: int, candidates: int, seed: int) -> Any:
    return simulated.Noisy(Bilinear(np.zeros((edges, candidates))), 1.0)


@pytest.mark.parametrize("own", ["build", "BUILT", "hill", "in_torch_alone"])
def test_one_name_works_in_theory_and_in_simulate(own: str, tmp_path: Path) -> None:
    name = f"{HERE}:{own}"
    land, run = make(name, 2, 2, seed=5), simulated.make(name, 2, 2, seed=5)
    gates = np.eye(2)[[[0, 1], [1, 1]]]
    np.testing.assert_array_equal(land.loss(gates), run.landscape.loss(gates))
    assert run.truth.min_loss == land.min_loss
    assert land.name == name
    for world in ("numpy", "torch"):
        setting = Setting(landscape=name, edges=2, candidates=2, landscape_seed=5, steps=20, replicates=3, rate=0.1)
        found = simulate(setting, Machine(world, dtype="float64")).values["expected_loss"]  # type: ignore[arg-type]
        assert found[-1].mean() < found[0].mean()
        p = np.full((2, 2), 0.5)
        assert found[0] == pytest.approx(np.full(3, land.expected(p)))


def test_the_commands_take_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{HERE}:hill"
    files = ["--json", str(tmp_path / "card.json"), "--figure", str(tmp_path / "card.png")]
    size = ["--edges", "2", "--candidates", "2"]
    assert theory_program.main(["card", "exact_advantage", "--landscape", name, *size, *files]) == 0
    card = json.loads((tmp_path / "card.json").read_text())
    # (count - 2)^2 of a fair Binomial(2): (4 + 1 + 1 + 0) / 4
    assert card["methods"]["exact_advantage"]["expected_loss"] == pytest.approx(1.5)
    sets = ["--set", "edges=2", "--set", "candidates=2", "--set", "steps=5", "--set", "replicates=3"]
    assert simulate_program.main(["compare", name, "advantage", *sets, "--runs", str(tmp_path), "--workers", "1"]) == 0
    assert simulate_program.main(["moments", "reinforce", "--landscape", name, "--draws", "20000"]) == 0
    assert "agrees" in capsys.readouterr().out


def test_options_reach_it() -> None:
    assert make(f"{HERE}:build", 2, 2, scale=2.0).max_loss == 2 * make(f"{HERE}:build", 2, 2).max_loss
    assert make(f"{HERE}:hill", 2, 2, height=3.0).max_loss == 12.0
    assert simulated.make(f"{HERE}:hill", 2, 2, height=3.0).truth.max_loss == 12.0


@pytest.mark.parametrize(
    ("own", "arguments", "message"),
    [
        ("nothing", {}, "cannot load landscape"),
        ("strange", {}, r"takes \(gates, edges\); a landscape is a function of \(gates\)"),
        ("number", {}, "is a float, not"),
        ("moving", {}, "what changes from step to step has no exact moments"),
        ("BUILT", {"edges": 3}, "has 2 edges and 2 candidates, not 3 and 4"),
        ("BUILT", {"scale": 2}, "it takes no options scale"),
        ("build", {"tail": 2}, "unexpected keyword argument 'tail'"),
        ("build", {"edges": 0}, "at least one edge"),
        ("build", {"exact": True}, "it has no exact form"),
        ("hill", {"exact": True}, "it has no exact form"),
        ("through_numpy", {}, r"through_numpy on torch gates \(2, 3, 6, 4\) fails"),
        ("without_batch", {}, r"must return a loss \(2, 3\), one of each architecture, not \(\)"),
        ("broken", {}, r"landscape 'test_own:broken' failed: .*no such file".replace("test_own", HERE)),
        ("build", {"tail": 2}, "landscape '.*:build': got an unexpected keyword argument 'tail'"),
        ("made_in_c", {}, "is a function of Python itself, not one of yours"),
        ("build", {"candidates": 0}, "at least one edge and one candidate, not 6 x 0"),
    ],
)
def test_refusals_of_theory(own: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make(f"{HERE}:{own}", **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("own", "arguments", "message"),
    [
        ("number", {}, "is a float, neither"),
        ("hill", {"edges": 11, "candidates": 4}, r"needs a sum over all 4\^11 = 4.19e\+06 architectures, too many"),
        ("BUILT", {"edges": 3}, "has 2 edges and 2 candidates, not 3 and 4"),
        ("without_batch", {}, "must return a loss"),
    ],
)
def test_refusals_of_simulate(own: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        simulated.make(f"{HERE}:{own}", **arguments)
    assert "\n" not in str(caught.value)


def test_one_edge_and_one_candidate_are_enough_and_the_middle_is_asked() -> None:
    assert make(f"{HERE}:build", 1, 1).shape == (1, 1)
    assert from_function(at_even_gates_alone, 2, 4).shape == (2, 4)


def test_an_environment_of_ones_own_runs_in_simulate() -> None:
    assert isinstance(simulated.make(f"{HERE}:moving", 2, 2), simulated.Noisy)


def test_a_function_gives_back_what_it_was_given() -> None:
    land = from_function(hill, 2, 2)
    tensor = torch.full((3, 2, 2), 0.5)
    assert isinstance(land.slopes(tensor), torch.Tensor)
    assert land.slopes(tensor).dtype == torch.float32
    assert isinstance(land.slopes(tensor.numpy()), np.ndarray)
    assert not tensor.requires_grad


def test_this_module_is_importable_by_name() -> None:
    assert sys.modules[HERE].hill is hill
