"""How good is a recurrent cell? Trained from scratch, beside a random cell and an LSTM with as many parameters.

All are trained under one protocol (`Final`), each in a run folder of its own, so that a training resumes where it
stopped and is never done twice.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.data.ptb import Corpus
from nas.running import runs, training
from nas.spaces import recurrent
from nas.tasks.task import Request, Row
from nas.tasks.text import language_model as language
from nas.tasks.text import network as ptb
from nas.tasks.text.cell import RecurrentCell
from nas.tasks.text.language_model import Core, Stream
from nas.tasks.text.lstm import LSTM, LSTMModel, lstm_units
from nas.tasks.text.network import CellCore, Settings


@dataclass(frozen=True)
class Final:
    """One training from scratch: the protocol, and which architecture (a string, or "lstm") with how many units.

    text is the corpus's digest, so that a training is never taken for one on another text.
    """

    architecture: str
    network: Settings
    epochs: int
    seed: int
    units: int
    text: str


def evaluate(folder: Path, settings: Settings, result: Mapping[str, Any], request: Request) -> list[Row] | None:
    """Train the derived cell, random cells and an LSTM on the run's text; see `nas.judging.evaluate`."""
    corpus = ptb.corpus_of(settings, request.data)
    check_text(folder, corpus)
    ptb.take_threads(settings)
    epochs = request.epochs or settings.final_epochs
    jobs = [
        *(("found", derived(settings, result), seed) for seed in range(request.seeds)),
        *(("random", random_cell(settings, result["seed"] + seed), seed) for seed in range(request.randoms)),
        *((LSTM, LSTM, seed) for seed in range(request.seeds)),
    ]
    rows: list[Row] = []
    for name, architecture, seed in jobs:
        final = final_of(settings, corpus, architecture, epochs, seed)
        row = train_once(folder / "final", final, corpus, request.device, request.stopped)
        if row is None:
            return None
        rows.append({"model": name, **row})
    return rows


def final_of(settings: Settings, corpus: Corpus, architecture: str, epochs: int, seed: int) -> Final:
    """The training of an architecture string; an LSTM gets the size of a cell in which every edge has an operation."""
    if architecture != LSTM:
        return Final(architecture, settings, epochs, seed, settings.units, corpus.digest)
    edges = recurrent.complete(settings.nodes)
    if settings.derive == "single":
        edges = tuple((target - 1, target) for target in range(1, settings.nodes + 1))
    full = recurrent.write([0] * len(edges), edges)
    size = parameters_of(CellModel(full, settings.units), corpus)
    return Final(LSTM, settings, epochs, seed, lstm_units(size, len(corpus.words)), corpus.digest)


def check_text(folder: Path, corpus: Corpus) -> None:
    """Raises: ValueError in one line if a search saw another text."""
    tensors, _ = runs.read_checkpoint(folder / runs.CHECKPOINT)
    if not torch.equal(tensors["network/text"], ptb.digest_of(corpus)):
        raise ValueError(f"{folder} was searched on another text than {corpus.name}; give it the same --data")


def train_once(
    root: Path, final: Final, corpus: Corpus, device: str, stopped: Callable[[], bool] = lambda: False
) -> Row | None:
    """The figures of one training on the whole training text, never done twice, under `root`; None if stopped."""

    def trainer() -> Trainer:
        return Trainer(model_of(final), final.network, corpus, final.seed, device)

    def row(trained: Trainer) -> Row:
        return {
            "units": final.units,
            "parameters": parameters_of(trained.model, corpus),
            "validation": trained.perplexity(corpus.valid),
            "test": trained.perplexity(corpus.test),
            "text": corpus.name,
        }

    folder = runs.folder_of(root, "lstm" if final.architecture == LSTM else "cell", final, final.seed)
    return training.once(folder, final, final.epochs, trainer, row, device, stopped)


def model_of(final: Final) -> "Model":
    """The network of a training: a cell's, or the LSTM's."""
    return LSTMModel(final.units) if final.architecture == LSTM else CellModel(final.architecture, final.units)


