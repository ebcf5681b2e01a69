"""What is a search space? Edges between the nodes of a cell, and the operations that compete on every edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Edges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Space:
    """A cell with E = len(edges) edges and K = len(operations) candidates on each.

    edges: (source node, target node), in the order of the logits' rows. zero: the operation that outputs zeros, if it
    is a candidate. write: operation indices, one an edge -> architecture string; read: its inverse, which raises
    ValueError saying what is wrong with the string. normalising: operations whose output stays as it is when their
    input is scaled by a positive factor.

    >>> from nas.spaces import nasbench201
    >>> space = nasbench201.cell_space()
    >>> space.shape  # of logits, probabilities and gates
    (6, 4)
    >>> space.write([0, 1, 2, 3, 0, 1])
    '|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_1x1~2|'
    """

    name: str
    edges: Edges
    operations: tuple[str, ...]
    write: Callable[[Sequence[int]], str]
    read: Callable[[str], tuple[int, ...]]
    zero: str | None = None
    normalising: tuple[str, ...] = ()

    @property
    def zero_operation(self) -> int | None:
        """Index of the zero operation, or None."""
        return None if self.zero is None else self.operations.index(self.zero)

    @property
    def shape(self) -> tuple[int, int]:
        """(E, K), the shape of logits, probabilities and gates."""
        return len(self.edges), len(self.operations)


def write_cell(edges: Edges, operations: Sequence[str], choices: Sequence[int]) -> str:
    """`|op~0|+|op~0|op~1|`: node by node the operation on the edge from each earlier node (NAS-Bench-201's notation).

    Raises: ValueError for a wrong count or index.
    """
    if len(choices) != len(edges) or not all(0 <= choice < len(operations) for choice in choices):
        raise ValueError(f"need {len(edges)} operations, each 0 to {len(operations) - 1}, not {list(choices)}")
    nodes: dict[int, str] = {}
    for (source, target), choice in zip(edges, choices, strict=True):
        nodes[target] = nodes.get(target, "|") + f"{operations[choice]}~{source}|"
    return "+".join(nodes.values())
