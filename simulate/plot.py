"""What do studies and the toy look like, drawn? One label a method; every figure is a function of records.

The band is a stated interval, its n is in the caption; theory is a thin black line over the simulation.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from nas import methods
from nas.judging.colours import of_method
from nas.judging.statistics import Estimate, quartiles
from nas.judging.style import WIDTH, styled
from simulate import evidence
from simulate.study import Cell, truth_of
from simulate.toy import SHOWN, Curves

MANY = 7  # methods a panel, from which on the best settings are left to the table
OPTIMISER_DASHES = {
    "adam": "solid",
    "sgd": (0, (5, 1.5)),
    "natural": (0, (1.5, 1.2)),
    "asng": (0, (6, 1.5, 1.5, 1.5, 1.5, 1.5)),
    "exponentiated": "dashdot",
}
AXES = {"step": "step", "passes": "forward + backward passes", "seconds": "processor seconds of steps"}
DASHES = {"sparse": "solid", "two-path": (0, (5, 1.5)), "dense": (0, (1.5, 1.2))}


def dashes(name: str) -> Any:
    """How a method's lines are broken: by its propagation; a user's own, which is not loaded for it, has whole ones."""
    found = methods.known_as(name)
    return DASHES[found.propagation if found else "sparse"]


def band(axes: Axes, name: str, x: np.ndarray[Any, Any], values: np.ndarray[Any, Any], remark: str = "") -> None:
    """Median and quartiles over replicates: values (replicates, points); the remark follows the method's label."""
    lower, middle, upper = quartiles(values, axis=0)
    axes.fill_between(x, lower, upper, color=of_method(name), alpha=0.18, linewidth=0)
    axes.plot(
        x,
        middle,
        color=of_method(name),
        linestyle=dashes(name),
        label=methods.label(name) + remark,
    )


# ------------------------------------------------------------------ the toy regression


