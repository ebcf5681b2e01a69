"""Studies: the grid, finished cells that are kept whatever happens, what is refused, figures and the page."""

import contextlib
import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from nas import estimators
from nas.data import nasbench201
from nas.data.places import VARIABLE
from nas.methods import ASIDE, METHODS, label
from nas.running import plugins, pool, runs
from simulate import __main__ as program
from simulate import report, study
from simulate.run import Machine, Setting, simulate
from tests import browser
from theory.landscapes import make


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be refused, and is not, ends here and not in processes of its own."""
    monkeypatch.setattr(pool, "workers", lambda *_: pytest.fail("workers were begun"))


STUDY = """
name = "small"
about = "Which method is first?"
[base]
edges = 2
candidates = 3
steps = 40
replicates = 6
every = 4
watch = true
[grid]
method = ["advantage", "reinforce"]
landscape = ["additive", "xor"]
rate = [0.1, 0.3]
"""
MACHINE = Machine("numpy", dtype="float64")


@contextlib.contextmanager
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def write(folder: Path, text: str = STUDY) -> Path:
    file = folder / "study.toml"
    file.write_text(text)
    return file


def loaded(folder: Path, text: str = STUDY) -> tuple[study.StudySettings, list[Setting]]:
    settings = study.load(write(folder, text))
    return settings, study.cells(settings)


def test_the_grid_is_the_product_of_base_cases_and_lists(tmp_path: Path) -> None:
    cases = '[[cases]]\noptimiser = "sgd"\nbeta1 = 0.9\n[[cases]]\noptimiser = "natural"\n'
    _, cells = loaded(tmp_path, STUDY + cases)
    assert len(cells) == 2 * 2 * 2 * 2
    assert {(cell.optimiser, cell.beta1) for cell in cells} == {("sgd", 0.9), ("natural", 0.5)}
    assert len({study.file_name(cell) for cell in cells}) == len(cells)


def test_a_study_that_loses_its_workers_keeps_what_is_finished_and_ends_the_same(tmp_path: Path) -> None:
    settings, cells = loaded(tmp_path)
    pools: list[_Mortal] = []

    @contextlib.contextmanager
    def mortal() -> Iterator[Executor]:
        pools.append(_Mortal(3))
        yield pools[-1]

    with runs.open_run(tmp_path / "run", settings) as run:
        study.run_study(cells, MACHINE, run, mortal)
    assert len(pools) == 3
    assert sum(pool.finished for pool in pools) == len(cells)
    for cell in study.read(tmp_path / "run"):
        alone = simulate(cell.setting, MACHINE)
        assert np.array_equal(cell.values["entropy"], alone.values["entropy"].astype(np.float32))


def test_workers_that_keep_dying_are_an_error_and_the_next_start_goes_on(tmp_path: Path) -> None:
    settings, cells = loaded(tmp_path)
    folder = tmp_path / "run"
    for _ in range(2):
        pools: list[Executor] = []

        @contextlib.contextmanager
        def dead(made: list[Executor] = pools) -> Iterator[Executor]:
            made.append(_Mortal(0))
            yield made[-1]

        with (
            runs.open_run(folder, settings) as run,
            pytest.raises(runs.RunError, match=r"died 4 times; \d cells are left"),
        ):
            study.run_study(cells, MACHINE, run, dead)
        assert len(pools) == 4
    with runs.open_run(folder, settings) as run:
        study.run_study(cells[:3], MACHINE, run, threads)
    before = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    with runs.open_run(folder, settings) as run:
        study.run_study(cells, MACHINE, run, threads)
    after = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    assert len(before) == 3
    assert len(after) == len(cells)
    assert all(after[file] == time for file, time in before.items())


class _Bar:
    """What a progress bar is told."""

    def __init__(self, told: list[Any], **how: Any) -> None:
        self.told = told
        told.append((how["total"], how["initial"]))

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, number: int) -> None:
        self.told.append(number)

    def write(self, text: str) -> None:
        self.told.append(text)


def test_progress_counts_what_is_there_and_says_that_a_worker_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of 6 replicates and 40 steps are 240 each; two of five are there, and one more before a worker dies."""
    told: list[Any] = []
    settings, cells = loaded(tmp_path)
    with runs.open_run(tmp_path / "run", settings) as run:
        study.run_study(cells[:2], MACHINE, run, threads)
    monkeypatch.setattr(study, "tqdm", lambda **how: _Bar(told, **how))
    pools = [_Mortal(2), _Mortal(1)]
    with runs.open_run(tmp_path / "run", settings) as run:
        study.run_study(cells[:5], MACHINE, run, lambda: contextlib.nullcontext(pools.pop()))
    assert told == [(1200, 480), 240, "a worker died; 3 cells are kept, 2 go on", 240, 240]


