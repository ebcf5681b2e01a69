"""The task `cifar100` is the task `cifar10` on other images: searched, exported, judged in the table's other columns.

On images made up here, in the published form: the published ones were not at hand.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas import __main__ as program
from nas import tasks
from nas.data import cifar, nasbench201
from nas.data.cifar import Images
from nas.data.places import VARIABLE, Source
from nas.running import runs
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork
from nas.tasks.cifar10 import task as cifar10
from nas.tasks.cifar10.network import KIND, Settings, assemble
from nas.tasks.cifar10.scratch import Recipe, build, look_up
from nas.tasks.cifar100.task import CIFAR100, TASK
from nas.tasks.task import Comparison, Experiment

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def made_up(count: int = 64) -> Images:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, 3, 32, 32), np.uint8)
    return Images(pixels, random.integers(0, 100, count).astype(np.uint8))


@pytest.mark.parametrize("cell", [(1, 1, 1, 1, 1, 1), (3, 3, 2, 1, 4, 2)])
def test_parameters_are_those_of_the_benchmarks_networks(cell: tuple[int, ...]) -> None:
    """Published for every cell of the table: 79,156 + 28,000 a 1×1 convolution + 243,040 a 3×3 one."""
    names = tuple((nasbench201.OPERATIONS[k],) for k in cell)
    norm = Norm(affine=True, statistics="running")
    for of, expected in ((CIFAR100, 79_156), (replace(CIFAR100, kind=KIND), 73_306)):
        model = CellNetwork(16, 5, names, norm, of.kind)
        own = 28_000 * cell.count(2) + 243_040 * cell.count(3)
        assert sum(parameter.numel() for parameter in model.parameters()) == expected + own
    assert nasbench201.parameters(np.array(cell), "cifar100") == 79_156 + own


def test_the_network_sees_these_images() -> None:
    network = assemble(Settings(channels=4, cells=1, batch=8, images=32, held_out=16), made_up(), "cpu", 0, of=CIFAR100)
    assert network.model.linear.out_features == 100
    assert network.model.image_mean.flatten().tolist() == pytest.approx([129.3, 124.1, 112.4])
    assert network.about.startswith("CIFAR-100, 2 × 32")
    alone = build(Recipe(CELL, batch=8, channels=4, cells=1, images=32), made_up(), made_up(16), "cpu", CIFAR100)
    assert alone.model.linear.out_features == 100


def test_it_shares_all_but_the_data_with_cifar10() -> None:
    assert tasks.find("cifar100") is TASK
    for name in ("settings", "space", "form", "audited", "presets"):
        assert getattr(TASK, name) is getattr(cifar10.TASK, name)
    for name in ("build", "evaluate", "export"):
        assert getattr(TASK, name).func is getattr(cifar10.TASK, name)
        assert getattr(TASK, name).keywords == {"of": CIFAR100}


def test_searched_exported_and_trained_by_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = made_up(200)
    images.labels[:100] = np.arange(100)
    seen: list[str] = []

    def load(published: Source, editions: object, data: object) -> tuple[Images, Images]:
        seen.append(published.what)
        return images, made_up(20)

    monkeypatch.setattr(cifar, "load", load)
    data = ["--data", str(tmp_path)]
    settings = ["network.channels=2", "network.batch=8", "network.images=64", "network.held_out=16", "search.epochs=2"]
    settings += ["search.warmup_epochs=1"]
    words = [word for setting in settings for word in ("--set", setting)]
    searching = ["search", "cifar100", "--preset", "quick", "--runs", str(tmp_path / "runs"), *words, *data]
    assert program.main(searching) == 0
    assert "CIFAR-100, 2 × 64 training images" in capsys.readouterr().out
    (run,) = (path.parent for path in (tmp_path / "runs" / "cifar100").rglob("result.json"))
    assert program.main(["export", str(run), "--to", str(tmp_path / "cell.py")]) == 0
    text = (tmp_path / "cell.py").read_text(encoding="utf-8")
    assert "classes=100" in text
    assert "MEAN, DEVIATION = (129.3, 124.1, 112.4), (68.2, 65.4, 70.4)" in text
    monkeypatch.setattr("nas.tasks.cifar10.scratch.Recipe", lambda cell, seed, epochs: small(cell, seed, epochs))
    assert program.main(["evaluate", str(run), "--train", "--epochs", "1", *data]) == 0
    (row,) = json.loads((run / "evaluation.json").read_text())["rows"]
    assert row["model"] == "1 ep."
    assert 0 <= row["test"] <= 100
    assert set(seen) == {"CIFAR-100"}


def small(cell: str, seed: int, epochs: int) -> Recipe:
    return Recipe(cell, seed, epochs, batch=20, channels=2, cells=1, images=100)


class Known:
    """A table of one cell, whose columns differ."""

    choices = np.array([[3, 0, 2, 1, 4, 3]])

    def column(self, name: str) -> np.ndarray:
        known = {"cifar100_test": 71.0, "cifar100_valid": 70.0, "cifar10_test": 93.0, "cifar10_valid": 90.0}
        return np.array([known[name]])

    def find(self, architecture: str) -> int:
        return 0


def test_a_cell_is_looked_up_and_compared_in_the_columns_of_cifar100(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table: object = Known()
    row = look_up(table, CELL, CIFAR100)  # type: ignore[arg-type]
    assert (row["validation"], row["test"], row["parameters"]) == (70.0, 71.0, 79_156 + 28_000 + 2 * 243_040)
    assert look_up(table, CELL)["test"] == 93.0  # type: ignore[arg-type]  # the control: without a word, CIFAR-10
    record = {"seconds": 2.0, "architecture": CELL, "validation": {}}
    (tmp_path / runs.METRICS).write_text(json.dumps(record) + "\n")
    (tmp_path / runs.RESULT).write_text(json.dumps({"architecture": CELL, "seconds": 2.1}))
    monkeypatch.setattr(nasbench201, "load", lambda data: table)
    for task, expected, about in ((TASK, 71.0, "CIFAR-100, 2 ×"), (cifar10.TASK, 93.0, "CIFAR-10, 2 ×")):
        comparison = Comparison(Experiment(Settings(), task=task.name), ("advantage",))
        assert task.measure is not None
        assert task.measure.points(comparison, tmp_path, 9.0) == [(2.0, expected)]
        assert task.measure.describe(comparison).startswith(about)


@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"needs the NAS-Bench-201 table in {VARIABLE}")
def test_the_real_tables_best_cell_on_cifar100() -> None:
    """73.51 % of the test images is the best (Dong & Yang 2020)."""
    table = nasbench201.load()
    best = table.architectures[int(table.column("cifar100_test").argmax())]
    assert round(look_up(table, best, CIFAR100)["test"], 2) == 73.51
    assert look_up(table, best)["test"] > 90


def test_without_the_images_it_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["search", "cifar100", "--preset", "quick", "--runs", str(tmp_path / "runs"), "--data", str(tmp_path)]
    assert program.main(command) == 2
    said = capsys.readouterr().err
    assert "CIFAR-100 not found: looked for cifar-100-binary or" in said
    assert "get cifar-100-binary.tar.gz from www.cs.toronto.edu" in said
    assert said.count("\n") == 1
