"""Landscapes by name: exact and float hold the same numbers, hand calculations, the real table, refusals."""

import os
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nas import objective
from theory import architectures
from theory.landscapes import Affine, Bilinear, Landscape, Quadratic, Table, make, names
from theory.landscapes.named import FIXED, GRID

SYNTHETIC = [name for name in names() if name != "nasbench201"]
EXACT = [name for name in SYNTHETIC if name != "saturating"]
AFFINE = [name for name in EXACT if isinstance(make(name), Affine)]


def mixed_gates(rng: np.random.Generator, edges: int, candidates: int) -> Any:
    """Rational rows of every kind: mixtures, one-hot, scaled one-hot and zero."""
    gates = np.array([Fraction(int(n), 4) for n in rng.integers(-3, 6, 5 * edges * candidates)], dtype=object)
    gates = gates.reshape(5, edges, candidates)
    gates[1] = architectures.one_hot(rng.integers(candidates, size=edges), candidates, exact=True)
    gates[2] = gates[1] * 0
    gates[3] = gates[1] * Fraction(1, 2)
    return gates


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("size", [(1, 2), (2, 3), (4, 2)])
def test_float_and_exact_landscapes_are_the_same(name: str, size: tuple[int, int]) -> None:
    size = FIXED.get(name, size)
    options = {"neighbours": size[0] - 1} if name == "nk" else {"block": 1} if name == "plateau" else {}
    exact, floating = make(name, *size, seed=3, exact=True, **options), make(name, *size, seed=3, **options)
    gates = mixed_gates(np.random.default_rng(0), *size)
    rational, real = (
        exact.gradients(gates, gates * 0 + 1),
        floating.gradients(gates.astype(float), np.ones(gates.shape)),
    )
    assert all(isinstance(entry, Fraction) for entry in rational.loss.ravel())
    assert all(isinstance(entry, Fraction) for entry in rational.gate_gradient.ravel())
    for left, right in [(rational.loss, real.loss), (rational.gate_gradient, real.gate_gradient)]:
        np.testing.assert_allclose(left.astype(float), right, rtol=1e-12, atol=1e-12)
    assert (exact.loss(gates) == rational.loss).all()
    assert exact.optimum == floating.optimum
    assert float(exact.min_loss) == pytest.approx(floating.min_loss, abs=1e-12)
    assert float(exact.max_loss) == pytest.approx(floating.max_loss, abs=1e-12)


@pytest.mark.parametrize("name", AFFINE)
def test_affine_landscapes_have_exact_credit(name: str) -> None:
    """Affine in an edge's gates: a_e . g_e is the loss lost by zeroing the edge, exactly."""
    land = make(name, *FIXED.get(name, (3, 3)), seed=2, exact=True)
    gates = architectures.one_hot(architectures.choices(*land.shape), land.candidates, exact=True)
    measured = land.gradients(gates, gates)
    credit = (gates * measured.gate_gradient).sum(axis=-1)
    assert (credit == measured.loss[:, None] - objective.zeroed_losses(land, gates)).all()


def test_control_the_quadratic_landscape_has_not() -> None:
    land = make("quadratic", 3, 3, seed=2, exact=True)
    gates = architectures.one_hot(architectures.choices(3, 3), 3, exact=True)
    measured = land.gradients(gates, gates)
    credit = (gates * measured.gate_gradient).sum(axis=-1)
    assert (credit != measured.loss[:, None] - objective.zeroed_losses(land, gates)).any()
    flat = make("quadratic", 3, 3, seed=2, exact=True, curvature=0.0)
    measured = flat.gradients(gates, gates)
    credit = (gates * measured.gate_gradient).sum(axis=-1)
    assert (credit == measured.loss[:, None] - objective.zeroed_losses(flat, gates)).all()


def test_hand_calculations() -> None:
    exclusive = make("xor", 2, 2, exact=True)
    gates = architectures.one_hot(architectures.choices(2, 2), 2, exact=True)
    assert (exclusive.loss(gates) == [0, 1, 1, 0]).all()
    trap = make("trap", 3, 2, seed=0, exact=True)
    hits = [sum(a == b for a, b in zip(c, trap.optimum, strict=True)) for c in architectures.choices(3, 2)]
    by_hits = {0: Fraction(1, 3), 1: Fraction(2, 3), 2: Fraction(1), 3: Fraction(0)}
    gates = architectures.one_hot(architectures.choices(3, 2), 2, exact=True)
    assert (trap.loss(gates) == [by_hits[h] for h in hits]).all()
    # (1 + 2 - 4)^2 = 1 with both edges, (1 - 4)^2 = 9 with the first alone
    pair = Quadratic(np.array([[[1.0]], [[2.0]]]), np.array([4.0]))
    assert pair.loss(np.ones((2, 1))) == 1
    assert pair.loss(np.array([[1.0], [0.0]])) == 9
    couple = Bilinear(np.array([[1.0], [2.0]]), np.array([[[[0.0], [5.0]]], [[[5.0], [0.0]]]]).reshape(2, 1, 2, 1))
    assert couple.loss(np.ones((2, 1))) == 8
    # states (0, zeroed): L = 3, 5 -> half a gate costs 4 and its slope is -2
    table = Table(np.array([3.0, 5.0]))
    measured = table.gradients(np.array([[0.5]]), np.ones((1, 1)))
    assert (measured.loss, measured.gate_gradient[0, 0]) == (4, -2)


