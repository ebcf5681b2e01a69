"""What kinds of loss do landscapes have? One frozen dataclass a kind, which holds arrays and nothing else.

A landscape is an `nas.objective.Objective` for gates (..., E, K): one-hot, zeroed or mixed rows; a row of zeros is an
edge whose output is zeroed. A kind is written once, in operators that NumPy float64, object arrays of `Fraction` and
torch tensors have in common, so that theory enumerates and simulate runs the same object; `placed` moves its arrays to
another world.

    Bilinear    sum_e <a_e, unary_e> and a term for each pair of edges
    Blocks      linear terms and products over blocks of edges
    Quadratic   mean over D outputs of (s - y)^2 + extra s^2, s = sum_e h_e
    Power       mean over D outputs of (s - y)^n
    Saturating  mean over D outputs of (tanh(s) - y)^2
    Normalised  1 - cos^2 of the first half's sum, and a quadratic loss of the others'
    Neighbours  mean over edges of a table of the edge and some others
    Function    a user's own function of gates
    Enumerated  another landscape with the loss of every architecture beside it

`theory.landscapes.table` has one more, any table of losses. Most kinds are affine in each edge's gates; then the
expected loss J of a product policy p is the loss at the mean gates, J = L(p).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Self

import numpy as np

from nas.arrays import namespace
from nas.estimators import softmax_pullback
from nas.objective import Gradients
from theory import architectures
from theory.landscapes import truth
from theory.landscapes.truth import Truth


@dataclass(frozen=True, eq=False)
class Landscape(ABC):
    """A loss of gates that knows its gradients, its expectation under a policy and its extremes.

    A kind of your own defines `shape`, `loss` and `slopes`. name: what `make` was asked for. zero_operation: the
    candidate that outputs zeros, or None. one_best: False where many architectures are best by construction, so that
    none is the one to find.
    """

    _: KW_ONLY
    name: str = ""
    zero_operation: int | None = None
    one_best: bool = True

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(E, K)."""

    @abstractmethod
    def loss(self, gates: Any) -> Any:
        """Loss (...,) of gates (..., E, K)."""

    @abstractmethod
    def slopes(self, gates: Any) -> Any:
        """Dense gate gradient (..., E, K)."""

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        """Loss and gate gradient, the latter zero where `runs` is zero; here edges have no output tensor."""
        return Gradients(self.loss(gates), self.slopes(gates) * runs, 0 * gates[..., 0])

    def expected(self, probabilities: Any) -> Any:
        """J (...,) of policies (..., E, K), exact."""
        return Enumerated.of(self).expected(probabilities)

    def expected_gradient(self, probabilities: Any) -> Any:
        """Exact gradient of J with respect to logits (..., E, K): p (q - J), q_ek = E[L | a_e = k]."""
        return Enumerated.of(self).expected_gradient(probabilities)

    @property
    def closed_form(self) -> bool:
        """Whether `expected` and `expected_gradient` need no sum over all architectures."""
        return False

    @property
    def compiles(self) -> bool:
        """Whether loss and gradients run inside torch.compile."""
        return True

    @property
    def edges(self) -> int:
        """E."""
        return self.shape[0]

    @property
    def candidates(self) -> int:
        """K."""
        return self.shape[1]

    @property
    def exact(self) -> bool:
        """Whether the parameters are rational, so that losses of rational gates are."""
        return any(_is_rational(values) for values in self.__dict__.values() if isinstance(values, np.ndarray))

    def extremes(self, most: int) -> Truth | None:
        """Best architecture, smallest and largest loss; None where more than `most` would have to be summed over."""
        return truth.by_enumeration(self, most)

    @cached_property
    def truth(self) -> Truth:
        """The extremes. Raises: ValueError where there are too many architectures, with their number."""
        found = self.extremes(architectures.LARGEST)
        if found is None:
            architectures.count(self.edges, self.candidates)
            raise ValueError(f"landscape {self.name or type(self).__name__} does not know its extremes")
        return found

    @property
    def optimum(self) -> tuple[int, ...]:
        """Operations (E,) of the best architecture, the first of equals."""
        return self.truth.optimum or ()

    @property
    def min_loss(self) -> Any:
        """Smallest loss of the one-hot architectures."""
        return self.truth.min_loss

    @property
    def max_loss(self) -> Any:
        """Largest loss of the one-hot architectures."""
        return self.truth.max_loss

    def placed(self, convert: Callable[[Any], Any]) -> Self:
        """The same landscape with every parameter array converted: to another world, type or device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: convert(v) for name, v in values.items() if isinstance(v, np.ndarray)}
        moved |= {name: v.placed(convert) for name, v in values.items() if isinstance(v, Landscape)}
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class Affine(Landscape):
    """A loss that is affine in each edge's gates: J is the loss at the mean gates."""

    def expected(self, probabilities: Any) -> Any:
        return self.loss(probabilities)

    def expected_gradient(self, probabilities: Any) -> Any:
        return softmax_pullback(probabilities, self.slopes(probabilities))

    @property
    def closed_form(self) -> bool:
        return True


