"""How does a finished study become a page? Figures and tables by what it varied, each with n, seed and command."""

import contextlib
import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nas import methods
from nas.judging import page
from nas.judging.statistics import Estimate, t_interval
from nas.judging.style import save
from nas.running import config, runs
from simulate import evidence, plot, toy
from simulate.evidence import Unit
from simulate.prices import INPUTS, Price
from simulate.study import Cell, StudySettings, read, truth_of

_CELLS = "A cell is one setting with all its replicates; numbers in brackets are 95 % intervals."
COSTS: tuple[Unit, ...] = ("passes", "seconds")
_SORT = "A click, or Enter, on a column's head sorts."


def figures(cells: Sequence[Cell]) -> dict[str, tuple[Callable[[], Figure], str]]:
    """The figures that the cells allow, by file stem: how to draw each, and what it shows."""
    known = [cell for cell in cells if truth_of(cell).optimum is not None]
    drawn: dict[str, tuple[Callable[[], Figure], str]] = {}
    if max(len(cell.steps) for cell in cells) > 2:
        drawn |= _curves(cells, known)
    valued = [cell for cell in cells if not math.isnan(truth_of(cell).min_loss)]
    rates = _rates_vary(cells)
    if valued and not rates and min(len(cell.steps) for cell in valued) >= 8:
        drawn["regret"] = (
            lambda: plot.regret_figure(valued),
            "Mean regret J - min L against steps on log axes. In the legend the exponent fitted to the second half, "
            "with a 95 % bootstrap interval over replicates: -1 is a rate of 1/t, far below -1 is geometric.",
        )
    if rates:
        drawn["rates"] = (lambda: plot.heat_map(cells), "Share of the regret J - min L left at the end (median).")
        if known:
            drawn["commitment"] = (
                lambda: plot.share_map(known, evidence.wrongly_committed, "decided, but wrong"),
                "Share of replicates with every edge decided (one operation at 95 %) but not for the best "
                f"architecture. {_reach(known, evidence.wrongly_committed)}",
            )
        drawn["fixation"] = (
            lambda: plot.share_map(cells, evidence.fixated, "every edge decided"),
            f"Share of replicates with every edge decided, whatever for. {_reach(cells, evidence.fixated)}",
        )
    watched = [cell for cell in cells if cell.setting.watch]
    if watched:
        across = "samples" if len({cell.setting.samples for cell in watched}) > 1 else "rate"
        drawn["rises"] = (
            lambda: plot.share_figure(
                watched, evidence.rises, across, "share of steps that raise J", evidence.rise_bound
            ),
            "Share of steps that raise the expected loss, with 95 % intervals: of the mean over replicates, or Wilson's"
            " where a cell is one step; there, thin lines without marks are theory's upper bound.",
        )
    return drawn


def _curves(cells: Sequence[Cell], known: Sequence[Cell]) -> dict[str, tuple[Callable[[], Figure], str]]:
    drawn: dict[str, tuple[Callable[[], Figure], str]] = {
        "loss": (
            lambda: plot.curves_figure(cells, "expected_loss", "expected loss J"),
            "Expected loss against steps, each method at the setting (in brackets, or see the table) whose median at "
            "the end is lowest: median and quartiles.",
        ),
        "entropy": (
            lambda: plot.curves_figure(cells, "entropy", "entropy, nats"),
            "Entropy of the policy, summed over edges, at the same settings: median and quartiles.",
        ),
    }
    if len({evidence.passes(cell) for cell in cells} - {None}) > 1:
        drawn["passes"] = (
            lambda: plot.curves_figure(cells, "expected_loss", "expected loss J", against="passes"),
            "The same against forward and backward passes: what a step asks is another number for another method.",
        )
    if (timed := [cell.price for cell in cells if cell.price is not None]) and evidence.equal(cells, "seconds"):
        drawn["seconds"] = (
            lambda: plot.curves_figure(cells, "expected_loss", "expected loss J", against="seconds"),
            f"The same against seconds of one processor. {_timed(timed)}",
        )
    if known:
        drawn["probability"] = (
            lambda: plot.curves_figure(known, "optimal_probability", "P(best architecture)"),
            "Probability of drawing the best architecture, at the same settings: median and quartiles.",
        )
        drawn["time"] = (
            lambda: plot.time_figure(known),
            "Steps until the best architecture has probability 95 %, each method at its fastest setting: median with "
            "its 95 % interval; an arrow where fewer than half got there before the run ended.",
        )
    return drawn


