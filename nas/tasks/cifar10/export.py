"""What is taken away of a search on CIFAR-10? The found cell's network, see nas/tasks/cells/source.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.tasks.cells import source
from nas.tasks.cells.source import Size
from nas.tasks.cifar10.network import CIFAR10, DataSet, Settings
from nas.tasks.task import Exported


def export(
    settings: Settings, result: Mapping[str, Any], weights: Path | None, data: Path | None = None, of: DataSet = CIFAR10
) -> Exported:
    """The cell's network as source, and the tensors of its `state_dict` if `weights` names a run that has them."""
    return source.exported(of.kind, Size(settings.channels, settings.cells), result, weights)
