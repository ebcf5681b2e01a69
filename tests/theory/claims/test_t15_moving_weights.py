"""Losses that move: by hand, common progress costs nothing, and checkers that notice a missing term."""

from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from theory.cases import random_case
from theory.claim import holds, try_case
from theory.claims import CLAIMS, t15_moving_weights
from theory.claims.t15_moving_weights import Drift, drifts, run
from theory.landscapes import Table, make

CLAIM = CLAIMS["T15"]


def test_by_hand() -> None:
    """Losses (0, 1), p = (1/2, 1/2): J = 1/2, gradient (-1/4, 1/4). T1's longest step is 1 / (1 - 1/2) = 2: p = (1, 0).

    The step gains 1/2, all there was. Then the losses change places and rise by 3: (4, 3), osc D = 4 - 2 = 2.
    """
    found = run(Table(np.array([F(0), F(1), F(0)], dtype=object)), np.array([[F(1, 2), F(1, 2)]]), F(1))
    assert found.policies[1].tolist() == [[1, 0]]
    assert found.loss(0, 0) - found.loss(0, 1) == F(1, 2)
    assert found.losses[1].tolist() == [4, 3]
    assert drifts(found.losses)[0] == Drift(F(3), F(2))


def test_rounding_of_equal_losses_is_no_room_for_a_step() -> None:
    """max L - J of equal losses is zero, but 4e-16 in floats: a step of one over it goes anywhere."""
    flat = Table(np.array([[2.0, 2, 0], [2, 2, 0], [0, 0, 0]]))
    found = run(flat, np.array([[2 / 3, 1 / 3], [1 / 2, 1 / 2]]), 0.5)
    assert all(p.min() >= 0 and abs(p.sum(axis=-1) - 1).max() < 1e-12 for p in found.policies)
    assert CLAIM.slack(flat, np.array([[2 / 3, 1 / 3], [1 / 2, 1 / 2]]), 0.5, None) > -1e-15


def test_common_progress_costs_nothing() -> None:
    """Losses that fall by 1, then by 5, for all cells alike: no drift apart, and no bound on what is common."""
    losses = np.array([[4.0, 7, 9], [3, 6, 8], [-2, 1, 3]])
    assert drifts(losses) == [Drift(-1.0, 0.0), Drift(-5.0, 0.0)]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"two moments or more, not in the shape \(1, 3\)"):
        drifts(np.ones((1, 3)))


def test_the_gradient_bound_is_attained_by_a_fair_edge() -> None:
    """D = (1, -1), osc 2: the gradient moves by (1/2, -1/2), squared 1/2 = 2^2 / 8."""
    found = run(Table(np.array([F(0), F(1), F(0)], dtype=object)), np.array([[F(1, 2), F(1, 2)]]), F(1))
    assert t15_moving_weights._gradient_rooms(found, 8)[0] == 0


def test_every_control_by_hand() -> None:
    """A fair edge, L = (0, 1), then (4, 3), then (3, 3): policies 1/2 and twice (1, 0). Gains 1/2 and 0, osc D 2 and 1;

    grad J at 1/2 turns from -+1/4 to +-1/4: 4/9 - 1/2. All in units of (1 + 4)^2.
    Two edges, L = (1, 0, 0, 1), then (4, 4, 3, 3), then (4, 3, 2, 3): the first edge goes from 1/2 to 7/8 to 0, the
    other stays. J_0 = 1/2, gains 9/32 and 7/8, last excess 23/8 - 2, osc D 2 and 1.
    """
    none, half, nine = CLAIM.controls
    for control, case, number in (
        (none, t15_moving_weights.SWAPPED, F(0)),
        (half, t15_moving_weights.SWAPPED, F(3, 2)),
        (nine, t15_moving_weights.SWAPPED, F(4, 9) - F(1, 2)),
        (none, t15_moving_weights.APART, F(1, 2) - F(7, 8) - F(9, 32) - F(7, 8)),
        (half, t15_moving_weights.APART, F(1, 2) - F(7, 8) - F(9, 32) - F(7, 8) + F(3, 2)),
    ):
        assert try_case(control.slack, case, True) == number / 25


# ------------------------------------------------------------------ teeth


def _violated(number: int = 40) -> int:
    rng = np.random.default_rng(3)
    return sum(not holds(try_case(CLAIM.slack, random_case(rng, CLAIM.domain), True), True) for _ in range(number))


def _changed(monkeypatch: pytest.MonkeyPatch, change: Any) -> int:
    right = run
    monkeypatch.setattr(t15_moving_weights, "run", lambda problem, p, share: change(right(problem, p, share)))
    return _violated()


def test_control_a_policy_that_is_not_the_one_of_the_step_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _violated() == 0
    assert _changed(monkeypatch, lambda found: replace(found, chances=[*found.chances[::-1]])) > 10


def test_control_a_drift_that_is_half_of_what_it_is_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    halved = [Drift(d.common, d.apart / 3) for d in drifts(np.array([[0.0, 1], [1, 0]]))]
    assert halved[0].apart == pytest.approx(2 / 3)
    right = drifts
    monkeypatch.setattr(
        t15_moving_weights, "drifts", lambda losses: [Drift(d.common, d.apart / 3) for d in right(losses)]
    )
    assert _violated() > 0


def test_a_landscape_of_its_own_moves_too() -> None:
    land, p = make("heavy_tailed", 2, 3, seed=1), np.full((2, 3), 1 / 3)
    found = run(land, p, 0.5)
    assert found.losses.shape == (3, 9)
    assert all(drift.apart > 0 for drift in drifts(found.losses))
