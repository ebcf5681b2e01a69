"""Samples that suffice: the tail by hand, both inequalities in order, and bounds that are too small noticed."""

import math
from fractions import Fraction as F

import numpy as np
import pytest

from nas.methods import METHODS
from theory import exact
from theory.cases import Case, random_case
from theory.claim import holds, try_case
from theory.claims import CLAIMS, t14_concentration
from theory.claims.t5_taylor_bias import FLIP
from theory.claims.t14_concentration import bernstein, bousquet, samples_needed, spread, tail
from theory.landscapes import make
from theory.sampled import failure_probability, samples_for_full_step

CLAIM = CLAIMS["T14"]


def test_the_tail_by_hand() -> None:
    """Errors -1 and 3 with chances 3/4 and 1/4: means of two are -1, 1, 3 with chances 9/16, 6/16, 1/16."""
    weights, away = np.array([F(3, 4), F(1, 4)]), np.array([F(-1), F(3)]).reshape(2, 1, 1)
    centre = np.array([[F(0)]])
    assert tail(weights, away, centre, F(1), 2) == 1
    assert tail(weights, away, centre, F(2), 2) == F(1, 16)
    assert tail(weights, away, centre, F(9), 1) == F(1, 4)


def test_bernstein_by_hand() -> None:
    """V = 3, B = 3, r = 3, n = 2: 2 exp(-2 9 / (6 + 6)) = 2 exp(-3/2)."""
    assert bernstein(3.0, 3.0, 3.0, 2) == pytest.approx(2 * math.exp(-1.5))


def test_the_number_of_samples_is_what_the_bounds_ask_for() -> None:
    for room, variance, largest, bound, delta in ((0.2, 1.0, 0.9, 2.0, 0.05), (0.2, 1.0, 0.05, 1.2, 1e-6)):
        n = int(samples_needed(room, variance, largest, bound, delta))
        assert (
            min(f for f in (bernstein(variance, bound, room, n), bousquet(variance, largest, bound, room, n))) <= delta
        )
        assert bousquet(variance, largest, bound, room, n - 1) > delta
    assert n < (2 * variance / room**2 + 2 * bound / (3 * room)) * math.log(2 / delta)  # the second one is Bousquet's
    assert math.isinf(samples_needed(0.0, 1.0, 1.0, 1.0, 0.05))


def test_the_promise_holds_exactly_and_needs_fewer_samples_than_chebyshev() -> None:
    land, p = make("quadratic", 2, 2, seed=4), np.array([[0.6, 0.4], [0.3, 0.7]])
    for name in ("reinforce", "exact_advantage_with_baseline", "marginalised"):
        found = exact.moments(METHODS[name], land, p)
        _, _, bound, largest = spread(name, land, p)
        room = float(np.linalg.norm(found.gradient)) - found.bias_norm
        n = int(samples_needed(room, float(found.total_variance), largest, bound, 0.05))
        assert failure_probability(METHODS[name], land, p, n) <= 0.05
        assert n < samples_for_full_step(found, 0.05)


def test_no_number_of_samples_helps_where_the_mean_step_climbs() -> None:
    found = exact.moments(METHODS["advantage"], FLIP.problem(False), FLIP.policy(False))
    assert math.isinf(samples_needed(float(np.linalg.norm(found.gradient)) - found.bias_norm, 1.0, 1.0, 1.0, 0.5))


# ------------------------------------------------------------------ teeth


def _violated(number: int = 40) -> int:
    rng = np.random.default_rng(3)
    rare = [Case("quadratic", np.array([[9], [0], [0]]), np.array([[1, w]]), F(1), np.zeros((1, 2))) for w in (9, 99)]
    cases = [random_case(rng, CLAIM.domain) for _ in range(number)] + rare
    return sum(not holds(try_case(CLAIM.slack, case, exactly), exactly) for case in cases for exactly in (False, True))


@pytest.mark.parametrize("which", ["bernstein", "bousquet"])
def test_control_a_bound_without_its_slow_term_is_noticed(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With B = 0 in the exponent, rare large errors are promised away."""
    assert _violated() == 0
    if which == "bernstein":
        monkeypatch.setattr(
            t14_concentration, "bernstein", lambda v, b, r, n: 2 * math.exp(-n * r * r / (2 * v)) if v > 0 else 1.0
        )
    else:
        monkeypatch.setattr(
            t14_concentration,
            "bousquet",
            lambda v, s, b, r, n: math.exp(-n * max(0.0, r - math.sqrt(v / n)) ** 2 / (2 * s)) if s > 0 else 1.0,
        )
    assert _violated() > 0


def test_control_a_failure_that_is_not_counted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t14_concentration, "tail", lambda weights, away, centre, square, samples: 1.5)
    assert _violated() > 20
