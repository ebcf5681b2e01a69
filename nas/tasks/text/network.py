"""How is a recurrent cell searched on text? The parent network of Sato et al. (2021) on Penn Treebank, or any text.

All candidate operations of an edge share its two matrices, so sparse propagation saves the operations' outputs, not
products. Weights train on one half of the training text, the architecture on the other (the authors' release uses the
same text for both: `architecture_text = "training"`).
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nas.data import ptb
from nas.data.places import DataError
from nas.data.ptb import Corpus
from nas.objective import Gradients
from nas.running import processes
from nas.running.config import fits, within
from nas.schedule import cosine
from nas.spaces import recurrent
from nas.spaces.space import Space
from nas.supernets.ahead import look_ahead
from nas.supernets.recorded import Recorder
from nas.tasks.text import cell as cells
from nas.tasks.text import language_model as language
from nas.tasks.text.cell import Mix, RecurrentCell
from nas.tasks.text.language_model import Passed, State, Stream, Weights, Window


@dataclass(frozen=True)
class Settings:
    """The network's side of a search on text; defaults are those of Sato et al. (2021).

    - corpus: auto takes Penn Treebank where it is found, else the embedded text.
    - text: files of your own, one or three (train, valid, test).
    - least: words seen fewer times become `<unk>` (not in Penn Treebank, which has its vocabulary).
    - nodes: of the recurrent cell.
    - zero: whether the operation `zero` competes.
    - units: of the hidden state and of the embedding.
    - batch: streams of text that are read side by side.
    - window: words a step, over which gradients go back.
    - dropout: the share of units that a step leaves out.
    - rate: of the weights' SGD.
    - clip: the largest norm of the weights' gradient.
    - schedule: of the weights' rate; cosine takes it to zero.
    - architecture_text: which text architecture steps read.
    - held_out: the share of the training text that only architecture steps see.
    - precision: of matrix products.
    - derive: all keeps every edge of the cell, single one edge a node.
    - final_epochs: of a training from scratch.
    - static: run all operations and let the gates choose on the device, so that a step is one recorded graph, for GPUs.
    - threads: of the processor; 0 for as many as torch takes by itself (a small network is faster with 1).
    """

    corpus: Literal["auto", "ptb", "embedded"] = "auto"
    text: tuple[str, ...] = ()
    least: int = 3
    nodes: int = 3
    zero: bool = True
    units: int = 300
    batch: int = 256
    window: int = 35
    dropout: float = 0.5
    rate: float = 20.0
    clip: float = 0.25
    schedule: Literal["cosine", "constant"] = "cosine"
    architecture_text: Literal["held-out", "training"] = "held-out"
    held_out: float = 0.5
    precision: Literal["float32", "bfloat16"] = "float32"
    derive: Literal["all", "single"] = "all"
    final_epochs: int = 100
    static: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        within(self, units=(1, 1 << 14), nodes=(1, 64), batch=(1, 1 << 20), window=(1, 1 << 16), threads=(0, 1024))
        within(self, least=(1, 1 << 40), final_epochs=(1, 1_000_000))
        if not 0 <= self.dropout <= 0.99 or not 0 < self.held_out < 1:
            raise ValueError("need 0 <= dropout <= 0.99 and 0 < held_out < 1")
        if not (0 < self.rate < math.inf and 0 < self.clip < math.inf):
            raise ValueError("rate and clip must be positive and finite")


def build(settings: Settings, data: Path | None, device: str, seed: int) -> "TextNetwork":
    """The parent network with its text. Raises: ValueError in one line if the text is missing, damaged or too short."""
    if processes.count() > 1:
        raise ValueError("several processes share minibatches of images, not a text: search on text with one")
    take_threads(settings)
    sizes = (settings.window, settings.batch, settings.units)
    fits(f"the hidden states of a window, {' x '.join(map(str, sizes))} numbers,", 4 * math.prod(sizes))
    return TextNetwork(settings, corpus_of(settings, data), device, seed)


def take_threads(settings: Settings) -> None:
    """Set the number of threads of this process, if the settings name one."""
    if settings.threads:
        torch.set_num_threads(settings.threads)


def corpus_of(settings: Settings, data: Path | None) -> Corpus:
    """The text that the settings name. Raises: DataError: which file, where it was looked for, what to do."""
    if settings.text:
        return ptb.from_files([ptb.moved(file, data) for file in settings.text], settings.least)
    if settings.corpus == "ptb" or (settings.corpus == "auto" and (data is not None or ptb.at_hand())):
        return ptb.penn_treebank(data)
    return ptb.embedded(settings.least)


# ------------------------------------------------------------------ the parent network


class TextNetwork:
    """The recurrent parent network: weights of every edge, two streams of text, SGD. See `ParentNetwork`.

    Its hidden states are carried on from window to window, one for each stream; the architecture stream's is the one
    that the drawn gates left behind, which an objective is asked about first.
    """

    def __init__(
        self, settings: Settings, corpus: Corpus, device: str, seed: int, dtype: torch.dtype = torch.float32
    ) -> None:
        self.settings, self.corpus, self.device = settings, corpus, device
        self.space: Space = recurrent.cell_space(settings.nodes, settings.zero)
        self.cell = RecurrentCell(settings.nodes, settings.units, self.space.edges, self.space.operations)
        shapes = {**language.shapes(len(corpus.words), settings.units), **self.cell.shapes()}
        self.weights = language.initial(shapes, seed, dtype, device)
        text = corpus.train.to(device)
        parts = (text, text.roll(-len(text) // 2))
        if settings.architecture_text == "held-out":
            middle = round(len(text) * (1 - settings.held_out))
            parts = (text[:middle], text[middle:])
        for part in parts:
            if len(part) < settings.batch * 2:
                raise DataError(f"{corpus.name} is too short: {len(part)} words for {settings.batch} places a batch")
        self.weight_stream, self.architecture_stream = (
            Stream(part, settings.batch, settings.window, seed + number) for number, part in enumerate(parts)
        )
        for stream in self._streams().values():
            stream.state = (torch.zeros(settings.batch, settings.units, dtype=dtype, device=device),)
        self.recorder = self._recorder()
        self.progress = 0.0  # of the last weight step, in the schedule
        self.cell_from_policy = settings.derive == "single"  # nas.derive can choose nothing else then

    @property
    def about(self) -> str:
        """What is searched on what, for people."""
        return str(self.corpus)

    @property
    def steps_per_epoch(self) -> int:
        """So many that weight and architecture steps together see the training text about once, by default."""
        if self.settings.architecture_text == "training":
            return max(1, self.weight_stream.windows // 2)
        return self.weight_stream.windows

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        """One SGD step on the next window; operations with a zero gate have no gradient, and run only if static."""
        stream, like = self.weight_stream, self.weights["output"]
        self.progress = progress
        window = stream.next(self.settings.units, self.settings.dropout, like)
        rate = torch.tensor(rate_at(self.settings, progress), dtype=like.dtype).to(self.device, non_blocking=True)
        loss, hidden = self.recorder.replayed("train", self._train)(gates, rate, *stream.state, *_parts(window))
        stream.state = (hidden,)
        return loss

    def objective(self) -> "FrozenWindow":
        """The loss on the next architecture window, with its dropout masks and first hidden state."""
        stream = self.architecture_stream
        window = stream.next(self.settings.units, self.settings.dropout, self.weights["output"])
        return FrozenWindow(self, window, stream.state)

    def validate(self, gates: Tensor) -> dict[str, float]:
        """Perplexity of the validation text with the shared weights, whole stream, state carried."""
        core = CellCore(self.cell, self.mix_of(gates, gates != 0))
        words = self.corpus.valid.to(self.device)
        return {"perplexity": language.whole_stream(core, self.weights, words, self.weights["output"])}

    def state(self) -> dict[str, Tensor]:
        """Weights, and of both streams the position, random state and hidden state; a digest of the text."""
        state = {f"weights.{name}": weight for name, weight in self.weights.items()}
        for name, stream in self._streams().items():
            state[f"{name}.position"] = torch.tensor(stream.position)
            state[f"{name}.generator"] = stream.generator.get_state()
            state[f"{name}.hidden"] = stream.state[0]
        return {**state, "text": digest_of(self.corpus)}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore `state()`. Raises: ValueError where a name, a shape or the text does not fit."""
        own = self.state()
        if state.keys() != own.keys():
            raise ValueError(f"the checkpoint is of another network: it has {sorted(state.keys() ^ own.keys())[0]!r}")
        for name, tensor in own.items():
            if state[name].shape != tensor.shape:
                raise ValueError(f"checkpoint: {name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}")
        if not torch.equal(state["text"], own["text"]):
            raise ValueError(f"the checkpoint was made with another text than {self.corpus.name}")
        self.weights = {name: state[f"weights.{name}"].to(self.device).clone() for name in self.weights}
        for name, stream in self._streams().items():
            stream.position = int(state[f"{name}.position"])
            stream.generator.set_state(state[f"{name}.generator"].cpu())
            stream.state = (state[f"{name}.hidden"].to(self.device).clone(),)
        self.recorder = self._recorder()

    def gradients(self, gates: Tensor, runs: Tensor, window: Window, state: State, with_weights: bool) -> Passed:
        """Loss and gradients of a window under gates (E, K); without weights', the report is `cells.CellGradients`."""
        core = CellCore(self.cell, self.mix_of(gates, runs))
        weights = language.products(self.weights, self.settings.precision)
        return language.gradients_of(core, weights, window, state, with_weights)

    def slopes(self, gates: Tensor, window: Window, state: State) -> tuple[Tensor, list[Tensor]]:
        """Gradients of gates (E, K) and of all weights, in their order, all operations running."""
        runs = torch.ones_like(gates)
        of_gates = self.gradients(gates, runs, window, state, with_weights=False).report.gates
        of_weights = self.gradients(gates, runs, window, state, with_weights=True).gradients
        return of_gates, [of_weights[name] for name in self.weights]

    def ahead(self) -> Window:
        """The window of the next weight step, which will be the same."""
        stream = self.weight_stream
        position, random = stream.position, stream.generator.get_state()
        window = stream.next(self.settings.units, self.settings.dropout, self.weights["output"])
        stream.position = position
        stream.generator.set_state(random)
        return window

    def loss(self, gates: Tensor, window: Window, state: State) -> Passed:
        """Loss of a window under gates (E, K), forward only."""
        core = CellCore(self.cell, self.mix_of(gates, gates != 0))
        return language.loss_of(core, language.products(self.weights, self.settings.precision), window, state)

    def mix_of(self, gates: Tensor, runs: Tensor) -> Mix:
        """Which operations run on each edge, and under which gate; `zero` needs no running. All of them if static."""
        zero = self.space.zero_operation
        if self.settings.static:
            return [[(k, gate) for k, gate in enumerate(row.unbind()) if k != zero] for row in gates]
        return [
            [(k, gate) for k, (gate, run) in enumerate(zip(*row, strict=True)) if run and k != zero]
            for row in zip(gates.tolist(), runs.tolist(), strict=True)
        ]

    # A step as functions of tensors alone, fit to be recorded.

    def _train(self, gates: Tensor, rate: Tensor, hidden: Tensor, *window: Tensor) -> tuple[Tensor, ...]:
        passed = self.gradients(gates, gates != 0, _window(*window), (hidden,), with_weights=True)
        language.sgd(self.weights, passed.gradients, rate, self.settings.clip)
        return passed.loss, passed.state[0]

    def _credit(self, gates: Tensor, runs: Tensor, hidden: Tensor, *window: Tensor) -> tuple[Tensor, ...]:
        passed = self.gradients(gates, runs, _window(*window), (hidden,), with_weights=False)
        return passed.loss, passed.state[0], passed.report.gates * runs, passed.report.output

    def _loss(self, gates: Tensor, hidden: Tensor, *window: Tensor) -> tuple[Tensor, ...]:
        passed = self.loss(gates, _window(*window), (hidden,))
        return passed.loss, passed.state[0]

    def _recorder(self) -> Recorder:
        return Recorder(self.device if self.settings.static else "cpu", tuple(self.weights.values()))

    def _streams(self) -> dict[str, Stream]:
        return {"weight_stream": self.weight_stream, "architecture_stream": self.architecture_stream}


