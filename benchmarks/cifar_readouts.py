"""How good are the cells that searches on CIFAR-10 stand for on their way, read out in each way that there is?

    python benchmarks/cifar_readouts.py RUNS/cifar10-comparison.json [--to DIR/NAME] [--data DIR] [--title TEXT]

Takes a comparison whose searches go on from shared warm-ups and keep the best-seen sample (`search.warmup=shared`,
`search.derive=best_seen`). For every record after the warm-up: NAS-Bench-201's test accuracy of the argmax and of the
best-seen cell, per seed and as the median over seeds, against the search epochs. For the end also every other way in
which `python -m nas derive` has read a run out, and the table's columns of the other data sets. Written are NAME.json
and the figure; printed is the table.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from nas.data import nasbench201
from nas.data.nasbench201 import Table
from nas.judging.colours import of_method
from nas.judging.style import save, styled
from nas.judging.table import TESTS, tests_of
from nas.running import runs
from simulate.searchers import references

ON_THE_WAY = {"argmax": "architecture", "best seen": "best_seen"}  # what is read out, and where a record has it


def main() -> None:
    """Read the runs, write numbers and figure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path, metavar="JSON")
    parser.add_argument("--to", type=Path, metavar="DIR/NAME", help="default: beside the comparison")
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--title", default="CIFAR-10")
    options = parser.parse_args()
    compared = json.loads(options.comparison.read_text(encoding="utf-8"))
    table = nasbench201.load(options.data)
    searches = [search_of(Path(folder), table) for folder in compared["runs"]]
    summary = {
        "title": options.title,
        "settings": compared["settings"],
        "labels": compared["labels"],
        "searches": searches,
        "medians": medians(searches),
        "references": references(table),
        "about": runs.about_this_program(),
    }
    stem = options.to or options.comparison.with_name("cifar10-readouts")
    runs.write_atomically(stem.with_suffix(".json"), json.dumps(summary, indent=1) + "\n")
    save(figure(summary), stem)
    print(as_text(summary))


# ------------------------------------------------------------------ what the runs say


def search_of(folder: Path, table: Table) -> dict[str, Any]:
    """One search: its curves after the warm-up, and what it ends with in every way it was read out."""
    result, test = runs.result(folder), table.column("cifar10_test")
    records = [record for record in runs.records(folder) if "best_seen" in record]
    if not records:
        raise SystemExit(f"{folder}: no record has a best-seen cell; search with search.derive=best_seen")
    begun = records[0]["epoch"] - (records[1]["epoch"] - records[0]["epoch"])
    curves = {way: [float(test[table.find(record[place])]) for record in records] for way, place in ON_THE_WAY.items()}
    ends = {way: told(table, records[-1][place]) for way, place in ON_THE_WAY.items()}
    for file in sorted(folder.glob("derived-ranked-*.json")):
        read_out = json.loads(file.read_text(encoding="utf-8"))
        ends[read_out["derive"]] = {
            **told(table, read_out["architecture"]),
            "held_out_loss": read_out["ranking"][0][1],
            "seconds": read_out["seconds"],
        }
    return {
        "method": result["method"],
        "seed": result["seed"],
        "epochs": [record["epoch"] - begun for record in records],
        "curves": curves,
        "ends": ends,
        "entropy": records[-1]["entropy"],
        "seconds": result["seconds"] - result["forked_from"]["seconds"],
        "warmup_seconds": result["forked_from"]["seconds"],
    }


def told(table: Table, architecture: str) -> dict[str, Any]:
    """What the table says of a cell on each data set."""
    return {"architecture": architecture, **tests_of(table, architecture)}


def medians(searches: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Of each method and way of reading out the median over seeds, at every record."""
    found: dict[str, dict[str, list[float]]] = {}
    for method in dict.fromkeys(search["method"] for search in searches):
        own = [search["curves"] for search in searches if search["method"] == method]
        found[method] = {
            way: [statistics.median(then) for then in zip(*(curves[way] for curves in own), strict=True)]
            for way in ON_THE_WAY
        }
    return found


# ------------------------------------------------------------------ what people see


@styled
def figure(summary: dict[str, Any]) -> Figure:
    """Two panels, argmax and best seen: the median over seeds thick, every seed thin."""
    drawn = Figure(figsize=(9, 4))
    panels = drawn.subplots(1, 2, sharey=True)
    for axes, way in zip(panels, ON_THE_WAY, strict=True):
        for search in summary["searches"]:
            axes.plot(
                search["epochs"], search["curves"][way], color=of_method(search["method"]), alpha=0.3, linewidth=0.7
            )
        for method, own in summary["medians"].items():
            epochs = next(search["epochs"] for search in summary["searches"] if search["method"] == method)
            axes.plot(epochs, own[way], color=of_method(method), linewidth=2, label=summary["labels"][method])
        for (name, value), line in zip(summary["references"].items(), ("--", ":"), strict=True):
            axes.axhline(value, color="black", linestyle=line, linewidth=0.8, label=name)
        axes.set(xlabel="search epochs after the warm-up", title=f"read out as {way}")
    values = [value for search in summary["searches"] for curve in search["curves"].values() for value in curve]
    panels[0].set(ylabel="NAS-Bench-201 test accuracy (%)", ylim=(max(min(values), 85.0) - 0.3, 94.5))
    panels[0].legend(fontsize=8, loc="lower left")
    n = len({search["seed"] for search in summary["searches"]})
    drawn.suptitle(f"{summary['title']}: median (thick) of {n} seeds (thin)")
    return drawn


def as_text(summary: dict[str, Any]) -> str:
    """One row a method and way of reading out: every seed, the median, and the mean of the other data sets."""
    lines = [f"{'method':28}{'read out':14}{'median':>8}  {'CIFAR-100':>10}{'ImageNet16':>11}  CIFAR-10 of each seed"]
    for method, label in summary["labels"].items():
        own = [search for search in summary["searches"] if search["method"] == method]
        for way in dict.fromkeys(way for search in own for way in search["ends"]):
            ends = [search["ends"][way] for search in own if way in search["ends"]]
            test = [end["cifar10_test"] for end in ends]
            others = [statistics.fmean(end[name] for end in ends) for name in TESTS[1:]]
            each = " ".join(f"{value:.2f}" for value in test)
            lines.append(
                f"{label:28}{way:14}{statistics.median(test):>8.2f}  {others[0]:>10.2f}{others[1]:>11.2f}  {each}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
