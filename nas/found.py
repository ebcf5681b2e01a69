"""What has a search found? The architecture that it stands for, what is known of it, and how it came to it."""

from dataclasses import dataclass, field
from typing import Any

from nas import step
from nas.derive import Derived
from nas.methods import Method
from nas.progress import Progress, believed
from nas.supernets.parent import ParentNetwork


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

    >>> import torch, nas
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
        probabilities=believed(method, now.state, argmax).tolist(),
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
