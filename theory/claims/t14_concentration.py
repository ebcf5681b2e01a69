"""T14: how many samples make a step of 1 / C improve, with high probability? A logarithm of 1/delta, not 1/delta.

Let X be one sample's gradient, m = grad J + b its mean, V its total variance, ||X - m|| <= B, G the mean of n samples.
A step of 1 / C along G improves J wherever ||G - grad J|| < ||grad J|| (T10 for this very G), so surely where ||G -
m|| < g = ||grad J|| - ||b||. Bernstein's inequality in a Hilbert space (Pinelis 1994, theorem 3.3 with D = 1) says

    P(||G - m|| >= r) <= 2 exp(-n r^2 / (2 V + 2 B r / 3)),                                                    (1)

so for g > 0, n >= (2 V / g^2 + 2 B / (3 g)) ln(2 / delta) samples suffice. In many dimensions V is much larger than
the largest variance s along one direction, and Bousquet's inequality (2002) for the supremum of <u, G - m> over unit u
is better:

    P(||G - m|| >= sqrt(V / n) + r) <= exp(-(v / B^2) h(B n r / v)),  v = n s + 2 B sqrt(n V),                 (2)

h(u) = (1 + u) ln(1 + u) - u. `samples_needed` takes the smaller n of the two. Chebyshev's n is V / (delta g^2). The
inequalities are not this project's, nor is T10; put together for sampled architecture steps they are checked here,
exactly.
"""

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from nas.methods import METHODS
from theory import exact
from theory.cases import Case, Domain
from theory.claim import Checker, Claim, Control
from theory.landscapes import Landscape

TRIED = ("reinforce", "exact_advantage", "advantage")
MARGIN = 1e-9  # the bounds are floats; this much more than covers their rounding


def bernstein(variance: float, bound: float, radius: float, samples: int) -> float:
    """(1): at most this is the probability that the mean of `samples` gradients errs by `radius` or more."""
    scale = 2 * variance + 2 * bound * radius / 3
    return min(1.0, 2 * math.exp(-samples * radius * radius / scale)) if scale > 0 else float(radius <= 0)


def bousquet(variance: float, largest: float, bound: float, radius: float, samples: int) -> float:
    """(2) for the probability of an error of `radius` or more; largest: the largest eigenvalue of the covariance."""
    over = radius - math.sqrt(variance / samples)
    if over <= 0 or bound <= 0:
        return float(over <= 0)
    v = samples * largest + 2 * bound * math.sqrt(samples * variance)
    u = bound * samples * over / v
    return math.exp(-v / bound**2 * ((1 + u) * math.log1p(u) - u))


def samples_needed(room: float, variance: float, largest: float, bound: float, delta: float) -> float:
    """The smallest n for which (1) or (2) promises an error below `room` with probability 1 - delta; infinite for none.

    room: g = ||grad J|| - ||b||; delta in (0, 1). (1) gives n in closed form, (2) by bisection.
    """
    if room <= 0:
        return math.inf
    enough = max(1, math.ceil((2 * variance / room**2 + 2 * bound / (3 * room)) * math.log(2 / delta)))
    low, high = 0, enough
    while high - low > 1:
        middle = (low + high) // 2
        if bousquet(variance, largest, bound, room, middle) <= delta:
            high = middle
        else:
            low = middle
    return high


def spread(name: str, problem: Landscape, p: Any) -> tuple[Any, Any, float, float]:
    """(P(outcome) (n,), X - m (n, E, K), its largest norm B, the largest eigenvalue of its covariance)."""
    drawn = list(exact.weighted_gradients(METHODS[name], problem, p))
    weights, gradients = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    away = gradients - (weights[:, None, None] * gradients).sum(axis=0)
    flat = away.reshape(len(away), -1)
    covariance = (flat.T @ (weights[:, None] * flat)).astype(float)
    largest = float(np.linalg.eigvalsh(covariance)[-1])
    return weights, away, math.sqrt(float((flat * flat).sum(axis=-1).max())), max(largest, 0.0)


def tail(weights: Any, away: Any, centre: Any, square: Any, samples: int) -> Any:
    """P(||mean of samples of `away` + centre||^2 >= square), exactly, by all multisets of outcomes."""
    total: Any = 0
    for drawn in itertools.combinations_with_replacement(range(len(weights)), samples):
        error = away[list(drawn)].sum(axis=0) / samples + centre
        if (error * error).sum() >= square:
            counts = np.bincount(drawn)
            ways = math.factorial(samples) // math.prod(math.factorial(int(c)) for c in counts)
            total = total + ways * math.prod(weights[k] for k in drawn)
    return total


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """Smallest room in (1) and (2) at several radii, for 1 to 4 samples, and in the failure of a step of 1 / C."""
    samples = 1 + int(share.numerator if isinstance(share, Fraction) else round(8 * share)) % 4
    rooms: list[Any] = []
    for name in TRIED:
        found = exact.moments(METHODS[name], problem, p)
        weights, away, bound, largest = spread(name, problem, p)
        variance = max(0.0, float(found.total_variance))  # where all losses agree, rounding may leave it below zero
        for part in (Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)):
            radius = part * Fraction(round(bound * 4096), 4096)
            square = radius * radius if p.dtype == object else float(radius) ** 2
            chance = float(tail(weights, away, 0 * p, square, samples))
            for promised in (
                bernstein(variance, bound, float(radius), samples),
                bousquet(variance, largest, bound, float(radius), samples),
            ):
                rooms.append(promised * (1 + MARGIN) + MARGIN - chance)
        rooms.append(_step_room(found, weights, away, bound, samples, found.bias_norm))
    return min(rooms) if p.dtype != object else Fraction(min(rooms))


