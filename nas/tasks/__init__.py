"""Which tasks are there? Those of this toolkit by a short name, and yours as `package.module:TASK`.

What a task is: nas/tasks/task.py. What a program does with one: nas/tasks/experiments.py. Each task of this toolkit has
a folder here, with its network, cell, training from scratch, measure, presets and `TASK`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.running import plugins

if TYPE_CHECKING:
    from nas.tasks.task import Task

BUILT_IN = {
    "ptb": "nas.tasks.text.task:TASK",
    "text": "nas.tasks.text.task:TEXT",
    "cifar10": "nas.tasks.cifar10.task:TASK",
    "cifar100": "nas.tasks.cifar100.task:TASK",
    "images": "nas.tasks.images.task:TASK",
    "digits": "nas.tasks.digits.task:TASK",
}
SHARING = {"cifar100": "cifar10"}  # has the presets of another task
KNOWN = f"{', '.join(BUILT_IN)}, or your own as package.module:TASK"


def find(name: str) -> "Task[Any]":
    """The task called `name`, of this toolkit or, as `package.module:TASK`, a `nas.tasks.task.Task` of your own.

    Raises: ValueError in one line: the known names, or what is wrong with your object.
    """
    from nas.tasks.task import Task  # not above: a help text lists the names without loading torch

    if name in BUILT_IN:
        task: Task[Any] = plugins.built_in(BUILT_IN[name])
        return task
    if not plugins.is_own(name):
        raise ValueError(f"unknown task {name!r}; known: {KNOWN}")
    task = plugins.load(name, "task", Task)
    return task


def presets() -> dict[str, list[str]]:
    """Names of the presets of this toolkit's tasks, for help texts: nothing is loaded."""
    rooms = {name: where.split(".")[2] for name, where in BUILT_IN.items()} | SHARING
    folders = {name: Path(__file__).parent / room / "presets" for name, room in rooms.items()}
    return {name: sorted(file.stem for file in folder.glob("*.toml")) for name, folder in folders.items()}
