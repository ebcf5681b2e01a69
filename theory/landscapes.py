"""On which losses is the truth known? Losses of all gates, one-hot, zeroed or mixed, with their exact gradients.

Every landscape is a `nas.objective.Objective` for gates (..., E, K), float64 or object arrays of `Fraction`; a row of
zeros is an edge whose output is zeroed. Parameters are drawn as multiples of 1/64, so the float and the exact
landscape of a seed hold the same numbers, and float sums of few of them are exact.

`make` knows them by name:

    additive      sum_e u_e(a_e): every edge for itself; first-order credit is exact
    pairwise      additive plus a term for each pair of edges; bilinear, so credit is still exact
    xor           1 where an odd number of edges holds an odd operation: no edge alone matters
    trap          every edge alone pays for leaving the optimum's neighbourhood: gradients lead away from the optimum
    quadratic     mean over D outputs of (sum_e h_e - y)^2 + (c/2 - 1)(sum_e h_e)^2: T5 in closed form
    saturating    mean over D outputs of (tanh(sum_e h_e) - y)^2: no polynomial in a gate (float only)
    normalised    1 - cos^2 of the angle between u and the sum of the first half of the edges, plus a quadratic loss of
                  the others: T12, the credits of the first half cancel
    heavy_tailed  an independent Student-t loss for every architecture: no structure at all
    nasbench201   test error in percent of NAS-Bench-201's 15,625 trained cells; `none` is the zeroed edge

Losses of tables (heavy_tailed, nasbench201), of additive, pairwise, xor and trap are affine in each edge's gates: a
mixture of operations costs the mixture of their losses.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nas.data import nasbench201
from nas.objective import Gradients
from theory import architectures

GRID = 64  # parameters are multiples of 1/GRID


def make(
    name: str, edges: int = 6, candidates: int = 4, seed: int = 0, exact: bool = False, **options: Any
) -> "Landscape":
    """The landscape called `name` with E edges and K candidates.

    exact: parameters are `Fraction`, and so are losses of integer or Fraction gates. options: additive, pairwise
    `scale`; quadratic `outputs`, `gate_size`, `curvature`; saturating `outputs`, `gate_size`; heavy_tailed `tail`;
    normalised `outputs`; nasbench201 `dataset`, `column` of the table (default: the data set's test accuracy), `data`
    (a folder).
    Raises: ValueError for an unknown name or option, or a size that the landscape does not have.
    """
    if name not in LANDSCAPES:
        raise ValueError(f"unknown landscape {name!r}; known: {', '.join(LANDSCAPES)}")
    if edges < 1 or candidates < 1:
        raise ValueError(f"a landscape needs at least one edge and one candidate, got {edges} x {candidates}")
    build = LANDSCAPES[name]
    known = [k for k in (build.__kwdefaults__ or {})]
    for option in options:
        if option not in known:
            raise ValueError(f"unknown option {option!r} of landscape {name}; known: {', '.join(known) or 'none'}")
    landscape = build(edges, candidates, np.random.default_rng(seed), exact, **options)
    landscape.name = name
    return landscape


class Landscape(ABC):
    """An `Objective` that also knows its extremes over the K^E one-hot architectures."""

    name: str = ""
    zero_operation: int | None = None

    def __init__(self, edges: int, candidates: int, exact: bool) -> None:
        self.edges, self.candidates, self.exact = edges, candidates, exact

    @abstractmethod
    def loss(self, gates: Any) -> Any:
        """Loss (...,) of gates (..., E, K)."""

    @abstractmethod
    def _gradient(self, gates: Any) -> tuple[Any, Any, Any]:
        """Loss (...,), dense gate gradient (..., E, K), output gradient (..., E)."""

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        """Loss and gate gradient, the latter zero where `runs` is zero."""
        loss, gradient, output = self._gradient(gates)
        return Gradients(loss, gradient * (runs != 0), output)

    @cached_property
    def optimum(self) -> tuple[int, ...]:
        """Operations of the best one-hot architecture, the first of equals."""
        return self._extremes[0]

    @cached_property
    def min_loss(self) -> Any:
        """Smallest loss of the one-hot architectures."""
        return self._extremes[1]

    @cached_property
    def max_loss(self) -> Any:
        """Largest loss of the one-hot architectures."""
        return self._extremes[2]

    @cached_property
    def _extremes(self) -> tuple[tuple[int, ...], Any, Any]:
        best: tuple[int, ...] = ()
        low = high = None
        for choice in architectures.chunks(self.edges, self.candidates, 1 << 14, "extremes"):
            loss = self.loss(architectures.one_hot(choice, self.candidates, self.exact))
            first = int(np.argmin(loss))
            if low is None or loss[first] < low:
                low, best = loss[first], tuple(int(k) for k in choice[first])
            top = loss.max()
            high = top if high is None or top > high else high
        return best, low, high


# ------------------------------------------------------------------ five kinds of loss


class Bilinear(Landscape):
    """sum_e <a_e, unary_e> + 1/2 sum_ef a_e' pair_ef a_f; pair (E, K, E, K) symmetric without a diagonal, or None."""

    def __init__(self, unary: Any, pair: Any = None) -> None:
        super().__init__(unary.shape[0], unary.shape[1], unary.dtype == object)
        self.unary, self.pair = unary, pair

    def loss(self, gates: Any) -> Any:
        return self._gradient(gates)[0]

    def _gradient(self, gates: Any) -> tuple[Any, Any, Any]:
        field = 0 * self.unary
        if self.pair is not None:
            size = self.unary.size
            flat = gates.reshape(*gates.shape[:-2], size)
            field = (flat @ self.pair.reshape(size, size)).reshape(gates.shape)
        loss = (gates * (self.unary + field / 2)).sum(axis=-1).sum(axis=-1)
        return loss, self.unary + field + 0 * gates, 0 * gates.sum(axis=-1)

    @cached_property
    def _extremes(self) -> tuple[tuple[int, ...], Any, Any]:
        if self.pair is not None:
            return super()._extremes
        best = tuple(int(k) for k in np.argmin(self.unary, axis=-1))
        return best, self.unary.min(axis=-1).sum(), self.unary.max(axis=-1).sum()


class Product(Landscape):
    """constant + sum_e <a_e, unary_e> + coefficient prod_e <a_e, factor_e>."""

    def __init__(self, constant: Any, unary: Any, factor: Any, coefficient: Any) -> None:
        super().__init__(unary.shape[0], unary.shape[1], unary.dtype == object)
        self.constant, self.unary, self.factor, self.coefficient = constant, unary, factor, coefficient

    def loss(self, gates: Any) -> Any:
        product = (gates * self.factor).sum(axis=-1).prod(axis=-1)
        return self.constant + (gates * self.unary).sum(axis=-1).sum(axis=-1) + self.coefficient * product

    def _gradient(self, gates: Any) -> tuple[Any, Any, Any]:
        factors = (gates * self.factor).sum(axis=-1)
        others = np.stack([np.delete(factors, edge, axis=-1).prod(axis=-1) for edge in range(self.edges)], axis=-1)
        gradient = self.unary + self.coefficient * others[..., None] * self.factor
        return self.loss(gates), gradient, 0 * factors

    @cached_property
    def _extremes(self) -> tuple[tuple[int, ...], Any, Any]:
        different = [
            np.unique(np.stack([u, f]).astype(float), axis=1, return_index=True)[1]
            for u, f in zip(self.unary, self.factor, strict=True)
        ]
        if int(np.prod([len(d) for d in different])) > 1 << 20:
            return super()._extremes
        choice = np.stack([axis.ravel() for axis in np.meshgrid(*different, indexing="ij")], axis=-1)
        loss = self.loss(architectures.one_hot(choice, self.candidates, self.exact))
        return tuple(int(k) for k in choice[int(np.argmin(loss))]), loss.min(), loss.max()


class Network(Landscape):
    """mean over D outputs of an outer loss of s = sum_e sum_k a_ek outputs_ek, outputs (E, K, D).

    outer and slope: s (..., D) -> the loss of each output and its derivative.
    """

    def __init__(self, outputs: Any, outer: Callable[[Any], Any], slope: Callable[[Any], Any]) -> None:
        super().__init__(outputs.shape[0], outputs.shape[1], outputs.dtype == object)
        self.outputs, self.outer, self.slope = outputs, outer, slope

    def loss(self, gates: Any) -> Any:
        return self.outer(self._sum(gates)).sum(axis=-1) / self.outputs.shape[-1]

    def _gradient(self, gates: Any) -> tuple[Any, Any, Any]:
        total, depth = self._sum(gates), self.outputs.shape[-1]
        slope = self.slope(total) / depth
        gradient = (slope @ self.outputs.reshape(-1, depth).T).reshape(gates.shape)
        output_gradient = slope.sum(axis=-1)[..., None] + 0 * gates.sum(axis=-1)
        return self.outer(total).sum(axis=-1) / depth, gradient, output_gradient

    def _sum(self, gates: Any) -> Any:
        flat = self.outputs.reshape(-1, self.outputs.shape[-1])
        return gates.reshape(*gates.shape[:-2], flat.shape[0]) @ flat


class Normalised(Landscape):
    """1 - (u v)^2 / (|u|^2 |v|^2) + mean over D outputs of (w - y)^2; u, y (D,), outputs (E, K, D).

    v is the sum over the first (E + 1) // 2 edges of sum_k a_ek outputs_ek, w that over the others. Where v = 0, the
    first term is 1.
    """

    def __init__(self, outputs: Any, u: Any, y: Any) -> None:
        super().__init__(outputs.shape[0], outputs.shape[1], outputs.dtype == object)
        self.outputs, self.u, self.y, self.inside = outputs, u, y, (outputs.shape[0] + 1) // 2

    def loss(self, gates: Any) -> Any:
        return self._gradient(gates)[0]

    def _gradient(self, gates: Any) -> tuple[Any, Any, Any]:
        own = (gates[..., None] * self.outputs).sum(axis=-2)
        v, miss = own[..., : self.inside, :].sum(axis=-2), own[..., self.inside :, :].sum(axis=-2) - self.y
        size = (v * v).sum(axis=-1, keepdims=True)
        share = (v * self.u).sum(axis=-1, keepdims=True) / np.where(size == 0, size + 1, size)
        cosine = share * share * size / (self.u * self.u).sum()
        into_v = -2 * share * (self.u - share * v) / (self.u * self.u).sum()
        into_w = 2 * miss / len(self.y)
        slopes = np.stack([into_v] * self.inside + [into_w] * (self.edges - self.inside), axis=-2)
        loss = (1 - cosine)[..., 0] + (miss * miss).sum(axis=-1) / len(self.y)
        return loss, (slopes[..., None, :] * self.outputs).sum(axis=-1), slopes.sum(axis=-1)


class Table(Landscape):
    """Any loss of K + 1 states an edge, table (K + 1,) * E; the last state is the zeroed edge. Affine in each row."""

    def __init__(self, table: Any) -> None:
        super().__init__(table.ndim, table.shape[0] - 1, table.dtype == object)
        self.table = np.ascontiguousarray(table)
        states = table.shape[0]
        self.strides = states ** np.arange(table.ndim - 1, -1, -1)
        # state K for a row of zeros, state k for a one at k: K - sum_k a_k (K - k)
        self.steps = np.arange(states - 1, 0, -1) * self.strides[:, None]

    def loss(self, gates: Any) -> Any:
        if _are_one_hot(gates):
            return self.table.reshape(-1)[self._numbers(gates)]
        if _nearly_one_hot(gates):
            return self._by_terms(gates)[0]
        return self._by_contraction(gates)[0]

    def _gradient(self, gates: Any) -> tuple[Any, Any, Any]:
        if _are_one_hot(gates):
            flat = self.table.reshape(-1)
            number = self._numbers(gates)
            zeroed = number[..., None] + (gates * self.steps).sum(axis=-1).astype(np.int64)
            gradient = flat[zeroed[..., None] - self.steps] - flat[zeroed][..., None]
            return flat[number], gradient, 0 * gates.sum(axis=-1)
        loss, gradient = self._by_terms(gates) if _nearly_one_hot(gates) else self._by_contraction(gates)
        return loss, gradient, 0 * gates.sum(axis=-1)

    def _numbers(self, gates: Any) -> Any:
        """Position in the flat table of one-hot or zero rows."""
        first = (self.table.shape[0] - 1) * int(self.strides.sum())
        flat = gates.reshape(*gates.shape[:-2], self.steps.size).astype(np.float64)
        return first - (flat @ self.steps.ravel().astype(np.float64)).astype(np.int64)

    def _by_terms(self, gates: Any) -> tuple[Any, Any]:
        """Loss and gradient as sums over the few states with a non-zero weight."""
        states = _with_zero_state(gates.reshape(-1, self.edges, self.candidates))
        slopes = []
        for edge in range(self.edges):
            owner, weight, number = np.arange(len(states)), states[:, 0, 0] * 0 + 1, np.zeros(len(states), np.int64)
            for other in set(range(self.edges)) - {edge}:
                row, state = np.nonzero(states[owner, other])
                weight = weight[row] * states[owner[row], other, state]
                number = number[row] + state * self.strides[other]
                owner = owner[row]
            columns = []
            for own in range(self.candidates + 1):
                column = 0 * states[:, 0, 0]
                np.add.at(column, owner, weight * self.table.reshape(-1)[number + own * self.strides[edge]])
                columns.append(column)
            slopes.append(np.stack(columns, axis=-1))
        return self._from_slopes(gates, states, np.stack(slopes, axis=-2))

    def _by_contraction(self, gates: Any) -> tuple[Any, Any]:
        """Loss and gradient by contracting one edge after the other and going back, a chunk of gates at a time."""
        states = _with_zero_state(gates.reshape(-1, self.edges, self.candidates))
        size = self.candidates + 1
        step = max(1, (1 << 22) * size // self.table.size)
        slopes = []
        for start in range(0, len(states), step):
            rows = states[start : start + step]
            partial = [self.table.reshape(1, size, -1)]
            for edge in range(self.edges - 1):
                partial.append(_weigh(rows[:, edge], partial[-1]).reshape(len(rows), size, -1))
            back = rows[:, :1, 0] * 0 + 1
            slope = []
            for edge in range(self.edges - 1, -1, -1):
                slope.append(_pair_up(partial[edge], back))
                back = (rows[:, edge, :, None] * back[:, None, :]).reshape(len(rows), -1) if edge else back
            slopes.append(np.stack(slope[::-1], axis=-2))
        return self._from_slopes(gates, states, np.concatenate(slopes))

    def _from_slopes(self, gates: Any, states: Any, slopes: Any) -> tuple[Any, Any]:
        loss = (states[:, 0] * slopes[:, 0]).sum(axis=-1).reshape(gates.shape[:-2])
        return loss, (slopes[..., :-1] - slopes[..., -1:]).reshape(gates.shape)


# ------------------------------------------------------------------ the landscapes by name


def _additive(edges: int, candidates: int, rng: np.random.Generator, exact: bool, *, scale: float = 1.0) -> Landscape:
    return Bilinear(_numbers(scale * rng.standard_normal((edges, candidates)), exact))


def _pairwise(edges: int, candidates: int, rng: np.random.Generator, exact: bool, *, scale: float = 1.0) -> Landscape:
    unary = _numbers(scale * rng.standard_normal((edges, candidates)), exact)
    pair = _numbers(scale * rng.standard_normal((edges, candidates, edges, candidates)), exact)
    above = np.triu(np.ones((edges, edges), dtype=int), 1)[:, None, :, None] * pair
    return Bilinear(unary, above + above.transpose(2, 3, 0, 1))


def _xor(edges: int, candidates: int, rng: np.random.Generator, exact: bool) -> Landscape:
    sign = _numbers(np.broadcast_to(1.0 - 2.0 * (np.arange(candidates) % 2), (edges, candidates)), exact)
    half = Fraction(1, 2) if exact else 0.5
    return Product(half, 0 * sign, sign, -half)


def _trap(edges: int, candidates: int, rng: np.random.Generator, exact: bool) -> Landscape:
    best = rng.integers(candidates, size=edges)
    hit = _numbers(np.eye(candidates)[best], exact)
    one = Fraction(1) if exact else 1.0
    return Product(one / edges, hit / edges, hit, -(one + one / edges))


def _quadratic(
    edges: int,
    candidates: int,
    rng: np.random.Generator,
    exact: bool,
    *,
    outputs: int = 4,
    gate_size: float = 1.0,
    curvature: float = 2.0,
) -> Landscape:
    h = _numbers(gate_size * rng.standard_normal((edges, candidates, outputs)), exact)
    y = _numbers(rng.standard_normal(outputs), exact)
    extra = _numbers(np.array(curvature / 2 - 1), exact)[()]
    return Network(h, lambda s: (s - y) * (s - y) + extra * s * s, lambda s: 2 * (s - y) + 2 * extra * s)


def _saturating(
    edges: int,
    candidates: int,
    rng: np.random.Generator,
    exact: bool,
    *,
    outputs: int = 4,
    gate_size: float = 1.0,
) -> Landscape:
    if exact:
        raise ValueError("the saturating landscape has no exact form: tanh of a rational number is irrational")
    h = _numbers(gate_size * rng.standard_normal((edges, candidates, outputs)), exact)
    y = _numbers(rng.standard_normal(outputs), exact)
    return Network(h, lambda s: (np.tanh(s) - y) ** 2, lambda s: 2 * (np.tanh(s) - y) * (1 - np.tanh(s) * np.tanh(s)))


def _normalised(edges: int, candidates: int, rng: np.random.Generator, exact: bool, *, outputs: int = 4) -> Landscape:
    h = _numbers(rng.standard_normal((edges, candidates, outputs)), exact)
    u, y = (_numbers(rng.standard_normal(outputs), exact) for _ in range(2))
    return Normalised(h, u, y)


def _heavy_tailed(
    edges: int, candidates: int, rng: np.random.Generator, exact: bool, *, tail: float = 2.0
) -> Landscape:
    _check_table(edges, candidates)
    return Table(_numbers(rng.standard_t(tail, (candidates + 1,) * edges), exact))


def _nasbench201(
    edges: int,
    candidates: int,
    rng: np.random.Generator,
    exact: bool,
    *,
    dataset: str = "cifar10",
    column: str | None = None,
    data: Path | None = None,
) -> Landscape:
    if (edges, candidates) != (6, 4):
        raise ValueError(f"nasbench201 has 6 edges and 4 candidates without `none`, not {edges} and {candidates}")
    if dataset not in nasbench201.DATASETS:
        raise ValueError(f"unknown data set {dataset!r}; known: {', '.join(nasbench201.DATASETS)}")
    accuracy = nasbench201.load(data).cube(column or f"{dataset}_test")
    error = np.roll(np.round(100 - accuracy, 6), -1, axis=tuple(range(6)))  # `none` first there, zeroed last here
    return Table(np.vectorize(lambda e: Fraction(repr(float(e))), otypes=[object])(error) if exact else error)


LANDSCAPES: dict[str, Callable[..., Landscape]] = {
    "additive": _additive,
    "pairwise": _pairwise,
    "xor": _xor,
    "trap": _trap,
    "quadratic": _quadratic,
    "saturating": _saturating,
    "normalised": _normalised,
    "heavy_tailed": _heavy_tailed,
    "nasbench201": _nasbench201,
}


# ------------------------------------------------------------------ helpers


def _numbers(values: Any, exact: bool) -> Any:
    """Rounded to the grid: float64, or the same numbers as Fractions."""
    steps = np.round(np.asarray(values, dtype=float) * GRID)
    if not exact:
        return steps / GRID
    fractions = np.empty(steps.shape, dtype=object)
    for index in np.ndindex(steps.shape):
        fractions[index] = Fraction(int(steps[index]), GRID)
    return fractions


def _check_table(edges: int, candidates: int) -> None:
    entries = (candidates + 1) ** edges
    if entries > 2 * architectures.LARGEST:
        raise ValueError(
            f"a table of {candidates + 1}^{edges} = {entries:.3g} losses does not fit in memory; "
            "take fewer edges or candidates, or a landscape with structure"
        )


def _are_one_hot(gates: Any) -> bool:
    return bool(((gates == 0) | (gates == 1)).all()) and bool((gates.sum(axis=-1) <= 1).all())


def _nearly_one_hot(gates: Any) -> bool:
    """Whether rows with more than one state are so few that a sum over states is short."""
    mixed = ((gates != 0).sum(axis=-1) + (gates.sum(axis=-1) != 1)).prod(axis=-1)
    return bool(np.size(mixed)) and float(np.mean(mixed)) <= 8


def _with_zero_state(gates: Any) -> Any:
    """Weights (n, E, K + 1) of the states: the operations, and zeroed with what is left of one."""
    return np.concatenate((gates, 1 - gates.sum(axis=-1, keepdims=True)), axis=-1)


def _weigh(weights: Any, values: Any) -> Any:
    """Contract (n, s) with (n or 1, s, r) -> (n, r)."""
    if values.shape[0] == 1:
        return weights @ values[0]
    return (weights[:, None, :] @ values)[:, 0]


def _pair_up(values: Any, weights: Any) -> Any:
    """Contract (n or 1, s, r) with (n, r) -> (n, s)."""
    if values.shape[0] == 1:
        return weights @ values[0].T
    return (values @ weights[..., None])[..., 0]
