"""How does a network offer a choice of operations, so that only the chosen ones run?

`Edge([op, op, …])` is a layer like any other; a network that contains edges becomes searchable by wrapping it in
`EdgeNetwork`, whose output is then a function of the input and a `Choice`. Operations that a choice does not run are
neither computed nor stored.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nas.spaces.space import Space


@dataclass(frozen=True)
class Choice:
    """What a network's edges do in one pass. Make one with `choose`.

    gates (E, K), the factor of each operation's output; runs, for each edge the operations that run; values, the gates
    as numbers on the host; probe (E,), zeros added to every element of an edge's output: its gradient is the sum of
    the output's gradient.
    """

    gates: Tensor
    runs: tuple[tuple[int, ...], ...]
    values: tuple[tuple[float, ...], ...]
    probe: Tensor


def choose(gates: Tensor, runs: Tensor, gradients: bool = False) -> Choice:
    """The choice of gates (E, K) that runs the operations where `runs` (E, K) is not zero. Reads both on the host.

    gradients: whether the gates and the probe are leaves that a backward pass differentiates.
    """
    values, flags = torch.stack((gates, runs.to(gates.dtype))).tolist()
    return Choice(
        gates.detach().clone().requires_grad_(gradients),
        tuple(tuple(k for k, flag in enumerate(row) if flag) for row in flags),
        tuple(map(tuple, values)),
        torch.zeros(len(values), dtype=gates.dtype, device=gates.device, requires_grad=gradients),
    )


class Edge(nn.Module):
    """A layer whose operation is searched: sum over the running operations of gate times output.

    operations: modules that take the same input and give outputs of one shape; one may be `None`, the zero operation.
    Edges of the same `name` share one row of the architecture, as the cells of a stack usually do.
    Raises: ValueError if there is no operation beside zero, or more than one zero; in a pass, if an operation changes
    its input in place, returns no tensor, or one of another shape than the others.

    >>> network = nn.Sequential(Edge([nn.Linear(3, 8), nn.Sequential(nn.Linear(3, 8), nn.Tanh())]), nn.Linear(8, 2))
    >>> EdgeNetwork(network).candidates
    2
    """

    def __init__(self, operations: Sequence[nn.Module | None], name: str | None = None) -> None:
        super().__init__()
        zeros = [k for k, operation in enumerate(operations) if operation is None]
        if len(zeros) > 1 or len(zeros) == len(operations):
            raise ValueError(f"an edge needs at least one operation beside zero, and one zero at most: {operations}")
        self.zero = zeros[0] if zeros else None
        self.operations = nn.ModuleList(Zero() if operation is None else operation for operation in operations)
        self.name = name
        self.place = name or ""  # what messages call it
        self.row: tuple[Choice, int] | None = None
        self.known: dict[Any, Tensor] = {}
        self.shapes: dict[Any, torch.Size] = {}

    def forward(self, inputs: Any) -> Any:
        if self.row is None:
            raise ValueError("this edge has no gates yet: call the network through nas.supernets.edge.EdgeNetwork")
        choice, edge = self.row
        total = choice.probe[edge]
        for k in choice.runs[edge]:
            operation = self.operations[k]
            if not isinstance(operation, Zero):
                total = total + choice.gates[edge, k] * self._output(k, inputs)
        return total if total.ndim else total + self._zeros(inputs)

    def alone(self, k: int) -> nn.Module:
        """Operation k by itself."""
        if not isinstance(self.operations[k], Zero):
            return self.operations[k]
        return Cut(next(operation for operation in self.operations if not isinstance(operation, Zero)))

    def _output(self, k: int, inputs: Any) -> Tensor:
        """The output of operation k, if it is one that can be weighed and added, and the input is as it was."""
        before = versions(inputs)
        output = self.operations[k](inputs)
        if not isinstance(output, Tensor):
            raise ValueError(
                f"{self._named(k)} returned a {type(output).__name__}, an edge adds tensors: "
                "wrap it in a module that returns one"
            )
        if versions(inputs) != before:
            raise ValueError(
                f"{self._named(k)} changes its input in place, which others read too: build it with inplace=False"
            )
        if isinstance(inputs, Tensor):
            known = self.shapes.setdefault(inputs.shape, output.shape)
            if known != output.shape:
                raise ValueError(f"{self._named(k)} returned the shape {tuple(output.shape)}, another {tuple(known)}")
        return output

    def _named(self, k: int) -> str:
        return f"operation {k} of edge {self.place}, {' '.join(str(self.operations[k]).split())},"

    def _zeros(self, inputs: Any) -> Tensor:
        """Zeros in the shape of the output, which is asked for once for every kind of input.

        A copy is asked, so that no idle operation learns, counts or remembers; one number is kept.
        """
        kind = (inputs.shape, inputs.dtype, inputs.device) if isinstance(inputs, Tensor) else None
        if kind is None or kind not in self.known:
            some = next(operation for operation in self.operations if not isinstance(operation, Zero))
            with torch.no_grad():
                output = copy.deepcopy(some).eval()(inputs)
            self.known[kind] = output.new_zeros(()).expand(output.shape)
        return self.known[kind]


def versions(inputs: Any) -> list[int]:
    """How often each tensor of an input was changed in place, as PyTorch counts it."""
    parts = inputs if isinstance(inputs, tuple | list) else [inputs]
    return [part._version for part in parts if isinstance(part, Tensor) and not part.is_inference()]


class Zero(nn.Module):
    """The operation whose output is zero. An edge never calls it."""


class Cut(nn.Module):
    """The zero operation by itself: zeros in the shape of another operation's output, whose weights are not its own."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.others = [copy.deepcopy(other).eval()]  # in a list: no part of this network

    def forward(self, inputs: Any) -> Tensor:
        with torch.no_grad():
            return torch.zeros_like(self.others[0](inputs))


