"""Regularised evolution: a second time, as a loop over lists, and what it says of itself on the way."""

from typing import Any

import numpy as np
import pytest

from nas import methods, optimisers, policy, population, step
from nas.methods import EVOLUTION
from nas.objective import Penalty

EDGES, CANDIDATES = 3, 4


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(population, "MEMBERS", 5)
    monkeypatch.setattr(population, "ENTRANTS", 3)


class Table:
    """A random loss of each architecture, and what was asked."""

    zero_operation = None

    def __init__(self) -> None:
        self.losses = np.random.default_rng(4).normal(size=(CANDIDATES,) * EDGES)
        self.asked: list[list[int]] = []

    def loss(self, gates: Any) -> Any:
        choice = policy.choices(gates)
        self.asked.append(choice.tolist())
        return self.losses[tuple(np.moveaxis(choice, -1, 0))]


def pick(uniform: float, count: int) -> int:
    return int(uniform * count)


def by_hand(uniforms: Any, losses: Any) -> list[list[int]]:
    """Real et al. (2019), algorithm 1, with a list whose oldest entry is overwritten in turn."""
    members: list[tuple[list[int], float]] = []
    drawn = []
    for age, u in enumerate(uniforms):
        if len(members) < 5:
            cell = [pick(value, CANDIDATES) for value in u[5:]]
        else:
            parent, _ = min((members[pick(value, 5)] for value in u[:3]), key=loss_of)
            cell, edge = list(parent), pick(u[3], EDGES)
            others = [k for k in range(CANDIDATES) if k != parent[edge]]
            cell[edge] = others[pick(u[4], CANDIDATES - 1)]
        drawn.append(cell)
        entry = (cell, float(losses[tuple(cell)]))
        if len(members) < 5:
            members.append(entry)
        else:
            members[age % 5] = entry
    return drawn


def loss_of(member: tuple[list[int], float]) -> float:
    return member[1]


def run(uniforms: Any, table: Table) -> step.State:
    state = step.start(EVOLUTION, optimisers.adam(), np.zeros((EDGES, CANDIDATES)))
    for now in uniforms:
        state, _ = step.architecture_step(EVOLUTION, optimisers.adam(), state, table, now, 0.1)
    return state


def test_it_draws_what_the_published_loop_draws(small: None) -> None:
    table, uniforms = Table(), np.random.default_rng(0).random((80, *step.noise_shape(EVOLUTION, EDGES, CANDIDATES)))
    state = run(uniforms, table)
    expected = by_hand(uniforms, table.losses)
    assert table.asked == expected
    assert len({*map(tuple, expected)}) > 20  # it moved about
    best = min(expected, key=lambda cell: float(table.losses[tuple(cell)]))
    assert policy.choices(step.architecture(EVOLUTION, state)).tolist() == best
    assert state.memory["best"] == table.losses[tuple(best)]


def test_control_the_worst_as_parent_draws_other_cells(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    table, uniforms = Table(), np.random.default_rng(0).random((80, *step.noise_shape(EVOLUTION, EDGES, CANDIDATES)))
    run(uniforms, table)
    assert table.asked != by_hand(uniforms, -table.losses)
    assert table.asked[:5] == by_hand(uniforms, -table.losses)[:5]  # the first members are drawn evenly


def test_the_population_is_the_last_members_and_its_shares_are_the_probabilities(small: None) -> None:
    table, uniforms = Table(), np.random.default_rng(1).random((13, *step.noise_shape(EVOLUTION, EDGES, CANDIDATES)))
    assert (step.probabilities(EVOLUTION, run(uniforms[:0], table)) == 1 / CANDIDATES).all()
    for taken in (3, 13):
        table.asked = []
        state = run(uniforms[:taken], table)
        last = np.eye(CANDIDATES)[table.asked[-5:]]
        np.testing.assert_allclose(step.probabilities(EVOLUTION, state), last.mean(axis=0))
        assert state.kept["count"] == taken


def test_replicates_are_independent(small: None) -> None:
    tables = [Table(), Table()]
    uniforms = np.random.default_rng(2).random((30, 2, *step.noise_shape(EVOLUTION, EDGES, CANDIDATES)))
    together = step.start(EVOLUTION, optimisers.adam(), np.zeros((2, EDGES, CANDIDATES)))
    for now in uniforms:
        together, _ = step.architecture_step(EVOLUTION, optimisers.adam(), together, tables[0], now, 0.1)
    for replicate in range(2):
        alone = run(uniforms[:, replicate], tables[1])
        np.testing.assert_array_equal(together.kept["population"][replicate], alone.kept["population"])
        np.testing.assert_array_equal(together.kept["loss"][replicate], alone.kept["loss"])


def test_a_penalty_is_part_of_what_members_are_judged_by(small: None) -> None:
    """A price beside which losses are nothing: the best cell is the one that pays nothing, and parents pay little."""
    uniforms = np.random.default_rng(3).random((60, *step.noise_shape(EVOLUTION, EDGES, CANDIDATES)))
    price, table = Penalty(1000.0, np.arange(4.0) * np.ones((EDGES, 1))), Table()
    state = step.start(EVOLUTION, optimisers.adam(), np.zeros((EDGES, CANDIDATES)))
    for now in uniforms:
        state, _ = step.architecture_step(EVOLUTION, optimisers.adam(), state, table, now, 0.1, penalty=price)
    charged = [table.losses[tuple(cell)] + 1000 * sum(cell) for cell in table.asked]
    np.testing.assert_allclose(sorted(state.kept["loss"]), sorted(charged[-5:]))
    assert state.memory["best"] == min(charged)
    assert min(charged) < 1000 < charged[0]


def test_what_cannot_be_changed_is_refused(small: None) -> None:
    state = step.start(EVOLUTION, optimisers.adam(), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="evolution needs at least 2 candidate operations"):
        step.draw(EVOLUTION, state.logits, np.full(7, 0.5), kept=state.kept)
    with pytest.raises(ValueError, match="method evolution does not draw from a product of E softmaxes"):
        methods.find("evolution", landscape=True)
