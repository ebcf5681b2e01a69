"""How is a task judged by trainings from scratch, whatever its network? What was found beside random architectures.

For tasks that can train one architecture: the rows of an evaluation, and the measure of a comparison. `from_scratch`
gives both to a task of one's own whose parent network is a `Supernet`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from nas.running import config, runs, training
from nas.running.searching import check_same
from nas.spaces.space import Space
from nas.supernets.supernet import Supernet
from nas.tasks.task import Comparison, Measure, Points, Request, Row, SpaceOf, Task, Training

S = TypeVar("S")
Train = Callable[[str, int], Row | None]  # architecture, seed -> figures of one training; None if stopped


def rows(space: Space, result: Mapping[str, Any], request: Request, train: Train) -> list[Row] | None:
    """Rows for `nas.judging.evaluate`: the found architecture and random ones, each trained; None if stopped."""
    asked = [("found", result["architecture"])]
    asked += [("random", random_architecture(space, 1000 * result["seed"] + n)) for n in range(request.randoms)]
    judged: list[Row] = []
    for model, architecture in asked:
        for seed in range(request.seeds):
            row = train(architecture, seed)
            if row is None:
                return None
            judged.append({"model": model, **row})
    return judged


def random_architecture(space: Space, seed: int) -> str:
    """An architecture drawn evenly from the space."""
    generator = torch.Generator().manual_seed(seed)
    return space.write(torch.randint(len(space.operations), (len(space.edges),), generator=generator).tolist())


def measure(
    space: SpaceOf[S],
    train: Callable[[Comparison[S], str, int], Row | None],
    describe: Callable[[Comparison[S]], str],
    label: str = "test accuracy of the derived cell, from scratch (%)",
    larger_is_better: bool = True,
) -> Measure[S]:
    """Searches are judged by "test" of what they stood for by the equal time and at their end, each trained.

    train: (comparison, architecture, seed) -> figures of one training, never done twice. Beside the methods stands one
    random architecture a seed.
    """

    def beside(comparison: Comparison[S]) -> list[Training]:
        drawn = space(comparison.experiment.network)
        return [(random_architecture(drawn, seed), seed) for seed in range(comparison.seeds)]

    def test(comparison: Comparison[S], architecture: str, seed: int) -> float:
        row = train(comparison, architecture, seed)
        if row is None:
            raise ValueError(f"the training of {architecture} with seed {seed} was stopped")
        return float(row["test"])

    def points(comparison: Comparison[S], folder: Path, equal_seconds: float) -> Points:
        return [(seconds, test(comparison, *one)) for seconds, one in _stood_for(folder, equal_seconds)]

    def trainings(comparison: Comparison[S], folders: list[Path], equal_seconds: float) -> list[Training]:
        cells = [one for folder in folders for _, one in _stood_for(folder, equal_seconds)]
        return list(dict.fromkeys([*cells, *beside(comparison)]))

    def references(comparison: Comparison[S]) -> dict[str, list[float]]:
        return {"random cells": [test(comparison, *one) for one in beside(comparison)]}

    return Measure(label, larger_is_better, describe, points, trainings, train, references)


# ------------------------------------------------------------------ a task of one's own


def from_scratch(task: Task[S], epochs: int, by: Literal["accuracy", "loss"] = "accuracy") -> Task[S]:
    """The task with an `evaluate` and a `measure`: one architecture's weights, trained alone and from their start.

    Trains the weights of the task's parent network that the architecture reaches, for so many epochs (`--epochs` of an
    evaluation goes before), on the minibatches of its weights; "test" is what it then says of its held-out minibatches,
    which therefore no step of a search should see. by: the figure, accuracy in percent or the loss.
    Raises: ValueError if the parent network is no `Supernet`, or has no such figure.

    >>> from nas.tasks.cifar10.task import TASK
    >>> from_scratch(replace(TASK, evaluate=None, measure=None), epochs=3).measure.label
    'test accuracy, from scratch (%)'
    """

    def once(root: Path, recipe: Recipe[S], data: Path | None, device: str, stopped: Callable[[], bool]) -> Row | None:
        trainee = Fixed(task.build(recipe.network, data, device, recipe.seed), recipe.architecture)
        recipe = replace(recipe, data=config.digest(trainee.network.fingerprint()))

        def row(trained: Fixed) -> Row:
            return {"parameters": trained.parameters, "test": trained.figure(by)}

        folder = runs.folder_of(root, "scratch", recipe, recipe.seed)
        return training.once(folder, recipe, recipe.epochs, lambda: trainee, row, device, stopped)

    def evaluate(folder: Path, settings: S, result: Mapping[str, Any], request: Request) -> list[Row] | None:
        check_same(folder, task.build(settings, request.data, request.device, result["seed"]), result["seed"])

        def train(architecture: str, seed: int) -> Row | None:
            recipe = Recipe(architecture, settings, seed, request.epochs or epochs)
            return once(folder, recipe, request.data, request.device, request.stopped)

        return rows(task.space(settings), result, request, train)

    def train(comparison: Comparison[S], architecture: str, seed: int) -> Row | None:
        recipe = Recipe(architecture, comparison.experiment.network, seed, epochs)
        root = comparison.root / f"{task.name}-final"
        return once(root, recipe, comparison.data, comparison.device, comparison.stopped)

    def describe(comparison: Comparison[S]) -> str:
        network = task.build(comparison.experiment.network, comparison.data, comparison.device, 0)
        return f"{task.name}: {getattr(network, 'about', 'data of its own')}"

    label = f"test {by}, from scratch" + (" (%)" if by == "accuracy" else "")
    judge = measure(task.space, train, describe, label, larger_is_better=by == "accuracy")
    return replace(task, evaluate=evaluate, measure=judge)


@dataclass(frozen=True)
class Recipe(Generic[S]):
    """One training from scratch of a task's architecture.

    data: a digest of the network with its data, so that a training is never taken for one on other data.
    """

    architecture: str
    network: S
    seed: int
    epochs: int
    data: str = ""


class Fixed:
    """A `nas.running.training.Trainee`: a parent network under one architecture's gates."""

    def __init__(self, network: Any, architecture: str) -> None:
        if not isinstance(network, Supernet):
            raise ValueError(f"a {type(network).__name__} is no Supernet: its task needs an `evaluate` of its own")
        self.network = network
        choices = torch.tensor(network.space.read(architecture), device=network.device)
        self.gates = functional.one_hot(choices, network.space.shape[1]).to(torch.get_default_dtype())
        self.steps_per_epoch = network.steps_per_epoch
        self.state, self.load = network.state, network.load

    @property
    def parameters(self) -> int:
        """How many weights the architecture reaches, and so trains."""
        return sum(weight.numel() for weight in self.network.reached(self.gates))

    def step(self, progress: float) -> Tensor:
        """One weight step."""
        return self.network.weight_step(self.gates, progress)

    def judged(self) -> dict[str, float]:
        """Nothing beside the loss."""
        return {}

    def figure(self, name: str) -> float:
        """What the held-out minibatches say. Raises: ValueError: what they do say."""
        known = self.network.validate(self.gates)
        if name not in known:
            raise ValueError(f"the network has no figure {name!r} to be judged by; it has {', '.join(known)}")
        return known[name]


# ------------------------------------------------------------------ helpers


def _stood_for(folder: Path, equal_seconds: float) -> list[tuple[float, Training]]:
    """When and what: the last record by the equal time, if there is one, and the search's result."""
    records, result = runs.records(folder), runs.result(folder)
    known = [record for record in records if record["seconds"] <= equal_seconds][-1:]
    moments = [(record["seconds"], record["architecture"]) for record in known if record is not records[-1]]
    moments.append((records[-1]["seconds"], result["architecture"]))
    return [(seconds, (architecture, result["seed"])) for seconds, architecture in moments]
