"""What did a search find, and is it any good? One page of its run folder, the verdict first.

The page holds what is there: the cell and the curves of any run, what was trained or looked up beside it after
`evaluate`, credit against really zeroed edges after `audit`, and the commands that make it all again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NotRequired, TypedDict

from matplotlib.figure import Figure

from nas import methods, tasks
from nas.judging import figures, page
from nas.judging.style import styled
from nas.running import files, runs
from nas.settings import SearchSettings
from nas.tasks import experiments
from nas.tasks.task import Row


class Recorded(figures.Recorded):
    """What the page needs of a record of a search."""

    seconds: float
    entropy: float
    weight_loss: float
    architecture_loss: float


class Found(TypedDict):
    """What the page needs of result.json."""

    architecture: str


class JudgedRow(TypedDict):
    """What the page needs of a row of evaluation.json."""

    model: str
    test: NotRequired[float]


class Judged(TypedDict):
    """What the page needs of evaluation.json."""

    rows: list[JudgedRow]


class AuditedEdge(TypedDict):
    """What the page needs of an edge of audit.json."""

    edge: tuple[int, int]


class Audited(TypedDict):
    """What the page needs of audit.json."""

    samples: int
    all: dict[str, Any]
    operations: dict[str, dict[str, Any]]
    edges: list[AuditedEdge]


EDGE_COLUMNS = ("n", "credit", "exact", "correlation", "same_sign")


def write(folder: Path) -> Path:
    """Write RUN/report.html, one self-contained page. Returns: its path.

    Raises: ValueError in one line if there is no run, or it has not recorded anything yet.
    """
    title, told = parts(folder)
    target = folder / "report.html"
    runs.write_atomically(target, page.page(title, *told))
    return target


def parts(folder: Path) -> tuple[str, list[str]]:
    """The title of a run's page, and its parts in HTML. Raises: as `write`."""
    experiment = experiments.reload(folder)
    files.ready(folder)
    task, label = tasks.find(experiment.task), methods.find(experiment.search.method).label
    space = task.space(experiment.network)
    records = figures.recorded(folder, space, Recorded)
    finished = (folder / "result.json").exists()
    found = runs.result(folder) if finished else {}
    cell = (_read(folder / runs.RESULT, Found) if finished else records[-1])["architecture"]
    rows = _read(folder / "evaluation.json", Judged).get("rows", [])
    larger = task.measure.larger_is_better if task.measure is not None else None
    title = f"{label}, {task.name}"
    last = records[-1]
    return f"A search: {title}", [
        page.paragraph(verdict(label, cell, finished, rows, larger)),
        page.paragraph(
            f"{label} searched the task {task.name} for {last['step']:,} steps ({last['epoch']:.4g} epochs, "
            f"{last['seconds']:.4g} s){ended(found, experiment.search)}. "
            f"The entropy of its policy ended at {last['entropy']:.3g} nats, 0 if decided. "
            "The cell is one network with shared weights; only training from scratch says what it is worth."
        ),
        page.heading("The cell"),
        page.figure(figures.cell(space, last, title), "Stripes are operations, as wide as they are probable."),
        page.heading("How it came about"),
        page.figure(
            losses(records), f"Mean losses on minibatches since the record before; n = {len(records)} records."
        ),
        page.figure(figures.moves(space, records, title), "Probability of every operation, a panel an edge."),
        *_judged(rows),
        *_audited(_read(folder / "audit.json", Audited)),
        page.heading("Commands"),
        *(
            page.paragraph(f"`{command}`")
            for command in _commands(folder, bool(rows), (folder / "audit.json").exists())
        ),
    ]


def verdict(label: str, cell: str, finished: bool, rows: Sequence[Row], larger: bool | None) -> str:
    """One sentence: what was found, and whether it is better than cells drawn at random, as far as is known.

    larger: whether a larger test figure is the better one; None if the task does not say.
    """
    if not finished:
        return f"The search is not finished; {label} stands at `{cell}`."
    own, random = (
        [row["test"] for row in rows if row["model"] == kind and "test" in row] for kind in ("found", "random")
    )
    if not own or not random:
        return f"{label} found `{cell}`; whether it is better than a random cell has not been measured."
    told = f"{label} found `{cell}`: test {fmean(own):.4g} (n = {len(own)})"
    beside = f"a random cell {fmean(random):.4g} (n = {len(random)})"
    if larger is None:
        return f"{told}, {beside}."
    beaten = sum((fmean(own) > one) == larger and fmean(own) != one for one in random)
    return f"{told}, {beside}; its mean beats {beaten} of {len(random)} random trainings."


def ended(found: Mapping[str, Any], search: SearchSettings) -> str:
    """What ended a finished search before its schedule, as the end of a sentence; nothing if nothing did.

    >>> ended({"ended": "patience"}, SearchSettings(patience=5))
    ', ended before its 100 epochs by search.patience=5'
    """
    by = found.get("ended")
    return f", ended before its {search.epochs} epochs by search.{by}={getattr(search, by)}" if by else ""


@styled
def losses(records: Sequence[dict[str, Any]]) -> Figure:
    """Losses of the weights' and the architecture's steps against the epoch."""
    figure = Figure(figsize=(7, 2.8))
    axes = figure.add_subplot()
    epochs = [record["epoch"] for record in records]
    axes.plot(epochs, [record["weight_loss"] for record in records], label="weight steps", color="black")
    begun = [record for record in records if record["architecture_loss"]]  # 0 during the warm-up, which has none
    axes.plot(
        [record["epoch"] for record in begun],
        [record["architecture_loss"] for record in begun],
        label="architecture steps",
        color="black",
        linestyle=":",
    )
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss, nats")
    axes.legend()
    return figure


# ------------------------------------------------------------------ helpers


def _judged(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    columns = [name for name in ("model", "architecture", "parameters", "validation", "test") if name in rows[0]]
    shown: list[dict[str, Any]] = [{name: row.get(name, "") for name in columns} for row in rows]
    return [page.heading("Beside what it must beat"), page.table(shown), page.paragraph(_spread(rows))]


def _spread(rows: Sequence[Row]) -> str:
    names = dict.fromkeys(row["model"] for row in rows)
    return "One row a training: " + ", ".join(f"{n} n = {sum(row['model'] == n for row in rows)}" for n in names) + "."


def _audited(audited: dict[str, Any]) -> list[str]:
    if not audited:
        return []
    named = {"all edges": audited["all"], **audited["operations"]}
    named |= {f"edge {part['edge'][0]} → {part['edge'][1]}": part for part in audited["edges"]}
    rows = [{"of": name, **{key: part.get(key, "") for key in EDGE_COLUMNS}} for name, part in named.items()]
    return [
        page.heading("What first-order credit sees"),
        page.paragraph(f"Every edge of {audited['samples']} drawn architectures was really zeroed: that is exact."),
        page.table(rows),
    ]


def _commands(folder: Path, judged: bool, audited: bool) -> list[str]:
    done = [str(session["command"]) for session in runs.sessions(folder)[-1:] if "command" in session]
    asked = [f"python -m nas evaluate {folder}"] * (not judged) + [f"python -m nas audit {folder}"] * (not audited)
    return done + asked


def _read(file: Path, form: Any) -> dict[str, Any]:
    """A JSON file that has at least this form; nothing where there is none. Raises: FileError that names it."""
    if not file.exists():
        return {}
    files.read_json(file, form)
    return files.read_json(file, dict[str, Any])
