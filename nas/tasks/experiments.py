"""How do a task and its settings become an experiment, a run folder one again, and an experiment a network?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from nas import methods, tasks
from nas.running import config
from nas.search import check_zero, penalty_of
from nas.settings import build_method
from nas.supernets.parent import ParentNetwork
from nas.tasks.task import Experiment, Task

S = TypeVar("S")


def load(
    task_name: str,
    preset: str | None = None,
    file: Path | Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    usual_preset: str | None = None,
) -> Experiment[Any]:
    """The experiment of a task: its defaults, then the preset, then a TOML file, then texts "key=value".

    file: or the nested values that one would hold. usual_preset: taken where none is asked for and the task has it.
    Raises: ValueError in one line if the task, the preset or a setting is unknown or wrong.
    """
    task = tasks.find(task_name)
    presets = task.known_presets()
    if preset is not None and preset not in presets:
        known = f"known: {', '.join(presets)}" if presets else "it has none"
        raise ValueError(f"unknown preset {preset!r} of task {task.name}; {known}")
    chosen = preset or (usual_preset if usual_preset in presets else None)
    base = config.read_toml(presets[chosen]) if chosen is not None else {}
    experiment = config.load(_kind(task), file, sets, base={"network": {}, **base, "task": task_name})
    if experiment.task != task_name:
        raise ValueError(f"setting task: it is the command's word, {task_name!r}, and cannot be {experiment.task!r}")
    return experiment


def reload(folder: Path) -> Experiment[Any]:
    """The experiment of an existing run folder. Raises: ValueError in one line if it is none, or of no known task."""
    values = config.read_toml(folder / "config.toml")
    if not isinstance(values.get("task"), str):
        raise ValueError(f"{folder} is not a search run: its config.toml names no task")
    return config.load(_kind(tasks.find(values["task"])), base={"network": {}, **values})


def build(experiment: Experiment[Any], data: Path | None, device: str, seed: int) -> ParentNetwork:
    """The parent network of an experiment, with its data.

    Raises: ValueError in one line if the data is not there, the method asks more than the network's form answers, or
    its operations have no price that is asked for.
    """
    check(experiment)
    network = tasks.find(experiment.task).build(experiment.network, data, device, seed)
    penalty_of(network, build_method(experiment.search), experiment.search)
    return network


def check(experiment: Experiment[Any]) -> None:
    """Refuse, before any data is read, a method that the network's form or the search's settings do not serve.

    Raises: ValueError in one line.
    """
    given, needed = asdict(experiment.network), asdict(served(experiment).network)
    if apart := [name for name in given if given[name] != needed[name]]:
        now, then = (", ".join(f"network.{name}={_toml(values[name])}" for name in apart) for values in (given, needed))
        raise ValueError(f"method {experiment.search.method} asks more than the network answers with {now}; set {then}")
    check_zero(
        tasks.find(experiment.task).space(experiment.network), build_method(experiment.search), experiment.search
    )


def served(experiment: Experiment[S]) -> Experiment[S]:
    """The experiment with the network in the form that serves its method. Raises: ValueError if none does."""
    task, method = tasks.find(experiment.task), methods.find(experiment.search.method)
    return replace(experiment, network=task.form(experiment.network, method))


def audited(experiment: Experiment[S]) -> Experiment[S]:
    """The experiment with the network in the form that an audit asks."""
    return replace(experiment, network=tasks.find(experiment.task).audited(experiment.network))


# ------------------------------------------------------------------ helpers


def _toml(value: Any) -> str:
    return json.dumps(config.NONE if value is None else value)


def _kind(task: Task[S]) -> type[Experiment[S]]:
    generic: Any = Experiment
    kind: type[Experiment[S]] = generic[task.settings]
    return kind
