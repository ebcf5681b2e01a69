"""How does a recurrent cell run through a window of text, and how do gradients come back through it?

    node_0 = h + c_0 (tanh(x W_x + h W_h) - h),  c_0 = sigmoid(x V_x + h V_h)
    edge j -> i = node_j + c (o - node_j),  c = sigmoid(node_j V),  o = sum_k a_ek op_k(node_j W)
    node_i = mean of its edges,  next h = mean of node_1 .. node_n

(Sato et al. 2021; the highway form is that of Liu et al. 2019.) The gate a_ek scales an operation's output inside the
highway, so an edge whose gates are zero forgets, and a gate's gradient is <dL/do_e, op_k>, summed over time.

The backward pass is written out: it reuses the forward pass's memory, multiplies all matrices that leave a node at
once, takes each weight gradient as one product over the whole window, and leaves weight gradients out when only the
gates are asked about. Per edge, only the operations that `Mix` names are run and stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from nas.spaces.space import Edges

Mix = Sequence[Sequence[tuple[int, float | Tensor]]]  # per edge: the operations that run, each with its gate
Weights = dict[str, Tensor]

backward_of = torch.ops.aten


@dataclass(frozen=True)
class RecurrentCell:
    """The shape of a cell: its edges by source, its operations' names and its number of units H."""

    nodes: int
    units: int
    edges: Edges
    operations: tuple[str, ...]

    def leaving(self) -> list[tuple[int, list[int]]]:
        """(source node, numbers of the edges that leave it), for every node that edges leave."""
        every = [(j, [e for e, (source, _) in enumerate(self.edges) if source == j]) for j in range(self.nodes + 1)]
        return [(source, edges) for source, edges in every if edges]

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Weight matrices: gates' columns first, then the new values', each edge after edge."""
        units = self.units
        edges = {f"source{j}": (units, 2 * len(edges) * units) for j, edges in self.leaving()}
        return {"input": (units, 2 * units), "hidden": (units, 2 * units), **edges}


@dataclass
class Tape:
    """What a forward pass leaves for the backward pass; the backward pass writes over it.

    x, start: the inputs (T, B, H) and first hidden state (B, H). first: [c_0, tanh] (T, B, 2, H). nodes:
    (T, B, n + 1, H). pairs: per source, [c, o] of its edges (T, B, 2, edges, H). mixed: the same o where gates mix
    operations, and outputs: then the single operations' outputs, per edge and operation (T, B, H).
    """

    x: Tensor
    start: Tensor
    hidden: Tensor
    first: Tensor
    nodes: Tensor
    pairs: list[Tensor]
    mixed: list[Tensor]
    outputs: dict[tuple[int, int], Tensor]


@dataclass(frozen=True)
class CellGradients:
    """x (T, B, H); weights by name, or empty; gates (E, K) and output (E,), the sums over time, or None."""

    x: Tensor
    weights: Weights
    gates: Tensor | None
    output: Tensor | None


def is_plain(mix: Mix) -> bool:
    """Whether every edge runs at most one operation, with gate one: then its output needs no memory of its own."""
    return all(not ops or (len(ops) == 1 and isinstance(ops[0][1], float) and ops[0][1] == 1.0) for ops in mix)


def forward(
    cell: RecurrentCell, weights: Weights, mix: Mix, x: Tensor, start: Tensor, record: bool
) -> tuple[Tensor, Tape | None]:
    """Run the cell over inputs x (T, B, H) from hidden state `start` (B, H). Returns: hidden states (T, B, H), tape.

    Products are taken in the dtype of `weights`, everything else in that of x.
    """
    steps, batch, units = x.shape
    kept = steps if record else 1  # without a tape, every step uses the same memory
    plain, sources = is_plain(mix), _sources(cell, x.dtype, x.device)
    hidden = x.new_empty(steps, batch, units)
    first = _product(x.reshape(-1, units), weights["input"]).view(steps, batch, 2, units)
    nodes = x.new_empty(kept, batch, cell.nodes + 1, units)
    pairs = [x.new_empty(kept, batch, 2, len(source.edges), units) for source in sources]
    mixed = [] if plain else [torch.zeros_like(pair[:, :, 1]) for pair in pairs]
    outputs: dict[tuple[int, int], Tensor] = {}
    tape = Tape(x, start, hidden, first, nodes, pairs, mixed, outputs)
    if not plain:
        for edge, ops in enumerate(mix):
            outputs.update({(edge, k): x.new_empty(kept, batch, units) for k, _ in ops})
    h = start
    for step in range(steps):
        slot = step if record else 0
        node = nodes[slot]
        gate, new = first[step].unbind(1)
        _add_product(first[step].view(batch, 2 * units), h, weights["hidden"])
        torch.lerp(h, new.tanh_(), gate.sigmoid_(), out=node[:, 0])
        node[:, 1:] = 0
        for number, source in enumerate(sources):
            pair, own = pairs[number][slot], node[:, source.node]
            _multiply_into(pair.view(batch, -1), own, weights[source.name])
            pair[:, 0].sigmoid_()
            value = _operate(cell, mix, source, pair[:, 1], slot, mixed[number][slot] if mixed else None, outputs)
            edge_outputs = torch.lerp(own[:, None], value, pair[:, 0])
            if isinstance(source.targets, slice):
                node[:, source.targets].addcmul_(edge_outputs, source.shares)
            else:
                node[:, source.targets] += edge_outputs * source.shares
        h = torch.mean(node[:, 1:], dim=1, out=hidden[step])
    return hidden, tape if record else None


def backward(
    cell: RecurrentCell, weights: Weights, mix: Mix, tape: Tape, grad: Tensor, with_weights: bool, with_gates: bool
) -> CellGradients:
    """Gradients from `grad` (T, B, H) = dL/d(hidden states). The tape is used up."""
    steps, batch, units = tape.x.shape
    sources = _sources(cell, grad.dtype, grad.device)
    sums = _GateSums(grad.new_zeros(len(cell.edges), len(cell.operations)), grad.new_zeros(len(cell.edges)))
    back = grad.new_zeros(batch, units)  # dL/dh from the later steps
    into = grad.new_empty(batch, cell.nodes + 1, units)
    for step in reversed(range(steps)):
        h = tape.hidden[step - 1] if step else tape.start
        node = tape.nodes[step]
        into[:, 0] = 0
        into[:, 1:] = ((grad[step] + back) / cell.nodes)[:, None]
        for number, source in reversed(list(enumerate(sources))):
            pair, own = tape.pairs[number][step], into[:, source.node]
            gate, value = pair[:, 0], (tape.mixed[number][step] if tape.mixed else pair[:, 1])
            arriving = into[:, source.targets] * source.shares
            into_value = gate * arriving
            if with_gates:
                _charge(mix, source, value, into_value, step, tape, sums)
            into_gate = (value - node[:, source.node, None]).mul_(arriving)
            own += arriving.sub_(into_value).sum(1)
            _operate_backward(cell, mix, source, into_value, pair[:, 1], step, tape)
            backward_of.sigmoid_backward.grad_input(into_gate, gate, grad_input=gate)
            _add_product(own, pair.view(batch, -1), weights[source.name].mT)
        gate, new = tape.first[step].unbind(1)
        arriving = into[:, 0]
        into_gate = (new - h).mul_(arriving)
        into_new = gate * arriving
        torch.sub(arriving, into_new, out=back)
        backward_of.sigmoid_backward.grad_input(into_gate, gate, grad_input=gate)
        backward_of.tanh_backward.grad_input(into_new, new, grad_input=new)
        _add_product(back, tape.first[step].view(batch, -1), weights["hidden"].mT)
    into_first = tape.first.view(steps * batch, -1)
    into_x = _product(into_first, weights["input"].mT).view(steps, batch, units)
    gradients = _weight_gradients(cell, weights, tape, into_first) if with_weights else {}
    return CellGradients(into_x, gradients, *((sums.credit, sums.output) if with_gates else (None, None)))


# ------------------------------------------------------------------ operations on the edges that leave one node


def _operate(
    cell: RecurrentCell,
    mix: Mix,
    source: "_Source",
    new: Tensor,
    slot: int,
    mixed: Tensor | None,
    outputs: dict[tuple[int, int], Tensor],
) -> Tensor:
    """o of every edge (B, edges, H) from the new values: in place where one operation runs, else into `mixed`."""
    if mixed is None:
        for position, edge in enumerate(source.edges):
            own = new[:, position]
            _apply(cell.operations[mix[edge][0][0]] if mix[edge] else "zero", own, own)
        return new
    for position, edge in enumerate(source.edges):
        total = mixed[:, position].zero_()
        for k, gate in mix[edge]:
            result = outputs[edge, k][slot]
            _apply(cell.operations[k], new[:, position], result)
            total += result * gate
    return mixed


def _operate_backward(
    cell: RecurrentCell, mix: Mix, source: "_Source", grad: Tensor, into: Tensor, step: int, tape: Tape
) -> None:
    """dL/d(new values) from dL/do, written to `into` (B, edges, H), which holds o itself where one operation runs."""
    for position, edge in enumerate(source.edges):
        if not tape.mixed:
            name = cell.operations[mix[edge][0][0]] if mix[edge] else "zero"
            _derive(name, grad[:, position], into[:, position], into[:, position])
            continue
        total = into[:, position].zero_()
        for k, gate in mix[edge]:
            result = tape.outputs[edge, k][step]
            _derive(cell.operations[k], grad[:, position] * gate, result, result)
            total += result


def _charge(mix: Mix, source: "_Source", value: Tensor, grad: Tensor, step: int, tape: Tape, sums: "_GateSums") -> None:
    """Add this step's <dL/do, op> and sum of dL/do to the gates' and the outputs' gradients."""
    of_output, of_edge = grad.sum((0, 2)), (grad * value).sum((0, 2))
    for position, edge in enumerate(source.edges):
        sums.output[edge] += of_output[position]
        for k, _ in mix[edge]:
            own = (grad[:, position] * tape.outputs[edge, k][step]).sum() if tape.mixed else of_edge[position]
            sums.credit[edge, k] += own