class Trainer:
    """A language model under training: weights, text, optimiser."""

    def __init__(self, model: "Model", settings: Settings, corpus: Corpus, seed: int, device: str) -> None:
        self.model, self.settings, self.corpus = model, settings, corpus
        shapes = {**language.shapes(len(corpus.words), model.units), **model.shapes()}
        self.weights = language.initial(shapes, seed, torch.float32, device)
        self.stream = Stream(corpus.train.to(device), settings.batch, settings.window, seed)
        self.stream.state = model.core.start(settings.batch, self.weights["output"])

    @property
    def steps_per_epoch(self) -> int:
        return self.stream.windows

    def step(self, progress: float) -> Tensor:
        """One SGD step on the next window; returns its loss."""
        settings = self.settings
        window = self.stream.next(self.model.units, settings.dropout, self.weights["output"])
        weights = language.products(self.weights, settings.precision)
        passed = language.gradients_of(self.model.core, weights, window, self.stream.state, with_weights=True)
        language.sgd(self.weights, passed.gradients, ptb.rate_at(settings, progress), settings.clip)
        self.stream.state = passed.state
        return passed.loss

    def judged(self) -> dict[str, float]:
        return {"validation": self.perplexity(self.corpus.valid)}

    def perplexity(self, words: Tensor) -> float:
        """Whole stream, state carried, float32."""
        like = self.weights["output"]
        return language.whole_stream(self.model.core, self.weights, words.to(like.device), like)

    def state(self) -> dict[str, Tensor]:
        """Weights, position, random state and recurrent state."""
        carried = {f"state.{number}": part for number, part in enumerate(self.stream.state)}
        weights = {f"weights.{name}": weight for name, weight in self.weights.items()}
        position = {"position": torch.tensor(self.stream.position), "generator": self.stream.generator.get_state()}
        return {**weights, **carried, **position}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore `state()`."""
        like = self.weights["output"]
        self.weights = {name: state[f"weights.{name}"].to(like.device) for name in self.weights}
        carried = range(len(self.stream.state))
        self.stream.state = tuple(state[f"state.{number}"].to(like.device) for number in carried)
        self.stream.position = int(state["position"])
        self.stream.generator.set_state(state["generator"])


@dataclass(frozen=True)
class CellModel:
    """A cell with fixed operations, from its architecture string."""

    architecture: str
    units: int

    @property
    def name(self) -> str:
        return self.architecture

    @property
    def cell(self) -> RecurrentCell:
        edges, _ = recurrent.parse(self.architecture)
        return RecurrentCell(max(target for _, target in edges), self.units, edges, recurrent.OPERATIONS)

    @property
    def core(self) -> Core:
        _, choices = recurrent.parse(self.architecture)
        zero = recurrent.OPERATIONS.index(recurrent.ZERO)
        return CellCore(self.cell, tuple(() if choice == zero else ((choice, 1.0),) for choice in choices))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return dict(self.cell.shapes())

    @property
    def unused(self) -> int:
        """Weights that a `zero` edge has but does not use: its operation's matrix."""
        _, choices = recurrent.parse(self.architecture)
        return choices.count(recurrent.OPERATIONS.index(recurrent.ZERO)) * self.units**2


Model = CellModel | LSTMModel


def derived(settings: Settings, result: Mapping[str, Any]) -> str:
    """The architecture string that a finished search stands for, by the settings' derivation."""
    if settings.derive == "single":
        space = recurrent.cell_space(settings.nodes, settings.zero)
        return recurrent.single_predecessor(result["probabilities"], space)
    architecture: str = result["architecture"]
    return architecture


def random_cell(settings: Settings, seed: int) -> str:
    """A uniformly random architecture, derived like the found one."""
    generator = torch.Generator().manual_seed(seed)
    space = recurrent.cell_space(settings.nodes, settings.zero)
    if settings.derive == "single":
        return recurrent.single_predecessor(torch.rand(space.shape, generator=generator).tolist(), space)
    return space.write(torch.randint(len(space.operations), (len(space.edges),), generator=generator).tolist())


def parameters_of(model: Model, corpus: Corpus) -> int:
    """Trainable parameters that are used, embedding and output layer included."""
    shapes = {**language.shapes(len(corpus.words), model.units), **model.shapes()}
    return sum(math.prod(shape) for shape in shapes.values()) - model.unused
