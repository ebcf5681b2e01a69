"""A comparison is made at equal time, never twice, and says what it is over."""

import contextlib
import json
import math
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas import __main__ as program
from nas.data.places import VARIABLE
from nas.judging import compare
from nas.running import elsewhere, runs, training
from nas.tasks import experiments
from nas.tasks.task import Comparison


def some_text(folder: Path) -> Path:
    text = folder / "text"
    text.write_text("one two three two one four\n" * 800)
    return text


def test_equal_time_by_hand() -> None:
    curves = {
        "fast": [[(1.0, 50.0), (2.0, 60.0)], [(1.0, 52.0), (2.0, 64.0)]],
        "slow": [[(1.5, 70.0), (4.0, 90.0)], [(2.5, 80.0), (4.0, 94.0)]],
    }
    found = compare.summary(curves, 2.0)
    assert found["equal_seconds"] == 2.0
    assert found["methods"]["fast"]["at_equal_time"]["mean"] == 62.0
    slow = found["methods"]["slow"]
    assert slow["at_equal_time"] is None  # the second knew nothing before 2.5 s
    assert compare.summary(curves, 2.5)["methods"]["slow"]["at_equal_time"]["values"] == [70.0, 80.0]
    assert slow["at_the_end"]["mean"] == 92.0
    # n = 2: t(0.975, 1) = 12.706; std of (90, 94) = 2.828; half width 12.706 · 2.828 / √2
    assert slow["at_the_end"]["half_width"] == pytest.approx(12.7062 * math.sqrt(8) / math.sqrt(2), rel=1e-4)


def of_values(larger_is_better: bool, **values: list[float]) -> dict[str, Any]:
    """A comparison of which only the last figures are known."""
    rows = {name: {"at_the_end": compare.spread(own), "at_equal_time": None} for name, own in values.items()}
    labels = {name: name.title() for name in values}
    return {"methods": rows, "labels": labels, "larger_is_better": larger_is_better}


def test_the_verdict_names_who_differs_from_random_search_by_more_than_chance() -> None:
    """Means 1 apart, standard deviation 0.1 of five: t = 16 of 8 degrees; 0.1 apart is within it."""
    near = [-0.1, -0.05, 0.0, 0.05, 0.1]
    values = {
        "random": near,
        "high": [1 + x for x in near],
        "low": [x - 1 for x in near],
        "same": [0.1 + x for x in near],
    }
    said = compare.verdict(of_values(True, **values))
    assert said == "at the end, beside Random (95 % for 3 rows at once): better: High; worse: Low"
    assert compare.verdict(of_values(False, **values)).endswith("better: Low; worse: High")
    assert compare.verdict(of_values(True, random=near, same=near)).endswith("(95 %): no row differs")
    assert compare.verdict(of_values(True, random=[1.0], high=[9.0])).endswith("no row differs")  # one seed
    gaps = compare.apart(of_values(True, **values))
    assert list(gaps) == ["high", "low", "same"]
    assert gaps["same"].value == pytest.approx(0.1)
    assert compare.apart(of_values(True, **values), "at_the_end") == gaps
    # alone, 0.1 of spread 0.079 is 2.0 standard errors: within t(0.975, 8) = 2.31 of one row and of three
    assert gaps["same"].lower < 0 < gaps["same"].upper


