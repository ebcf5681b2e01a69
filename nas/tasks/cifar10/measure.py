"""By what are searches on CIFAR-10 compared? The table's test accuracy of the cell they stand for.

Every record of a search has its cell, so that curves show the accuracy against time and nothing is trained for it.
"""

from pathlib import Path

from nas.data import nasbench201
from nas.running import runs
from nas.tasks.cifar10.network import Settings
from nas.tasks.task import Comparison, Measure, Points


def describe(comparison: Comparison[Settings]) -> str:
    """What is searched on. Raises: DataError if the table, which judges, is not there."""
    nasbench201.load(comparison.data)
    network = comparison.experiment.network
    size = f"{network.channels} channels, {network.cells} cells a stage, {comparison.experiment.search.epochs} epochs"
    return f"CIFAR-10, 2 × {network.images:,} training images; {size}"


def table_accuracy(comparison: Comparison[Settings], folder: Path, equal_seconds: float) -> Points:
    """NAS-Bench-201 test accuracy of what the search stood for at every epoch's end, and after a ranking."""
    table = nasbench201.load(comparison.data)
    test, ends = table.column("cifar10_test"), [record for record in runs.records(folder) if "validation" in record]
    stood_for = [*ends, result] if "ranking" in (result := runs.result(folder)) else ends
    return [(moment["seconds"], float(test[table.find(moment["architecture"])])) for moment in stood_for]


MEASURE = Measure(
    label="NAS-Bench-201 test accuracy of the derived cell (%)",
    larger_is_better=True,
    describe=describe,
    points=table_accuracy,
)
