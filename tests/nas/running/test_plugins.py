"""Names of a user's own: loaded where the command line says so, never because a file does, and checked first."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from nas.__main__ import main as nas
from nas.methods import Method
from nas.running import config, plugins, runs
from nas.tasks import experiments
from simulate import study
from simulate.__main__ import main as simulate
from simulate.run import Machine
from theory.__main__ import main as theory

STRANGER = """
import os, pathlib
from nas.methods import METHODS
from theory.landscapes.own import from_function
with open({ran!r}, "a") as file:
    file.write("x")
method = METHODS["advantage"]
number, builtin = 3, os.dup2

def landscape(edges, candidates, seed):
    return from_function(lambda gates: (gates * gates.new_tensor([1.0, 2.0])).sum(dim=(-1, -2)), edges, candidates)

def wrong(edges, candidates, seed):
    return "no landscape"

def narrow(edges, candidates):
    return edges

def leaves(edges, candidates, seed):
    raise SystemExit(0)
"""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Whether the module `stranger` was run."""
    mark = tmp_path / "ran"
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "stranger.py").write_text(STRANGER.format(ran=str(mark)))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    yield mark.exists
    sys.modules.pop("stranger", None)


@pytest.mark.parametrize(
    ("words", "modules"),
    [
        (["mine:method", "a,b.c:d"], ["mine", "b.c"]),
        (['base.method=["x:y", "z.w:v"]', "search.method=q:r"], ["x", "z.w", "q"]),
        (["gdas,mine:method+rate=0.1+optimiser=sgd"], ["mine"]),
        (["runs/a:b.toml", ".:x", "a:b:c", "1:2", "a:", ":b", "os:dup2/x", "tcp://host:8786"], []),
    ],
)
def test_names_on_a_command_line(words: list[str], modules: list[str]) -> None:
    assert plugins.modules_in(words) == modules


