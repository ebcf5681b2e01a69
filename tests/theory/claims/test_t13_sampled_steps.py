"""Sampled steps: by hand, in the long run, and checkers that notice a step which is not the one that they name."""

import math
from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from nas.methods import METHODS
from theory import exact
from theory.cases import random_case
from theory.claim import holds, try_case
from theory.claims import CLAIMS, t13_sampled_steps
from theory.claims.t8_logit_step import smoothness
from theory.landscapes import Table, make
from theory.quantities import RationalStep, expected_loss, exponential_step, rational_step

CLAIM = CLAIMS["T13"]
HALF = np.array([[F(1, 2), F(1, 2)]])


def test_one_binary_edge_by_hand() -> None:
    """Losses 0 and 1, zeroed 0, p = 1/2: J = 1/2, gradient (-1/4, 1/4), squared 1/8, C = 1/4.

    The exact advantage gives (0, 0) or (-1/2, 1/2), each half the time: V = (1/2)(1/2) - 1/8 = 1/8. So the longest step
    is 2 (1/8) / (1/4 (1/8 + 1/8)) = 4 = 1 / C, and the best one, 2, is promised 2/8 - (1/8) 4 (1/4) = 1/8. REINFORCE
    with baseline J gives (-1/4, 1/4) whatever was drawn: V = 0, and the longest step is 2 / C.
    """
    land = Table(np.array([F(0), F(1), F(0)], dtype=object))
    credit, plain = (exact.moments(METHODS[name], land, HALF) for name in ("exact_advantage", "reinforce"))
    c = smoothness(F(1), 1)
    assert (credit.total_variance, plain.total_variance) == (F(1, 8), 0)
    assert (t13_sampled_steps.longest_average_step(credit, c), t13_sampled_steps.longest_average_step(plain, c)) == (
        4,
        8,
    )
    assert t13_sampled_steps.average_decrease(credit, c, 2) == F(1, 8)
    assert t13_sampled_steps.average_decrease(credit, c, 4) == 0
    assert t13_sampled_steps.resting_level(credit, c, 4) == credit.total_variance


def test_reinforces_variance_against_its_bound_by_hand() -> None:
    """p = (1/4, 3/4): J = 3/4, gradients (L - J)(a - p) = -+9/16 and -+1/16, mean -+3/16.

    V = 2 (81/256 / 4 + 3/256 / 4 - 9/256) = 3/32 of at most 1/2. Losses that span 2 on two edges allow 4.
    """
    land, p = Table(np.array([F(0), F(1), F(0)], dtype=object)), np.array([[F(1, 4), F(3, 4)]])
    found = exact.moments(METHODS["reinforce"], land, p)
    assert t13_sampled_steps.variance_room(found, F(1)) == F(1, 2) - F(3, 32)
    two = replace(found, mean=np.concatenate([found.mean] * 2))
    assert t13_sampled_steps.variance_room(two, F(2)) == 4 - F(3, 32)


@pytest.mark.parametrize("name", t13_sampled_steps.TRIED)
def test_the_best_step_is_half_the_longest(name: str) -> None:
    land, p = make("quadratic", 2, 2, seed=4, exact=True), np.array([[F(1, 3), F(2, 3)], [F(1, 5), F(4, 5)]])
    found, c = exact.moments(METHODS[name], land, p), smoothness(land.max_loss - land.min_loss, 2)
    longest = t13_sampled_steps.longest_average_step(found, c)
    best = t13_sampled_steps.average_decrease(found, c, longest / 2)
    assert t13_sampled_steps.average_decrease(found, c, longest) == 0 < best
    assert all(t13_sampled_steps.average_decrease(found, c, longest * F(k, 10)) <= best for k in range(11))


def test_the_sum_holds_along_whole_runs() -> None:
    """(2) on 40 runs of 60 steps: the mean over runs plus four standard errors stays below J_0 - min L."""
    land, start = make("heavy_tailed", 2, 2, seed=5, tail=3.0), np.full((2, 2), 0.5)
    c, rng = smoothness(land.max_loss - land.min_loss, 2), np.random.default_rng(0)
    promised = np.zeros(40)
    for run in range(len(promised)):
        p = start
        for t in range(60):
            found, n = exact.moments(METHODS["reinforce"], land, p), 0.5 / (c * (1 + t) ** 0.6)
            promised[run] += t13_sampled_steps.average_decrease(found, c, n)
            chances, gradients = next(exact.weighted_gradients(METHODS["reinforce"], land, p))
            p = exponential_step(p, gradients[rng.choice(len(chances), p=chances / chances.sum())], n)
            if 1 - p.max(axis=-1).min() < 1e-3:
                break
    error = promised.std(ddof=1) / len(promised) ** 0.5
    room = expected_loss(land, start) - land.min_loss
    assert promised.mean() + 4 * error <= room
    assert promised.mean() > 0  # it promises something here, not only that a loss has a lower bound


# ------------------------------------------------------------------ teeth


def _cases(number: int = 40) -> list[Any]:
    rng = np.random.default_rng(3)
    return [random_case(rng, CLAIM.exact_domain or CLAIM.domain) for _ in range(number)]


def _unmoved(p: Any, step: Any) -> RationalStep:
    return RationalStep(p, 0 * step, 0 * step)


def odds(change: float) -> float:
    """The probability of an operation of even odds whose logit has come down by `change` against the other's."""
    return 1 / (1 + math.exp(change))