def _step_room(found: Any, weights: Any, away: Any, bound: float, samples: int, bias_norm: float) -> float:
    """(1) at g minus P(||G - grad J|| >= ||grad J||)."""
    square = (found.gradient * found.gradient).sum()
    room = math.sqrt(square) - bias_norm
    if room <= 1e-9 * (1 + math.sqrt(square)):
        return 0.0
    chance = float(tail(weights, away, found.bias, square, samples))
    return bernstein(float(found.total_variance), bound, room, samples) * (1 + MARGIN) + MARGIN - chance


# ------------------------------------------------------------------ controls


def _deviation(promised: Any) -> Checker:
    """A control: P(||X - m|| >= (9/10) B) for one exact advantage is at most promised(V, B, r)."""

    def checker(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
        found = exact.moments(METHODS["exact_advantage"], problem, p)
        weights, away, bound, _ = spread("exact_advantage", problem, p)
        if bound == 0:
            return 0.0
        chance = float(tail(weights, away, 0 * p, 0.81 * bound * bound, 1))
        return promised(float(found.total_variance), bound, 0.9 * bound) + MARGIN - chance

    return checker


def _forgets_the_bias(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    found = exact.moments(METHODS["advantage"], problem, p)
    weights, away, bound, _ = spread("advantage", problem, p)
    return _step_room(found, weights, away, bound, 24, 0.0)


RARE = Case("table", np.array([9, 0, 0]), np.array([[1, 99]]), Fraction(1), np.zeros((1, 2), dtype=int))
SMALL = Case("quadratic", np.array([[5], [10], [8]]), np.array([[1, 1]]), Fraction(1), np.zeros((1, 2), dtype=int))


def symbolic() -> list[Any]:
    """n = (2 V / g^2 + 2 B / (3 g)) ln(2/delta) makes (1) exactly delta."""
    v, g, b, d = sympy.symbols("V g B d", positive=True)
    n = (2 * v / g**2 + 2 * b / (3 * g)) * sympy.log(2 / d)
    return [sympy.simplify(2 * sympy.exp(-n * g**2 / (2 * v + 2 * b * g / 3)) - d)]


CLAIM = Claim(
    "T14",
    "sampled steps improve with high probability",
    "with ||X - m|| <= B and g = ||grad J|| - ||b|| > 0, n >= (2 V / g^2 + 2 B / (3 g)) ln(2 / delta) samples make a "
    "step of 1 / C improve with probability 1 - delta: P(||G - m|| >= r) <= 2 exp(-n r^2 / (2 V + 2 B r / 3)); and "
    "P(||G - m|| >= sqrt(V / n) + r) <= exp(-(v / B^2) h(B n r / v)), v = n s + 2 B sqrt(n V)",
    "independent samples; V the total variance, s the largest variance along a direction; C the smoothness constant "
    "of T8",
    "n >= (2 V / g^2 + 2 B / (3 g)) ln(2 / delta), or (2)'s if it is smaller",
    slack,
    (
        Control(
            "the term with B is not needed: P(||X - m|| >= r) <= 2 exp(-r^2 / (2 V))",
            _deviation(lambda v, b, r: 2 * math.exp(-r * r / (2 * v)) if v > 0 else 0.0),
            Domain("table", edges=(1, 1), candidates=(2, 2)),
            RARE,
            exact=False,
        ),
        Control(
            "the exponent may be doubled: P(||X - m|| >= r) <= 2 exp(-r^2 / (V + B r / 3))",
            _deviation(lambda v, b, r: 2 * math.exp(-r * r / (v + b * r / 3)) if v > 0 else 0.0),
            Domain("table", edges=(1, 1), candidates=(2, 2)),
            exact=False,
        ),
        Control(
            "the bias may be forgotten", _forgets_the_bias, Domain("quadratic", (1, 1), (2, 2)), SMALL, exact=False
        ),
    ),
    "the n of the statement makes (1) equal to delta",
    symbolic,
    Domain("quadratic", edges=(1, 2), candidates=(2, 2)),
)
