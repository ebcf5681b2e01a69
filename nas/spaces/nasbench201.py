"""What is the NAS-Bench-201 cell? Four nodes, six edges, five operations, and the benchmark's way of writing it.

    |op~0|+|op~0|op~1|+|op~0|op~1|op~2|

Node by node, the operation on the edge from each earlier node (Dong & Yang, ICLR 2020). Edges are numbered in the order
in which that string names them, operations in the benchmark's own order, `none` first.
"""

import re
from collections.abc import Sequence
from functools import cache, partial

from nas.spaces.space import Space, write_cell

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
CELLS = len(OPERATIONS) ** len(EDGES)


@cache
def cell_space(zero: bool = False) -> Space:
    """The cell's space: 4 operations an edge (4^6 = 4,096 cells), or all 5 with `none` (15,625)."""
    operations = OPERATIONS if zero else OPERATIONS[1:]
    return Space(
        "nasbench201",
        EDGES,
        operations,
        partial(write, operations=operations),
        partial(read, operations=operations),
        "none" if zero else None,
        normalising=("nor_conv_1x1", "nor_conv_3x3"),
    )


def write(choices: Sequence[int], operations: Sequence[str] = OPERATIONS) -> str:
    """The architecture string of one operation index an edge. Raises: ValueError for a wrong count or index."""
    return write_cell(EDGES, operations, choices)


def read(text: str, operations: Sequence[str] = OPERATIONS) -> tuple[int, ...]:
    """Operation indices, one an edge, of an architecture string. Raises: ValueError: what is wrong with it."""
    match = re.fullmatch(_PATTERN, text.strip())
    if match is None:
        raise ValueError(f"not a NAS-Bench-201 architecture: {text!r}; write it as {write((1,) * len(EDGES))}")
    for name in match.groups():
        if name not in operations:
            raise ValueError(f"unknown operation {name!r} in {text!r}; known: {', '.join(operations)}")
    return tuple(operations.index(name) for name in match.groups())


_PATTERN = r"\+".join(
    r"\|" + "".join(rf"([^|~+]+)~{source}\|" for source, edge_target in EDGES if edge_target == target)
    for target in (1, 2, 3)
)
