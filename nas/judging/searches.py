"""How are many searches done, each in a run folder of its own and never twice, here or on a cluster?

`compare` and `sweep` say which searches, and what they make of them; here the shared warm-ups are made first, and then
the searches are given out (nas/running/pool.py). Folders are named below the root, so that they are the same for a
worker that has another root.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.running import files, runs, trackers, warmup
from nas.running.pool import answers, side_by_side
from nas.running.searching import search_in
from nas.tasks import experiments
from nas.tasks.task import Experiment


@dataclass(frozen=True)
class Search:
    """One search: what is searched, and below the root its run folder and that of the warm-up it shares, if any."""

    experiment: Experiment[Any]
    seed: int
    folder: Path
    warm_up: Path | None


def named(experiment: Experiment[Any], seed: int, below: Path, kind: str, warm_up: str = warmup.NAME) -> Search:
    """The search in the run folder BELOW/KIND/DIGEST-sSEED, whose warm-up lies in BELOW/WARM_UP."""
    folder = runs.folder_of(below, kind, experiment, seed)
    return Search(experiment, seed, folder, warmup.folder_of(below, experiment, seed, warm_up))


def search(asked: Any, one: Search) -> Path | None:
    """The run folder of one finished search; None if stopped."""
    folder: Path = asked.root / one.folder
    if finished(folder):
        return folder
    network = experiments.build(one.experiment, asked.data, asked.device, one.seed)
    begun = None if one.warm_up is None else asked.root / one.warm_up
    try:
        with trackers.open_run(folder, one.experiment, asked.device, asked.trackers) as run:
            found = search_in(run, network, one.experiment.search, one.seed, asked.stopped, begun)
    except runs.RunError:
        if not finished(folder):  # another program may have finished it until now
            raise
        return folder
    return folder if found is not None else None


def search_all(asked: Any, searches: Sequence[Search], work: Callable[[Any, Search], Any] = search) -> list[Any] | None:
    """What `work` returns for each search: its run folder, which is not searched in again if it is finished.

    Args: asked, a dataclass as `side_by_side` takes it, with `root`, `data` and `trackers`: a comparison or a sweep.
    Returns: None if stopped; the same call goes on from there.
    """
    left = {one.folder: one for one in searches if not finished(asked.root / one.folder)}
    first = {one.warm_up: one for one in left.values() if one.warm_up and not finished(asked.root / one.warm_up)}
    for _, together in itertools.groupby(sorted(first.values(), key=_length), key=_length):
        if side_by_side(_warm_up, asked, [(one,) for one in together]) is None:  # a longer one goes on from these
            return None
    ends = side_by_side(work, asked, [(one,) for one in left.values()], _needed)
    if ends is None:
        return None
    ended = dict(zip(left, ends, strict=True))
    return [ended.get(one.folder, asked.root / one.folder) for one in searches]


def ready(asked: Any) -> None:
    """Raises: ValueError in one line, before anything is written, if no scheduler answers or the root is no folder."""
    if asked.scheduler is not None:
        answers(asked.scheduler)
    if asked.root.exists():
        files.ready(asked.root)


def finished(folder: Path) -> bool:
    """Whether the run in a folder has a result."""
    return (folder / runs.RESULT).exists()


# ------------------------------------------------------------------ helpers


def _length(one: Search) -> int:
    return one.experiment.search.warmup_epochs


def _warm_up(asked: Any, one: Search) -> bool | None:
    """True once the warm-up that a search goes on from is finished; None if stopped."""
    network = experiments.build(one.experiment, asked.data, asked.device, one.seed)
    folder = asked.root / one.warm_up
    done = warmup.warm_up(folder, one.experiment, network, one.seed, asked.device, asked.stopped)
    return True if done else None


def _needed(asked: Any, one: Search) -> list[Path]:
    """What a search reads: its warm-up, if it shares one."""
    return [] if one.warm_up is None else [asked.root / one.warm_up]
