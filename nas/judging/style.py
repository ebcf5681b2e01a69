"""What do all figures of the house look like, and how are they written?

A figure function is `@styled`: what it draws has the house's style, whatever the user's matplotlibrc says, and nothing
outside it changes. A page shows a figure some 760 pixels wide; one of WIDTH inches keeps its letters readable there.
`save` writes under the same style, as SVG with real text and PNG, each whole or not at all. Figures are
`matplotlib.figure.Figure`, never pyplot's: no window, no list of open figures, no setting of the whole process.
"""

import functools
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from nas.running import files
from nas.running.files import write_atomically

WIDTH = 7.2  # inches, of a figure that fills the width of a page
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it can be searched, read aloud and copied
    "svg.hashsalt": "advantage-nas",  # equal figures are equal files
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")


def styled(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """The figure function `draw` in the house's style.

    >>> @styled
    ... def line(height: float) -> Figure:
    ...     figure = Figure(figsize=(3, 2))
    ...     figure.add_subplot().axhline(height)
    ...     return figure
    >>> "<text" in svg(line(1.0))
    True
    """

    @functools.wraps(draw)
    def drawn(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with _style():
            return draw(*args, **kwargs)

    return drawn


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as STEM.svg and STEM.png. Returns: their paths."""
    return [save_as(figure, stem.with_name(f"{stem.name}.{form}")) for form in ("svg", "png")]


def save_as(figure: Figure, path: Path) -> Path:
    """Write a figure in the form that the path's ending names, PNG without one. Returns: the path.

    Raises: ValueError in one line for a form that Matplotlib cannot write.
    """
    write_atomically(path, content(figure, path.suffix.lstrip(".") or "png"))
    return path


def check(path: Path) -> None:
    """Refuse before drawing what `save_as` could not write: another form, no folder, a folder in the file's place.

    Raises: ValueError in one line.
    """
    form, known = path.suffix.lstrip(".").lower(), FigureCanvasBase.get_supported_filetypes()
    if form and form not in known:
        raise ValueError(f"cannot draw {path}: no figure has the ending .{form}; known: {', '.join(sorted(known))}")
    files.check_target(path)


def svg(figure: Figure) -> str:
    """The figure as SVG text."""
    return content(figure, "svg").decode("utf-8")


def content(figure: Figure, form: str) -> bytes:
    """The bytes of a figure's file in one form, without a date, so that equal figures are equal files."""
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with _style():
        figure.savefig(buffer, format=form, dpi=150, metadata=undated.get(form))
    return buffer.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield
