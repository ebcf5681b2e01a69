"""Both figures, of both spaces: every operation is drawn as wide as it is probable, and files are whole."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from nas import tasks
from nas.__main__ import main
from nas.judging import colours, figures
from nas.methods import ASIDE, METHODS
from nas.running import config, runs
from nas.spaces import nasbench201, recurrent
from nas.spaces.space import Space
from nas.tasks import experiments

SPACES = {
    "recurrent": recurrent.cell_space(),
    "recurrent, 8 nodes": recurrent.cell_space(8),
    "nasbench201": nasbench201.cell_space(),
    "nasbench201, zero": nasbench201.cell_space(True),
}


def record(space: Space, step: int) -> dict[str, object]:
    rows = np.random.default_rng(step).dirichlet(np.ones(space.shape[1]), space.shape[0])
    choices = rows.argmax(1).tolist()
    return {"step": step, "epoch": step / 10, "probabilities": rows.tolist(), "architecture": space.write(choices)}


@pytest.mark.parametrize("name", SPACES)
def test_stripes_are_as_wide_as_operations_are_probable(name: str) -> None:
    space = SPACES[name]
    one = record(space, 1)
    axes = Figure().add_subplot()
    figures.draw_cell(space, one["probabilities"], axes)  # type: ignore[arg-type]
    stripes = [part for part in axes.collections if isinstance(part, PolyCollection)]
    assert len(stripes) == space.shape[0] * space.shape[1]
    widths = []
    for stripe in stripes:
        corners = np.asarray(stripe.get_paths()[0].vertices)
        first = corners[np.isclose(corners[:, 0], corners[:, 0].min())]
        widths.append(np.ptp(first[:, 1]) / figures.RIBBON)
    np.testing.assert_allclose(widths, np.ravel(np.asarray(one["probabilities"])), atol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_moves_have_a_panel_an_edge_and_a_line_an_operation(name: str) -> None:
    space = SPACES[name]
    records = [record(space, step) for step in (5, 10, 15)]
    panels = [axes for axes in figures.moves(space, records, "title").axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == [f"{source} → {target}" for source, target in space.edges]
    for edge, axes in enumerate(panels):
        for operation, line in enumerate(axes.lines):
            drawn = np.asarray(line.get_ydata())
            expected = [one["probabilities"][edge][operation] for one in records]  # type: ignore[index]
            np.testing.assert_allclose(drawn, expected)
        assert len(axes.lines) == space.shape[1]


def run_folder(root: Path, task: str, space: Space) -> Path:
    experiment = experiments.load(task, "small")
    folder = root / task
    with runs.open_run(folder, experiment) as run:
        for step in (10, 20):
            run.record(record(space, step))
    assert config.read_toml(folder / "config.toml")["task"] == task
    return folder


@pytest.mark.parametrize("task", ["ptb", "cifar10"])
def test_draw_writes_whole_files_that_are_the_same_every_time(
    tmp_path: Path, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = experiments.load(task, "small").network
    folder = run_folder(tmp_path, task, tasks.find(task).space(network))
    assert main(["draw", str(folder)]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in written] == ["cell.svg", "cell.png", "moves.svg", "moves.png"]
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in written]
    assert written[1].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    text = written[0].read_text(encoding="utf-8")
    assert text.rstrip().endswith("</svg>")
    assert f"AdvantageNAS, {task}, after 20 steps" in text  # real text, not outlines
    assert main(["draw", str(folder)]) == 0
    assert sums == [hashlib.sha256(path.read_bytes()).hexdigest() for path in written]


def test_what_cannot_be_drawn_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", str(tmp_path)]) == 2
    assert "cannot read settings" in capsys.readouterr().err
    folder = run_folder(tmp_path, "ptb", SPACES["recurrent"])
    (folder / "metrics.jsonl").write_text("")
    assert main(["draw", str(folder)]) == 2
    assert "has recorded nothing yet" in capsys.readouterr().err
    assert not list(folder.glob("*.svg"))


def test_every_method_has_a_colour_of_its_own() -> None:
    own = [method.colour for method in (*METHODS.values(), *ASIDE.values())]
    assert all(own)
    assert len({*own, *colours.SPARE}) == len(own) + len(colours.SPARE)
    assert colours.of_method("advantage") == METHODS["advantage"].colour
    assert colours.of_method("mine:method") in colours.SPARE  # the control: one that is not listed
