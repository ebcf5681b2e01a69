"""By what are searches on a data set of the table compared? By its test accuracy of the cell that they stand for.

Every record of a search has its cell, so that curves show the accuracy against time and nothing is trained for it.
"""

from functools import partial
from pathlib import Path

from nas.data import nasbench201
from nas.running import runs
from nas.tasks.cifar10.network import CIFAR10, DataSet, Settings
from nas.tasks.task import Comparison, Measure, Points


def describe(comparison: Comparison[Settings], of: DataSet = CIFAR10) -> str:
    """What is searched on. Raises: DataError if the table, which judges, is not there."""
    nasbench201.load(comparison.data)
    network = comparison.experiment.network
    size = f"{network.channels} channels, {network.cells} cells a stage, {comparison.experiment.search.epochs} epochs"
    return f"{of.what}, 2 × {network.images:,} training images; {size}"


def table_accuracy(
    comparison: Comparison[Settings], folder: Path, equal_seconds: float, of: DataSet = CIFAR10
) -> Points:
    """NAS-Bench-201 test accuracy of what the search stood for at every epoch's end, and after a ranking."""
    table = nasbench201.load(comparison.data)
    test, ends = table.column(f"{of.name}_test"), [record for record in runs.records(folder) if "validation" in record]
    stood_for = [*ends, result] if "ranking" in (result := runs.result(folder)) else ends
    return [(moment["seconds"], float(test[table.find(moment["architecture"])])) for moment in stood_for]


def measure(of: DataSet, label: str) -> Measure[Settings]:
    """Searches on a data set of the table, by its test accuracy there."""
    return Measure(label, True, partial(describe, of=of), partial(table_accuracy, of=of))


MEASURE = measure(CIFAR10, "NAS-Bench-201 test accuracy of the derived cell (%)")
