"""What does the toolkit do, on one page? Both real uses in their quick form, drawn and tabulated.

Runs the toy regression of the paper and a short search on text with its evaluation, in run folders under the output
folder, and writes one self-contained `index.html`. Finished parts are not run again.
"""

import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from nas.judging import evaluate, figures
from nas.running import runs
from nas.running.searching import search_in
from nas.tasks import experiments as searches
from nas.tasks.task import Request
from simulate import experiments, page
from simulate.toy import SHOWN, ToySettings

TOY = ToySettings(iterations=SHOWN)
COLUMNS = ("model", "architecture", "parameters", "validation", "test", "seconds")


def demo(
    out: Path,
    stopped: Callable[[], bool] = lambda: False,
    toy: ToySettings = TOY,
    sets: Sequence[str] = (),
    tell: Callable[[str], None] = print,
) -> Path | None:
    """Make the page in `out`.

    Args: stopped, asked while the text is searched and models are trained; toy, of the toy regression; sets, of the
    search over its preset, as "search.epochs=2"; tell, hears what is begun and what came out.
    Returns: the page's path, or None if stopped: the same call goes on from there.
    """
    started = time.perf_counter()
    torch.set_num_threads(1)
    drawn = _finished(out / "runs" / "toy") or experiments.toy_in(out / "runs", toy, tell=tell)
    search = _finished(out / "runs" / "ptb") or _search(out / "runs", sets, stopped, tell)
    if search is None:
        return None
    if not (search / "evaluation.json").exists():
        rows = evaluate.evaluate(search, Request(stopped=stopped))
        if rows is None:
            return None
        tell(evaluate.table(rows))
    content = page.page("AdvantageNAS: the demo", page.paragraph(_machine()), *_toy(drawn), *_text(search))
    runs.write_atomically(out / "index.html", content)
    tell(f"{out / 'index.html'} is ready, after {time.perf_counter() - started:.0f} s")
    return out / "index.html"


def _search(root: Path, sets: Sequence[str], stopped: Callable[[], bool], tell: Callable[[str], None]) -> Path | None:
    """The run folder of a finished search on text; None if stopped."""
    experiment = searches.load("ptb", "quick", None, sets)
    folder = runs.folder_of(root, "ptb", experiment, 0)
    network = searches.build(experiment, None, "cpu", 0)
    with runs.open_run(folder, experiment) as run:
        tell(f"{'resuming' if run.resumed else 'searching in'} {folder}")
        result = search_in(run, network, experiment.search, 0, stopped)
    if result is None:
        return None
    tell(f"found {result['architecture']} in {result['seconds']} s")
    return folder


# ------------------------------------------------------------------ the page's parts


def _toy(folder: Path) -> list[str]:
    return [
        page.heading("The toy regression: ten edges, ten operations each, eight methods"),
        page.figure((folder / "toy.svg").read_text(encoding="utf-8"), _again(folder)),
    ]


def _text(folder: Path) -> list[str]:
    result = runs.result(folder)
    rows = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["rows"]
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


def _drawings(folder: Path) -> list[tuple[Path, str]]:
    drawn = [path for path in figures.draw(folder) if path.suffix == ".svg"]
    captions = ("Operations by colour, their probabilities by width.", "How the probabilities moved during the search.")
    return list(zip(drawn, captions, strict=True))


def _again(folder: Path) -> str:
    return f"Made again by: {runs.sessions(folder)[-1]['command']}"


def _machine() -> str:
    return (
        f"Python {platform.python_version()}, NumPy {np.__version__}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads on {platform.machine()}."
    )


def _finished(root: Path) -> Path | None:
    """A finished run's folder under `root`, if there is one."""
    return min((path.parent for path in root.glob(f"*/{runs.RESULT}")), default=None)
