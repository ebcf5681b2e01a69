"""The task `cifar10`: cells of NAS-Bench-201 on CIFAR-10."""

from dataclasses import replace
from pathlib import Path

from nas.methods import Method
from nas.spaces import nasbench201
from nas.spaces.space import Space
from nas.tasks.cifar10.export import export
from nas.tasks.cifar10.measure import MEASURE
from nas.tasks.cifar10.network import Settings, build
from nas.tasks.cifar10.scratch import evaluate
from nas.tasks.task import Task


def space(settings: Settings) -> Space:
    """The cell's space, with or without `none`."""
    return nasbench201.cell_space(settings.zero)


def form(settings: Settings, method: Method) -> Settings:
    """The static form runs one path at a time: methods that ask for several, or for the mean, get the sparse one."""
    one_path = method.propagation == "sparse" and "mean" not in method.needs
    return settings if one_path else replace(settings, static=False)


def audited(settings: Settings) -> Settings:
    """The sparse form without rounding: an audit is about credit, and asks more than the static form can answer."""
    return replace(settings, precision="float32", static=False)


TASK = Task(
    name="cifar10",
    settings=Settings,
    space=space,
    build=build,
    form=form,
    audited=audited,
    evaluate=evaluate,
    measure=MEASURE,
    presets=Path(__file__).with_name("presets"),
    export=export,
)
