"""Cells on digits trained from scratch: convolutions read, skips cannot; a training is never done twice."""

import json
from pathlib import Path

import pytest

from nas.__main__ import main
from nas.running import runs
from nas.spaces import nasbench201
from nas.tasks.digits import scratch
from nas.tasks.digits.network import Settings
from nas.tasks.digits.scratch import Recipe

SPACE = nasbench201.cell_space(False)
SHORT = Settings(final_epochs=4)


def all_of(name: str) -> str:
    return SPACE.write([SPACE.operations.index(name)] * 6)


def test_a_cell_that_sees_no_neighbours_reads_worse(tmp_path: Path) -> None:
    rows = [
        scratch.train_once(tmp_path, Recipe(all_of(name), 0, SHORT), "cpu") for name in ("nor_conv_3x3", "skip_connect")
    ]
    assert rows[0] is not None
    assert rows[1] is not None
    assert rows[0]["test"] > rows[1]["test"] + 30
    assert rows[0]["parameters"] == 2 * 6 * (8 * 8 * 9 + 16) + 8 + 16 + 8 * 10 + 10  # two cells, stem, linear layer
    assert rows[1]["parameters"] == 8 + 16 + 8 * 10 + 10


def test_a_training_is_stopped_resumed_and_never_repeated(tmp_path: Path) -> None:
    recipe, calls = Recipe(all_of("nor_conv_1x1"), 1, SHORT), iter([False] * 30 + [True])
    assert scratch.train_once(tmp_path / "parts", recipe, "cpu", lambda: next(calls)) is None
    parts = scratch.train_once(tmp_path / "parts", recipe, "cpu")
    whole = scratch.train_once(tmp_path / "whole", recipe, "cpu")
    assert parts is not None
    assert whole is not None
    assert {**parts, "seconds": 0} == {**whole, "seconds": 0}
    assert scratch.train_once(tmp_path / "whole", recipe, "cpu", lambda: pytest.fail("trained again")) == whole


def test_a_wrong_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="conv_9x9"):
        Recipe(all_of("skip_connect").replace("skip_connect~0", "conv_9x9~0", 1))


def test_search_evaluate_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["search.epochs=3", "search.warmup_epochs=1", "network.channels=2", "network.final_epochs=1"]
    words = [word for setting in sets for word in ("--set", setting)] + ["--runs", str(tmp_path)]
    assert main(["search", "digits", *words]) == 0
    (folder,) = (tmp_path / "digits").iterdir()
    assert main(["evaluate", str(folder), "--randoms", "2"]) == 0
    rows = json.loads((folder / "evaluation.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["found", "random", "random"]
    assert rows[0]["architecture"] == runs.result(folder)["architecture"]
    assert main(["compare", "digits", *words, "--seeds", "1", "--methods", "advantage"]) == 0
    assert "handwritten digits, 2 × 599 training images; 2 channels" in capsys.readouterr().out
    compared = json.loads((tmp_path / "digits-comparison.json").read_text())
    assert compared["methods"].keys() == {"advantage", "random"}
    assert len(compared["references"]["random cells"]["values"]) == 1