def test_a_row_may_have_settings_of_its_own() -> None:
    experiment = experiments.load("digits", "quick", None, ["search.rate=0.5", "search.warmup='shared'"])
    gaea = compare._with_method(experiment, "darts+optimiser=exponentiated+rate=0.1")
    assert gaea.search == replace(experiment.search, method="darts", optimiser="exponentiated", rate=0.1)
    assert gaea.network == experiment.network
    assert compare._with_method(experiment, "gdas").search == replace(experiment.search, method="gdas")
    assert compare.label("gdas") == "GDAS"
    assert compare.label("reinforce_leave_one_out+optimiser=asng+rate=1") == "RLOO (asng, 1)"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("darts+speed=1", "darts+speed=1: unknown setting 'speed'; known: "),
        ("darts+rate=-1", "darts+rate=-1: "),
        ("darts+rate", "darts+rate: "),
        ("dart+rate=1", "unknown method 'dart'; known: "),
    ],
)
def test_a_wrong_row_is_refused_before_any_search(
    name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "search_all", lambda *_: pytest.fail("searched"))
    assert program.main(["compare", "digits", "--methods", f"advantage,{name}", "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_the_same_method_with_two_rates_is_two_searches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--set", "network.channels=2", "--set", "network.final_epochs=1", "--set", "search.epochs=2"]
    tiny += ["--set", "search.warmup_epochs=1", "--seeds", "1", "--runs", str(tmp_path)]
    rows = "reinforce,reinforce+rate=0.5+schedule=constant"
    assert program.main(["compare", "digits", "--methods", rows, *tiny]) == 0
    said = capsys.readouterr().out
    assert {"REINFORCE", "REINFORCE (0.5, constant)"} <= {line[:26].strip() for line in said.splitlines()}
    found = json.loads((tmp_path / "digits-comparison.json").read_text())
    texts = [(Path(run) / "config.toml").read_text() for run in found["runs"]]
    assert len(texts) == 3
    assert ["rate = 0.5" in text for text in texts] == [False, True, False]


def test_one_seed_has_no_spread() -> None:
    assert compare.spread([3.0]) == {"mean": 3.0, "std": None, "half_width": None, "values": [3.0]}


def test_without_the_table_that_judges_nothing_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "search_all", lambda *_: pytest.fail("searched"))
    assert program.main(["compare", "cifar10", "--data", str(tmp_path), "--runs", str(tmp_path / "runs")]) == 2
    assert "the NAS-Bench-201 table not found" in capsys.readouterr().err


def test_the_command_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (Path(os.environ.get(VARIABLE, "-")) / "cifar-10-batches-bin").exists():
        pytest.skip(f"{VARIABLE} names no folder with cifar-10-batches-bin")
    tiny = ["--set", "network.images=128", "--set", "network.held_out=64", "--set", "search.epochs=2"]
    tiny += ["--set", "search.warmup_epochs=1", "--runs", str(tmp_path), "--seeds", "2", "--methods", "advantage"]
    command = ["compare", "cifar10", "--preset", "quick", *tiny]
    assert program.main(command) == 0
    printed = capsys.readouterr().out
    assert "AdvantageNAS" in printed
    assert "Random search" in printed  # always among them
    folders = sorted((tmp_path / "compare" / "cifar10-cpu-1").iterdir())
    assert len(folders) == 4
    before = [(folder / "result.json").stat().st_mtime_ns for folder in folders]
    assert program.main(command) == 0
    assert before == [(folder / "result.json").stat().st_mtime_ns for folder in folders]
    assert {path.suffix for path in tmp_path.glob("cifar10-comparison.*")} == {".json", ".svg", ".png"}
    assert program.main([*command[:-1], "no_such_method"]) == 2
    assert "unknown method 'no_such_method'" in capsys.readouterr().err


