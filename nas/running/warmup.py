"""How do many searches go on from one warm-up?

Until the first architecture step a search with `warmup = "shared"` does the same whatever its method: it trains the
weights under evenly drawn architectures. That part is a run of its own, named by the network's settings, the seed and
the schedule: made once, and gone on from by every search that has the same ones. A longer warm-up goes on from the
longest shorter one there is, so that searches after 2, 5, 10 epochs cost one warm-up of 10.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.running import config, processes, runs
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
        return search_in(run, network, own.search, seed, stopped, _shorter(folder)) is not None


def _shorter(folder: Path) -> Path | None:
    """The longest finished warm-up of another length alone that is a beginning of the one in `folder`; None if none is.

    Its steps are those of the longer one: both train weights under the same draws, and no rate depends on the length.
    """
    _, _, seed = folder.name.rpartition("-")
    schedule, epochs = _schedule(folder)
    found = {}
    for other in folder.parent.glob(f"*-{seed}"):
        if (other / runs.RESULT).exists():
            its, shorter = _schedule(other)
            if its == schedule and isinstance(shorter, int) and shorter < epochs:
                found[shorter] = other
    return found[max(found)] if found else None


def _schedule(folder: Path) -> tuple[dict[str, Any], Any]:
    """The settings of a warm-up but its length, by their whole names, and its length; None if a file lost it."""
    settings = config.flat(config.read_toml(folder / runs.CONFIG))
    epochs = settings.pop("search.warmup_epochs", None)
    return {name: value for name, value in settings.items() if name != "search.until"}, epochs
