"""Given the whole cost, warm-up included: which method finds the better cell, and where does credit win?

    python -m nas sweep benchmarks/cifar_budget.toml --jobs 2
    python benchmarks/cifar_budget.py runs/cifar10/* --to DIR/NAME [--data DIR]

Takes finished CIFAR-10 searches of several methods after warm-ups of several lengths, one a seed, random search among
them. For every length and method: the seconds of warm-up and search, NAS-Bench-201's test accuracy of every seed's
cell, mean, standard deviation and 95 % t-interval, and the mean difference from random search with weight sharing on
the same seeds after the same warm-up, with its interval. Written are NAME.json and the figure; printed is the table.
"""

import statistics as plain
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.cifar_found import JUDGED, RANDOM, Cell, Summary, cells_of, look_up
from nas import methods
from nas.data.nasbench201 import Table
from nas.judging import statistics
from nas.judging.colours import of_method
from nas.judging.style import WIDTH, styled
from nas.tasks import experiments


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
    rows = [row(epochs, name, its) for epochs in sorted(told) for name, its in with_random(told[epochs]).items()]
    return {"rows": rows, "table_mean": float(table.column(JUDGED).mean())}


def with_random(found: dict[str, dict[int, Cell]]) -> dict[str, tuple[dict[int, Cell], dict[int, Cell]]]:
    """Each method's cells by seed, beside random search's. Raises: ValueError if random search is not there."""
    if RANDOM not in found:
        raise ValueError(f"no search of {RANDOM} among those of {', '.join(found)}: name one for each warm-up")
    return {name: (own, found[RANDOM]) for name, own in found.items()}


def row(epochs: int, method: str, both: tuple[dict[int, Cell], dict[int, Cell]]) -> dict[str, Any]:
    """One method after one warm-up: every seed's cell, what they have in common, and how far random search lies off."""
    own, random = both
    tests = {seed: own[seed].tests[JUDGED] for seed in sorted(own)}
    several, values = len(tests) > 1, list(tests.values())
    gaps = [tests[seed] - random[seed].tests[JUDGED] for seed in tests if seed in random]
    return {
        "warmup_epochs": epochs,
        "method": method,
        "seconds": plain.fmean(cell.seconds for cell in own.values()),
        "tests": tests,
        "mean": plain.fmean(values),
        "std": plain.stdev(values) if several else None,
        "half_width": statistics.t_half_width(values) if several else None,
        "beside_random": asdict(statistics.t_interval(gaps)) if method != RANDOM and len(gaps) > 1 else None,
        "architectures": {seed: own[seed].architecture for seed in tests},
        "losses": {seed: own[seed].loss for seed in tests},
    }


# ------------------------------------------------------------------ what people see


@styled
def figure(summary: Summary) -> Figure:
    """Test accuracy against the whole cost: a line a method, mean and 95 % t-interval, every seed a dot."""
    drawn = Figure(figsize=(WIDTH, 3.4))
    axes = drawn.add_subplot()
    for name in dict.fromkeys(one["method"] for one in summary["rows"]):
        told = [one for one in summary["rows"] if one["method"] == name]
        minutes = [one["seconds"] / 60 for one in told]
        means, reach = [one["mean"] for one in told], [one["half_width"] or 0.0 for one in told]
        line = axes.errorbar(minutes, means, reach, color=of_method(name), marker="o", capsize=2)
        line.set_label(methods.label(name))
        for minute, one in zip(minutes, told, strict=True):
            values = list(one["tests"].values())
            axes.plot([minute] * len(values), values, ".", color=of_method(name), alpha=0.4)
    for name, value in summary["references"].items():
        axes.axhline(value, color="black", linestyle=":", linewidth=0.8)
        axes.annotate(name, (1.0, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=6.5)
    axes.set(xlabel="minutes of warm-up and search", ylabel="test accuracy in the table (%)", xscale="log")
    axes.legend(loc="lower right", fontsize=7)
    seeds = len(summary["rows"][0]["tests"])
    drawn.suptitle(f"{seeds} seed{'s' * (seeds > 1)} (dots), mean and its 95 % t-interval", fontsize=9)
    return drawn


def as_text(summary: Summary) -> str:
    """One row a warm-up and method: seconds, mean, spread, interval, beside random search, every seed."""
    lines = [f"{'warm-up':>7}  {'method':16}{'seconds':>8}{'mean ± std':>14}{'95 %':>7}  {'beside random':22}each seed"]
    for one in summary["rows"]:
        spread = f"{one['mean']:.2f} ± {one['std']:.2f}" if one["std"] is not None else f"{one['mean']:.2f}"
        width = f"{one['half_width']:.2f}" if one["half_width"] is not None else "-"
        gap = one["beside_random"]
        beside = f"{gap['value']:+.2f} [{gap['lower']:+.2f}, {gap['upper']:+.2f}]" if gap is not None else "-"
        each = " ".join(f"{seed}: {value:.2f}" for seed, value in one["tests"].items())
        start = f"{one['warmup_epochs']:>7}  {methods.label(one['method']):16}{one['seconds']:>8.0f}"
        lines.append(f"{start}{spread:>14}{width:>7}  {beside:22}{each}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