# ------------------------------------------------------------------ affine in each edge's gates


@dataclass(frozen=True, eq=False)
class Bilinear(Affine):
    """sum_e <a_e, unary_e> + a' pair a / 2; unary (E, K), pair (E, K, E, K) symmetric, no diagonal blocks, or None."""

    unary: Any
    pair: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.unary.shape)

    def loss(self, gates: Any) -> Any:
        terms = self.unary if self.pair is None else self.unary + self._field(gates) / 2
        return (gates * terms).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self.unary + (0 if self.pair is None else self._field(gates)) + 0 * gates

    def extremes(self, most: int) -> Truth | None:
        if self.pair is not None:
            return super().extremes(most)
        best = tuple(int(k) for k in np.argmin(self.unary, axis=-1))
        return Truth(best, self.unary.min(axis=-1).sum(), self.unary.max(axis=-1).sum())

    def _field(self, gates: Any) -> Any:
        size = self.edges * self.candidates
        return (gates.reshape(*gates.shape[:-2], size) @ self.pair.reshape(size, size)).reshape(gates.shape)


@dataclass(frozen=True, eq=False)
class Blocks(Affine):
    """constant + sum_e <a_e, unary_e> + sum_b coefficient_b prod_{e in b} <a_e, factor_e>.

    unary, factor (E, K); coefficient (B,); members (B, E), one where the edge is in the block, no edge in two blocks.
    """

    constant: Any
    unary: Any
    factor: Any
    coefficient: Any
    members: Any

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.unary.shape)

    def loss(self, gates: Any) -> Any:
        return self.constant + (gates * self.unary).sum(axis=-1).sum(axis=-1) + self._products(gates)[1]

    def slopes(self, gates: Any) -> Any:
        return self.unary + self._products(gates)[0][..., None] * self.factor

    def extremes(self, most: int) -> Truth | None:
        """Block by block, over the operations of each edge that differ."""
        best, worst = np.zeros((2, self.edges), dtype=int)
        alone = [np.array([edge]) for edge in range(self.edges) if not self.members[:, edge].any()]
        for block in [*alone, *(np.flatnonzero(row) for row in self.members)]:
            differing = [_first_of_equals(self.unary[edge], self.factor[edge]) for edge in block]
            if np.prod([float(len(operations)) for operations in differing]) > most:
                return None
            grid = np.stack([axis.ravel() for axis in np.meshgrid(*differing, indexing="ij")], axis=1)
            choice = np.zeros((len(grid), self.edges), dtype=int)
            choice[:, block] = grid
            loss = self.loss(architectures.one_hot(choice, self.candidates, self.exact))
            best[block], worst[block] = grid[int(np.argmin(loss))], grid[int(np.argmax(loss))]
        low, high = self.loss(architectures.one_hot(np.stack([best, worst]), self.candidates, self.exact))
        return Truth(tuple(int(k) for k in best), low, high)

    def _products(self, gates: Any) -> tuple[Any, Any]:
        """Derivative with respect to each edge's factor (..., E), and the sum of the block products (...,)."""
        xp = namespace(gates)
        terms = (1 - self.members) + self.members * (gates * self.factor).sum(axis=-1)[..., None, :]  # (..., B, E)
        before = [self.coefficient + 0 * terms[..., 0]]
        after = [1 + 0 * terms[..., 0]]
        for edge in range(self.edges - 1):
            before.append(before[-1] * terms[..., edge])
            after.append(after[-1] * terms[..., self.edges - 1 - edge])
        others = xp.stack([b * a for b, a in zip(before, reversed(after), strict=True)], axis=-1) * self.members
        total = before[-1] * terms[..., -1]
        return others.sum(axis=-2), total.sum(axis=-1)


