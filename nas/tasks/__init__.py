"""Which searches are there, and what are their settings?

A task is a module with `Settings` (a frozen dataclass), `build(settings, data, device, seed) -> ParentNetwork`, and
`fits(settings, method)`, whether the network in this form can answer what the method asks.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

from nas import methods
from nas.running import config
from nas.search import SearchSettings
from nas.supernets.parent import ParentNetwork

N = TypeVar("N")

TASKS = {"ptb": "nas.tasks.text.network", "cifar10": "nas.tasks.cifar10.network"}
FOLDERS = {"ptb": "text", "cifar10": "cifar10"}


@dataclass(frozen=True)
class Experiment(Generic[N]):
    """All settings of one search: the network's (with its data) and the architecture's."""

    network: N
    search: SearchSettings = field(default_factory=SearchSettings)
    task: str = "ptb"


def load(task: str, preset: str, file: Path | None, sets: Sequence[str]) -> Experiment[Any]:
    """The experiment of a task: preset, then TOML file, then --set. Raises: ValueError in one line."""
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; known: {', '.join(TASKS)}")
    text = resources.files("nas.tasks").joinpath(FOLDERS[task], "presets", f"{task}-{preset}.toml")
    base = config.read_toml(Path(str(text)))
    experiment = config.load(_kind(task), file, sets, base={"network": {}, **base, "task": task})
    if experiment.task != task:
        raise ValueError(f"setting task: it is the command's word, {task!r}, and cannot be {experiment.task!r}")
    return experiment


def reload(folder: Path) -> Experiment[Any]:
    """The experiment of an existing run folder."""
    values = config.read_toml(folder / "config.toml")
    if values.get("task") not in TASKS:
        raise ValueError(f"{folder} is not a search run: its config.toml names task {values.get('task')!r}")
    return config.load(_kind(values["task"]), base={"network": {}, **values})


def build(experiment: Experiment[Any], data: Path | None, device: str, seed: int) -> ParentNetwork:
    """The parent network of an experiment, with its data.

    Raises: ValueError in one line if the data is not there, or the method does not suit the network's form.
    """
    if not fits(experiment):
        raise ValueError(
            f"network.static = true runs one operation an edge; set it to false for method {experiment.search.method}"
        )
    module = importlib.import_module(TASKS[experiment.task])
    network: ParentNetwork = module.build(experiment.network, data, device, seed)
    return network


def fits(experiment: Experiment[Any]) -> bool:
    """Whether the method can be served by the network's form."""
    module = importlib.import_module(TASKS[experiment.task])
    return bool(module.fits(experiment.network, methods.find(experiment.search.method)))


def _kind(task: str) -> type[Experiment[Any]]:
    generic: Any = Experiment
    kind: type[Experiment[Any]] = generic[importlib.import_module(TASKS[task]).Settings]
    return kind
