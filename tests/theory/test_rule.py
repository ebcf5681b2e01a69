"""The rule's prices: those of the engine, and of the shipped estimators outcome by outcome."""

import itertools
from typing import Any

import numpy as np
import pytest

from nas import estimators, objective
from nas.methods import METHODS
from theory import exact, repairs, rule
from theory.landscapes import make

P = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])


def test_named_methods_have_the_engines_prices() -> None:
    land = make("saturating", 2, 3, seed=1)
    found, plain = rule.prices(land, P), exact.moments(METHODS["reinforce"], land, P)
    norm = np.linalg.norm(plain.gradient)
    named = {"AdvantageNAS": "advantage_with_baseline", "exact advantage": "exact_advantage_with_baseline"}
    for name, method in named.items():
        there = exact.moments(METHODS[method], land, P)
        assert found[name].variance == pytest.approx(float(there.total_variance / plain.total_variance)), name
        assert found[name].bias == pytest.approx(there.bias_norm / norm, abs=1e-9), name


def _outcome_by_outcome(land: Any, budget: float, use_reference: bool) -> tuple[Any, float]:
    """Mean and variance of `budgeted_advantage` with the control gamma_ek + alpha_ek c_e that the rule prices."""
    x, credit, reference, weight, gates = rule._credits(land, P)
    control, w = (reference if use_reference else credit), ((gates - P) ** 2).sum(axis=-1)
    centre = weight @ x
    guess, rest = np.zeros_like(x), np.zeros_like(P)
    for e, k in np.ndindex(P.shape):
        rows = gates[:, e, k] > 0
        design = np.stack([np.ones(rows.sum()), control[rows, e]], axis=1)
        root = np.sqrt(weight[rows])[:, None]
        fit = np.linalg.lstsq(design * root, (x[rows, e] - centre[e]) * root[:, 0], rcond=None)[0]
        guess[rows, e] = design @ fit
        rest[e, k] = (weight * w[:, e])[rows] @ (x[rows, e] - centre[e] - guess[rows, e]) ** 2
    chances = (gates * repairs.best_chances(rest, P, budget)).sum(axis=-1)
    mean, second = np.zeros_like(P), 0.0
    for looked in itertools.product((0.0, 1.0), repeat=len(P)):
        law = weight * np.where(np.array(looked) > 0, chances, 1 - chances).prod(axis=-1)
        safe = np.maximum(chances, 1e-300)
        g = estimators.budgeted_advantage(P, gates, guess, x - centre, np.broadcast_to(looked, x.shape), safe)
        mean, second = mean + np.einsum("n,nek->ek", law, g), second + float(law @ (g * g).sum(axis=(1, 2)))
    return mean, second - float((mean * mean).sum())


@pytest.mark.parametrize("use_reference", [False, True])
def test_what_is_looked_up_costs_what_the_estimator_costs(use_reference: bool) -> None:
    land = make("saturating", 2, 3, seed=1)
    mean, variance = _outcome_by_outcome(land, 1.0, use_reference)
    np.testing.assert_allclose(mean, exact.truth(land, P).gradient, atol=1e-12)
    name = "looked up (T16), reference (T17)" if use_reference else "looked up (T16)"
    unit = float(exact.moments(METHODS["reinforce"], land, P).total_variance)
    assert rule.prices(land, P, 1.0)[name].variance == pytest.approx(variance / unit)


def test_looking_everything_up_is_the_exact_advantage() -> None:
    land = make("saturating", 2, 3, seed=1)
    found = rule.prices(land, P, budget=2.0)
    assert found["looked up (T16)"].variance == pytest.approx(found["exact advantage"].variance)
    assert rule.prices(land, P, budget=0.5)["looked up (T16)"].variance > found["exact advantage"].variance


def test_a_quadratic_network_needs_hardly_any_lookup() -> None:
    """x - c = -||h||^2 / D is known once the operation is: the table says it, and c the rest of x."""
    found = rule.prices(make("quadratic", 2, 3, seed=1), P, budget=1e-6)
    assert found["looked up (T16)"].variance == pytest.approx(found["exact advantage"].variance, rel=1e-6)


def test_control_reference_credit_is_not_plain_credit() -> None:
    land = make("quadratic", 2, 3, seed=1)
    found = rule.prices(land, P)
    assert found["reference credit (T17)"] != found["AdvantageNAS"]
    x, credit, _, weight, gates = rule._credits(land, P)
    zeroed = objective.zeroed_losses(land, gates)
    np.testing.assert_allclose(x, land.loss(gates)[:, None] - zeroed)
    assert weight.sum() == pytest.approx(1)
    assert np.abs(credit - x).max() > 0.1
