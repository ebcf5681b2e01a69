"""Two tasks of one network: `ptb`, recurrent cells on Penn Treebank, and `text`, the same on a text of one's own."""

from dataclasses import replace
from pathlib import Path

from nas.data.places import DataError
from nas.spaces import recurrent
from nas.spaces.space import Space
from nas.tasks.task import Comparison, Task
from nas.tasks.text.export import export
from nas.tasks.text.measure import MEASURE
from nas.tasks.text.network import Settings, TextNetwork, build
from nas.tasks.text.scratch import evaluate


def space(settings: Settings) -> Space:
    """The cell's space, with or without `zero`."""
    return recurrent.cell_space(settings.nodes, settings.zero)


def audited(settings: Settings) -> Settings:
    """The sparse form without rounding: an audit is about credit. Both forms answer every method."""
    return replace(settings, precision="float32", static=False)


def build_own(settings: Settings, data: Path | None, device: str, seed: int) -> TextNetwork:
    """The parent network on a text of one's own. Raises: DataError in one line if none is named, or it is wrong."""
    _check_own(settings)
    return build(settings, data, device, seed)


def describe_own(comparison: Comparison[Settings]) -> str:
    """The text. Raises: DataError as `build_own`."""
    _check_own(comparison.experiment.network)
    return MEASURE.describe(comparison)


def _check_own(settings: Settings) -> None:
    if not settings.text and settings.corpus != "embedded":
        raise DataError(
            "which text? add --text FILE, or --text TRAIN VALID TEST; network.corpus=embedded tries it on English that "
            "comes with Python, and Penn Treebank is the task ptb"
        )


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
TEXT = replace(TASK, name="text", build=build_own, measure=replace(MEASURE, describe=describe_own))
