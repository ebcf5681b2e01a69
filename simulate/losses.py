"""What kinds of loss do landscapes have, and what is known of each?

A landscape is an `nas.objective.Objective` that also knows the truth. The same code runs on NumPy arrays and torch
tensors: `placed` moves the parameters. Most losses are affine in each edge's gates; then the expected loss J of a
product policy p is the loss at the mean gates, J = L(p), and its gradient follows from the gate gradient there.
`simulate.landscapes` fills them with numbers, by name.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.arrays import namespace
from nas.estimators import softmax_pullback
from nas.objective import Gradients, Objective

Floats = npt.NDArray[np.float64]
Visits = Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """What is known: optimum, operations (E,) of the best architecture if there is one best; smallest, largest loss."""

    optimum: tuple[int, ...] | None = None
    best: float = math.nan
    worst: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Base of all: sizes, truth, and the defaults of a fixed, noiseless loss that is affine in each edge's gates."""

    edges: int
    candidates: int
    truth: Truth = Truth()
    zero_operation: int | None = None
    noise: int = 0  # uniforms that one minibatch consumes
    compiles: bool = True  # whether loss and gradients run inside torch.compile
    worlds: tuple[str, ...] = ("numpy", "torch")

    def loss(self, gates: Any) -> Any:
        """Loss (...,) of gates (..., E, K)."""
        raise NotImplementedError

    def slopes(self, gates: Any) -> Any:
        """Dense gate gradient (..., E, K)."""
        raise NotImplementedError

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        """Loss and gate gradients, zero where an operation did not run; edges have no output tensor."""
        return Gradients(self.loss(gates), self.slopes(gates) * runs, 0 * gates[..., 0])

    def start(self, logits: Any) -> Visits:
        """State of the landscape before the first step, for logits (R, E, K); arrays with R first, or nothing."""
        return {}

    def minibatch(self, visits: Visits, noise: Any) -> Objective[Any]:
        """The loss on one minibatch, noise (R, `noise`) uniform on [0, 1)."""
        return self

    def visit(self, visits: Visits, gates: Any) -> Visits:
        """The state after a step that ran `gates` (R, E, K)."""
        return visits

    def expected(self, visits: Visits, probabilities: Any) -> Any:
        """J (R,) of a policy (R, E, K), exact."""
        return self.loss(probabilities)

    def gradient(self, visits: Visits, probabilities: Any) -> Any:
        """Exact gradient of J with respect to logits (R, E, K): p (q - J), q_ek = E[L | a_e = k]."""
        return softmax_pullback(probabilities, self.slopes(probabilities))

    def placed(self, convert: Callable[[Floats], Any]) -> "Landscape":
        """The same landscape with every parameter array converted: to another world, type or device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: convert(v) for name, v in values.items() if isinstance(v, np.ndarray)}
        moved |= {name: v.placed(convert) for name, v in values.items() if isinstance(v, Landscape)}
        return replace(self, **moved)


# ------------------------------------------------------------------ kinds of loss


@dataclass(frozen=True, kw_only=True)
class Pairwise(Landscape):
    """sum_e <a_e, unary_e> + a' pair a / 2; unary (E, K), pair (E K, E K) symmetric, no diagonal blocks, or None."""

    unary: Any
    pair: Any = None

    def loss(self, gates: Any) -> Any:
        return (gates * (self.unary + self._field(gates) / 2)).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self.unary + self._field(gates) + 0 * gates

    def _field(self, gates: Any) -> Any:
        if self.pair is None:
            return 0 * gates
        flat = gates.reshape(*gates.shape[:-2], self.edges * self.candidates)
        return (flat @ self.pair).reshape(gates.shape)


@dataclass(frozen=True, kw_only=True)
class Blocks(Landscape):
    """constant + sum_e <a_e, unary_e> + sum_b coefficient_b prod_{e in b} <a_e, factor_e>; members (B, E) 0 or 1."""

    constant: float
    unary: Any
    factor: Any
    coefficient: Any
    members: Any

    def loss(self, gates: Any) -> Any:
        return self.constant + (gates * self.unary).sum(axis=-1).sum(axis=-1) + self._products(gates)[1]

    def slopes(self, gates: Any) -> Any:
        return self.unary + self._products(gates)[0][..., None] * self.factor

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


