"""What does the found cell's network look like as plain PyTorch that needs nothing of this toolkit?

The source is written for one cell, so that it reads as that cell; tests hold it against nas/tasks/cells/network.py.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.running import config, runs
from nas.spaces import nasbench201 as space
from nas.tasks.cells.cell import EPSILON, KERNEL, MOMENTUM
from nas.tasks.cells.network import ImageKind
from nas.tasks.task import Exported


@dataclass(frozen=True)
class Size:
    """channels of the first stage, and cells a stage."""

    channels: int
    cells: int


def exported(
    kind: ImageKind,
    size: Size,
    result: Mapping[str, Any],
    weights: Path | None,
    names: Sequence[str] = (),
    sides: tuple[int, int] = (32, 32),
) -> Exported:
    """The found cell's network as source, and the tensors of its `state_dict` if `weights` names a run that has them.

    size: of the search's network. names: of the classes, where the source is to say them. sides: height and width of
    the images.
    """
    architecture: str = result["architecture"]
    operations = [space.OPERATIONS[choice] for choice in space.read(architecture)]
    edges = tuple((*edge, name) for edge, name in zip(space.EDGES, operations, strict=True))
    asked = torch.zeros(2, kind.colours, *sides, dtype=torch.uint8)
    if weights is None:  # as the benchmark trains it
        return Exported(edges, source(architecture, kind, size, affine=True, running=True, names=names), asked=asked)
    tensors = _tensors(architecture, list(result["choices"]), weights)
    cells = config.read_toml(weights / runs.CONFIG).get("cells", size.cells)  # a training on CIFAR-10 says its own
    affine, running = "norm.weight" in tensors, "norm.running_mean" in tensors
    trained = Size(len(tensors["stem.conv.weight"]), cells)
    return Exported(edges, source(architecture, kind, trained, affine, running, names), tensors, asked)


def source(
    architecture: str, kind: ImageKind, size: Size, affine: bool, running: bool, names: Sequence[str] = ()
) -> str:
    """A Python module with the network of one cell."""
    operations = [space.OPERATIONS[choice] for choice in space.read(architecture)]
    layers, lines = [], []
    for target in (1, 2, 3):
        terms = []
        for edge, (start, end) in enumerate(space.EDGES):
            name = operations[edge]
            if end != target or name == "none":
                continue
            if name in KERNEL:
                layers.append(f"        self.edge{edge} = ConvNorm(channels, channels, {KERNEL[name]})")
                terms.append(f"self.edge{edge}(node{start})")
            else:
                terms.append(f"node{start}" if name == "skip_connect" else f"pool(node{start})")
        lines.append(f"        node{target} = {' + '.join(terms) or 'torch.zeros_like(node0)'}")
    return _TEMPLATE.format(
        architecture=architecture,
        layers="\n".join(layers) or "        pass  # no operation of this cell has weights",
        lines="\n".join(lines),
        channels=size.channels,
        cells=size.cells,
        colours=kind.colours,
        classes=kind.classes,
        names=f"CLASSES = {tuple(names)!r}  # what the scores are of, in order\n" if names else "",
        affine=affine,
        running=running,
        mean=kind.mean,
        deviation=kind.deviation,
        epsilon=EPSILON,
        momentum=MOMENTUM,
    )


_TEMPLATE = '''"""A network of NAS-Bench-201's shape, made of the cell

    {architecture}

Needs PyTorch alone. Network() has fresh weights, load(FILE) those of a safetensors file.
"""

import torch
from torch import nn
from torch.nn import functional

AFFINE, RUNNING = {affine}, {running}  # learned scales, and running statistics, of the batch normalisation
MEAN, DEVIATION = {mean}, {deviation}  # of the training pixels, 0 to 255
{names}

class Cell(nn.Module):
    """The cell: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels):
        super().__init__()
{layers}

    def forward(self, node0):
{lines}
        return node3


