"""Given the whole cost, warm-up included: which method finds the better cell, and where does credit win?

    python -m nas sweep benchmarks/cifar_budget.toml --jobs 2
    python benchmarks/cifar_budget.py runs/cifar10/* --to DIR/NAME [--data DIR]

Takes finished CIFAR-10 searches of several methods after warm-ups of several lengths, one a seed. For every length and
method: the seconds of warm-up and search, NAS-Bench-201's test accuracy of every seed's cell, mean, standard deviation
and 95 % t-interval, and the mean difference from each other method on the same seeds after the same warm-up, with its
interval; and for every method the difference from random search with weight sharing, averaged over all warm-ups but
none. Written are NAME.json and the figure; printed are the methods beside random search, and AdvantageNAS beside the
others.
"""

import statistics as plain
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.cifar_found import RANDOM, Cell, Summary, beside, cells_of, gap_in_words, in_common, in_words, look_up
from nas import methods
from nas.data.nasbench201 import Table
from nas.judging import statistics
from nas.judging.colours import of_method
from nas.judging.style import WIDTH, styled
from nas.tasks import experiments

CREDIT, BEST = "advantage", "the best cell"
LEAST = 0.05  # points below the best cell that the figure shows


def main() -> None:
    """Read the runs, write numbers and figure, print the table."""
    look_up(__doc__, summary_of, figure, as_text)


# ------------------------------------------------------------------ what the runs say


def summary_of(folders: list[Path], table: Table) -> Summary:
    """One row a warm-up and method, the shortest warm-up first."""
    told: dict[int, dict[str, dict[int, Cell]]] = {}
    for folder in folders:
        cell = cells_of(folder, table)[0]
        own = told.setdefault(experiments.reload(folder).search.warmup_epochs, {}).setdefault(cell.method, {})
        if cell.seed in own:
            raise ValueError(f"{folder}: {cell.method} with seed {cell.seed} after this warm-up is named twice")
        own[cell.seed] = cell
    rows = [row(epochs, name, told[epochs]) for epochs in sorted(told) for name in sorted(told[epochs], key=place)]
    return {"rows": rows, "over_warm_ups": over_warm_ups(rows)}


def over_warm_ups(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each method: how far above random search, a seed's mean over the warm-ups but none, with its interval."""
    tests = {(one["method"], one["warmup_epochs"]): one["tests"] for one in rows if one["warmup_epochs"]}
    gaps: dict[str, dict[int, list[float]]] = {}
    for (name, epochs), own in tests.items():
        random = tests.get((RANDOM, epochs), {})
        if name != RANDOM:
            for seed in own.keys() & random.keys():
                gaps.setdefault(name, {}).setdefault(seed, []).append(own[seed] - random[seed])
    means = {name: [plain.fmean(own) for own in its.values()] for name, its in gaps.items()}
    return {name: asdict(statistics.t_interval(values)) for name, values in means.items() if len(values) > 1}


def place(method: str) -> tuple[bool, str]:
    """Methods by name, random search last."""
    return method == RANDOM, method


def row(epochs: int, method: str, found: dict[str, dict[int, Cell]]) -> dict[str, Any]:
    """One of the methods after one warm-up: every seed's cell, what they have in common, how far the others lie off.

    found: each method's cells by seed.
    """
    own = dict(sorted(found[method].items()))
    common = in_common(own)
    gaps = {other: beside(common["tests"], in_common(its)["tests"]) for other, its in found.items() if other != method}
    return {
        "warmup_epochs": epochs,
        "method": method,
        **common,
        "beside": {other: gap for other, gap in gaps.items() if gap is not None},
        "architectures": {seed: cell.architecture for seed, cell in own.items()},
        "losses": {seed: cell.loss for seed, cell in own.items()},
    }


# ------------------------------------------------------------------ what people see


@styled
def figure(summary: Summary) -> Figure:
    """How far below the best cell against the whole cost: a line a method through its means, every seed a dot."""
    drawn = Figure(figsize=(WIDTH, 3.4))
    axes = drawn.add_subplot()
    references = dict(summary["references"])
    best = references.pop(BEST)
    for name in dict.fromkeys(one["method"] for one in summary["rows"]):
        told, colour = [one for one in summary["rows"] if one["method"] == name], of_method(name)
        minutes = [one["seconds"] / 60 for one in told]
        axes.plot(minutes, [best - one["mean"] for one in told], "o-", color=colour, label=methods.label(name))
        for minute, one in zip(minutes, told, strict=True):
            below = [max(best - value, LEAST) for value in one["tests"].values()]
            axes.plot([minute] * len(below), below, ".", color=colour, alpha=0.4)
    for name, value in references.items():
        axes.axhline(best - value, color="black", linestyle=":", linewidth=0.8, label=name)
    axes.set(xlabel="minutes of warm-up and search", ylabel="points below the best cell", xscale="log", yscale="log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.legend(loc="lower right", fontsize=7)
    seeds = len(summary["rows"][0]["tests"])
    drawn.suptitle(f"{seeds} seed{'s' * (seeds > 1)} (dots) and their mean", fontsize=9)
    return drawn


def as_text(summary: Summary) -> str:
    """One row a warm-up and method: seconds, mean, spread, interval, beside random search, every seed."""
    rows = summary["rows"]
    lines = [f"{'warm-up':>7}  {'method':16}{'seconds':>8}{'mean ± std':>15}{'95 %':>7}  {'beside random':24}each seed"]
    for one in rows:
        spread, width, each = in_words(one)
        start = f"{one['warmup_epochs']:>7}  {methods.label(one['method']):16}{one['seconds']:>8.0f}"
        lines.append(f"{start}{spread:>15}{width:>7}  {gap_in_words(one['beside'].get(RANDOM)):24}{each}")
    credit = [one for one in rows if one["method"] == CREDIT]
    others = list(dict.fromkeys(other for one in credit for other in one["beside"]))
    lines += ["", f"{'warm-up':>7}  " + "".join(f"beside {methods.label(other):20}" for other in others)]
    for one in credit:
        lines.append(
            f"{one['warmup_epochs']:>7}  " + "".join(f"{gap_in_words(one['beside'].get(other)):27}" for other in others)
        )
    lines += ["", "beside random search, over all warm-ups but none"]
    lines += [f"{methods.label(name):16}  {gap_in_words(value)}" for name, value in summary["over_warm_ups"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
