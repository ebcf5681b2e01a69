"""How far do searchers without gradients get on NAS-Bench-201's table? The baselines that people ask for.

Random search, regularized evolution (Real et al. 2019) and an LSTM controller trained by policy gradient (Zoph & Le
2017), many runs side by side. A searcher sees `cifar10_valid_12ep`, the validation accuracy after 12 epochs, as the
benchmark's own searchers do, and the accuracies of no other column; what it returns is judged by `cifar10_test`.

The benchmark stops its searchers after 12,000 seconds of (looked-up) training. The table here has no training times,
so the budget is a number of trained architectures instead. `matched_budget` finds the number at which random search
has its published test accuracy; that the others then have theirs is a check.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data import nasbench201
from nas.spaces.nasbench201 import EDGES, OPERATIONS
from theory.streams import stream

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
SEEN, JUDGED = "cifar10_valid_12ep", "cifar10_test"

# Test accuracy and its standard deviation after a search on CIFAR-10: NASWOT's Table 2a (Mellor et al. 2021).
PUBLISHED = {"random": (93.70, 0.36), "evolution": (93.92, 0.30)}


@dataclass(frozen=True)
class Cube:
    """Accuracies (5,) * 6 by operation: what a searcher may see, and what it is judged by."""

    seen: Floats
    judged: Floats


def cube(data: Path | None = None, seen: str = SEEN, judged: str = JUDGED) -> Cube:
    """The table. Raises: nas.data.places.DataError if it is not found, ValueError for an unknown column."""
    table = nasbench201.load(data)
    return Cube(table.cube(seen), table.cube(judged))


def random_search(table: Cube, budget: int, runs: int, seed: int) -> Floats:
    """Test accuracy (runs, budget) of the best architecture seen so far, of uniform draws without memory."""
    drawn = stream(seed, "random search").integers(len(OPERATIONS), size=(runs, budget, len(EDGES)))
    return _so_far(table, drawn)


def evolution(table: Cube, budget: int, runs: int, seed: int, population: int = 10, sample: int = 3) -> Floats:
    """Regularized evolution: mutate the best of a sample, the oldest dies. Test accuracy (runs, budget) so far.

    population and sample are those of the benchmark's own code (Dong & Yang 2020).
    """
    random = stream(seed, "evolution")
    operations, edges = len(OPERATIONS), len(EDGES)
    population = min(population, budget)
    history = random.integers(operations, size=(runs, budget, edges))
    accuracy = np.zeros((runs, budget))
    row = np.arange(runs)
    accuracy[:, :population] = table.seen[tuple(np.moveaxis(history[:, :population], -1, 0))]
    for step in range(population, budget):
        entrants = step - population + random.integers(population, size=(runs, sample))
        parent = entrants[row, accuracy[row[:, None], entrants].argmax(axis=1)]
        child = history[row, parent].copy()
        edge = random.integers(edges, size=runs)
        child[row, edge] = (child[row, edge] + random.integers(1, operations, size=runs)) % operations
        history[:, step] = child
        accuracy[:, step] = table.seen[tuple(child.T)]
    return _so_far(table, history)


def controller(
    table: Cube, budget: int, runs: int, seed: int, hidden: int = 32, rate: float = 0.01, momentum: float = 0.9
) -> Floats:
    """An LSTM that writes the operations one after the other, trained by REINFORCE with a moving-average baseline.

    One architecture an update; Adam. Test accuracy (runs, budget) of the best architecture seen so far. Each run has
    its own weights; all are computed together.
    """
    import torch

    operations, edges = len(OPERATIONS), len(EDGES)
    random = stream(seed, "controller")

    def weights(*shape: int) -> Any:
        values = random.uniform(-0.1, 0.1, size=(runs, *shape)).astype(np.float32)
        return torch.from_numpy(values).requires_grad_()

    embedding = weights(operations + 1, hidden)
    recurrent, bias = weights(2 * hidden, 4 * hidden), weights(1, 4 * hidden)
    readout = weights(hidden, operations)
    adam = torch.optim.Adam([embedding, recurrent, bias, readout], lr=rate)
    drawn = np.zeros((runs, budget, edges), np.int64)
    baseline = torch.zeros(runs)
    row = torch.arange(runs)
    for step in range(budget):
        uniforms = torch.from_numpy(random.random((runs, edges), dtype=np.float32))
        state = memory = torch.zeros(runs, 1, hidden)
        word = torch.full((runs,), operations)
        log_probability = torch.zeros(runs)
        for edge in range(edges):
            given = torch.cat((embedding[row, word][:, None], state), dim=-1)
            keep, write, show, new = (given @ recurrent + bias).chunk(4, dim=-1)
            memory = torch.sigmoid(keep + 1) * memory + torch.sigmoid(write) * torch.tanh(new)
            state = torch.sigmoid(show) * torch.tanh(memory)
            logs = (state @ readout)[:, 0].log_softmax(dim=-1)
            passed = logs.detach().exp().cumsum(dim=-1)
            word = (uniforms[:, edge, None] >= passed).sum(dim=-1).clamp(max=operations - 1)
            log_probability = log_probability + logs[row, word]
            drawn[:, step, edge] = word.numpy()
        reward = torch.from_numpy(table.seen[tuple(drawn[:, step].T)]).float() / 100
        baseline = reward if step == 0 else momentum * baseline + (1 - momentum) * reward
        loss = -((reward - baseline) * log_probability).sum()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return _so_far(table, drawn)


SEARCHERS: dict[str, Callable[[Cube, int, int, int], Floats]] = {
    "random": random_search,
    "evolution": evolution,
    "controller": controller,
}


def matched_budget(table: Cube, target: float, largest: int = 400, runs: int = 4000, seed: int = 1) -> int:
    """The number of trained architectures at which random search's mean test accuracy first reaches `target`.

    Raises: ValueError if it does not within `largest`.
    """
    reached = random_search(table, largest, runs, seed).mean(axis=0) >= target
    if not reached.any():
        raise ValueError(f"random search does not reach {target} within {largest} architectures")
    return int(reached.argmax()) + 1


def _so_far(table: Cube, drawn: Integers) -> Floats:
    """Judge, after each draw, the architecture with the best seen accuracy so far: (runs, budget)."""
    where = tuple(np.moveaxis(drawn, -1, 0))
    seen, judged = table.seen[where], table.judged[where]
    new_best = seen > np.concatenate((np.full((len(seen), 1), -np.inf), np.maximum.accumulate(seen, axis=1)[:, :-1]), 1)
    latest = np.maximum.accumulate(np.where(new_best, np.arange(seen.shape[1]), 0), axis=1)
    return np.take_along_axis(judged, latest, axis=1)
