"""What accuracy does a NAS-Bench-201 cell reach? Looked up in the table, or trained from scratch as the benchmark did.

The recipe is the benchmark's (Dong & Yang, ICLR 2020): 200 epochs on all training images in whole minibatches of 256,
cropped and flipped; Nesterov SGD, rate 0.1 with a cosine to zero, momentum 0.9, decay 5e-4; judged on the test images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.nn import functional

from nas.data import nasbench201
from nas.data.cifar import Images
from nas.data.nasbench201 import Table
from nas.running import runs, training
from nas.spaces import nasbench201 as space
from nas.supernets.alone import Alone, space_of
from nas.supernets.descent import Descent
from nas.supernets.supernet import Supernet
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork
from nas.tasks.cifar10.network import CIFAR10, DataSet, Settings, augment, batches
from nas.tasks.task import Request, Row


@dataclass(frozen=True)
class Recipe:
    """One training from scratch; defaults are the benchmark's. images: how many of the 50,000, the first ones."""

    architecture: str
    seed: int = 0
    epochs: int = 200
    batch: int = 256
    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 5e-4
    channels: int = 16
    cells: int = 5
    images: int = 50_000
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        space.read(self.architecture)
        if self.epochs < 1 or not 1 <= self.batch <= self.images <= 50_000:
            raise ValueError(
                f"need epochs >= 1 and batch <= images <= 50000, not {self.epochs}, {self.batch}, {self.images}"
            )


def evaluate(
    folder: Path, settings: Settings, result: Mapping[str, Any], request: Request, of: DataSet = CIFAR10
) -> list[Row] | None:
    """Rows for `nas.judging.evaluate`: the found cell, random cells and the best one as the table has them.

    With `request.train` also the found cell trained from scratch in RUN/scratch, one row a seed; None if stopped.
    Raises: DataError without the table, unless the cell is trained.
    """
    table = nasbench201.at_hand(request.data) if request.train else nasbench201.load(request.data)
    rows = from_table(table, settings, result, request.randoms, of) if table is not None else []
    for seed in range(request.seeds if request.train else 0):
        recipe = Recipe(result["architecture"], seed, request.epochs or Recipe.epochs)
        row = train_once(folder, recipe, request.data, request.device, request.stopped, of)
        if row is None:
            return None
        rows.append({"model": f"{recipe.epochs} ep.", **row})
    return rows


def from_table(
    table: Table, settings: Settings, result: Mapping[str, Any], randoms: int, of: DataSet = CIFAR10
) -> list[Row]:
    """What the table has on the found cell, on random ones and on the best one."""
    generator = torch.Generator().manual_seed(result["seed"])
    operations = space.cell_space(settings.zero)
    drawn = torch.randint(len(operations.operations), (randoms, len(space.EDGES)), generator=generator)
    best = table.architectures[int(table.column(f"{of.name}_test").argmax())]
    asked = [("found", result["architecture"]), *(("random", operations.write(cell)) for cell in drawn.tolist())]
    return [{"model": name, **look_up(table, text, of)} for name, text in [*asked, ("best", best)]]


def look_up(table: Table, architecture: str, of: DataSet = CIFAR10) -> Row:
    """The cell's row of the NAS-Bench-201 table: accuracies in percent, parameters.

    Raises: ValueError in one line if the string is wrong.
    """
    index = table.find(architecture)
    return {
        "architecture": architecture,
        "index": index,
        "parameters": int(nasbench201.parameters(table.choices[index], of.name)),
        "validation": float(table.column(f"{of.name}_valid")[index]),
        "test": float(table.column(f"{of.name}_test")[index]),
    }


def train_once(
    root: Path,
    recipe: Recipe,
    data: Path | None,
    device: str,
    stopped: Callable[[], bool] = lambda: False,
    of: DataSet = CIFAR10,
) -> Row | None:
    """The figures of one training, never done twice, in a run folder of its own under `root`; None if stopped."""

    def row(trained: Alone) -> Row:
        return {"parameters": trained.parameters, "test": trained.accuracy(), "precision": recipe.precision}

    folder = runs.folder_of(root, "scratch", recipe, recipe.seed)
    return training.once(
        folder, recipe, recipe.epochs, lambda: Alone(build(recipe, *of.load(data), device, of)), row, device, stopped
    )


def build(recipe: Recipe, train: Images, test: Images, device: str, of: DataSet = CIFAR10) -> Supernet:
    """The cell's own network, with learned scales and running statistics: one candidate an edge."""
    torch.manual_seed(recipe.seed)
    names = tuple((space.OPERATIONS[choice],) for choice in space.read(recipe.architecture))
    alone = space_of(space.EDGES, recipe.architecture)
    norm = Norm(affine=True, statistics="running")
    model = CellNetwork(recipe.channels, recipe.cells, names, norm, of.kind)
    model.precision = getattr(torch, recipe.precision)
    weights = batches(train.part(0, recipe.images), recipe.batch, device, recipe.seed, augment)
    judged = batches(test, min(250, len(test.labels)), device)
    descent = Descent(recipe.rate, recipe.momentum, recipe.decay, clip=None)
    loss, model = functional.cross_entropy, model.to(device)
    return Supernet(alone, model, loss, weights, judged, judged, descent, running_statistics=True)
