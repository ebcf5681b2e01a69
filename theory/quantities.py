"""Which quantities do several claims speak of? Expected loss, conditional losses, moved policies: exact or floats."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from nas import policy
from nas.objective import Objective
from theory import exact


def expected_loss(problem: Objective[Any], probabilities: Any) -> Any:
    """J = E[L] at probabilities (E, K).

    >>> from fractions import Fraction
    >>> from theory.landscapes import make
    >>> expected_loss(make("xor", 3, 2, exact=True), np.full((3, 2), Fraction(1, 2)))
    Fraction(1, 2)
    """
    total: Any = 0
    for weight, _, loss in exact.weighted_losses(problem, probabilities):
        total = total + (weight * loss).sum()
    return total


def conditional_losses(problem: Objective[Any], probabilities: Any) -> Any:
    """q_ek = E[L | a_ek = 1], (E, K), where p_ek > 0; J elsewhere.

    >>> from theory.landscapes import make
    >>> conditional_losses(make("xor", 2, 2), np.array([[1.0, 0.0], [0.5, 0.5]]))  # the second edge decides
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    known = exact.truth(problem, probabilities)
    positive = probabilities > 0
    return known.expected_loss + known.gradient / np.where(positive, probabilities, 1 + 0 * probabilities)


def simplex_step(probabilities: Any, gradient: Any) -> Any:
    """`nas.policy.simplex_step`, or None where any step stays on the simplex."""
    least = 0 if probabilities.dtype == object else 1e-12  # a rounding error is no gradient
    longest = policy.simplex_step(probabilities, np.where(gradient > least, gradient, 0 * gradient))
    return None if longest == math.inf else longest


def settled(probabilities: Any) -> Any:
    """Float rows with rounding errors below zero removed; exact rows unchanged."""
    if probabilities.dtype == object:
        return probabilities
    positive = np.where((probabilities < 0) & (probabilities > -1e-12), 0.0, probabilities)
    return positive / positive.sum(axis=-1, keepdims=True)


def exponential_step(probabilities: Any, direction: Any, rate: Any) -> Any:
    """p' ~ p exp(-rate direction), rows (E, K): a step of the logits, in floats."""
    return policy.softmax(policy.logits(probabilities) - rate * direction)


@dataclass(frozen=True)
class RationalStep:
    """A step of the logits whose policy is rational: p' ~ p exp(-v), low <= v <= high, all (E, K) `Fraction`."""

    moved: Any
    low: Any
    high: Any


def rational_step(probabilities: Any, step: Any) -> RationalStep:
    """`exponential_step` along a rational `step` (E, K), exactly for a step within 2^-20 of each of its entries.

    exp(-step) is rounded to 22 binary digits; what the rounded step is, -ln of a rational number, is enclosed by
    interval arithmetic. Raises: ValueError for a step beyond 300, where p' has no readable size.
    """
    if abs(step).max() > 300:
        raise ValueError(f"a step of {float(abs(step).max()):.3g} in the logits is too long to take exactly")
    growth, low, high = (np.empty(np.shape(step), dtype=object) for _ in range(3))
    for index in np.ndindex(np.shape(step)):
        mantissa, exponent = math.frexp(math.exp(-step[index]))
        rounded = Fraction(round(mantissa * 2**22), 2**22) * Fraction(2) ** exponent
        bounds = _logarithm(rounded)
        growth[index], low[index], high[index] = rounded, -bounds[1], -bounds[0]
    weights = probabilities * growth
    return RationalStep(weights / weights.sum(axis=-1, keepdims=True), low, high)


def score_norms(probabilities: Any) -> Any:
    """w_ek = ||e_k - p_e||^2, (E, K): the squared score of an edge that drew operation k."""
    return 1 - 2 * probabilities + (probabilities * probabilities).sum(axis=-1, keepdims=True)


# ------------------------------------------------------------------ helpers


def _logarithm(x: Fraction) -> tuple[Fraction, Fraction]:
    """Rational bounds of ln x, 1e-16 apart or less; equal at 1. x = 2^n y, 2/3 <= y <= 4/3."""
    doublings = 0
    while x > Fraction(4, 3):
        x, doublings = x / 2, doublings + 1
    while x < Fraction(2, 3):
        x, doublings = x * 2, doublings - 1
    low, high = _artanh_twice((x - 1) / (x + 1))
    low_two, high_two = _artanh_twice(Fraction(1, 3))
    ends = (low_two, high_two) if doublings >= 0 else (high_two, low_two)
    return low + doublings * ends[0], high + doublings * ends[1]


def _artanh_twice(r: Fraction) -> tuple[Fraction, Fraction]:
    """Bounds of 2 artanh r = 2 (r + r^3/3 + r^5/5 + ...), |r| <= 1/3: its first 16 terms, and what can follow."""
    found = 2 * sum((r ** (2 * k + 1) / (2 * k + 1) for k in range(16)), Fraction(0))
    rest = 2 * abs(r) ** 33 / (33 * (1 - r * r))
    return (found, found + rest) if r >= 0 else (found - rest, found)