class ConvNorm(nn.Module):
    """ReLU (unless `relu` is false), convolution without bias, batch normalisation."""

    def __init__(self, inputs, outputs, size, stride=1, relu=True):
        super().__init__()
        self.relu = relu
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
        self.norm = batch_norm(outputs)

    def forward(self, x):
        return self.norm(self.conv(torch.relu(x) if self.relu else x))


class Reduction(nn.Module):
    """A residual block of stride 2: (N, C, H, W) -> (N, 2C, H/2, W/2)."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride=2)
        self.second = ConvNorm(outputs, outputs, 3)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return self.second(self.first(x)) + self.shortcut(functional.avg_pool2d(x, 2))


class Network(nn.Module):
    """Pixels (N, {colours}, H, W) from 0 to 255 -> class scores (N, classes). H and W are multiples of 4."""

    def __init__(self, channels={channels}, cells={cells}, classes={classes}):
        super().__init__()
        self.stem = ConvNorm({colours}, channels, 3, relu=False)
        widths = [channels, 2 * channels, 4 * channels]
        self.stages = nn.ModuleList(nn.ModuleList(Cell(width) for _ in range(cells)) for width in widths)
        self.reductions = nn.ModuleList(Reduction(width, 2 * width) for width in widths[:-1])
        self.norm = batch_norm(widths[-1])
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, pixels):
        kind = self.linear.weight
        mean, deviation = (kind.new_tensor(row).view({colours}, 1, 1) for row in (MEAN, DEVIATION))
        x = self.stem((pixels.to(kind.dtype) - mean) / deviation)
        for place, stage in enumerate(self.stages):
            if place:
                x = self.reductions[place - 1](x)
            for cell in stage:
                x = cell(x)
        return self.linear(torch.relu(self.norm(x)).mean(dim=(2, 3)))


def batch_norm(channels):
    return nn.BatchNorm2d(channels, {epsilon}, {momentum}, affine=AFFINE, track_running_stats=RUNNING)


def pool(x):
    """3x3 average over the pixels inside the image."""
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def load(file):
    """The network with the weights of a safetensors file, ready to be asked."""
    from safetensors.torch import load_file

    network = Network()
    network.load_state_dict(load_file(file))
    return network.eval()
'''


# ------------------------------------------------------------------ weights


def _tensors(architecture: str, choices: list[int], folder: Path) -> dict[str, Tensor]:
    """Tensors of a run's checkpoint under the source's names: of a search, those of the chosen operations."""
    found, _ = runs.read_checkpoint(folder / runs.CHECKPOINT)
    searched = any(name.startswith("network/") for name in found)
    kept = {name.removeprefix("network/"): tensor for name, tensor in found.items()}
    kept = {name.removeprefix("model."): tensor for name, tensor in kept.items() if name.startswith("model.")}
    if not searched and (folder / runs.RESULT).exists() and runs.result(folder)["architecture"] != architecture:
        raise ValueError(f"{folder} trained another cell, {runs.result(folder)['architecture']}")
    if "stem.weight" not in kept:
        raise ValueError(f"{folder} holds no weights of this task: give a search's or a training's run folder")
    tensors: dict[str, Tensor] = {}
    for name, tensor in kept.items():
        inside = re.search(r"\.convolutions\.(\d+)_(\d+)\.", name)
        if inside:
            edge, k = map(int, inside.groups())
            if searched and choices[edge] != k:
                continue
            name = name.replace(inside[0], f".edge{edge}.")
        tensors[_renamed(name)] = tensor
    for name in [name for name in tensors if name.endswith("running_mean")]:
        tensors.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.zeros((), dtype=torch.int64))
    return tensors


def _renamed(name: str) -> str:
    head, _, last = name.rpartition(".")
    inner = {
        "weight": "conv.weight",
        "scale": "norm.weight",
        "shift": "norm.bias",
        "mean": "norm.running_mean",
        "variance": "norm.running_var",
    }
    normalised = head == "stem" or ".edge" in head or head.endswith((".first", ".second"))
    return f"{head}.{inner[last]}" if normalised else name
