"""What is the CIFAR-10 parent network, and on which images are its weights and its architecture trained?

The network of cells (nas/tasks/cells/network.py) with a stem of 16 channels and five cells a stage. Trained from
scratch with one operation an edge, it is the benchmark's own network. CIFAR-100's is the same (nas/tasks/cifar100), on
another `DataSet`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nas.data import cifar10, nasbench201
from nas.data.cifar import Images
from nas.running import config
from nas.spaces import nasbench201 as space
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent
from nas.supernets.supernet import Supernet
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork, ImageKind, check_size, moved
from nas.tasks.cifar10.fixed_graph import FixedGraphSupernet

KIND = ImageKind(  # of the training pixels, as NAS-Bench-201 rounds them
    len(cifar10.CLASSES), mean=(125.3, 123.0, 113.9), deviation=(63.0, 62.1, 66.7)
)


@dataclass(frozen=True)
class DataSet:
    """50,000 training and 10,000 test images of which the benchmark's table speaks.

    name: of its task, and of its columns in the table; what, for people; kind, of its images; load: the images that lie
    under a folder. Raises: DataError if they are missing or damaged.
    """

    name: str
    what: str
    kind: ImageKind
    load: Callable[[Path | None], tuple[Images, Images]]


CIFAR10 = DataSet("cifar10", "CIFAR-10", KIND, cifar10.load)


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
    - unseen: how many of the architecture's images are kept from architecture steps and score instead.
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
        if not self.unseen and not 1 <= self.held_out <= self.images:  # unseen ones score in their place
            raise ValueError(f"need 1 <= held_out <= images, not {self.held_out}")
        if not 0 <= self.unseen <= self.images - self.batch:
            raise ValueError(
                f"need 0 <= unseen <= images - batch, not {self.unseen}: the architecture needs images, too"
            )
        descent(self)  # refuses what does not descend
        if self.static and (self.affine or self.statistics != "batch"):
            raise ValueError("static = true normalises by the batch alone: it needs affine = false, statistics = batch")


def build(settings: Settings, data: Path | None, device: str, seed: int, of: DataSet = CIFAR10) -> Supernet:
    """The parent network with its images. Raises: ValueError in one line if they are missing or damaged."""
    check_size(settings.channels, settings.cells)
    train, _ = of.load(data)
    return assemble(settings, train, device, seed, table_figures(data, settings.zero, of), of)


def descent(settings: Settings) -> Descent:
    """How the weights move."""
    return Descent(settings.rate, settings.momentum, settings.decay, settings.clip)


def assemble(
    settings: Settings,
    train: Images,
    device: str,
    seed: int,
    figures: Callable[[list[int]], dict[str, float]] | None = None,
    of: DataSet = CIFAR10,
) -> Supernet:
    """The parent network on given images: the first half trains weights, the second half the architecture."""
    torch.manual_seed(seed)
    cell_space = space.cell_space(settings.zero)
    candidates = (cell_space.operations,) * len(cell_space.edges)
    norm = Norm(settings.affine, settings.statistics)
    model = CellNetwork(settings.channels, settings.cells, candidates, norm, of.kind)
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
    kind = FixedGraphSupernet if settings.static else Supernet
    model, loss = model.to(device), functional.cross_entropy
    about = f"{of.what}, 2 × {len(parts[0].labels):,} training images"
    unseen = settings.unseen > 0
    running = settings.statistics == "running"
    return kind(
        cell_space, model, loss, weights, architecture, judged, descent(settings), figures, about, unseen, running
    )


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
    return moved(images, generator, border=4, flip=True)


def table_figures(
    data: Path | None, zero: bool, of: DataSet = CIFAR10
) -> Callable[[list[int]], dict[str, float]] | None:
    """Table accuracy of a cell's operation indices, for the record, where the NAS-Bench-201 table is at hand.

    Raises: DataError if it is there and damaged.
    """
    table = nasbench201.at_hand(data)
    if table is None:
        return None
    test, valid = table.cube(f"{of.name}_test"), table.cube(f"{of.name}_valid")
    first = space.OPERATIONS.index(space.cell_space(zero).operations[0])

    def figures(choices: list[int]) -> dict[str, float]:
        cell = tuple(first + choice for choice in choices)
        return {"table_test_accuracy": float(test[cell]), "table_valid_accuracy": float(valid[cell])}

    return figures
