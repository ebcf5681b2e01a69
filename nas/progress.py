"""Where does a search stand, what does it say of itself on the way, and what has it found?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nas import policy, step
from nas.derive import Derived, Seen
from nas.methods import Method
from nas.objective import Penalty
from nas.running import processes
from nas.running.runs import Diverged
from nas.step import State
from nas.supernets.parent import ParentNetwork


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


@dataclass(frozen=True)
class Found:
    """What a search found.

    architecture: as the space writes it; choices: its operations' indices, one an edge; figures: what the network's
    validation says of it; probabilities: the architecture distribution at the end, E rows of K (of a search without a
    gradient: the architecture itself). zero_policy: None where the space has no zero operation. records: one an epoch
    at least, oldest first, each with the epoch's figures under "validation", of the argmax. network: with its trained
    weights. ranking: (architecture, held-out loss), best first, where the search stands for the best of a ranking;
    tuned: the same of those that then trained alone. forked_from: the warm-up that it went on from, and the seconds of
    that. ended: the setting that ended it before its schedule, "seconds" or "patience".

    >>> import nas
    >>> from torch import nn
    >>> batches = nas.Batches(torch.randn(60, 3), torch.arange(60) % 2, size=20)
    >>> model = nas.EdgeNetwork(nn.Sequential(nas.Edge([nn.Linear(3, 4), None], name="layer"), nn.Linear(4, 2)))
    >>> network = nas.Supernet(model.space("example"), model, nn.functional.cross_entropy, batches, batches, batches)
    >>> found = nas.search(network, epochs=4)
    >>> found.method, found.steps, len(found.records), len(found.probabilities)  # 4 epochs of 3 steps, one edge
    ('advantage', 12, 4, 1)
    """

    space: str
    method: str
    zero_policy: str | None
    architecture: str
    choices: list[int]
    figures: dict[str, float]
    probabilities: list[list[float]] = field(repr=False)
    steps: int
    seconds: float
    seed: int
    device: str
    records: list[dict[str, Any]] = field(repr=False)
    network: ParentNetwork = field(repr=False)
    ranking: list[tuple[str, float]] | None = field(default=None, repr=False)
    tuned: list[tuple[str, float]] | None = field(default=None, repr=False)
    forked_from: dict[str, Any] | None = None
    ended: str | None = None

    def __str__(self) -> str:
        judged = ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        return f"{self.architecture} by {self.method} in {self.steps} steps, {self.seconds} s ({judged})"

    @property
    def result(self) -> dict[str, Any]:
        """The same without records and network, and without what there was not: what a run's result.json holds."""
        kept = {name: value for name, value in vars(self).items() if name not in ("records", "network")}
        only_if_there = ("ranking", "tuned", "forked_from", "ended")
        return {name: value for name, value in kept.items() if value is not None or name not in only_if_there}


def found_at(
    network: ParentNetwork,
    method: Method,
    now: Progress,
    derived: Derived,
    seed: int,
    seconds: float,
    records: list[dict[str, Any]],
    name: str | None = None,
    forked_from: dict[str, Any] | None = None,
    ended: str | None = None,
) -> Found:
    """What a search that stands at `now` has found.

    Args: derived, what it stands for; name, how the method was asked for, if not by its own name.
    """
    argmax = step.architecture(method, now.state)
    return Found(
        space=network.space.name,
        method=name or method.name,
        zero_policy=method.zero_policy if network.space.zero_operation is not None else None,
        architecture=network.space.write(derived.choices),
        choices=derived.choices,
        figures=derived.figures,
        probabilities=_believed(method, now.state, argmax).tolist(),
        steps=now.step,
        seconds=round(seconds, 1),
        seed=seed,
        device=network.device,
        records=records,
        network=network,
        ranking=derived.ranking,
        tuned=derived.tuned,
        forked_from=forked_from,
        ended=ended,
    )


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
        "probabilities": _believed(method, now.state, derived).tolist(),
        "architecture": network.space.write(policy.choices(derived).tolist()),
    }
    if now.seen is not None and torch.isfinite(now.seen.loss):
        told["best_seen"] = network.space.write(policy.choices(now.seen.gates).tolist())
    if penalty is not None:
        told["penalty"] = float(penalty.of(step.probabilities(method, now.state)))
    return {**told, "validation": network.validate(derived)} if validate else told


def _believed(method: Method, state: State, derived: Tensor) -> Tensor:
    """What is called probabilities: a search without a gradient draws evenly but stands for the best it saw."""
    probabilities: Tensor = step.probabilities(method, state)
    return derived if method.estimator is None else probabilities


# ------------------------------------------------------------------ for people


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