def _apply(name: str, x: Tensor, out: Tensor) -> None:
    if name == "tanh":
        torch.tanh(x, out=out)
    elif name == "sigmoid":
        torch.sigmoid(x, out=out)
    elif name == "relu":
        torch.clamp_min(x, 0, out=out)
    elif name == "zero":
        out.zero_()
    elif out is not x:
        out.copy_(x)


def _derive(name: str, grad: Tensor, result: Tensor, into: Tensor) -> None:
    """grad times the operation's derivative, known from its result."""
    if name == "tanh":
        backward_of.tanh_backward.grad_input(grad, result, grad_input=into)
    elif name == "sigmoid":
        backward_of.sigmoid_backward.grad_input(grad, result, grad_input=into)
    elif name == "relu":
        backward_of.threshold_backward.grad_input(grad, result, 0, grad_input=into)
    elif name == "zero":
        into.zero_()
    else:
        into.copy_(grad)


# ------------------------------------------------------------------ nodes and products


@dataclass(frozen=True)
class _Source:
    """A node with edges leaving it: where they lead (a slice, which needs no copy, where those are neighbours as in a
    complete cell) and the share 1 / (edges of the target) of each, (edges, 1)."""

    node: int
    name: str
    edges: tuple[int, ...]
    targets: slice | Tensor
    shares: Tensor


@cache
def _sources(cell: RecurrentCell, dtype: torch.dtype, device: torch.device) -> tuple[_Source, ...]:
    every = [target for _, target in cell.edges]
    sources = []
    for node, edges in cell.leaving():
        ends = [every[edge] for edge in edges]
        span = slice(ends[0], ends[0] + len(ends))
        targets = span if ends == list(range(span.start, span.stop)) else torch.tensor(ends, device=device)
        shares = torch.tensor([[1 / every.count(target)] for target in ends], dtype=dtype, device=device)
        sources.append(_Source(node, f"source{node}", tuple(edges), targets, shares))
    return tuple(sources)


@dataclass(frozen=True)
class _GateSums:
    """Sums over time: credit (E, K) of the gates, output (E,) of the elements of dL/do."""

    credit: Tensor
    output: Tensor


def _product(a: Tensor, weight: Tensor) -> Tensor:
    return (a.to(weight.dtype) @ weight).to(a.dtype)


def _multiply_into(out: Tensor, a: Tensor, weight: Tensor) -> None:
    if weight.dtype == out.dtype:
        torch.mm(a, weight, out=out)
    else:
        out.copy_(a.to(weight.dtype) @ weight)


def _add_product(to: Tensor, a: Tensor, weight: Tensor) -> None:
    if weight.dtype == to.dtype:
        to.addmm_(a, weight)
    else:
        to += a.to(weight.dtype) @ weight


def _weight_gradients(cell: RecurrentCell, weights: Weights, tape: Tape, into_first: Tensor) -> Weights:
    """One product over the whole window for each matrix."""
    rows, units = into_first.shape[0], cell.units
    before = torch.cat((tape.start[None], tape.hidden[:-1])).view(rows, units)
    gradients = {
        "input": _product_of_rows(tape.x.reshape(rows, units), into_first, weights["input"]),
        "hidden": _product_of_rows(before, into_first, weights["hidden"]),
    }
    for (source, _), pair in zip(cell.leaving(), tape.pairs, strict=True):
        name = f"source{source}"
        node = tape.nodes[:, :, source].to(weights[name].dtype).reshape(rows, units)
        gradients[name] = _product_of_rows(node, pair.view(rows, -1), weights[name])
    return gradients


def _product_of_rows(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    return (a.to(like.dtype).mT @ b.to(like.dtype)).to(b.dtype)
