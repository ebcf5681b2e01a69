"""A run's page: the verdict says what the numbers say, and what is not there is not made up."""

import json
from pathlib import Path
from typing import Any

import pytest

from nas.__main__ import main
from nas.judging import report
from nas.running import runs
from nas.spaces import recurrent
from nas.tasks import experiments
from tests import browser


def row(model: str, test: float) -> dict[str, Any]:
    return {"model": model, "architecture": "a", "parameters": 1, "validation": test, "test": test}


def test_the_verdict_counts_in_the_measure_s_direction() -> None:
    rows = [row("found", 3.0), row("found", 5.0), row("random", 2.0), row("random", 6.0), row("random", 7.0)]
    assert "test 4 (n = 2), a random cell 5 (n = 3); its mean beats 2 of 3" in report.verdict(
        "X", "a", True, rows, False
    )
    assert "its mean beats 1 of 3" in report.verdict("X", "a", True, rows, True)
    assert "beats" not in report.verdict("X", "a", True, rows, None)


def test_what_is_not_known_is_said() -> None:
    assert "has not been measured" in report.verdict("X", "a", True, [row("found", 3.0)], True)
    assert "not finished" in report.verdict("X", "a", False, [], True)


def test_the_page_holds_what_the_folder_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, space = tmp_path / "run", recurrent.cell_space()
    even = [[0.2] * space.shape[1]] * space.shape[0]
    with runs.open_run(folder, experiments.load("ptb", "small")) as run:
        for step in (10, 20):
            told = {"step": step, "epoch": step / 10, "seconds": 1.0, "weight_loss": 3.0, "architecture_loss": 3.1}
            run.record({**told, "entropy": 9.0, "probabilities": even, "architecture": space.write([0] * 6)})
    assert main(["report", str(folder)]) == 0
    page = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert page.index("is not finished") < page.index("<svg")
    assert page.count("<svg") == 3
    assert "Beside what it must beat" not in page
    assert "prefers-color-scheme:dark" in page
    (folder / "evaluation.json").write_text(json.dumps({"rows": [row("found", 3.0), row("random", 4.0)]}))
    again = report.write(folder).read_text(encoding="utf-8")
    assert "Beside what it must beat" in again
    assert browser.CHROMIUM is None or browser.complaints(folder / "report.html") == []


def test_what_ended_a_search_early_is_on_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["search.epochs=30", "search.warmup_epochs=1", "network.examples=40"]
    words = [word for setting in sets for word in ("--set", setting)]
    for number, more in enumerate(([], ["--set", "search.patience=2", "--set", "search.rate=0"])):
        root = tmp_path / str(number)
        command = ["search", "tests.nas.tasks.own_task:TASK", *words, *more, "--runs", str(root)]
        assert main(command) == 0
        (folder,) = (root / "sensors").iterdir()
        assert main(["report", str(folder), "--allow", "tests.nas.tasks.own_task"]) == 0
        told = (folder / "report.html").read_text(encoding="utf-8")
        assert ("ended before its 30 epochs by search.patience=2" in told) == bool(more)
    capsys.readouterr()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "cannot read settings" in capsys.readouterr().err


DEEP = "[" * 100_000  # Python 3.13 reads JSON some 10,000 brackets deep, older ones 1,000


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("evaluation.json", "{"),
        ("evaluation.json", DEEP),
        ("evaluation.json", "{}"),
        ("evaluation.json", '{"rows": [{"test": 1.0}]}'),
        ("evaluation.json", '{"rows": [{"model": "found", "test": "good"}]}'),
        ("audit.json", '{"samples": 4, "all": {}, "operations": {}, "edges": [{"edge": [0]}]}'),
        ("audit.json", "{}"),
        ("result.json", "{}"),
        ("metrics.jsonl", "{}\n"),
        ("metrics.jsonl", ""),
    ],
)
def test_a_file_of_another_form_is_one_line_that_names_it(
    file: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = recurrent.cell_space()
    even = [[0.2] * space.shape[1]] * space.shape[0]
    told = {"step": 1, "epoch": 1.0, "seconds": 1.0, "weight_loss": 3.0, "architecture_loss": 3.1, "entropy": 9.0}
    with runs.open_run(tmp_path, experiments.load("ptb", "small")) as run:
        run.record({**told, "probabilities": even, "architecture": space.write([0] * 6)})
    assert len(report.parts(tmp_path)[1]) > 5  # control
    (tmp_path / file).write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert (file if content else "has recorded nothing yet") in said
    assert ("it is nested too deeply" in said) == (content == DEEP)
