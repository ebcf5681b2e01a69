"""The task `images`: cells of NAS-Bench-201 on images of one's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.tasks.cells import source
from nas.tasks.cells.source import Size
from nas.tasks.images.network import Settings, build, images_of, kind_of, space
from nas.tasks.images.scratch import MEASURE, evaluate
from nas.tasks.task import Exported, Task


def export(settings: Settings, result: Mapping[str, Any], weights: Path | None, data: Path | None = None) -> Exported:
    """The cell's network as source, see nas/tasks/cells/source.py; the images are read for their mean and classes."""
    images = images_of(settings, data)
    height, width = images.pixels.shape[2:]
    size = Size(settings.channels, settings.cells)
    return source.exported(kind_of(images, settings), size, result, weights, images.classes, (height, width))


TASK = Task(
    name="images",
    settings=Settings,
    space=space,
    build=build,
    evaluate=evaluate,
    measure=MEASURE,
    presets=Path(__file__).with_name("presets"),
    export=export,
)
