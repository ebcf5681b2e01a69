"""Searchers on the table: what they may see, how far they get, and published results."""

import os

import numpy as np
import pytest

from simulate.searchers import PUBLISHED, SEARCHERS, Cube, cube, evolution, matched_budget, random_search

RANDOM = np.random.default_rng(0)
MADE = Cube(RANDOM.random((5,) * 6), RANDOM.random((5,) * 6))
needs_table = pytest.mark.skipif(
    "ADVANTAGE_NAS_DATA" not in os.environ, reason="needs the NAS-Bench-201 table in ADVANTAGE_NAS_DATA"
)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_is_judged_by_what_it_cannot_see(name: str) -> None:
    # The judged accuracies are independent of the seen ones here: whoever does better than chance has cheated.
    reached = SEARCHERS[name](MADE, 30, 60, 0)[:, -1]
    spread = np.sqrt(1 / 12 / 60)
    assert abs(reached.mean() - 0.5) < 5 * spread
    shown = SEARCHERS[name](Cube(MADE.seen, MADE.seen), 30, 60, 0)
    assert shown[:, -1].mean() > 0.85
    assert (np.diff(shown, axis=1) >= 0).all()


def test_random_search_is_the_maximum_of_uniform_numbers() -> None:
    # The mean of the largest of n uniform numbers is n / (n + 1); 2,000 runs, five standard deviations of 1 / (n + 1).
    reached = random_search(Cube(MADE.seen, MADE.seen), 20, 2000, 0)
    for n in (1, 5, 20):
        assert abs(reached[:, n - 1].mean() - n / (n + 1)) < 5 * 0.3 / np.sqrt(2000) + 0.01


def test_a_target_out_of_reach_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not reach 2\.0 within 10"):
        matched_budget(MADE, 2.0, largest=10, runs=10)


@needs_table
def test_published_results_on_the_table() -> None:
    table = cube()
    budget = matched_budget(table, PUBLISHED["random"][0])
    assert 50 < budget < 150
    # The budget fits random search's mean; its spread, and evolution's mean, are then predictions.
    for name, searcher in (("random", random_search), ("evolution", evolution)):
        reached = searcher(table, budget, 500, 0)[:, -1]
        mean, deviation = PUBLISHED[name]
        # 500 runs each side: five standard errors of the difference, at the larger spread.
        assert abs(reached.mean() - mean) < 5 * reached.std() * np.sqrt(2 / 500), name
        assert 0.5 * deviation < reached.std() < 2 * deviation
    blind = random_search(Cube(np.random.default_rng(1).random((5,) * 6), table.judged), budget, 500, 0)[:, -1]
    assert blind.mean() < 92
