"""Where does a search stand, and what does it say of itself on the way?"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nas import policy, step
from nas.methods import Method
from nas.objective import Penalty
from nas.running import processes
from nas.running.runs import Diverged
from nas.samples import Sample
from nas.step import State
from nas.supernets.parent import ParentNetwork


@dataclass(frozen=True)
class Seen:
    """The best sample of the architecture steps so far: loss 0-d, gates (E, K). Nothing is read on the host."""

    loss: Tensor
    gates: Tensor

    def or_better(self, sample: Sample) -> "Seen":
        """This, or the best of a step's samples if its loss is lower."""
        losses, gates = sample.loss.reshape(-1), sample.gates.reshape(-1, *self.gates.shape)
        first = losses.argmin()
        better = losses[first] < self.loss
        return Seen(torch.where(better, losses[first], self.loss), torch.where(better, gates[first], self.gates))


@dataclass(frozen=True)
class Progress:
    """A search after `step` steps: all that the next step needs beside the network, and the losses of the last one.

    state: the architecture's; generator: of the uniforms, as it stands now; losses 0-d and not read on the host, of the
    architecture None during the warm-up. seen: the best sample so far, where the search will stand for it.
    """

    state: State
    generator: torch.Generator
    step: int = 0
    weight_loss: Tensor | None = None
    architecture_loss: Tensor | None = None
    seen: Seen | None = None


# ------------------------------------------------------------------ records


@dataclass(frozen=True)
class Window:
    """The steps since the last record: `sums` of their losses and counts of them, 0-d tensors on the network's device.

    unread: losses not yet known to be finite, with their steps. Reading one makes a GPU wait, so there it is put off.
    """

    sums: dict[str, Tensor]
    unread: tuple[tuple[int, Tensor], ...] = ()

    def add(self, now: Progress) -> "Window":
        """With the losses of the last step. Raises: Diverged on the CPU at once if one is not finite."""
        sums, unread = dict(self.sums), self.unread
        for part, loss in (("weight", now.weight_loss), ("architecture", now.architecture_loss)):
            if loss is not None:
                sums[f"{part}_loss"] = sums[f"{part}_loss"] + loss
                sums[f"{part}_steps"] = sums[f"{part}_steps"] + 1
                unread = (*unread, (now.step, loss))
        added = Window(sums, unread)
        return added.checked() if all(loss.device.type == "cpu" for _, loss in unread) else added

    def checked(self) -> "Window":
        """With no loss unread. Raises: Diverged at the first loss that is not finite, naming the step."""
        if self.unread:
            finite = torch.isfinite(torch.stack([loss for _, loss in self.unread])).tolist()
            if not all(finite):
                first = self.unread[finite.index(False)][0]
                raise Diverged(
                    f"the loss is not finite at step {first}; what is kept ends before it: lower a learning rate"
                )
        return replace(self, unread=())

    def emptied(self) -> "Window":
        """After a record."""
        return Window({name: 0 * total for name, total in self.sums.items()})


def empty_window(network: ParentNetwork) -> Window:
    """Before the first step."""
    zero = torch.zeros((), device=network.device)
    return Window(dict.fromkeys(("weight_loss", "weight_steps", "architecture_loss", "architecture_steps"), zero))


def record(
    network: ParentNetwork,
    method: Method,
    now: Progress,
    window: Window,
    seconds: float,
    validate: bool,
    penalty: Penalty[Tensor] | None = None,
) -> dict[str, Any]:
    """One record: mean losses since the last one, in which direction the architecture goes, validation if asked.

    With a penalty also what is paid on average.
    """
    derived = step.architecture(method, now.state)
    sums = {name: float(total) for name, total in window.sums.items()}
    told: dict[str, Any] = {
        "step": now.step,
        "epoch": now.step / network.steps_per_epoch,
        "seconds": round(seconds, 3),
        "weight_loss": sums["weight_loss"] / max(1, sums["weight_steps"]),
        "architecture_loss": sums["architecture_loss"] / max(1, sums["architecture_steps"]),
        "entropy": float(policy.entropy(step.probabilities(method, now.state)).sum()),
        "probabilities": believed(method, now.state, derived).tolist(),
        "architecture": network.space.write(policy.choices(derived).tolist()),
    }
    if now.seen is not None and torch.isfinite(now.seen.loss):
        told["best_seen"] = network.space.write(policy.choices(now.seen.gates).tolist())
    if penalty is not None:
        told["penalty"] = float(penalty.of(step.probabilities(method, now.state)))
    return {**told, "validation": network.validate(derived)} if validate else told


def believed(method: Method, state: State, derived: Tensor) -> Tensor:
    """What is called probabilities: a search without a gradient draws evenly but stands for the best it saw."""
    probabilities: Tensor = step.probabilities(method, state)
    return derived if method.estimator is None else probabilities


# ------------------------------------------------------------------ for people

EVEN = 0.99  # of E ln K: with three operations, probabilities of 0.41, 0.32 and 0.27 are below


def nearly_even(probabilities: Sequence[Sequence[float]]) -> bool:
    """Whether the entropy of a policy, E rows of K, is above `EVEN` of the largest: what it draws is nearly any cell.

    Its argmax may still be a good one, as on CIFAR-10 (docs/results/cifar-climbed.md), or say nothing at all.

    >>> nearly_even([[0.35, 0.33, 0.32]]), nearly_even([[0.41, 0.32, 0.27]])
    (True, False)
    """
    entropy = -sum(p * math.log(p) for row in probabilities for p in row if p > 0)
    return entropy > EVEN * sum(math.log(len(row)) for row in probabilities)


@contextmanager
def progress_bar(warmup: int, total: int, begun: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, with the time that is left; what it yields is told the steps done so far.

    It counts weight and architecture steps, since a step of the warm-up has one and a later step both.
    """

    def taken(done: int) -> int:
        return done + max(0, done - warmup)

    quiet = processes.rank() > 0 or None
    with tqdm(total=taken(total), initial=taken(begun), disable=quiet, unit="step") as bar:
        yield lambda done: bar.update(taken(done) - bar.n)
