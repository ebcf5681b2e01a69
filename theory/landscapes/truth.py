"""What is the best architecture, and between which losses does a landscape lie? The one place that looks at all K^E."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from theory import architectures

CHUNK = 1 << 14  # architectures whose losses are computed at once


@dataclass(frozen=True)
class Truth:
    """optimum: operations (E,) of the best architecture, the first of equals, or None where none is the one to find.

    min_loss, max_loss: smallest and largest loss of the one-hot architectures, nan where they are not known.
    """

    optimum: tuple[int, ...] | None
    min_loss: Any
    max_loss: Any


UNKNOWN = Truth(None, math.nan, math.nan)


class Enumerable(Protocol):
    """What is needed of a landscape here."""

    @property
    def edges(self) -> int: ...
    @property
    def candidates(self) -> int: ...
    @property
    def exact(self) -> bool: ...
    def loss(self, gates: Any) -> Any: ...


def by_enumeration(landscape: Enumerable, most: int) -> Truth | None:
    """The truth from the losses of all architectures; None where there are more than `most`."""
    edges, candidates = landscape.edges, landscape.candidates
    if candidates**edges > most:
        return None
    best: tuple[int, ...] = ()
    low = high = None
    for choice in architectures.chunks(edges, candidates, CHUNK, "extremes"):
        loss = landscape.loss(architectures.one_hot(choice, candidates, landscape.exact))
        first = int(np.argmin(loss))
        if low is None or loss[first] < low:
            low, best = loss[first], tuple(int(k) for k in choice[first])
        top = loss.max()
        high = top if high is None or top > high else high
    return Truth(best, low, high)


def losses(landscape: Enumerable, most: int) -> Any:
    """The losses of all architectures, (K,) * E. Raises: ValueError where there are more than `most`."""
    edges, candidates = landscape.edges, landscape.candidates
    if candidates**edges > most:
        raise ValueError(
            f"its expected loss needs a sum over all {candidates}^{edges} = {candidates**edges:.3g} architectures, "
            f"too many (at most {most:,}); take fewer edges or candidates"
        )
    parts = [
        landscape.loss(architectures.one_hot(choice, candidates, landscape.exact))
        for choice in architectures.chunks(edges, candidates, CHUNK, "losses")
    ]
    return np.concatenate(parts).reshape((candidates,) * edges)


def of_table(table: Any) -> Truth:
    """The truth of losses (K,) * E."""
    flat = table.reshape(-1)
    first = int(np.argmin(flat))
    return Truth(tuple(int(k) for k in np.unravel_index(first, table.shape)), flat[first], flat.max())
