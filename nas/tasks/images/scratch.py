"""How good is a cell on images of one's own? Its own network, trained from scratch, judged on images kept for that.

Trained on both halves that a search sees; also what searches are compared by, beside random cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from nas.data import images as files
from nas.data.images import LabelledImages
from nas.running import runs, training
from nas.running.searching import check_same
from nas.spaces import nasbench201
from nas.supernets.alone import Alone, space_of
from nas.supernets.edge import choose
from nas.supernets.supernet import Supernet
from nas.tasks import judged
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork
from nas.tasks.images.network import Settings, assemble, descent, images_of, kind_of, minibatches, space
from nas.tasks.task import Comparison, Request, Row

AT_ONCE = 250  # images that are judged together


@dataclass(frozen=True)
class Recipe:
    """One training from scratch. images: their digest, so that a training is never taken for one on others."""

    architecture: str
    seed: int
    network: Settings
    images: str

    def __post_init__(self) -> None:
        nasbench201.read(self.architecture)


def evaluate(folder: Path, settings: Settings, result: Mapping[str, Any], request: Request) -> list[Row] | None:
    """Rows for `nas.judging.evaluate`: the found cell and random ones, each trained from scratch in RUN/scratch.

    Raises: RunError if the search saw other images.
    """
    images = images_of(settings, request.data)
    check_same(folder, assemble(settings, images, "cpu", result["seed"]), result["seed"])
    if request.epochs is not None:
        settings = replace(settings, final_epochs=request.epochs)

    def train(architecture: str, seed: int) -> Row | None:
        recipe = Recipe(architecture, seed, settings, images.digest)
        return train_once(folder, recipe, images, request.device, request.stopped)

    return judged.rows(space(settings), result, request, train)


def train_once(
    root: Path, recipe: Recipe, images: LabelledImages, device: str, stopped: Callable[[], bool] = lambda: False
) -> Row | None:
    """The figures of one training, never done twice, in a run folder of its own under `root`; None if stopped."""

    def row(trained: Alone) -> Row:
        return {"parameters": trained.parameters, "test": accuracy(trained, images, recipe.network.test, device)}

    folder, epochs = runs.folder_of(root, "scratch", recipe, recipe.seed), recipe.network.final_epochs
    return training.once(folder, recipe, epochs, lambda: Alone(build(recipe, images, device)), row, device, stopped)


def build(recipe: Recipe, images: LabelledImages, device: str) -> Supernet:
    """The cell's own network, with learned scales and running statistics, on all images but those of the test."""
    settings = recipe.network
    torch.manual_seed(recipe.seed)
    names = tuple((nasbench201.OPERATIONS[choice],) for choice in nasbench201.read(recipe.architecture))
    norm = Norm(affine=True, statistics="running")
    model = CellNetwork(settings.channels, settings.cells, names, norm, kind_of(images, settings))
    train = images.part(np.concatenate(files.split(images.labels, settings.test)[:2]))
    weights = minibatches(train, settings, device, recipe.seed)
    alone = space_of(nasbench201.EDGES, recipe.architecture)
    loss = functional.cross_entropy
    return Supernet(
        alone, model.to(device), loss, weights, weights, weights, descent(settings), running_statistics=True
    )


def accuracy(alone: Alone, images: LabelledImages, test: float, device: str) -> float:
    """Percent right of all images of the test."""
    tests = images.part(files.split(images.labels, test)[2])
    network, right = alone.network, 0
    network.model.eval()
    with torch.no_grad():
        for start in range(0, len(tests.labels), AT_ONCE):
            pixels, labels = (
                torch.from_numpy(part[start : start + AT_ONCE]).to(device) for part in (tests.pixels, tests.labels)
            )
            scores = network.model(pixels, choose(alone.gates, alone.gates))
            right += int((scores.argmax(dim=1) == labels).sum())
    return 100 * right / len(tests.labels)


# ------------------------------------------------------------------ what searches are compared by


def describe(comparison: Comparison[Settings]) -> str:
    """The images. Raises: DataError if they are not there."""
    settings = comparison.experiment.network
    return f"{images_of(settings, comparison.data)}; {settings.channels} channels, {settings.cells} cells a stage"


def train(comparison: Comparison[Settings], architecture: str, seed: int) -> Row | None:
    """The figures of one training under ROOT/images-final, never done twice; None if stopped."""
    settings = comparison.experiment.network
    images = images_of(settings, comparison.data)
    recipe = Recipe(architecture, seed, settings, images.digest)
    return train_once(comparison.root / "images-final", recipe, images, comparison.device, comparison.stopped)


MEASURE = judged.measure(space, train, describe)
