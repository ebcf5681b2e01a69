"""How good is a cell on handwritten digits? Its own network, trained from scratch on two thirds, judged on the last.

Also what searches are compared by: the test accuracy of the cell that a search stood for, beside that of random cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from nas.running import runs, training
from nas.spaces import nasbench201
from nas.supernets.alone import Alone, space_of
from nas.supernets.batches import Batches
from nas.supernets.supernet import Supernet
from nas.tasks import judged
from nas.tasks.cells.cell import Norm
from nas.tasks.digits.network import THIRD, DigitsNetwork, Settings, descent, space, thirds
from nas.tasks.task import Comparison, Request, Row


@dataclass(frozen=True)
class Recipe:
    """One training from scratch."""

    architecture: str
    seed: int = 0
    network: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        nasbench201.read(self.architecture)


def evaluate(folder: Path, settings: Settings, result: Mapping[str, Any], request: Request) -> list[Row] | None:
    """Rows for `nas.judging.evaluate`: the found cell and random ones, each trained from scratch in RUN/scratch."""
    if request.epochs is not None:
        settings = Settings(**{**vars(settings), "final_epochs": request.epochs})

    def train(architecture: str, seed: int) -> Row | None:
        return train_once(folder, Recipe(architecture, seed, settings), request.device, request.stopped)

    return judged.rows(space(settings), result, request, train)


def train_once(root: Path, recipe: Recipe, device: str, stopped: Callable[[], bool] = lambda: False) -> Row | None:
    """The figures of one training, never done twice, in a run folder of its own under `root`; None if stopped."""

    def row(trained: Alone) -> Row:
        return {"parameters": trained.parameters, "test": trained.accuracy()}

    folder, epochs = runs.folder_of(root, "scratch", recipe, recipe.seed), recipe.network.final_epochs
    return training.once(folder, recipe, epochs, lambda: Alone(build(recipe, device)), row, device, stopped)


def build(recipe: Recipe, device: str) -> Supernet:
    """The cell's own network, with learned scales and running statistics, on both training thirds."""
    torch.manual_seed(recipe.seed)
    names = tuple((nasbench201.OPERATIONS[choice],) for choice in nasbench201.read(recipe.architecture))
    model = DigitsNetwork(recipe.network.channels, names, Norm(affine=True, statistics="running"))
    first, second, test = thirds(recipe.network.batch, device, recipe.seed)
    both = (torch.cat((first.inputs, second.inputs)), torch.cat((first.targets, second.targets)))
    weights = Batches(*both, recipe.network.batch, recipe.seed)
    alone = space_of(nasbench201.EDGES, recipe.architecture)
    return Supernet(alone, model.to(device), functional.cross_entropy, weights, test, test, descent(recipe.network))


# ------------------------------------------------------------------ what searches are compared by


def describe(comparison: Comparison[Settings]) -> str:
    """What is searched on."""
    return f"handwritten digits, 2 × {THIRD} training images; {comparison.experiment.network.channels} channels"


def train(comparison: Comparison[Settings], architecture: str, seed: int) -> Row | None:
    """The figures of one training under ROOT/digits-final, never done twice; None if stopped."""
    recipe = Recipe(architecture, seed, comparison.experiment.network)
    return train_once(comparison.root / "digits-final", recipe, comparison.device, comparison.stopped)


MEASURE = judged.measure(space, train, describe)
