"""Every example is short, runs, prints what its head promises, and finds what it says it finds."""

import ast
import json
import os
import re
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from examples import small_cnn, small_transformer
from nas.__main__ import main
from nas.tasks.judged import Fixed

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.?\d*")


@cache
def output(name: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-W", "error", str(ROOT / "examples" / name)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def promised(head: str, name: str) -> str:
    """The indented block of the head after the command."""
    block = head[head.index(f"    python examples/{name}\n") :].split("\n\n")[1]
    return "\n".join(line.removeprefix("    ") for line in block.splitlines())


def without_numbers(text: str) -> str:
    return NUMBER.sub("N", text).strip()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_prints_what_its_head_promises(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    head = ast.get_docstring(ast.parse(text), clean=False)
    assert head is not None
    assert without_numbers(output(example.name)) == without_numbers(promised(head, example.name))


def test_control_another_output_is_found() -> None:
    promise = promised("What.\n\n    python examples/x.py\n\n    bias 0.25 of 3\n", "x.py")
    assert without_numbers(promise) == without_numbers("bias 0.26 of 4\n")
    assert without_numbers(promise) != without_numbers("variance 0.26 of 4\n")


def test_own_estimator_is_biased_steadier_and_searches() -> None:
    advantage, damped, searched = output("own_estimator.py").splitlines()
    (bias, variance), (damped_bias, damped_variance) = (map(float, NUMBER.findall(row)) for row in (advantage, damped))
    assert bias == 0 < damped_bias
    assert damped_variance < variance
    assert searched.endswith("layer=seen")


def test_own_network_finds_the_two_sensors_that_matter() -> None:
    for line in output("own_network.py").splitlines():
        assert "sensors 0 and 2" in line
        assert float(NUMBER.findall(line)[-1]) > 90


def test_own_landscape_tells_biased_credit_from_unbiased() -> None:
    between = " bias |  found | on average, the best in | %"
    biased, unbiased = (re.split(between, line) for line in output("own_landscape.py").splitlines())
    assert Fraction(unbiased[1]) == 0 < Fraction(biased[1])
    assert float(unbiased[2]) < float(biased[2])
    assert float(unbiased[3]) > 50 > float(biased[3])


def test_a_search_goes_on_as_if_it_had_not_been_stopped_and_learns() -> None:
    first, second, _ = output("a_search.py").splitlines()
    assert ": the same cell" in first
    before, after = map(float, NUMBER.findall(second))
    assert after < before


def trained(module: Any, architecture: str) -> float:
    """Percent right on what no step saw, after a training from scratch."""
    trainee = Fixed(module.build(module.Settings(), None, "cpu", 0), architecture)
    total = 20 * trainee.steps_per_epoch
    for step in range(total):
        trainee.step(step / total)
    return trainee.figure("accuracy")


def test_a_layer_that_sees_neighbours_reads_digits_better() -> None:
    good, blind = (
        trained(small_cnn, ",".join(f"layer{n}={name}" for n in (1, 2, 3))) for name in ("conv3x3", "conv1x1")
    )
    assert good > 90
    assert good > blind + 3


def test_only_attention_compares_signs_that_lie_apart() -> None:
    seeing, blind = (trained(small_transformer, f"block1={name},block2={name}") for name in ("attention", "identity"))
    assert seeing > blind + 10


@pytest.mark.parametrize("name", ["small_cnn", "small_transformer"])
def test_an_own_task_in_every_verb(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, short = f"examples.{name}:TASK", ["--set", "search.epochs=2", "--set", "search.warmup_epochs=1"]
    assert main(["search", task, *short, "--runs", str(tmp_path)]) == 0
    (folder,) = (tmp_path / name.replace("_", "-")).iterdir()
    allow = ["--allow", f"examples.{name}"]
    assert main(["evaluate", str(folder), "--epochs", "1", *allow]) == 0
    assert [row["model"] for row in json.loads((folder / "evaluation.json").read_text())["rows"]] == ["found", "random"]
    assert main(["draw", str(folder), *allow]) == 0
    assert (folder / "cell.svg").exists()
    assert main(["audit", str(folder), "--samples", "2", "--along", "0", *allow]) == 0
    for form in ("json", "dot"):
        assert main(["export", str(folder), "--to", str(tmp_path / f"cell.{form}"), *allow]) == 0
    edges = json.loads((tmp_path / "cell.json").read_text())["edges"]
    assert len(edges) == len(json.loads((folder / "result.json").read_text())["choices"])
    assert main(["compare", task, *short, "--seeds", "1", "--methods", "advantage", "--runs", str(tmp_path)]) == 0
    assert (tmp_path / f"{name.replace('_', '-')}-comparison.json").exists()
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2  # the control: a file's word alone loads no module
    assert f"add --allow examples.{name}" in capsys.readouterr().err


def test_every_example_is_named_in_the_docs() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for example in EXAMPLES:
        assert f"examples/{example.name}" in pages
