"""Studies: the grid, finished cells that are kept whatever happens, what is refused, figures and the page."""

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from nas import runs
from simulate import __main__ as program
from simulate import evidence, report, study
from simulate.run import Machine, Setting, simulate

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
        with (
            runs.open_run(folder, settings) as run,
            pytest.raises(runs.RunError, match=r"died 4 times; \d cells are left"),
        ):
            study.run_study(cells, MACHINE, run, lambda: contextlib.nullcontext(_Mortal(0)))
    with runs.open_run(folder, settings) as run:
        study.run_study(cells[:3], MACHINE, run, threads)
    before = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    with runs.open_run(folder, settings) as run:
        study.run_study(cells, MACHINE, run, threads)
    after = {file: file.stat().st_mtime_ns for file in (folder / "cells").iterdir()}
    assert len(before) == 3
    assert len(after) == len(cells)
    assert all(after[file] == time for file, time in before.items())


@pytest.mark.slow
def test_on_a_dask_cluster_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    import os
    import signal
    import threading
    import time

    settings, cells = loaded(tmp_path, STUDY.replace("steps = 40", "steps = 400"))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        victim = next(iter(cluster.workers.values())).process.pid
        folder = tmp_path / "run"

        def kill_half_way() -> None:
            while len(list((folder / "cells").glob("*.parquet"))) < len(cells) // 3:
                time.sleep(0.02)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_half_way)
        killer.start()
        with runs.open_run(folder, settings) as run:
            study.run_study(cells, MACHINE, run, lambda: study.dask_pool(cluster.scheduler_address))
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
    for text in ("Which method is first?", "AdvantageNAS", "n = 6 replicates", "seeds [0]", "Made by: "):
        assert text in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://matplotlib.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert program.main(["plot", str(folder)]) == 0
    assert (folder / "commitment.svg").stat().st_size > 1000
    assert program.main(command) == 2
    assert "is finished" in capsys.readouterr().err


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
    ],
)
def test_bad_studies_are_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in STUDY
    file = write(tmp_path, STUDY.replace(old, new))
    assert program.main(["study", str(file), "--runs", str(tmp_path / "runs")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_records_of_another_version_and_damaged_ones_are_named(tmp_path: Path) -> None:
    settings, cells = loaded(tmp_path)
    with runs.open_run(tmp_path, settings) as run:
        study.run_study(cells[:1], MACHINE, run, threads)
    (file,) = (tmp_path / "cells").iterdir()
    table = pq.read_table(file)
    about = {**table.schema.metadata, b"version": b"advantage-nas records 0"}
    pq.write_table(table.replace_schema_metadata(about), file)
    with pytest.raises(runs.RunError, match=r"holds 'advantage-nas records 0', this program reads"):
        study.read(tmp_path)
    file.write_bytes(b"torn")
    with pytest.raises(runs.RunError, match="is damaged"):
        study.read(tmp_path)
    with pytest.raises(runs.RunError, match="no finished cells"):
        study.read(tmp_path / "nowhere")


def test_estimates_hold_what_they_claim() -> None:
    # 8 of 10: Wilson's interval from its formula, centre (8 + z^2/2) / (10 + z^2), z = 1.96.
    z = 1.959964
    centre = (8 + z * z / 2) / (10 + z * z)
    reach = z / (10 + z * z) * np.sqrt(8 * 2 / 10 + z * z / 4)
    eight = evidence.share(np.arange(10) < 8)
    assert (eight.lower, eight.upper) == pytest.approx((centre - reach, centre + reach), abs=1e-5)
    random = np.random.default_rng(0)
    held = [_holds(evidence.median(random.exponential(size=25)), np.log(2)) for _ in range(1000)]
    assert np.mean(held) > 0.93  # at least 95 % promised; 0.93 is three standard deviations below
    wrong = [_holds(evidence.median(random.exponential(size=25)), 1.0) for _ in range(1000)]
    assert np.mean(wrong) < 0.9


def test_a_rate_is_found_again() -> None:
    steps = np.arange(0, 410, 10)
    values = {"expected_loss": 3 + 5.0 / np.maximum(steps, 1)[:, None] ** 1.5 * np.ones((1, 8))}
    cell = study.Cell(Setting(), steps, values)
    assert evidence.exponent(cell, 3.0).value == pytest.approx(-1.5)
    assert abs(evidence.exponent(cell, 2.9).value) < 1


def _holds(estimate: evidence.Estimate, value: float) -> bool:
    return estimate.lower <= value <= estimate.upper


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
