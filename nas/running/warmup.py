"""How do many searches go on from one warm-up?

Until the first architecture step a search with `warmup = "shared"` does the same whatever its method: it trains the
weights under evenly drawn architectures. That part is a run of its own, named by the network's settings, the seed and
the schedule: made once, and gone on from by every search that has the same ones.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.running import processes, runs
from nas.running.searching import search_in
from nas.settings import SearchSettings
from nas.supernets.parent import ParentNetwork
from nas.tasks.task import Experiment

NAME = "warmup"


def settings_of(search: SearchSettings) -> SearchSettings:
    """The search settings of the warm-up that a search begins with: of its own ones only the schedule."""
    return SearchSettings(
        method="random",
        epochs=search.epochs,
        warmup_epochs=search.warmup_epochs,
        record_every=search.record_every,
        until=float(search.warmup_epochs),
        warmup="shared",
    )


def folder_of(root: Path, experiment: Experiment[Any], seed: int, name: str = NAME) -> Path | None:
    """The run folder of the warm-up that an experiment shares, there or not; None if it shares none."""
    if experiment.search.warmup != "shared" or experiment.search.warmup_epochs == 0:
        return None
    return runs.folder_of(root, name, replace(experiment, search=settings_of(experiment.search)), seed)


def warm_up(
    folder: Path,
    experiment: Experiment[Any],
    network: ParentNetwork,
    seed: int,
    device: str,
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Make the warm-up of an experiment in `folder` (`folder_of`), or go on with it, if it is not finished.

    Returns: whether it is there; False if it was stopped, and the same call goes on. `network` is left somewhere in it.
    """
    if (folder / runs.RESULT).exists():
        return True
    own = replace(experiment, search=settings_of(experiment.search))
    with processes.open_run(folder, own, device) as run:
        return search_in(run, network, own.search, seed, stopped) is not None