@dataclass(frozen=True, kw_only=True)
class Quadratic(Landscape):
    """mean over D outputs of (s - y)^2 + extra s^2, s = sum_ek a_ek outputs_ek; outputs (E K, D), target y (D,).

    Not affine in a gate: first-order credit is biased here by theorem T5's closed form.
    """

    outputs: Any
    target: Any
    extra: float = 0.0

    def loss(self, gates: Any) -> Any:
        total = self._sum(gates)
        return ((total - self.target) ** 2 + self.extra * total**2).sum(axis=-1) / self.target.shape[0]

    def slopes(self, gates: Any) -> Any:
        return self.gradients(gates, 1).gate_gradient

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        total, depth = self._sum(gates), self.target.shape[0]
        error = total - self.target
        loss = (error * error + self.extra * total * total).sum(axis=-1) / depth
        upstream = (2 / depth) * (error + self.extra * total)
        slopes = (upstream @ self.outputs.T).reshape(gates.shape)
        return Gradients(loss, slopes * runs, upstream.sum(axis=-1)[..., None] + 0 * gates[..., 0])

    def expected(self, visits: Visits, probabilities: Any) -> Any:
        return self.loss(probabilities) + self._spread(probabilities)[0]

    def gradient(self, visits: Visits, probabilities: Any) -> Any:
        return softmax_pullback(probabilities, self.slopes(probabilities) + self._spread(probabilities)[1])

    def _sum(self, gates: Any) -> Any:
        return gates.reshape(*gates.shape[:-2], self.edges * self.candidates) @ self.outputs

    def _spread(self, probabilities: Any) -> tuple[Any, Any]:
        """(1 + extra) sum_e Var(h_e) / D and its derivative with respect to p: J is the loss at the mean plus this."""
        by_edge = self.outputs.reshape(self.edges, self.candidates, -1)
        mean = (probabilities[..., None] * by_edge).sum(axis=-2)
        square = (by_edge * by_edge).sum(axis=-1)
        scale = (1 + self.extra) / self.target.shape[0]
        variance = (probabilities * square).sum(axis=-1) - (mean * mean).sum(axis=-1)
        slope = square - 2 * (by_edge * mean[..., None, :]).sum(axis=-1)
        return scale * variance.sum(axis=-1), scale * slope


