"""How good is what a search found, beside what it must beat?

A task's `evaluate` (nas/tasks/task.py) turns a finished run into rows, one a trained or looked-up architecture.
"""

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from nas import tasks
from nas.running import files, runs
from nas.tasks import experiments
from nas.tasks.task import Request, Row


def evaluate(folder: Path, request: Request) -> list[Row] | None:
    """Evaluate a finished search and write RUN/evaluation.json: the rows, and under "about" what ran where.

    Returns: one row for each trained model, or None if stopped (the same call goes on from there).
    Raises: ValueError in one line if the run is not finished, its task has no evaluation, or its data is not there.
    """
    result = runs.result(folder)
    experiment = experiments.reload(folder)
    judge = tasks.find(experiment.task).evaluate
    if judge is None:
        raise ValueError(
            f"task {experiment.task} cannot be evaluated: give its Task an `evaluate`, as "
            "nas.tasks.judged.from_scratch does"
        )
    files.ready(folder)
    rows = judge(folder, experiment.network, result, request)
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
