"""Searchers on the table: what they may see, how far they get, and published results."""

import os

import numpy as np
import pytest

from nas.data import nasbench201
from simulate import searchers
from simulate.__main__ import main
from simulate.searchers import (
    PUBLISHED,
    SEARCHERS,
    Cube,
    cube,
    evolution,
    matched_budget,
    progressive,
    random_search,
    references,
)

RANDOM = np.random.default_rng(0)
MADE = Cube(RANDOM.random((5,) * 6), RANDOM.random((5,) * 6))
ADDITIVE = sum(np.moveaxis(np.arange(5.0).reshape(5, 1, 1, 1, 1, 1), 0, edge) for edge in range(6))  # none is worst
needs_table = pytest.mark.skipif(
    "ADVANTAGE_NAS_DATA" not in os.environ, reason="needs the NAS-Bench-201 table in ADVANTAGE_NAS_DATA"
)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_is_judged_by_what_it_cannot_see(name: str) -> None:
    # The judged accuracies are independent of the seen ones here: whoever does better than chance has cheated.
    # Runs of progressive widening share many cells, so each has a table of its own.
    tables = [Cube(MADE.seen, RANDOM.random((5,) * 6)) for _ in range(60)] if name == "progressive" else [MADE]
    runs = 60 // len(tables)
    reached = np.concatenate([SEARCHERS[name](table, 30, runs, i)[:, -1] for i, table in enumerate(tables)])
    spread = np.sqrt(1 / 12 / 60)
    assert abs(reached.mean() - 0.5) < 5 * spread
    shown = SEARCHERS[name](Cube(MADE.seen, MADE.seen), 30, 60, 0)
    assert shown[:, -1].mean() > 0.85
    assert (np.diff(shown, axis=1) >= 0).all()


@pytest.mark.parametrize("name", SEARCHERS)
def test_what_is_drawn_does_not_depend_on_what_judges(name: str) -> None:
    """The same cells, exactly, if the judged accuracies turn their sign; the control is another seen table."""
    found, turned = (SEARCHERS[name](Cube(MADE.seen, sign * ADDITIVE), 40, 5, 0) for sign in (1, -1))
    np.testing.assert_array_equal(found, -turned)
    assert (SEARCHERS[name](Cube(MADE.judged, ADDITIVE), 40, 5, 0) != found).any()


def test_random_search_is_the_maximum_of_uniform_numbers() -> None:
    # The mean of the largest of n uniform numbers is n / (n + 1); 2,000 runs, five standard deviations of 1 / (n + 1).
    reached = random_search(Cube(MADE.seen, MADE.seen), 20, 2000, 0)
    for n in (1, 5, 20):
        assert abs(reached[:, n - 1].mean() - n / (n + 1)) < 5 * 0.3 / np.sqrt(2000) + 0.01


def test_progressive_widening_finds_what_its_predictor_can_say() -> None:
    """Accuracy is the sum of the operations' numbers, which the predictor can learn: within 91 of 15,625 cells."""
    reached = progressive(Cube(ADDITIVE, ADDITIVE), 91, 40, 0)
    assert reached.shape == (40, 91)
    assert reached[:, -1].mean() > 23  # of 24, which one cell alone has
    shuffled = np.random.default_rng(0).permutation(ADDITIVE.ravel()).reshape(ADDITIVE.shape)
    for control in (
        progressive(Cube(shuffled, shuffled), 91, 40, 0),
        random_search(Cube(ADDITIVE, ADDITIVE), 91, 40, 0),
    ):
        assert control[:, -1].mean() < 22


def test_progressive_widening_trains_small_cells_first() -> None:
    """5 cells of the direct edge, 43 of at most three edges, 43 of more: counted by a table that says its edges."""
    edges = (np.indices((5,) * 6) != 0).sum(axis=0).astype(float)
    reached = progressive(Cube(edges, edges), 91, 10, 0)
    assert [reached[:, :end].max() for end in (1, 5, 48, 91)] == [0, 1, 3, 6]


def test_a_beam_that_grows_too_few_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a beam of 1 grows \d+ cells, fewer than the budget of 1000"):
        progressive(MADE, 1000, 2, 0, beam=1)


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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--repeats", "1"], "--repeats must be at least 2, not 1"),
        (["--budget", "0"], "--budget must be at least 2, not 0"),
        (["--to", "/nowhere/stem"], "no writable folder /nowhere"),
    ],
)
def test_the_command_refuses_before_it_looks_at_the_table(
    words: list[str], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(searchers, "cube", lambda *_: pytest.fail("it was read"))
    assert main(["searchers", *words]) == 2
    assert says in capsys.readouterr().err


@needs_table
def test_what_a_cell_stands_beside() -> None:
    found = references(nasbench201.load())
    assert found["random search, published"] == 93.7
    assert round(found["the best cell"], 2) == 94.37  # Dong & Yang (2020)