@dataclass(frozen=True, kw_only=True)
class Toy(Landscape):
    """The toy regression on a fixed set of B inputs: `simulate.regression` with its convolutions done beforehand.

    channels (E, K, 16 B), what each filter makes of the inputs; readout (E, 16 B), the weight of each position in the
    output; hard, the quadratic landscape that the loss is for one-hot gates, where it knows J.
    """

    channels: Any
    readout: Any
    hard: Quadratic

    def loss(self, gates: Any) -> Any:
        return self._run(gates)[0]

    def slopes(self, gates: Any) -> Any:
        return self.gradients(gates, 1).gate_gradient

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        loss, error, hidden = self._run(gates)
        size = error.shape[-1]
        upstream = namespace(gates).concatenate([error * (2 / size)] * (self.readout.shape[-1] // size), axis=-1)
        slope = upstream * self.readout[:, None] * (1 - hidden * hidden)  # dL / d(output of edge e), (E, N, 16 B)
        by_path = namespace(gates).moveaxis(slope @ self.channels.swapaxes(-1, -2), 0, 1).reshape(gates.shape)
        outputs = namespace(gates).moveaxis(slope.sum(axis=-1), 0, 1).reshape(gates.shape[:-1])
        return Gradients(loss, by_path * runs, outputs)

    def expected(self, visits: Visits, probabilities: Any) -> Any:
        return self.hard.expected(visits, probabilities)

    def gradient(self, visits: Visits, probabilities: Any) -> Any:
        return self.hard.gradient(visits, probabilities)

    def _run(self, gates: Any) -> tuple[Any, Any, Any]:
        """Loss (...,), error (N, B) and tanh outputs (E, N, 16 B) of N = ... evaluations."""
        xp = namespace(gates)
        flat = gates.reshape(-1, self.edges, self.candidates)
        hidden = xp.tanh(xp.moveaxis(flat, 0, 1) @ self.channels)
        read = (hidden * self.readout[:, None]).sum(axis=0)
        error = read.reshape(flat.shape[0], -1, self.hard.target.shape[0]).sum(axis=1) - self.hard.target
        return (error * error).mean(axis=-1).reshape(gates.shape[:-2]), error, hidden


@dataclass(frozen=True, kw_only=True)
class Tabled(Landscape):
    """Any loss of K + 1 states an edge, table (K + 1,) * E, the last state the zeroed edge; affine in each row."""

    table: Any
    compiles: bool = False

    def loss(self, gates: Any) -> Any:
        if bool((gates * (1 - gates) == 0).all()):
            return self.table.reshape(-1)[self._number(gates)]
        return _contract(self.table, _states(gates))

    def slopes(self, gates: Any) -> Any:
        states, columns = _states(gates), []
        for edge in range(self.edges):
            xp = namespace(gates)
            others = [e for e in range(self.edges) if e != edge]
            column = _contract(xp.moveaxis(self.table, edge, 0), states[..., others, :], kept=1)
            columns.append(column[..., :-1] - column[..., -1:])
        return namespace(gates).stack(columns, axis=-2)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        if runs is not gates or not bool((gates * (1 - gates) == 0).all()):
            return super().gradients(gates, runs)
        number = self._number(gates)
        flat, strides = self.table.reshape(-1), self._strides(gates)
        shift = strides * _whole(self.candidates * gates.sum(axis=-1) - (gates * _order(gates)).sum(axis=-1))
        zeroed = flat[number[..., None] + shift]
        return Gradients(flat[number], gates * (flat[number][..., None] - zeroed)[..., None], 0 * gates[..., 0])

    def _number(self, gates: Any) -> Any:
        """Position in the flat table of one-hot or zero rows, (...,)."""
        state = (gates * _order(gates)).sum(axis=-1) + self.candidates * (1 - gates.sum(axis=-1))
        return (_whole(state) * self._strides(gates)).sum(axis=-1)

    def _strides(self, gates: Any) -> Any:
        ones = namespace(gates).ones_like(_whole(gates[..., 0]))
        return namespace(gates).flip(namespace(gates).cumprod(ones * (self.candidates + 1), 0 - 1), (-1,)) // (
            self.candidates + 1
        )


@dataclass(frozen=True, kw_only=True)
class Summed(Landscape):
    """mean_e tables_e[a_e, a_n1, ..., a_nm] of edges and m neighbours; tables (E, K, ..., K), spots (m + 1, E, E).

    spots_i is the 0/1 matrix that takes edge values to the i-th argument of each table.
    """

    tables: Any
    spots: Any

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


@dataclass(frozen=True, kw_only=True)
class Noisy(Landscape):
    """base plus sum_e <a_e, size t>, t a fresh Student-t(2) number for each operation: zero mean, infinite variance."""

    base: Landscape
    size: float

    def minibatch(self, visits: Visits, noise: Any) -> Objective[Any]:
        inside = noise.reshape(-1, self.edges, self.candidates) * (1 - 2.0**-23) + 2.0**-24
        disturbance = self.size * (2 * inside - 1) / (2 * inside * (1 - inside)) ** 0.5  # inverse CDF of t(2)
        return _Disturbed(edges=self.edges, candidates=self.candidates, base=self.base, disturbance=disturbance)

    def loss(self, gates: Any) -> Any:
        return self.base.loss(gates)

    def slopes(self, gates: Any) -> Any:
        return self.base.slopes(gates)


@dataclass(frozen=True, kw_only=True)
class _Disturbed(Landscape):
    base: Landscape
    disturbance: Any  # (R, E, K)

    def loss(self, gates: Any) -> Any:
        return self.base.loss(gates) + (gates * self._aligned(gates)).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self.base.slopes(gates) + self._aligned(gates)

    def _aligned(self, gates: Any) -> Any:
        rows, edges, candidates = self.disturbance.shape
        return self.disturbance.reshape(rows, *(1,) * (gates.ndim - 3), edges, candidates)


@dataclass(frozen=True, kw_only=True)
class Drifting(Landscape):
    """sum_e <a_e, l_e>, l = final + (initial - final) exp(-visits / pace): an operation's loss falls as it is visited.

    J and its gradient are those of the present losses; optimum, best and worst those of the final ones.
    """

    initial: Any
    final: Any
    pace: float

    def start(self, logits: Any) -> Visits:
        return {"visits": 0 * logits}

    def visit(self, visits: Visits, gates: Any) -> Visits:
        return {"visits": visits["visits"] + gates}

    def minibatch(self, visits: Visits, noise: Any) -> Objective[Any]:
        return _Moment(edges=self.edges, candidates=self.candidates, losses=self._losses(visits))

    def expected(self, visits: Visits, probabilities: Any) -> Any:
        return (probabilities * self._losses(visits)).sum(axis=-1).sum(axis=-1)

    def gradient(self, visits: Visits, probabilities: Any) -> Any:
        return softmax_pullback(probabilities, self._losses(visits))

    def loss(self, gates: Any) -> Any:
        return (gates * self.final).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self.final + 0 * gates

    def _losses(self, visits: Visits) -> Any:
        seen = visits["visits"]
        return self.final + (self.initial - self.final) * namespace(seen).exp(-seen / self.pace)


@dataclass(frozen=True, kw_only=True)
class _Moment(Landscape):
    losses: Any  # (R, E, K)

    def loss(self, gates: Any) -> Any:
        return (gates * self._aligned(gates)).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self._aligned(gates) + 0 * gates

    def _aligned(self, gates: Any) -> Any:
        rows, edges, candidates = self.losses.shape
        return self.losses.reshape(rows, *(1,) * (gates.ndim - 3), edges, candidates)


@dataclass(frozen=True, kw_only=True)
class Custom(Landscape):
    """A user's loss, a torch function of gates (..., E, K); gate gradients by autograd, J by summing all K^E."""

    function: Callable[[Any], Any]
    losses: Any  # (K,) * E, of the one-hot architectures
    compiles: bool = False
    worlds: tuple[str, ...] = ("torch",)

    def loss(self, gates: Any) -> Any:
        return self.function(gates)

    def slopes(self, gates: Any) -> Any:
        import torch

        with torch.enable_grad():
            inner = gates.detach().requires_grad_()
            return torch.autograd.grad(self.function(inner).sum(), inner)[0]

    def expected(self, visits: Visits, probabilities: Any) -> Any:
        return _contract(self.losses, probabilities)

    def gradient(self, visits: Visits, probabilities: Any) -> Any:
        columns = []
        for edge in range(self.edges):
            others = [e for e in range(self.edges) if e != edge]
            table = namespace(probabilities).moveaxis(self.losses, edge, 0)
            columns.append(_contract(table, probabilities[..., others, :], kept=1))
        return softmax_pullback(probabilities, namespace(probabilities).stack(columns, axis=-2))


# ------------------------------------------------------------------ helpers


def _states(gates: Any) -> Any:
    """Weights (..., E, K + 1) of the states of each edge: its operations, and zeroed with what is left of one."""
    return namespace(gates).concatenate((gates, 1 - gates.sum(axis=-1, keepdims=True)), axis=-1)


def _contract(table: Any, weights: Any, kept: int = 0) -> Any:
    """Sum a table (S,) * (kept + E) over E last axes with weights (..., E, S): (...,), or (..., S) with one kept."""
    edges, size = weights.shape[-2:]
    values = weights[..., -1, :] @ table.reshape(-1, size).T
    for edge in range(edges - 2, -1, -1):
        values = values.reshape(*values.shape[:-1], -1, size)
        values = (values @ weights[..., edge, :, None])[..., 0]
    return values if kept else values[..., 0]


def _order(gates: Any) -> Any:
    return namespace(gates).cumsum(namespace(gates).ones_like(gates), -1) - 1


def _whole(values: Any) -> Any:
    xp = namespace(values)
    rounded = xp.round(values)
    return rounded.astype(np.int64) if xp is np else rounded.to(xp.int64)
