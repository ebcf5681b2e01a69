"""How long is what follows a search, beside plain PyTorch: a step of training a cell from scratch, and a validation?

    python benchmarks/after_the_search.py [--rounds 5] [--threads 2] [--cpu-time] [--cell ARCH] [--recurrent ARCH]

Images: the step of `evaluate --train` (256 images, 16 channels, five cells a stage, learned scales), and a validation
of as many images with a parent network's weights (64 at a time in the search itself, which is the same work an image).
Text: the step of the final training (256 streams of 35 words, 300 units, 10,000 words) and the reading of a text of
8,192 words, of a searched cell and of the LSTM. Plain is the same network of PyTorch's own layers with autograd and
torch.optim.SGD, in float32 beside either precision; the LSTM's kernels are PyTorch's in both. All variants run in turn
each round; ratios are of means.
"""

import argparse
import platform
import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import cifar_step, ptb_step
from nas.data.cifar import Images
from nas.data.ptb import Corpus
from nas.spaces import nasbench201, recurrent
from nas.supernets.alone import Alone
from nas.tasks.cifar10.scratch import Recipe
from nas.tasks.cifar10.scratch import build as build_cell
from nas.tasks.text.lstm import LSTM
from nas.tasks.text.network import Settings
from nas.tasks.text.scratch import Final, Trainer, model_of

IMAGES, WORDS = 256, 8_192
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
RECURRENT = "|tanh~0|+|relu~0|sigmoid~1|+|identity~0|tanh~1|relu~2|"

Work = Callable[[], object]


def main() -> None:
    """Time all variants in turn and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cell", default=CELL, help="of NAS-Bench-201")
    parser.add_argument("--recurrent", default=RECURRENT, help="of the text's space")
    options, clock = cifar_step.asked(parser)
    try:
        pairs = {**of_images(options.cell), **of_text(options.recurrent)}
    except ValueError as error:
        parser.error(str(error))
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in pairs}
    for count in range(options.rounds + 1):  # the first warms up
        for name, both in pairs.items():
            for own, work in zip(taken[name], both, strict=True):
                seconds = cifar_step.timed(work, "cpu", clock)
                own.extend([seconds] if count else [])
    used = f"{options.threads} threads" + (", processor time" if options.cpu_time else "")
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {used}, {options.rounds} rounds")
    print(f"{'':34}{'plain, mean ± std s':>21}{'this toolkit':>21}{'of plain [lowest, highest]':>28}")
    for name, (plain, own) in taken.items():
        each = [mine / other for mine, other in zip(own, plain, strict=True)]
        ratio = f"{statistics.mean(own) / statistics.mean(plain):.2f} [{min(each):.2f}, {max(each):.2f}]"
        print(f"{name:34}{shown(plain):>21}{shown(own):>21}{ratio:>28}")


def shown(seconds: list[float]) -> str:
    """Mean and spread."""
    return f"{statistics.mean(seconds):.3f} ± {statistics.stdev(seconds):.3f}"


# ------------------------------------------------------------------ images


def of_images(cell: str) -> dict[str, tuple[Work, Work]]:
    """Plain and own, of a step from scratch and of a validation, in the precisions there are."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (IMAGES, 3, 32, 32), np.uint8)
    images = Images(pixels, random.integers(0, 10, IMAGES).astype(np.uint8))
    chosen = list(nasbench201.cell_space().read(cell))
    plain, parent = PlainAlone(chosen), cifar_step.Plain(IMAGES, 5, "cpu")
    pairs: dict[str, tuple[Work, Work]] = {}
    for precision in ("float32", "bfloat16"):
        recipe = Recipe(cell, images=IMAGES, precision=precision)  # type: ignore[arg-type]
        pairs[f"cell from scratch, {precision}"] = (
            plain.step,
            partial(Alone(build_cell(recipe, images, images, "cpu")).step, 0.5),
        )
        own = cifar_step.ours(precision, IMAGES, 5, "cpu", held_out=IMAGES)
        validate = partial(own.supernet.validate, own.gates(chosen))
        pairs[f"validation of images, {precision}"] = partial(plain_validation, parent, chosen), validate
    return pairs


class FixedCell(nn.Module):
    """One operation on every edge, with learned scales."""

    def __init__(self, cell: cifar_step.PlainCell, chosen: list[int]) -> None:
        super().__init__()
        self.edges = nn.ModuleList(every[k] for every, k in zip(cell.edges, chosen, strict=True))  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            arriving = [
                operation(nodes[source])
                for operation, (source, end) in zip(self.edges, nasbench201.EDGES, strict=True)
                if end == target
            ]
            nodes.append(sum(arriving[1:], arriving[0]))
        return nodes[3]


