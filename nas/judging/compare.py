"""Which method finds the better architecture in the same time?

Every method searches with every seed in a run folder of its own, so a stopped comparison goes on where it was and a
finished search is never repeated. Random search with weight sharing is always among them. Methods are compared at equal
search time: the shortest of their mean total times. On images the measure is in the record of the search, and curves
show it against time; on text the architecture that a search stood for, by half of the equal time, by all of it and at
its end, is trained from scratch, and random cells and an LSTM of the same size are trained beside it.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nas import methods, tasks
from nas.data import nasbench201
from nas.data.ptb import Corpus
from nas.judging import statistics
from nas.judging.colours import of_method
from nas.judging.figures import save
from nas.running import config, runs
from nas.running.pool import side_by_side
from nas.running.searching import search_in
from nas.tasks.text import network as ptb
from nas.tasks.text import scratch as scratch_text
from nas.tasks.text.lstm import LSTM

METHODS = ("advantage", "gdas", "reinforce", "proxyless", "parsec")
ALWAYS = "random"
Points = list[tuple[float, float]]
Pair = tuple[str, int]  # a method or an architecture, and a seed


@dataclass(frozen=True)
class Comparison:
    """What is compared. seeds: 0 to seeds - 1 for each method; root: where the run folders go.

    jobs: searches or trainings side by side, each in a process of its own, where one does not fill the device. They
    slow each other down, but all methods alike.
    """

    task: str
    experiment: tasks.Experiment[Any]
    methods: tuple[str, ...] = METHODS
    seeds: int = 3
    root: Path = Path("runs")
    data: Path | None = None
    device: str = "cpu"
    stopped: Callable[[], bool] = field(default=lambda: False)
    jobs: int = 1


def compare(asked: Comparison) -> dict[str, Any] | None:
    """Search with every method and seed; write ROOT/TASK-comparison.{json,svg,png} and return the JSON's content.

    Returns: None if stopped; the same call goes on from there. Raises: ValueError in one line.
    """
    if asked.task not in MEASURES:
        raise ValueError(f"unknown task {asked.task!r}; known: {', '.join(MEASURES)}")
    measure = MEASURES[asked.task]
    if asked.seeds < 1 or asked.jobs < 1:
        raise ValueError(f"need at least 1 seed and 1 job, not {asked.seeds} and {asked.jobs}")
    names = tuple(dict.fromkeys((*asked.methods, ALWAYS)))
    labels = {name: methods.find(name).label for name in names}  # unknown ones are refused before any search
    searches = [(name, seed) for seed in range(asked.seeds) for name in names]
    data = measure.data(asked)
    folders = side_by_side(_search, asked, searches)
    if folders is None:
        return None
    equal = equal_time({name: [f for (n, _), f in zip(searches, folders, strict=True) if n == name] for name in names})
    trained = side_by_side(_train, asked, measure.trainings(asked, folders, equal))
    if trained is None:
        return None
    curves: dict[str, list[Points]] = {name: [] for name in names}
    for (name, _), folder in zip(searches, folders, strict=True):
        curves[name].append(measure.points(asked, folder, equal))
    found = {
        "task": asked.task,
        "data": data,
        "measure": measure.label,
        "larger_is_better": measure.larger_is_better,
        "settings": config.dump(asked.experiment),
        **summary(curves, equal),
        "references": {name: spread(values) for name, values in measure.references(asked).items()},
        "labels": labels,
        "curves": curves,
        "trained": trained,
        "runs": [str(folder) for folder in folders],
        "about": runs.about_this_program(asked.device),
    }
    target = asked.root / f"{asked.task}-comparison.json"
    runs.write_atomically(target, json.dumps(found, indent=1) + "\n")
    save(figure(found), target.with_suffix(""))
    return found


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


def table(found: dict[str, Any]) -> str:
    """The comparison as text, the best at equal time first, those that stood for nothing by then last."""
    after = f"after {found['equal_seconds']:.0f} s"
    head = f"{'method':26}{'n':>3}{'seconds':>10}  {after:>16}{'at the end':>16}"
    lines = [found["data"], f"{found['measure']}, mean ± standard deviation", head]
    sign = -1 if found["larger_is_better"] else 1

    def place(row: dict[str, Any]) -> float:
        return math.inf if row["at_equal_time"] is None else sign * row["at_equal_time"]["mean"]

    for name, row in sorted(found["methods"].items(), key=lambda item: place(item[1])):
        cells = "".join(f"{_text(row[column]):>16}" for column in ("at_equal_time", "at_the_end"))
        lines.append(f"{found['labels'][name]:26}{row['n']:>3}{row['seconds']:>10.0f}  {cells}")
    for name, row in found["references"].items():
        lines.append(f"{name:26}{len(row['values']):>3}{'-':>10}  {'':>16}{_text(row):>16}")
    return "\n".join(lines)


def figure(found: dict[str, Any]) -> Figure:
    """Mean of the measure against search time, one line a method; the band is the mean's 95 % t-interval.

    A line begins when all seeds are known for the first time, and ends when the slowest is done.
    """
    drawn = Figure(figsize=(7, 4.5), layout="constrained")
    axes = drawn.add_subplot()
    for name, own in found["curves"].items():
        grid = np.linspace(max(points[0][0] for points in own), max(points[-1][0] for points in own), 200)
        rows = [spread([value for points in own if (value := at(points, seconds)) is not None]) for seconds in grid]
        mean = np.array([row["mean"] for row in rows])
        axes.plot(grid, mean, color=of_method(name), label=found["labels"][name])
        if rows[0]["half_width"] is not None:
            half = np.array([row["half_width"] for row in rows])
            axes.fill_between(grid, mean - half, mean + half, color=of_method(name), alpha=0.15, linewidth=0)
    for (name, row), style in zip(found["references"].items(), ("--", ":"), strict=False):
        axes.axhline(row["mean"], color="black", linestyle=style, linewidth=0.8, label=name)
    n = max(row["n"] for row in found["methods"].values())
    values = [value for own in found["curves"].values() for points in own for _, value in points]
    values += [value for row in found["references"].values() for value in row["values"]]
    margin = 0.05 * (max(values) - min(values)) or 1.0
    axes.set_ylim(min(values) - margin, max(values) + margin)  # an interval may be wider than what was ever seen
    axes.set(
        xlabel="search time (s)", ylabel=found["measure"], title=f"n = {n} seeds; bands: 95 % t-interval of the mean"
    )
    axes.legend()
    return drawn


# ------------------------------------------------------------------ what is measured


@dataclass(frozen=True)
class Measure:
    """What a task's searches are judged by. points: (comparison, run folder, equal time) -> (seconds, measure).

    data: what it is searched on, for people. trainings: (architecture, seed) of all trainings from scratch that points
    and references ask for; they are done first. references: what else belongs beside them, name -> values.
    """

    label: str
    larger_is_better: bool
    data: Callable[[Comparison], str]
    points: Callable[[Comparison, Path, float], Points]
    trainings: Callable[[Comparison, list[Path], float], list[Pair]]
    references: Callable[[Comparison], dict[str, list[float]]]


def table_accuracy(asked: Comparison, folder: Path, equal: float) -> Points:
    """NAS-Bench-201 test accuracy of what the search stood for at every epoch's end."""
    table = nasbench201.load(asked.data)
    test, ends = table.column("cifar10_test"), [row for row in runs.records(folder) if "validation" in row]
    return [(row["seconds"], float(test[table.find(row["architecture"])])) for row in ends]


