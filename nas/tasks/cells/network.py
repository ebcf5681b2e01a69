"""Which network is made of NAS-Bench-201's cells, for images of any size, with any number of colours and classes?

NAS-Bench-201's (Dong & Yang, ICLR 2020): a stem, three stages of cells, a residual block that halves the image and
doubles the channels between stages, normalisation, global pooling, a linear layer. All cells share one architecture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.running import config
from nas.spaces import nasbench201 as space
from nas.supernets.edge import Choice
from nas.tasks.cells.cell import ConvNorm, ConvolutionalCell, Norm


@dataclass(frozen=True)
class ImageKind:
    """What a network must know of its images. classes: how many; mean, deviation: of the pixels, for each colour."""

    classes: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def colours(self) -> int:
        """1 for grey images, 3 for red, green and blue."""
        return len(self.mean)


class CellNetwork(nn.Module):
    """Images (N, colours, H, W) uint8 and a `Choice` -> class scores (N, classes) float32. H, W are multiples of 4.

    channels of the first stage; cells a stage; candidates: for each edge of the cell its operations' names, so that a
    single one gives the benchmark's network.
    """

    precision = torch.float32
    image_mean: Tensor
    image_deviation: Tensor

    def __init__(
        self, channels: int, cells: int, candidates: tuple[tuple[str, ...], ...], norm: Norm, kind: ImageKind
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(kind.colours, channels, 3, 1, norm, relu=False)
        widths = [channels, 2 * channels, 4 * channels]
        self.stages = nn.ModuleList(
            nn.ModuleList(ConvolutionalCell(width, space.EDGES, candidates, norm) for _ in range(cells))
            for width in widths
        )
        self.reductions = nn.ModuleList(Reduction(width, 2 * width, norm) for width in widths[:-1])
        self.norm = nn.BatchNorm2d(widths[-1], affine=norm.affine, track_running_stats=norm.statistics == "running")
        self.linear = nn.Linear(widths[-1], kind.classes)
        self.register_buffer("image_mean", torch.tensor(kind.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("image_deviation", torch.tensor(kind.deviation).view(-1, 1, 1), persistent=False)

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


def check_size(channels: int, cells: int) -> None:
    """Raises: ValueError if the weights of so many cells a stage are more than this machine holds."""
    kernels = 21 * 6 * 10 * cells * channels**2  # three stages of 1, 2 and 4 times the channels
    config.fits(f"the weights of {cells} cells a stage of {channels} channels", 4 * kernels)


def moved(images: Tensor, generator: torch.Generator, border: int, flip: bool) -> Tensor:
    """Random crops of the image within a black border of so many pixels, and random flips from left to right.

    Args: images (N, colours, H, W). Returns: as many of the same shape.
    """
    count, _, height, width = images.shape
    most = (2 * border + 1, 2 * border + 1, 2)[: 3 if flip else 2]
    down, right, *flips = (torch.randint(m, (count,), generator=generator, device=images.device) for m in most)
    windows = functional.pad(images, (border,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    cropped = windows[torch.arange(count, device=images.device), :, down, right]
    return torch.where(flips[0].bool().view(-1, 1, 1, 1), cropped.flip(3), cropped) if flip else cropped
