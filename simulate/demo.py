"""What does the toolkit do, on one page? Both real uses in their quick form, drawn and tabulated.

Runs the toy regression of the paper and a short search on text with its evaluation, in run folders under the output
folder, and writes one self-contained `index.html`. Finished parts are not run again.
"""

import json
import platform
import time
from pathlib import Path

import numpy as np
import torch

from nas import __main__ as nas_program
from nas.judging import figures
from nas.running import runs
from simulate import __main__ as simulate_program
from simulate import page

COLUMNS = ("model", "architecture", "parameters", "validation", "test", "seconds")


def demo(out: Path) -> int:
    """Make the page in `out`. Returns the exit status of the first part that failed, or 0."""
    started = time.perf_counter()
    roots = {"toy": out / "runs" / "toy", "ptb": out / "runs" / "ptb"}
    commands = {
        "toy": (simulate_program.main, ["run", "toy", "--quick", "--runs", str(out / "runs")]),
        "ptb": (nas_program.main, ["search", "ptb", "--preset", "quick", "--runs", str(out / "runs")]),
    }
    for name, (program, words) in commands.items():
        if not _finished(roots[name]) and (status := program(words)):
            return status
    search = _finished(roots["ptb"])[0]
    if not (search / "evaluation.json").exists() and (status := nas_program.main(["evaluate", str(search)])):
        return status
    made = page.page(
        "AdvantageNAS: the demo",
        page.paragraph(_machine()),
        *_toy(_finished(roots["toy"])[0]),
        *_text(search),
    )
    runs.write_atomically(out / "index.html", made)
    print(f"{out / 'index.html'} is ready, after {time.perf_counter() - started:.0f} s")
    return 0


def _toy(folder: Path) -> list[str]:
    return [
        page.heading("The toy regression: ten edges, ten operations each, eight methods"),
        page.figure((folder / "toy.svg").read_text(encoding="utf-8"), _again(folder)),
    ]


def _text(folder: Path) -> list[str]:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
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


def _finished(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/result.json"))
