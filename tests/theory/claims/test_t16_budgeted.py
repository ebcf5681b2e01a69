"""Looking the exact advantage up: by hand, the best chances, and checkers that notice a wrong variance or a bias."""

from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import estimators
from nas.methods import METHODS
from theory import exact, repairs
from theory.cases import Case, random_case
from theory.claim import holds, try_case
from theory.claims import CLAIMS, t16_budgeted
from theory.landscapes import Quadratic, make

CLAIM = CLAIMS["T16"]
P = np.array([[F(1, 3), F(2, 3)], [F(1, 5), F(4, 5)]])


def test_one_edge_by_hand() -> None:
    """T5's flip: p = 1/2, exact advantages (-2.2, -2.4), credits (-1.2, 1.6), and w = 1/2 for both.

    alpha* = (2.64 - 3.84) / (1.44 + 2.56) = -3/10, so R = (1/4)(2.56^2 + 1.92^2) = 2.56, against (1/4)(1 + 16) = 4.25
    at scale 1. Looked up half the time, 1/pi - 1 = 1: V = V_exact + R, V_exact = (4.84 + 5.76) / 4 - 2 (1/20)^2 = 2.645
    """
    outputs = np.array([[[F(1)], [F(2)]]])
    flip = Quadratic(outputs, np.array([F(8, 5)]))
    found = repairs.corrections(flip, np.array([[F(1, 2), F(1, 2)]]))
    best = repairs.best_scale(found)
    assert best[0, 0] == F(-3, 10)
    assert repairs.missed(found, best).sum() == F(64, 25)
    assert repairs.missed(found, 1).sum() == F(17, 4)
    assert found.exact_variance == F(2645, 1000)
    assert repairs.budgeted_variance(found, best, np.full((1, 1), F(1, 2))) == F(2645 + 2560, 1000)


def test_debiased_credit_is_the_case_of_scale_one_and_one_edge() -> None:
    rng, chosen = np.random.default_rng(0), np.eye(3)[1]
    p, gates, slopes = rng.dirichlet(np.ones(4), 3), np.eye(4)[rng.integers(4, size=3)], rng.standard_normal((3, 4))
    loss, zeroed, q = np.array(0.7), rng.standard_normal(3), rng.dirichlet(np.ones(3))
    control = estimators.first_order_credit(gates, slopes)
    found = estimators.budgeted_advantage(p, gates, control, loss - zeroed, chosen, q)
    np.testing.assert_allclose(
        found, estimators.debiased_advantage(p, gates, slopes, loss, zeroed[1], chosen, q), atol=1e-15
    )


def test_even_lookups_of_plain_credit_are_the_registered_method() -> None:
    land = make("quadratic", 2, 2, seed=1, exact=True)
    found = repairs.corrections(land, P)
    even = np.full((2, 1), F(1, 2))
    assert exact.moments(METHODS["debiased_advantage"], land, P).total_variance == repairs.budgeted_variance(
        found, 1, even
    )
    assert found.exact_variance == exact.moments(METHODS["exact_advantage"], land, P).total_variance


def test_a_table_makes_debiased_credit_exact_on_quadratic_networks() -> None:
    """Given the operation, credit misses a number there: nothing is left to correct, at three passes for E + 1."""
    land = make("quadratic", 2, 2, seed=1, exact=True)
    found = exact.moments(METHODS["tabulated_advantage"], land, P)
    assert (found.bias == 0).all()
    assert found.total_variance == exact.moments(METHODS["exact_advantage"], land, P).total_variance
    assert found.total_variance < exact.moments(METHODS["debiased_advantage"], land, P).total_variance
    assert (found.cost.forward, found.cost.backward) == (2, 1)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 6))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_no_chances_of_the_budget_are_better(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    rest, costs = rng.exponential(size=size) * (rng.uniform(size=size) < 0.8), rng.uniform(0.1, 1, size)
    budget = float(rng.uniform(0.05, 1.2) * costs.sum())
    best = repairs.best_chances(rest, costs, budget)
    assert (best <= 1 + 1e-12).all()
    assert (best[rest > 0] > 0).all()
    assert costs @ best <= budget + 1e-9
    missing = rest > 0
    for _ in range(20):
        other = rng.uniform(0.01, 1, size)
        other = np.minimum(1.0, other * budget / (costs @ other))
        assert (rest / np.where(missing, best, 1)).sum() <= (rest / other).sum() + 1e-9


def test_the_cap_spills_over() -> None:
    """Roots 10, 1, 1 under a budget of 2: the first is looked up for sure, the rest shares what is left."""
    np.testing.assert_allclose(repairs.best_chances(np.array([100.0, 1, 1]), np.ones(3), 2.0), [1, 0.5, 0.5])


def test_a_group_sees_what_a_normalisation_hides() -> None:
    """Two edges behind a normalisation: their credits cancel, so no scale helps, and one pass credits both."""
    land, p = make("normalised", 3, 2, seed=0, exact=True), np.array([[F(1, 3), F(2, 3)]] * 3)
    found = repairs.corrections(land, p, [[0, 1], [2]])
    assert (found.control[:2] == 0).all()
    assert (repairs.best_scale(found)[:2] == 0).all()
    gradient = exact.truth(land, p).gradient
    scale, chances = 0 * p, np.full((3, 2), F(1, 2))
    mean, variance = t16_budgeted.enumerated(land, p, scale, chances, [[0, 1], [2]])
    assert (mean == gradient).all()
    assert (gradient[:2] != 0).any()
    assert variance == repairs.budgeted_variance(found, scale, chances)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="groups must hold each of the 3 edges once, not"):
        repairs.together([[0, 1]], 3)
    with pytest.raises(ValueError, match="a budget of 0 looks nothing up"):
        repairs.best_chances(np.ones(2), np.ones(2), 0)


