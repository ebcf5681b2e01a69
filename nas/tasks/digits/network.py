"""What is the parent network on handwritten digits, and on which images are its weights and its architecture trained?

Small enough to search in seconds, and made so that cells differ: all that sees a neighbouring pixel stands in the cell.
A 1×1 convolution lifts the grey image to `channels`; a cell; pooling 8×8 to 4×4; the same cell again; ReLU, global
pooling, a linear layer. Cells and operations are NAS-Bench-201's (Dong & Yang, ICLR 2020).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import digits
from nas.running import config
from nas.spaces import nasbench201
from nas.spaces.space import Space
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent
from nas.supernets.edge import Choice
from nas.supernets.supernet import Supernet
from nas.tasks.cells.cell import ConvNorm, ConvolutionalCell, Norm

THIRD = 599  # of the 1,797 images: weights, architecture, test


@dataclass(frozen=True)
class Settings:
    """A small network on handwritten digits, searched in seconds.

    - channels: of both cells.
    - zero: whether the operation `none` competes.
    - batch: images a step.
    - rate: of the weights' Nesterov SGD at its beginning; a cosine takes it to zero.
    - momentum, decay: of the weights' SGD.
    - clip: the largest norm of the weights' gradient.
    - final_epochs: of a training from scratch.
    """

    channels: int = 8
    zero: bool = False
    batch: int = 50
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    clip: float | None = 1.0
    final_epochs: int = 40

    def __post_init__(self) -> None:
        config.within(self, channels=(1, 4096), final_epochs=(1, 1_000_000))
        if min(self.channels, self.final_epochs) < 1 or not 1 <= self.batch <= THIRD:
            raise ValueError(
                f"need channels, final_epochs >= 1 and 1 <= batch <= {THIRD}, "
                f"not {self.channels}, {self.final_epochs}, {self.batch}"
            )
        descent(self)  # refuses what does not descend


def space(settings: Settings) -> Space:
    """The cell's space, with or without `none`."""
    return nasbench201.cell_space(settings.zero)


def build(settings: Settings, data: Path | None, device: str, seed: int) -> Supernet:
    """The parent network with its images; `data` is not asked. Raises: DataError without scikit-learn."""
    torch.manual_seed(seed)
    cells = space(settings)
    model = DigitsNetwork(settings.channels, (cells.operations,) * len(cells.edges), Norm())
    weights, architecture, _ = thirds(settings.batch, device, seed)
    pixels, labels = architecture.inputs, architecture.targets
    held_out = Batches(pixels, labels, len(labels), shuffle=False)
    return Supernet(
        cells,
        model.to(device),
        functional.cross_entropy,
        weights,
        architecture,
        held_out,
        descent(settings),
        about=f"handwritten digits, 2 × {THIRD} training images",
        held_out_unseen=False,
    )


def thirds(batch: int, device: str, seed: int) -> tuple[Batches, Batches, Batches]:
    """Minibatches of the weights' images, of the architecture's, and the test images as one minibatch."""
    pixels, labels = (torch.split(part.to(device), THIRD) for part in digits.load())
    weights, architecture = (Batches(pixels[i], labels[i], batch, 2 * seed + i) for i in range(2))
    return weights, architecture, Batches(pixels[2], labels[2], THIRD, shuffle=False)


def descent(settings: Settings) -> Descent:
    """How the weights move."""
    return Descent(settings.rate, settings.momentum, settings.decay, settings.clip)


class DigitsNetwork(nn.Module):
    """Images (N, 1, 8, 8) and a `Choice` -> class scores (N, 10).

    candidates: for each edge of the cell its operations' names, so that a single one gives one cell's own network.
    """

    def __init__(self, channels: int, candidates: tuple[tuple[str, ...], ...], norm: Norm) -> None:
        super().__init__()
        self.stem = ConvNorm(1, channels, 1, 1, norm, relu=False)
        self.cells = nn.ModuleList(ConvolutionalCell(channels, nasbench201.EDGES, candidates, norm) for _ in range(2))
        self.linear = nn.Linear(channels, 10)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        x = self.cells[0](self.stem(images), choice)
        x = self.cells[1](functional.avg_pool2d(x, 2), choice)
        scores: Tensor = self.linear(torch.relu(x).mean(dim=(2, 3)))
        return scores
