"""Which settings does a search do best with? Those of a file, combined, each with several seeds.

A sweep is a TOML file with the tables of a study (simulate/study.py), of a search's settings: the cells are
base x cases x grid. Every search lies in the run folder that `python -m nas search` gives the same settings, so a
stopped sweep goes on where it was, and what was searched before is not searched again. A search whose loss is no number
any more is a row that says so: that a rate is too large is an answer, too.
"""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas import tasks
from nas.derive import JUDGED_BY
from nas.judging.compare import spread
from nas.judging.searches import Search, named, ready, search, search_all
from nas.running import config, plugins, pool, runs
from nas.running.runs import Diverged
from nas.tasks import experiments
from nas.tasks.task import Experiment, never

LARGEST = 10_000  # searches; more is a mistake in the grid, or several sweeps


@dataclass(frozen=True)
class SweepSettings:
    """A sweep file.

    - task: what is searched.
    - name: of the file with its answer.
    - about: the question, in a sentence; it heads the table.
    - preset: of the task, below all other settings.
    - seeds: of each cell, 0 to seeds - 1.
    - base: settings that all cells have, as a search's TOML file has them.
    - grid: lists of values to combine.
    - cases: tables of settings that belong together, such as an optimiser with its rate.

    >>> SweepSettings(task="digits", grid={"search": {"rate": [1e-3, 1e-2]}}).seeds
    1
    """

    task: str
    name: str = "sweep"
    about: str = ""
    preset: str | None = None
    seeds: int = 1
    base: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    cases: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"setting name: {self.name!r} must be letters, digits and underscores")
        config.within(self, seeds=(1, LARGEST))


@dataclass(frozen=True)
class Cell:
    """One point of a sweep: the settings in which cells differ, by their whole names, and all of them."""

    varied: dict[str, Any]
    experiment: Experiment[Any]


@dataclass(frozen=True)
class Sweep:
    """What is searched, where, and on what.

    jobs: searches side by side, each in a process of its own. scheduler: the address of a Dask cluster instead.
    trackers: that are told of each (`nas.running.trackers`).
    """

    settings: SweepSettings
    cells: tuple[Cell, ...]
    root: Path = Path("runs")
    data: Path | None = None
    device: str = "cpu"
    stopped: Callable[[], bool] = never
    jobs: int = 1
    scheduler: str | None = None
    trackers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pool.one_place(self.jobs, self.scheduler)

    def searches(self) -> list[Search]:
        """Seed after seed, all cells, in the run folders of `python -m nas search`."""
        kind = tasks.find(self.settings.task).name
        seeds = range(self.settings.seeds)
        return [named(cell.experiment, seed, Path(), kind) for seed in seeds for cell in self.cells]


def load(file: Path) -> tuple[SweepSettings, tuple[Cell, ...]]:
    """A sweep file and its cells. Raises: ValueError in one line: the file and the first setting that is wrong."""
    try:
        settings = config.load(SweepSettings, file)
        return settings, cells(settings)
    except ValueError as error:
        raise ValueError(f"sweep {file}: {error}") from error


def cells(settings: SweepSettings) -> tuple[Cell, ...]:
    """All cells, checked. Raises: ValueError if there are too many, two are equal, or a setting is wrong.

    >>> grid = {"search": {"rate": [0.01, 0.1], "method": ["advantage", "gdas"]}}
    >>> [tuple(cell.varied.values()) for cell in cells(SweepSettings(task="digits", grid=grid))]
    [(0.01, 'advantage'), (0.01, 'gdas'), (0.1, 'advantage'), (0.1, 'gdas')]
    """
    grid, cases = config.flat(settings.grid), [config.flat(case) for case in settings.cases] or [{}]
    count = settings.seeds * len(cases)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"grid.{name} must be a list of values, not {values!r}")
        if name in config.flat(settings.base) or any(name in case for case in cases):
            raise ValueError(f"{name} is in the grid and in base or cases; keep one")
        count *= len(values)
    if count > LARGEST:
        raise ValueError(f"{count:,} searches are more than {LARGEST:,}: split the sweep")
    found: dict[str, Cell] = {}
    for case in cases:
        for chosen in itertools.product(*grid.values()):
            varied = {**case, **dict(zip(grid, chosen, strict=True))}
            over = config.nested({**config.flat(settings.base), **varied})
            experiment = experiments.load(settings.task, settings.preset, over)
            experiments.check(experiment)
            if (digest := config.digest(experiment)) in found:
                raise ValueError(f"two cells are the same search: {set_as(varied) or 'equal cases'}; keep one")
            found[digest] = Cell(varied, experiment)
    return tuple(found.values())