def test_text_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["units=6", "batch=20", "window=8", "final_epochs=1", f"text=['{some_text(tmp_path)}']"]
    sets = [part for setting in tiny for part in ("--set", f"network.{setting}")]
    sets = [*sets[:-2], "--text", str(tmp_path / "text")]
    command = ["compare", "ptb", "--set", "search.epochs=2", *sets, "--runs", str(tmp_path), "--seeds", "2"]
    assert program.main([*command, "--methods", "advantage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "at the end, beside Random search (95 %): no row differs"  # two seeds
    assert {line[:26].strip() for line in lines[-5:-1]} == {
        "AdvantageNAS",
        "Random search",
        "random cells",
        "LSTM of the same size",
    }
    found = json.loads((tmp_path / "ptb-comparison.json").read_text())
    curves = found["curves"]["advantage"]
    assert all(points[0][0] <= found["equal_seconds"] or len(points) == 1 for points in curves)
    assert "text: " in found["data"]
    assert {"validation", "test", "parameters"} <= found["trained"][0].keys()
    best_first = [line[:26].strip() for line in lines[-5:-3]]
    then = {name: row["at_equal_time"] or {"mean": math.inf} for name, row in found["methods"].items()}
    by_mean = sorted(then, key=lambda name: then[name]["mean"])
    assert best_first == [found["labels"][name] for name in by_mean]  # the smaller perplexity first
    trained = sorted((tmp_path / "ptb-final").rglob("result.json"))
    before = [path.stat().st_mtime_ns for path in trained]
    assert program.main([*command, "--methods", "advantage"]) == 0
    assert [path.stat().st_mtime_ns for path in trained] == before
    capsys.readouterr()
    with some_text(tmp_path).open("a") as file:
        file.write("another text under the same name\n")
    assert program.main([*command, "--methods", "advantage"]) == 2
    assert "was searched on another text" in capsys.readouterr().err


def test_side_by_side_is_one_after_another(tmp_path: Path) -> None:
    """Also if stopped when the first search is done and asked again; the order of processes changes nothing."""
    tiny = ["units=6", "batch=20", "window=8", "final_epochs=1", f"text=['{some_text(tmp_path)}']"]
    sets = ["search.epochs=4", *(f"network.{setting}" for setting in tiny)]
    asked = Comparison(experiments.load("ptb", "quick", None, sets), ("advantage",), 1, tmp_path / "one")
    one = compare.compare(asked)
    assert one is not None
    root = tmp_path / "two"
    two = replace(asked, root=root, jobs=2)
    assert (
        compare.compare(replace(two, stopped=lambda: bool(list(root.glob("compare/ptb-cpu-2/*/metrics.jsonl")))))
        is None
    )
    assert not list(root.glob("*.json"))
    found = compare.compare(two)
    assert found is not None
    for name, row in one["methods"].items():
        assert found["methods"][name]["at_the_end"] == row["at_the_end"]
    wrong = replace(asked.experiment, network=replace(asked.experiment.network, rate=1e9))
    with pytest.raises(runs.RunError, match="not finite"):  # what goes wrong in a process is heard here
        compare.compare(replace(two, experiment=wrong))


@pytest.mark.slow
def test_on_a_cluster_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """Two workers, one killed at the first record of its search; the same cells and figures as on this machine."""
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    sets = ["network.channels=2", "network.final_epochs=1", "search.epochs=6", "search.warmup_epochs=1"]
    sets += ["search.warmup='shared'", "search.record_every=3"]
    here = Comparison(experiments.load("digits", None, None, sets), ("advantage",), 1, tmp_path / "here")
    alone = compare.compare(here)
    root = tmp_path / "there"
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        victims = {worker.process.pid for worker in cluster.workers.values()}
        killed = threading.Thread(target=_kill_who_records, args=(root, victims))
        killed.start()
        found = compare.compare(replace(here, root=root, scheduler=cluster.scheduler_address))
        killed.join()
    assert alone is not None
    assert found is not None
    for name, row in alone["methods"].items():
        assert found["methods"][name]["at_the_end"] == row["at_the_end"]
    folders = list((root / "compare" / "digits-cpu-cluster").iterdir())
    assert len(folders) == 2
    starts = [len(runs.sessions(folder)) for folder in folders]
    assert sum(starts) > 2  # one was begun again: on another worker, and not from nothing


def test_a_finished_training_is_not_repeated_on_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers have no disk in common with who asks: they cannot know what is finished there."""
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    trained: list[Path] = []
    train = training.train

    def counted(run: runs.Run, *rest: Any) -> float | None:
        trained.append(run.folder)
        return train(run, *rest)

    monkeypatch.setattr(elsewhere, "_sees", lambda root, mark: False)
    monkeypatch.setattr(training, "train", counted)  # the worker is in this process
    here = Comparison(
        experiments.load("digits", None, None, ["network.channels=2", "network.final_epochs=1"]), (), 1, tmp_path
    )
    one, other = ((f"|none~0|+|none~0|none~1|+|none~0|none~1|{last}~2|", 0) for last in ("none", "skip_connect"))
    quick = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(protocol="tcp", **quick) as cluster:
        asked = replace(here, scheduler=cluster.scheduler_address)
        first = compare._trained(asked, [one])
        both = compare._trained(asked, [other, one])
    assert first is not None
    assert both is not None
    assert [row["architecture"] for row in both] == [other[0], one[0]]
    assert both[1] == first[0]
    assert len(trained) == 2
    assert not [folder for folder in trained if tmp_path in folder.parents]  # none was trained by who asks
    assert compare._trained(here, [one, other]) == [both[1], both[0]]  # finished here, too


def _kill_who_records(root: Path, victims: set[int]) -> None:
    """Kill the worker that holds the first run folder with records open."""
    while len(list(root.glob("compare/digits-cpu-cluster/*/result.json"))) < 2:
        time.sleep(0.002)
        for metrics in root.glob("compare/digits-cpu-cluster/*/metrics.jsonl"):
            lock = str(metrics.with_name(".lock"))
            for victim in victims:
                with contextlib.suppress(OSError):
                    if lock in map(os.readlink, Path(f"/proc/{victim}/fd").iterdir()):
                        os.kill(victim, signal.SIGKILL)
                        return
