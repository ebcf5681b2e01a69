"""What is the CIFAR-10 parent network, and on which images are its weights and its architecture trained?

NAS-Bench-201's network (Dong & Yang, ICLR 2020): a stem of 16 channels, three stages of five cells, a residual block
that halves the image and doubles the channels between stages, normalisation, global pooling, a linear layer. All cells
share one architecture. Trained from scratch with one operation an edge, it is the benchmark's own network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import cifar10, nasbench201
from nas.data.cifar10 import Images
from nas.running import config
from nas.spaces import nasbench201 as space
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent
from nas.supernets.edge import Choice
from nas.supernets.supernet import Supernet
from nas.tasks.cifar10.cell import ConvNorm, ConvolutionalCell, Norm
from nas.tasks.cifar10.fixed_graph import FixedGraphSupernet

CLASSES = len(cifar10.CLASSES)
MEAN, DEVIATION = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)  # of the training pixels, as NAS-Bench-201 rounds them


@dataclass(frozen=True)
class Settings:
    """The network, its data and its weights' training; defaults are those of Sato et al. (2021).

    - channels: of the first stage; each later one has twice as many.
    - cells: of each of the three stages.
    - zero: whether the operation `none` competes.
    - batch: images a step.
    - affine: whether batch normalisation has learned scales and shifts.
    - statistics: what batch normalisation normalises by outside training.
    - rate: of the weights' Nesterov SGD at its beginning; a cosine takes it to zero.
    - momentum, decay: of the weights' SGD.
    - clip: the largest norm of the weights' gradient.
    - images: how many train the weights, and how many others the architecture.
    - held_out: how many of the latter, as they are, score the current architecture for the record.
    - unseen: how many of them are kept from architecture steps and score instead.
    - precision: of the activations; weights, logits and sums stay in 32 bits.
    - static: compute every cell by one graph of kernels (nas/tasks/cifar10/fixed_graph.py), for GPUs; methods that run
      one operation an edge only.
    """

    channels: int = 16
    cells: int = 5
    zero: bool = False
    batch: int = 64
    affine: bool = False
    statistics: Literal["batch", "running"] = "batch"
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    clip: float | None = 1.0
    images: int = 25_000
    held_out: int = 2_560
    precision: Literal["float32", "bfloat16"] = "float32"
    static: bool = False
    unseen: int = config.later(0)

    def __post_init__(self) -> None:
        config.within(self, channels=(1, 4096), cells=(1, 1000))
        if min(self.channels, self.cells, self.batch) < 1 or not self.batch <= self.images <= 25_000:
            raise ValueError(
                f"need channels, cells >= 1 and 1 <= batch <= images <= 25000, "
                f"not {self.channels}, {self.cells}, {self.batch}, {self.images}"
            )
        if not 1 <= self.held_out <= self.images:
            raise ValueError(f"need 1 <= held_out <= images, not {self.held_out}")
        if not 0 <= self.unseen <= self.images - self.batch:
            raise ValueError(
                f"need 0 <= unseen <= images - batch, not {self.unseen}: the architecture needs images, too"
            )
        if not (0 < self.rate < math.inf and 0 <= self.momentum < 1 and 0 <= self.decay < math.inf):
            raise ValueError(
                f"need 0 < rate, 0 <= momentum < 1, 0 <= decay, not {self.rate}, {self.momentum}, {self.decay}"
            )
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, or none, not {self.clip}")
        if self.static and (self.affine or self.statistics != "batch"):
            raise ValueError("static = true normalises by the batch alone: it needs affine = false, statistics = batch")


def build(settings: Settings, data: Path | None, device: str, seed: int) -> Supernet:
    """The parent network with its images. Raises: ValueError in one line if CIFAR-10 is missing or damaged."""
    kernels = 21 * 6 * 10 * settings.cells * settings.channels**2  # three stages of 1, 2 and 4 times the channels
    config.fits(f"the weights of {settings.cells} cells a stage of {settings.channels} channels", 4 * kernels)
    train, _ = cifar10.load(data)
    return assemble(settings, train, device, seed, table_figures(data, settings.zero))


def assemble(
    settings: Settings,
    train: Images,
    device: str,
    seed: int,
    figures: Callable[[list[int]], dict[str, float]] | None = None,
) -> Supernet:
    """The parent network on given images: the first half trains weights, the second half the architecture."""
    torch.manual_seed(seed)
    cell_space = space.cell_space(settings.zero)
    candidates = (cell_space.operations,) * len(cell_space.edges)
    model = CellNetwork(settings.channels, settings.cells, candidates, Norm(settings.affine, settings.statistics))
    model.precision = getattr(torch, settings.precision)
    half = len(train.labels) // 2
    parts = [train.part(start, start + min(settings.images, half)) for start in (0, half)]
    held_out = parts[1].part(0, settings.held_out)
    if settings.unseen:
        seen = len(parts[1].labels) - settings.unseen
        parts[1], held_out = parts[1].part(0, seen), parts[1].part(seen, seen + settings.unseen)
    weights, architecture = (
        batches(part, settings.batch, device, 2 * seed + place, augment) for place, part in enumerate(parts)
    )
    judged = batches(held_out, min(256, len(held_out.labels)), device)
    descent = Descent(settings.rate, settings.momentum, settings.decay, settings.clip)
    kind = FixedGraphSupernet if settings.static else Supernet
    model, loss = model.to(device), functional.cross_entropy
    about = f"CIFAR-10, 2 × {len(parts[0].labels):,} training images"
    unseen = settings.unseen > 0
    running = settings.statistics == "running"
    return kind(cell_space, model, loss, weights, architecture, judged, descent, figures, about, unseen, running)


# ------------------------------------------------------------------ the network


class CellNetwork(nn.Module):
    """Images (N, 3, H, W) uint8 and a `Choice` -> class scores (N, 10) float32. H and W are multiples of 4.

    candidates: for each edge of the cell its operations' names, so that a single one gives the benchmark's network.
    """

    precision = torch.float32
    image_mean: Tensor
    image_deviation: Tensor

    def __init__(self, channels: int, cells: int, candidates: tuple[tuple[str, ...], ...], norm: Norm) -> None:
        super().__init__()
        self.stem = ConvNorm(3, channels, 3, 1, norm, relu=False)
        widths = [channels, 2 * channels, 4 * channels]
        self.stages = nn.ModuleList(
            nn.ModuleList(ConvolutionalCell(width, space.EDGES, candidates, norm) for _ in range(cells))
            for width in widths
        )
        self.reductions = nn.ModuleList(Reduction(width, 2 * width, norm) for width in widths[:-1])
        self.norm = nn.BatchNorm2d(widths[-1], affine=norm.affine, track_running_stats=norm.statistics == "running")
        self.linear = nn.Linear(widths[-1], CLASSES)
        self.register_buffer("image_mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("image_deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor, choice: Choice) -> Tensor:
        return self.run(images, lambda cell, x: cell(x, choice))

    def run(self, images: Tensor, through: Callable[[ConvolutionalCell, Tensor], Tensor]) -> Tensor:
        """The class scores, with `through` computing each cell."""
        wide = self.linear.weight.dtype
        x = (images.to(wide) - self.image_mean) / self.image_deviation
        x = x.to(wide if wide == torch.float64 else self.precision).contiguous(memory_format=torch.channels_last)
        x = self.stem(x)
        for place, stage in enumerate(self.stages):
            if place:
                x = self.reductions[place - 1](x)
            cells: Any = stage
            for cell in cells:
                x = through(cell, x)
        features = torch.relu(self.norm(x)).mean(dim=(2, 3), dtype=wide)
        scores: Tensor = self.linear(features)
        return scores


class Reduction(nn.Module):
    """NAS-Bench-201's residual block of stride 2: (N, C, H, W) -> (N, 2C, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, 2, norm)
        self.second = ConvNorm(outputs, outputs, 3, 1, norm)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        short = functional.conv2d(functional.avg_pool2d(x, 2), self.shortcut.weight.to(x.dtype))
        out: Tensor = self.second(self.first(x)) + short
        return out