@dataclass(frozen=True, eq=False)
class Neighbours(Affine):
    """mean_e tables_e[a_e, a_n1, ..., a_nm] of edges and m neighbours; tables (E, K, ..., K), spots (m + 1, E, E).

    spots_i is the 0/1 matrix that takes edge values to the i-th argument of each table.
    """

    tables: Any
    spots: Any

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.tables.shape[:2])

    def loss(self, gates: Any) -> Any:
        arguments = [spot @ gates for spot in self.spots]
        return self._contract(arguments, None).sum(axis=-1) / self.edges

    def slopes(self, gates: Any) -> Any:
        arguments = [spot @ gates for spot in self.spots]
        return sum(spot.T @ self._contract(arguments, i) for i, spot in enumerate(self.spots)) / self.edges

    def _contract(self, arguments: list[Any], kept: int | None) -> Any:
        """Contract all arguments but one: (..., E), or (..., E, K) of the kept one."""
        xp = namespace(self.tables)
        values = self.tables if kept is None else xp.moveaxis(self.tables, kept + 1, 1)
        values = values + 0 * arguments[0].sum(axis=-1)[(..., *(None,) * (self.tables.ndim - 1))]
        rest = [argument for i, argument in enumerate(arguments) if i != kept]
        for argument in reversed(rest):
            between = values.ndim - argument.ndim
            shape = (*argument.shape[:-1], *(1,) * between, argument.shape[-1])
            values = (values * argument.reshape(shape)).sum(axis=-1)
        return values


# ------------------------------------------------------------------ an outer loss of the sum of the edges' outputs


@dataclass(frozen=True, eq=False)
class OfSum(Landscape):
    """mean over D outputs of an outer loss of s = sum_ek a_ek outputs_ek; outputs (E, K, D), target y (D,)."""

    outputs: Any
    target: Any

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.outputs.shape[:2])

    @abstractmethod
    def outer(self, total: Any) -> tuple[Any, Any]:
        """Loss of each output and half of its derivative, (..., D) each, of s (..., D)."""

    def loss(self, gates: Any) -> Any:
        return self.outer(self._sum(gates))[0].sum(axis=-1) / self.outputs.shape[-1]

    def slopes(self, gates: Any) -> Any:
        return self.gradients(gates, 1).gate_gradient

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        depth = self.outputs.shape[-1]
        loss, half = self.outer(self._sum(gates))
        upstream = half * (2 * _one(self.outputs) / depth)
        slopes = (upstream @ self.outputs.reshape(-1, depth).T).reshape(gates.shape)
        return Gradients(
            loss.sum(axis=-1) / depth, slopes * runs, upstream.sum(axis=-1, keepdims=True) + 0 * gates[..., 0]
        )

    def _sum(self, gates: Any) -> Any:
        flat = self.outputs.reshape(-1, self.outputs.shape[-1])
        return gates.reshape(*gates.shape[:-2], flat.shape[0]) @ flat


