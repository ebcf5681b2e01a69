"""How does a finished study become a page? Figures and tables by what it varied, each with n, seed and command."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nas import config, runs
from simulate import evidence, page, plot
from simulate.evidence import Estimate
from simulate.run import problem_of
from simulate.study import Cell, StudySettings, read


def figures(cells: Sequence[Cell]) -> dict[str, tuple[Callable[[], Figure], str]]:
    """The figures that the cells allow, by file stem: how to draw each, and what it shows."""
    settings = [cell.setting for cell in cells]
    known = [cell for cell in cells if problem_of(cell.setting).truth.optimum is not None]
    drawn: dict[str, tuple[Callable[[], Figure], str]] = {
        "loss": (
            lambda: plot.curves_figure(cells, "expected_loss", "expected loss J"),
            "Expected loss against steps, each method at the rate (in brackets) with the lowest median at the end: "
            "median and quartiles.",
        ),
        "entropy": (
            lambda: plot.curves_figure(cells, "entropy", "entropy, nats"),
            "Entropy of the policy, summed over edges: median and quartiles.",
        ),
    }
    if known:
        drawn["probability"] = (
            lambda: plot.curves_figure(known, "optimal_probability", "P(best architecture)"),
            "Probability of drawing the best architecture: median and quartiles.",
        )
    if len({setting.rate for setting in settings}) > 1:
        drawn["rates"] = (lambda: plot.heat_map(cells), "Share of the regret J - min L left at the end (median).")
        if known:
            drawn["commitment"] = (
                lambda: plot.share_figure(known, evidence.wrongly_committed, "rate", "decided, but wrong"),
                "Share of replicates with every edge decided (one operation at 95 %) but not for the best "
                "architecture, with Wilson's 95 % interval.",
            )
        drawn["fixation"] = (
            lambda: plot.share_figure(cells, evidence.fixated, "rate", "every edge decided"),
            "Share of replicates with every edge decided, whatever for, with Wilson's 95 % interval.",
        )
    watched = [cell for cell in cells if cell.setting.watch]
    if watched:
        across = "samples" if len({cell.setting.samples for cell in watched}) > 1 else "rate"
        drawn["rises"] = (
            lambda: plot.share_figure(watched, evidence.rises, across, "share of steps that raise J"),
            "Share of steps that raise the expected loss, with the 95 % interval of the mean over replicates.",
        )
    return drawn


def draw(folder: Path) -> list[Path]:
    """Write every figure of a study's run folder as SVG and PNG. Returns the files."""
    written = []
    for stem, (make, _) in figures(read(folder)).items():
        written += plot.save(make(), folder / stem)
    return written


def write(folder: Path) -> Path:
    """Write report.html, one self-contained page, into a study's run folder."""
    cells = read(folder)
    settings = config.load(StudySettings, folder / runs.CONFIG)
    meta = json.loads((folder / runs.META).read_text(encoding="utf-8"))
    replicates = sorted({cell.setting.replicates for cell in cells})
    about = (
        f"n = {' or '.join(map(str, replicates))} replicates a cell, seeds "
        f"{sorted({cell.setting.seed for cell in cells})}. Made by: {meta['command']}"
    )
    parts = [page.paragraph(settings.about), page.heading("In numbers"), page.table(rows(cells))]
    parts.append(page.paragraph("A click on a column's head sorts. Intervals are 95 %; see each figure's caption."))
    for make, shows in figures(cells).values():
        drawn = make()
        parts.append(page.figure(drawn, f"{shows} {about}"))
        plot.close(drawn)
    parts.append(page.heading("Where it ran"))
    parts.append(page.table([{"what": key, "value": value} for key, value in meta.items()]))
    target = folder / "report.html"
    runs.write_atomically(target, page.page(f"Study: {settings.name}", *parts))
    return target


def rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One row a cell: what was set, and what came out."""
    return [_row(cell) for cell in cells]


def _row(cell: Cell) -> dict[str, Any]:
    setting, truth = cell.setting, problem_of(cell.setting).truth
    row: dict[str, Any] = {
        "method": plot.label(setting.method),
        "landscape": setting.landscape,
        "optimiser": setting.optimiser,
        "rate": f"{setting.rate:g}" + (f" of {setting.bound}" if setting.bound != "none" else ""),
        "samples": setting.samples,
        "n": setting.replicates,
        "J at the end": _text(evidence.mean(cell.values["expected_loss"][-1])),
        "entropy": _text(evidence.mean(cell.values["entropy"][-1])),
        "decided": _text(evidence.fixated(cell)),
    }
    unknown = truth.optimum is None
    row["best found"] = "" if unknown else _text(evidence.found(cell))
    row["decided, wrong"] = "" if unknown else _text(evidence.wrongly_committed(cell))
    row["steps to 95 %"] = "" if unknown else _text(evidence.time_to_sure(cell))
    row["exponent"] = ""
    if not math.isnan(truth.best) and len(cell.steps) >= 8:
        row["exponent"] = _text(evidence.exponent(cell, truth.best, resamples=100))
    row["steps that raise J"] = _text(evidence.rises(cell)) if setting.watch else ""
    row["largest rise"] = f"{cell.values['worst_rise'].max():.3g}" if setting.watch else ""
    return row


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3g} [{estimate.lower:.3g}, {estimate.upper:.3g}]"
