"""How good are the cells that searches stand for, by method and by how they are read out?

    python benchmarks/cifar_found.py RUN [RUN …] --to DIR/NAME [--data DIR]

Takes finished CIFAR-10 searches, some of each method, one a seed. A search is read out in every way that it was: what
it stands for, the argmax of a method with a policy, and what `python -m nas derive` has written. For
each method and way: NAS-Bench-201's test accuracy of every seed's cell, mean, standard deviation and 95 % t-interval,
the table's columns of the other data sets, and the seconds of search and reading out, shared warm-up included. Seeds
are paired: beside the first row stands the mean difference over the seeds that both have, with its interval. Written
are NAME.json and the figure; printed is the table.
"""

import argparse
import json
import statistics as plain
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from scipy.stats import kendalltau

from nas import methods
from nas.data import nasbench201
from nas.data.nasbench201 import Table
from nas.judging import statistics
from nas.judging.colours import of_method
from nas.judging.style import WIDTH, save, styled
from nas.judging.table import TESTS, tests_of
from nas.running import runs
from nas.tasks import experiments
from simulate.searchers import references

JUDGED = TESTS[0]


@dataclass(frozen=True)
class Cell:
    """One search, read out in one way."""

    method: str
    way: str
    seed: int
    architecture: str
    seconds: float
    tests: dict[str, float]
    judged: int | None = None  # so many cells by held-out loss,
    tau: float | None = None  # which is so much like the table's order of them (Kendall)


def main() -> None:
    """Read the runs, write numbers and figure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR/NAME")
    parser.add_argument("--data", type=Path, metavar="DIR")
    options = parser.parse_args()
    table = nasbench201.load(options.data)
    cells = [cell for folder in options.runs for cell in cells_of(folder, table)]
    summary = {
        "rows": rows(cells),
        "cells": [asdict(cell) for cell in cells],
        "references": references(table),
        "settings": (options.runs[0] / runs.CONFIG).read_text(encoding="utf-8"),
        "sessions": [runs.sessions(folder)[0] for folder in options.runs],
        "about": runs.about_this_program(),
    }
    runs.write_atomically(options.to.with_suffix(".json"), json.dumps(summary, indent=1) + "\n")
    save(figure(summary), options.to)
    print(as_text(summary))


# ------------------------------------------------------------------ what the runs say


def cells_of(folder: Path, table: Table) -> list[Cell]:
    """One search in every way in which it was read out, its own first."""
    result, last = runs.result(folder), runs.records(folder)[-1]
    readings = {experiments.reload(folder).search.derive: result}
    if methods.METHODS[result["method"]].estimator is not None:  # there is a policy
        readings.setdefault("argmax", {"architecture": last["architecture"], "seconds": last["seconds"]})
    for file in sorted(folder.glob("derived-*.json")):
        reading = json.loads(file.read_text(encoding="utf-8"))
        readings.setdefault(reading["derive"], {**reading, "seconds": last["seconds"] + reading["seconds"]})
    return [
        Cell(
            result["method"],
            way,
            result["seed"],
            reading["architecture"],
            reading["seconds"],
            tests_of(table, reading["architecture"]),
            **ranked(reading.get("ranking"), table),
        )
        for way, reading in readings.items()
    ]


def ranked(ranking: list[tuple[str, float]] | None, table: Table) -> dict[str, Any]:
    """How many cells were judged, and how much their order is the table's; nothing where none were."""
    if ranking is None:
        return {}
    losses = [-loss for _, loss in ranking]
    tests = [tests_of(table, cell)[JUDGED] for cell, _ in ranking]
    return {"judged": len(ranking), "tau": float(kendalltau(losses, tests).statistic)}


