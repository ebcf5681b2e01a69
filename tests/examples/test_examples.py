"""Every example is short, runs, prints what its head promises, and finds what it says it finds."""

import ast
import os
import re
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

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


def test_every_example_is_named_in_the_docs() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for example in EXAMPLES:
        assert f"examples/{example.name}" in pages