def test_a_stop_is_noticed_while_nothing_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "ATTENTION", 0.01)
    late: Future[bytes] = Future()
    asked: list[int] = []

    def not_yet() -> bool:
        asked.append(1)
        if len(asked) == 2:
            late.set_result(b"")
        return False

    assert list(study._completed([late], not_yet)) == [late]
    answers = iter([False, True])  # and no third time
    with pytest.raises(study._Stopped):
        list(study._completed([Future()], lambda: next(answers)))


LONGER = STUDY.replace("steps = 40", "steps = 600").replace("[grid]", "[grid]\nlandscape_seed = [0, 1, 2]")
LONGER += '[machine]\nworld = "numpy"\ndtype = "float64"\n'


@pytest.mark.slow
def test_a_killed_study_leaves_no_worker_and_goes_on_where_it_was(tmp_path: Path) -> None:
    command = study_command(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: len(cells_in(tmp_path)) >= 2)
        workers = workers_of(process.pid)
        process.kill()
    assert len(workers) == 2
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), seconds=20)
    before = cells_in(tmp_path)
    assert 2 <= len(before) < 24
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = cells_in(tmp_path)
    assert len(after) == 24
    assert {name: after[name] for name in before} == before
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 2
    assert "is finished" in again.stderr


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    command = study_command(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: len(cells_in(tmp_path)) >= 2)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        said = "".join(process.communicate())
    assert process.returncode == 0, said
    assert "a worker died; " in said
    assert len(cells_in(tmp_path)) == 24


def study_command(folder: Path) -> list[str]:
    file, root = write(folder, LONGER), folder / "runs"
    return [sys.executable, "-m", "simulate", "study", str(file), "--runs", str(root), "--workers", "2"]


def cells_in(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (folder / "runs").glob("small/*/cells/*.parquet")}


def workers_of(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


@pytest.mark.slow
def test_on_a_dask_cluster_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    import threading

    settings, cells = loaded(tmp_path, STUDY.replace("steps = 40", "steps = 400"))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        victim = next(iter(cluster.workers.values())).process.pid
        folder = tmp_path / "run"

        def kill_half_way() -> None:
            while len(list((folder / "cells").glob("*.parquet"))) < len(cells) // 3:
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_half_way)
        killer.start()
        with runs.open_run(folder, settings) as run:
            study.run_study(cells, MACHINE, run, lambda: pool.cluster(cluster.scheduler_address, pool.DEATHS))
        killer.join()
    assert len(study.read(folder)) == len(cells)


def test_the_command_runs_draws_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = STUDY.replace('["additive", "xor"]', '["additive"]') + '[machine]\nworld = "numpy"\ndtype = "float64"\n'
    command = ["study", str(write(tmp_path, text)), "--runs", str(tmp_path / "runs"), "--workers", "1"]
    assert program.main([*command, "--dry-run"]) == 0
    assert "4 cells, 960 replicate-steps" in capsys.readouterr().out
    assert program.main(command) == 0
    (folder,) = (tmp_path / "runs" / "small").iterdir()
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == len(report.figures(study.read(folder)))
    assert page.index("raises the expected loss most often") < page.index("Which method is first?") < page.index("<svg")
    assert browser.CHROMIUM is None or browser.complaints(folder / "report.html") == []
    for text in ("Which method is first?", "AdvantageNAS", "n = 6 replicates", "seeds [0]", "Made by: "):
        assert text in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://matplotlib.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert program.main(["plot", str(folder)]) == 0
    assert (folder / "commitment.svg").stat().st_size > 1000
    assert program.main(command) == 2
    assert "is finished" in capsys.readouterr().err


