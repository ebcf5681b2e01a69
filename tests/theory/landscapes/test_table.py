"""Tables: lookup, sums over few states and contraction are three ways to one loss; the odd shapes too."""

from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch

from nas import objective
from theory import architectures
from theory.landscapes import Table, make
from theory.landscapes import table as table_module


@pytest.fixture
def table() -> Table:
    found = make("heavy_tailed", 3, 2, seed=5)
    assert isinstance(found, Table)
    return found


def test_the_three_ways_agree(table: Table) -> None:
    """One-hot gates are looked up, together with a few mixtures summed over states, with many contracted."""
    rng = np.random.default_rng(2)
    one_hot = architectures.one_hot(architectures.choices(3, 2), 2)
    one_hot[0, 1] = 0
    looked_up = table.gradients(one_hot, one_hot * 0 + 1)
    for mixtures in (1, 40):
        batch = np.concatenate([one_hot, rng.uniform(size=(mixtures, 3, 2))])
        found = table.gradients(batch, batch * 0 + 1)
        np.testing.assert_allclose(found.loss[:8], looked_up.loss, atol=1e-12)
        np.testing.assert_allclose(found.gate_gradient[:8], looked_up.gate_gradient, atol=1e-12)
        np.testing.assert_allclose(table.loss(batch), found.loss, atol=1e-12)


def test_scaled_gates_are_mixtures_with_the_zeroed_edge(table: Table) -> None:
    one_hot = architectures.one_hot(architectures.choices(3, 2), 2)
    scaled = objective.path_gradients(table, one_hot, one_hot * 0 + 1, (0.25, 0.75))
    for node, factor in enumerate((0.25, 0.75)):
        for edge in range(3):
            gates = one_hot.copy()
            gates[:, edge] *= factor
            alone = table.gradients(gates, gates * 0 + 1).gate_gradient[:, edge]
            np.testing.assert_allclose(scaled[:, node, edge], alone, atol=1e-12)


def test_two_ones_in_a_row_are_no_lookup(table: Table) -> None:
    """L(both) = L(first) + L(second) - L(zeroed), because the loss is affine in the row."""
    both = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    first, second, none = both.copy(), both.copy(), both.copy()
    first[0, 1] = second[0, 0] = 0
    none[0] = 0
    known = table.loss(first) + table.loss(second) - table.loss(none)
    assert table.loss(both) == pytest.approx(known)
    in_torch: Any = table.placed(torch.from_numpy)
    assert float(in_torch.loss(torch.from_numpy(both))) == pytest.approx(known)


def test_a_batch_of_any_rank_and_an_empty_one(table: Table) -> None:
    one_hot = architectures.one_hot(architectures.choices(3, 2), 2)
    np.testing.assert_array_equal(table.loss(one_hot.reshape(2, 4, 3, 2)).ravel(), table.loss(one_hot))
    assert table.loss(one_hot[:0]).shape == (0,)


def mixture(states: str) -> Any:
    """A row each: (0, 1), one state; (1/2, 0) and (1/2, 1/2), two; (1/2, 1/4), three, zeroed among them."""
    rows = {"1": [0.0, 1.0], "2": [0.5, 0.0], "=": [0.5, 0.5], "3": [0.5, 0.25]}
    return np.array([rows[letter] for letter in states])


