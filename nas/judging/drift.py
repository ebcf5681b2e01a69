"""How far apart does weight training move the cells, beside what architecture steps gain? Theorem T15 on a real search.

T15 holds for any distributions over any finite set of architectures. The set is a few fixed cells here, the
distribution q_t the policy given that one of them is drawn, L_t (n,) their losses on fixed minibatches after t
intervals of the search:

    gain_t = sum_a (q_t - q_{t+1}) L_t,   D_t = L_{t+1} - L_t,
    sum gain_t <= X_0 - X_T + sum (max D_t - min D_t),   X_t = sum_a q_t L_t - min L_t.

What training does to all cells alike costs nothing. Where it moves them further apart than the steps gain, the promise
of monotone improvement says nothing about the search.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas import policy, step
from nas.methods import Method
from nas.objective import Objective
from nas.progress import Progress
from nas.search import beginning, steps
from nas.settings import SearchSettings, build_method
from nas.supernets.parent import ParentNetwork

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """Of T + 1 moments of a search: the step (T + 1,); of n cells the losses and probabilities q, (T + 1, n) both."""

    steps: tuple[int, ...]
    losses: Floats
    chances: Floats


def follow(
    network: ParentNetwork,
    settings: SearchSettings,
    cells: Tensor,
    batches: int,
    every: int,
    seed: int = 0,
    start: Progress | None = None,
    show: Callable[[int], Any] = lambda step: None,
) -> Course:
    """Search to the end of the settings, and ask `cells` (n, E, K) on fixed minibatches every so many steps.

    The search is the one that `nas.search.steps` would have been: its minibatches and random numbers stay as they are.
    The network's objectives must compute with the weights of the moment, as all of this project do.

    Args: batches, the architecture's next so many minibatches, kept; start, where to go on from; show, told each step.
    Raises: ValueError unless cells, batches and every are positive, or where the search has no step left.
    """
    if min(len(cells), batches, every) < 1:
        raise ValueError(f"need cells, batches and every >= 1, not {len(cells)}, {batches} and {every}")
    method = build_method(settings)
    begun = start or beginning(network, settings, seed, method)
    end = settings.end(network.steps_per_epoch)
    if begun.step >= end:
        raise ValueError(f"the search ends after {end} steps and stands at {begun.step}: there is nothing to follow")
    before = {name: part.clone() for name, part in network.state().items()}
    problems = [network.objective() for _ in range(batches)]
    network.load(before)
    rows = [_moment(problems, method, begun, cells)]
    for now in steps(network, settings, seed, begun, method):
        show(now.step)
        if now.step % every == 0 or now.step == end:
            rows.append(_moment(problems, method, now, cells))
    taken, losses, chances = zip(*rows, strict=True)
    return Course(taken, np.stack(losses), np.stack(chances))


def summary(course: Course) -> dict[str, Any]:
    """Each interval's gain and drift in loss units, their sums, and what the drift leaves of the promise.

    common, D's mean over the cells; apart, max D - min D; room, X_0 - X_T + sum apart - sum gain, never negative.
    """
    losses, chances = course.losses, course.chances
    gains = ((chances[:-1] - chances[1:]) * losses[:-1]).sum(axis=1)
    changes = losses[1:] - losses[:-1]
    common, apart = changes.mean(axis=1), changes.max(axis=1) - changes.min(axis=1)
    excess = (chances * losses).sum(axis=1) - losses.min(axis=1)
    return {
        "cells": losses.shape[1],
        "intervals": [
            {"from": a, "to": b, "gain": float(g), "common": float(c), "apart": float(d)}
            for a, b, g, c, d in zip(course.steps[:-1], course.steps[1:], gains, common, apart, strict=True)
        ],
        "gain": float(gains.sum()),
        "common": float(common.sum()),
        "apart": float(apart.sum()),
        "excess": {"first": float(excess[0]), "last": float(excess[-1])},
        "room": float(excess[0] - excess[-1] + apart.sum() - gains.sum()),
    }


def report(found: dict[str, Any]) -> str:
    """The summary as text."""
    lines = [f"{'steps':>15}{'gain':>12}{'common':>12}{'apart':>12}"]
    for row in found["intervals"]:
        name = f"{row['from']} to {row['to']}"
        lines.append(f"{name:>15}{row['gain']:>12.5f}{row['common']:>12.5f}{row['apart']:>12.5f}")
    lines.append(f"{'sum':>15}{found['gain']:>12.5f}{found['common']:>12.5f}{found['apart']:>12.5f}")
    more = found["apart"] / found["gain"] if found["gain"] > 0 else float("inf")
    lines.append(
        f"{found['cells']} cells: training moves them apart by {more:.3g} times what architecture steps gain; excess "
        f"over the best of them {found['excess']['first']:.4f} at first, {found['excess']['last']:.4f} at last (T15)"
    )
    return "\n".join(lines)


def evenly(network: ParentNetwork, count: int, seed: int) -> Tensor:
    """`count` different cells (count, E, K), drawn evenly. Raises: ValueError if the space has fewer."""
    edges, candidates = network.space.shape
    if not 1 <= count <= candidates**edges:
        raise ValueError(f"{network.space.name} has {candidates**edges:,} cells, of which {count} cannot be drawn")
    random, chosen = np.random.default_rng(seed), dict[tuple[int, ...], None]()
    while len(chosen) < count:
        chosen[tuple(random.integers(candidates, size=edges).tolist())] = None
    return torch.eye(candidates, device=network.device)[torch.tensor(list(chosen), device=network.device)]


# ------------------------------------------------------------------ helpers


def _moment(
    problems: Iterable[Objective[Tensor]], method: Method, now: Progress, cells: Tensor
) -> tuple[int, Floats, Floats]:
    losses = torch.stack([problem.loss(cells) for problem in problems]).double().mean(dim=0)
    logs = step.probabilities(method, now.state).double().clamp_min(1e-300).log()
    chances: Tensor = policy.softmax((cells.double() * logs).sum(dim=(-1, -2)))
    return now.step, losses.cpu().numpy(), chances.cpu().numpy()
