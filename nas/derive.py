"""Which architecture does a search stand for at its end?

`argmax`: the most probable operation of every edge (random search has no policy and stands for the best it saw).
`best_seen`: the sample of an architecture step with the lowest minibatch loss. `ranked:N`: of the argmax and N cells
that the final policy draws, the one with the lowest held-out loss under the shared weights. `tuned:N:M:E`: the same,
but the M best of them first train alone for E epochs, each from the shared weights, and are judged after that.
`climbed:N`: from the argmax on, one edge after another takes the operation with the lowest held-out loss beside what
the others have, until none wants another or N cells were judged.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from nas import policy, step
from nas.methods import Method
from nas.progress import Progress
from nas.running import processes
from nas.supernets.parent import ParentNetwork

T = TypeVar("T")
JUDGED_BY = ("loss", "perplexity")  # what a network's validation may say of an architecture; lower is better
Choices = tuple[int, ...]  # an architecture: one operation an edge
TUNED_FROM = 0.75  # where in the weights' schedule an architecture begins that trains alone; it ends at the end


@dataclass(frozen=True)
class Derived:
    """choices, one operation an edge; figures, what the network's validation with the shared weights says of them.

    ranking, if there was one: (architecture, held-out loss), best first. tuned: the same of those that trained alone.
    """

    choices: list[int]
    figures: dict[str, float]
    ranking: list[tuple[str, float]] | None = None
    tuned: list[tuple[str, float]] | None = None


@dataclass(frozen=True)
class Ranking:
    """Which cells are judged: drawn ones, or those met on a climb.

    - drawn: so many from the policy.
    - tuned, epochs: the so many best of these train alone for so many epochs.
    - climbed: so many at most on a climb.
    """

    drawn: int = 0
    tuned: int = 0
    epochs: int = 0
    climbed: int = 0


def derive(
    network: ParentNetwork, method: Method, now: Progress, how: str, stopped: Callable[[], bool] = lambda: False
) -> Derived | None:
    """The architecture that a search at `now` stands for; None if stopped during a ranking.

    Args: how, `argmax`, `best_seen`, `ranked:N`, `tuned:N:M:E` or `climbed:N`. A ranking or a climb asks
    `network.validate` once for each different cell; draws follow the search's own, so the same search ranks the same
    cells. The network stays, or is put back, as it was.
    """
    argmax = step.architecture(method, now.state)
    if how == "best_seen":
        if now.seen is None or not torch.isfinite(now.seen.loss):
            raise ValueError(
                "derive = best_seen: this search kept no best one; it takes search.derive=best_seen and epochs after "
                "the warm-up"
            )
        return Derived(policy.choices(now.seen.gates).tolist(), network.validate(now.seen.gates))
    if (ranking := ranking_of(how)) is None:
        return Derived(policy.choices(argmax).tolist(), network.validate(argmax))

    figures, losses = dict[Choices, dict[str, float]](), dict[Choices, float]()
    if ranking.climbed:
        met = climb(chosen_by(argmax), network.space.shape[1], losses)
        cells = shown(itertools.islice(met, ranking.climbed), ranking.climbed, "climb", "cell")
    else:
        of_policy = map(chosen_by, (argmax, *drawn(network, method, now, ranking.drawn)))
        cells = shown(of_policy, 1 + ranking.drawn, "ranking", "cell")
    for choices in cells:
        if stopped():
            return None
        if choices not in losses:
            figures[choices] = network.validate(gates_of(choices, network))
            losses[choices] = loss_of(figures[choices])
    ranked = best_first(losses)

    tuned = []
    if ranking.tuned:
        alone = trained_alone(network, [choices for choices, _ in ranked[: ranking.tuned]], ranking.epochs, stopped)
        if alone is None:
            return None
        tuned = best_first(alone)

    chosen, _ = (tuned or ranked)[0]
    lists = ([(network.space.write(choices), loss) for choices, loss in part] for part in (ranked, tuned))
    in_all, of_tuned = lists
    return Derived(list(chosen), figures[chosen], in_all, of_tuned or None)


def climb(start: Choices, operations: int, losses: Mapping[Choices, float]) -> Iterator[Choices]:
    """Which architecture is to be judged next, on the way down from `start` by one edge at a time?

    One edge after another is tried with each of its operations and takes the best, until no edge changes any more: a
    descent along coordinates, which sees what edges are worth together as far as one change shows it.

    Args: losses, of those that were yielded so far: the caller adds each before it asks for the next.

    >>> losses = {}
    >>> for cell in climb((0, 0), 2, losses):
    ...     losses[cell] = {(0, 0): 3.0, (1, 0): 4.0, (0, 1): 2.0, (1, 1): 1.0}[cell]
    >>> losses  # edge 0 stays, edge 1 changes, and beside that edge 0 changes, too
    {(0, 0): 3.0, (1, 0): 4.0, (0, 1): 2.0, (1, 1): 1.0}
    """
    at, unchanged = start, 0
    yield at
    for edge in itertools.cycle(range(len(start))):
        row = [(*at[:edge], operation, *at[edge + 1 :]) for operation in range(operations)]
        yield from (cell for cell in row if cell not in losses)
        best = min(row, key=losses.__getitem__)
        at, unchanged = (best, 1) if losses[best] < losses[at] else (at, unchanged + 1)
        if unchanged >= len(start):
            return


def trained_alone(
    network: ParentNetwork, candidates: list[Choices], epochs: int, stopped: Callable[[], bool] = lambda: False
) -> dict[Choices, float] | None:
    """The held-out loss of each architecture after so many epochs of its own; None if stopped.

    All begin with the shared weights, see the same minibatches and go along the last quarter of the weights' schedule
    (`TUNED_FROM`). Afterwards the network is as it was.
    """
    shared = {name: tensor.clone() for name, tensor in network.state().items()}
    losses: dict[Choices, float] = {}
    total = epochs * network.steps_per_epoch
    for number, choices in enumerate(candidates, 1):
        gates = gates_of(choices, network)
        for done in shown(range(total), total, f"candidate {number} of {len(candidates)}", "step"):
            if stopped():
                network.load(shared)
                return None
            network.weight_step(gates, progress=TUNED_FROM + (1 - TUNED_FROM) * done / total)
        losses[choices] = loss_of(network.validate(gates))
        network.load({name: tensor.clone() for name, tensor in shared.items()})
    return losses


def shown(things: Iterable[T], most: int, title: str, unit: str) -> Iterable[T]:
    """The same, behind a progress bar on a terminal."""
    bar: Iterable[T] = tqdm(things, total=most, desc=title, unit=unit, disable=processes.rank() > 0 or None)
    return bar


def chosen_by(gates: Tensor) -> Choices:
    """The architecture of one-hot gates (E, K)."""
    return tuple(policy.choices(gates).tolist())


def gates_of(choices: Choices, network: ParentNetwork) -> Tensor:
    """The same as one-hot gates (E, K), on the network's device."""
    gates: Tensor = torch.eye(network.space.shape[1], device=network.device)[list(choices)]
    return gates