def _timed(prices: Sequence[Price]) -> str:
    """How seconds were measured, in words."""
    rounds = min(price.rounds for price in prices)
    return (
        "A step's seconds were measured, not on the landscape, which knows its losses, but on the toy regression of "
        f"each cell's size, a network of E edges with K convolutions each, on {INPUTS:,} inputs and one "
        f"{prices[0].machine}: the median of {rounds} steps. The table has their quartiles."
    )


def _rates_vary(cells: Sequence[Cell]) -> bool:
    """Whether there are cells that differ in their rate alone."""
    groups = evidence.by(cells, lambda cell: repr(replace(cell.setting, rate=0.0)))
    return any(len(group) > 1 for group in groups.values())


def _reach(cells: Sequence[Cell], share: Callable[[Cell], Estimate]) -> str:
    shares = [share(cell) for cell in cells]
    widest = max(max(one.upper - one.value, one.value - one.lower) for one in shares)
    return f"Wilson's 95 % intervals reach at most {100 * widest:.1f} points from a number; the table has them all."


def _is_toy(folder: Path) -> bool:
    return not (folder / "cells").is_dir() and (folder / runs.METRICS).exists()


def draw(folder: Path, to: Path | None = None, only: Sequence[str] = ()) -> list[Path]:
    """Write the figures of a run folder, of a study or the toy, as SVG and PNG.

    Args: to, a path P, for files P-FIGURE.svg and .png and the numbers P.json, instead of files in the run folder;
    only, names of a study's figures (default: all).
    Returns: the files. Raises: ValueError for a figure that this study does not have.
    """
    if _is_toy(folder):
        return _draw_toy(folder, to or folder / "toy")
    cells = read(folder)
    known, written = figures(cells), []
    if unknown := [stem for stem in only if stem not in known]:
        raise ValueError(f"no figure {unknown[0]!r} of {folder}; known: {', '.join(known)}")
    for stem in only or known:
        make, _ = known[stem]
        target = folder / stem if to is None else to.with_name(f"{to.name}-{stem}")
        written += save(make(), target)
    if to is not None:
        written.append(_numbers(folder, to, {"seeds": _seeds(cells), "rows": rows(cells)}))
    return written


def _draw_toy(folder: Path, to: Path) -> list[Path]:
    settings = config.load(toy.ToySettings, folder / runs.CONFIG)
    curves = toy.curves(runs.records(folder))
    figure = plot.toy_figure(curves, min(settings.block, settings.trials), f"{platform.machine()} CPU")
    return [*save(figure, to), _numbers(folder, to, toy.summary(settings, curves))]


def _numbers(folder: Path, to: Path, numbers: dict[str, Any]) -> Path:
    """Write numbers beside how they were made, one entry a start, as STEM.json."""
    target = to.with_name(to.name + ".json")
    runs.write_atomically(target, json.dumps({"made": runs.sessions(folder), **numbers}, indent=1) + "\n")
    return target


def write(folder: Path) -> Path:
    """Write report.html, one self-contained page, into the run folder of a study or the toy."""
    if _is_toy(folder):
        return _write_toy(folder)
    cells = read(folder)
    settings = config.load(StudySettings, folder / runs.CONFIG)
    replicates = sorted({cell.setting.replicates for cell in cells})
    about = (
        f"n = {' or '.join(map(str, replicates))} replicates a cell, seeds {_seeds(cells)}. "
        f"Made by: {runs.sessions(folder)[-1]['command']}"
    )
    asked = settings.about.rstrip() + "." * (not settings.about.rstrip().endswith((".", "?", "!")))
    parts = [page.paragraph(verdict(cells)), page.paragraph(f"{asked} {_CELLS} {_SORT}")]
    for make, shows in figures(cells).values():
        parts.append(page.figure(make(), f"{shows} {about}"))
    varied, same = _split(rows(cells))
    parts += [page.heading("In numbers"), page.paragraph(f"In all rows: {same}.") if same else "", page.table(varied)]
    return _page(folder, f"Study: {settings.name}", parts)


