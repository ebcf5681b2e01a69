"""The table holds the published values at the published places, and nothing damaged passes for it."""

import gzip
import itertools
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from nas.data import nasbench201
from nas.data.nasbench201 import Table
from nas.data.places import VARIABLE, DataError
from nas.judging import table as table_says
from nas.spaces.nasbench201 import OPERATIONS, write


@pytest.fixture(scope="session")
def table() -> Table:
    folder = os.environ.get(VARIABLE)
    if not folder or not (Path(folder) / "nasbench201.csv.gz").exists():
        pytest.skip(f"{VARIABLE} names no folder with nasbench201.csv.gz")
    return nasbench201.load(Path(folder))


def test_published_values(table: Table) -> None:
    # Best cells as published with the benchmark (Dong & Yang 2020): 91.61 and 94.37 on CIFAR-10, both cell 6111.
    valid, test = table.column("cifar10_valid"), table.column("cifar10_test")
    assert [int(valid.argmax()), int(test.argmax())] == [6111, 6111]
    assert (round(valid.max(), 2), round(test.max(), 2)) == (91.61, 94.37)
    assert round(table.column("cifar100_test").max(), 2) == 73.51
    assert round(table.column("imagenet16_120_test").max(), 2) == 47.31


def test_every_view_of_a_cell_agrees(table: Table) -> None:
    cube = table.cube("cifar10_test")
    assert cube.shape == (5,) * 6
    for index in (0, 6111, 15_624):
        architecture = table.architectures[index]
        assert table.find(architecture) == index
        assert write(table.choices[index].tolist()) == architecture
        assert cube[tuple(table.choices[index])] == table.column("cifar10_test")[index]


def test_no_path_to_the_output_is_chance(table: Table) -> None:
    # Zeroing all three edges into the last node cuts the network in two: accuracy 10 % whatever the other edges are.
    cut = table.cube("cifar10_test")[:, :, :, 0, 0, 0]
    assert cut.max() == cut.min() == 10.0
    assert table.cube("cifar10_test")[:, :, :, 1, 0, 0].max() > 10.0  # the control: one edge left


def test_it_stays_small() -> None:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    nasbench201._table.cache_clear()  # else another test's table is what is found
    tracemalloc.start()
    nasbench201.load(Path(folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 1e6 < peak < 100e6, f"{peak / 1e6:.0f} MB"


def test_an_unknown_column_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match=r"unknown column 'latency'.*cifar10_test"):
        table.column("latency")


# ------------------------------------------------------------------ damage, on a table of the right form

LINES = ["index,architecture,cifar10_valid,cifar10_test"] + [
    f"{index},{write(cell)},{10 + index / 2000},{10 + index / 1000}"
    for index, cell in enumerate(itertools.product(range(len(OPERATIONS)), repeat=6))
]


def _write(folder: Path, lines: list[str]) -> Path:
    (folder / "nasbench201.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def test_a_table_of_the_right_form_is_read(tmp_path: Path) -> None:
    found = nasbench201.load(_write(tmp_path, LINES))
    assert np.array_equal(found.index.ravel(), np.arange(15_625))


@pytest.mark.parametrize("question", ["best", "stats", "7"])
def test_a_table_of_one_data_set_answers_for_it_alone(question: str, tmp_path: Path) -> None:
    answer = table_says.answer(nasbench201.load(_write(tmp_path, LINES)), question)
    assert "cifar10" in answer
    assert "cifar100" not in answer
    assert "nan" not in answer


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (LINES[:-1], r"15624 rows with 15624 different cells, not all 15,625 once"),
        ([*LINES[:-1], LINES[-2]], r"15625 rows with 15624 different cells"),
        ([LINES[0], *LINES[:0:-1]], "does not count from 0"),
        ([*LINES[:-1], LINES[-1].replace("avg_pool_3x3~2", "avg_pool_5x5~2")], "unknown operation 'avg_pool_5x5'"),
        ([*LINES[:-1], LINES[-1] + "7e9"], r"cell 15624: cifar10_test is"),
        ([*LINES[:-1], LINES[-1].rpartition(",")[0] + ",nan"], "cell 15624: cifar10_test is nan"),
        ([*LINES[:-1], "15624"], "line 15626: 1 values instead of 4"),
        (["a,b"], "not the NAS-Bench-201 table"),
        ([], "not the NAS-Bench-201 table"),
        (
            [f"{LINES[0]},cifar10_params", *(f"{line},73306" for line in LINES[1:])],
            "cifar10_params are not those of the benchmark",
        ),
    ],
)
def test_damage_is_refused(lines: list[str], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        nasbench201.load(_write(tmp_path, lines))


def test_flipped_and_missing_bytes_are_refused(tmp_path: Path) -> None:
    file = _write(tmp_path, LINES) / "nasbench201.csv.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])
    with pytest.raises(DataError, match="damaged"):
        nasbench201.load(tmp_path)
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(DataError, match="damaged"):
        nasbench201.load(tmp_path)


def test_a_missing_table_says_where_people_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nasbench201\.csv\.gz .*NATS-Bench"):
        nasbench201.load(tmp_path)