@dataclass(frozen=True, eq=False)
class Quadratic(OfSum):
    """mean over D outputs of (s - y)^2 + extra s^2: first-order credit is biased here by theorem T5's closed form."""

    extra: Any = 0

    def outer(self, total: Any) -> tuple[Any, Any]:
        error = total - self.target
        bent = self.extra * total
        return error * error + bent * total, error + bent

    def expected(self, probabilities: Any) -> Any:
        return self.loss(probabilities) + self._spread(probabilities)[0]

    def expected_gradient(self, probabilities: Any) -> Any:
        return softmax_pullback(probabilities, self.slopes(probabilities) + self._spread(probabilities)[1])

    @property
    def closed_form(self) -> bool:
        return True

    def _spread(self, probabilities: Any) -> tuple[Any, Any]:
        """(1 + extra) sum_e Var(h_e) / D and its derivative with respect to p: J is the loss at the mean plus this."""
        mean = (probabilities[..., None] * self.outputs).sum(axis=-2)
        square = (self.outputs * self.outputs).sum(axis=-1)
        scale = (1 + self.extra) * _one(self.outputs) / self.outputs.shape[-1]
        variance = (probabilities * square).sum(axis=-1) - (mean * mean).sum(axis=-1)
        slope = square - 2 * (self.outputs * mean[..., None, :]).sum(axis=-1)
        return scale * variance.sum(axis=-1), scale * slope


@dataclass(frozen=True, eq=False)
class Power(OfSum):
    """mean over D outputs of (s - y)^degree: curved along a gate, and rational."""

    degree: int = 2

    def outer(self, total: Any) -> tuple[Any, Any]:
        error = total - self.target
        slope = error ** (self.degree - 1)
        return error * slope, slope * (self.degree * _one(self.outputs) / 2)


@dataclass(frozen=True, eq=False)
class Saturating(OfSum):
    """mean over D outputs of (tanh(s) - y)^2: no polynomial in a gate, and not rational."""

    def outer(self, total: Any) -> tuple[Any, Any]:
        bent = namespace(total).tanh(total)
        error = bent - self.target
        return error * error, error * (1 - bent * bent)


@dataclass(frozen=True, eq=False)
class Normalised(Landscape):
    """1 - (u v)^2 / (|u|^2 |v|^2) + mean over D outputs of (w - y)^2; u, y (D,), outputs (E, K, D).

    v is the sum over the first (E + 1) // 2 edges of sum_k a_ek outputs_ek, w that over the others. Where v = 0, the
    first term is 1.
    """

    outputs: Any
    u: Any
    y: Any

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.outputs.shape[:2])

    @property
    def inside(self) -> int:
        """How many edges are normalised together."""
        return (self.edges + 1) // 2

    def loss(self, gates: Any) -> Any:
        return self.gradients(gates, 1).loss

    def slopes(self, gates: Any) -> Any:
        return self.gradients(gates, 1).gate_gradient

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        xp, depth = namespace(gates), self.y.shape[0]
        own = (gates[..., None] * self.outputs).sum(axis=-2)
        v, miss = own[..., : self.inside, :].sum(axis=-2), own[..., self.inside :, :].sum(axis=-2) - self.y
        size = (v * v).sum(axis=-1, keepdims=True)
        share = (v * self.u).sum(axis=-1, keepdims=True) / xp.where(size == 0, size + 1, size)
        cosine = share * share * size / (self.u * self.u).sum()
        into_v = -2 * share * (self.u - share * v) / (self.u * self.u).sum()
        into_w = 2 * miss / depth
        slopes = xp.stack([into_v] * self.inside + [into_w] * (self.edges - self.inside), axis=-2)
        loss = (1 - cosine)[..., 0] + (miss * miss).sum(axis=-1) / depth
        return Gradients(loss, (slopes[..., None, :] * self.outputs).sum(axis=-1) * runs, slopes.sum(axis=-1))


# ------------------------------------------------------------------ any loss