def test_a_name_loads_where_it_is_allowed_and_is_checked_for_its_kind(ran: Callable[[], bool]) -> None:
    with pytest.raises(ValueError, match="a file names it, and loading it runs the module stranger; if you trust it"):
        plugins.load("stranger:method", "method", Method)
    assert not ran()
    with plugins.allowing(["stranger"]):
        assert plugins.load("stranger:method", "method", Method).name == "advantage"
        assert ran()
        with pytest.raises(ValueError, match=r"'stranger:number' is a int, not a nas\.methods\.Method"):
            plugins.load("stranger:number", "method", Method)
    with pytest.raises(ValueError, match="add --allow stranger"):  # also what is in memory by now
        plugins.load("stranger:method", "method", Method)
    with plugins.allowing([]), pytest.raises(ValueError, match=r"write it as package\.module:name"):
        plugins.load(".:x", "method")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise RuntimeError('no\\nnetwork')", "RuntimeError: no network"),
        ("raise SystemExit(0)", r"it leaves the program \(exit status 0\)"),
        ("def (", "SyntaxError: "),
        ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
        ("def f(): f()\nf()", "RecursionError: "),
    ],
)
def test_whatever_a_module_does_is_one_line(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with plugins.allowing(["broken"]), pytest.raises(ValueError, match=says) as caught:
        plugins.load("broken:x", "method")
    assert "\n" not in str(caught.value)
    sys.modules.pop("broken", None)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("number", "is a int"),
        ("builtin", "is a function of Python itself"),
        ("narrow", "takes (edges, candidates)"),
        ("wrong", "is a str"),
        ("leaves", "it leaves the program"),
        ("absent", "cannot load landscape"),
    ],
)
def test_a_landscape_is_checked_before_it_is_called(
    name: str, says: str, ran: Callable[[], bool], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", f"stranger:{name}", "advantage", "--runs", str(tmp_path / "runs"), "--dry-run"]
    assert simulate(words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert simulate([words[0], "stranger:landscape", *words[2:], "--set", "edges=2", "--set", "candidates=2"]) == 0


# ------------------------------------------------------------------ files of a stranger

STUDY = """
name = "gift"
[base]
edges = 2
candidates = 2
steps = 4
replicates = 2
every = 2
method = "{method}"
landscape = "{landscape}"
"""


@pytest.mark.parametrize(("method", "landscape"), [("stranger:method", "xor"), ("advantage", "stranger:landscape")])
def test_a_study_of_a_stranger_runs_nothing(
    method: str, landscape: str, ran: Callable[[], bool], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY.format(method=method, landscape=landscape))
    words = ["study", str(file), "--runs", str(tmp_path / "runs"), "--workers", "1"]
    for more in ([], ["--dry-run"], ["--allow", "strange"]):
        assert simulate([*words, *more]) == 2
        said = capsys.readouterr().err
        assert "add --allow stranger" in said
        assert said.count("\n") == 1
    assert not ran()
    assert not (tmp_path / "runs").exists()
    assert simulate([*words, "--allow", "stranger", "--dry-run"]) == 0  # control: it is live
    assert ran()


def test_cells_of_a_stranger_are_read_without_running_anything(ran: Callable[[], bool], tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY.format(method="stranger:method", landscape="stranger:landscape"))
    with plugins.allowing(["stranger"]):
        settings = study.load(file)
        with runs.open_run(tmp_path / "run", settings) as run:
            (tmp_path / "run" / "cells").mkdir()
            for cell in study.cells(settings):
                content = study.run_cell(cell, Machine(dtype="float64"), ("stranger",))
                runs.write_atomically(tmp_path / "run" / "cells" / study.file_name(cell), content)
            run.finish({"cells": 1})
    sys.modules.pop("stranger")
    (tmp_path / "ran").unlink()
    for command in ("report", "plot"):
        assert simulate([command, str(tmp_path / "run")]) == 0
    (cell,) = study.read(tmp_path / "run")
    assert study.truth_of(cell).optimum == (0, 0)
    assert not ran()
    assert "stranger:method" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_folder_of_a_stranger_runs_nothing(
    ran: Callable[[], bool], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [
        "network.corpus=embedded",
        "network.units=6",
        "network.batch=20",
        "network.window=8",
        "network.least=60",
        "search.epochs=1",
    ]
    words = [word for text in sets for word in ("--set", text)]
    assert nas(["search", "ptb", *words, "--runs", str(tmp_path)]) == 0
    (folder,) = (tmp_path / "ptb").iterdir()
    settings = (folder / "config.toml").read_text().replace('"advantage"', '"stranger:method"')
    (folder / "config.toml").write_text(settings)
    (tmp_path / "gift.toml").write_text('[search]\nmethod = "stranger:method"\n')
    capsys.readouterr()
    assert nas(["draw", str(folder)]) == 0  # labels are text
    for command in (["audit", str(folder)], ["search", "ptb", "--config", str(tmp_path / "gift.toml"), "--dry-run"]):
        assert nas(command) == 2
        assert "add --allow stranger" in capsys.readouterr().err
    assert not ran()
    assert nas([*command, "--allow", "stranger"]) == 0  # control: it is live
    assert ran()


def test_control_what_the_command_line_names_is_loaded(ran: Callable[[], bool], tmp_path: Path) -> None:
    assert theory(["card", "stranger:method", "--edges", "2", "--figure", str(tmp_path / "card.png")]) == 0
    assert ran()
    assert "stranger" not in plugins.allowed()


def test_the_policy_of_a_run_is_not_a_module(tmp_path: Path) -> None:
    """The name of a folder that a stranger chose is not a word of the user's."""
    (tmp_path / "os:dup2").mkdir()
    (tmp_path / "os:dup2" / "config.toml").write_text('task = "ptb"\n[search]\nmethod = "os:dup2"\n')
    assert nas(["audit", str(tmp_path / "os:dup2")]) == 2
    assert experiments.reload(tmp_path / "os:dup2").search.method == "os:dup2"


def test_workers_inherit_what_is_allowed(ran: Callable[[], bool]) -> None:
    cell = config.load(study.Setting, base={"method": "stranger:method", "steps": 2, "replicates": 2})
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.raises(ValueError, match="add --allow stranger"):
            pool.submit(study.run_cell, cell, Machine(dtype="float64")).result()
        assert not ran()
        content = pool.submit(study.run_cell, cell, Machine(dtype="float64"), ("stranger",)).result()
    assert len(content) > 0
    assert ran()


def test_control_the_metadata_really_names_the_stranger(ran: Callable[[], bool]) -> None:
    with plugins.allowing(["stranger"]):
        cell = config.load(study.Setting, base={"method": "stranger:method", "steps": 2, "replicates": 2})
        content = study.run_cell(cell, Machine(dtype="float64"))
    import pyarrow as pa
    import pyarrow.parquet as pq

    about = pq.read_schema(pa.BufferReader(content)).metadata
    assert json.loads(about[b"setting"])["method"] == "stranger:method"
    assert np.isfinite(json.loads(about[b"truth"])["min_loss"])
