"""Work on a cluster: with a common disk it goes on where a killed worker was, without one its runs come back."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nas.running import elsewhere, pool, runs
from nas.running.pool import side_by_side


@dataclass(frozen=True)
class Asked:
    """Like a comparison."""

    scheduler: str
    root: Path
    data: Path | None = None
    device: str = "cpu"
    jobs: int = 1
    stopped: Any = bool


@dataclass(frozen=True)
class Settings:
    number: int = 0


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler with two workers, all in this process."""
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    quick = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(protocol="tcp", **quick) as cluster:
        yield cluster.scheduler_address


WORKED_IN: list[Path] = []


def finished_run(asked: Asked, number: int) -> Path:
    """A run that adds what an earlier one found, if it is there."""
    folder, earlier = asked.root / "some" / f"run-{number}", asked.root / "some" / "run-0"
    WORKED_IN.append(asked.root)
    if (folder / runs.RESULT).exists():
        return folder
    before = runs.result(earlier)["found"] if (earlier / runs.RESULT).exists() else 0
    with runs.open_run(folder, Settings(number)) as run:
        run.record({"step": 1})
        run.finish({"found": before + number, "earlier": str(earlier)})
    return folder


def earlier_run(asked: Asked, number: int) -> list[Path]:
    return [asked.root / "some" / "run-0"] if number else []


@pytest.mark.parametrize("common", [True, False])
def test_runs_lie_under_the_root_of_who_asked(
    common: bool, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that were made elsewhere, from what was sent there."""
    monkeypatch.chdir(tmp_path)
    WORKED_IN.clear()
    if not common:
        monkeypatch.setattr(elsewhere, "_sees", lambda root, mark: False)
    asked = Asked(scheduler, Path("runs"))
    assert side_by_side(finished_run, asked, [(0,)]) == [Path("runs/some/run-0")]
    runs.write_atomically(Path("runs/some/run-0") / runs.RESULT, '{"found": 40}')
    found = side_by_side(finished_run, asked, [(1,), (2,)], earlier_run)
    assert found == [Path("runs/some/run-1"), Path("runs/some/run-2")]
    for folder, sum_of_both in zip(found, (41, 42), strict=True):
        assert runs.result(folder)["found"] == sum_of_both
        assert runs.result(folder)["earlier"] == str(tmp_path / "runs" / "some" / "run-0")
        assert runs.records(folder) == [{"step": 1}]
        assert list(folder.glob(f"{runs.EVENTS}.*"))
    assert (set(WORKED_IN) == {tmp_path / "runs"}) == common
    if not common:  # control: what is not said to be needed is not there
        assert side_by_side(finished_run, asked, [(3,)]) is not None
        assert runs.result(Path("runs/some/run-3"))["found"] == 3


def failing(asked: Asked, number: int) -> Path:
    raise runs.RunError(f"run {number} cannot be done")


def test_what_goes_wrong_there_is_heard_here(scheduler: str, tmp_path: Path) -> None:
    with pytest.raises(runs.RunError, match="run 7 cannot be done"):
        side_by_side(failing, Asked(scheduler, tmp_path), [(7,)])


BEGUN, ENDED = threading.Event(), threading.Event()


def told_of_its_end(*given: Any) -> None:
    elsewhere.one(*given)
    ENDED.set()


def waiting(asked: Asked, number: int) -> Path | None:
    """Waits to be stopped, if it is the first."""
    BEGUN.set()
    while number == 0 and not asked.stopped():
        threading.Event().wait(0.01)
    return None if number == 0 else asked.root


def test_what_runs_there_is_told_to_stop(scheduler: str, tmp_path: Path) -> None:
    BEGUN.clear()
    assert side_by_side(waiting, Asked(scheduler, tmp_path, stopped=BEGUN.is_set), [(0,), (1,)]) is None


def test_work_whose_asker_is_gone_stops(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler cancels it: nobody wants it any more. Until then its runs name the asker's command as theirs."""
    from distributed import Client

    monkeypatch.setattr(sys, "orig_argv", sys.orig_argv)
    BEGUN.clear()
    with Client(scheduler) as client:
        given = (waiting, Asked(scheduler, tmp_path), (0,), elsewhere._marked(tmp_path), "a stop that nobody sets")
        _wanted = client.submit(told_of_its_end, *given, (), ["python", "asked.py"])
        assert BEGUN.wait(60)
        assert runs.about_this_program()["command"].endswith(" asked.py")
        assert not ENDED.wait(2 * elsewhere.ATTENTION)  # control: wanted, it goes on
    assert ENDED.wait(60)


def test_a_worker_of_several_threads_is_refused(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
    ) as cluster:
        asked = Asked(cluster.scheduler_address, tmp_path)
        with pytest.raises(ValueError, match="has 2 threads; start workers with `dask worker --nthreads 1`"):
            side_by_side(finished_run, asked, [(0,)])


def test_a_finished_run_is_not_written_over(tmp_path: Path) -> None:
    with runs.open_run(tmp_path / "a" / "r", Settings()) as run:
        run.record({"step": 1})
        run.finish({"found": 1})
    content = elsewhere.packed([tmp_path / "a" / "r"], tmp_path / "a")
    assert list(content)[-1] == f"r/{runs.RESULT}"
    there = tmp_path / "b"
    (there / "r").mkdir(parents=True)
    (there / "r" / "events.out.tfevents.1.stale").write_text("of a start that finished nothing")
    elsewhere.unpack(content, there)
    assert elsewhere.packed([there / "r"], there) == content
    elsewhere.unpack({f"r/{runs.RESULT}": b'{"found": 2}'}, there)
    assert runs.result(there / "r")["found"] == 1
    with (
        runs.open_run(tmp_path / "b" / "s", Settings()),
        pytest.raises(runs.RunError, match="is in use by another process"),
    ):
        elsewhere.unpack({f"s/{runs.RESULT}": b"{}"}, there)


def test_nobody_answers_is_known_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    with pytest.raises(ValueError, match="no Dask scheduler answers at nonsense"):
        pool.answers("nonsense")


def test_jobs_and_a_scheduler_are_refused_together() -> None:
    from nas.tasks import experiments
    from nas.tasks.task import Comparison

    comparison = Comparison(experiments.load("digits"), ("advantage",), scheduler="tcp://a:1")
    with pytest.raises(ValueError, match="2 jobs are processes of this machine, a scheduler has workers"):
        replace(comparison, jobs=2)
