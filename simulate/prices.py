"""What does a step of a method take in seconds? Timed on a network of the cell's size, once a study.

A landscape's own time says nothing of a search: it knows all losses. So the shipped step is timed on the toy regression
(simulate/regression.py): E edges of K convolutions, `INPUTS` inputs, only the operations that run computed and stored.
Seconds are those of one processor's work, so that waiting for a busy machine does not count, and methods take turns,
round after round. A busy machine still slows some methods more than others, by a fifth or so (docs/howto/simulate.md).
Times belong to a machine, and no two measurements agree to the digit: they lie beside the cells, in seconds.json, and a
cell holds none, so that its records are the same anywhere.
"""

import dataclasses
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas import methods, optimisers, step
from nas.judging.statistics import quartiles
from nas.running import config, files, plugins, runs
from nas.running.runs import RunError
from simulate import regression
from simulate.run import Setting
from theory.streams import stream

FILE = "seconds.json"
INPUTS = 1000  # so many that a step's time is that of its operations, not of the calls
LARGEST = 1024  # operations of all edges: the seconds of a larger network are not asked for
ROUNDS, PATIENCE = 15, 10.0  # measurements of a step; seconds after which five must do
ENOUGH = 5

Key = tuple[str, int, int, int]  # method, edges, candidates, samples


@dataclass(frozen=True)
class Price:
    """Processor seconds of one step: median and quartiles of `rounds` measurements on a machine."""

    method: str
    edges: int
    candidates: int
    samples: int
    seconds: float
    lower: float
    upper: float
    rounds: int
    machine: str

    @property
    def key(self) -> Key:
        """What is timed."""
        return self.method, self.edges, self.candidates, self.samples


def key_of(setting: Setting) -> Key:
    """What is timed for a cell."""
    return setting.method, setting.edges, setting.candidates, setting.samples


def measured(settings: Sequence[Setting], tell: Callable[[str], None] = print) -> list[Price]:
    """The price of a step of every method, size and number of samples among the settings.

    Left out are networks of more than `LARGEST` operations, and methods that no network serves, such as the exact
    gradient. A method of a user's own that fails on this network has no price either, and `tell` hears why.

    >>> [price] = measured([Setting(edges=2, candidates=2)])
    >>> price.method, price.lower <= price.seconds <= price.upper
    ('advantage', True)
    """
    steps = {}
    with _one_thread(), torch.no_grad():
        for key in dict.fromkeys(map(key_of, settings)):
            try:
                steps[key] = _step(*key)
                steps[key]()  # the first call of a kernel is not its price
            except Exception as error:  # whatever a user's own function does, that worked on its landscape
                steps.pop(key, None)
                if plugins.is_own(key[0]):
                    tell(_without(*key, plugins.why(error)))
        taken: dict[Key, list[float]] = {key: [] for key in steps}
        begun = time.perf_counter()
        for number in range(ROUNDS if steps else 0):
            if number >= ENOUGH and time.perf_counter() - begun > PATIENCE:
                break
            for key, one in steps.items():
                clock = time.thread_time()
                one()
                taken[key].append(time.thread_time() - clock)
    prices = []
    for key, times in taken.items():
        lower, middle, upper = map(float, quartiles(np.array(times)))
        prices.append(Price(*key, middle, lower, upper, len(times), f"{platform.machine()} CPU"))
    return prices


def write(folder: Path, settings: Sequence[Setting], tell: Callable[[str], None] = print) -> None:
    """Measure, into a study's run folder."""
    steps = [dataclasses.asdict(price) for price in measured(settings, tell)]
    told = {"about": runs.about_this_program(), "steps": steps}
    files.write_atomically(folder / FILE, json.dumps(told, indent=1) + "\n")


def read(folder: Path) -> dict[Key, Price]:
    """What was measured in a study's run folder; nothing in one that is older. Raises: RunError if it is damaged."""
    file = folder / FILE
    if not file.exists():
        return {}
    try:
        told = files.read_json(file, dict[str, Any])["steps"]
        prices = [config.load(Price, base=one) for one in told]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise RunError(f"{file} is damaged ({why}); delete it: without it a report has no seconds") from error
    return {price.key: price for price in prices}


# ------------------------------------------------------------------ helpers


def _step(method: str, edges: int, candidates: int, samples: int) -> Any:
    """A call that takes one step, halfway through a search."""
    if edges * candidates > LARGEST:
        raise ValueError(f"{edges * candidates} operations, where at most {LARGEST} are timed")
    found = dataclasses.replace(methods.find(method), zero_policy="plain")  # no zero operation there
    network = regression.cells(0, [0], edges, candidates)
    random = stream(0, "prices")
    shape = (1, regression.INPUT, regression.INPUT, INPUTS)
    problem = regression.minibatch(network, torch.from_numpy(2 * random.random(shape, dtype=np.float32) - 1))
    uniforms = torch.from_numpy(
        random.random((1, *step.noise_shape(found, edges, candidates, samples)), dtype=np.float32)
    )
    optimiser = optimisers.adam()
    state = step.start(found, optimiser, torch.zeros_like(network.teacher))
    return lambda: step.architecture_step(found, optimiser, state, problem, uniforms, 0.01, 0.5, samples=samples)


def _without(method: str, edges: int, candidates: int, samples: int, why: str) -> str:
    """What is said of a step that cannot be timed."""
    several = f", {samples} samples" if samples > 1 else ""
    return (
        f"no seconds for {method} ({edges} edges of {candidates} operations{several}): its step fails on the toy "
        f"regression, in float32 of torch, with {why}"
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
