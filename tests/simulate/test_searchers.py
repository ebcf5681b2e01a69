"""Searchers on the table: what they may see, how far they get, and published results."""

import itertools
import math
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nas.data import nasbench201
from nas.spaces.nasbench201 import EDGES
from simulate import searchers
from simulate.__main__ import main
from simulate.searchers import (
    PUBLISHED,
    SEARCHERS,
    Cube,
    controller,
    cube,
    evolution,
    matched_budget,
    progressive,
    random_search,
    references,
)
from theory.streams import stream

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


# ------------------------------------------------------------------ written out, a run at a time


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A searcher returns the cells that it drew, not what they are judged."""
    monkeypatch.setattr(searchers, "_so_far", lambda table, cells: cells)


@pytest.mark.usefixtures("drawn")
def test_evolution_written_out() -> None:
    """Ten at random; then the best of three of the last ten, one edge of it with another operation."""
    random, runs, budget = stream(3, "evolution"), 4, 30
    cells = random.integers(5, size=(runs, budget, 6))
    for step in range(10, budget):
        entrants, edges, shifts = (
            random.integers(10, size=(runs, 3)), random.integers(6, size=runs), random.integers(1, 5, size=runs)
        )  # fmt: skip
        for run in range(runs):
            young = cells[run, step - 10 : step]
            child = max((young[i] for i in entrants[run]), key=lambda cell: MADE.seen[tuple(cell)]).copy()
            child[edges[run]] = (child[edges[run]] + shifts[run]) % 5
            cells[run, step] = child
    np.testing.assert_array_equal(evolution(MADE, budget, runs, 3), cells)
    assert evolution(MADE, 4, runs, 3).shape == (runs, 4, 6)


def features(cells: Any) -> Any:
    """Of cells (n, 6): one-hot operations of each edge (n, 30), and their counts (n, 5)."""
    return np.array([[*(cell[:, None] == np.arange(5)).ravel(), *np.bincount(cell, minlength=5)] for cell in cells])


def test_the_predictor_is_a_ridge_regression_on_operations_and_their_counts() -> None:
    """By least squares with a row a weight; equal predictions are told apart by a billionth."""
    ours, theirs = (np.random.default_rng(5) for _ in range(2))
    cells, asked = RANDOM.integers(5, size=(3, 12, 6)), RANDOM.integers(5, size=(3, 200, 6))
    found = searchers._predictor(MADE, cells, ours)(asked)
    resampled = theirs.integers(12, size=(3, 12))
    for run in range(3):
        fitted = cells[run, resampled[run]]
        y = np.array([MADE.seen[tuple(cell)] for cell in fitted])
        rows = np.vstack([features(fitted), np.eye(35)])
        weights = np.linalg.lstsq(rows, np.concatenate([y - y.mean(), np.zeros(35)]))[0]
        above = found[run] - features(asked[run]) @ weights
        assert -1e-12 < above.min() < 0.1e-9
        assert 0.9e-9 < above.max() < 1e-9 + 1e-12


@pytest.mark.usefixtures("drawn")
def test_progressive_widening_written_out() -> None:
    """The 16 best predicted so far grow in every way but by nothing; of those the best predicted are trained."""
    random, runs, budget = stream(2, "progressive"), 2, 60
    seen = np.zeros((runs, 1, 6), dtype=int)
    for left, block in zip((3, 2, 1), ([3], [0, 4], [1, 2, 5]), strict=True):
        score = searchers._predictor(MADE, seen, random)
        grown = []
        for cells, values in zip(seen, score(seen), strict=True):
            best = sorted(range(len(cells)), key=lambda i, values=values: -values[i])[:16]
            ways = [way for way in itertools.product(range(5), repeat=len(block)) if any(way)]
            young = np.array([cells[i] for i in best for _ in ways])
            young[:, block] = ways * len(best)
            grown.append(young)
        wanted = math.ceil((budget - seen.shape[1]) / left)
        chosen = [np.array(sorted(range(len(v)), key=lambda i, v=v: -v[i])[:wanted]) for v in score(np.array(grown))]
        trained = [young[best] for young, best in zip(grown, chosen, strict=True)]
        seen = np.concatenate((seen, trained), axis=1)
    np.testing.assert_array_equal(progressive(MADE, budget, runs, 2), seen)


def test_blocks_are_the_nodes_of_a_cell() -> None:
    named = tuple(tuple(EDGES[edge] for edge in block) for block in searchers.BLOCKS)
    assert named == (((0, 3),), ((0, 1), (1, 3)), ((0, 2), (1, 2), (2, 3)))


@pytest.mark.usefixtures("drawn")
def test_the_controller_written_out() -> None:
    """With torch's own LSTM cell, a bias of one on what it keeps; rates so large that every update shows."""
    random, runs, budget, hidden = stream(4, "controller"), 3, 40, 4
    shapes = ((6, hidden), (2 * hidden, 4 * hidden), (1, 4 * hidden), (hidden, 5))
    parts = [random.uniform(-0.1, 0.1, size=(runs, *shape)).astype(np.float32) for shape in shapes]
    uniforms = np.stack([random.random((runs, 6), dtype=np.float32) for _ in range(budget)], axis=1)
    table = Cube(1000 * MADE.seen, MADE.judged)
    cells = [
        written_out(table, *(torch.from_numpy(part[run].copy()) for part in parts), uniforms[run])
        for run in range(runs)
    ]
    np.testing.assert_array_equal(controller(table, budget, runs, 4, hidden, rate=0.1, momentum=0.6), cells)
    assert controller.__defaults__ == (32, 0.01, 0.9)


