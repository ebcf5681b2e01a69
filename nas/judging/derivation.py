"""What would a finished search stand for, were it read out in another way?

The end of a search (`nas.derive`) once more, from the run's last checkpoint: what `search.derive = HOW` would have made
of the same search. The run itself stays as it is, so one search can be read out in every way, and another seed of the
network's minibatches never comes in.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas import derive
from nas.running import files, runs
from nas.running.searching import fingerprint, restored
from nas.settings import build_method
from nas.tasks import experiments


def derived(
    folder: Path, how: str, data: Path | None, device: str, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """Read out a finished search and write `file_of(folder, how)`.

    Args: how, `argmax`, `best_seen`, `ranked:N`, `tuned:N:M:E` or `climbed:N`.
    Returns: architecture, choices, ranking and tuned (if there were any), figures (what the network's validation says
    of the architecture), and the seconds that it took, beside those of the search; None if stopped.
    Raises: ValueError in one line if the run is not finished, or cannot be read out so.
    """
    result, experiment = runs.result(folder), experiments.reload(folder)
    method, seed = build_method(experiment.search), result["seed"]
    replace(experiment.search, derive=how)  # refuses what such a search could not stand for
    files.ready(folder)
    network = experiments.build(experiment, data, device, seed)
    derive.check(network, method, how)
    now, _, _ = restored(*runs.read_checkpoint(folder / runs.CHECKPOINT), network, folder, fingerprint(network, seed))
    clock = time.perf_counter()
    found = derive.derive(network, method, now, how, stopped)
    if found is None:
        return None
    seconds = time.perf_counter() - clock
    read_out = {
        "derive": how,
        "architecture": network.space.write(found.choices),
        "choices": found.choices,
        **({"ranking": found.ranking} if found.ranking is not None else {}),
        **({"tuned": found.tuned} if found.tuned is not None else {}),
        "figures": found.figures,
        "seconds": round(seconds, 1),
        "search_seconds": result["seconds"],
        "about": runs.about_this_program(device),
    }
    runs.write_atomically(file_of(folder, how), json.dumps(read_out, indent=2) + "\n")
    return read_out


def file_of(folder: Path, how: str) -> Path:
    """Where a run's other derivation stands: RUN/derived-ranked-100.json."""
    return folder / f"derived-{how.replace(':', '-')}.json"
