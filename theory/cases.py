"""On which examples is a claim tried? Small integers, so that every example is exact, shrinks, and can be pasted.

A `Case` is a landscape, a policy, a share of the admissible step and a direction, all made of integers:

    table      any losses of K operations and of the zeroed edge: the general landscape
    additive   sum_e u_e(a_e)
    quadratic  mean over D outputs of (sum_e h_e - y)^2: not affine in an edge's output
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from theory.landscapes import Bilinear, Landscape, Quadratic, Table

Kind = Literal["table", "additive", "quadratic"]


@dataclass(frozen=True)
class Domain:
    """Where a claim is tried: the kind of landscape, and the ranges of E and K."""

    kind: Kind = "table"
    edges: tuple[int, int] = (1, 3)
    candidates: tuple[int, int] = (2, 3)


@dataclass(frozen=True)
class Case:
    """losses: table (K + 1,) * E, additive (E, K), quadratic (E K + 1, D), the last row being the target y.

    weights (E, K), non-negative: row e of the policy is weights_e / sum; share in (0, 1]; direction (E, K).
    """

    kind: Kind
    losses: Any
    weights: Any
    share: Fraction
    direction: Any

    def problem(self, exact: bool) -> Landscape:
        """The landscape, in float64 or in `Fraction`."""
        numbers = _fractions(self.losses) if exact else np.asarray(self.losses, dtype=float)
        if self.kind == "table":
            return Table(numbers)
        if self.kind == "additive":
            return Bilinear(numbers)
        edges, candidates = np.shape(self.weights)
        return Quadratic(numbers[:-1].reshape(edges, candidates, -1), numbers[-1])

    def policy(self, exact: bool) -> Any:
        """Probabilities (E, K)."""
        weights = _fractions(self.weights) if exact else np.asarray(self.weights, dtype=float)
        return weights / weights.sum(axis=-1, keepdims=True)

    def vector(self, exact: bool) -> Any:
        """The direction (E, K) as numbers of the wanted type."""
        return _fractions(self.direction) if exact else np.asarray(self.direction, dtype=float)

    def __str__(self) -> str:
        """Python that makes this case again."""
        return (
            f"Case({self.kind!r}, np.array({np.asarray(self.losses).tolist()}), "
            f"np.array({np.asarray(self.weights).tolist()}), Fraction({self.share.numerator}, "
            f"{self.share.denominator}), np.array({np.asarray(self.direction).tolist()}))"
        )


def random_case(rng: np.random.Generator, domain: Domain) -> Case:
    """A case in the domain; one policy in four lies near or on the simplex boundary."""
    number = int(rng.integers(domain.edges[0], domain.edges[1] + 1))
    options = int(rng.integers(domain.candidates[0], domain.candidates[1] + 1))
    high = int(rng.choice([1, 3, 9]))
    weights = rng.integers(1, 10, (number, options))
    if rng.uniform() < 0.25:
        weights = rng.integers(0, 2, (number, options)) * 10 ** rng.integers(0, 4, (number, options))
        weights[np.arange(number), rng.integers(options, size=number)] += 1
    return Case(
        domain.kind,
        rng.integers(-high, high + 1, losses_shape(domain.kind, number, options)),
        weights,
        Fraction(int(rng.integers(1, 9)), 8),
        rng.integers(-3, 4, (number, options)),
    )


def minimise(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest case, by steps that keep `fails(case)` true: fewer edges and candidates, smaller integers."""
    while True:
        for smaller in _smaller(case):
            if fails(smaller):
                case = smaller
                break
        else:
            return case


def losses_shape(kind: Kind, edges: int, candidates: int) -> tuple[int, ...]:
    """Shape of `Case.losses`; quadratic cases have two outputs."""
    shapes: dict[Kind, tuple[int, ...]] = {
        "table": (candidates + 1,) * edges,
        "additive": (edges, candidates),
        "quadratic": (edges * candidates + 1, 2),
    }
    return shapes[kind]


# ------------------------------------------------------------------ helpers


def _smaller(case: Case) -> Iterator[Case]:
    edges, candidates = np.shape(case.weights)
    if case.kind in ("table", "additive"):
        for edge in range(edges if edges > 1 else 0):
            kept = (
                np.delete(case.losses, edge, axis=0) if case.kind == "additive" else np.take(case.losses, 0, axis=edge)
            )
            yield replace(
                case,
                losses=kept,
                weights=np.delete(case.weights, edge, axis=0),
                direction=np.delete(case.direction, edge, axis=0),
            )
        for operation in range(candidates if candidates > 2 else 0):
            axes = (1,) if case.kind == "additive" else tuple(range(edges))
            kept = case.losses
            for axis in axes:
                kept = np.delete(kept, operation, axis=axis)
            weights = np.delete(case.weights, operation, axis=1)
            if (weights.sum(axis=1) > 0).all():
                yield replace(
                    case, losses=kept, weights=weights, direction=np.delete(case.direction, operation, axis=1)
                )
    for name, floor in (("losses", 0), ("weights", 1), ("direction", 0)):
        values = np.asarray(getattr(case, name))
        for index in np.ndindex(values.shape):
            for smaller in _towards(int(values[index]), floor):
                changed = values.copy()
                changed[index] = smaller
                yield _with(case, name, changed)
    for share in (Fraction(1), Fraction(1, 2)):
        if share.denominator < case.share.denominator:
            yield replace(case, share=share)


def _with(case: Case, name: str, values: Any) -> Case:
    changed: dict[str, Any] = {name: values}
    return replace(case, **changed)


def _towards(value: int, floor: int) -> list[int]:
    distance = value - floor
    steps = [floor, floor + int(distance / 2), value - (1 if distance > 0 else -1)]
    return [s for s in dict.fromkeys(steps) if abs(s - floor) < abs(distance)]


def _fractions(values: Any) -> Any:
    found = np.empty(np.shape(values), dtype=object)
    for index in np.ndindex(found.shape):
        found[index] = Fraction(int(np.asarray(values)[index]))
    return found
