"""The task `digits`: cells of NAS-Bench-201 on handwritten digits, in seconds."""

from pathlib import Path

from nas.spaces import nasbench201
from nas.spaces.space import Space
from nas.tasks.digits.network import Settings, build
from nas.tasks.digits.scratch import MEASURE, evaluate
from nas.tasks.task import Task


def space(settings: Settings) -> Space:
    """The cell's space, with or without `none`."""
    return nasbench201.cell_space(settings.zero)


TASK = Task(
    name="digits",
    settings=Settings,
    space=space,
    build=build,
    evaluate=evaluate,
    measure=MEASURE,
    presets=Path(__file__).with_name("presets"),
)