class EdgeNetwork(nn.Module):
    """A network of plain PyTorch that contains `Edge` layers, as a function of its input and a `Choice`.

    Rows of the architecture are the edges in the order in which `network.modules()` meets them, one row a name.
    Raises: ValueError if there is no edge or edges differ in their number of operations or in their zero operation.

    >>> model = EdgeNetwork(nn.Sequential(Edge([nn.Identity(), None], name="skip"), nn.Linear(3, 2)))
    >>> model.space("example", ["kept", "cut"]).write([1])
    'skip=cut'
    >>> gates = torch.tensor([[1.0, 0.0]])
    >>> model(torch.ones(4, 3), choose(gates, gates)).shape
    torch.Size([4, 2])
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.rows: dict[str, list[Edge]] = {}
        for path, module in network.named_modules():
            if isinstance(module, Edge):
                module.place = module.name or path
                self.rows.setdefault(module.place, []).append(module)
        all_edges = [edge for edges in self.rows.values() for edge in edges]
        sizes, zeros = {len(edge.operations) for edge in all_edges}, {edge.zero for edge in all_edges}
        if len(sizes) != 1:
            raise ValueError(f"need edges with one number of operations, found {sorted(sizes) or 'no edge'}")
        if len(zeros) != 1:
            raise ValueError(f"need edges with zero in the same place, found it in {sorted(zeros, key=str)}")
        self.candidates, self.zero = sizes.pop(), zeros.pop()

    def forward(self, inputs: Any, choice: Choice) -> Any:
        """The network's output under a choice."""
        for place, edges in enumerate(self.rows.values()):
            for edge in edges:
                edge.row = (choice, place)
        return self.network(inputs)

    def chosen(self, choices: Sequence[int]) -> nn.Module:
        """A copy of the network in which every edge has become its chosen operation: nothing in it is idle.

        Its outputs are this network's under the same choice. Its weights are called as if the operation stood where the
        edge stood, so that they fit a network written without edges.
        Args: choices, the index of an operation for each row. Raises: ValueError for another number of them.

        >>> model = EdgeNetwork(nn.Sequential(Edge([nn.Identity(), nn.Linear(3, 2)])))
        >>> model.chosen([1])
        Sequential(
          (0): Linear(in_features=3, out_features=2, bias=True)
        )
        """
        if len(choices) != len(self.rows) or not all(0 <= choice < self.candidates for choice in choices):
            raise ValueError(f"need {len(self.rows)} choices of 0 to {self.candidates - 1}, not {list(choices)}")
        of = dict(zip(self.rows, choices, strict=True))
        network: nn.Module = copy.deepcopy(self.network)
        for path, module in list(network.named_modules(remove_duplicate=False)):  # one edge may stand in several places
            if isinstance(module, Edge):
                if not path:
                    return module.alone(of[module.place])
                parent, _, name = path.rpartition(".")
                setattr(network.get_submodule(parent), name, module.alone(of[module.place]))
        return network

    def costs(self) -> Tensor:
        """How many parameters the edges of a row spend on an operation, (E, K)."""
        rows = [
            [sum(weight.numel() for edge in edges for weight in edge.operations[k].parameters()) for k in range(K)]
            for edges, K in ((edges, self.candidates) for edges in self.rows.values())
        ]
        return torch.tensor(rows, dtype=torch.get_default_dtype())

    def space(self, name: str, operations: Sequence[str] = ()) -> Space:
        """The search space of the edges found. Architectures are written edge=operation, separated by commas."""
        names = tuple(operations) or tuple(str(k) for k in range(self.candidates))
        if len(names) != self.candidates or len(set(names)) != self.candidates:
            raise ValueError(f"need {self.candidates} different operation names, not {list(names)}")
        rows = tuple(self.rows)

        def write(choices: Sequence[int]) -> str:
            return ",".join(f"{row}={names[choice]}" for row, choice in zip(rows, choices, strict=True))

        def read(text: str) -> tuple[int, ...]:
            named = dict(part.partition("=")[::2] for part in text.split(","))
            if tuple(named) != rows or not set(named.values()) <= set(names):
                raise ValueError(f"not an architecture of {name}: {text!r}; write it as {write([0] * len(rows))}")
            return tuple(names.index(named[row]) for row in rows)

        edges = tuple((place, place + 1) for place in range(len(rows)))
        return Space(name, edges, names, write, read, None if self.zero is None else names[self.zero])
