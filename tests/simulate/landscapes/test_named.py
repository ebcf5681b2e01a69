"""The simulator's names: theory's objects under theory's names, its own beside them, the real table, refusals."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data import nasbench201
from nas.running import plugins
from simulate.landscapes import Drifting, Environment, Noisy, Toy, make, names
from theory import landscapes

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("name", [name for name in landscapes.names() if name != "nasbench201"])
def test_theorys_landscapes_are_the_same_objects(name: str) -> None:
    size = (4, 3) if name not in ("bandit", "coordination") else (None, None)
    ours: Any = make(name, *size, 3).landscape
    theirs: Any = landscapes.make(name, *size, 3)
    ours = ours.base if isinstance(ours, landscapes.Enumerated) else ours
    assert type(ours) is type(theirs)
    arrays = [(v, vars(theirs)[k]) for k, v in vars(ours).items() if isinstance(v, np.ndarray)]
    assert arrays
    assert all((mine == other).all() for mine, other in arrays)


def test_its_own_are_of_their_kind() -> None:
    assert set(names()) - set(landscapes.names()) == {"noisy", "drifting", "toy"}
    assert isinstance(make("noisy"), Noisy)
    assert isinstance(make("drifting"), Drifting)
    assert isinstance(make("toy", 3, 2).landscape, Toy)
    for name in ("noisy", "drifting"):
        unary: Any = make(name, 3, 2, 1).landscape
        assert not (unary.unary == vars(make(name, 3, 2, 2).landscape)["unary"]).all()


def test_a_users_environment_is_taken_as_it_is_and_a_landscape_gets_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_weather.py").write_text(
        "from simulate.landscapes import Noisy\nfrom theory.landscapes import make\n"
        "def still(edges, candidates, seed): return make('additive', edges, candidates, seed)\n"
        "def stormy(edges, candidates, seed): return Noisy(still(edges, candidates, seed), 2.0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.allow("own_weather")
    stormy, still = make("own_weather:stormy", 2, 3), make("own_weather:still", 2, 3)
    assert isinstance(stormy, Noisy)
    assert stormy.size == 2
    assert type(still) is Environment
    assert still.landscape.shape == (2, 3)


def test_what_is_not_said_of_them() -> None:
    """Seed 0, half a t(2) number of noise; a hundred visits to a drift of one to two."""
    noisy: Any = make("noisy", 40, 5)
    drifting: Any = make("drifting", 40, 5)
    assert noisy.size == 0.5
    assert drifting.pace == 100
    above = drifting.initial - drifting.landscape.unary
    assert 1 <= above.min() < 1.1
    assert 1.9 < above.max() < 2
    same: Any = make("noisy", 40, 5, 0).landscape
    np.testing.assert_array_equal(noisy.landscape.unary, same.unary)


def test_a_users_environment_whose_landscape_does_not_know_j_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_blind.py").write_text(
        "from simulate.landscapes import Environment\nfrom theory.landscapes import Enumerated, make\n"
        "def bent(edges, candidates, seed): return Environment(make('saturating', edges, candidates, seed))\n"
        "def summed(edges, candidates, seed):\n"
        "    return Environment(Enumerated.of(make('saturating', edges, candidates, seed), 64))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.allow("own_blind")
    with pytest.raises(ValueError, match=r"landscape 'own_blind:bent' does not know J: build it on .*Enumerated.of"):
        make("own_blind:bent", 2, 3)
    assert make("own_blind:summed", 2, 3).truth.optimum is not None


def test_an_operation_starts_between_one_and_two_head_starts_above_where_it_ends() -> None:
    drifting: Any = make("drifting", 40, 5, head_start=3.0)
    above = (drifting.initial - drifting.landscape.unary) / 3
    assert 1 <= above.min() < 1.1
    assert 1.9 < above.max() < 2  # of 200


@pytest.mark.skipif(
    "ADVANTAGE_NAS_DATA" not in os.environ, reason="needs the NAS-Bench-201 table in ADVANTAGE_NAS_DATA"
)
@pytest.mark.parametrize("dataset", nasbench201.DATASETS)
def test_the_real_table_is_a_landscape_on_each_of_its_data_sets(dataset: str) -> None:
    environment = make("nasbench201", 6, 4, dataset=dataset)
    landscape = environment.landscape
    errors = 100 - nasbench201.load().cube(f"{dataset}_test")
    p = RANDOM.dirichlet(np.ones(4), size=(2, 6))
    weights = np.ones((2, 1))
    for edge in range(6):
        weights = (weights[:, :, None] * p[:, edge, None]).reshape(2, -1)
    inner = errors[(slice(1, None),) * 6]
    np.testing.assert_allclose(landscape.expected(p), weights @ inner.ravel(), rtol=1e-12)
    assert np.array_equal(environment.truth.optimum or (), np.unravel_index(inner.argmin(), inner.shape))
    hot = np.eye(4)[np.array([[3, 0, 1, 2, 2, 1]])]
    zeroed = hot * (np.arange(6) != 4)[:, None]
    np.testing.assert_allclose(landscape.loss(hot)[0], errors[4, 1, 2, 3, 3, 2])
    np.testing.assert_allclose(landscape.loss(zeroed)[0], errors[4, 1, 2, 3, 0, 2])
    credit = (landscape.gradients(hot, hot).gate_gradient * hot).sum(axis=-1)[0, 4]
    np.testing.assert_allclose(credit, errors[4, 1, 2, 3, 3, 2] - errors[4, 1, 2, 3, 0, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hill"}, "unknown landscape 'hill'; known: additive.*, drifting, toy, or your own as package.module"),
        ({"name": "additive", "edges": 0}, "at least one edge"),
        ({"name": "nk", "neighbors": 2}, "unknown option 'neighbors' of landscape nk; known: neighbours"),
        ({"name": "noisy", "scale": 2}, "unknown option 'scale' of landscape noisy; known: size"),
        ({"name": "bandit", "edges": 6}, "landscape bandit has 1 edges"),
        ({"name": "toy", "inputs": 0}, "at least one input"),
        ({"name": "simulate.landscapes:nothing"}, "cannot load landscape"),
    ],
)
def test_bad_names_and_options_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**arguments)