def test_every_control_by_hand() -> None:
    """FLIP: h = (5, 10), y = 8, zeroed 64: credits (-30, 40), exact (-55, -60), missed is h^2 = (25, 100), w = 1/2.

    Share 1/2 and direction (1, -2) look up with the chances 1/4 and 1/10 beside h = (-15, -40): the mean of
    (-25, -42) for 5/4. R(1) = (25^2 + 100^2) / 4, R(0) = (55^2 + 60^2) / 4, R(-3/10) = (64^2 + 48^2) / 4. With one
    number for both, 125/2, credits are (-185/2, -45/2). Two edges, (1, 0) and (1, 2), y = 1: R(1) = 1/4 and 17/4,
    chances as 23 to 39; without the other edge, edge 0 is charged 1 and 4, or -1 and 0: 3/4 for 1/2.
    """
    flip = Case("quadratic", np.array([[5], [10], [8]]), np.array([[1, 1]]), F(1, 2), np.array([[1, -2]]))
    pair = Case("quadratic", np.array([[1], [0], [1], [2], [1]]), np.ones((2, 2), int), F(1, 2), np.zeros((2, 2), int))
    by_hand = [
        (flip, -abs(F(42 - 25, 4) - F(5, 4))),
        (flip, F(64**2 + 48**2 - 25**2 - 100**2, 4)),
        (flip, F(55**2 + 60**2 - 25**2 - 100**2, 4)),
        (pair, F(1, 4) * F(62, 23) + F(17, 4) * F(62, 39) - 2 * F(18, 4)),
        (flip, -abs(F(45 - 185, 8) - F(5, 4))),
        (pair, -abs(F(3, 4) - F(1, 2))),
    ]
    for control, (case, number) in zip(CLAIM.controls, by_hand, strict=True):
        assert try_case(control.slack, case, True) == number, control.name
        assert number < 0


# ------------------------------------------------------------------ teeth


def _violated(number: int = 12) -> int:
    rng = np.random.default_rng(3)
    domain = CLAIM.exact_domain or CLAIM.domain
    return sum(not holds(try_case(CLAIM.slack, random_case(rng, domain), True), True) for _ in range(number))


def test_control_a_wrong_price_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _violated() == 0
    right = repairs.budgeted_variance

    def without_the_minus_one(found: Any, scale: Any, chances: Any) -> Any:
        return right(found, scale, chances) + repairs.missed(found, scale).sum()

    monkeypatch.setattr(repairs, "budgeted_variance", without_the_minus_one)
    assert _violated() > 6


def test_control_a_biased_estimator_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = estimators.budgeted_advantage

    def forgets_the_control(p: Any, gates: Any, control: Any, worth: Any, looked_up: Any, chance: Any) -> Any:
        return right(p, gates, control, worth + control, looked_up, chance)

    monkeypatch.setattr(estimators, "budgeted_advantage", forgets_the_control)
    assert _violated() > 6


def test_control_a_wrong_scale_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs, "best_scale", lambda found, right=repairs.best_scale: right(found) + 1)
    assert _violated() > 6


def test_control_doing_without_the_cap_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chances above one: the checker in floats holds them against the budget and against better ones."""
    land, p = make("quadratic", 2, 2, seed=1), P.astype(float)
    found = repairs.corrections(land, p)
    assert min(t16_budgeted._chance_rooms(found, 0.5)) >= -1e-12
    monkeypatch.setattr(repairs, "best_chances", lambda rest, costs, budget: 0 * rest + budget)
    assert min(t16_budgeted._chance_rooms(replace(found), 0.75)) < 0