class PlainAlone:
    """A cell by itself as anyone would write it first."""

    def __init__(self, chosen: list[int]) -> None:
        whole = cifar_step.Plain(IMAGES, 5, "cpu")
        layers = [
            FixedCell(one, chosen) if isinstance(one, cifar_step.PlainCell) else one for one in whole.network.layers
        ]
        self.network = nn.Sequential(whole.network.stem, *layers, whole.network.head, whole.network.linear)
        for layer in list(self.network.modules()):
            for name, norm in list(layer.named_children()):
                if isinstance(norm, nn.BatchNorm2d):
                    setattr(layer, name, nn.BatchNorm2d(norm.num_features))
        self.images, self.labels = whole.images, whole.labels
        self.sgd = torch.optim.SGD(self.network.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)

    def step(self) -> None:
        """One step on 256 images."""
        self.sgd.zero_grad()
        torch.autograd.backward(functional.cross_entropy(self.network(self.images), self.labels))
        self.sgd.step()


def plain_validation(parent: cifar_step.Plain, chosen: list[int]) -> tuple[float, float]:
    """Loss and accuracy, forward only."""
    gates = functional.one_hot(torch.tensor(chosen), cifar_step.CANDIDATES).float()
    with torch.no_grad():
        scores = parent.network(parent.images, gates, chosen)
        right = (scores.argmax(1) == parent.labels).float().mean()
        return float(functional.cross_entropy(scores, parent.labels)), float(right)


# ------------------------------------------------------------------ text


def of_text(cell: str) -> dict[str, tuple[Work, Work]]:
    """Plain and own, of a training step and of reading a text, for the cell and the LSTM."""
    words = torch.randint(ptb_step.VOCABULARY, (256 * 36 * 3,), generator=torch.Generator().manual_seed(0))
    names = tuple(map(str, range(ptb_step.VOCABULARY)))
    corpus = Corpus("random words", names, words, words[:WORDS], words[:WORDS], "00" * 8)
    pairs: dict[str, tuple[Work, Work]] = {}
    for precision in ("float32", "bfloat16"):
        settings = Settings(precision=precision)  # type: ignore[arg-type]
        for name, architecture in (("recurrent cell", cell), ("LSTM", LSTM)):
            final = Final(architecture, settings, 1, 0, settings.units, corpus.digest)
            trainer = Trainer(model_of(final), settings, corpus, 0, "cpu")
            plain = PlainLSTM(settings, settings.units) if architecture == LSTM else PlainRecurrent(settings, cell)
            pairs[f"{name} from scratch, {precision}"] = plain.step, partial(trainer.step, 0.5)
            if precision == "float32":  # a text is read in it whatever the precision
                reading = partial(plain.read, corpus.valid), partial(trainer.perplexity, corpus.valid)
                pairs[f"{name} reads a text"] = reading
    return pairs


class PlainRecurrent:
    """The recurrent cell with autograd and torch's SGD; a text is read word by word."""

    def __init__(self, settings: Settings, cell: str) -> None:
        self.model, self.settings = ptb_step.PlainText(settings.units, settings.nodes), settings
        self.chosen = list(recurrent.parse(cell)[1])
        self.gates = torch.ones(len(self.chosen))
        self.sgd = torch.optim.SGD(self.model.network.parameters(), lr=1.0)
        self.text = torch.randint(ptb_step.VOCABULARY, (settings.window + 1, settings.batch))

    def step(self) -> None:
        """One step on 256 streams of 35 words."""
        loss = self.model.loss(self.text, self.chosen, self.gates, dropout=0.5) / self.settings.batch
        descend(self.sgd, loss, self.model.network)

    def read(self, words: Tensor) -> float:
        """Nats a word."""
        with torch.no_grad():
            return float(self.model.loss(words[:, None], self.chosen, self.gates, dropout=0.0)) / len(words)


class PlainLSTM:
    """torch.nn.LSTM between an embedding and a linear layer; a text is read in one call."""

    def __init__(self, settings: Settings, units: int) -> None:
        self.embedding = nn.Embedding(ptb_step.VOCABULARY, units)
        self.core, self.output = nn.LSTM(units, units), nn.Linear(units, ptb_step.VOCABULARY)
        self.network = nn.ModuleList([self.embedding, self.core, self.output])
        self.settings, self.sgd = settings, torch.optim.SGD(self.network.parameters(), lr=1.0)
        self.text = torch.randint(ptb_step.VOCABULARY, (settings.window + 1, settings.batch))

    def loss(self, text: Tensor, dropout: float) -> Tensor:
        """The summed loss of words (T + 1, B)."""
        hidden, _ = self.core(torch.dropout(self.embedding(text[:-1]), dropout, True))
        scores = self.output(torch.dropout(hidden, dropout, True)).flatten(0, 1)
        return functional.cross_entropy(scores, text[1:].flatten(), reduction="sum")

    def step(self) -> None:
        """One step on 256 streams of 35 words."""
        descend(self.sgd, self.loss(self.text, 0.5) / self.settings.batch, self.network)

    def read(self, words: Tensor) -> float:
        """Nats a word."""
        with torch.no_grad():
            return float(self.loss(words[:, None], 0.0)) / len(words)


def descend(sgd: torch.optim.SGD, loss: Tensor, network: nn.Module) -> None:
    """Backward, clipped, one step."""
    sgd.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(network.parameters(), 0.25)
    sgd.step()


if __name__ == "__main__":
    main()
