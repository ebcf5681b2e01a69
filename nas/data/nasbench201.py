"""What accuracy does each NAS-Bench-201 cell reach, trained for real?

Reads `nasbench201.csv.gz`: one row a cell, `index` as published, `architecture`, then named columns of numbers
(docs/howto/data.md lists them). The whole table takes a few megabytes; the benchmark's own files take gigabytes.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data import places
from nas.data.places import DataError, Source
from nas.spaces.nasbench201 import CELLS, EDGES, OPERATIONS, read

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SOURCE = Source(
    "the NAS-Bench-201 table",
    ("nasbench201.csv.gz", "nasbench201.csv"),
    "make it from the benchmark's own release (github.com/D-X-Y/NATS-Bench) as docs/howto/data.md shows",
)
DATASETS = ("cifar10", "cifar100", "imagenet16_120")
NEEDED = ("index", "architecture", "cifar10_valid", "cifar10_test")


@dataclass(frozen=True)
class Table:
    """All 15,625 cells, in the published order.

    architectures, their strings; choices (15625, 6), the index into `OPERATIONS` on each edge of `EDGES`; columns, name
    -> (15625,): accuracies in percent, parameters, multiply-accumulates in millions.
    """

    architectures: tuple[str, ...]
    choices: Integers
    columns: Mapping[str, Floats]

    def column(self, name: str) -> Floats:
        """One column, (15625,). Raises: ValueError with the known names."""
        if name not in self.columns:
            raise ValueError(f"unknown column {name!r} of the NAS-Bench-201 table; known: {', '.join(self.columns)}")
        return self.columns[name]

    def cube(self, name: str) -> Floats:
        """A column as an array (5, 5, 5, 5, 5, 5) indexed by the operation on each edge, `none` at 0.

        So `cube[1:, 1:, 1:, 1:, 1:, 1:]` is the landscape without `none`, and index 0 of an axis zeroes that edge.
        """
        return self.column(name)[self.index]

    @cached_property
    def index(self) -> Integers:
        """Published index of each cell, (5, 5, 5, 5, 5, 5), by the operation on each edge."""
        cube = np.empty((len(OPERATIONS),) * len(EDGES), np.int64)
        cube[tuple(self.choices.T)] = np.arange(CELLS)
        return cube

    def find(self, architecture: str) -> int:
        """Published index of an architecture string. Raises: ValueError: what is wrong with the string."""
        return int(self.index[read(architecture)])


def load(data: Path | None = None) -> Table:
    """The table, from where `nas.data.places` finds it; read once a process, unless the file changes.

    Raises: DataError in one line if it is missing, damaged, or does not hold every cell exactly once.
    """
    path = places.find(SOURCE, data).resolve()
    return _table(path, path.stat().st_mtime_ns)


def at_hand(data: Path | None = None) -> Table | None:
    """The table, or None where there is none. Raises: DataError if there is one and it is damaged."""
    try:
        places.find(SOURCE, data)
    except DataError:
        return None
    return load(data)


@lru_cache(maxsize=1)
def _table(path: Path, changed: int) -> Table:
    rows = _rows(path)
    try:
        header: list[str] = next(rows, [])
    except csv.Error as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if header[:2] != ["index", "architecture"] or not {*NEEDED} <= {*header}:
        raise DataError(f"{path} is not the NAS-Bench-201 table: its first line must name {', '.join(NEEDED)}")
    try:
        cells = list(rows)
    except csv.Error as error:
        raise DataError(f"{path} is damaged: {error}") from error
    for line, row in enumerate(cells, start=2):
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} values instead of {len(header)}")
    try:
        published = np.array([int(row[0]) for row in cells])
        choices = np.array([read(row[1]) for row in cells], np.int64).reshape(-1, len(EDGES))
        numbers = np.array([row[2:] for row in cells], np.float64)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    _check(path, header[2:], published, choices, numbers)
    columns = {name: numbers[:, place].copy() for place, name in enumerate(header[2:])}
    return Table(tuple(row[1] for row in cells), choices, columns)


def parameters(choices: Integers, dataset: str) -> Integers:
    """Trainable parameters of the benchmark's networks, (...,), from operation indices (..., 6)."""
    ones, threes = ((choices == OPERATIONS.index(f"nor_conv_{size}")).sum(axis=-1) for size in ("1x1", "3x3"))
    total: Integers = PARAMETERS[dataset] + 28_000 * ones + 243_040 * threes
    return total


# ------------------------------------------------------------------ helpers


def _rows(path: Path) -> Any:
    content = places.read(path, most=places.MOST)
    if path.suffix == ".gz":
        content = places.unzipped(content, path)
    try:
        return csv.reader(content.decode("ascii").splitlines())
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not the NAS-Bench-201 table: {error}") from error


def _check(path: Path, names: list[str], published: Integers, choices: Integers, numbers: Floats) -> None:
    cells = {tuple(row) for row in choices.tolist()}
    if len(published) != CELLS or len(cells) != CELLS:
        raise DataError(f"{path}: {len(published)} rows with {len(cells)} different cells, not all {CELLS:,} once")
    if not np.array_equal(published, np.arange(CELLS)):
        raise DataError(f"{path}: the column index does not count from 0 to {CELLS - 1}")
    bounds = [np.inf if name.endswith(("_params", "_mflops")) else 100 for name in names]
    wrong = np.argwhere(~((numbers >= 0) & (numbers <= bounds) & np.isfinite(numbers)))
    if len(wrong):
        row, place = wrong[0]
        raise DataError(f"{path}, cell {row}: {names[place]} is {numbers[row, place]}")
    for dataset in PARAMETERS:
        name = f"{dataset}_params"
        if name in names and not np.array_equal(numbers[:, names.index(name)], parameters(choices, dataset)):
            raise DataError(f"{path}: {name} are not those of the benchmark's networks")


# What the networks' fixed part has; each 1x1 convolution adds 28,000 parameters and each 3x3 one 243,040.
PARAMETERS = {"cifar10": 73_306, "cifar100": 79_156, "imagenet16_120": 80_456}