def test_every_control_is_as_wrong_as_it_is_by_hand() -> None:
    """What each is promised, less what becomes of J after all that one sample can be; every policy is even.

    1. L = 1 at (0, 0, 0) and (1, 1, 1), C = 2/7, n = 7/2: J = 1/4. A drawn 1 is charged 3/4, a drawn 0 is paid 1/4.
    2. L = (0, 1), C = 1/4: half of the samples move nothing, the others by (2, -2); promised 4 (1/2) (1/8).
    3. L = (9, 4), C = 5/4, n = 1/5, credits (-30, 40): ||grad J||^2 = 2 (5/4)^2, V = 10^2 / 8.
    4. L = (0, 1; 1, -1), C = 1/2: ||grad J||^2 = 1/16, E||g||^2 = E(L - J)^2 = 11/16, n = 10 * 4/11.
    5. REINFORCE on 2. has no variance: its best step, 4, is promised 4 (1/8) - (1/8) 16 (1/8).
    """
    up, down, n = odds(7 / 2 * 3 / 4), odds(-7 / 2 / 4), 40 / 11
    ones, others = up**3 + (1 - up) ** 3, down * (1 - down)
    x, y = odds(-30 / 5), odds(40 / 5)
    falls = (x * 9 + (1 - x) * 4 + y * 4 + (1 - y) * 9) / 2
    promised = 1 / 5 * 7 / 8 * 2 * (5 / 4) ** 2 - 1 / 8 * 1 / 5 * 100 / 8
    first = {a: (odds(n * (loss - 1 / 4)) if a[0] == 0 else 1 - odds(n * (loss - 1 / 4))) for a, loss in FOUR.items()}
    second = {a: (odds(n * (loss - 1 / 4)) if a[1] == 0 else 1 - odds(n * (loss - 1 / 4))) for a, loss in FOUR.items()}
    mean = sum(
        u * (1 - v) + v * (1 - u) - (1 - u) * (1 - v) for u, v in zip(first.values(), second.values(), strict=True)
    )
    by_hand = [
        1 / 4 - (ones + 3 * others) / 4,
        1 / 2 - 1 / 4 - (1 / 2 + 1 / (1 + math.exp(4))) / 2,
        (13 / 2 - falls - promised) / 5,
        (1 / 4 - mean / 4) / 2,
        -(4 / 8 - 2 / 8),
    ]
    for control, number in zip(CLAIM.controls, by_hand, strict=True):
        assert control.example is not None
        assert try_case(control.slack, control.example, False) == pytest.approx(number, rel=1e-9), control.name
        assert number < 0


FOUR = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): -1}


def test_no_control_depends_on_where_losses_are_counted_from() -> None:
    tables = [control for control in CLAIM.controls if control.example is not None and control.example.kind == "table"]
    assert len(tables) == 4
    for control in tables:
        here = control.example
        assert here is not None
        slack = try_case(control.slack, here, False)
        assert try_case(control.slack, replace(here, losses=here.losses + 5), False) == pytest.approx(slack, rel=1e-9)


def test_a_step_that_is_too_long_for_exp_leads_to_a_corner() -> None:
    found = t13_sampled_steps._tilted(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([[1000.0, 0.0], [0.0, 0.0]]))
    assert found.tolist() == [[0, 1], [0.25, 0.75]]


def test_control_a_step_that_does_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = _cases()
    assert all(holds(try_case(CLAIM.slack, case, True), True) for case in cases)
    monkeypatch.setattr(t13_sampled_steps, "rational_step", _unmoved)
    monkeypatch.setattr(t13_sampled_steps, "exponential_step", lambda p, direction, rate: p)
    for exactly in (True, False):
        assert sum(not holds(try_case(CLAIM.slack, case, exactly), exactly) for case in cases) >= len(cases) / 2


@pytest.mark.parametrize("factor", [-1, 2])
def test_control_another_step_is_noticed(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t13_sampled_steps, "rational_step", lambda p, step: rational_step(p, factor * step))
    assert any(not holds(try_case(CLAIM.slack, case, True), True) for case in _cases())


def test_control_a_wrong_square_in_the_closed_form_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dict(t13_sampled_steps.SQUARES, debiased_advantage=t13_sampled_steps.SQUARES["exact_advantage"])
    monkeypatch.setattr(t13_sampled_steps, "SQUARES", wrong)
    assert any(not holds(try_case(CLAIM.slack, case, True), True) for case in _cases())


# ------------------------------------------------------------------ exact steps


def test_the_rational_step_is_enclosed() -> None:
    """Its policy is the exponential step's, and its bounds are those of a step within 2^-20 of the one asked for."""
    p = np.array([[F(1, 6), F(1, 3), F(1, 2)], [F(0), F(1, 7), F(6, 7)]])
    step = np.array([[F(1, 7), F(-3), F(0)], [F(40), F(-17, 3), F(1, 10**6)]])
    found = rational_step(p, step)
    np.testing.assert_allclose(
        found.moved.astype(float), exponential_step(p.astype(float), found.low.astype(float), 1.0), rtol=1e-12
    )
    assert (found.low <= found.high).all()
    assert abs(found.high - found.low).max() < F(1, 10**14)
    assert abs(found.low - step).max() < F(1, 2**20)
    assert (found.low[0, 2], found.high[0, 2]) == (0, 0)
    assert found.moved.sum(axis=-1).tolist() == [1, 1]


def test_a_step_beyond_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="a step of 301 in the logits is too long"):
        rational_step(HALF, np.array([[F(301), F(0)]]))