def rate_at(settings: Settings, progress: float) -> float:
    """The weights' learning rate at `progress` in [0, 1] of a training."""
    return settings.rate * (cosine(progress) if settings.schedule == "cosine" else 1.0)


def digest_of(corpus: Corpus) -> Tensor:
    """The text's digest as a tensor, for checkpoints."""
    return torch.tensor(list(bytes.fromhex(corpus.digest)), dtype=torch.uint8)


class FrozenWindow:
    """An `Objective`: one architecture window, the same words, masks and first hidden state for every question."""

    def __init__(self, network: TextNetwork, window: Window, state: State) -> None:
        self.network, self.window, self.state = network, window, state
        self.zero_operation = network.space.zero_operation
        self._asked = False

    def loss(self, gates: Tensor) -> Tensor:
        """Loss (...,) of gates (..., E, K), one sample after another."""
        ask = self.network.recorder.replayed("loss", self.network._loss)
        losses, hidden = zip(*(ask(one, *self.state, *_parts(self.window)) for one in _each(gates)), strict=True)
        self._carry_on(hidden[0])
        return torch.stack(losses).view(gates.shape[:-2])

    def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
        """Loss and gradients of gates (..., E, K); no weight gradients are computed."""
        ask = self.network.recorder.replayed("credit", self.network._credit)
        both = zip(_each(gates), _each((runs != 0).expand_as(gates)), strict=True)
        loss, hidden, gate, output = zip(
            *(ask(one, run, *self.state, *_parts(self.window)) for one, run in both), strict=True
        )
        self._carry_on(hidden[0])
        return Gradients(
            torch.stack(loss).view(gates.shape[:-2]),
            torch.stack(gate).view(gates.shape),
            torch.stack(output).view(gates.shape[:-1]),
        )

    def virtual_step(self, gates: Tensor) -> dict[str, Tensor]:
        """What second-order DARTS asks at dense gates (E, K); see `nas.supernets.ahead`."""
        network, settings = self.network, self.network.settings
        training = partial(network.slopes, gates, network.ahead(), network.weight_stream.state)
        validation = partial(network.slopes, gates, self.window, self.state)
        rate = rate_at(settings, network.progress)
        return look_ahead(list(network.weights.values()), training, validation, rate, settings.clip)

    def _carry_on(self, hidden: Tensor) -> None:
        if not self._asked:
            self.network.architecture_stream.state = (hidden,)
        self._asked = True


