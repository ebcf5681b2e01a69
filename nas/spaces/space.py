"""What is a search space? Edges between the nodes of a cell, and the operations that compete on every edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Space:
    """A cell with E = len(edges) edges and K = len(operations) candidates on each.

    edges: (source node, target node), in the order of the logits' rows. zero: the operation that outputs zeros, if it
    is a candidate. write: operation indices, one an edge -> architecture string; read: its inverse, which raises
    ValueError saying what is wrong with the string. normalising: operations whose output stays as it is when their
    input is scaled by a positive factor.
    """

    name: str
    edges: tuple[tuple[int, int], ...]
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
