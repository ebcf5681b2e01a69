"""The recurrent cell's strings: written and read back, and refused with a reason."""

import itertools

import pytest

from nas.spaces import recurrent


def test_edges_of_the_published_cell() -> None:
    """Three inner nodes: 1 + 2 + 3 edges, target by target."""
    assert recurrent.cell_space().edges == ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
    assert recurrent.cell_space().shape == (6, 5)
    assert recurrent.cell_space().zero_operation == 4
    assert recurrent.cell_space(8).shape == (36, 5)
    without = recurrent.cell_space(zero=False)
    assert without.shape == (6, 4)
    assert without.zero_operation is None


@pytest.mark.parametrize("zero", [True, False])
def test_every_cell_of_two_nodes_survives_writing_and_reading(zero: bool) -> None:
    space = recurrent.cell_space(2, zero)
    cells = list(itertools.product(range(len(space.operations)), repeat=3))
    assert [space.read(space.write(cell)) for cell in cells] == cells
    assert len({space.write(cell) for cell in cells}) == len(cells)


def test_written_by_hand() -> None:
    assert recurrent.cell_space().write((1, 3, 0, 4, 1, 2)) == "|tanh~0|+|relu~0|identity~1|+|zero~0|tanh~1|sigmoid~2|"
    edges, choices = recurrent.parse("|tanh~0|+|relu~1|")
    assert edges == ((0, 1), (1, 2))
    assert choices == (1, 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tanh~0", "not a recurrent architecture"),
        ("|tanh~0|+", "not a recurrent architecture"),
        ("|swish~0|", "unknown operation 'swish'"),
        ("|tanh~1|", "takes from node 1, which is not an earlier one"),
        ("|tanh~0|", r"has the edges \(\(0, 1\),\), not"),
    ],
)
def test_a_wrong_string_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        recurrent.cell_space().read(text)


def test_wrong_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 inner node"):
        recurrent.cell_space(0)
    with pytest.raises(ValueError, match="lead from an earlier node"):
        recurrent.cell_space(2, edges=((0, 1), (2, 2)))
    with pytest.raises(ValueError, match="every node 1 to 2 needs an edge"):
        recurrent.cell_space(2, edges=((0, 1),))
    with pytest.raises(ValueError, match="need 6 operations"):
        recurrent.cell_space().write((1, 2))
    with pytest.raises(ValueError, match="each 0 to 3"):
        recurrent.cell_space(zero=False).write((4,) * 6)


def test_single_predecessor_by_hand() -> None:
    """Node 2 keeps its edge from 1: relu 0.6 beats the other's 0.5. Zero is never kept, however probable."""
    rows = [[0.1, 0.7, 0.1, 0.1, 0.0], [0.5, 0.1, 0.1, 0.1, 0.2], [0.0, 0.0, 0.1, 0.6, 0.3]]
    assert recurrent.single_predecessor(rows, recurrent.cell_space(2)) == "|tanh~0|+|relu~1|"
    assert recurrent.single_predecessor([[0.02, 0.01, 0.01, 0.01, 0.95]], recurrent.cell_space(1)) == "|identity~0|"
