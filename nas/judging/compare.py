"""Which method finds the better architecture in the same time?

Every method searches with every seed in a run folder of its own, so a stopped comparison goes on where it was and a
finished search is never repeated. Random search with weight sharing is always among them. Methods are compared at equal
search time: the shortest of their mean total times, that of a shared warm-up (`search.warmup`, made once a seed)
counted, and once more without it. What they are judged by is the task's `Measure`
(nas/tasks/task.py): figures that the records of a search lead to, or of trainings from scratch, which are done here,
once each.

A row is a method, or a method with settings of the search of its own, as an optimiser with its rate:
``darts+optimiser=exponentiated+rate=0.1``.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nas import methods, tasks
from nas.judging import statistics
from nas.judging.colours import of_method
from nas.judging.searches import Search, named, ready, search_all
from nas.judging.statistics import Estimate
from nas.judging.style import WIDTH, save, styled
from nas.running import config, runs
from nas.running.pool import side_by_side
from nas.settings import SearchSettings
from nas.tasks import experiments
from nas.tasks.task import Comparison, Experiment, Measure, Points, Row, Training

METHODS = ("advantage", "gdas", "reinforce", "proxyless", "parsec")
ALWAYS = "random"
JOINED = "+"  # between a method and each setting of its own


def compare(comparison: Comparison[Any]) -> dict[str, Any] | None:
    """Search with every method and seed; write ROOT/TASK-comparison.{json,svg,png} and return the JSON's content.

    Returns: None if stopped; the same call goes on from there.
    Raises: ValueError in one line; if the task has no measure, before any search.
    """
    task, measure = tasks.find(comparison.experiment.task), measure_of(comparison)
    names = tuple(dict.fromkeys((*comparison.methods, ALWAYS)))
    labels = {name: label(name) for name in names}  # unknown ones are refused before any search
    for name in names:
        experiments.served(_with_method(comparison.experiment, name))  # so are those that no form of the network serves
    searched = [name for _ in range(comparison.seeds) for name in names]
    ready(comparison)
    data = measure.describe(comparison)
    folders = search_all(comparison, _searches(comparison, names))
    if folders is None:
        return None
    equal = equal_time({name: [f for n, f in zip(searched, folders, strict=True) if n == name] for name in names})
    trained = _trained(comparison, measure.trainings(comparison, folders, equal))
    if trained is None:
        return None
    curves: dict[str, list[Points]] = {name: [] for name in names}
    for name, folder in zip(searched, folders, strict=True):
        curves[name].append(measure.points(comparison, folder, equal))
    compared = {
        "task": comparison.experiment.task,
        "data": data,
        "measure": measure.label,
        "larger_is_better": measure.larger_is_better,
        "settings": config.dump(comparison.experiment),
        **summary(curves, equal),
        **_without_warm_ups(curves, searched, folders),
        "references": {name: spread(values) for name, values in measure.references(comparison).items()},
        "labels": labels,
        "curves": curves,
        "trained": trained,
        "runs": [str(folder) for folder in folders],
        "about": runs.about_this_program(comparison.device),
    }
    target = comparison.root / f"{task.name}-comparison.json"
    runs.write_atomically(target, json.dumps(compared, indent=1) + "\n")
    save(figure(compared), target.with_suffix(""))
    return compared


def label(name: str) -> str:
    """What a row is called. Raises: ValueError in one line for an unknown method.

    >>> label("darts+optimiser=exponentiated+rate=0.1")
    'DARTS (exponentiated, 0.1)'
    """
    method, *own = name.split(JOINED)
    values = ", ".join(setting.partition("=")[2] for setting in own)
    return methods.find(method).label + (f" ({values})" if own else "")


def measure_of(comparison: Comparison[Any]) -> Measure[Any]:
    """What the task's searches are judged by. Raises: ValueError in one line if it has none."""
    measure = tasks.find(comparison.experiment.task).measure
    if measure is None:
        raise ValueError(
            f"task {comparison.experiment.task} cannot be compared: give its Task a `measure`, as "
            "nas.tasks.judged.from_scratch does"
        )
    return measure


def equal_time(folders: dict[str, list[Path]]) -> float:
    """The shortest mean total time of a method's finished searches, in seconds."""
    return min(float(np.mean([runs.records(f)[-1]["seconds"] for f in own])) for own in folders.values())