@styled
def toy_figure(curves: Mapping[str, Curves], block: int, machine: str) -> Figure:
    """100 x loss of the derived architecture: against iteration as published, and against each method's own time."""
    figure = Figure(figsize=(WIDTH, 3.8))
    by_iteration, by_time = figure.subplots(1, 2, sharey=True)
    for name, curve in curves.items():
        shown = curve.iterations <= SHOWN
        band(by_iteration, name, curve.iterations[shown], 100 * curve.loss[:, shown])
        band(by_time, name, curve.seconds, 100 * curve.loss)
    trials = next(iter(curves.values())).loss.shape[0]
    by_iteration.set(xlabel="iteration", ylabel="100 × loss of the derived architecture", ylim=(0, None))
    by_time.set(xlabel=f"seconds, {block} trials at once ({machine})")
    by_time.set_xlim(0, sorted(curve.seconds[-1] for curve in curves.values())[len(curves) // 2])
    figure.legend(*by_iteration.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(f"Median and quartiles of {trials} trials; sparse solid, two-path dashed, dense dotted", fontsize=9)
    return figure


def toy_caption(result: Mapping[str, Any], command: str) -> str:
    """What the figure shows, in a sentence, with n, seed and the command that makes it again."""
    return (
        f"Toy regression of Sato et al. (2021): median and quartiles over n = {result['trials']} trials, "
        f"{result['iterations']} iterations, seed {result['seed']}. Made by: {command}"
    )


# ------------------------------------------------------------------ studies


@styled
def curves_figure(cells: Sequence[Cell], quantity: str, axis: str, against: evidence.Unit = "step") -> Figure:
    """Median and quartiles of a recorded quantity: a panel a landscape, each method at its best rate.

    against: steps; or passes or seconds on a log axis, with methods alone of which it is known what a step costs.
    """
    cells = [cell for cell in cells if evidence.price(cell, against) is not None]
    panels = evidence.by(evidence.best_rates(cells), lambda cell: evidence.world(cell, cells))
    figure, axes = _panels(len(panels), height=2.3)
    many = max(len(group) for group in panels.values()) > MANY
    for axes_, (landscape, group) in zip(axes, panels.items(), strict=False):
        for cell in group:
            told = "" if many else remark(cell, cells)
            if against == "step":
                band(axes_, cell.setting.method, cell.steps, cell.values[quantity].T, told)
            else:  # without the start, which has no place on a log axis
                spent = cell.steps[1:] * evidence.price(cell, against)
                band(axes_, cell.setting.method, spent, cell.values[quantity][1:].T, told)
        axes_.set(title=landscape, xlabel=AXES[against])
        if against != "step":
            axes_.set_xscale("log")
    figure.supylabel(axis, fontsize=9)
    _legend(figure, axes)
    return figure


@styled
def share_figure(
    cells: Sequence[Cell],
    share: Callable[[Cell], Estimate],
    across: str,
    axis: str,
    bound: Callable[[Cell], float] | None = None,
) -> Figure:
    """A share with its 95 % interval against a setting on a log axis: a panel a landscape, a line a method.

    bound: theory's for a cell, a thin line of the method's colour on an axis that shows small shares; nan for none.
    """
    panels = evidence.by(cells, lambda cell: evidence.world(cell, cells))
    figure, axes = _panels(len(panels))
    for axes_, (landscape, group) in zip(axes, panels.items(), strict=False):
        for name, line in evidence.by(group, lambda cell: cell.setting.method).items():
            line = sorted(line, key=lambda cell: float(getattr(cell.setting, across)))
            x = [getattr(cell.setting, across) for cell in line]
            values = [share(cell) for cell in line]
            error = [[v.value - v.lower for v in values], [v.upper - v.value for v in values]]
            axes_.errorbar(
                x, [v.value for v in values], yerr=np.maximum(error, 0), color=of_method(name),
                label=methods.label(name), marker="o", markersize=3, linewidth=1.2, elinewidth=0.8, capsize=2,
                linestyle=dashes(name),
            )  # fmt: skip
            if bound is not None:
                axes_.plot(x, [bound(cell) for cell in line], color=of_method(name), linewidth=0.7)
        axes_.set(title=landscape, xlabel=across, xscale="log", ylim=(-0.02, None))
        if bound is not None:
            axes_.set_yscale("symlog", linthresh=1e-3)
            axes_.set_ylim(-1e-4, 2)
    figure.supylabel(axis, fontsize=9)
    _legend(figure, axes)
    return figure


def _slope(cell: Cell, best: float) -> str:
    try:
        slope = evidence.exponent(cell, best)
    except ValueError:
        return "no rate"
    return f"{slope.value:.2f} [{slope.lower:.2f}, {slope.upper:.2f}]"


@styled
def searchers_figure(
    reached: Mapping[str, np.ndarray[Any, Any]], published: Mapping[str, tuple[float, float]]
) -> Figure:
    """Test accuracy (runs, budget) of each searcher against architectures trained: mean and standard deviation."""
    figure = Figure(figsize=(WIDTH, 3.8))
    axes = figure.subplots()
    for (name, accuracy), shade in zip(reached.items(), ("#0072b2", "#009e73", "#d55e00", "#cc79a7"), strict=True):
        x, mean, spread = np.arange(1, accuracy.shape[1] + 1), accuracy.mean(axis=0), accuracy.std(axis=0, ddof=1)
        axes.fill_between(x, mean - spread, mean + spread, color=shade, alpha=0.15, linewidth=0)
        axes.plot(x, mean, color=shade, label=name)
        if name in published:
            height, error = published[name]
            axes.errorbar([x[-1] * 1.03], [height], yerr=[error], color=shade, marker="s", markersize=4, capsize=2)
    axes.set(xlabel="architectures trained", ylabel="test accuracy, %", ylim=(90, 94.6))
    axes.legend(title="squares: published at 12,000 s", title_fontsize=8, loc="lower right")
    return figure


@styled
def share_map(cells: Sequence[Cell], share: Callable[[Cell], Estimate], axis: str) -> Figure:
    """A share in percent for many methods at once: methods down, step sizes across, a panel a landscape."""

    def value(cell: Cell) -> float:
        return 100 * share(cell).value

    return _map(cells, value, f"{axis}, %", "{:.0f}", "viridis_r", 100)


@styled
def time_figure(cells: Sequence[Cell]) -> Figure:
    """Steps until the best architecture has probability 95 %, each method at its fastest rate, with 95 % intervals.

    A median or end that was not reached within the run is drawn as an arrow at its end.
    """
    panels = evidence.by(evidence.best_rates(cells, evidence.fastest), lambda cell: evidence.world(cell, cells))
    names = sorted({methods.label(cell.setting.method) for group in panels.values() for cell in group}, reverse=True)
    figure, axes = _panels(len(panels), height=0.9 + 0.2 * len(names), same_rows=True)
    for axes_, (landscape, group) in zip(axes, panels.items(), strict=False):
        for cell in group:
            row = names.index(methods.label(cell.setting.method))
            time, last = evidence.time_to_sure(cell), cell.setting.steps
            lower, value, upper = (min(max(at, 0), last) for at in (time.lower, time.value, time.upper))
            axes_.plot([lower, upper], [row, row], color=of_method(cell.setting.method), linewidth=1.6)
            marker = "o" if math.isfinite(time.value) else ">"
            axes_.plot([value], [row], marker, color=of_method(cell.setting.method), markersize=5)
        axes_.set_yticks(range(len(names)), names)
        first, last = min(cell.setting.every for cell in group), max(cell.setting.steps for cell in group)
        axes_.set(title=landscape, xlabel="steps", xscale="log", xlim=(first / 1.2, last * 1.2))
        axes_.xaxis.set_major_locator(LogLocator(subs=(1, 3) if last < 100 * first else (1,)))
        axes_.xaxis.set_minor_locator(NullLocator())
        axes_.xaxis.set_major_formatter("{x:g}")
    return figure


@styled
def regret_figure(cells: Sequence[Cell]) -> Figure:
    """Mean regret J - min L against steps on log axes, with the fitted exponent of its second half."""
    panels = evidence.by(cells, lambda cell: evidence.world(cell, cells))
    figure, axes = _panels(len(panels), height=4.6, columns=2)
    for axes_, (landscape, group) in zip(axes, panels.items(), strict=False):
        for cell in group:
            setting, best = cell.setting, truth_of(cell).min_loss
            name = f"{methods.label(setting.method)}, {setting.optimiser}"
            left = evidence.regret(cell, best)[1:].mean(axis=1)
            axes_.plot(
                cell.steps[1:], left, color=of_method(setting.method), linestyle=OPTIMISER_DASHES[setting.optimiser],
                label=f"{name}: {_slope(cell, best)}",
            )  # fmt: skip
        axes_.set(title=landscape, xlabel="step", xscale="log", yscale="log")
        axes_.set_ylim(bottom=max(axes_.get_ylim()[0], 1e-9))
        axes_.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18))
    figure.supylabel("mean regret J - min L", fontsize=9)
    return figure


@styled
def heat_map(cells: Sequence[Cell]) -> Figure:
    """Median J at the end as a share of its start, (J - best) / (J_0 - best): methods down, step sizes across."""

    def value(cell: Cell) -> float:
        regrets = np.median(evidence.regret(cell, truth_of(cell).min_loss), axis=1)
        return float(regrets[-1] / regrets[0])

    known = [cell for cell in cells if evidence.regret(cell, truth_of(cell).min_loss)[0].mean() > 0]
    return _map(known, value, "regret left at the end", "{:.2f}", "viridis_r", 1)


@styled
def _map(
    cells: Sequence[Cell], value: Callable[[Cell], float], axis: str, form: str, colours: str, largest: float
) -> Figure:
    panels = evidence.by(cells, lambda cell: evidence.world(cell, cells))

    def name(cell: Cell) -> str:
        return methods.label(cell.setting.method) + remark(cell, cells, but="rate")

    names = sorted({name(cell) for group in panels.values() for cell in group})
    figure, axes = _panels(len(panels), height=max(1.6, 0.7 + 0.19 * len(names)), same_rows=True)
    image = None
    for axes_, (landscape, group) in zip(axes, panels.items(), strict=False):
        rates = sorted({cell.setting.rate for cell in group})
        grid = np.full((len(names), len(rates)), math.nan)
        for cell in group:
            place = names.index(name(cell)), rates.index(cell.setting.rate)
            grid[place] = value(cell)
            shade = "white" if grid[place] > 0.55 * largest else "black"
            axes_.text(*place[::-1], form.format(grid[place]), ha="center", va="center", fontsize=7, color=shade)
        image = axes_.imshow(grid, cmap=colours, vmin=0, vmax=largest, aspect="auto")
        axes_.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates], fontsize=8)
        axes_.set_yticks(range(len(names)), names, fontsize=8)
        axes_.set(title=landscape, xlabel="rate")
        axes_.grid(visible=False)
    if image is not None:
        figure.colorbar(image, ax=list(axes), label=axis, location="bottom", shrink=0.5, aspect=40)
    return figure


