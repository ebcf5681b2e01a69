"""The rule's prices: those of the engine, and of the shipped estimators outcome by outcome."""

import itertools
from collections.abc import Callable
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


def test_passes_are_those_of_one_step() -> None:
    """A forward and a backward pass count one each; E = 2 edges, and a budget of 1/2 a lookup."""
    found = rule.prices(make("quadratic", 2, 3, seed=1), P, 0.5)
    assert {name: price.passes for name, price in found.items()} == {
        "REINFORCE": 1,
        "AdvantageNAS": 2,
        "reference credit (T17)": 2,
        "debiased credit": 3,
        "looked up (T16)": 2.5,
        "looked up (T16), reference (T17)": 2.5,
        "looked up (T16), no backward pass": 1.5,
        "exact advantage": 3,
    }
    for name, method in (
        ("REINFORCE", "reinforce"),
        ("AdvantageNAS", "advantage"),
        ("debiased credit", "debiased_advantage"),
    ):
        cost = exact.cost(METHODS[method], make("quadratic", 2, 3), 2, 3)
        assert found[name].passes == cost.forward + cost.backward, name


def test_the_unit_and_debiased_credit_are_the_engines() -> None:
    land = make("saturating", 2, 3, seed=1)
    found, plain = rule.prices(land, P), exact.moments(METHODS["reinforce"], land, P)
    assert (found["REINFORCE"].bias, found["REINFORCE"].variance) == (0, 1)
    debiased = exact.moments(METHODS["debiased_advantage"], land, P)
    assert found["debiased credit"].bias == 0
    assert found["debiased credit"].variance == pytest.approx(float(debiased.total_variance / plain.total_variance))
    against = exact.moments(METHODS["reference_advantage"], land, P)
    bias = against.bias_norm / np.linalg.norm(plain.gradient)
    assert found["reference credit (T17)"].bias == pytest.approx(bias)  # a mean taken off changes no bias
    assert 0 < found["reference credit (T17)"].variance < float(against.total_variance / plain.total_variance)


def test_a_table_is_made_of_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks a row: quartiles of two numbers are a quarter, a half and three quarters of the way between them."""
    monkeypatch.setattr(rule, "KINDS", ("quadratic",))
    monkeypatch.setattr(rule, "SIZES", (0.5,))
    numbers = rule.table(toys=2, edges=2, candidates=2)
    assert set(numbers["landscapes"]) == {"quadratic, uniform, 0.5", "quadratic, random, 0.5"}
    even = [rule.prices(make("quadratic", 2, 2, s, gate_size=0.5), np.full((2, 2), 0.5)) for s in range(2)]
    drawn = [np.random.default_rng([s, 2]).dirichlet(np.ones(2), 2) for s in range(2)]
    other = [rule.prices(make("quadratic", 2, 2, s, gate_size=0.5), drawn[s]) for s in range(2)]
    for place, rows in (("uniform", even), ("random", other)):
        shown = numbers["landscapes"][f"quadratic, {place}, 0.5"]["looked up (T16)"]
        for field, values in (
            ("relative_bias", [row["looked up (T16)"].bias for row in rows]),
            ("variance_over_reinforce", [row["looked up (T16)"].variance for row in rows]),
            ("variance_times_passes", [row["looked up (T16)"].variance * 2.25 for row in rows]),
        ):
            low, high = sorted(values)
            assert shown[field] == pytest.approx([low + part * (high - low) for part in (0.25, 0.5, 0.75)]), field
        assert shown["passes"] == 2.25


def test_what_is_biased_is_dashed() -> None:
    def row(bias: float, cost: float) -> dict[str, Any]:
        return {"relative_bias": [0, bias, bias], "variance_times_passes": [0, cost, 9], "passes": 1}

    sizes = (0.5, 1.0)
    places = {
        f"{kind}, uniform, {size}": {"REINFORCE": row(0.0, size), "AdvantageNAS": row(0.1 * (size > 0.6), 2 * size)}
        for kind in rule.KINDS
        for size in sizes
    }
    drawing = rule.figure({"landscapes": places, "gate_sizes": sizes, "toys": 3})
    for axis in drawing.axes:
        plain, credit = axis.lines
        assert (plain.get_linestyle(), credit.get_linestyle()) == ("-", "--")
        assert (list(plain.get_ydata()), list(credit.get_ydata())) == ([0.5, 1.0], [1.0, 2.0])
        assert list(plain.get_xdata()) == [0.5, 1.0]


def _outcome_by_outcome(land: Any, budget: float, name: str) -> tuple[Any, float]:
    """Mean and variance of `budgeted_advantage` with the control gamma_ek + alpha_ek c_e that the rule prices."""
    x, credit, reference, weight, gates = rule._credits(land, P)
    control, w = CONTROLS[name](credit, reference), ((gates - P) ** 2).sum(axis=-1)
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


CONTROLS: dict[str, Callable[[Any, Any], Any]] = {
    "looked up (T16)": lambda credit, reference: credit,
    "looked up (T16), reference (T17)": lambda credit, reference: reference,
    "looked up (T16), no backward pass": lambda credit, reference: 0 * credit,
}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_looked_up_costs_what_the_estimator_costs(name: str) -> None:
    land = make("saturating", 2, 3, seed=1)
    mean, variance = _outcome_by_outcome(land, 1.0, name)
    np.testing.assert_allclose(mean, exact.truth(land, P).gradient, atol=1e-12)
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
