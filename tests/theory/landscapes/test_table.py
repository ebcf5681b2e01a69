"""Tables: lookup, sums over few states and contraction are three ways to one loss; the odd shapes too."""

from typing import Any

import numpy as np
import pytest
import torch

from nas import objective
from theory import architectures
from theory.landscapes import Table, make


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
