"""By what are searches on text compared? Test perplexity of the cell they stood for, trained from scratch.

Trained are the cells of a search by half of the equal time, by all of it and at its end, and beside them random cells
and an LSTM of the same size, one a seed.
"""

from pathlib import Path

from nas import tasks
from nas.data.ptb import Corpus
from nas.running import runs
from nas.tasks.task import Comparison, Measure, Points, Row, Training
from nas.tasks.text import network, scratch
from nas.tasks.text.lstm import LSTM
from nas.tasks.text.network import Settings


def describe(comparison: Comparison[Settings]) -> str:
    """The text. Raises: DataError if it is not there."""
    return str(_corpus(comparison))


def perplexity(comparison: Comparison[Settings], folder: Path, equal_seconds: float) -> Points:
    """Test perplexity, trained from scratch, of what the search stood for on the way and at its end."""
    moments = _stood_for(comparison, folder, equal_seconds)
    return [(seconds, _test(comparison, *training)) for seconds, training in moments]


def trainings(comparison: Comparison[Settings], folders: list[Path], equal_seconds: float) -> list[Training]:
    """What `perplexity` and `references` need, each once. Raises: ValueError if a search saw another text."""
    corpus = _corpus(comparison)
    for folder in folders:
        scratch.check_text(folder, corpus)
    cells = [training for folder in folders for _, training in _stood_for(comparison, folder, equal_seconds)]
    beside = [training for some in _beside(comparison).values() for training in some]
    return list(dict.fromkeys([*cells, *beside]))


def train(comparison: Comparison[Settings], architecture: str, seed: int) -> Row | None:
    """The figures of one training from scratch under ROOT/TASK-final, never done twice; None if stopped."""
    settings = comparison.experiment.network
    network.take_threads(settings)
    corpus = _corpus(comparison)
    final = scratch.final_of(settings, corpus, architecture, settings.final_epochs, seed)
    root = comparison.root / f"{tasks.find(comparison.experiment.task).name}-final"
    return scratch.train_once(root, final, corpus, comparison.device, comparison.stopped)


def references(comparison: Comparison[Settings]) -> dict[str, list[float]]:
    """Test perplexity of one random cell and one LSTM a seed, under the same protocol."""
    return {name: [_test(comparison, *training) for training in some] for name, some in _beside(comparison).items()}


MEASURE = Measure(
    label="test perplexity of the derived cell, from scratch",
    larger_is_better=False,
    describe=describe,
    points=perplexity,
    trainings=trainings,
    train=train,
    references=references,
)


# ------------------------------------------------------------------ helpers


def _stood_for(comparison: Comparison[Settings], folder: Path, equal_seconds: float) -> list[tuple[float, Training]]:
    """When and what: the last records by half of the equal time and by all of it, if there are any, and the end.

    After a ranking the end is what that chose, at the time that it was done.
    """
    records, result = runs.records(folder), runs.result(folder)
    moments = (equal_seconds / 2, equal_seconds)
    known = [[record for record in records if record["seconds"] <= moment][-1:] for moment in moments]
    chosen = {record["step"]: record for record in [*known[0], *known[1], records[-1]]}
    stood_for = [*chosen.values(), *([result] if "ranking" in result else [])]
    settings = comparison.experiment.network
    return [(moment["seconds"], (scratch.derived(settings, moment), result["seed"])) for moment in stood_for]


def _beside(comparison: Comparison[Settings]) -> dict[str, list[Training]]:
    seeds = range(comparison.seeds)
    return {
        "random cells": [(scratch.random_cell(comparison.experiment.network, seed), seed) for seed in seeds],
        "LSTM of the same size": [(LSTM, seed) for seed in seeds],
    }


def _test(comparison: Comparison[Settings], architecture: str, seed: int) -> float:
    """Test perplexity of a training that is done."""
    figures = train(comparison, architecture, seed)
    if figures is None:
        raise ValueError(f"the training of {architecture} with seed {seed} was stopped")
    return float(figures["test"])


def _corpus(comparison: Comparison[Settings]) -> Corpus:
    return network.corpus_of(comparison.experiment.network, comparison.data)
