"""How does a rate, or a temperature, fall over a training?"""

import math
from dataclasses import dataclass


def cosine(progress: float) -> float:
    """Half a cosine: 1 at progress 0, 0 at 1 and beyond."""
    return 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


@dataclass(frozen=True)
class Linear:
    """A line from `first` at progress 0 to `last` at 1. A class, so that what holds it can be stored and compared."""

    first: float
    last: float

    def __call__(self, progress: float) -> float:
        return self.first + (self.last - self.first) * progress


@dataclass(frozen=True)
class Exponential:
    """A constant factor a step, from `first` at progress 0 to `last` at 1; both positive."""

    first: float
    last: float

    def __call__(self, progress: float) -> float:
        return self.first * math.pow(self.last / self.first, progress)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 at progress 0 that never falls below `least`."""

    least: float

    def __call__(self, progress: float) -> float:
        return max(cosine(progress), self.least)
