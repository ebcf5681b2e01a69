"""The task `ptb`: recurrent cells on Penn Treebank, or on any text."""

from dataclasses import replace
from pathlib import Path

from nas.spaces import recurrent
from nas.spaces.space import Space
from nas.tasks.task import Task
from nas.tasks.text.export import export
from nas.tasks.text.measure import MEASURE
from nas.tasks.text.network import Settings, build
from nas.tasks.text.scratch import evaluate


def space(settings: Settings) -> Space:
    """The cell's space, with or without `zero`."""
    return recurrent.cell_space(settings.nodes, settings.zero)


def audited(settings: Settings) -> Settings:
    """The sparse form without rounding: an audit is about credit. Both forms answer every method."""
    return replace(settings, precision="float32", static=False)


TASK = Task(
    name="ptb",
    settings=Settings,
    space=space,
    build=build,
    audited=audited,
    evaluate=evaluate,
    measure=MEASURE,
    presets=Path(__file__).with_name("presets"),
    export=export,
)
