"""A task that is not of this toolkit, for tests: which two of three sensors does a small network need?

The target depends on sensors 2 and 0, on 2 the most. It has every part that a task can have; `BARE` has none but those
that it must have.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.methods import Method
from nas.running import runs
from nas.spaces.space import Space
from nas.supernets import Batches, Descent, Edge, EdgeNetwork, Supernet
from nas.tasks.task import Comparison, Measure, Points, Request, Row, Task, Training

NAMES = ("sensor 0", "sensor 1", "sensor 2")


@dataclass(frozen=True)
class Settings:
    """units of a sensor; one_path: the form that only answers methods which run one path."""

    units: int = 4
    examples: int = 200
    batch: int = 20
    one_path: bool = True

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"units must be at least 1, not {self.units}")


class Sensor(nn.Module):
    """Reads one column of the input."""

    def __init__(self, column: int, units: int) -> None:
        super().__init__()
        self.column, self.layer = column, nn.Linear(1, units)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x[:, self.column : self.column + 1]))


class TwoSensors(nn.Module):
    """Two sensors of three, and a linear layer."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.left, self.right = (Edge([Sensor(column, units) for column in range(3)]) for _ in range(2))
        self.out = nn.Linear(2 * units, 2)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.out(torch.cat((self.left(x), self.right(x)), dim=1))
        return scores


def space(settings: Settings) -> Space:
    return EdgeNetwork(TwoSensors(settings.units)).space("sensors", NAMES)


def build(settings: Settings, data: Path | None, device: str, seed: int) -> Supernet:
    inputs = torch.randn(2 * settings.examples, 3, generator=torch.Generator().manual_seed(0)).to(device)
    targets = (inputs[:, 2] + 0.5 * inputs[:, 0] > 0).long()
    weights, architecture = (Batches(inputs[part::2], targets[part::2], settings.batch, seed + part) for part in (0, 1))
    torch.manual_seed(seed)
    model = EdgeNetwork(TwoSensors(settings.units)).to(device)
    descent = Descent(rate=0.1)
    return Supernet(space(settings), model, functional.cross_entropy, weights, architecture, architecture, descent)


def form(settings: Settings, method: Method) -> Settings:
    return settings if method.propagation == "sparse" else replace(settings, one_path=False)


def audited(settings: Settings) -> Settings:
    return replace(settings, one_path=False)


def trained(settings: Settings, architecture: str, seed: int) -> Row:
    """Figures of one architecture, trained alone for five epochs."""
    network = build(settings, None, "cpu", seed)
    gates = functional.one_hot(torch.tensor(network.space.read(architecture)), 3).float()
    total = 5 * network.steps_per_epoch
    for step in range(total):
        network.weight_step(gates, step / total)
    return {
        "architecture": architecture,
        "parameters": 2 * 2 * settings.units,
        "test": network.validate(gates)["accuracy"],
    }


def evaluate(folder: Path, settings: Settings, result: Mapping[str, Any], request: Request) -> list[Row] | None:
    rows = [{"model": "found", **trained(settings, result["architecture"], seed)} for seed in range(request.seeds)]
    return [*rows, {"model": "random", **trained(settings, "left=sensor 1,right=sensor 1", 0)}]


def describe(comparison: Comparison[Settings]) -> str:
    return f"made up, {comparison.experiment.network.examples} examples"


def accuracy(comparison: Comparison[Settings], folder: Path, equal_seconds: float) -> Points:
    ends = [record for record in runs.records(folder) if "validation" in record]
    return [(record["seconds"], record["validation"]["accuracy"]) for record in ends]


def trainings(comparison: Comparison[Settings], folders: list[Path], equal_seconds: float) -> list[Training]:
    return [("left=sensor 1,right=sensor 1", seed) for seed in range(comparison.seeds)]


def train(comparison: Comparison[Settings], architecture: str, seed: int) -> Row:
    return trained(comparison.experiment.network, architecture, seed)


def references(comparison: Comparison[Settings]) -> dict[str, list[float]]:
    return {"sensor 1 alone": [train(comparison, *training)["test"] for training in trainings(comparison, [], 0.0)]}


MEASURE = Measure("accuracy (%)", True, describe, accuracy, trainings, train, references)
TASK = Task("sensors", Settings, space, build, form, audited, evaluate, MEASURE)
BARE = Task("bare", Settings, space, build)