def best_first(losses: dict[Choices, float]) -> list[tuple[Choices, float]]:
    """Architectures with their losses, the lowest first, of equal ones the first that was met."""
    return sorted(losses.items(), key=itemgetter(1))


def drawn(network: ParentNetwork, method: Method, now: Progress, count: int) -> Tensor:
    """Architectures (count, E, K) from the policy at `now`."""
    generator = torch.Generator(device=network.device)
    generator.set_state(now.generator.get_state())
    if method.draw.keeps is not None:  # no product of softmaxes: it draws itself
        shape = (count, *step.noise_shape(method, *network.space.shape))
        uniforms = torch.rand(shape, generator=generator, device=network.device)
        wide = {name: value.expand(count, *value.shape) for name, value in now.state.kept.items()}
        gates: Tensor = step.draw(method, now.state.logits.expand(count, -1, -1), uniforms, kept=wide).gates
        return gates
    probabilities: Tensor = step.probabilities(method, now.state)
    uniforms = torch.rand((count, network.space.shape[0]), generator=generator, device=network.device)
    return policy.draw(probabilities.expand(count, *probabilities.shape), uniforms)


def loss_of(figures: dict[str, float]) -> float:
    """The held-out loss among a network's figures of an architecture; one that is no number is worse than any.

    Raises: ValueError if it is not there.
    """
    for name in JUDGED_BY:
        if name in figures:
            return math.inf if math.isnan(figures[name]) else figures[name]
    raise ValueError(f"a ranking needs one of {', '.join(JUDGED_BY)} from validate, which gave {', '.join(figures)}")


def ranking_of(how: str) -> Ranking | None:
    """Which cells `ranked:N`, `tuned:N:M:E` or `climbed:N` judges, None for another way.

    Raises: ValueError for a word that is none.
    """
    if how in ("argmax", "best_seen"):
        return None
    count = "([1-9][0-9]{0,5})"
    if matched := re.fullmatch(f"ranked:{count}|tuned:{count}:{count}:{count}", how):
        return Ranking(*(int(number) for number in matched.groups() if number is not None))
    if matched := re.fullmatch(f"climbed:{count}", how):
        return Ranking(climbed=int(matched[1]))
    raise ValueError(
        "derive must be argmax, best_seen, ranked:N, tuned:N:M:E or climbed:N with numbers from 1 to 999999, "
        f"not {how!r}"
    )


def check(network: ParentNetwork, method: Method, how: str) -> None:
    """Refuse before a search what its end could not do. Raises: ValueError in one line."""
    if how != "argmax" and getattr(network, "cell_from_policy", False):
        raise ValueError(
            f"derive = {how}: network.derive = single takes the cell from the policy; set one to argmax or all"
        )
    if how == "best_seen" and not _one_hot(method, network.space.shape):
        raise ValueError(f"derive = best_seen: method {method.name} draws mixtures, never one architecture")
    if ranking_of(how) and not getattr(network, "held_out_unseen", True):
        raise ValueError(
            f"derive = {how} ranks on data that no architecture step saw: keep some (network.unseen=5000, if the task "
            "has that)"
        )


def _one_hot(method: Method, shape: tuple[int, int]) -> bool:
    """Whether what the method draws is one architecture (or several), not a mixture."""
    logits, half = torch.zeros(shape), torch.full(step.noise_shape(method, *shape), 0.5)
    keeps = method.draw.keeps
    kept = keeps.start(logits, torch.full((keeps.noise(*shape),), 0.5)) if keeps is not None else None
    gates: Tensor = step.draw(method, logits, half, kept=kept).gates
    return bool((gates * (1 - gates) == 0).all())
