"""What is the parent network on images of one's own, and on which of them are weights and architecture trained?

The network of cells (nas/tasks/cells/network.py) with as many colours and classes as the images have, and with their
mean and deviation. A share of the images is kept for the test of what is found; one half of the rest trains the
weights, the other the architecture (nas/data/images.py: split).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional

from nas.data import images as files
from nas.data.images import LabelledImages
from nas.data.places import DataError
from nas.data.stored import Stored
from nas.running import config
from nas.spaces import nasbench201
from nas.spaces.space import Space
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent
from nas.supernets.supernet import Supernet
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork, ImageKind, check_size, moved


@dataclass(frozen=True)
class Settings:
    """The network, its images and its weights' training.

    - path: a folder of class folders or with x.npy and y.npy, or an .npz file with x and y (nas/data/images.py).
    - size: the side that each image is given, a multiple of 4; 0 for images as they are.
    - test: the share of each class that is kept for training from scratch.
    - channels: of the first stage; each later one has twice as many.
    - cells: of each of the three stages.
    - zero: whether the operation `none` competes.
    - batch: images a step.
    - augment: random crops within a border of an eighth of the image, and flips where a mirror image is of its class.
    - rate: of the weights' Nesterov SGD at its beginning; a cosine takes it to zero.
    - momentum, decay: of the weights' SGD.
    - clip: the largest norm of the weights' gradient.
    - held_out: how many of the architecture's images score the current architecture for the record.
    - final_epochs: of a training from scratch.
    - unseen: how many of the architecture's images are kept from architecture steps and score instead.
    - disk: whether images are read when a minibatch is asked for, instead of being held in memory.
    """

    path: str = ""
    size: int = 0
    test: float = 0.2
    channels: int = 16
    cells: int = 5
    zero: bool = False
    batch: int = 64
    augment: Literal["none", "crop", "crop and flip"] = "crop"
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    clip: float | None = 1.0
    held_out: int = 2_560
    final_epochs: int = 100
    unseen: int = config.later(0)
    disk: bool = config.later(False)

    def __post_init__(self) -> None:
        config.within(self, size=(0, files.MOST_SIDE), channels=(1, 4096), cells=(1, 1000), batch=(2, 1 << 20))
        config.within(self, held_out=(2, 1 << 40), final_epochs=(1, 1_000_000), unseen=(0, 1 << 40))
        if self.size % 4:
            raise ValueError(f"size must be a multiple of 4, or 0 for images as they are, not {self.size}")
        if not 0 < self.test < 1:
            raise ValueError(f"need 0 < test < 1, not {self.test}")
        descent(self)  # refuses what does not descend


def space(settings: Settings) -> Space:
    """The cell's space, with or without `none`."""
    return nasbench201.cell_space(settings.zero)


def build(settings: Settings, data: Path | None, device: str, seed: int) -> Supernet:
    """The parent network with its images. Raises: DataError in one line if they are missing or wrong."""
    check_size(settings.channels, settings.cells)
    return assemble(settings, images_of(settings, data), device, seed)


def images_of(settings: Settings, data: Path | None) -> LabelledImages:
    """The images that the settings name. Raises: DataError in one line."""
    if not settings.path:
        raise DataError(
            "which images? add --set network.path=FOLDER, a folder of class folders, or an .npz file with x and y"
        )
    return files.load(files.find(settings.path, data), settings.size, settings.disk)


def assemble(settings: Settings, images: LabelledImages, device: str, seed: int) -> Supernet:
    """The parent network on given images. Raises: DataError if a half of them has no whole minibatch."""
    torch.manual_seed(seed)
    cells = space(settings)
    of_weights, of_architecture, _ = files.split(images.labels, settings.test)
    if (fewest := min(len(of_weights), len(of_architecture))) < settings.batch:
        raise DataError(
            f"{images.name} has {fewest:,} images for a half, fewer than network.batch={settings.batch}; "
            "set a smaller one, or add images"
        )
    if settings.unseen > (most := len(of_architecture) - settings.batch):
        raise DataError(
            f"{images.name} has {len(of_architecture):,} images for the architecture, and a step takes "
            f"network.batch={settings.batch}: network.unseen must be at most {most}, not {settings.unseen}"
        )
    seen = len(of_architecture) - settings.unseen
    scoring = of_architecture[seen:] if settings.unseen else of_architecture[: settings.held_out]
    parts = [images.part(chosen) for chosen in (of_weights, of_architecture[:seen])]
    held_out = images.part(scoring)
    kind = kind_of(images, settings)
    candidates = (cells.operations,) * len(cells.edges)
    model = CellNetwork(settings.channels, settings.cells, candidates, Norm(), kind)
    weights, architecture = (minibatches(part, settings, device, 2 * seed + place) for place, part in enumerate(parts))
    return Supernet(
        cells,
        model.to(device),
        functional.cross_entropy,
        weights,
        architecture,
        minibatches(held_out, settings, device, size=min(256, len(held_out.labels))),
        descent(settings),
        about=f"{images}; {len(parts[0].labels):,} for the weights, {len(parts[1].labels):,} for the architecture",
        held_out_unseen=settings.unseen > 0,
    )


def kind_of(images: LabelledImages, settings: Settings) -> ImageKind:
    """Classes, and mean and deviation of each colour over all images but those of the test, to four digits."""
    weights, architecture, _ = files.split(images.labels, settings.test)
    known = np.concatenate((weights, architecture))
    colours = images.pixels.shape[1]
    counts = np.zeros((colours, 256))
    for start in range(0, len(known), 128):  # a few at a time: numbers of 8 bytes take eight times the memory
        some = images.pixels[known[start : start + 128]]
        counts += [np.bincount(some[:, colour].ravel(), minlength=256) for colour in range(colours)]
    chances, values = counts / counts.sum(axis=1, keepdims=True), np.arange(256)
    mean = chances @ values
    deviation = np.sqrt((chances * (values - mean[:, None]) ** 2).sum(axis=1))
    deviation[deviation < 0.5] = 1.0  # a colour that is the same everywhere says nothing, and divides by zero
    return ImageKind(len(images.classes), _rounded(mean), _rounded(deviation))


def minibatches(
    images: LabelledImages, settings: Settings, device: str, seed: int | None = None, size: int | None = None
) -> Batches:
    """Minibatches of images, bytes on the device or on the disk: shuffled and augmented with a seed, else in order."""
    stored = isinstance(images.pixels, Stored)
    pixels: Any = images.pixels if stored else torch.from_numpy(images.pixels)
    pixels, labels = pixels.to(device), torch.from_numpy(images.labels).to(device)
    transform = None
    if seed is not None and settings.augment != "none":
        border = max(1, min(pixels.shape[2:]) // 8)
        transform = partial(moved, border=border, flip=settings.augment == "crop and flip")
    return Batches(pixels, labels, size or settings.batch, seed or 0, transform, shuffle=seed is not None)


def descent(settings: Settings) -> Descent:
    """How the weights move."""
    return Descent(settings.rate, settings.momentum, settings.decay, settings.clip)


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
