"""What does the NAS-Bench-201 table say of a cell, of the best cells, of all cells?

Every figure is a look-up in real trainings (`nas.data.nasbench201`); nothing is trained here.
"""

import numpy as np

from nas.data.nasbench201 import DATASETS, Floats, Table
from nas.spaces.nasbench201 import CELLS

SPLITS = ("valid", "test")
TESTS = tuple(f"{dataset}_test" for dataset in DATASETS)


def answer(table: Table, question: str) -> str:
    """Text for `question`: "best", "stats", an architecture string or a published index.

    Raises: ValueError in one line if it is none of these.
    """
    if question == "best":
        return best(table)
    if question == "stats":
        return stats(table)
    if question.isdecimal():  # isdigit also takes ², which is no number
        if int(question) >= CELLS:
            raise ValueError(f"no cell {question}: indices go from 0 to {CELLS - 1}")
        return cell(table, int(question))
    return cell(table, table.find(question))


def cell(table: Table, index: int) -> str:
    """All figures of one cell, and its rank among all (1 is the best; equals share the better rank)."""
    lines = [f"cell {index}  {table.architectures[index]}", f"{'':16}{'valid':>8}{'test':>8}{'rank in test':>16}"]
    for dataset in _datasets(table):
        valid, test = (table.column(f"{dataset}_{split}") for split in SPLITS)
        rank = 1 + int((test > test[index]).sum())
        lines.append(f"{dataset:16}{valid[index]:8.2f}{test[index]:8.2f}{rank:>8,} of {CELLS:,}")
    for unit, name in (("parameters", "params"), ("million multiply-adds", "mflops")):
        if f"cifar10_{name}" in table.columns:
            lines.append(f"{table.column(f'cifar10_{name}')[index]:,.12g} {unit} (CIFAR-10)")
    return "\n".join(lines)


def best(table: Table) -> str:
    """For each data set the best cell by validation and by test accuracy."""
    lines = []
    for dataset in _datasets(table):
        columns = [table.column(f"{dataset}_{split}") for split in SPLITS]
        for split, column in zip(SPLITS, columns, strict=True):
            top = int(column.argmax())
            valid, test = (values[top] for values in columns)
            figures = f"valid {valid:5.2f}  test {test:5.2f}"
            lines.append(f"{dataset:16}best {split:6} {figures}  cell {top:>5}  {table.architectures[top]}")
    return "\n".join(lines)


def stats(table: Table) -> str:
    """Accuracy of all cells, of the 4,096 without `none`, and of the best of n random cells chosen by validation."""
    lines = [f"{'test accuracy, %':32}{'mean':>8}{'std':>8}{'median':>8}{'best':>8}"]
    inside = (table.choices != 0).all(axis=1)
    for dataset in _datasets(table):
        test = table.column(f"{dataset}_test")
        for name, chosen in (("all 15,625 cells", slice(None)), ("4,096 without none", inside)):
            part = test[chosen]
            figures = (part.mean(), part.std(), np.median(part), part.max())
            lines.append(f"{dataset + ', ' + name:32}" + "".join(f"{figure:8.2f}" for figure in figures))
    lines += ["", f"{'random search, without none':32}{'n = 10':>8}{'100':>8}{'1000':>8}"]
    for dataset in _datasets(table):
        valid, test = (table.column(f"{dataset}_{split}")[inside] for split in SPLITS)
        means = [expected_choice(valid, test, count) for count in (10, 100, 1000)]
        lines.append(f"{dataset + ', mean test':32}" + "".join(f"{mean:8.2f}" for mean in means))
    return "\n".join(lines)


def tests_of(table: Table, architecture: str) -> dict[str, float]:
    """Test accuracy in percent of a cell on each data set, by the table's column.

    Raises: ValueError in one line if it is no cell of the table, or the table lacks a data set.
    """
    index = table.find(architecture)
    return {name: float(table.column(name)[index]) for name in TESTS}


def expected_choice(valid: Floats, test: Floats, count: int) -> float:
    """Mean test accuracy of the best by validation among `count` cells drawn with replacement, exactly.

    The i-th worst of N is the best drawn with probability (i^n - (i-1)^n) / N^n; equals in validation share it.
    """
    order = np.argsort(valid, kind="stable")
    below = np.searchsorted(valid[order], valid[order], "left") / len(valid)
    up_to = np.searchsorted(valid[order], valid[order], "right") / len(valid)
    ties = (up_to - below) * len(valid)
    return float(((up_to**count - below**count) / ties * test[order]).sum())


def _datasets(table: Table) -> list[str]:
    """Those that this table has; CIFAR-10 is always among them."""
    return [name for name in DATASETS if all(f"{name}_{split}" in table.columns for split in SPLITS)]