def images(asked: Comparison) -> str:
    """What is searched on. Raises: DataError if the table, which judges, is not there."""
    nasbench201.load(asked.data)
    network = asked.experiment.network
    size = f"{network.channels} channels, {network.cells} cells a stage, {asked.experiment.search.epochs} epochs"
    return f"CIFAR-10, 2 × {network.images:,} training images; {size}"


def perplexity(asked: Comparison, folder: Path, equal: float) -> Points:
    """Test perplexity, trained from scratch, of what the search stood for on the way and at its end."""
    return [(seconds, _train(asked, *pair)["test"]) for seconds, pair in _stood_for(asked, folder, equal)]


def text_trainings(asked: Comparison, folders: list[Path], equal: float) -> list[Pair]:
    """What `perplexity` and `text_references` train, each once. Raises: ValueError if a search saw another text."""
    corpus = _corpus(asked)
    for folder in folders:
        scratch_text.check_text(folder, corpus)
    found = [pair for folder in folders for _, pair in _stood_for(asked, folder, equal)]
    return list(dict.fromkeys([*found, *(pair for pairs in _references(asked).values() for pair in pairs)]))


def text_references(asked: Comparison) -> dict[str, list[float]]:
    """Test perplexity of one random cell and one LSTM a seed, under the same protocol."""
    return {name: [_train(asked, *pair)["test"] for pair in pairs] for name, pairs in _references(asked).items()}


