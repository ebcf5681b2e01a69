"""Every method of the registry at equal passes: none is missing, and its numbers are what can be said without it."""

from typing import Any

import numpy as np
import pytest

from nas import methods
from nas.methods import METHODS
from theory import equal_passes, exact
from theory.equal_passes import comparable, prices
from theory.landscapes import make

P = np.full((2, 2), 0.5)
UNBIASED = {name for name, method in METHODS.items() if method.unbiased_by} | {
    "muprop",
    "ars",
    "unordered_set",
    "rebar",
}


@pytest.fixture(scope="module")
def found() -> dict[str, equal_passes.Price]:
    return prices(make("saturating", 2, 2, seed=3), P, points=256)


def test_every_method_is_there_or_has_another_gradient(found: dict[str, equal_passes.Price]) -> None:
    assert set(METHODS) - set(found) == {"random", "nasp", "binomial_advantage", "binomial_reinforce"}


def test_passes_by_hand(found: dict[str, equal_passes.Price]) -> None:
    """Two edges, two operations: forward and backward passes as each paper's step has them, none of them twice."""
    by_hand = {
        "reinforce": 1, "actor_critic": 1, "advantage": 2, "debiased_advantage": 3, "exact_advantage": 1 + 2,
        "marginalised": 1 + 2 * 2, "unordered_set": 2, "reinforce_leave_one_out": 8, "muprop": 1 + 2, "darts": 2,
        "snas": 2, "rebar": 1 + 2 * 2, "gumbel_rao": 2, "quadrature_advantage": 1 + 2 * 2 * 2,
    }  # fmt: skip
    assert {name: found[name].passes for name in by_hand} == by_hand
    dense = {name for name, price in found.items() if price.operations > 1.5}
    assert {"darts", "snas", "fbnet", "gumbel_rao", "straight_through_gumbel", "reinmax"} <= dense
    assert not {"reinforce", "advantage", "unordered_set", "actor_critic"} & dense


def test_bias_is_none_where_theory_says_none_and_some_elsewhere(found: dict[str, equal_passes.Price]) -> None:
    for name, price in found.items():
        none = price.bias < 6 * price.bias_error + 1e-12
        assert none == (name in UNBIASED), (name, price)
    assert found["reinforce"].variance == pytest.approx(1)


def test_what_is_integrated_says_so(found: dict[str, equal_passes.Price]) -> None:
    integrated = {name for name, price in found.items() if price.variance_error > 0}
    assert integrated == {"gdas", "snas", "fbnet", "ars", "straight_through_gumbel", "gumbel_rao", "rebar"}
    assert found["gumbel_rao"].variance < found["straight_through_gumbel"].variance  # Paulus et al. 2021


def test_control_a_turned_sign_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def turned(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
        return -(loss - baseline)[..., None, None] * (gates - probabilities)

    wrong = methods.method_of(turned, "turned")
    monkeypatch.setattr(equal_passes, "METHODS", {"reinforce": METHODS["reinforce"], "turned": wrong})
    found = prices(make("saturating", 2, 2, seed=3), P)
    assert found["turned"].bias == pytest.approx(2)
    assert found["turned"].variance == pytest.approx(1)
    assert comparable(wrong)


def test_the_table_and_its_figure() -> None:
    numbers = equal_passes.table(toys=2, edges=2, candidates=2)
    row = numbers["landscapes"]["quadratic"]["exact_advantage"]
    both = [make("quadratic", 2, 2, seed, gate_size=0.5) for seed in range(2)]
    ratios = [
        exact.moments(METHODS["exact_advantage"], land, P).total_variance
        / exact.moments(METHODS["reinforce"], land, P).total_variance
        for land in both
    ]
    assert row["variance_over_reinforce"][1] == pytest.approx(np.median(ratios))
    assert row["variance_times_passes"][1] == pytest.approx(3 * np.median(ratios))
    names = equal_passes.figure(numbers).legends[0].get_texts()
    assert {text.get_text() for text in names} >= {"Actor-critic", "REBAR", "Unordered set of two"}