def written_out(table: Cube, embedding: Any, recurrent: Any, bias: Any, readout: Any, uniforms: Any) -> Any:
    """The cells (budget, 6) of one run."""
    parts = [part.requires_grad_() for part in (embedding, recurrent, bias, readout)]
    adam, baseline, cells = torch.optim.Adam(parts, lr=0.1), None, []
    for numbers in uniforms:
        state = (torch.zeros(1, 4), torch.zeros(1, 4))
        word, cell, log_probability = 5, [], torch.zeros(())
        keep, write, show, new = recurrent.chunk(4, dim=1)
        weights = torch.cat((write, keep, new, show), dim=1).T  # torch's order
        b_keep, b_write, b_show, b_new = bias[0].chunk(4)
        biases = torch.cat((b_write, b_keep + 1, b_new, b_show))
        for number in numbers:
            given = (weights[:, :4], weights[:, 4:], biases, torch.zeros(16))
            state = torch.lstm_cell(embedding[word][None], state, *given)
            logs = (state[0] @ readout)[0].log_softmax(dim=0)
            word = min(4, int((logs.exp().cumsum(dim=0) <= float(number)).sum()))
            log_probability = log_probability + logs[word]
            cell.append(word)
        cells.append(cell)
        reward = float(table.seen[tuple(cell)]) / 100
        baseline = reward if baseline is None else 0.6 * baseline + 0.4 * reward
        adam.zero_grad()
        (-(reward - baseline) * log_probability).backward()
        adam.step()
    return cells


def test_the_best_so_far_by_hand() -> None:
    """Of equal ones the first that was seen is judged."""
    seen, judged = np.array([0.3, 0.2, 0.2, 0.9, 0.5]), np.arange(10.0, 15)
    table = Cube(*(values.reshape(5, 1, 1, 1, 1, 1) * np.ones((5,) * 6) for values in (seen, judged)))
    operations = np.array([[1, 2, 0, 4, 3, 3, 0], [3, 0, 1, 2, 4, 0, 1]])
    cells = np.concatenate((operations[..., None], np.zeros((2, 7, 5), dtype=int)), axis=-1)
    assert searchers._so_far(table, cells).tolist() == [[11, 11, 10, 14, 13, 13, 13], [13] * 7]


def test_a_matched_budget_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean accuracies 0.25, 0.5 and 0.75 after one, two and three architectures."""
    asked: list[Any] = []

    def recorded(table: Cube, *given: int) -> Any:
        asked.append(given)
        return np.array([[0.0, 0.25, 0.75], [0.5, 0.75, 0.75]])

    monkeypatch.setattr(searchers, "random_search", recorded)
    assert [matched_budget(MADE, target) for target in (0.2, 0.5, 0.6)] == [1, 2, 3]
    assert asked == [(400, 4000, 1)] * 3


def test_what_is_published() -> None:
    """NASWOT's Table 2a (Mellor et al. 2021), validation on CIFAR-10 and test: mean and standard deviation."""
    assert PUBLISHED == {"random": (93.70, 0.36), "evolution": (93.92, 0.30)}
    table: Any = SimpleNamespace(column=lambda name: {searchers.JUDGED: np.array([90.0, 94.0, 91.0])}[name])
    assert references(table) == {"random search, published": 93.7, "the best cell": 94.0}
