"""Debiased credit: its variance for any choice of the edge, the best choice, and quadrature along gates."""

from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import estimators, objective
from nas.methods import METHODS
from theory import exact, repairs
from theory.landscapes import Landscape, make

P = np.array([[F(1, 3), F(2, 3)], [F(1, 5), F(4, 5)]])


def outcome_by_outcome(land: Landscape, p: Any, choice: Any) -> tuple[Any, Any]:
    """Mean and total variance of the shipped debiased_advantage, the edge chosen with q or, if callable, with q(a)."""
    pairs = []
    for weight, gates, loss in exact.weighted_losses(land, p):
        slopes = land.gradients(gates, gates).gate_gradient
        zeroed = objective.zeroed_losses(land, gates)
        for n in range(len(weight)):
            q = choice(gates[n], loss[n] - zeroed[n] - (gates[n] * slopes[n]).sum(-1)) if callable(choice) else choice
            for edge in range(len(p)):
                chosen = np.array([int(e == edge) for e in range(len(p))], dtype=object)
                g = estimators.debiased_advantage(p, gates[n], slopes[n], loss[n], zeroed[n, edge], chosen, q)
                pairs.append((weight[n] * q[edge], g))
    mean = sum(w * g for w, g in pairs)
    return mean, sum(w * (g * g).sum() for w, g in pairs) - (mean * mean).sum()


@pytest.mark.parametrize("choice", [(F(1, 2), F(1, 2)), (F(1, 7), F(6, 7))])
def test_variance_of_debiased_credit_exactly(choice: tuple[F, F]) -> None:
    land, q = make("quadratic", 2, 2, seed=1, exact=True), np.array(choice)
    mean, variance = outcome_by_outcome(land, P, q)
    assert (mean == exact.truth(land, P).gradient).all()
    assert variance == repairs.debiased_variance(repairs.residuals(land, P), q)


def test_even_choice_is_the_registered_method() -> None:
    land = make("quadratic", 2, 2, seed=1, exact=True)
    found = exact.moments(METHODS["debiased_advantage"], land, P).total_variance
    assert found == repairs.debiased_variance(repairs.residuals(land, P), np.array([F(1, 2), F(1, 2)]))


@given(seed=st.integers(0, 10_000), edges=st.integers(1, 4))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_no_choice_is_better_than_the_best(seed: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    land, p = make("quadratic", edges, 3, seed), rng.dirichlet(np.ones(3), edges)
    left = repairs.residuals(land, p)
    best = repairs.debiased_variance(left, repairs.best_choice(left.squares))
    for other in (np.full(edges, 1 / edges), 0.9 * rng.dirichlet(np.ones(edges)) + 0.1 / edges):
        assert best <= repairs.debiased_variance(left, other) + 1e-9
    assert best - left.exact_variance == pytest.approx(np.sqrt(left.squares).sum() ** 2 - left.squares.sum(), abs=1e-9)


def test_choosing_given_the_gates_is_unbiased_and_better() -> None:
    land, p = make("quadratic", 2, 2, seed=1), P.astype(float)

    def choice(gates: Any, r: Any) -> Any:
        size = np.abs(r.astype(float)) * np.sqrt(((gates - p) ** 2).sum(axis=-1).astype(float))
        return size / size.sum()

    mean, variance = outcome_by_outcome(land, p, choice)
    np.testing.assert_allclose(mean.astype(float), exact.truth(land, p).gradient, atol=1e-12)
    left = repairs.residuals(land, p)
    assert variance == pytest.approx(left.exact_variance + left.joint - left.squares.sum())
    assert variance < repairs.debiased_variance(left, repairs.best_choice(left.squares))


def test_quadrature_rules() -> None:
    """Every rule but first order is exact for a loss quadratic in the gates; only finer rules on a saturating one."""
    p = np.full((3, 3), 1 / 3)
    quadratic, saturating = make("quadratic", 3, 3, seed=2), make("saturating", 3, 3, seed=2)
    bias = {
        name: [np.linalg.norm(repairs.rule_moments(land, p, *rule)[0]) for land in (quadratic, saturating)]
        for name, rule in repairs.RULES.items()
    }
    assert bias["first order"][0] > 0.1
    assert all(bias[name][0] < 1e-12 for name in bias if name != "first order")
    assert bias["first order"][1] > bias["midpoint"][1] > bias["Gauss, 2 nodes"][1] > bias["Gauss, 3 nodes"][1] > 1e-9


def test_the_method_is_the_rule() -> None:
    land, p = make("saturating", 3, 3, seed=2), np.full((3, 3), 1 / 3)
    found = exact.moments(METHODS["quadrature_advantage"], land, p)
    bias, variance = repairs.rule_moments(land, p, *repairs.RULES["Gauss, 2 nodes"])
    np.testing.assert_allclose(found.bias, bias, atol=1e-12)
    assert found.total_variance == pytest.approx(variance)


# ------------------------------------------------------------------ edges of the formulas


def test_what_costs_nothing_is_looked_up_for_sure_and_what_misses_nothing_never() -> None:
    """The rest shares the budget as roots 1 and 3; a budget for everything looks everything up."""
    found = repairs.best_chances(np.array([5.0, 1, 9, 0]), np.array([0.0, 1, 1, 1]), 0.4)
    np.testing.assert_allclose(found, [1, 0.1, 0.3, 0])
    np.testing.assert_allclose(repairs.best_chances(np.array([5.0, 1]), np.ones(2), 2.0), [1, 1])
    np.testing.assert_allclose(repairs.best_chances(np.array([-1e-18, 4]), np.ones(2), 0.5), [0, 0.5])


def test_the_choice_is_even_where_nothing_is_missed() -> None:
    assert repairs.best_choice(np.zeros(4)).tolist() == [0.25] * 4
    assert repairs.best_choice(np.array([F(1), F(9)])).tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match="argument 2 is longer"):
        repairs.debiased_variance(repairs.Residuals([F(1)], F(0), 0.0), [F(1, 2), F(1, 2)])


def test_how_the_sums_are_cut_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    land = make("quadratic", 2, 2, seed=1, exact=True)

    def everything() -> list[Any]:
        left, found = repairs.residuals(land, P), repairs.corrections(land, P, [[0, 1]])
        bias, variance = repairs.rule_moments(land, P, *repairs.RULES["midpoint"])
        rational = [left.squares, left.exact_variance, found.worth, found.product, found.control, found.exact_variance]
        return [
            *(np.asarray(value).tolist() for value in rational),
            round(left.joint, 9),
            bias.tolist(),
            round(variance, 9),
        ]

    whole, right = everything(), exact.weighted_losses
    monkeypatch.setattr(exact, "weighted_losses", lambda problem, p, size=0: right(problem, p, 3))
    assert everything() == whole
