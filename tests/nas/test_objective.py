"""What an objective is asked, on batches: every answer is that of the batch's members, one by one.

And the price on operations: an additive term of the expected loss, its gradient in exact fractions.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from nas import objective, policy
from nas.objective import Gradients, Penalty

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


def test_a_backward_pass_is_told_of_every_member_what_runs() -> None:
    """An objective may index its runs like its gates: they arrive in the same shape."""
    shapes = []

    class Indexing(Cubic):
        def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
            shapes.append((gates.shape, runs.shape))
            return super().gradients(gates, runs)

    objective.path_gradients(Indexing(), GATES, GATES, (0.25, 0.5, 1.0))
    assert shapes == [((2, 5, 3, E, E, K), (2, 5, 3, E, E, K))]


@pytest.mark.parametrize("asked", [objective.zeroed_losses, objective.alternative_losses])
def test_questions_stay_on_the_device_of_the_gates(asked: Callable[..., Any]) -> None:
    """`meta` is a device that every machine has; what is made on another cannot be multiplied by what lies there."""

    class Summed:
        def loss(self, gates: Any) -> Any:
            return gates.sum(dim=(-2, -1))

    gates = torch.ones(2, E, K, device="meta")
    assert asked(Summed(), gates).device == gates.device


# ------------------------------------------------------------------ a price on operations

COSTS = [[0, 3, 5], [2, 0, 7]]  # of two edges with three operations each


def exactly(rows: list[list[Any]]) -> Any:
    return np.array([[Fraction(value) for value in row] for row in rows], dtype=object)


def architectures() -> list[Any]:
    """All one-hot gates of two edges with three operations each, in fractions."""
    return [
        exactly([[int(k == a) for k in range(3)], [int(k == b) for k in range(3)]]) for a in range(3) for b in range(3)
    ]


def some_loss(gates: Any) -> Fraction:
    """A loss that is not affine in the gates."""
    x = (gates * exactly([[1, -2, 4], [3, 0, -5]])).sum()
    return Fraction(x * x * x + 2 * x)


def gradient_of_the_mean(probabilities: Any, loss: Callable[[Any], Any]) -> Any:
    """d/dlogits of sum_a P(a) loss(a), by enumeration: sum_a P(a) loss(a) (a - p)."""
    total = 0 * probabilities
    for gates in architectures():
        chance = (probabilities * gates).sum(axis=-1).prod()
        total = total + chance * loss(gates) * (gates - probabilities)
    return total


POLICIES = [exactly([["1/2", "1/3", "1/6"], ["1/5", "1/5", "3/5"]]), exactly([["1/3"] * 3, ["1/7", "5/7", "1/7"]])]


@pytest.mark.parametrize("probabilities", POLICIES)
def test_the_penalty_is_an_additive_term_of_the_expected_loss_exactly(probabilities: Any) -> None:
    price = Penalty(Fraction(3, 2), exactly(COSTS))
    together = gradient_of_the_mean(probabilities, lambda gates: price.charged(some_loss(gates), gates))
    apart = gradient_of_the_mean(probabilities, some_loss) + price.gradient(probabilities)
    assert (together == apart).all()
    assert (price.gradient(probabilities).sum(axis=-1) == 0).all()
    paid = sum((probabilities * gates).sum(axis=-1).prod() * price.of(gates) for gates in architectures())
    assert price.of(probabilities) == paid


def test_a_batch_pays_what_its_members_pay() -> None:
    price = Penalty(0.7, RNG.random((E, K)))
    found = price.of(GATES)
    assert found.shape == (2, 5)
    for index, gates in members():
        assert found[index] == pytest.approx(0.7 * sum(price.costs[edge, gates[edge].argmax()] for edge in range(E)))


@pytest.mark.parametrize("probabilities", POLICIES)
def test_control_another_sign_weight_or_a_forgotten_average_is_another_gradient(probabilities: Any) -> None:
    price = Penalty(Fraction(3, 2), exactly(COSTS))
    right = gradient_of_the_mean(probabilities, price.of)
    assert (price.gradient(probabilities) == right).all()
    for wrong in (
        Penalty(Fraction(-3, 2), exactly(COSTS)).gradient(probabilities),
        Penalty(Fraction(1), exactly(COSTS)).gradient(probabilities),
        price.weight * probabilities * price.costs,
    ):
        assert not (wrong == right).all()


def test_the_penalty_s_gradient_by_finite_differences() -> None:
    price = Penalty(0.7, RNG.random((E, K)))
    logits, h = RNG.normal(size=(2, E, K)), 1e-5
    gradient = price.gradient(policy.softmax(logits))
    for index in np.ndindex(2, E, K):
        step = np.zeros_like(logits)
        step[index] = h
        ahead, behind = (price.of(policy.softmax(logits + sign * step))[index[0]] for sign in (1, -1))
        assert gradient[index] == pytest.approx((ahead - behind) / (2 * h), abs=1e-9)
    assert np.abs(gradient).max() > 0.01  # the control: it is not zero that agrees with zero


@pytest.mark.parametrize("probabilities", POLICIES)
def test_no_variance_is_added(probabilities: Any) -> None:
    """Of REINFORCE's gradient with the penalty and without, over all architectures: the same second central moments."""
    price = Penalty(Fraction(3, 2), exactly(COSTS))

    def variance(more: Any) -> Any:
        chances = [(probabilities * gates).sum(axis=-1).prod() for gates in architectures()]
        drawn = [some_loss(gates) * (gates - probabilities) + more(gates) for gates in architectures()]
        mean = sum(chance * value for chance, value in zip(chances, drawn, strict=True))
        return sum(chance * (value - mean) ** 2 for chance, value in zip(chances, drawn, strict=True))

    without = variance(lambda gates: 0)
    assert (variance(lambda gates: price.gradient(probabilities)) == without).all()
    sampled = variance(lambda gates: price.of(gates) * (gates - probabilities))  # the control: as a part of the loss
    assert not (sampled == without).all()
