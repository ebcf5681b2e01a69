"""NAS-Bench-201's strings: read what is written, edge by edge, and refuse the rest."""

import itertools

import pytest

from nas.spaces import nasbench201
from nas.spaces.nasbench201 import EDGES, OPERATIONS


def test_a_string_by_hand() -> None:
    text = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    assert nasbench201.read(text) == (3, 1, 0, 4, 2, 3)  # edges 0→1, 0→2, 1→2, 0→3, 1→3, 2→3
    assert nasbench201.write((3, 1, 0, 4, 2, 3)) == text


@pytest.mark.parametrize(("zero", "cells"), [(False, 4_096), (True, 15_625)])
def test_all_cells_round_trip(zero: bool, cells: int) -> None:
    space = nasbench201.cell_space(zero)
    everything = list(itertools.product(range(space.shape[1]), repeat=space.shape[0]))
    texts = {space.write(choices) for choices in everything}
    assert len(texts) == len(everything) == cells
    assert all(space.read(space.write(choices)) == choices for choices in everything)


def test_the_zero_operation() -> None:
    assert nasbench201.cell_space(zero=True).zero_operation == 0
    assert nasbench201.cell_space().zero_operation is None
    assert nasbench201.cell_space().operations == OPERATIONS[1:]
    assert nasbench201.cell_space().edges == EDGES


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a NAS-Bench-201 architecture"),
        ("|none~0|+|none~0|none~1|", "not a NAS-Bench-201 architecture"),
        ("|none~0|+|none~1|none~0|+|none~0|none~1|none~2|", "not a NAS-Bench-201 architecture"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|conv~2|", "unknown operation 'conv'"),
    ],
)
def test_a_wrong_string_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        nasbench201.read(text)


def test_an_operation_outside_the_space_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown operation 'none'.*known: skip_connect"):
        nasbench201.cell_space().read("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    with pytest.raises(ValueError, match="each 0 to 3"):
        nasbench201.cell_space().write((0, 0, 0, 0, 0, 4))
