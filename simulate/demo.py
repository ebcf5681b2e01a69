"""What does the toolkit do, on one page? Its real uses in their quick form, drawn and tabulated.

Runs the toy regression of the paper, a search on handwritten digits and one on text, each with its evaluation, in run
folders under the output folder, and writes one self-contained `index.html`. Finished parts are not run again.
"""

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import numpy as np
import torch

from nas.judging import evaluate, figures, page, statistics
from nas.running import runs
from nas.running.searching import search_in
from nas.tasks import experiments as searching
from nas.tasks.task import Request, Row
from simulate import experiments
from simulate.toy import SHOWN, ToySettings

TOY = ToySettings(iterations=SHOWN)
JUDGED = {"digits": Request(seeds=2, randoms=6), "ptb": Request()}  # the searches, and how each is judged
ABOUT = (
    "A search chooses the operations of a neural network by gradient descent: it tries one combination a step, and "
    "credits every place with its share of the loss. Below are three: the paper's toy regression, images and text."
)
COLUMNS = ("model", "architecture", "parameters", "validation", "test", "seconds")


def demo(
    out: Path,
    stopped: Callable[[], bool] = lambda: False,
    toy: ToySettings = TOY,
    sets: Mapping[str, Sequence[str]] = MappingProxyType({}),
    tell: Callable[[str], None] = print,
) -> Path | None:
    """Make the page in `out`.

    Args: stopped, asked while networks are searched and trained; toy, of the toy regression; sets, by task, of a search
    over its preset, as "search.epochs=2"; tell, hears what is begun and what came out.
    Returns: the page's path, or None if stopped: the same call goes on from there.
    """
    started = time.perf_counter()
    torch.set_num_threads(1)
    drawn = _finished(out / "runs" / "toy") or experiments.toy_in(out / "runs", toy, tell=tell, stopped=stopped)
    if drawn is None:
        return None
    searches: dict[str, Path] = {}
    for task, request in JUDGED.items():
        search = _search(out / "runs", task, sets.get(task, ()), stopped, tell)
        if search is None or not _evaluated(search, replace(request, stopped=stopped), tell):
            return None
        searches[task] = search
    parts = (*_toy(drawn), *_digits(searches["digits"]), *_text(searches["ptb"]))
    begins = (page.paragraph(verdict(searches["digits"])), page.paragraph(f"{ABOUT} {_machine()}"))
    runs.write_atomically(out / "index.html", page.page("AdvantageNAS: the demo", *begins, *parts))
    tell(f"{out / 'index.html'} is ready, after {time.perf_counter() - started:.0f} s")
    return out / "index.html"


def _search(
    root: Path, task: str, sets: Sequence[str], stopped: Callable[[], bool], tell: Callable[[str], None]
) -> Path | None:
    """The run folder of a finished search, made if it is not there; None if stopped."""
    if (done := _finished(root / task)) is not None:
        return done
    experiment = searching.load(task, "quick", None, sets)
    folder = runs.folder_of(root, task, experiment, 0)
    network = searching.build(experiment, None, "cpu", 0)
    with runs.open_run(folder, experiment) as run:
        tell(f"{'resuming' if run.resumed else 'searching in'} {folder}")
        result = search_in(run, network, experiment.search, 0, stopped)
    if result is None:
        return None
    tell(f"found {result['architecture']} in {result['seconds']} s")
    return folder


def _evaluated(search: Path, request: Request, tell: Callable[[str], None]) -> bool:
    """Whether a search has been judged, now if not before; False if stopped."""
    if not (search / "evaluation.json").exists():
        rows = evaluate.evaluate(search, request)
        if rows is None:
            return False
        tell(evaluate.table(rows))
    return True


# ------------------------------------------------------------------ the page's parts


def _toy(folder: Path) -> list[str]:
    return [
        page.heading("The toy regression: ten edges, ten operations each, eight methods"),
        page.figure((folder / "toy.svg").read_text(encoding="utf-8"), _again(folder)),
    ]


def verdict(folder: Path) -> str:
    """One sentence: how the cell found on digits reads test images, and how random ones do."""
    result, rows = runs.result(folder), _rows(folder)
    cells = {row["architecture"]: row["model"] for row in rows}
    means = {cell: fmean(row["test"] for row in rows if row["architecture"] == cell) for cell in cells}
    randoms = [mean for cell, mean in means.items() if cells[cell] == "random"]
    each, beside = len(rows) // len(cells), means[result["architecture"]]
    told = f"The found cell reads {beside:.1f} % of the test digits right"
    if len(randoms) > 1:
        half = statistics.t_half_width(randoms)
        told += f", a random cell {fmean(randoms):.1f} ± {half:.1f} % (n = {len(randoms)} cells, 95 % t interval)"
    return f"{told}; means of {each} trainings from scratch each."


def _digits(folder: Path) -> list[str]:
    result, rows = runs.result(folder), _rows(folder)
    return [
        page.heading("A search on handwritten digits: is the found cell better than a random one?"),
        page.paragraph(f"`{result['architecture']}` was found in {result['seconds']} s on {result['device']}."),
        *(page.figure(path.read_text(encoding="utf-8"), caption) for path, caption in _drawings(folder)),
        page.table([{name: row[name] for name in COLUMNS if name in row} for row in rows]),
        page.paragraph(_again(folder)),
    ]


def _text(folder: Path) -> list[str]:
    result, rows = runs.result(folder), _rows(folder)
    shown = [{name: row[name] for name in COLUMNS} for row in rows]
    return [
        page.heading("A search on text: the cell that was found"),
        page.paragraph(
            f"`{result['architecture']}`, found in {result['seconds']} s on {result['device']} in {rows[0]['text']}."
        ),
        *(page.figure(path.read_text(encoding="utf-8"), caption) for path, caption in _drawings(folder)),
        page.heading("Trained from scratch, beside what it must beat"),
        page.table(shown),
        page.paragraph(
            f"Perplexity after {rows[0]['epochs']} epochs, n = 1 training each: a demonstration, not a comparison; "
            "`python -m nas compare ptb` makes one."
        ),
        page.paragraph(_again(folder)),
    ]


def _rows(folder: Path) -> list[Row]:
    rows: list[Row] = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["rows"]
    return rows


def _drawings(folder: Path) -> list[tuple[Path, str]]:
    drawn = [path for path in figures.draw(folder) if path.suffix == ".svg"]
    captions = ("Operations by colour, their probabilities by width.", "How the probabilities moved during the search.")
    return list(zip(drawn, captions, strict=True))


def _again(folder: Path) -> str:
    return f"Made again by: {runs.sessions(folder)[-1]['command']}"


def _machine() -> str:
    return (
        f"Python {platform.python_version()}, NumPy {np.__version__}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)} on {platform.machine()}."
    )


def _finished(root: Path) -> Path | None:
    """A finished run's folder under `root`, if there is one."""
    return min((path.parent for path in root.glob(f"*/{runs.RESULT}")), default=None)
