"""On which problems do the methods run, with what optimum, expected loss and true gradient?

A landscape is an `nas.objective.Objective` that also knows the truth. The same code runs on NumPy arrays and torch
tensors: `placed` moves the parameters. Most losses are affine in each edge's gates; then the expected loss J of a
product policy p is the loss at the mean gates, J = L(p), and its gradient follows from the gate gradient there.

`make` knows them by name: those of `theory.landscapes` (additive, pairwise, xor, trap, quadratic, saturating,
heavy_tailed, nasbench201; the same numbers for the same seed), and

    nk            mean over edges of a table over the edge and `neighbours` others (Kauffman): tunable ruggedness
    plateau       1 - mean over blocks of edges of [the whole block is right]: flat until a block is complete
    ill_scaled    additive, with edges that matter from 1 down to 10^-`decades`
    noisy         additive plus a Student-t(2) disturbance of every operation, fresh each step: infinite variance
    drifting      additive, but an operation's loss falls as it is visited: the first ones tried look good (co-training)
    ordered       additive and convex in the candidate's number: what the binomial family assumes
    bandit        one edge, two arms, losses `level` and `level + gap`: negative, so that a sampled arm is rewarded
    flat          the loss is `level` whatever runs, zeroed edges too: whatever moves here is noise
    coordination  two edges, two candidates, loss 0 if both take the first, 0.5 both the second, 1 otherwise
    toy           the toy regression of Sato et al. (2021) on `inputs` fixed inputs: tanh cells against a random teacher

A user's own is a function of gates: `from_function`, or ``package.module:name`` wherever a name is asked for.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.arrays import namespace
from nas.estimators import softmax_pullback
from nas.objective import Gradients, Objective
from simulate.streams import stream
from theory import landscapes as exact

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


# ------------------------------------------------------------------ by name


def make(name: str, edges: int = 6, candidates: int = 4, seed: int = 0, **options: Any) -> Landscape:
    """The landscape called `name`, parameters NumPy float64.

    name: see the module's head, or ``package.module:name`` of a function (edges, candidates, seed) -> Landscape.
    Raises: ValueError in one line for an unknown name, option or size.
    """
    if edges < 1 or candidates < 1:
        raise ValueError(f"a landscape needs at least one edge and one candidate, not {edges} x {candidates}")
    if ":" in name:
        return _users_own(name, edges, candidates, seed)
    if name in OWN:
        known = sorted(OWN[name].__kwdefaults__ or {})
        for option in options:
            if option not in known:
                raise ValueError(f"unknown option {option!r} of landscape {name}; known: {', '.join(known) or 'none'}")
        return OWN[name](edges, candidates, stream(seed, name), **options)
    if name in exact.LANDSCAPES:
        return _from_theory(exact.make(name, edges, candidates, seed, **options))
    raise ValueError(f"unknown landscape {name!r}; known: {', '.join(names())}, or your own as package.module:name")


def names() -> tuple[str, ...]:
    """All landscapes that `make` knows."""
    return (*exact.LANDSCAPES, *OWN)


def from_function(function: Callable[[Any], Any], edges: int, candidates: int) -> Landscape:
    """A landscape from a torch function of gates (..., E, K) -> loss (...,), which must accept mixtures of operations.

    J, its gradient and the optimum come from all K^E architectures. Raises: ValueError above 2^20 of them.
    """
    import torch

    if candidates**edges > 1 << 20:
        raise ValueError(f"{candidates}^{edges} architectures are too many to sum over; at most {1 << 20}")
    grid = np.indices((candidates,) * edges).reshape(edges, -1).T
    losses = function(torch.from_numpy(np.eye(candidates)[grid])).numpy()
    truth = _truth_of_table(losses.reshape((candidates,) * edges))
    table = losses.reshape((candidates,) * edges)
    return Custom(edges=edges, candidates=candidates, truth=truth, function=function, losses=table)


def _from_theory(known: Any) -> Landscape:
    sizes: dict[str, Any] = {"edges": known.edges, "candidates": known.candidates}
    if known.candidates**known.edges <= 1 << 20 or isinstance(known, exact.Product) or _unary_only(known):
        optimum = None if known.name == "xor" else known.optimum  # half of all architectures are best there
        sizes["truth"] = Truth(optimum, float(known.min_loss), float(known.max_loss))
    if isinstance(known, exact.Bilinear):
        size = known.unary.size
        pair = None if known.pair is None else known.pair.reshape(size, size)
        return Pairwise(unary=known.unary, pair=pair, **sizes)
    if isinstance(known, exact.Product):
        members = np.ones((1, known.edges))
        coefficient = np.array([float(known.coefficient)])
        return Blocks(
            constant=float(known.constant), unary=known.unary, factor=known.factor,
            coefficient=coefficient, members=members, **sizes,
        )  # fmt: skip
    if isinstance(known, exact.Table):
        return Tabled(table=known.table, **sizes)
    if known.name == "quadratic":
        depth = known.outputs.shape[-1]
        at_zero, at_one = known.slope(np.zeros(depth)), known.slope(np.ones(depth))
        outputs = known.outputs.reshape(-1, depth)
        # The slope of a quadratic at 0 and at 1 holds its parameters: -2 y, and 2 (1 + extra) more.
        extra = float((at_one - at_zero)[0] / 2 - 1)
        return Quadratic(outputs=outputs, target=-at_zero / 2, extra=extra, **sizes)
    return from_function(_saturating(known), known.edges, known.candidates)


def _saturating(known: Any) -> Callable[[Any], Any]:
    import torch

    outputs = torch.from_numpy(known.outputs.reshape(-1, known.outputs.shape[-1]))
    target = torch.from_numpy(-known.slope(np.zeros(outputs.shape[-1])) / 2)  # slope -2 y at s = 0

    def loss(gates: Any) -> Any:
        total = torch.tanh(gates.flatten(-2) @ outputs.to(gates)) - target.to(gates)
        return (total * total).mean(dim=-1)

    return loss


def _unary_only(known: Any) -> bool:
    return isinstance(known, exact.Bilinear) and known.pair is None


def _additive_truth(unary: Floats) -> Truth:
    best = tuple(int(k) for k in unary.argmin(axis=-1))
    return Truth(best, float(unary.min(axis=-1).sum()), float(unary.max(axis=-1).sum()))


def _truth_of_table(losses: Floats) -> Truth:
    flat = losses.reshape(-1)
    unique = int((flat == flat.min()).sum()) == 1
    best = tuple(int(k) for k in np.unravel_index(int(flat.argmin()), losses.shape))
    return Truth(best if unique else None, float(flat.min()), float(flat.max()))


def _nk(edges: int, candidates: int, random: np.random.Generator, *, neighbours: int = 2) -> Landscape:
    if not 0 <= neighbours < edges:
        raise ValueError(f"nk needs 0 <= neighbours < edges, not {neighbours} and {edges}")
    if edges * candidates ** (neighbours + 1) > 1 << 20:
        raise ValueError(f"nk with {neighbours} neighbours and {candidates} candidates needs too large tables")
    tables = random.random((edges, *(candidates,) * (neighbours + 1)))
    spots = np.zeros((neighbours + 1, edges, edges))
    for edge in range(edges):
        others = random.permutation([e for e in range(edges) if e != edge])[:neighbours]
        spots[np.arange(neighbours + 1), edge, [edge, *others]] = 1
    made = Summed(edges=edges, candidates=candidates, tables=tables, spots=spots)
    if candidates**edges > 1 << 16:
        return made
    grid = np.indices((candidates,) * edges).reshape(edges, -1).T
    losses = made.loss(np.eye(candidates)[grid]).reshape((candidates,) * edges)
    return replace(made, truth=_truth_of_table(losses))


def _plateau(edges: int, candidates: int, random: np.random.Generator, *, block: int = 2) -> Landscape:
    if not 1 <= block <= edges:
        raise ValueError(f"plateau needs 1 <= block <= edges, not {block} and {edges}")
    best = random.integers(candidates, size=edges)
    count = -(-edges // block)
    members = (np.arange(edges) // block == np.arange(count)[:, None]).astype(float)
    return Blocks(
        edges=edges, candidates=candidates, truth=Truth(tuple(int(k) for k in best), 0.0, 1.0), constant=1.0,
        unary=np.zeros((edges, candidates)), factor=np.eye(candidates)[best],
        coefficient=np.full(count, -1 / count), members=members,
    )  # fmt: skip


def _ill_scaled(edges: int, candidates: int, random: np.random.Generator, *, decades: float = 3.0) -> Landscape:
    scale = 10.0 ** (-decades * np.arange(edges) / max(1, edges - 1))
    unary = scale[:, None] * random.standard_normal((edges, candidates))
    return Pairwise(edges=edges, candidates=candidates, truth=_additive_truth(unary), unary=unary)


def _noisy(edges: int, candidates: int, random: np.random.Generator, *, size: float = 0.5) -> Landscape:
    unary = random.standard_normal((edges, candidates))
    truth = _additive_truth(unary)
    base = Pairwise(edges=edges, candidates=candidates, truth=truth, unary=unary)
    return Noisy(
        edges=edges, candidates=candidates, truth=truth, noise=edges * candidates, base=base, size=size
    )  # fmt: skip


def _drifting(
    edges: int, candidates: int, random: np.random.Generator, *, pace: float = 100.0, head_start: float = 1.0
) -> Landscape:
    final = random.standard_normal((edges, candidates))
    initial = final + head_start * (1 + random.random((edges, candidates)))
    return Drifting(
        edges=edges, candidates=candidates, truth=_additive_truth(final), initial=initial, final=final, pace=pace
    )  # fmt: skip


def _ordered(edges: int, candidates: int, random: np.random.Generator) -> Landscape:
    best = random.integers(candidates, size=(edges, 1))
    unary = ((np.arange(candidates) - best) / max(1, candidates - 1)) ** 2
    return Pairwise(edges=edges, candidates=candidates, truth=_additive_truth(unary), unary=unary)


def _bandit(
    edges: int, candidates: int, random: np.random.Generator, *, level: float = -1.0, gap: float = 0.5
) -> Landscape:
    unary = np.array([[level, level + gap]])
    return Pairwise(edges=1, candidates=2, truth=_additive_truth(unary), unary=unary)


def _flat(edges: int, candidates: int, random: np.random.Generator, *, level: float = -1.0) -> Landscape:
    zeros = np.zeros((edges, candidates))
    return Blocks(
        edges=edges, candidates=candidates, truth=Truth(None, level, level), constant=level,
        unary=zeros, factor=zeros, coefficient=np.zeros(1), members=np.ones((1, edges)),
    )  # fmt: skip


def _coordination(edges: int, candidates: int, random: np.random.Generator) -> Landscape:
    table = np.array([[0.0, 1.0], [1.0, 0.5]])
    pair = np.zeros((2, 2, 2, 2))
    pair[0, :, 1], pair[1, :, 0] = table, table.T
    truth = Truth((0, 0), 0.0, 1.0)
    return Pairwise(edges=2, candidates=2, truth=truth, unary=np.zeros((2, 2)), pair=pair.reshape(4, 4))


def _toy(edges: int, candidates: int, random: np.random.Generator, *, inputs: int = 20) -> Landscape:
    if inputs < 1:
        raise ValueError(f"toy needs at least one input, not {inputs}")
    from simulate import regression

    filters, readout, teacher = regression.weights(random, edges, candidates)
    channels = filters @ regression.random_patches(random, inputs)  # (E, K, 16 B), batch last
    spread = np.repeat(readout, inputs, axis=-1) / edges
    outputs = (np.tanh(channels) * spread[:, None]).reshape(edges, candidates, -1, inputs).sum(axis=2)
    target = outputs[np.arange(edges), teacher].sum(axis=0)
    hard = Quadratic(
        edges=edges, candidates=candidates, outputs=outputs.reshape(edges * candidates, inputs), target=target
    )
    worst = math.nan
    if candidates**edges <= 1 << 16:
        grid = np.indices((candidates,) * edges).reshape(edges, -1).T
        worst = float(hard.loss(np.eye(candidates)[grid]).max())
    truth = Truth(tuple(int(k) for k in teacher), 0.0, worst)
    return Toy(edges=edges, candidates=candidates, truth=truth, channels=channels, readout=spread, hard=hard)


OWN: dict[str, Callable[..., Landscape]] = {
    "nk": _nk,
    "plateau": _plateau,
    "ill_scaled": _ill_scaled,
    "noisy": _noisy,
    "drifting": _drifting,
    "ordered": _ordered,
    "bandit": _bandit,
    "flat": _flat,
    "coordination": _coordination,
    "toy": _toy,
}


# ------------------------------------------------------------------ helpers


def _users_own(name: str, edges: int, candidates: int, seed: int) -> Landscape:
    module, _, attribute = name.partition(":")
    try:
        build = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"cannot load landscape {name!r}: {error}") from error
    made = build(edges, candidates, seed)
    if not isinstance(made, Landscape):
        raise ValueError(f"{name!r} returned a {type(made).__name__}, not a simulate.landscapes.Landscape")
    return made


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