def remark(cell: Cell, cells: Sequence[Cell], but: str = "") -> str:
    """What tells this cell from others of its method and landscape: the settings that vary, in brackets, `but` one."""
    setting = cell.setting
    short = {
        "optimiser": setting.optimiser,
        "rate": f"{setting.rate:g}" + (f" of {setting.bound}" if setting.bound != "none" else ""),
        "samples": f"{setting.samples} samples",
    }
    apart = {but, "bound", *evidence.WORLD}
    told = [short.get(n, f"{n} {getattr(setting, n)}") for n in evidence.varying(cells) if n not in apart]
    return f" ({', '.join(told)})" if told else ""


def _panels(count: int, height: float = 2.9, columns: int = 3, same_rows: bool = False) -> tuple[Figure, list[Axes]]:
    """Panels in rows as wide as a page; same_rows: all have the same rows, which are named on the left only."""
    columns = 2 if count == 4 else min(columns, max(1, count))
    rows = -(-max(1, count) // columns)
    height = max(height, 3.2) if columns == 1 else height
    figure = Figure(figsize=(WIDTH, height * rows + 0.6))
    flat = list(figure.subplots(rows, columns, squeeze=False, sharey=same_rows).ravel())
    for spare in flat[count:]:
        spare.set_visible(False)
    return figure, flat[:count]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend of all panels, below them, where it hides nothing."""
    named = {label: handle for one in axes for handle, label in zip(*one.get_legend_handles_labels(), strict=True)}
    widest = 0.55 + 0.065 * max(map(len, named), default=0)  # inches of a column: the line, and letters of 8 points
    columns = max(1, min(4, int(figure.get_figwidth() / widest)))
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=columns)