@dataclass(frozen=True)
class CellCore:
    """A cell under given gates, as a `language.Core`."""

    cell: RecurrentCell
    mix: Mix

    def start(self, batch: int, like: Tensor) -> State:
        """The hidden state before the first word, (batch, units)."""
        return (like.new_zeros(batch, self.cell.units),)

    def forward(self, weights: Weights, x: Tensor, state: State, record: bool) -> tuple[Tensor, State, Any]:
        """See `language.Core`."""
        hidden, tape = cells.forward(self.cell, weights, self.mix, x, state[0], record)
        return hidden, (hidden[-1].clone(),), tape

    def backward(self, weights: Weights, tape: Any, grad: Tensor, with_weights: bool) -> tuple[Tensor, Weights, Any]:
        """See `language.Core`; without weights' gradients, the gates' are reported."""
        gradients = cells.backward(self.cell, weights, self.mix, tape, grad, with_weights, with_gates=not with_weights)
        return gradients.x, gradients.weights, gradients


def _each(gates: Tensor) -> Tensor:
    return gates.reshape(-1, *gates.shape[-2:])


def _parts(window: Window) -> tuple[Tensor, ...]:
    return (window.words, window.following, *(window.masks or ()))


def _window(words: Tensor, following: Tensor, *masks: Tensor) -> Window:
    return Window(words, following, (masks[0], masks[1]) if masks else None)
