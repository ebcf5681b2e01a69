"""What does a search's cell look like, and how did its probabilities move?

Two figures of any run, finished or not: `cell`, the nodes in a row and every edge a ribbon whose stripes are its
operations, as wide as they are probable; `moves`, one small panel an edge, the probability of every operation against
the epoch. Functions of a space and records, for every space alike.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nas import methods, tasks
from nas.judging import colours
from nas.judging.style import save, styled
from nas.running import files, runs
from nas.running.runs import RunError
from nas.spaces.space import Space
from nas.tasks import experiments

RIBBON = 0.24  # width of a ribbon, in steps between nodes


def draw(folder: Path) -> list[Path]:
    """Write cell.svg, cell.png, moves.svg and moves.png into a run folder. Returns: their paths.

    Raises: ValueError in one line if there is no run, or it has not recorded anything yet.
    """
    experiment = experiments.reload(folder)
    files.ready(folder)
    task = tasks.find(experiment.task)
    space = task.space(experiment.network)
    records = recorded(folder, space)
    label = methods.label(experiment.search.method)
    title = f"{label}, {task.name}, after {records[-1]['step']} steps"
    drawn = {"cell": cell(space, records[-1], title), "moves": moves(space, records, title)}
    return [path for name, figure in drawn.items() for path in save(figure, folder / name)]


@styled
def cell(space: Space, record: dict[str, Any], title: str) -> Figure:
    """The cell of one record: its probabilities (E, K) and its architecture string."""
    figure = Figure(figsize=(7, 4.6))
    axes = figure.add_subplot()
    draw_cell(space, record["probabilities"], axes)
    axes.set_title(f"{title}\n{record['architecture']}" if len(space.edges) <= 10 else title, fontsize=8)
    figure.legend(handles=_legend(space), loc="outside lower center", ncols=len(space.operations))
    return figure


@styled
def moves(space: Space, records: Sequence[dict[str, Any]], title: str) -> Figure:
    """Small multiples: probability of every operation against the epoch, a panel an edge."""
    columns = min(6, len(space.edges)) if len(space.edges) > 6 else 3
    rows = -(-len(space.edges) // columns)
    figure = Figure(figsize=(7, 0.8 + 1.5 * rows))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    epochs = [record["epoch"] for record in records]
    history = np.array([record["probabilities"] for record in records])
    for edge, axes in enumerate(panels):
        if edge >= len(space.edges):
            axes.set_visible(False)
            continue
        for operation, colour in enumerate(_colours(space)):
            axes.plot(epochs, history[:, edge, operation], color=colour, linewidth=1.2)
        source, target = space.edges[edge]
        axes.set_title(f"{source} → {target}", fontsize=8)
        axes.set_ylim(0, 1.05 * history.max())
        if edge >= len(space.edges) - columns:
            axes.set_xlabel("epoch")
    figure.suptitle(title, fontsize=9)
    figure.supylabel("probability", fontsize=9)
    figure.legend(handles=_legend(space), loc="outside lower center", ncols=len(space.operations))
    return figure


def draw_cell(space: Space, probabilities: Sequence[Sequence[float]], axes: Axes) -> None:
    """Nodes in a row, edges as arches above them; stripes stacked in the operations' order, the likeliest named."""
    nodes = 1 + max(target for _, target in space.edges)
    for (source, target), row in zip(space.edges, probabilities, strict=True):
        x, y = arch(source, target)
        bounds = np.concatenate(([0.0], np.cumsum(row))) - 0.5
        best = int(np.argmax(row))
        for operation, colour in enumerate(_colours(space)):
            low, high = (y + RIBBON * bounds[operation + step] for step in (0, 1))
            shade = colour if operation == best else _paler(colour)
            axes.fill_between(x, low, high, color=shade, linewidth=0, zorder=1.5 if operation == best else 1)
        if nodes <= 5:
            middle = len(x) // 2
            text = f"{space.operations[best]} {row[best]:.2f}"
            axes.text(x[middle], y[middle] + 0.6 * RIBBON, text, ha="center", va="bottom", fontsize=8)
    for node in range(nodes):
        axes.plot(node, 0, "o", color="white", markeredgecolor="black", markersize=20, zorder=3)
        axes.text(node, 0, str(node), ha="center", va="center", zorder=4)
    axes.set_xlim(-0.4, nodes - 0.6)
    axes.set_axis_off()


def arch(source: int, target: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Points along an edge: neighbours are joined straight, farther nodes by arches as high as they are far."""
    along = np.linspace(0, 1, 101)
    return source + (target - source) * along, 0.9 * (target - source - 1) * np.sin(np.pi * along)


# ------------------------------------------------------------------ what a search recorded


class Recorded(TypedDict):
    """What a drawing needs of a record of a search."""

    step: int
    epoch: float
    architecture: str
    probabilities: list[list[float]]


def recorded(folder: Path, space: Space, form: Any = Recorded) -> list[dict[str, Any]]:
    """The records of a search in this space, at least one.

    Args: form, a TypedDict of what is needed of each.
    Raises: RunError in one line if there are none yet, or one is damaged or of another space.
    """
    records = runs.records(folder)
    if not records:
        raise RunError(f"{folder} has recorded nothing yet; its first record comes after search.record_every steps")
    for line, record in enumerate(records, start=1):
        try:
            rows = msgspec.convert(record, form, strict=True)["probabilities"]
        except msgspec.ValidationError as error:
            raise RunError(f"{folder / runs.METRICS}, line {line}, is no record of a search: {error}") from error
        if [len(row) for row in rows] != [len(space.operations)] * len(space.edges):
            raise RunError(f"{folder / runs.METRICS}, line {line}, has probabilities of another space than the run's")
    return records


# ------------------------------------------------------------------ helpers


def _colours(space: Space) -> list[str]:
    others = iter(colours.OPERATIONS)
    return [colours.NOTHING if name == space.zero else next(others) for name in space.operations]


def _paler(colour: str) -> tuple[float, ...]:
    return tuple(1 - 0.4 * (1 - part) for part in to_rgb(colour))


def _legend(space: Space) -> list[Patch]:
    return [Patch(color=colour, label=name) for name, colour in zip(space.operations, _colours(space), strict=True)]
