"""The written-out backward pass against autograd on a plain cell, in float64, for every way to run the operations."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nas.spaces import recurrent
from nas.tasks.text import cell as cells
from nas.tasks.text.cell import Mix, RecurrentCell

STEPS, BATCH, UNITS = 4, 3, 5
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda u: u,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "zero": torch.zeros_like,
}


def plain_cell(cell: RecurrentCell, weights: dict[str, Tensor], gates: Tensor, x: Tensor, h: Tensor) -> Tensor:
    """The cell of the docstring, word for word, edge by edge: the oracle."""
    places = {edge: (f"source{j}", n, len(edges)) for j, edges in cell.leaving() for n, edge in enumerate(edges)}
    hidden = []
    for word in x:
        gate, new = (word @ weights["input"] + h @ weights["hidden"]).chunk(2, 1)
        nodes = [h + torch.sigmoid(gate) * (torch.tanh(new) - h)]
        for target in range(1, cell.nodes + 1):
            arriving = []
            for edge, (source, end) in enumerate(cell.edges):
                if end != target:
                    continue
                name, number, count = places[edge]
                columns = weights[name].view(UNITS, 2, count, UNITS)[:, :, number]
                node = nodes[source]
                values = [OPERATIONS[op](node @ columns[:, 1]) for op in cell.operations]
                o = sum(a * value for a, value in zip(gates[edge], values, strict=True))
                arriving.append(node + torch.sigmoid(node @ columns[:, 0]) * (o - node))
            nodes.append(torch.stack(arriving).mean(0))
        h = torch.stack(nodes[1:]).mean(0)
        hidden.append(h)
    return torch.stack(hidden)


def mix_of(gates: Tensor, runs: Tensor, operations: tuple[str, ...]) -> Mix:
    return [
        [(k, float(g)) for k, (g, r) in enumerate(zip(row, run, strict=True)) if r and operations[k] != "zero"]
        for row, run in zip(gates, runs, strict=True)
    ]


def case(
    kind: str, nodes: int, edges: recurrent.Edges | None = None
) -> tuple[RecurrentCell, dict[str, Tensor], Tensor, Tensor]:
    space = recurrent.cell_space(nodes, edges=edges)
    cell = RecurrentCell(nodes, UNITS, space.edges, space.operations)
    generator = torch.Generator().manual_seed(nodes)
    weights = {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in cell.shapes().items()}
    one_hot = torch.eye(5, dtype=torch.float64)[torch.arange(len(space.edges)) % 5]
    dense = torch.rand(one_hot.shape, generator=generator, dtype=torch.float64)
    pair = one_hot.roll(1, 1) + one_hot
    gates, runs = {
        "one-hot": (one_hot, one_hot),
        "an edge zeroed": (one_hot * (torch.arange(len(space.edges)) != 1)[:, None], one_hot),
        "an edge scaled": (one_hot * 0.21, one_hot),
        "two paths": (one_hot, pair),
        "dense": (dense, torch.ones_like(dense)),
    }[kind]
    return cell, weights, gates, runs


KINDS = ("one-hot", "an edge zeroed", "an edge scaled", "two paths", "dense")
CELLS = {
    "3 nodes": (3, None),
    "1 node": (1, None),
    "single predecessors": (4, ((0, 1), (0, 2), (2, 3), (0, 4))),
    "far edges": (3, ((0, 1), (1, 2), (0, 3), (1, 3))),
}


@pytest.mark.parametrize(("kind", "shape"), list(itertools.product(KINDS, CELLS)))
def test_equals_autograd_on_the_plain_cell(kind: str, shape: str) -> None:
    cell, weights, gates, runs = case(kind, *CELLS[shape])
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(STEPS, BATCH, UNITS, generator=generator, dtype=torch.float64)
    start = torch.randn(BATCH, UNITS, generator=generator, dtype=torch.float64)
    grad = torch.randn(STEPS, BATCH, UNITS, generator=generator, dtype=torch.float64)
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    x_leaf, gates_leaf = x.clone().requires_grad_(), gates.clone().requires_grad_()
    wanted = plain_cell(cell, leaves, gates_leaf, x_leaf, start)
    of_x, of_gates, *of_weights = torch.autograd.grad(wanted, [x_leaf, gates_leaf, *leaves.values()], grad)
    of_weight = dict(zip(leaves, of_weights, strict=True))
    mix = mix_of(gates, runs, cell.operations)
    for with_weights in (True, False):
        hidden, tape = cells.forward(cell, weights, mix, x, start, record=True)
        torch.testing.assert_close(hidden, wanted.detach())
        assert tape is not None
        found = cells.backward(cell, weights, mix, tape, grad, with_weights, with_gates=True)
        torch.testing.assert_close(found.x, of_x)
        assert found.gates is not None
        torch.testing.assert_close(found.gates, of_gates * (runs > 0))
        assert set(found.weights) == (set(weights) if with_weights else set())
        for name, gradient in found.weights.items():
            torch.testing.assert_close(gradient, of_weight[name])


def test_output_gradient_is_the_sum_over_time_batch_and_units() -> None:
    """A gate that adds the constant one to an edge's output has that derivative."""
    cell, weights, gates, runs = case("one-hot", 3)
    x = torch.randn(STEPS, BATCH, UNITS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    start = torch.zeros(BATCH, UNITS, dtype=torch.float64)
    extra = torch.zeros(len(cell.edges), dtype=torch.float64, requires_grad=True)
    original = OPERATIONS["zero"]
    with_constant = torch.cat((gates[:, :4], extra[:, None]), 1)
    OPERATIONS["zero"] = torch.ones_like
    try:
        (wanted,) = torch.autograd.grad(plain_cell(cell, weights, with_constant, x, start).sum(), extra)
    finally:
        OPERATIONS["zero"] = original
    mix = mix_of(gates, runs, cell.operations)
    hidden, tape = cells.forward(cell, weights, mix, x, start, record=True)
    assert tape is not None
    found = cells.backward(cell, weights, mix, tape, torch.ones_like(hidden), False, with_gates=True)
    assert found.output is not None
    torch.testing.assert_close(found.output, wanted)


def test_without_a_tape_the_result_is_the_same() -> None:
    for kind in KINDS:
        cell, weights, gates, runs = case(kind, 3)
        mix = mix_of(gates, runs, cell.operations)
        x = torch.randn(STEPS, BATCH, UNITS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        start = torch.zeros(BATCH, UNITS, dtype=torch.float64)
        with_tape, _ = cells.forward(cell, weights, mix, x, start, record=True)
        without, tape = cells.forward(cell, weights, mix, x, start, record=False)
        assert tape is None
        assert torch.equal(with_tape, without)


def test_control_a_wrong_derivative_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above fails when one operation's derivative is wrong."""
    right = cells._derive
    monkeypatch.setattr(cells, "_derive", lambda name, *rest: right("identity" if name == "tanh" else name, *rest))
    with pytest.raises(AssertionError):
        test_equals_autograd_on_the_plain_cell("one-hot", "3 nodes")


def test_sparse_propagation_stores_one_operation_an_edge() -> None:
    """Two-path and dense runs store their operations' outputs beside the edge's own; a sparse one stores none."""
    stored = {}
    for kind in ("one-hot", "two paths", "dense"):
        cell, weights, gates, runs = case(kind, 3)
        x, start = torch.zeros(STEPS, BATCH, UNITS, dtype=torch.float64), torch.zeros(BATCH, UNITS, dtype=torch.float64)
        _, tape = cells.forward(cell, weights, mix_of(gates, runs, cell.operations), x, start, record=True)
        assert tape is not None
        stored[kind] = len(tape.outputs)
    assert stored["one-hot"] == 0
    assert stored["two paths"] == 2 * 6 - 2  # `zero`, in two of the six pairs, is never run
    assert stored["dense"] == 4 * 6
