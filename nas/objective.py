"""What does a method need of a problem? Gates in, loss and gate gradient out.

An `Objective` is the loss of a network (or landscape) on *one* minibatch as a function of the gates. A method may ask
it several questions about the same minibatch: the loss of eight samples, the loss with an edge zeroed. The rows of the
gates need not be one-hot: a row of zeros is an edge whose output is zeroed, other rows are mixtures.
A `Penalty` is a term of the loss that is known: a price on operations, whose expected gradient needs no sample.

Shapes: gates (*batch, *extra, E, K), where `batch` are the replicates the objective holds (if it holds several) and
`extra` are further evaluations for each of them.
"""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from nas.arrays import A, namespace

T = TypeVar("T", bound=Any)


@dataclass(frozen=True)
class Gradients(Generic[T]):
    """One backward pass.

    loss (...,); gate_gradient (..., E, K) = dL/da, zero where the operation did not run; output_gradient (..., E), the
    sum over the elements of dL/d(output of edge e), or zeros where edges have no output tensor (tables).
    """

    loss: T
    gate_gradient: T
    output_gradient: T


class Objective(Protocol[T]):
    """The loss on one minibatch as a function of the gates.

    That of a network may also have `virtual_step(gates)`, which second-order DARTS asks (`nas.supernets.ahead`).
    """

    @property
    def zero_operation(self) -> int | None:
        """Index of the candidate that outputs zeros (the operation `zero`), or None."""

    def loss(self, gates: T) -> T:
        """Loss (...,) of gates (..., E, K). Runs the operations with a non-zero gate."""

    def gradients(self, gates: T, runs: T) -> Gradients[T]:
        """Loss and gradients at gates (..., E, K).

        runs (..., E, K) holds one for each operation that is run and stored, zero elsewhere: `runs = gates` is sparse
        propagation, two ones a row two-path, all ones dense.
        """


@dataclass(frozen=True)
class Penalty(Generic[T]):
    """A price on operations, added to the loss: L(a) + weight sum_ek a_ek cost_ek.

    weight in loss units per cost; costs (E, K). Its expectation under the policy is affine in the probabilities, so
    that its gradient is exact: no bias and no variance of an estimator changes by it (docs/theory.md).

    >>> import numpy as np
    >>> price = Penalty(2.0, np.array([[3.0, 1.0]]))
    >>> float(price.of(np.array([[1.0, 0.0]])))
    6.0
    >>> price.gradient(np.array([[0.5, 0.5]]))  # 2 p (c - 2): descending it moves to the cheaper operation
    array([[ 1., -1.]])
    """

    weight: Any
    costs: T

    def of(self, gates: Any) -> Any:
        """What gates (..., E, K) pay, (...,); of probabilities: what is paid on average."""
        return self.weight * (gates * self.costs).sum(axis=-1).sum(axis=-1)

    def gradient(self, probabilities: Any) -> Any:
        """Of the average payment with respect to the logits of a softmax: weight p_ek (c_ek - sum_j p_ej c_ej).

        Args: probabilities (..., E, K). Returns: (..., E, K), each row summing to zero. Exact for exact input.
        """
        average = (probabilities * self.costs).sum(axis=-1)[..., None]
        return self.weight * probabilities * (self.costs - average)

    def charged(self, loss: Any, gates: Any) -> Any:
        """The loss (...,) of drawn gates (..., E, K) with what they pay."""
        return loss + self.of(gates)


def zeroed_losses(objective: Objective[A], gates: A) -> A:
    """Loss with each edge's output zeroed in turn: gates (..., E, K) -> (..., E), by E forward passes."""
    edges = gates.shape[-2]
    others = 1 - _identity(gates, edges)
    return objective.loss(gates[..., None, :, :] * others[..., None])


def zeroed_loss(objective: Objective[A], gates: A, chosen: A) -> A:
    """Loss with one chosen edge zeroed: gates (..., E, K), chosen (..., E) one-hot -> (...,), by one forward pass."""
    return objective.loss(gates * (1 - chosen[..., None]))


def alternative_losses(objective: Objective[A], gates: A) -> A:
    """Loss with edge e at operation k, all others held: gates (..., E, K) -> (..., E, K), by E K forward passes."""
    edges, candidates = gates.shape[-2:]
    edge = _identity(gates, edges)[:, None, :, None]
    operation = _identity(gates, candidates)[None, :, None, :]
    return objective.loss(gates[..., None, None, :, :] * (1 - edge) + edge * operation)


def path_gradients(objective: Objective[A], gates: A, runs: A, nodes: Any) -> A:
    """Gate gradients along each edge's own gate, for quadrature: (..., E, K) -> (..., Q, E, K), by Q E backward passes.

    Row e of node q is taken with edge e's gates scaled by nodes[q] and the other edges as they are.
    """
    xp = namespace(gates)
    edges = gates.shape[-2]
    diagonal = _identity(gates, edges)
    scale = xp.stack([1 - diagonal * (1 - node) for node in nodes])
    scaled = gates[..., None, None, :, :] * scale[..., None]
    gradient = objective.gradients(scaled, runs[..., None, None, :, :] + 0 * scaled).gate_gradient
    return (gradient * diagonal[..., None]).sum(axis=-2)


def _identity(like: Any, size: int) -> Any:
    xp = namespace(like)
    return xp.eye(size, dtype=like.dtype, **({} if xp.__name__ == "numpy" else {"device": like.device}))