def verdict(cells: Sequence[Cell]) -> str:
    """One sentence: how often steps raised J where that was watched, else which method ends lowest on each landscape.

    Methods whose J at the end is the same to three digits are named together.
    """
    watched = [cell for cell in cells if cell.setting.watch]
    if watched:
        worst = max(watched, key=lambda cell: evidence.rises(cell).value)
        share, setting = evidence.rises(worst), worst.setting
        if share.value == 0:
            return f"No step raised the expected loss, in any of {len(watched)} cells."
        return (
            f"Of {len(watched)} cells {methods.label(setting.method)} on {evidence.world(worst, cells)} "
            f"({setting.optimiser}, rate {setting.rate:g}) raises the expected loss most often, in "
            f"{100 * share.value:.3g} % [{100 * share.lower:.3g}, {100 * share.upper:.3g}] of its steps."
        )
    told = []
    for landscape, group in evidence.by(cells, lambda cell: evidence.world(cell, cells)).items():
        least = f"{min(map(evidence.lowest_loss, group)):.3g}"
        best = [methods.label(cell.setting.method) for cell in group if f"{evidence.lowest_loss(cell):.3g}" == least]
        told.append(f"with {_listed(list(dict.fromkeys(best)))} on {landscape} ({least})")
    return f"The median expected loss at the end is lowest {', '.join(told)}."


def _listed(names: Sequence[str]) -> str:
    """At most three names, and how many more."""
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} others"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _write_toy(folder: Path) -> Path:
    settings = config.load(toy.ToySettings, folder / runs.CONFIG)
    last = runs.sessions(folder)[-1]
    curves = toy.curves(runs.records(folder))
    summary = {**toy.summary(settings, curves), "seed": folder.name.rpartition("-s")[2]}
    figure = plot.toy_figure(curves, min(settings.block, settings.trials), last["machine"])
    parts = [
        page.paragraph(toy_verdict(summary)),
        page.paragraph(
            f"A network of {settings.network.edges} edges learns a random teacher of its own form, while each method "
            "searches its operations. Lines are medians over trials, bands quartiles; in the table quartiles stand "
            f"after medians, 95 % intervals after shares. {_SORT}"
        ),
        page.figure(figure, plot.toy_caption(summary, last["command"])),
        page.table(toy.rows(summary)),
    ]
    return _page(folder, "The toy regression", parts)


def toy_verdict(summary: Mapping[str, Any]) -> str:
    """One sentence: which method has the lowest loss over the first iterations, and where AdvantageNAS stands."""
    losses = {name: row[f"loss100_mean_to_{toy.SHOWN}"] for name, row in summary["methods"].items()}
    order = sorted(losses, key=lambda name: losses[name]["median"])

    def told(name: str) -> str:
        return f"{losses[name]['median']:.3g} [{losses[name]['lower']:.3g}, {losses[name]['upper']:.3g}]"

    best = (
        f"Of {len(order)} methods {methods.label(order[0])} has the lowest loss over the first {toy.SHOWN} iterations"
    )
    if order[0] == "advantage" or "advantage" not in order:
        return f"{best}: 100 x loss {told(order[0])}, median and quartiles of n = {summary['trials']} trials."
    return (
        f"{best}, and AdvantageNAS is number {order.index('advantage') + 1}: 100 x loss {told(order[0])} and "
        f"{told('advantage')}, median and quartiles of n = {summary['trials']} trials."
    )


def _page(folder: Path, title: str, parts: Sequence[str]) -> Path:
    where = [page.heading("Where it ran"), page.table(runs.sessions(folder))]
    target = folder / "report.html"
    runs.write_atomically(target, page.page(title, *parts, *where))
    return target


