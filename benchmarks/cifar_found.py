"""How good are the cells that searches stand for, by method and by how they are read out?

    python benchmarks/cifar_found.py RUN [RUN …] --to DIR/NAME [--data DIR]

Takes finished CIFAR-10 searches, some of each method, one a seed; where settings differ, rows say so. A search is read
out in every way that it was: what it stands for, the argmax of a method with a policy, and what `python -m nas derive`
has written. For each row: the held-out loss of the cells under the shared weights, NAS-Bench-201's test accuracy of
every seed's cell, mean, standard deviation and 95 % t-interval, the table's columns of the other data sets, and the
seconds of search and reading out, shared warm-up included. Seeds are paired: beside the first row stands the mean
difference over the seeds that both have, with its interval. Written are NAME.json and the figure; printed is the table.
"""

import argparse
import json
import statistics as plain
from collections.abc import Callable, Sequence
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
from nas.judging.compare import ALWAYS as RANDOM
from nas.judging.style import WIDTH, save, styled
from nas.judging.table import TESTS, tests_of
from nas.running import config, files, runs
from nas.tasks import experiments
from simulate.searchers import references

JUDGED = TESTS[0]
TOLD = ("search.method", "search.derive")  # beside the settings


@dataclass(frozen=True)
class Cell:
    """One search, read out in one way."""

    method: str
    way: str
    seed: int
    settings: str  # those that not all runs share
    architecture: str
    loss: float  # held out, under the shared weights
    seconds: float
    tests: dict[str, float]
    judged: int | None = None  # so many cells by held-out loss,
    tau: float | None = None  # which is so much like the table's order of them (Kendall)


def main() -> None:
    """Read the runs, write numbers and figure, print the table."""
    look_up(__doc__, summary_of, figure, as_text)


Summary = dict[str, Any]


def look_up(
    about: str,
    summarise: Callable[[list[Path], Table], Summary],
    draw: Callable[[Summary], Figure],
    write: Callable[[Summary], str],
) -> None:
    """The command line of a script that looks finished searches up; what is wrong with them is said in one line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR/NAME")
    parser.add_argument("--data", type=Path, metavar="DIR")
    options = parser.parse_args()
    try:
        table = nasbench201.load(options.data)
        summary = {
            **summarise(options.runs, table),
            "references": references(table),
            "settings": files.read_text(options.runs[0] / runs.CONFIG),
            "sessions": distinct([runs.sessions(folder)[0] for folder in options.runs]),
            "about": runs.about_this_program(),
        }
    except (ValueError, OSError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    runs.write_atomically(options.to.with_suffix(".json"), json.dumps(summary, indent=1) + "\n")
    save(draw(summary), options.to)
    print(write(summary))


def distinct(told: list[Any]) -> list[Any]:
    """Without what was said before."""
    return [one for place, one in enumerate(told) if one not in told[:place]]


# ------------------------------------------------------------------ what the runs say


def summary_of(folders: list[Path], table: Table) -> Summary:
    """All cells of the runs, and a row for each method and way."""
    for folder in folders:
        runs.result(folder)  # refuses what is no finished search
    apart = settings_apart(folders)
    cells = [cell for folder in folders for cell in cells_of(folder, table, apart[folder])]
    return {"rows": rows(cells), "cells": [asdict(cell) for cell in cells]}


def settings_apart(folders: Sequence[Path]) -> dict[Path, str]:
    """Of each run the settings that not all runs share, beside method and derivation, as key=value."""
    all_of_them = {}
    for folder in folders:
        settings = config.read_toml(folder / runs.CONFIG)
        flat = {f"{part}.{key}": value for part in ("network", "search") for key, value in settings[part].items()}
        all_of_them[folder] = {key: value for key, value in flat.items() if key not in TOLD}
    keys = dict.fromkeys(key for flat in all_of_them.values() for key in flat)
    differ = [key for key in keys if len({repr(flat.get(key)) for flat in all_of_them.values()}) > 1]
    return {
        folder: ", ".join(f"{key.split('.')[1]}={flat[key]}" for key in differ if key in flat)
        for folder, flat in all_of_them.items()
    }


def cells_of(folder: Path, table: Table, settings: str = "") -> list[Cell]:
    """One search in every way in which it was read out, its own first."""
    result, last = runs.result(folder), runs.records(folder)[-1]
    way = experiments.reload(folder).search.derive
    argmax = {key: last[key] for key in ("architecture", "seconds")} | {"figures": last["validation"]}
    if result["method"] == RANDOM:  # has no policy, and stands for the best that it saw
        readings = {"best_seen" if way == "argmax" else way: result}
    else:
        readings = {way: result, **({} if way == "argmax" else {"argmax": argmax})}
    for file in sorted(folder.glob("derived-*.json")):
        reading = files.read_json(file, dict)
        readings.setdefault(reading["derive"], {**reading, "seconds": last["seconds"] + reading["seconds"]})
    return [
        Cell(
            result["method"],
            way,
            result["seed"],
            settings,
            reading["architecture"],
            reading["figures"]["loss"],
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
    groups: dict[tuple[str, str, str], dict[int, Cell]] = {}
    for cell in cells:
        own = groups.setdefault((cell.method, cell.way, cell.settings), {})
        if cell.seed in own:
            raise ValueError(f"two runs of {cell.method} with seed {cell.seed} and the same settings: name one of them")
        own[cell.seed] = cell
    told = [row(*name, dict(sorted(own.items()))) for name, own in groups.items()]
    told.sort(key=lambda one: one["mean"], reverse=True)
    for one in told:
        one["beside_first"] = beside(one["tests"], told[0]["tests"]) if one is not told[0] else None
    return told


def row(method: str, way: str, settings: str, own: dict[int, Cell]) -> dict[str, Any]:
    """One method, read out in one way: every seed's cell, and what they have in common."""
    taus = [cell.tau for cell in own.values() if cell.tau is not None]
    return {
        "method": method,
        "way": way,
        "settings": settings,
        "loss": plain.fmean(cell.loss for cell in own.values()),
        **in_common(own),
        "others": {name: plain.fmean(cell.tests[name] for cell in own.values()) for name in TESTS if name != JUDGED},
        "tau": plain.fmean(taus) if taus else None,
    }