MEASURES = {
    "cifar10": Measure(
        label="NAS-Bench-201 test accuracy of the derived cell (%)",
        larger_is_better=True,
        data=images,
        points=table_accuracy,
        trainings=lambda *_: [],
        references=lambda _: {},
    ),
    "ptb": Measure(
        label="test perplexity of the derived cell, from scratch",
        larger_is_better=False,
        data=lambda asked: str(_corpus(asked)),
        points=perplexity,
        trainings=text_trainings,
        references=text_references,
    ),
}


# ------------------------------------------------------------------ helpers


def _stood_for(asked: Comparison, folder: Path, equal: float) -> list[tuple[float, Pair]]:
    """When and what: the last records by half of the equal time and by all of it, if there are any, and the end."""
    records, seed = runs.records(folder), runs.result(folder)["seed"]
    known = [[record for record in records if record["seconds"] <= moment][-1:] for moment in (equal / 2, equal)]
    chosen = {record["step"]: record for record in [*known[0], *known[1], records[-1]]}
    return [
        (record["seconds"], (scratch_text.derived(asked.experiment.network, record), seed))
        for record in chosen.values()
    ]


def _corpus(asked: Comparison) -> Corpus:
    return ptb.corpus_of(asked.experiment.network, asked.data)


def _references(asked: Comparison) -> dict[str, list[Pair]]:
    seeds = range(asked.seeds)
    return {
        "random cells": [(scratch_text.random_cell(asked.experiment.network, seed), seed) for seed in seeds],
        "LSTM of the same size": [(LSTM, seed) for seed in seeds],
    }


def _train(asked: Comparison, architecture: str, seed: int) -> Any:
    """The figures of one training from scratch, never done twice; None if stopped."""
    settings = asked.experiment.network
    ptb.take_threads(settings)
    corpus = _corpus(asked)
    final = scratch_text.final_of(settings, corpus, architecture, settings.final_epochs, seed)
    return scratch_text.train_once(asked.root / "ptb-final", final, corpus, asked.device, asked.stopped)


def _search(asked: Comparison, name: str, seed: int) -> Any:
    """The run folder of one finished search; None if stopped. Times under other circumstances are not taken for these.

    A method that the network's static form cannot serve runs on the other form.
    """
    settings = replace(asked.experiment.search, method=name)
    experiment = replace(asked.experiment, search=settings)
    if not tasks.fits(experiment):
        experiment = replace(experiment, network=replace(experiment.network, static=False))
    folder = runs.folder_of(asked.root / "compare", f"{asked.task}-{asked.device}-{asked.jobs}", experiment, seed)
    if (folder / runs.RESULT).exists():
        return folder
    network = tasks.build(experiment, asked.data, asked.device, seed)
    with runs.open_run(folder, experiment, asked.device) as run:
        return folder if search_in(run, network, settings, seed, asked.stopped) is not None else None


def _text(part: dict[str, Any] | None) -> str:
    if part is None:
        return "-"
    return f"{part['mean']:.2f}" + (f" ± {part['std']:.2f}" if part["std"] is not None else "")
