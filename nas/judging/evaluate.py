"""How good is what a search found, beside what it must beat?

A task's module turns a finished run into rows, one a trained or looked-up architecture: it has
`evaluate(folder, settings, result, request) -> rows`, None if stopped.
"""

import importlib
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas import tasks
from nas.running import runs

Row = dict[str, Any]

EVALUATIONS = {"ptb": "nas.tasks.text.scratch", "cifar10": "nas.tasks.cifar10.scratch"}


@dataclass(frozen=True)
class Request:
    """What is asked of an evaluation. seeds: trainings of each model; randoms: random architectures beside them.

    train: whether to train also where a table has the answer.
    """

    seeds: int = 1
    randoms: int = 1
    train: bool = False
    epochs: int | None = None  # of each training; None: as the settings say
    data: Path | None = None
    device: str = "cpu"
    stopped: Callable[[], bool] = field(default=lambda: False)


def evaluate(folder: Path, request: Request) -> list[Row] | None:
    """Evaluate a finished search and write RUN/evaluation.json: the rows, and under "about" what ran where.

    Returns: one row for each trained model, or None if stopped (the same call goes on from there).
    Raises: ValueError in one line if the run is not finished or its data is not there.
    """
    result = runs.result(folder)
    experiment = tasks.reload(folder)
    if experiment.task not in EVALUATIONS:
        raise ValueError(f"there is no evaluation of {experiment.task} yet; known: {', '.join(EVALUATIONS)}")
    task = importlib.import_module(EVALUATIONS[experiment.task])
    rows: list[Row] | None = task.evaluate(folder, experiment.network, result, request)
    if rows is not None:
        written = {"about": runs.about_this_program(request.device), "rows": rows}
        runs.write_atomically(folder / "evaluation.json", json.dumps(written, indent=2) + "\n")
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as text: mean ± standard deviation over the trainings of each model."""
    lines = [f"{'model':<10} {'n':>2}  {'parameters':>10}  {'validation':>16}  {'test':>16}  architecture"]
    for name in dict.fromkeys(row["model"] for row in rows):
        own = [row for row in rows if row["model"] == name]
        architectures = {row["architecture"] for row in own}
        shown = architectures.pop() if len(architectures) == 1 else f"{len(architectures)} different"
        parameters = round(statistics.fmean(row["parameters"] for row in own))
        figures = "  ".join(
            f"{_mean(row[part] for row in own) if part in own[0] else '-':>16}" for part in ("validation", "test")
        )
        lines.append(f"{name:<10} {len(own):>2}  {parameters:>10,}  {figures}  {shown}")
    return "\n".join(lines)


# ------------------------------------------------------------------ helpers


def _mean(values: Iterator[float]) -> str:
    numbers = list(values)
    spread = f" ± {statistics.stdev(numbers):.2f}" if len(numbers) > 1 else ""
    return f"{statistics.fmean(numbers):.2f}{spread}"
