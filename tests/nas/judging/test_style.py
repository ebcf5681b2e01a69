"""Every figure function is styled, every file holds text, and drawing changes no setting of the process."""

import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

import nas
import simulate
import theory
from nas.judging import style

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
SMALLEST = 9  # pixels, of letters that can be read


@style.styled
def line(height: float = 1.0) -> Figure:
    """A line at a height."""
    figure = Figure(figsize=(3, 2))
    axes = figure.add_subplot()
    axes.axhline(height, label="a line")
    axes.set_title("words")
    axes.legend()
    return figure


def test_the_example_runs() -> None:
    assert doctest.testmod(style).failed == 0
    assert doctest.testmod(style).attempted > 1


def test_a_saved_figure_holds_text_is_whole_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two.of"):
        written = style.save(line(), tmp_path / name)
        assert [path.name for path in written] == [f"{name}.svg", f"{name}.png"]
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert ">words</text>" in text
    assert ">a line</text>" in text
    assert text == (tmp_path / "two.of.svg").read_text(encoding="utf-8")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    assert style.save_as(line(), tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(ValueError, match="nope"):
        style.save_as(line(), tmp_path / "one.nope")
    assert not list(tmp_path.glob("*.nope"))


def test_control_without_the_style_text_is_outlines(tmp_path: Path) -> None:
    line().savefig(tmp_path / "bare.svg")
    assert "<text" not in (tmp_path / "bare.svg").read_text(encoding="utf-8")


def test_the_style_holds_inside_alone_and_over_the_users_own() -> None:
    with mpl.rc_context({"font.size": 20.0, "axes.grid": False, "legend.frameon": True}):
        before = dict(mpl.rcParams)
        drawn = line()
        style.svg(drawn)
        assert dict(mpl.rcParams) == before
    (axes,) = drawn.axes
    assert axes.title.get_fontsize() < 12
    assert not axes.spines["top"].get_visible()
    legend = axes.get_legend()
    assert legend is not None
    assert not legend.get_frame_on()


def modules() -> list[ModuleType]:
    found = []
    for package in (nas, theory, simulate):
        for entry in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not entry.name.endswith("__main__"):
                found.append(importlib.import_module(entry.name))
    return found


def figure_functions(module: ModuleType) -> dict[str, Callable[..., object]]:
    """Functions of a module that return a Figure (or several things, one of them a Figure), by name."""
    own = inspect.getmembers(module, lambda one: inspect.isfunction(one) and one.__module__ == module.__name__)
    return {name: function for name, function in own if function.__annotations__.get("return") is Figure}


def is_styled(function: Callable[..., object]) -> bool:
    return getattr(function, "__code__", None) is style.styled(line).__code__


def test_every_figure_function_is_styled() -> None:
    known = {(m.__name__, name): function for m in modules() for name, function in figure_functions(m).items()}
    assert len(known) >= 15
    assert not [name for name, function in known.items() if not is_styled(function)]


def test_control_a_function_without_the_style_is_seen() -> None:
    module = sys.modules[__name__]
    assert figure_functions(module).keys() == {"line", "bare"}
    assert is_styled(line)
    assert not is_styled(bare)


def bare() -> Figure:
    """A figure function that forgot the style."""
    return Figure()


def smallest_letters(svg: str, shown: float = 760) -> float:
    """Pixels of the smallest letters of a figure, where a page shows it `shown` pixels wide, or as it is."""
    width = re.search(r'<svg [^>]*width="([\d.]+)pt"', svg)
    assert width is not None
    sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:[\w ]*? )?([\d.]+)px", svg)]
    return min(sizes) * min(shown / float(width[1]), 150 / 72)  # pages show the PNG, of 150 dots an inch


def test_figures_in_the_docs_can_be_read_where_they_are_shown() -> None:
    figures = {path.stem: path.read_text(encoding="utf-8") for path in RESULTS.glob("*.svg")}
    small = {stem: smallest_letters(svg) for stem, svg in figures.items()}
    assert {stem: size for stem, size in small.items() if size < SMALLEST} == {}


def test_control_a_figure_too_wide_for_its_letters_is_found() -> None:
    @style.styled
    def wide(inches: float) -> Figure:
        figure = Figure(figsize=(inches, 3))
        figure.add_subplot().set_title("words")
        return figure

    assert smallest_letters(style.svg(wide(style.WIDTH))) > SMALLEST
    assert smallest_letters(style.svg(wide(11))) < SMALLEST


def test_figures_in_the_docs_hold_text() -> None:
    drawn = {path.stem: "<text" in path.read_text(encoding="utf-8") for path in RESULTS.glob("*.svg")}
    assert len(drawn) > 25
    assert {stem for stem, text in drawn.items() if not text} == set()


def test_a_figure_that_could_not_be_written_is_refused_before_it_is_drawn(tmp_path: Path) -> None:
    for path, says in (
        (tmp_path / "x.nope", "no figure has the ending .nope; known: .*png"),
        (tmp_path / "none" / "x.png", "no writable folder"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(ValueError, match=says):
            style.check(path)
    for name in ("x.png", "x.SVG", "x"):
        style.check(tmp_path / name)  # control
