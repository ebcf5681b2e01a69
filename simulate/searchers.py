"""How far do searchers without gradients get on NAS-Bench-201's table? The baselines that people ask for.

Random search, regularized evolution (Real et al. 2019), an LSTM controller trained by policy gradient (Zoph & Le
2017) and progressive widening under a predictor (Liu et al. 2018), many runs side by side. A searcher sees
`cifar10_valid_12ep`, the validation accuracy after 12 epochs, as the benchmark's own searchers do, and the accuracies
of no other column; what it returns is judged by `cifar10_test`.

The benchmark stops its searchers after 12,000 seconds of (looked-up) training. The table here has no training times,
so the budget is a number of trained architectures instead. `matched_budget` finds the number at which random search
has its published test accuracy; that the others then have theirs is a check.
"""

import itertools
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
BLOCKS = ((3,), (0, 4), (1, 2, 5))  # edges 0-3; 0-1, 1-3; 0-2, 1-2, 2-3
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


def progressive(table: Cube, budget: int, runs: int, seed: int, beam: int = 16) -> Floats:
    """PNAS (Liu et al. 2018): cells grow block by block; a predictor says which of the grown ones are trained.

    A block is a node with its edges, in the order of `BLOCKS`: the direct edge, then one node, then the other; edges
    that are not there yet have `none`. Each level grows the `beam` best predicted cells so far in every way and trains
    the best predicted of those; the budget is even over the levels. The predictor is a ridge regression on the
    operations of each edge and on their counts, by which it judges edges that it has not seen, fitted to a bootstrap
    sample of what the run has trained: its randomness stands for that of the paper's networks.
    Returns: test accuracy (runs, budget) of the best architecture seen so far.
    Raises: ValueError for a budget that the grown cells do not fill.
    """
    random, row = stream(seed, "progressive"), np.arange(runs)[:, None]
    seen = np.full((runs, 1, len(EDGES)), OPERATIONS.index("none"))
    for level, block in enumerate(BLOCKS):
        score = _predictor(table, seen, random)
        parents = score(seen).argsort(axis=1)[:, : -beam - 1 : -1]
        ways = np.array(list(itertools.product(range(len(OPERATIONS)), repeat=len(block))))
        ways = ways[(ways != OPERATIONS.index("none")).any(axis=1)]
        young = np.repeat(seen[row, parents], len(ways), axis=1)
        young[:, :, list(block)] = np.tile(ways, (parents.shape[1], 1))
        wanted = -(-(budget - seen.shape[1]) // (len(BLOCKS) - level))
        best = score(young).argsort(axis=1)[:, ::-1][:, :wanted]
        seen = np.concatenate((seen, young[row, best]), axis=1)
    if seen.shape[1] < budget:
        raise ValueError(f"a beam of {beam} grows {seen.shape[1]} cells, fewer than the budget of {budget}")
    return _so_far(table, seen)


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
    "progressive": progressive,
}


def references(table: nasbench201.Table) -> dict[str, float]:
    """Test accuracies that a cell stands beside: published random search, which trains every cell, and the best."""
    return {"random search, published": PUBLISHED["random"][0], "the best cell": float(table.column(JUDGED).max())}


def matched_budget(table: Cube, target: float, largest: int = 400, runs: int = 4000, seed: int = 1) -> int:
    """The number of trained architectures at which random search's mean test accuracy first reaches `target`.

    Raises: ValueError if it does not within `largest`.
    """
    reached = random_search(table, largest, runs, seed).mean(axis=0) >= target
    if not reached.any():
        raise ValueError(f"random search does not reach {target} within {largest} architectures")
    return int(reached.argmax()) + 1


def _predictor(table: Cube, seen: Integers, random: np.random.Generator) -> Callable[[Integers], Floats]:
    """Seen accuracy by ridge regression, each run's own: cells (runs, n, 6) -> (runs, n)."""
    operations, edges = len(OPERATIONS), len(EDGES)
    runs, number = seen.shape[:2]
    fitted = seen[np.arange(runs)[:, None], random.integers(number, size=(runs, number))]
    y = table.seen[tuple(np.moveaxis(fitted, -1, 0))]
    middle = y.mean(axis=1, keepdims=True)
    one_hot = np.eye(operations)[fitted]
    x = np.concatenate((one_hot.reshape(runs, number, -1), one_hot.sum(axis=2)), axis=-1)
    moments = x.swapaxes(1, 2) @ x + np.eye(x.shape[-1])
    weights = np.linalg.solve(moments, x.swapaxes(1, 2) @ (y - middle)[..., None])[..., 0]
    own, shared = weights[:, : operations * edges], weights[:, operations * edges :]
    weights = own + np.tile(shared, edges)

    def score(cells: Integers) -> Floats:
        places = (cells + operations * np.arange(edges)).reshape(runs, -1)
        values: Floats = np.take_along_axis(weights, places, axis=1).reshape(cells.shape).sum(axis=-1)
        return values + 1e-9 * random.random(values.shape)  # equal ones in any order

    return score


def _so_far(table: Cube, drawn: Integers) -> Floats:
    """Judge, after each draw, the architecture with the best seen accuracy so far: (runs, budget)."""
    where = tuple(np.moveaxis(drawn, -1, 0))
    seen, judged = table.seen[where], table.judged[where]
    new_best = seen > np.concatenate((np.full((len(seen), 1), -np.inf), np.maximum.accumulate(seen, axis=1)[:, :-1]), 1)
    latest = np.maximum.accumulate(np.where(new_best, np.arange(seen.shape[1]), 0), axis=1)
    return np.take_along_axis(judged, latest, axis=1)
