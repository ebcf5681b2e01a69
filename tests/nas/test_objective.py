"""What an objective is asked, on batches: every answer is that of the batch's members, one by one."""

from typing import Any

import numpy as np
import pytest

from nas import objective, policy
from nas.objective import Gradients

E, K = 3, 4
RNG = np.random.default_rng(0)
OUTPUTS, TARGET = RNG.normal(size=(E, K, 2)), RNG.normal(size=2)
GATES = policy.draw(np.full((2, 5, E, K), 1 / K), RNG.random((2, 5, E)))


class Cubic:
    """(sum of the edges' outputs - target)^3, so that slopes vary along a gate."""

    zero_operation = None

    def miss(self, gates: Any) -> Any:
        return np.einsum("...ek,ekd->...d", gates, OUTPUTS) - TARGET

    def loss(self, gates: Any) -> Any:
        return (self.miss(gates) ** 3).sum(axis=-1)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        gradient = np.einsum("...d,ekd->...ek", 3 * self.miss(gates) ** 2, OUTPUTS) * runs
        return Gradients(self.loss(gates), gradient, 0 * gates[..., 0])


def members() -> list[tuple[tuple[int, int], Any]]:
    return [(index, GATES[index]) for index in np.ndindex(2, 5)]


def test_zeroed_losses() -> None:
    found = objective.zeroed_losses(Cubic(), GATES)
    assert found.shape == (2, 5, E)
    for index, gates in members():
        for edge in range(E):
            off = gates.copy()
            off[edge] = 0
            assert found[index][edge] == pytest.approx(Cubic().loss(off))


def test_the_chosen_edges_zeroed_loss() -> None:
    chosen = np.eye(E)[RNG.integers(E, size=(2, 5))]
    found = objective.zeroed_loss(Cubic(), GATES, chosen)
    every = objective.zeroed_losses(Cubic(), GATES)
    np.testing.assert_allclose(found, (every * chosen).sum(axis=-1))


def test_alternative_losses() -> None:
    found = objective.alternative_losses(Cubic(), GATES)
    assert found.shape == (2, 5, E, K)
    for index, gates in members():
        for edge, operation in np.ndindex(E, K):
            other = gates.copy()
            other[edge] = np.eye(K)[operation]
            assert found[index][edge, operation] == pytest.approx(Cubic().loss(other))


@pytest.mark.parametrize("dense", [False, True])
def test_path_gradients(dense: bool) -> None:
    """Row e of node q: the slope with edge e's gates scaled by the node, and only where operations run."""
    nodes = (0.25, 0.5, 1.0)
    runs = np.ones_like(GATES) if dense else GATES
    found = objective.path_gradients(Cubic(), GATES, runs, nodes)
    assert found.shape == (2, 5, 3, E, K)
    for index, gates in members():
        for q, node in enumerate(nodes):
            for edge in range(E):
                scaled = gates.copy()
                scaled[edge] *= node
                expected = Cubic().gradients(scaled, runs[index]).gate_gradient[edge]
                np.testing.assert_allclose(found[index][q, edge], expected)