def test_parameters_lie_on_the_grid_and_change_with_the_seed() -> None:
    for name in ("additive", "pairwise", "trap", "quadratic", "saturating", "normalised", "heavy_tailed"):
        land, other = make(name, 3, 2, seed=0), make(name, 3, 2, seed=1)
        scale = 3 if name == "trap" else 1  # its shares are thirds
        arrays = [v for v in vars(land).values() if isinstance(v, np.ndarray)]
        assert arrays
        for values in arrays:
            assert (np.abs(values * GRID * scale - np.round(values * GRID * scale)) < 1e-9).all(), name
        assert any((v != w).any() for v, w in zip(arrays, vars(other).values(), strict=False) if np.shape(v)), name


def test_the_size_of_its_own_and_the_default() -> None:
    assert [make(name).shape for name in ("bandit", "coordination", "additive", "nk")] == [
        (1, 2),
        (2, 2),
        (6, 4),
        (6, 4),
    ]
    assert make("additive", edges=3).shape == (3, 4)
    assert make("bandit", gap=0.25).max_loss == -0.75


def test_large_structured_landscapes_know_their_extremes_without_enumeration() -> None:
    for name in ("additive", "xor", "trap", "plateau", "ill_scaled", "ordered"):
        land = make(name, 10, 10, seed=1)
        assert land.loss(np.eye(10)[list(land.optimum)]) == pytest.approx(land.min_loss)
    with pytest.raises(ValueError, match=r"10\^10 = 1e\+10 architectures are too many"):
        _ = make("pairwise", 10, 10).min_loss


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("hills", 2, 2), {}, "unknown landscape 'hills'; known: additive"),
        (("noisy", 2, 2), {}, "landscape noisy is disturbed afresh at every step; `python -m simulate` runs it"),
        (("toy", 2, 2), {}, "simulate.landscapes:toy"),
        (("bandit", 6, 4), {}, "landscape bandit has 1 edges and 2 candidates, not 6 and 4"),
        (("nk", 6, 4), {"neighbors": 2}, "unknown option 'neighbors' of landscape nk; known: neighbours"),
        (("nk", 6, 4), {"neighbours": 9}, "0 <= neighbours < edges"),
        (("plateau", 6, 4), {"block": 0}, "1 <= block"),
        (("additive", 0, 2), {}, "at least one edge"),
        (("additive", 2, 2), {"tail": 1.0}, "unknown option 'tail' of landscape additive; known: scale"),
        (("heavy_tailed", 10, 10), {}, r"11\^10 = 2.59e\+10 losses"),
        (("saturating", 2, 2), {"exact": True}, "no exact form"),
        (("nasbench201", 5, 4), {}, "6 edges and 4 candidates"),
        (("nasbench201", 6, 4), {"dataset": "mnist"}, "unknown data set 'mnist'"),
    ],
)
def test_refusals(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(*arguments, **options)


@pytest.fixture(scope="module")
def cells() -> Landscape:
    if "ADVANTAGE_NAS_DATA" not in os.environ:
        pytest.skip("ADVANTAGE_NAS_DATA is not set")
    return make("nasbench201")


def test_nasbench201_holds_the_published_cells(cells: Landscape) -> None:
    """Best test accuracy on CIFAR-10: 94.37 (Dong & Yang 2020), by cell 6111 and, equal to the last image, by 13714."""
    assert cells.min_loss == pytest.approx(100 - 94.37, abs=0.005)
    for best in [(2, 2, 2, 0, 2, 1), (2, 2, 2, 0, 1, 2)]:  # of skip, 1x1, 3x3, pool
        assert cells.loss(np.eye(4)[list(best)]) == cells.min_loss
    assert cells.optimum == (2, 2, 2, 0, 1, 2)  # the first of equals
    assert cells.loss(np.zeros((6, 4))) == pytest.approx(90, abs=0.01)  # nothing passes: chance on ten classes


def test_nasbench201_exact_is_the_float_table(cells: Landscape) -> None:
    exact = make("nasbench201", exact=True)
    gates = architectures.one_hot(architectures.choices(6, 4)[::97], 4)
    assert (exact.loss(gates.astype(int).astype(object)).astype(float) == cells.loss(gates)).all()
