"""How do many searches go on from one warm-up?

Until the first architecture step a search with `warmup = "shared"` does the same whatever its method: it trains the
weights under evenly drawn architectures. That part is a run of its own, named by the network's settings, the seed and
the schedule: made once, and gone on from by every search that has the same ones.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.running import runs
from nas.running.searching import search_in
from nas.search import SearchSettings
from nas.supernets.parent import ParentNetwork

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


def warmed(
    root: Path,
    experiment: Any,
    network: Callable[[], ParentNetwork],
    seed: int,
    device: str,
    stopped: Callable[[], bool] = lambda: False,
) -> Path | None:
    """The finished warm-up of an experiment, made if it is not there; None if the search has none of its own kind.

    Args: root, where run folders go; experiment, the search's (`nas.tasks.Experiment`); network, makes a fresh one.
    Returns: its run folder. Raises: Stopped if it was stopped on the way; the same call goes on from there.
    """
    search: SearchSettings = experiment.search
    if search.warmup != "shared" or search.warmup_epochs == 0:
        return None
    own = replace(experiment, search=settings_of(search))
    folder = runs.folder_of(root, NAME, own, seed)
    if not (folder / runs.RESULT).exists():
        with runs.open_run(folder, own, device) as run:
            if search_in(run, network(), own.search, seed, stopped) is None:
                raise Stopped(folder)
    return folder


class Stopped(Exception):
    """A warm-up was stopped; its folder goes on from there."""
