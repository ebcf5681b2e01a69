"""Trainings from scratch for any task: the same weights from the same start, never twice, never on other data."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nas import tasks
from nas.__main__ import main
from nas.judging.evaluate import evaluate
from nas.running import plugins, runs
from nas.spaces import nasbench201
from nas.tasks import judged
from nas.tasks.task import Request
from tests.nas.tasks import own_task

SPACE = nasbench201.cell_space(False)
TASK = judged.from_scratch(replace(own_task.TASK, evaluate=None, measure=None), epochs=5)
BY_LOSS = judged.from_scratch(replace(own_task.TASK, evaluate=None, measure=None), epochs=1, by="loss")
NAME = f"{__name__}:TASK"
plugins.allow(__name__)
SETS = [word for one in ("epochs=4", "warmup_epochs=1", "rate=0.05") for word in ("--set", f"search.{one}")]


def test_random_architectures_differ_and_are_the_same_again() -> None:
    cells = [judged.random_architecture(SPACE, seed) for seed in range(10)]
    assert len(set(cells)) == 10
    assert cells == [judged.random_architecture(SPACE, seed) for seed in range(10)]


def searched(root: Path) -> Path:
    assert main(["search", NAME, *SETS, "--runs", str(root)]) == 0
    (folder,) = (root / "sensors").iterdir()
    return folder


def test_evaluate_and_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = searched(tmp_path)
    assert main(["evaluate", str(folder), "--seeds", "2", "--randoms", "2"]) == 0
    rows = json.loads((folder / "evaluation.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["found"] * 2 + ["random"] * 4
    assert rows[0]["epochs"] == 5
    assert rows[0]["parameters"] == 2 * (4 + 4) + (8 * 2 + 2)  # two sensors of three each, and the last layer
    assert main(["compare", NAME, *SETS, "--runs", str(tmp_path), "--seeds", "1", "--methods", "advantage"]) == 0
    assert "sensors: 200 examples for the weights" in capsys.readouterr().out
    compared = json.loads((tmp_path / "sensors-comparison.json").read_text())
    assert compared["measure"] == "test accuracy, from scratch (%)"
    assert len(compared["references"]["random cells"]["values"]) == 1


def test_figures_are_those_of_a_loop_by_hand() -> None:
    network = own_task.build(own_task.Settings(), None, "cpu", 0)
    trainee = judged.Fixed(own_task.build(own_task.Settings(), None, "cpu", 0), "left=sensor 2,right=sensor 0")
    gates = torch.tensor([[0.0, 0, 1], [1, 0, 0]])
    for step in range(20):
        assert torch.equal(network.weight_step(gates, step / 20), trainee.step(step / 20))
    assert trainee.figure("accuracy") == network.validate(gates)["accuracy"]
    with pytest.raises(ValueError, match="no figure 'perplexity' to be judged by; it has loss, accuracy"):
        trainee.figure("perplexity")


def test_by_loss() -> None:
    assert BY_LOSS.measure is not None
    assert not BY_LOSS.measure.larger_is_better
    assert BY_LOSS.measure.label == "test loss, from scratch"


SHIFT = [0.0]  # of the data, which changes under settings that do not say so


def shifted(settings: own_task.Settings, data: Path | None, device: str, seed: int) -> own_task.Supernet:
    network = own_task.build(settings, data, device, seed)
    network.weights.inputs.add_(SHIFT[0])
    return network


SHIFTING = judged.from_scratch(replace(own_task.TASK, build=shifted, evaluate=None), epochs=1)


def test_other_data_is_refused(tmp_path: Path) -> None:
    name = f"{__name__}:SHIFTING"
    assert main(["search", name, *SETS, "--runs", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "sensors").iterdir()
    assert tasks.find(name) is SHIFTING
    assert evaluate(folder, Request(randoms=0)) is not None
    assert len(list((folder / "scratch").iterdir())) == 1
    SHIFT[0] = 1.0
    try:
        with pytest.raises(runs.RunError, match="was begun with another weights data"):
            evaluate(folder, Request(randoms=0))
    finally:
        SHIFT[0] = 0.0


def test_a_network_that_is_no_supernet_is_refused() -> None:
    with pytest.raises(ValueError, match="a Space is no Supernet: its task needs an `evaluate` of its own"):
        judged.Fixed(SPACE, "x")