@dataclass(frozen=True, eq=False)
class Function(Landscape):
    """A user's loss: a function of torch gates (..., E, K) -> (...,), gate gradients by autograd.

    NumPy gates go through torch and come back. The function must accept mixtures of operations.
    """

    function: Callable[[Any], Any]
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        return self.size

    @property
    def compiles(self) -> bool:
        return False

    def loss(self, gates: Any) -> Any:
        return self.function(gates) if _is_torch(gates) else self.function(_tensor(gates)).numpy()

    def slopes(self, gates: Any) -> Any:
        import torch

        with torch.enable_grad():
            inner = _tensor(gates).detach().requires_grad_()
            slopes = torch.autograd.grad(self.function(inner).sum(), inner)[0]
        return slopes if _is_torch(gates) else slopes.numpy()


@dataclass(frozen=True, eq=False)
class Enumerated(Landscape):
    """base, with the losses (K,) * E of its one-hot architectures: J and its gradient where no closed form is known."""

    base: Landscape
    losses: Any

    @classmethod
    def of(cls, base: Landscape, most: int = architectures.LARGEST) -> "Enumerated":
        """The landscape with its losses summed up once. Raises: ValueError above `most` architectures."""
        losses = truth.losses(base, most)
        one_best = int((losses == losses.min()).sum()) == 1
        return cls(base, losses, name=base.name, zero_operation=base.zero_operation, one_best=one_best)

    @property
    def shape(self) -> tuple[int, int]:
        return self.base.shape

    @property
    def closed_form(self) -> bool:
        return True

    @property
    def compiles(self) -> bool:
        return self.base.compiles

    def loss(self, gates: Any) -> Any:
        return self.base.loss(gates)

    def slopes(self, gates: Any) -> Any:
        return self.base.slopes(gates)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        return self.base.gradients(gates, runs)

    def expected(self, probabilities: Any) -> Any:
        return contract(self.losses, probabilities)

    def expected_gradient(self, probabilities: Any) -> Any:
        return softmax_pullback(probabilities, conditional(self.losses, probabilities))

    def extremes(self, most: int) -> Truth | None:
        return truth.of_table(self.losses)


# ------------------------------------------------------------------ helpers


def contract(table: Any, weights: Any, kept: int = 0) -> Any:
    """Sum a table (S,) * (kept + E) over E last axes with weights (..., E, S): (...,), or (..., S) with one kept."""
    edges, size = weights.shape[-2:]
    values = weights[..., -1, :] @ table.reshape(-1, size).T
    for edge in range(edges - 2, -1, -1):
        values = values.reshape(*values.shape[:-1], -1, size)
        values = (values @ weights[..., edge, :, None])[..., 0]
    return values if kept else values[..., 0]


def conditional(table: Any, weights: Any) -> Any:
    """What `contract` gives with each edge held at each of its states in turn, (..., E, S)."""
    xp, edges = namespace(weights), weights.shape[-2]
    columns = []
    for edge in range(edges):
        others = [e for e in range(edges) if e != edge]
        if others:
            columns.append(contract(xp.moveaxis(table, edge, 0), weights[..., others, :], kept=1))
        else:
            columns.append(table + 0 * weights[..., 0, :])
    return xp.stack(columns, axis=-2)


def _one(values: Any) -> Any:
    """One, as `values` hold it, so that a quotient of whole numbers stays rational where they are."""
    return Fraction(1) if _is_rational(values) else 1.0


def _is_rational(values: Any) -> bool:
    return namespace(values) is np and values.dtype.hasobject


def _first_of_equals(unary: Any, factor: Any) -> Any:
    """Of operations with the same numbers, the first; ascending."""
    return np.sort(np.unique(np.stack([unary, factor]).astype(float), axis=1, return_index=True)[1])


def _is_torch(gates: Any) -> bool:
    return namespace(gates) is not np


def _tensor(gates: Any) -> Any:
    import torch

    return (
        gates
        if _is_torch(gates)
        else torch.from_numpy(np.asarray(gates, dtype=None if gates.dtype != object else float))
    )