def rows(cells: list[Cell]) -> list[dict[str, Any]]:
    """One row a method and way, the best mean first: its seeds, mean and spread, and how far it lies from the first."""
    groups: dict[tuple[str, str], dict[int, Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.method, cell.way), {})[cell.seed] = cell
    told = [row(method, way, dict(sorted(own.items()))) for (method, way), own in groups.items()]
    told.sort(key=lambda one: one["mean"], reverse=True)
    for one in told:
        both = [seed for seed in told[0]["tests"] if seed in one["tests"]]
        gaps = [one["tests"][seed] - told[0]["tests"][seed] for seed in both]
        one["beside_first"] = asdict(statistics.t_interval(gaps)) if one is not told[0] and len(both) > 1 else None
    return told


def row(method: str, way: str, own: dict[int, Cell]) -> dict[str, Any]:
    """One method, read out in one way: every seed's cell, and what they have in common."""
    tests = {seed: cell.tests[JUDGED] for seed, cell in own.items()}
    several, values = len(tests) > 1, list(tests.values())
    taus = [cell.tau for cell in own.values() if cell.tau is not None]
    return {
        "method": method,
        "way": way,
        "tests": tests,
        "mean": plain.fmean(values),
        "std": plain.stdev(values) if several else None,
        "half_width": statistics.t_half_width(values) if several else None,
        "others": {name: plain.fmean(cell.tests[name] for cell in own.values()) for name in TESTS if name != JUDGED},
        "seconds": plain.fmean(cell.seconds for cell in own.values()),
        "tau": plain.fmean(taus) if taus else None,
    }


# ------------------------------------------------------------------ what people see


@styled
def figure(summary: dict[str, Any]) -> Figure:
    """One line a row, the best on top: every seed a dot, the mean a ring, its t-interval a bar."""
    drawn = Figure(figsize=(WIDTH, 0.3 * len(summary["rows"]) + 1.4))
    axes = drawn.add_subplot()
    told = summary["rows"][::-1]
    for height, one in enumerate(told):
        colour, values = of_method(one["method"]), list(one["tests"].values())
        if one["half_width"] is not None:
            axes.errorbar(one["mean"], height, xerr=one["half_width"], color=colour, capsize=2, linewidth=1.2)
        axes.plot(values, [height] * len(values), ".", color=colour, alpha=0.5)
        axes.plot(one["mean"], height, "o", color=colour)
    for (name, value), line in zip(summary["references"].items(), ("--", ":"), strict=True):
        axes.axvline(value, color="black", linestyle=line, linewidth=0.8, label=name)
    seeds = max(len(one["tests"]) for one in told)
    axes.set_yticks(range(len(told)), [f"{methods.label(one['method'])}, {one['way']}" for one in told])
    axes.set(
        xlabel="NAS-Bench-201 test accuracy (%)",
        title=f"{seeds} seeds (dots), mean and its 95 % t-interval",
        ylim=(-0.6, len(told) - 0.4),
    )
    axes.legend(loc="lower left", fontsize=8)
    return drawn


def as_text(summary: dict[str, Any]) -> str:
    """One row a method and way: mean, spread, interval, the other data sets, seconds, tau, every seed."""
    head = f"{'method':38}{'mean ± std':>14}{'95 %':>8}{'CIFAR-100':>11}{'ImageNet16':>12}{'seconds':>9}{'tau':>6}"
    lines = [f"{head}  {'beside the first':24}each seed"]
    for one in summary["rows"]:
        spread = f"{one['mean']:.2f} ± {one['std']:.2f}" if one["std"] is not None else f"{one['mean']:.2f}"
        width = f"{one['half_width']:.2f}" if one["half_width"] is not None else "-"
        tau = f"{one['tau']:.2f}" if one["tau"] is not None else "-"
        gap = one["beside_first"]
        beside = f"{gap['value']:+.2f} [{gap['lower']:+.2f}, {gap['upper']:+.2f}]" if gap is not None else "-"
        others = "".join(f"{value:>{size}.2f}" for value, size in zip(one["others"].values(), (11, 12), strict=True))
        each = " ".join(f"{seed}: {value:.2f}" for seed, value in one["tests"].items())
        name = f"{methods.label(one['method'])}, {one['way']}"
        lines.append(f"{name:38}{spread:>14}{width:>8}{others}{one['seconds']:>9.0f}{tau:>6}  {beside:24}{each}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