# ------------------------------------------------------------------ images


def batches(
    images: Images,
    size: int,
    device: str,
    seed: int = 0,
    transform: Callable[[Tensor, torch.Generator], Tensor] | None = None,
) -> Batches:
    """Minibatches of images that stay on the device as bytes; in order unless they are transformed."""
    pixels, labels = torch.from_numpy(images.pixels.copy()), torch.from_numpy(images.labels.astype("int64"))
    return Batches(pixels.to(device), labels.to(device), size, seed, transform, shuffle=transform is not None)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops of the image within a black border of 4 pixels, and random flips; (N, 3, H, W) as given."""
    count, _, height, width = images.shape
    down, right, flip = (torch.randint(high, (count,), generator=generator, device=images.device) for high in (9, 9, 2))
    windows = functional.pad(images, (4, 4, 4, 4)).unfold(2, height, 1).unfold(3, width, 1)
    cropped = windows[torch.arange(count, device=images.device), :, down, right]
    return torch.where(flip.bool().view(-1, 1, 1, 1), cropped.flip(3), cropped)


def table_figures(data: Path | None, zero: bool) -> Callable[[list[int]], dict[str, float]] | None:
    """Table accuracy of a cell's operation indices, for the record, where the NAS-Bench-201 table is at hand.

    Raises: DataError if it is there and damaged.
    """
    table = nasbench201.at_hand(data)
    if table is None:
        return None
    test, valid = table.cube("cifar10_test"), table.cube("cifar10_valid")
    first = space.OPERATIONS.index(space.cell_space(zero).operations[0])

    def figures(choices: list[int]) -> dict[str, float]:
        cell = tuple(first + choice for choice in choices)
        return {"table_test_accuracy": float(test[cell]), "table_valid_accuracy": float(valid[cell])}

    return figures
