"""The task `digits`: cells of NAS-Bench-201 on handwritten digits, in seconds."""

from pathlib import Path

from nas.tasks.digits.network import Settings, build, space
from nas.tasks.digits.scratch import MEASURE, evaluate
from nas.tasks.task import Task

TASK = Task(
    name="digits",
    settings=Settings,
    space=space,
    build=build,
    evaluate=evaluate,
    measure=MEASURE,
    presets=Path(__file__).with_name("presets"),
)