def test_the_verdict_names_who_ends_lowest_and_ties_together() -> None:
    cells = [
        study.Cell(
            Setting(method, landscape, edges=2, candidates=2, replicates=3), np.array([0]), {"expected_loss": ends}
        )
        for method, landscape, ends in [
            ("advantage", "additive", np.array([[1.0, 2.0, 9.0]])),
            ("reinforce", "additive", np.array([[3.0, 4.0, 5.0]])),
            ("advantage", "xor", np.array([[0.5, 0.5, 0.5]])),
            ("reinforce", "xor", np.array([[0.1, 0.50001, 0.9]])),
        ]
    ]
    said = report.verdict(cells)
    assert said == (
        "The median expected loss at the end is lowest with AdvantageNAS on additive (2), "
        "with AdvantageNAS and REINFORCE on xor (0.5)."
    )
    turned = [replace(cell, values={"expected_loss": -cell.values["expected_loss"]}) for cell in cells]
    assert "REINFORCE on additive (-4)" in report.verdict(turned)


SHIPPED = sorted((Path(program.__file__).parent / "studies").glob("*.toml"))


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_cell_of_every_shipped_study_runs(file: Path) -> None:
    if "nasbench201" in file.read_text(encoding="utf-8") and nasbench201.at_hand() is None:
        pytest.skip("the NAS-Bench-201 table is not at hand")
    settings = study.load(file)
    assert settings.name == file.stem
    for cell in {(cell.method, cell.optimiser): cell for cell in study.cells(settings)}.values():
        trace = simulate(replace(cell, steps=2, replicates=2), settings.machine)
        assert np.isfinite(trace.values["expected_loss"]).all()


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate = [0.1, 0.3]", "rate = []", "grid.rate is empty"),
        ("replicates = 6", "replicates = 0", "replicates must be at least 1"),
        ('"xor"', '"xorr"', "unknown landscape 'xorr'; known: additive"),
        ('"reinforce"', '"reinforcee"', "unknown method 'reinforcee'"),
        ("rate = [0.1, 0.3]", f"rate = {list(range(3000))}", "12,000 cells, more than 10,000"),
        ("steps = 40", "stepps = 40", "unknown setting 'stepps'; known: "),
        ("steps = 40", 'steps = "many"', "setting steps: Expected `int`, got `str`"),
        ("edges = 2", "edges = 2\nrate = 1.0", "rate is in the grid and in base"),
        ('name = "small"', 'name = "../up"', "must be letters, digits"),
        ('"xor"', '"bandit"', "landscape bandit has 1 edges and 2 candidates, not 2 and 3"),
        ("rate = [0.1, 0.3]", "rate = [0.1, 1e-1]", "a cell of advantage on additive is there twice"),
        ('"xor"', '"additive"', "a cell of advantage on additive is there twice"),
        (
            "edges = 2",
            "edges = 1000000\nsamples = 1000000",
            "replicates at once of 1000000 edges with 3 ",
        ),
        ("edges = 2", "edges = -1", "edges must be at least 1, not -1"),
    ],
)
def test_bad_studies_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in STUDY
    file = write(tmp_path, STUDY.replace(old, new) + '[machine]\nworld = "numpy"\ndtype = "float64"\n')
    assert program.main(["study", str(file), "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_cell_that_fails_is_named_and_the_others_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, cells = loaded(tmp_path)
    run_cell = study.run_cell

    def failing(cell: Any, machine: Any, allowed: Any) -> bytes:
        if cell == cells[0]:
            raise MemoryError("no room")
        return run_cell(cell, machine)

    monkeypatch.setattr(study, "run_cell", failing)
    name = re.escape(study.file_name(cells[0]))
    with (
        runs.open_run(tmp_path, settings) as run,
        pytest.raises(runs.RunError, match=f"cell {name} failed, .*: MemoryError: no room"),
    ):
        study.run_study(cells, MACHINE, run, threads)
    assert len(list((tmp_path / "cells").iterdir())) == len(cells) - 1

    class KilledWorker(Exception):
        """As Dask's."""

    def killed(cell: Any, machine: Any, allowed: Any) -> bytes:
        raise KilledWorker

    monkeypatch.setattr(study, "run_cell", killed)
    with runs.open_run(tmp_path, settings) as run, pytest.raises(runs.RunError, match="workers died 4 times; 1 cells"):
        study.run_study(cells, MACHINE, run, threads)


def test_records_of_another_version_and_damaged_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, cells = loaded(tmp_path)
    with runs.open_run(tmp_path, settings) as run:
        study.run_study(cells[:1], MACHINE, run, threads)
    (file,) = (tmp_path / "cells").iterdir()
    table = pq.read_table(file)
    about = {**table.schema.metadata, b"version": b"advantage-nas records 0"}
    pq.write_table(table.replace_schema_metadata(about), file)
    with pytest.raises(runs.RunError, match=r"holds 'advantage-nas records 0', this program reads"):
        study.read(tmp_path)
    assert program.main(["report", str(tmp_path)]) == 2
    assert "run the study again" in capsys.readouterr().err
    file.write_bytes(b"torn")
    with pytest.raises(runs.RunError, match="is damaged"):
        study.read(tmp_path)
    with pytest.raises(runs.RunError, match="no finished cells"):
        study.read(tmp_path / "nowhere")


def test_compare_takes_a_landscape_at_its_own_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--set", "replicates=4", "--set", "steps=2", "--runs", str(tmp_path), "--workers", "1"]
    assert program.main(["compare", "bandit", "advantage", "reinforce", *short]) == 0
    assert "landscape bandit" in capsys.readouterr().out
    assert program.main(["compare", "bandit", "advantage", *short, "--set", "edges=3"]) == 2
    assert "bandit has 1 edges and 2 candidates, not 3 and 2" in capsys.readouterr().err


OF_NETWORKS = {"enas", "enas_critic", "evolution", "darts_second_order"}
COMPARED = [name for name in (*METHODS, *ASIDE) if name not in OF_NETWORKS]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All methods in one comparison of two operations an edge, which `disarm` can take: its rows by label."""
    folder = tmp_path_factory.mktemp("compared")
    short = ["--set", "replicates=20", "--set", "steps=60", "--set", "every=30", "--set", "rate=0.1"]
    size = ["--set", "edges=3", "--set", "candidates=2"]
    where = ["--runs", str(folder), "--workers", "1"]
    assert program.main(["compare", "additive", *COMPARED, *short, *size, *where]) == 0
    (made,) = (folder / "compare").iterdir()
    assert program.main(["plot", str(made), "--to", str(folder / "all"), "--only", "loss"]) == 0
    return {row["method"]: row for row in json.loads((folder / "all.json").read_text())["rows"]}


@pytest.mark.parametrize("name", [*METHODS, *ASIDE])
def test_compare_takes_every_name_or_says_in_one_line_why_not(
    name: str, rows: dict[str, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On an additive loss whoever has a gradient goes down; random search has no policy that could."""
    if name in OF_NETWORKS:
        assert program.main(["compare", "additive", name, "--runs", str(tmp_path / "runs")]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"method {name} " in said
        assert "it searches networks (`python -m nas search`)" in said
        assert not (tmp_path / "runs").exists()
        return
    made = make("additive", 3, 2)
    even = float(made.loss(np.eye(2)[list(itertools.product(range(2), repeat=3))]).mean())
    last = float(rows[label(name)]["J at the end"].split()[0])
    assert last == pytest.approx(even, rel=1e-2) if name == "random" else last < even - 0.1
    assert len(rows) == len(COMPARED)


def test_control_a_turned_sign_goes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would see of a broken method, here without its many others."""

    def turned(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
        return -estimators.reinforce(probabilities, gates, loss, baseline)

    settings = Setting("reinforce", "additive", edges=3, candidates=2, steps=60, replicates=20, rate=0.1)
    right = simulate(settings, MACHINE).values["expected_loss"].mean(axis=1)
    monkeypatch.setitem(METHODS, "reinforce", replace(METHODS["reinforce"], estimator=turned))
    wrong = simulate(settings, MACHINE).values["expected_loss"].mean(axis=1)
    assert right[-1] < right[0] - 0.1
    assert wrong[-1] > wrong[0] + 0.1


def test_compare_answers_a_question_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["compare", "list"]) == 0
    assert "nasbench201\n" in capsys.readouterr().out
    command = ["compare", "additive", "advantage", "reinforce", "--runs", str(tmp_path / "runs"), "--workers", "1"]
    for text in ("steps=20", "every=5", "replicates=4", "edges=2", "rate=0.2"):
        command += ["--set", text]
    assert program.main(command) == 0
    said = capsys.readouterr().out
    assert "AdvantageNAS  " in said
    assert "in all rows: landscape additive, optimiser adam, rate 0.2, samples 1, n 4" in said
    (folder,) = (tmp_path / "runs" / "compare").iterdir()
    target = tmp_path / "figure"
    assert program.main(["plot", str(folder), "--to", str(target), "--only", "loss,lose"]) == 2
    assert "no figure 'lose' of " in capsys.readouterr().err
    assert program.main(["plot", str(folder), "--to", str(target), "--only", "loss"]) == 0
    assert [file.suffix for file in sorted(tmp_path.glob("figure*"))] == [".png", ".svg", ".json"]
    assert (tmp_path / "figure-loss.png").stat().st_size > 1000
    found = json.loads((tmp_path / "figure.json").read_text())
    assert [row["method"] for row in found["rows"]] == ["AdvantageNAS", "REINFORCE"]
    assert all("commit" in start for start in found["made"])


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["additive"], "name one method or more; known: advantage"),
        (["hill", "advantage"], "unknown landscape 'hill'"),
        (["additive", "advantage", "--set", "replicates=0"], "replicates must be at least 1"),
        (["additive", "advantage", "--device", "cuda:7"], "device 'cuda:7' cannot be used here"),
        (["additive", "advantage", "--workers", "0"], "--workers must be at least 1"),
    ],
)
def test_bad_comparisons_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert program.main(["compare", *arguments, "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_without_dask_a_scheduler_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["study", str(write(tmp_path)), "--runs", str(tmp_path / "runs"), "--scheduler", "tcp://127.0.0.1:1"]
    assert program.main(command) == 2
    assert "--scheduler needs Dask: pip install" in capsys.readouterr().err


class _Mortal(Executor):
    """Runs a few cells at once, then breaks like a pool whose worker was killed."""

    def __init__(self, lives: int) -> None:
        self.lives, self.finished = lives, 0

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if self.lives == self.finished:
            future.set_exception(BrokenExecutor("a worker was killed"))
        else:
            self.finished += 1
            future.set_result(function(*arguments, **options))
        return future


def test_the_settings_travel_with_the_records() -> None:
    cell = Setting(edges=2, candidates=2, steps=4, replicates=2, options={"outputs": 3})
    import io

    table = pq.read_table(io.BytesIO(study.run_cell(cell, MACHINE)))
    assert json.loads(table.schema.metadata[b"setting"])["options"] == {"outputs": 3}
    assert table.num_rows == 2 * 2


def test_every_damaged_byte_of_a_cell_is_noticed(tmp_path: Path) -> None:
    cell = Setting(edges=2, candidates=2, steps=4, every=2, replicates=2)
    file = tmp_path / "cells" / study.file_name(cell)
    file.parent.mkdir()
    whole = study.run_cell(cell, MACHINE)
    file.write_bytes(whole)
    (good,) = study.read(tmp_path)
    noticed = 0
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        try:
            (read,) = study.read(tmp_path)
        except runs.RunError:
            noticed += 1
            continue
        assert read.setting == good.setting
        assert read.truth == good.truth
        for name, values in good.values.items():
            assert np.array_equal(read.values[name], values, equal_nan=True), (place, name)
    assert noticed > len(whole) // 3 / 2  # the rest are statistics that nothing reads


def test_a_cell_of_a_version_without_digests_is_read(tmp_path: Path) -> None:
    cell = Setting(edges=2, candidates=2, steps=4, every=2, replicates=2)
    file = tmp_path / "cells" / study.file_name(cell)
    file.parent.mkdir()
    file.write_bytes(study.run_cell(cell, MACHINE))
    (good,) = study.read(tmp_path)
    table = pq.read_table(file)
    old = {name: text for name, text in table.schema.metadata.items() if name in (b"version", b"setting")}
    pq.write_table(table.replace_schema_metadata(old), file, compression="zstd")
    (read,) = study.read(tmp_path)
    assert read.truth is None
    assert study.truth_of(read) == good.truth
    assert np.array_equal(read.values["entropy"], good.values["entropy"])


def test_a_damaged_cell_is_kept_aside_and_computed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, cells = loaded(tmp_path)
    folder = tmp_path / "run"
    with runs.open_run(folder, settings) as run:
        study.run_study(cells[:2], MACHINE, run, threads)
    files = [folder / "cells" / study.file_name(cell) for cell in cells[:2]]
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    with runs.open_run(folder, settings) as run:
        study.run_study(cells[:2], MACHINE, run, threads)
    assert f"it is kept as {files[0].stem}.damaged, and computed again" in capsys.readouterr().err
    assert files[0].read_bytes() == whole
    assert files[0].with_suffix(".damaged").read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize("chunk", [0, -5])
def test_a_chunk_of_no_replicates_is_refused(chunk: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"chunk must be at least 1, not {chunk}"):
        study.load(write(tmp_path, STUDY + f"[machine]\nchunk = {chunk}\n"))


def test_a_scheduler_that_does_not_answer_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextlib.contextmanager
    def nobody(address: str, retries: int) -> Iterator[Executor]:
        raise ValueError(f"no Dask scheduler answers at {address}: it is no address")
        yield

    monkeypatch.setattr(pool, "cluster", nobody)
    command = ["study", str(write(tmp_path)), "--runs", str(tmp_path / "runs"), "--scheduler", "nonsense"]
    assert program.main(command) == 2
    assert "no Dask scheduler answers at nonsense" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_study_and_the_same_command_goes_on(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cell, begun = study.run_cell, 0

    def signalling(cell: Any, machine: Any, allowed: Any) -> bytes:
        nonlocal begun
        begun += 1
        if begun == 3:
            os.kill(os.getpid(), number)
        return run_cell(cell, machine)

    monkeypatch.setattr(study, "run_cell", signalling)
    monkeypatch.setattr(pool, "workers", lambda count, threads: contextlib.nullcontext(_Mortal(99)))
    text = STUDY + '[machine]\nworld = "numpy"\ndtype = "float64"\n'
    command = ["study", str(write(tmp_path, text)), "--runs", str(tmp_path / "runs"), "--workers", "1"]
    assert program.main(command) == 128 + number
    (folder,) = (tmp_path / "runs" / "small").iterdir()
    assert f"stopped; the same command goes on from here: {folder}" in capsys.readouterr().err
    kept = {file.name: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    assert 1 <= len(kept) < 8
    assert program.main(command) == 0
    after = {file.name: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    assert len(after) == 8
    assert {name: after[name] for name in kept} == kept


def nothing(probabilities: Any, gates: Any, loss: Any) -> None:
    pass


@pytest.mark.usefixtures("no_workers")
def test_a_wrong_estimator_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, STUDY.replace("reinforce", f"{__name__}:nothing"))
    assert program.main(["study", str(file), "--runs", str(tmp_path / "runs"), "--allow", __name__]) == 2
    assert "estimator nothing returned None; it must return the gradient" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------ studies by name


def test_the_toolkit_s_studies_have_names_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.main(["study", "monotone_exact", "--dry-run"]) == 0
    by_name = capsys.readouterr().out
    file = Path(study.__file__).parent / "studies" / "monotone_exact.toml"
    assert program.main(["study", str(file), "--dry-run"]) == 0
    assert capsys.readouterr().out == by_name
    monkeypatch.delenv(VARIABLE, raising=False)  # a list needs no data
    assert program.main(["study", "list"]) == 0
    said = capsys.readouterr().out
    assert {line.split()[0] for line in said.splitlines()} == {path.stem for path in file.parent.glob("*.toml")}


def test_a_word_that_is_no_study_is_refused_and_a_file_goes_before_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert program.main(["study", "monoton_exact", "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert "no study 'monoton_exact': neither a file, nor one of adam_commitment, " in said
    assert said.count("\n") == 1
    assert program.main(["study", "first.toml", "--dry-run"]) == 2  # a file's name is never the toolkit's
    assert "cannot read settings first.toml" in capsys.readouterr().err
    Path("first").write_text('[base]\nsteps = 10\n[grid]\nmethod = ["advantage"]\n')
    assert program.main(["study", "first", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("1 cells, ")


# ------------------------------------------------------------------ parts


def test_what_a_study_file_leaves_out() -> None:
    assert study.StudySettings().machine == Machine("torch", "cpu", "float64", 2048, False)
    assert study.cells(study.StudySettings()) == [Setting()]


def test_the_work_of_a_cell_counts_every_sample() -> None:
    assert study.work(Setting(samples=2, steps=3, replicates=5)) == 30


def test_a_file_with_a_wrong_setting_is_not_loaded(tmp_path: Path) -> None:
    file = write(tmp_path, STUDY.replace("replicates = 6", "replicates = 0"))
    with pytest.raises(ValueError, match=f"study {file}: .*replicates must be at least 1, not 0"):
        study.load(file)


def test_the_largest_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "LARGEST", 4)
    cases = [{"rate": 0.1}, {"rate": 0.2}]
    assert len(study.cells(study.StudySettings(grid={"edges": [2, 3]}, cases=cases))) == 4
    with pytest.raises(ValueError, match="the grid has 6 cells, more than 4"):
        study.cells(study.StudySettings(grid={"edges": [2, 3, 4]}, cases=cases))
    with pytest.raises(ValueError, match="edges is in the grid and in base or cases"):
        study.cells(study.StudySettings(grid={"edges": [2, 3]}, cases=[{"rate": 0.1}, {"edges": 4}]))


BLIND = replace(METHODS["random"], name="blind")


def test_a_method_of_ones_own_without_a_gradient_has_nothing_to_average() -> None:
    plugins.allow(__name__)
    base = {"method": f"{__name__}:BLIND", "samples": 2}
    with pytest.raises(ValueError, match="has no gradient to average over 2 samples"):
        study.cells(study.StudySettings(base=base))


@pytest.mark.parametrize(("replicates", "rows"), [(7, 4), (3, 3)])
def test_the_memory_of_a_chunk_by_hand(replicates: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two edges of three operations: logits, two moments and five samples, of eight bytes each."""
    asked: list[Any] = []
    monkeypatch.setattr(study.config, "fits", lambda *given: asked.append(given))
    study._check_memory(Setting(edges=2, candidates=3, samples=5, replicates=replicates), replace(MACHINE, chunk=4))
    assert asked == [(f"{rows} replicates at once of 2 edges with 3 candidates", rows * 6 * 8 * 8)]


def test_a_worker_may_load_what_it_is_told_to_and_takes_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_of_a_worker.py").write_text(
        "from theory.landscapes import make\n"
        "def still(edges, candidates, seed): return make('additive', edges, candidates, seed)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    cell = Setting(landscape="own_of_a_worker:still", edges=2, candidates=2, steps=2, replicates=1)
    with pytest.raises(ValueError, match="own_of_a_worker"):
        study.run_cell(cell, MACHINE)
    (tmp_path / "a.parquet").write_bytes(study.run_cell(cell, MACHINE, ("own_of_a_worker",)))
    assert asked == [1, 1]
    assert study._read_cell(tmp_path / "a.parquet").steps.tolist() == [0, 2]  # of one replicate


def test_the_digest_of_a_cell_is_that_of_earlier_versions() -> None:
    """Facts by name, then columns by name: type, length and bytes, with zeros between."""
    columns = {"b": np.array([1.5]), "a": np.array([2, 3], dtype=np.int64)}
    facts = b"version\0v\0setting\0s\0truth\0\0"
    numbers = b"a\0int64\x002\0" + (2).to_bytes(8, "little") + (3).to_bytes(8, "little")
    numbers += b"b\0float64\x001\0" + bytes([0, 0, 0, 0, 0, 0, 0xF8, 0x3F])
    found = study._digest(columns, {b"setting": b"s", b"version": b"v", b"sha256": b"?"})
    assert found == hashlib.sha256(facts + numbers).hexdigest().encode()


def test_a_whole_file_with_other_numbers_or_too_few_is_damaged(tmp_path: Path) -> None:
    cell = Setting(edges=2, candidates=2, steps=4, every=2, replicates=2)
    file = tmp_path / "a.parquet"
    file.write_bytes(study.run_cell(cell, MACHINE))
    table = pq.read_table(file)
    place = table.column_names.index("entropy")
    pq.write_table(table.set_column(place, "entropy", table["surest"]), file)
    with pytest.raises(runs.RunError, match="its digest is not that of what it holds"):
        study._read_cell(file)
    pq.write_table(table.slice(0, 4), file)
    with pytest.raises(runs.RunError, match="it has 4 rows, not 6"):
        study._read_cell(file)


@pytest.mark.parametrize(
    ("error", "why"),
    [(ValueError("long " * 100), ".{200}"), (RecursionError(), "RecursionError"), (KeyError("a"), "'a'")],
)
def test_why_a_cell_is_damaged_is_said_in_short(
    error: Exception, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(file: Path) -> Any:
        raise error

    monkeypatch.setattr(study, "_checked", failing)
    with pytest.raises(runs.RunError, match=rf"damaged \({why}\); delete it"):
        study._read_cell(tmp_path)
