"""How are the shipped estimators proved? Run on SymPy symbols, summed over all architectures, and reduced to zero."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import sympy

from nas import estimators

Expression = Any


def symbols(letter: str, *shape: int) -> Any:
    """An object array of real symbols, letter followed by its indices."""
    array = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        array[index] = sympy.Symbol(letter + "".join(map(str, index)), real=True)
    return array


def policy(edges: int, candidates: int) -> Any:
    """Symbolic probabilities (E, K) whose rows sum to one."""
    free = symbols("p", edges, candidates - 1)
    return np.concatenate([free, 1 - free.sum(axis=-1, keepdims=True)], axis=-1)


def table(edges: int, candidates: int) -> Any:
    """A symbolic loss for each of the (K + 1)^E states, the last state of an edge being zeroed."""
    return symbols("L", *(candidates + 1,) * edges)


def architectures(p: Any) -> Iterator[tuple[tuple[int, ...], Any, Any]]:
    """(operations, probability, one-hot gates (E, K)) of every architecture."""
    edges, candidates = p.shape
    for a in itertools.product(range(candidates), repeat=edges):
        probability = sympy.Integer(1)
        for edge, operation in enumerate(a):
            probability = probability * p[edge, operation]
        yield a, probability, np.array(np.eye(candidates, dtype=int)[list(a)], dtype=object)


def replaced(losses: Any, a: tuple[int, ...], edge: int, state: int) -> Any:
    """The loss with one edge in another state."""
    return losses[(*a[:edge], state, *a[edge + 1 :])]


def zeroed(losses: Any, a: tuple[int, ...]) -> Any:
    """Losses (E,) with each edge zeroed in turn."""
    return np.array([replaced(losses, a, e, losses.shape[e] - 1) for e in range(len(a))], dtype=object)


def expected(losses: Any, p: Any) -> Any:
    """J."""
    return sum(probability * losses[a] for a, probability, _ in architectures(p))


def gradient(losses: Any, p: Any) -> Any:
    """E[L (a - p)], from the definition, (E, K)."""
    return sum(probability * losses[a] * (gates - p) for a, probability, gates in architectures(p))


def exact_mean(losses: Any, p: Any) -> Any:
    """The mean of the shipped exact advantage, (E, K)."""
    return sum(
        probability * estimators.exact_advantage(p, gates, losses[a], zeroed(losses, a))
        for a, probability, gates in architectures(p)
    )


def reduced(array: Any) -> list[Any]:
    """Every entry as one rational function in lowest terms: zero exactly if the identity holds."""
    return [sympy.cancel(sympy.together(entry)) for entry in np.asarray(array, dtype=object).ravel()]
