"""Which architectures are there? All K^E of them, in chunks, with their probabilities.

Architecture number n has the digits of n in base K as its operations, edge 0 first. Everything works on float64 and,
exactly, on object arrays of `Fraction`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

LARGEST = 20_000_000  # architectures that a sum over all of them accepts: minutes, not hours


def count(edges: int, candidates: int) -> int:
    """K^E. Raises: ValueError if that is more than `LARGEST`, with the size and a way out."""
    number: int = int(candidates) ** int(edges)
    if number > LARGEST:
        raise ValueError(
            f"{candidates}^{edges} = {number:.3g} architectures are too many to sum over (at most {LARGEST:,}); "
            "take fewer edges or candidates, or simulate instead"
        )
    return number


def choices(edges: int, candidates: int, start: int = 0, stop: int | None = None) -> Any:
    """Operations (n, E), integers, of architectures start to stop - 1 (default: all)."""
    numbers = np.arange(start, count(edges, candidates) if stop is None else stop)
    return numbers[:, None] // candidates ** np.arange(edges - 1, -1, -1) % candidates


def one_hot(choice: Any, candidates: int, exact: bool = False) -> Any:
    """Gates (..., E, K) of operations (..., E): float64, or Python integers for exact sums."""
    eye = np.eye(candidates, dtype=int).astype(object) if exact else np.eye(candidates)
    return eye[choice]


def chunks(edges: int, candidates: int, size: int, progress: str | None = None) -> Iterator[Any]:
    """All architectures as operations (n, E), at most `size` at a time; progress: the label of a bar, or None."""
    number = count(edges, candidates)
    starts = range(0, number, size)
    label = {"desc": progress, "unit": "chunk", "leave": False, "delay": 2.0, "disable": None}
    for start in tqdm(starts, **label) if progress else starts:
        yield choices(edges, candidates, start, min(start + size, number))


def probability(probabilities: Any, choice: Any) -> Any:
    """P(a) (n,) of operations (n, E) under probabilities (E, K)."""
    weight = probabilities[0, choice[:, 0]]
    for edge in range(1, choice.shape[1]):
        weight = weight * probabilities[edge, choice[:, edge]]
    return weight
