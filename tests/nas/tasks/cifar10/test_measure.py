"""A search on CIFAR-10 is judged by the table at every epoch's end, and by what a ranking chose."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.running import runs
from nas.spaces import nasbench201
from nas.tasks.cifar10 import measure
from nas.tasks.cifar10.network import Settings
from nas.tasks.task import Comparison, Experiment

SPACE = nasbench201.cell_space(False)
A, B = (SPACE.write([k] * 6) for k in (1, 2))


class Known:
    """A table of two cells."""

    def column(self, name: str) -> dict[str, float]:
        assert name == "cifar10_test"
        return {A: 90.0, B: 93.5}

    def find(self, architecture: str) -> str:
        return architecture


def folder(path: Path, result: dict[str, Any]) -> Path:
    records = [
        {"seconds": 1.0, "architecture": B},  # between two epochs' ends
        {"seconds": 2.0, "architecture": A, "validation": {}},
        {"seconds": 4.0, "architecture": A, "validation": {}},
    ]
    (path / runs.METRICS).write_text("".join(json.dumps(record) + "\n" for record in records))
    (path / runs.RESULT).write_text(json.dumps(result))
    return path


def test_epochs_ends_and_a_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure.nasbench201, "load", lambda data: Known())
    comparison = Comparison(Experiment(Settings(), task="cifar10"), ("advantage",))
    argmax = folder(tmp_path, {"architecture": A, "seconds": 4.1})
    assert measure.table_accuracy(comparison, argmax, 9.0) == [(2.0, 90.0), (4.0, 90.0)]
    ranked = folder(tmp_path, {"architecture": B, "seconds": 5.0, "ranking": [[B, 0.1], [A, 0.2]]})
    assert measure.table_accuracy(comparison, ranked, 9.0) == [(2.0, 90.0), (4.0, 90.0), (5.0, 93.5)]