def _seeds(cells: Sequence[Cell]) -> list[int]:
    return sorted({seed for cell in cells for seed in cell.seeds})


def text(cells: Sequence[Cell]) -> str:
    """The table as text: only columns that differ between rows."""
    table, same = _split(rows(cells))
    widths = {name: max(len(name), *(len(str(row[name])) for row in table)) for name in table[0]}
    lines = [{name: name for name in table[0]}, *table]
    said = "\n".join("  ".join(str(line[name]).ljust(widths[name]) for name in table[0]).rstrip() for line in lines)
    return f"{said}\nin all rows: {same}" if same else said


def _split(table: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The columns that differ between rows, and what all rows share, in words."""
    names = [name for name in table[0] if len(table) == 1 or len({str(row[name]) for row in table}) > 1]
    same = [f"{name} {value}" for name, value in table[0].items() if name not in names and value != ""]
    return [{name: row[name] for name in names} for row in table], ", ".join(same)


def rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One row a cell, what was set and what came out; by landscape, method and what else was set."""

    def place(cell: Cell) -> Any:
        setting = cell.setting
        others = tuple(str(getattr(setting, name)) for name in evidence.varying(cells))
        return setting.landscape, setting.method, setting.optimiser, setting.rate, setting.samples, others

    budgets = {unit: budget for unit in COSTS if (budget := evidence.equal(cells, unit)) is not None}
    return [_row(cell, evidence.varying(cells), budgets) for cell in sorted(cells, key=place)]


def _row(cell: Cell, varying: Sequence[str], budgets: Mapping[Unit, float]) -> dict[str, Any]:
    setting, truth, told = cell.setting, truth_of(cell), ("optimiser", "rate", "bound", "samples")
    row: dict[str, Any] = {
        "method": methods.label(setting.method),
        "landscape": setting.landscape,
        "optimiser": setting.optimiser,
        "rate": f"{setting.rate:g}" + (f" of {setting.bound}" if setting.bound != "none" else ""),
        "samples": setting.samples,
        **{name: str(getattr(setting, name)) for name in varying if name not in told},
        "n": setting.replicates,
        "J at the end": _text(t_interval(cell.values["expected_loss"][-1])),
        "entropy": _text(t_interval(cell.values["entropy"][-1])),
        "decided": _text(evidence.fixated(cell)),
    }
    passes = evidence.passes(cell)
    row["passes a step"] = "" if passes is None else f"{passes[0]} + {passes[1]}"
    took = cell.price
    row["ms a step, quartiles"] = "" if took is None else _milliseconds(took)
    for unit, budget in budgets.items():
        name = f"J at {budget:,.0f} passes" if unit == "passes" else f"J at {budget:.3g} s"
        row[name] = "" if evidence.price(cell, unit) is None else _text(evidence.after(cell, budget, unit))
    unknown = truth.optimum is None
    row["best found"] = "" if unknown else _text(evidence.best_found(cell))
    row["decided, wrong"] = "" if unknown else _text(evidence.wrongly_committed(cell))
    row["steps to 95 %"] = "" if unknown else _text(evidence.time_to_sure(cell)).replace("inf", "never")
    row["exponent"] = ""
    if not math.isnan(truth.min_loss):
        with contextlib.suppress(ValueError):  # too few records for a rate
            row["exponent"] = _text(evidence.exponent(cell, truth.min_loss))
    row["steps that raise J"] = _text(evidence.rises(cell)) if setting.watch else ""
    row["largest rise"] = f"{cell.values['worst_rise'].max():.3g}" if setting.watch else ""
    bound = evidence.rise_bound(cell) if setting.watch else math.nan
    row["bound"] = "" if math.isnan(bound) else f"{bound:.3g}"
    return row


def _milliseconds(price: Price) -> str:
    return f"{1e3 * price.seconds:.3g} [{1e3 * price.lower:.3g}, {1e3 * price.upper:.3g}]"


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} [{estimate.lower:.3g}, {estimate.upper:.3g}]"