def summary(curves: dict[str, list[Points]], equal: float) -> dict[str, Any]:
    """For each method mean, sample standard deviation and 95 % t-interval, at equal time and at the end.

    at_equal_time is None for a method of which some search stood for nothing by then.
    """
    rows = {}
    for name, own in curves.items():
        then = [value for points in own if (value := at(points, equal)) is not None]
        rows[name] = {
            "n": len(own),
            "seconds": float(np.mean([points[-1][0] for points in own])),
            "at_equal_time": spread(then) if len(then) == len(own) else None,
            "at_the_end": spread([points[-1][1] for points in own]),
        }
    return {"equal_seconds": equal, "methods": rows}


def at(points: Points, seconds: float) -> float | None:
    """The last value that was known by then; None if nothing was."""
    known = [value for time, value in points if time <= seconds]
    return known[-1] if known else None


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1) and half width of the mean's 95 % t-interval; None for one value."""
    n = len(values)
    std = float(np.std(values, ddof=1)) if n > 1 else None
    half = statistics.t_half_width(values) if n > 1 else None
    return {"mean": float(np.mean(values)), "std": std, "half_width": half, "values": list(values)}


def table(compared: dict[str, Any]) -> str:
    """The comparison as text, the best at equal time first, those that stood for nothing by then last."""
    after = f"after {compared['equal_seconds']:.0f} s"
    head = f"{'method':26}{'n':>3}{'seconds':>10}  {after:>16}{'at the end':>16}"
    lines = [compared["data"], f"{compared['measure']}, mean ± standard deviation", head]
    sign = -1 if compared["larger_is_better"] else 1

    def place(row: dict[str, Any]) -> float:
        return math.inf if row["at_equal_time"] is None else sign * row["at_equal_time"]["mean"]

    for name, row in sorted(compared["methods"].items(), key=lambda item: place(item[1])):
        cells = "".join(f"{_text(row[column]):>16}" for column in ("at_equal_time", "at_the_end"))
        lines.append(f"{compared['labels'][name]:26}{row['n']:>3}{row['seconds']:>10.0f}  {cells}")
    for name, row in compared["references"].items():
        lines.append(f"{name:26}{len(row['values']):>3}{'-':>10}  {'':>16}{_text(row):>16}")
    return "\n".join([*lines, *([verdict(compared)] if len(compared["methods"]) > 1 else [])])


def apart(compared: dict[str, Any], column: str = "at_the_end") -> dict[str, Estimate]:
    """How far each method's mean lies from random search's, by name: intervals of 95 % that all hold at once.

    Methods of which some search stood for nothing by then, in `column`, are left out.
    """
    rows = {name: row[column]["values"] for name, row in compared["methods"].items() if row[column] is not None}
    beside = rows.pop(ALWAYS)
    return {name: statistics.difference(values, beside, len(rows)) for name, values in rows.items()}


def verdict(compared: dict[str, Any]) -> str:
    """Which methods ended better and worse than random search by more than chance, in one line."""
    sign = 1 if compared["larger_is_better"] else -1
    found = {compared["labels"][name]: gap for name, gap in apart(compared).items()}
    better = [name for name, gap in found.items() if sign * (gap.lower + gap.upper) > 0 and gap.lower * gap.upper > 0]
    worse = [name for name, gap in found.items() if sign * (gap.lower + gap.upper) < 0 and gap.lower * gap.upper > 0]
    words = [f"{kind}: {', '.join(names)}" for kind, names in (("better", better), ("worse", worse)) if names]
    how = f"95 % for {len(found)} rows at once" if len(found) > 1 else "95 %"
    return f"at the end, beside {compared['labels'][ALWAYS]} ({how}): {'; '.join(words) or 'no row differs'}"


