"""How good are cells that the shared weights rank first, how many must be ranked, and does training them alone help?

    python benchmarks/cifar_ranked.py RUN [RUN …] --to DIR/NAME [--data DIR]

Takes finished CIFAR-10 searches that end with a ranking (`search.derive=ranked:N` or `tuned:N:M:E`), one a seed. For
each: NAS-Bench-201's test accuracy, and its columns of the other data sets, of the cell ranked first, of the best of
those that trained alone, and of the policy's argmax, where there is one; Kendall's tau between held-out loss and test
accuracy over all ranked cells, and over those that trained alone, before and after; and the expected accuracy of the
first of m of them, m from 1 (a random cell) to all, exactly: the first of m drawn without replacement is the one ranked
j-th of n with probability C(n - j, m - 1) / C(n, m). Written are NAME.json and the figure; printed is the table, with
means over seeds, standard deviations and 95 % t-intervals.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import gammaln
from scipy.stats import kendalltau

from benchmarks.cifar_found import Summary, look_up
from nas.data.nasbench201 import Table
from nas.judging import statistics
from nas.judging.colours import of_method
from nas.judging.style import styled
from nas.judging.table import tests_of
from nas.running import runs

COLUMNS = {"cifar10_test": "CIFAR-10", "cifar100_test": "CIFAR-100", "imagenet16_120_test": "ImageNet16-120"}


def main() -> None:
    """Read the runs, write numbers and figure, print the table."""
    look_up(__doc__, summary_of, figure, as_text)


# ------------------------------------------------------------------ what the runs say


def summary_of(folders: list[Path], table: Table) -> Summary:
    """All searches, and what they have in common."""
    searches = [search_of(folder, table) for folder in folders]
    return {"searches": searches, "means": means(searches)}


def search_of(folder: Path, table: Table) -> dict[str, Any]:
    """One search: what it found in each way, and what its ranking is worth."""
    result = runs.result(folder)
    if "ranking" not in result:
        raise ValueError(f"{folder} ends with no ranking: search with search.derive=ranked:N")
    rows = [table.find(cell) for cell, _ in result["ranking"]]
    losses = np.array([loss for _, loss in result["ranking"]])
    test = table.column("cifar10_test")[rows]
    return {
        "seed": result["seed"],
        "seconds": result["seconds"],
        "warmup_seconds": result.get("forked_from", {}).get("seconds"),
        "ranked": len(rows),
        "loss": float(losses[0]),
        "found": {way: found(cell, table) for way, cell in ways(folder, result).items()},
        "tau": float(kendalltau(-losses, test).statistic),
        "tuned": of_tuned(result, table),
        "ten_best": test[:10].tolist(),
        "first_of": first_of(test).tolist(),
    }


def ways(folder: Path, result: dict[str, Any]) -> dict[str, str]:
    """The cells that one search gives, by how it is read out."""
    cells = {} if result["method"] == "random" else {"argmax": runs.records(folder)[-1]["architecture"]}
    cells["ranked"] = result["ranking"][0][0]
    return cells | ({"tuned": result["tuned"][0][0]} if "tuned" in result else {})


def found(cell: str, table: Table) -> dict[str, Any]:
    """A cell and its accuracies in percent."""
    return {"architecture": cell, **tests_of(table, cell)}


def of_tuned(result: dict[str, Any], table: Table) -> dict[str, Any] | None:
    """Of the cells that trained alone: table accuracy, the best by held-out loss first, and tau before and after."""
    if "tuned" not in result:
        return None
    shared = dict(result["ranking"])
    test = [float(table.column("cifar10_test")[table.find(cell)]) for cell, _ in result["tuned"]]
    before, after = [shared[cell] for cell, _ in result["tuned"]], [loss for _, loss in result["tuned"]]
    taus = [float(kendalltau(-np.array(losses), test).statistic) for losses in (before, after)]
    return {"test": test, "loss": after, "tau_before": taus[0], "tau_after": taus[1]}


def first_of(values: np.ndarray) -> np.ndarray:
    """Expected value (n,) of the best-ranked of m = 1 … n cells drawn from n ranked ones; values (n,), best first."""
    n = len(values)
    m, place = np.arange(1, n + 1)[:, None], np.arange(1, n + 1)[None, :]
    below = n - place
    with np.errstate(invalid="ignore"):
        logs = gammaln(below + 1) - gammaln(m) - gammaln(below - m + 2)
        logs -= gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1)
    chances = np.where(below >= m - 1, np.exp(logs), 0.0)
    expected: np.ndarray = chances @ values
    return expected


def means(searches: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation and half width of the 95 % interval of the cells found in each way, on each data set."""
    several = len(searches) > 1
    told: dict[str, dict[str, Any]] = {}
    for way in searches[0]["found"]:
        told[way] = {}
        for name in COLUMNS:
            values = [search["found"][way][name] for search in searches]
            told[way][name] = {
                "mean": float(np.mean(values)),
                "std": float(np.std(values, ddof=1)) if several else None,
                "half_width": statistics.t_half_width(values) if several else None,
            }
    return told


# ------------------------------------------------------------------ what people see


@styled
def figure(summary: dict[str, Any]) -> Figure:
    """Expected test accuracy against the number of ranked cells: every seed thin, their mean thick."""
    drawn = Figure(figsize=(6, 4))
    axes = drawn.add_subplot()
    curves = [search["first_of"] for search in summary["searches"]]
    shortest = min(map(len, curves))
    for curve in curves:
        axes.plot(range(1, len(curve) + 1), curve, color=of_method("random"), alpha=0.35, linewidth=0.8)
    mean = np.mean([curve[:shortest] for curve in curves], axis=0)
    axes.plot(range(1, shortest + 1), mean, color=of_method("random"), linewidth=2, label="mean over seeds")
    for way, marker, right in (("tuned", "*", 1.1), ("argmax", "o", 1.3)):
        if way in summary["means"]:
            row = summary["means"][way]["cifar10_test"]
            axes.errorbar(
                right * shortest, row["mean"], row["half_width"], fmt=marker, color="black", capsize=3, label=way
            )
    for (name, value), line in zip(summary["references"].items(), ("--", ":"), strict=True):
        axes.axhline(value, color="black", linestyle=line, linewidth=0.8, label=name)
    axes.set(
        xscale="log",
        xlabel="cells that were ranked",
        ylabel="NAS-Bench-201 test accuracy of the first (%)",
        title=f"{len(curves)} searches",
    )
    axes.legend()
    return drawn


def as_text(summary: dict[str, Any]) -> str:
    """One row a seed and way, and the means."""
    lines = [f"{'seed':>5}{'seconds':>9}{'cells':>7}{'tau':>7}" + "".join(f"{name:>16}" for name in COLUMNS.values())]
    for search in summary["searches"]:
        head = f"{search['seed']:>5}{search['seconds']:>9.0f}{search['ranked']:>7}{search['tau']:>7.2f}"
        for way, cell in search["found"].items():
            figures = "".join(f"{cell[name]:>16.2f}" for name in COLUMNS)
            lines.append(f"{head}{figures}  {way:<7} {cell['architecture']}")
        if (tuned := search["tuned"]) is not None:
            lines.append(
                f"      of those trained alone: tau {tuned['tau_before']:.2f} before, {tuned['tau_after']:.2f} after"
            )
    for way, columns in summary["means"].items():
        for name, row in columns.items():
            spread = f" ± {row['std']:.2f} (interval ± {row['half_width']:.2f})" if row["std"] is not None else ""
            lines.append(f"{way}, {COLUMNS[name]}: {row['mean']:.2f}{spread}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
