"""What is the recurrent cell? Inner nodes after an input node, an edge from every earlier node, an operation on each.

    |tanh~0|+|relu~0|identity~1|+|zero~0|tanh~1|sigmoid~2|

Node by node, the operation on the edge from each earlier node; node 0 mixes the word with the hidden state. `zero` cuts
the new value off (an edge then only forgets), as in the authors' release of Sato et al. (2021). A cell in which every
node keeps one edge (`single_predecessor`, as Liu et al. 2019 derive theirs) is written the same way: |tanh~0|+|relu~1|.
"""

import re
from collections.abc import Sequence
from functools import cache, partial

from nas.spaces.space import Edges, Space, write_cell

OPERATIONS = ("identity", "tanh", "sigmoid", "relu", "zero")
ZERO = "zero"


@cache
def cell_space(nodes: int = 3, zero: bool = True, edges: Edges | None = None) -> Space:
    """The space of cells with `nodes` inner nodes: every edge j -> i with j < i, or only `edges`.

    Raises: ValueError for fewer than one node, an edge that does not lead forward, or a node without an edge.
    """
    if nodes < 1:
        raise ValueError(f"a recurrent cell needs at least 1 inner node, not {nodes}")
    edges = complete(nodes) if edges is None else edges
    if any(not 0 <= source < target <= nodes for source, target in edges):
        raise ValueError(f"edges lead from an earlier node to one of 1 to {nodes}, not {edges}")
    if len(set(edges)) < len(edges) or {target for _, target in edges} != set(range(1, nodes + 1)):
        raise ValueError(f"every node 1 to {nodes} needs an edge, each edge once, not {edges}")
    edges = tuple(sorted(edges, key=lambda edge: (edge[1], edge[0])))
    operations = OPERATIONS if zero else OPERATIONS[:-1]
    return Space(
        "recurrent",
        edges,
        operations,
        partial(write, edges=edges, operations=operations),
        partial(read, edges=edges, operations=operations),
        ZERO if zero else None,
    )


def complete(nodes: int) -> Edges:
    """All edges j -> i with j < i <= nodes, target by target."""
    return tuple((source, target) for target in range(1, nodes + 1) for source in range(target))


def write(choices: Sequence[int], edges: Edges, operations: Sequence[str] = OPERATIONS) -> str:
    """The architecture string of one operation index an edge. Raises: ValueError for a wrong count or index."""
    return write_cell(edges, operations, choices)


def read(text: str, edges: Edges, operations: Sequence[str] = OPERATIONS) -> tuple[int, ...]:
    """Operation indices, one an edge, of an architecture string. Raises: ValueError: what is wrong with it."""
    own_edges, choices = parse(text, operations)
    if own_edges != edges:
        raise ValueError(f"{text!r} has the edges {own_edges}, not {edges}")
    return choices


def parse(text: str, operations: Sequence[str] = OPERATIONS) -> tuple[Edges, tuple[int, ...]]:
    """Edges and operation indices of an architecture string of any cell. Raises: ValueError: what is wrong with it."""
    edges: list[tuple[int, int]] = []
    choices: list[int] = []
    for target, node in enumerate(text.strip().split("+"), start=1):
        if not re.fullmatch(r"(\|[a-z]+~\d+)+\|", node):
            raise ValueError(f"not a recurrent architecture: {text!r}; write it as |tanh~0|+|relu~0|identity~1|")
        for name, source in re.findall(r"([a-z]+)~(\d+)", node):
            if name not in operations:
                raise ValueError(f"unknown operation {name!r} in {text!r}; known: {', '.join(operations)}")
            if int(source) >= target:
                raise ValueError(f"node {target} of {text!r} takes from node {source}, which is not an earlier one")
            edges.append((int(source), target))
            choices.append(operations.index(name))
    return tuple(edges), tuple(choices)


def single_predecessor(probabilities: Sequence[Sequence[float]], within: Space) -> str:
    """The cell in which every node keeps its one most probable edge, zero aside (Liu et al. 2019, section 2.4).

    probabilities (E, K) of the space `within`. Returns: an architecture string with one edge a node.
    """
    best: dict[int, tuple[float, tuple[int, int], int]] = {}
    for edge, row in zip(within.edges, probabilities, strict=True):
        for operation, probability in enumerate(row):
            if operation != within.zero_operation and probability > best.get(edge[1], (-1.0,))[0]:
                best[edge[1]] = (float(probability), edge, operation)
    kept = [best[target] for target in sorted(best)]
    return write([operation for _, _, operation in kept], tuple(edge for _, edge, _ in kept), within.operations)