@styled
def figure(compared: dict[str, Any]) -> Figure:
    """Left: mean of the measure against search time. Right: at equal time, every seed, the mean and its t-interval.

    A line begins when all seeds are known for the first time, and ends when the slowest is done. A method of which some
    search stood for nothing by the equal time has its figures at the end.
    """
    drawn = Figure(figsize=(WIDTH, max(3.6, 0.22 * (len(compared["curves"]) + len(compared["references"])) + 1.2)))
    course, judged = drawn.subplots(1, 2, width_ratios=(5, 4))
    for name, own in compared["curves"].items():
        grid = np.linspace(max(points[0][0] for points in own), max(points[-1][0] for points in own), 200)
        rows = [spread([value for points in own if (value := at(points, seconds)) is not None]) for seconds in grid]
        course.plot(grid, [row["mean"] for row in rows], color=of_method(name), drawstyle="steps-post")
    for row, style in zip(compared["references"].values(), ("--", ":"), strict=False):
        course.axhline(row["mean"], color="black", linestyle=style, linewidth=0.8)
    course.axvline(compared["equal_seconds"], color="gray", linewidth=0.8)
    course.set(xlabel="search time, s (gray: equal time)", title="mean")
    course.margins(y=0.1)
    ranked = [
        (compared["labels"][name], row["at_equal_time"] or row["at_the_end"], of_method(name), "-")
        for name, row in compared["methods"].items()
    ]
    for (name, part), style in zip(compared["references"].items(), ("--", ":"), strict=False):
        ranked.append((name, part, "black", style))
    ranked.sort(key=lambda row: row[1]["mean"], reverse=not compared["larger_is_better"])  # the best on top
    for height, (_, part, colour, style) in enumerate(ranked):
        if part["half_width"] is not None:
            ends = [part["mean"] - part["half_width"], part["mean"] + part["half_width"]]
            judged.plot(ends, [height, height], color=colour, linestyle=style, linewidth=1.2)
        judged.plot(part["values"], [height] * len(part["values"]), ".", color=colour, alpha=0.5, markersize=5)
        judged.plot([part["mean"]], [height], "o", color=colour, markersize=6)
    judged.set_yticks(range(len(ranked)), [name for name, _, _, _ in ranked])
    for label, (_, _, colour, _) in zip(judged.get_yticklabels(), ranked, strict=True):
        label.set_color(colour)
    judged.set_title("at equal time")
    n = max(row["n"] for row in compared["methods"].values())
    drawn.suptitle(f"{compared['measure']}; n = {n} seeds (dots), mean and its 95 % t-interval (bars)", fontsize=9)
    return drawn


# ------------------------------------------------------------------ helpers


def _searches(comparison: Comparison[Any], names: Sequence[str]) -> list[Search]:
    """Seed after seed, all methods. Times under other circumstances lie elsewhere, and are not taken for these.

    A method that the network's form cannot serve runs on the form that can.
    """
    served = [experiments.served(_with_method(comparison.experiment, name)) for name in names]
    where = comparison.jobs if comparison.scheduler is None else "cluster"
    kind = f"{tasks.find(comparison.experiment.task).name}-{comparison.device}-{where}"
    seeds = range(comparison.seeds)
    return [named(one, seed, Path("compare"), kind, f"{kind}-warmup") for seed in seeds for one in served]


def _without_warm_ups(
    curves: dict[str, list[Points]], searched: Sequence[str], folders: Sequence[Path]
) -> dict[str, Any]:
    """The summary again, with the time of the shared warm-ups left out, under "after_warm_up"; nothing without them."""
    if any("forked_from" not in runs.result(folder) for folder in folders):
        return {}
    begun: dict[str, list[float]] = {name: [] for name in curves}
    for name, folder in zip(searched, folders, strict=True):
        begun[name].append(runs.result(folder)["forked_from"]["seconds"])
    later = {
        name: [
            [(time - before, value) for time, value in points] for points, before in zip(own, begun[name], strict=True)
        ]
        for name, own in curves.items()
    }
    equal = min(float(np.mean([points[-1][0] for points in own])) for own in later.values())
    return {"after_warm_up": summary(later, equal)}


def _with_method(experiment: Experiment[Any], name: str) -> Experiment[Any]:
    """The experiment of a row. Raises: ValueError in one line for a setting that no search has."""
    method, *own = name.split(JOINED)
    search = replace(experiment.search, method=method)
    try:
        search = config.load(SearchSettings, sets=own, base=config.written(search)) if own else search
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return replace(experiment, search=search)


def _trained(comparison: Comparison[Any], trainings: Sequence[Training]) -> list[Row] | None:
    """The figures of all trainings; None if stopped.

    Workers of a cluster may not see what is finished under the root: they are given what is not. Stopped before its
    first step, a training answers if it is finished.
    """
    known: dict[Training, Row] = {}
    if comparison.scheduler is not None:
        asking = replace(comparison, stopped=_at_once)
        known = {one: row for one in trainings if (row := _train(asking, *one)) is not None}
    left = [one for one in trainings if one not in known]
    rows = side_by_side(_train, comparison, left)
    if rows is None:
        return None
    known.update(zip(left, rows, strict=True))
    return [known[one] for one in trainings]


def _train(comparison: Comparison[Any], architecture: str, seed: int) -> Row | None:
    return measure_of(comparison).train(comparison, architecture, seed)


def _at_once() -> bool:
    return True


def _text(part: dict[str, Any] | None) -> str:
    if part is None:
        return "-"
    return f"{part['mean']:.2f}" + (f" ± {part['std']:.2f}" if part["std"] is not None else "")