@pytest.mark.parametrize(
    ("batch", "contracted"),
    [(["111"], False), (["222"], False), (["=2="], False), (["331"], True), (["333", "111"], True)],
)
def test_a_sum_over_more_than_eight_states_is_contracted(
    batch: list[str], contracted: bool, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of 1, 8, 8 and 9 states, and 14 on average."""
    asked: list[str] = []
    gates = np.stack([mixture(states) for states in batch])

    def noted(name: str) -> None:
        right = getattr(Table, name)
        monkeypatch.setattr(Table, name, lambda self, gates: asked.append(name) or right(self, gates))

    noted("_by_terms")
    noted("_by_contraction")
    monkeypatch.setattr(table_module, "_are_one_hot", lambda gates: False)
    found = table.gradients(gates, gates * 0 + 1)
    assert asked == ["_by_contraction" if contracted else "_by_terms"]
    assert (table.loss(gates) == found.loss).all()
    assert asked[1:] == asked[:1]


def test_what_is_looked_up(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """One-hot and zeroed rows, all of a batch; two ones in a row, or one half, are none."""
    asked = []
    right = Table._by_lookup
    monkeypatch.setattr(Table, "_by_lookup", lambda *arguments, **named: asked.append(1) or right(*arguments, **named))
    ones, none = mixture("111"), np.zeros((3, 2))
    for rows in (ones, none, np.array([[0.0, 1], [0, 0], [1, 0]])):
        table.slopes(np.stack([rows, ones]))
    assert len(asked) == 3
    for rows in (mixture("112"), np.array([[1.0, 1], [0, 0], [1, 0]])):
        table.slopes(np.stack([rows, ones]))
    assert len(asked) == 3


@pytest.mark.parametrize("states", ["111", "121", "222", "3=2", "333"])
def test_a_mixture_by_hand(table: Table, states: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is the mean over all 27 states under a product of three rows; a slope, what a state changes of it.

    Summed over states, contracted, and in torch.
    """
    gates = mixture(states)
    rows = np.concatenate([gates, 1 - gates.sum(axis=-1, keepdims=True)], axis=-1)
    mean = np.einsum("i,j,k,ijk->", *rows, table.table)
    slopes = np.stack([
        np.einsum("j,k,ijk->i", rows[1], rows[2], table.table),
        np.einsum("i,k,ijk->j", rows[0], rows[2], table.table),
        np.einsum("i,j,ijk->k", rows[0], rows[1], table.table),
    ])  # fmt: skip
    slopes = slopes[:, :-1] - slopes[:, -1:]
    in_torch: Any = table.placed(torch.from_numpy)
    ways = [table._by_terms(gates), table._by_contraction(gates)]
    for runs in (np.ones((3, 2)), np.array([[1.0, 0], [0, 1], [1, 1]])):
        found = in_torch.gradients(torch.from_numpy(gates), torch.from_numpy(runs))
        np.testing.assert_allclose(found.gate_gradient, slopes * runs, rtol=1e-12)
        np.testing.assert_allclose(table.gradients(gates, runs).gate_gradient, slopes * runs, rtol=1e-12)
        ways.append((found.loss, found.gate_gradient if runs.all() else slopes))
    for loss, gradient in ways:
        assert float(loss) == pytest.approx(mean, rel=1e-12)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-12)
    np.testing.assert_allclose(table.expected(gates), mean, rtol=1e-12)


def test_extremes_are_of_what_can_be_drawn() -> None:
    """Zeroed edges cost less and more than any architecture; the best is the second one of the first edge."""
    land = Table(np.array([[3.0, 4, -9], [2, 5, -9], [99, 99, 99]]))
    assert (land.optimum, land.min_loss, land.max_loss) == ((1, 0), 2, 5)


def test_fractions_stay_fractions() -> None:
    """A half each of two binary edges, L = 0, 1, 2, 3: 3/2, by both sums; a zeroed edge costs 9."""
    whole = Table(np.array([[F(0), F(1), F(9)], [F(2), F(3), F(9)], [F(9)] * 3]))
    half = np.full((2, 2), F(1, 2))
    for way in (whole._by_terms, whole._by_contraction):
        loss, slopes = way(half)
        assert (loss, slopes.tolist()) == (F(3, 2), [[F(1, 2) - 9, F(5, 2) - 9], [F(1) - 9, F(2) - 9]])


@pytest.mark.parametrize(("numbers", "rows"), [(18, [2, 2, 2, 2, 1]), (1, [1] * 9)])
def test_chunks_of_a_contraction_do_not_matter(
    numbers: int, rows: list[int], table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine mixtures at once, and a few at a time: 27 numbers a table, 3 states an edge, so 18 of 27 by 3 are two."""
    gates = np.random.default_rng(0).uniform(size=(9, 3, 2))
    whole, counted = table.gradients(gates, gates * 0 + 1), []
    monkeypatch.setattr(table_module, "CHUNK_NUMBERS", numbers)
    right = table_module._weigh
    monkeypatch.setattr(table_module, "_weigh", lambda w, v: counted.append(len(w)) or right(w, v))
    parts = table.gradients(gates, gates * 0 + 1)
    assert counted == [number for number in rows for _ in range(2)]
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-12)
    np.testing.assert_allclose(parts.gate_gradient, whole.gate_gradient, rtol=1e-12)
    assert (parts.output_gradient == 0).all()
    assert parts.output_gradient.shape == (9, 3)


def test_a_gradient_of_what_runs_alone(table: Table) -> None:
    """Sparse where the gates themselves run, by lookup and by both sums: the dense one where an operation ran."""
    rng = np.random.default_rng(1)
    one_hot = architectures.one_hot(architectures.choices(3, 2), 2)
    for gates in (one_hot, one_hot * rng.uniform(0.2, 0.9, (8, 3, 1)), rng.uniform(size=(8, 3, 2))):
        dense, runs = table.gradients(gates, gates * 0 + 1), gates != 0
        np.testing.assert_allclose(table.gradients(gates, runs).gate_gradient, dense.gate_gradient * runs, rtol=1e-12)
        np.testing.assert_array_equal(table.slopes(gates), dense.gate_gradient)
    sparse = table.gradients(one_hot, one_hot)
    np.testing.assert_allclose(sparse.gate_gradient, table.slopes(one_hot) * one_hot, rtol=1e-12)
    assert not table.compiles