def in_common(own: dict[int, Cell]) -> dict[str, Any]:
    """Every seed's test accuracy, their mean and spread, and the mean seconds; of one seed there is no spread."""
    tests = {seed: cell.tests[JUDGED] for seed, cell in own.items()}
    several, values = len(tests) > 1, list(tests.values())
    return {
        "tests": tests,
        "mean": plain.fmean(values),
        "std": plain.stdev(values) if several else None,
        "half_width": statistics.t_half_width(values) if several else None,
        "seconds": plain.fmean(cell.seconds for cell in own.values()),
    }


def beside(tests: dict[int, float], others: dict[int, float]) -> dict[str, float] | None:
    """How far one lies above another on the seeds that both have, with its interval; None for fewer than two."""
    gaps = [tests[seed] - others[seed] for seed in tests if seed in others]
    return asdict(statistics.t_interval(gaps)) if len(gaps) > 1 else None


# ------------------------------------------------------------------ what people see


@styled
def figure(summary: Summary) -> Figure:
    """Left: one line a row, the best on top, every seed a dot, the mean a disc, its t-interval a bar.

    Right: every cell's table accuracy against its held-out loss under the shared weights.
    """
    drawn = Figure(figsize=(WIDTH, max(2.8, 0.26 * len(summary["rows"]) + 1.2)))
    rows, cells = drawn.subplots(1, 2, width_ratios=(5, 3))
    told = summary["rows"][::-1]
    for height, one in enumerate(told):
        colour, values = of_method(one["method"]), list(one["tests"].values())
        if one["half_width"] is not None:
            rows.errorbar(one["mean"], height, xerr=one["half_width"], color=colour, capsize=2, linewidth=1.2)
        rows.plot(values, [height] * len(values), ".", color=colour, alpha=0.5)
        rows.plot(one["mean"], height, "o", color=colour)
    for (name, value), line in zip(summary["references"].items(), ("--", ":"), strict=True):
        rows.axvline(value, color="black", linestyle=line, linewidth=0.8, label=name)
    rows.set_yticks(range(len(told)), [name_of(one) for one in told], fontsize=7)
    rows.set(xlabel="test accuracy in the table (%)", ylim=(-0.6, len(told) - 0.4))
    rows.legend(loc="best", fontsize=6.5)
    for cell in summary["cells"]:
        cells.plot(cell["loss"], cell["tests"][JUDGED], "o", color=of_method(cell["method"]), markersize=4)
    cells.set(xlabel="held-out loss (nats)", ylabel="test accuracy in the table (%)")
    seeds = len({cell["seed"] for cell in summary["cells"]})
    drawn.suptitle(
        f"{seeds} seed{'s' * (seeds > 1)} (dots), mean and its 95 % t-interval; right: every cell", fontsize=9
    )
    return drawn


def as_text(summary: Summary) -> str:
    """One row a method and way: mean, spread, interval, the other data sets, seconds, tau, every seed."""
    wide = 2 + max(len(name_of(one)) for one in summary["rows"])
    head = f"{'method':{wide}}{'loss':>8}{'mean ± std':>14}{'95 %':>8}{'CIFAR-100':>11}{'ImageNet16':>12}"
    head += f"{'seconds':>9}{'tau':>6}"
    lines = [f"{head}  {'beside the first':24}each seed"]
    for one in summary["rows"]:
        spread, width, each = in_words(one)
        tau = f"{one['tau']:.2f}" if one["tau"] is not None else "-"
        others = "".join(f"{value:>{size}.2f}" for value, size in zip(one["others"].values(), (11, 12), strict=True))
        figures = f"{one['loss']:>8.3f}{spread:>14}{width:>8}{others}{one['seconds']:>9.0f}{tau:>6}"
        lines.append(f"{name_of(one):{wide}}{figures}  {gap_in_words(one['beside_first']):24}{each}")
    return "\n".join(lines)


def in_words(one: dict[str, Any]) -> tuple[str, str, str]:
    """Of a row: mean and standard deviation, the half width of the interval, every seed."""
    spread = f"{one['mean']:.2f} ± {one['std']:.2f}" if one["std"] is not None else f"{one['mean']:.2f}"
    width = f"{one['half_width']:.2f}" if one["half_width"] is not None else "-"
    return spread, width, " ".join(f"{seed}: {value:.2f}" for seed, value in one["tests"].items())


def gap_in_words(gap: dict[str, float] | None) -> str:
    """A difference with its interval."""
    return "-" if gap is None else f"{gap['value']:+.2f} [{gap['lower']:+.2f}, {gap['upper']:+.2f}]"


def name_of(one: dict[str, Any]) -> str:
    """A row as people read it."""
    return ", ".join(filter(None, (methods.label(one["method"]), one["settings"], one["way"])))


if __name__ == "__main__":
    main()
