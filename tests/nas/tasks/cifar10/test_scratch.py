"""Training a cell from scratch: the benchmark's network, learning, resumed bit for bit."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas import __main__ as program
from nas.data import cifar, nasbench201
from nas.data.cifar import Images
from nas.data.places import VARIABLE
from nas.running import runs, training
from nas.tasks import experiments
from nas.tasks.cifar10 import scratch as scratch_images
from nas.tasks.cifar10.scratch import Recipe

CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
SMALL = Recipe(CELL, epochs=3, batch=20, channels=4, cells=1, images=100)


def made_up(count: int, seed: int) -> Images:
    """Two easily told classes: dark and bright images."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count).astype(np.uint8)
    pixels = random.integers(0, 128, (count, 3, 32, 32), np.uint8) + 120 * labels[:, None, None, None]
    return Images(pixels.astype(np.uint8), labels)


def run_in(root: Path) -> Path:
    """The one training under a root."""
    (folder,) = root.glob("*/*-s*")
    return folder


def train(folder: Path, recipe: Recipe, stop_after: int | None = None) -> scratch_images.Row | None:
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return stop_after is not None and asked > stop_after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar, "load", lambda published, editions, data: (made_up(100, 0), made_up(50, 1)))
        return scratch_images.train_once(folder, recipe, None, "cpu", stopped)


def test_it_learns_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", SMALL)
    assert straight is not None
    assert straight["test"] > 80  # two classes: 50 by chance, standard error 7
    assert train(tmp_path / "stopped", SMALL, stop_after=6) is None
    again = train(tmp_path / "stopped", SMALL)
    assert again is not None
    assert again["test"] == straight["test"]
    whole, parts = (runs.records(run_in(tmp_path / name)) for name in ("straight", "stopped"))
    assert [{**record, "seconds": 0} for record in whole] == [{**record, "seconds": 0} for record in parts]
    one, other = (
        runs.read_checkpoint(run_in(tmp_path / name) / runs.CHECKPOINT)[0] for name in ("straight", "stopped")
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_the_full_network_has_the_tables_parameters() -> None:
    network = scratch_images.build(Recipe(CELL, batch=10), made_up(20, 0), made_up(10, 1), "cpu")
    assert sum(p.numel() for p in network.parameters.values()) == 73_306 + 28_000 + 2 * 243_040


def test_bad_recipes_are_refused() -> None:
    with pytest.raises(ValueError, match="not a NAS-Bench-201 architecture"):
        Recipe("skip everywhere")
    with pytest.raises(ValueError, match="batch <= images"):
        replace(SMALL, images=10)


def test_a_found_cell_is_trained_without_the_table_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, on few images; trained once, and never again."""
    monkeypatch.setattr(cifar, "load", lambda published, editions, data: (made_up(300, 0), made_up(50, 1)))
    run = tmp_path / "run"
    with runs.open_run(run, experiments.load("cifar10", "quick")) as opened:
        opened.finish({"architecture": CELL, "seed": 0})
    command = ["evaluate", str(run), "--train", "--epochs", "1", "--seeds", "2", "--data", str(tmp_path)]
    assert program.main(command) == 0
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    assert [(row["model"], row["seed"], row["epochs"]) for row in rows] == [("1 ep.", 0, 1), ("1 ep.", 1, 1)]
    assert {row["parameters"] for row in rows} == {73_306 + 28_000 + 2 * 243_040}
    assert "1 ep." in capsys.readouterr().out
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("trained again"))
    assert program.main(command) == 0
    assert program.main(["evaluate", str(run), "--data", str(tmp_path)]) == 2  # without --train the table must be there
    assert "the NAS-Bench-201 table not found" in capsys.readouterr().err


def test_a_found_cell_is_judged_by_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    table = nasbench201.load(Path(folder))
    row = scratch_images.look_up(table, "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    assert (row["test"], row["parameters"]) == (10.0, 73_306 + 243_040)  # nothing reaches the output: chance
    experiment = experiments.load("cifar10", "quick")
    run = tmp_path / "run"
    with runs.open_run(run, experiment) as opened:
        opened.finish({"architecture": CELL.replace("none", "skip_connect"), "seed": 0})
    assert program.main(["evaluate", str(run), "--randoms", "3"]) == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["found", "random", "best"]
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    assert len(rows) == 5
    assert rows[-1]["test"] > max(row["test"] for row in rows[:-1])
