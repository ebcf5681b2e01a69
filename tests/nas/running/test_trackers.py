"""A tracker is told what metrics.jsonl holds, finds its run again, and stops none. MLflow and W&B are stand-ins."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nas.__main__ import main
from nas.running import config, runs, trackers
from nas.running.searching import search_in
from nas.settings import SearchSettings
from tests.nas.tiny import Tiny

SETTINGS = SearchSettings(rate=0.1, epochs=3, warmup_epochs=1, record_every=7)  # 10 steps an epoch
Calls = list[tuple[Any, ...]]

MLFLOW = """
from types import SimpleNamespace
calls = []
def set_experiment(name): calls.append(("experiment", name))
def start_run(run_id=None, run_name=None):
    calls.append(("start", run_id, run_name))
    return SimpleNamespace(info=SimpleNamespace(run_id=run_id or "id-of-mlflow"))
def log_params(params): calls.append(("params", params))
def log_metrics(metrics, step): calls.append(("metrics", step, metrics))
def set_tag(key, value): calls.append(("tag", key, value))
def end_run(status): calls.append(("end", status))
"""
WANDB = """
calls = []
class Run:
    def __init__(self, id): self.id, self.summary = id, {}
    def log(self, numbers, step): calls.append(("metrics", step, numbers))
    def finish(self, exit_code): calls.append(("end", exit_code, dict(self.summary)))
def init(project, name, id, resume, config, dir):
    calls.append(("start", id, name))
    calls.append(("experiment", project))
    calls.append(("params", config))
    return Run(id or "id-of-wandb")
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Calls]:
    """What the stand-ins were asked, by their names."""
    (tmp_path / "packages").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    told = {}
    for name, code in (("mlflow", MLFLOW), ("wandb", WANDB)):
        (tmp_path / "packages" / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
        told[name] = __import__(name).calls
    return told


def search(folder: Path, names: tuple[str, ...], stopped: Callable[[], bool] = lambda: False) -> Any:
    with trackers.open_run(folder, SETTINGS, names=names) as run:
        return search_in(run, Tiny(), SETTINGS, 3, stopped)


def of(kind: str, told: Calls) -> Calls:
    return [call[1:] for call in told if call[0] == kind]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_what_is_recorded_is_told(name: str, calls: dict[str, Calls], tmp_path: Path) -> None:
    folder = tmp_path / "task" / "digest-s3"
    result = search(folder, (name,))
    told = calls[name]
    assert of("experiment", told) == [("task",)]
    assert of("start", told) == [(None, "digest-s3")]
    assert of("params", told) == [(config.written(SETTINGS),)]
    written = [(record["step"], dict(runs.numbers(record))) for record in runs.records(folder)]
    assert of("metrics", told) == written
    assert written[-1][1]["probabilities/0/1"] == runs.records(folder)[-1]["probabilities"][0][1]
    if name == "mlflow":
        assert told[-2:] == [("tag", "architecture", result["architecture"]), ("end", "FINISHED")]
    else:
        assert told[-1] == ("end", 0, {"architecture": result["architecture"]})
    assert not [one for other, one in calls.items() if other != name and one]


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_run_that_goes_on_is_the_same_one_there(name: str, calls: dict[str, Calls], tmp_path: Path) -> None:
    folder, asks = tmp_path / "task" / "run", itertools.count(1)
    assert search(folder, (name,), lambda: next(asks) == 15) is None
    assert calls[name][-1][1] == {"mlflow": "KILLED", "wandb": 1}[name]
    assert search(folder, (name,)) is not None
    assert [one[0] for one in of("start", calls[name])] == [None, f"id-of-{name}"]
    assert {step for step, _ in of("metrics", calls[name])} == {record["step"] for record in runs.records(folder)}
    if name == "mlflow":
        assert len(of("params", calls[name])) == 1  # it refuses to change them


@pytest.mark.parametrize("part", ["start_run", "log_params", "log_metrics", "set_tag", "end_run"])
@pytest.mark.parametrize("error", [OSError("no server\nanswers"), SystemExit(3)])
def test_a_tracker_that_fails_is_one_line_and_the_run_the_same(
    part: str,
    error: BaseException,
    calls: dict[str, Calls],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = search(tmp_path / "alone", ())
    assert capsys.readouterr().err == ""
    module: ModuleType = sys.modules["mlflow"]
    real, asks = getattr(module, part), itertools.count(1)

    def fails(*given: Any, **named: Any) -> Any:
        if part != "log_metrics" or next(asks) > 1:
            raise error
        return real(*given, **named)

    monkeypatch.setattr(module, part, fails)
    found = search(tmp_path / "task" / "run", ("mlflow", "wandb"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("tracker mlflow: ")
    assert ("no server answers" in said) == isinstance(error, OSError)
    assert {**found, "seconds": 0} == {**alone, "seconds": 0}
    told = [[{**record, "seconds": 0} for record in runs.records(tmp_path / name)] for name in ("alone", "task/run")]
    assert told[0] == told[1]
    assert len(of("metrics", calls["wandb"])) == len(told[0])  # the other one is told all
    assert len(of("metrics", calls["mlflow"])) == {"start_run": 0, "log_params": 0, "log_metrics": 1}.get(
        part, len(told[0])
    )


def test_what_is_not_there_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trackers, "TRACKERS", {**trackers.TRACKERS, "no_such_package": trackers.mlflow})
    for name, says in (
        ("comet", "unknown tracker 'comet'; known: mlflow, wandb, "),
        ("no_such_package", "--tracker no_such_package needs its package: pip install no_such_package"),
        ("no.module:tracker", "cannot load tracker 'no.module:tracker'"),
    ):
        command = ["search", "tests.nas.tasks.own_task:TASK", "--runs", str(tmp_path), "--tracker", name]
        assert main(command) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


heard: Calls = []


def own(folder: Path, settings: dict[str, Any], known: str | None) -> trackers.Opened:
    """A tracker of one's own."""
    heard.append((folder.parent.name, settings["search.epochs"], known))
    return trackers.Opened("own", lambda numbers, step: heard.append((step, numbers["entropy"])), heard.append)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["search", "compare", "sweep"])
def test_a_tracker_of_one_s_own_serves_every_command(command: str, tmp_path: Path) -> None:
    heard.clear()
    task, name = "tests.nas.tasks.own_task:TASK", "tests.nas.running.test_trackers:own"
    sets = [word for setting in ("search.epochs=2", "search.warmup_epochs=1") for word in ("--set", setting)]
    file = tmp_path / "sweep.toml"
    file.write_text(f'task = "{task}"\nbase.search = {{epochs = 2, warmup_epochs = 1}}\n')
    words = [str(file), "--allow", "tests.nas.tasks.own_task"] if command == "sweep" else [task, *sets]
    more = ["--methods", "advantage", "--seeds", "1"] if command == "compare" else []
    assert main([command, *words, *more, "--runs", str(tmp_path / "runs"), "--tracker", name]) == 0
    begun = [one for one in heard if isinstance(one, tuple) and len(one) == 3]
    searches = 2 if command == "compare" else 1  # random search is always among them
    assert [one[1:] for one in begun] == [(2, None)] * searches
    assert sum(isinstance(one, dict) and "architecture" in one for one in heard) == searches