def sweep(asked: Sweep) -> dict[str, Any] | None:
    """Search every cell with every seed; write ROOT/NAME-sweep.json and return its content.

    Returns: None if stopped; the same call goes on from there.
    Raises: ValueError in one line, for anything but a search that diverged, which is told in its row.
    """
    ready(asked)
    ends = search_all(asked, asked.searches(), _search)
    if ends is None:
        return None
    rows = [_row(cell, ends[number :: len(asked.cells)]) for number, cell in enumerate(asked.cells)]
    answer = {
        "name": asked.settings.name,
        "about": asked.settings.about,
        "settings": config.dump(asked.settings),
        "rows": rows,
        "about_this_program": runs.about_this_program(asked.device),
    }
    runs.write_atomically(asked.root / f"{asked.settings.name}-sweep.json", json.dumps(answer, indent=1) + "\n")
    return answer


def table(answer: Mapping[str, Any]) -> str:
    """The answer as text, the least held-out loss first, and what to do with the first row."""
    rows = sorted(answer["rows"], key=_place)
    varied = list(dict.fromkeys(name for row in rows for name in row["varied"]))
    figures = list(dict.fromkeys(name for row in rows for name in row["figures"]))
    lines = [[*varied, "n", "seconds", *figures, "entropy", "cells", "diverged"]]
    for row in rows:
        told = [_short(row["varied"].get(name, "-")) for name in varied]
        parts = (row["seconds"], *(row["figures"].get(name) for name in figures), row["entropy"])
        found = str(len(set(row["architectures"])))
        lines.append([*told, str(row["n"]), *map(_text, parts), found, str(len(row["diverged"]))])
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(word.rjust(width) for word, width in zip(line, wide, strict=True)) for line in lines]
    head = [answer["about"] or answer["name"], "mean ± standard deviation over seeds, the least held-out loss first"]
    first = next((row for row in rows if row["n"]), None)
    if first is None:
        return "\n".join([*head, *text, rows[0]["diverged"][0]])
    after = "these are shared weights, and the best of many is partly luck: judge it from scratch, on seeds of its own:"
    allow = "".join(f" --allow {module}" for module in plugins.allowed())  # of the user's own, which the run names
    return "\n".join([*head, *text, after, f"python -m nas evaluate {first['runs'][0]}{allow}"])


def set_as(varied: Mapping[str, Any]) -> str:
    """The settings of a cell as `--set` takes them.

    >>> set_as({"search.rate": 0.1, "search.method": "gdas"})
    'search.rate=0.1, search.method=gdas'
    """
    return ", ".join(f"{name}={_short(value)}" for name, value in varied.items())


# ------------------------------------------------------------------ helpers


def _search(asked: Sweep, one: Search) -> Path | str | None:
    """The run folder of one search, or what was said where it diverged; None if stopped."""
    try:
        return search(asked, one)
    except Diverged as error:
        return str(error)


def _row(cell: Cell, ends: Sequence[Path | str]) -> dict[str, Any]:
    """What the searches of one cell say."""
    finished = [end for end in ends if isinstance(end, Path)]
    results = [runs.result(folder) for folder in finished]
    names = list(results[0]["figures"]) if results else []
    entropies = [runs.records(folder)[-1]["entropy"] for folder in finished]
    return {
        "varied": cell.varied,
        "n": len(finished),
        "seconds": spread([result["seconds"] for result in results]) if results else None,
        "figures": {name: spread([result["figures"][name] for result in results]) for name in names},
        "entropy": spread(entropies) if results else None,
        "architectures": [result["architecture"] for result in results],
        "diverged": [end for end in ends if isinstance(end, str)],
        "runs": [str(folder) for folder in finished],
    }


def _place(row: Mapping[str, Any]) -> tuple[int, float]:
    """Those with a diverged search last: its figures are of the luckier seeds."""
    losses = [row["figures"][name]["mean"] for name in JUDGED_BY if name in row["figures"]]
    return len(row["diverged"]), losses[0] if losses else math.inf


def _text(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "-"
    return f"{part['mean']:.4g}" + (f" ± {part['std']:.2g}" if part["std"] is not None else "")


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
