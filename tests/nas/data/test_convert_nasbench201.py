"""The converter, against a stand-in with the interface of the authors' package that answers from the known table."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data import convert_nasbench201, nasbench201
from nas.data.nasbench201 import Table
from nas.data.places import VARIABLE, DataError

COLUMNS = {
    ("cifar10", "200"): {"test-accuracy": "cifar10_test"},
    ("cifar10-valid", "200"): {"valid-accuracy": "cifar10_valid", "test-accuracy": "cifar10_half_test"},
    ("cifar100", "200"): {"valid-accuracy": "cifar100_valid", "test-accuracy": "cifar100_test"},
    ("ImageNet16-120", "200"): {"valid-accuracy": "imagenet16_120_valid", "test-accuracy": "imagenet16_120_test"},
    ("cifar10", "12"): {"test-accuracy": "cifar10_test_12ep"},
    ("cifar10-valid", "12"): {"valid-accuracy": "cifar10_valid_12ep"},
    ("cifar100", "12"): {"valid-accuracy": "cifar100_valid_12ep", "test-accuracy": "cifar100_test_12ep"},
    ("ImageNet16-120", "12"): {
        "valid-accuracy": "imagenet16_120_valid_12ep",
        "test-accuracy": "imagenet16_120_test_12ep",
    },
}


class Release:
    """What the converter uses of `nats_bench.api_topology.NATStopology`."""

    def __init__(self, table: Table) -> None:
        self.table, self.meta_archs = table, list(table.architectures)
        self.arch2infos_dict: dict[int, Any] = {}
        self.evaluated_indexes: set[int] = set()

    def get_more_info(
        self, index: int, dataset: str, iepoch: Any = None, hp: str = "12", is_random: bool = True
    ) -> Any:
        assert not is_random  # means over seeds, not a random one
        return {key: float(self.table.columns[column][index]) for key, column in COLUMNS[dataset, hp].items()}


@pytest.fixture(scope="module")
def table() -> Table:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    return nasbench201.load(Path(folder))


def test_the_table_comes_back(table: Table, tmp_path: Path) -> None:
    convert_nasbench201.convert(Release(table), tmp_path / "nasbench201.csv.gz")
    again = nasbench201.load(tmp_path)
    assert again.architectures == table.architectures
    assert set(table.columns) - set(again.columns) == {f"{name}_mflops" for name in nasbench201.DATASETS}
    for name, column in again.columns.items():
        np.testing.assert_array_equal(column, table.columns[name])


def test_an_incomplete_release_is_refused(table: Table, tmp_path: Path) -> None:
    release = Release(table)
    release.meta_archs.pop()
    with pytest.raises(DataError, match="names 15624 cells"):
        convert_nasbench201.convert(release, tmp_path / "nasbench201.csv.gz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("fault", "says"), [(AssertionError(), "AssertionError"), (None, "KeyError: 'test-accuracy'")])
def test_a_cell_that_cannot_be_read_is_named(fault: Exception | None, says: str, table: Table, tmp_path: Path) -> None:
    class Damaged(Release):
        def get_more_info(self, index: int, *arguments: Any, **options: Any) -> Any:
            if index == 7:
                if fault is not None:
                    raise fault
                return {}
            return super().get_more_info(index, *arguments, **options)

    with pytest.raises(DataError, match=f"cell 7: {says}"):
        convert_nasbench201.convert(Damaged(table), tmp_path / "nasbench201.csv.gz")
    assert not list(tmp_path.iterdir())


def test_a_target_without_a_folder_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert_nasbench201.main([str(tmp_path), str(tmp_path / "none" / "out.csv.gz")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_without_the_authors_package_it_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nats_bench", None)  # as if it were not installed
    assert convert_nasbench201.main([str(tmp_path), str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    assert "nats_bench" in capsys.readouterr().err
