"""T14: how many samples make a step of s / C improve, with high probability? A logarithm of 1/delta, not 1/delta.

Let X be one sample's gradient, m = grad J + b its mean, V its total variance, ||X - m|| <= B, G the mean of n samples.
A step of s / C along G, 0 < s <= 1, changes J by at most (T8) -(s/C) <grad J, G> + (s^2 / 2 C) ||G||^2, so it improves
J wherever

    s ||G||^2 < 2 <grad J, G>,   that is   ||G - grad J / s|| < ||grad J|| / s,                                (1)

surely where ||G - m|| < g = ||grad J|| - ||b||. Bernstein's inequality in a Hilbert space (Pinelis 1994, theorem 3.3
with D = 1) says

    P(||G - m|| >= r) <= 2 exp(-n r^2 / (2 V + 2 B r / 3)),                                                    (2)

so for g > 0, n >= (2 V / g^2 + 2 B / (3 g)) ln(2 / delta) samples suffice. In many dimensions V is much larger than
the largest variance along one direction, and Bousquet's inequality (2002) for the supremum of <u, G - m> over unit u
is better:

    P(||G - m|| >= sqrt(V / n) + r) <= exp(-(v / B^2) h(B n r / v)),  v = n v_max + 2 B sqrt(n V),             (3)

h(u) = (1 + u) ln(1 + u) - u. Both replace the distribution of X by V and B. Where it is known there is for any l > 0

    P(||G - m|| >= r) <= (E[exp(l N) - l N])^n / cosh(l n r),   N = ||X - m||,                                 (4)

because E cosh(l ||x + X - m||) <= cosh(l ||x||) (1 + E[exp(l N) - 1 - l N]): the second derivative of cosh(l ||.||)
along d is at most l^2 ||d||^2 cosh(l ||.||), the first one vanishes in the mean, and the integral of
(1 - t) u^2 exp(t u) over [0, 1] is exp(u) - 1 - u (the step of Pinelis's proof, before it is simplified).

All three take the length of the bias off the gradient, whichever way it points, and treat an error across the gradient
as one against it. Along the gradient the error is a number: let A = <grad J, G> / ||grad J||, G' the rest of G and
R = ||grad J|| / s. A^2 + ||G'||^2 < 2 R A where a < A < 2 R - a and ||G'||^2 < a (2 R - a), so (1) fails at most with

    P(A <= a) + P(A >= 2 R - a) + P(||G'||^2 >= a (2 R - a))   for any a in (0, R),                            (5)

the first two by Chernoff's inequality, inf_l (E exp(l (Y - y)))^n, the third by the best of (2), (3) and (4), or again
by Chernoff's where G' has one dimension (two binary edges). Chebyshev's n is V / (delta g^2). (2) and (3) are not this
project's, nor is T10; put together for sampled architecture steps they are checked here, exactly.
"""

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy

from nas.methods import METHODS
from nas.optimisers import sgd
from theory import architectures, exact, symbols
from theory.cases import Case, Domain
from theory.claim import Checker, Claim, Control, named
from theory.claims.t8_logit_step import largest_step, stated
from theory.landscapes import Landscape
from theory.quantities import exponential_step

TRIED = ("reinforce", "exact_advantage", "advantage")
MARGIN = 1e-9  # the bounds are floats; this much more than covers their rounding
TILTS = 2.0 ** np.arange(-10, 9, 0.25)  # l times the largest value: every one of them gives a valid bound
LEVELS = np.arange(1, 40) / 40  # a over R, or over the mean of A where that is less
MOST = 1 << 40  # samples: beyond it nothing is promised

Floats = npt.NDArray[np.float64]


# ------------------------------------------------------------------ tails of a mean of samples


def bernstein(variance: float, bound: float, radius: float, samples: int) -> float:
    """(2): at most this is the probability that the mean of `samples` gradients errs by `radius` or more."""
    scale = 2 * variance + 2 * bound * radius / 3
    return min(1.0, 2 * math.exp(-samples * radius * radius / scale)) if scale > 0 else float(radius <= 0)


def bousquet(variance: float, largest: float, bound: float, radius: float, samples: int) -> float:
    """(3) for the probability of an error of `radius` or more; largest: the largest eigenvalue of the covariance."""
    over = radius - math.sqrt(variance / samples)
    if over <= 0 or bound <= 0:
        return float(over <= 0)
    v = samples * largest + 2 * bound * math.sqrt(samples * variance)
    u = bound * samples * over / v
    return math.exp(-v / bound**2 * ((1 + u) * math.log1p(u) - u))


def pinelis(weights: Floats, norms: Floats, radius: Any, samples: int) -> Any:
    """(4) for each radius, given the probabilities (n,) and the sizes (n,) of one sample's error."""
    bound = norms.max()
    if bound <= 0:
        return np.where(np.asarray(radius) > 0, 0.0, 1.0)
    grown = np.exp(TILTS[:, None] * norms / bound) - TILTS[:, None] * norms / bound
    x = np.multiply.outer(np.maximum(radius, 0), TILTS) * samples / bound
    log_cosh = x + np.log1p(np.exp(-2 * x)) - math.log(2)
    return np.exp(np.minimum(0.0, samples * np.log(grown @ weights) - log_cosh).min(axis=-1))


def chernoff(weights: Floats, values: Floats, level: Any, samples: int) -> Any:
    """Bound of P(mean of `samples` values >= level) for each level, given the probabilities (n,) of the values (n,)."""
    away = values - weights @ values
    largest = np.abs(away).max()
    over = np.asarray(level) - weights @ values
    if largest <= 0:
        return np.where(over > 0, 0.0, 1.0)
    grown = np.log(np.exp(TILTS[:, None] * away / largest) @ weights)
    return np.exp(np.minimum(0.0, samples * (grown - np.multiply.outer(over, TILTS) / largest)).min(axis=-1))


# ------------------------------------------------------------------ how many samples


def failure_bound(weights: Floats, gradients: Floats, gradient: Floats, samples: int, share: float = 1.0) -> float:
    """At most this is the probability that a step of share / C with the mean of `samples` gradients does not improve J.

    The smallest of what (2) to (5) promise. weights (n,), gradients (n, E, K): of one sample; gradient (E, K): of J.

    >>> law = np.array([0.5, 0.5]), np.array([[[1.0, -1.0]], [[3.0, -3.0]]])  # all samples point the right way
    >>> failure_bound(*law, np.array([[2.0, -2.0]]), samples=100) < 1e-9
    True
    """
    flat, along = gradients.reshape(len(weights), -1), gradient.ravel()
    length = math.sqrt(float(along @ along))
    if length <= 0:
        return 1.0
    away = flat - weights @ flat
    whole = _norm_bound(weights, away, length - math.sqrt(float(((weights @ flat - along) ** 2).sum())), samples)
    return min(1.0, float(whole), _along_and_across(weights, flat, along / length, length / share, samples))


def samples_needed(weights: Floats, gradients: Floats, gradient: Floats, delta: float, share: float = 1.0) -> float:
    """The smallest n for which `failure_bound` is at most delta in (0, 1); infinite where no n is promised to do.

    By bisection: what is below one falls with n in all of (2) to (5).
    """
    low, high = 0, 1
    while failure_bound(weights, gradients, gradient, high, share) > delta:
        low, high = high, 2 * high
        if high > MOST:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        if failure_bound(weights, gradients, gradient, middle, share) <= delta:
            high = middle
        else:
            low = middle
    return high


def samples_by_bernstein(room: float, variance: float, bound: float, delta: float) -> float:
    """n = (2 V / g^2 + 2 B / (3 g)) ln(2 / delta), rounded up, for room g = ||grad J|| - ||b||; infinite for none."""
    if room <= 0:
        return math.inf
    return max(1, math.ceil((2 * variance / room**2 + 2 * bound / (3 * room)) * math.log(2 / delta)))


def _along_and_across(weights: Floats, flat: Floats, unit: Floats, radius: float, samples: int) -> float:
    """(5) for samples flat (n, E K), unit the direction of grad J and radius R, at the best of `LEVELS`."""
    along = flat @ unit
    across = flat - along[:, None] * unit
    least = LEVELS * min(radius, float(weights @ along))
    if least[0] <= 0:
        return 1.0
    rest = np.sqrt(least * (2 * radius - least))
    sides = chernoff(weights, -along, -least, samples) + chernoff(weights, along, 2 * radius - least, samples)
    line = across[int(np.argmax((across * across).sum(axis=-1)))]
    size = math.sqrt(float(line @ line))
    if size <= 1e-12 * np.abs(along).max():  # one dimension: nothing is across
        third = 0 * rest
    elif np.abs(across - np.outer(across @ line, line) / size**2).max() <= 1e-12 * size:
        place = across @ line / size
        third = chernoff(weights, place, rest, samples) + chernoff(weights, -place, rest, samples)
    else:
        middle = weights @ across
        third = _norm_bound(weights, across - middle, rest - math.sqrt(float(middle @ middle)), samples)
    return float((sides + third).min())


def _norm_bound(weights: Floats, away: Floats, radius: Any, samples: int) -> Any:
    """The smallest of (2), (3) and (4) for each radius; errors away (n, d) with mean zero. One where radius <= 0."""
    norms, covariance = np.sqrt((away * away).sum(axis=-1)), away.T @ (weights[:, None] * away)
    variance, bound = float(np.trace(covariance)), float(norms.max())
    largest = max(0.0, float(np.linalg.eigvalsh(covariance)[-1]))
    found = np.atleast_1d(pinelis(weights, norms, radius, samples))
    for i, r in enumerate(np.atleast_1d(radius)):
        if r > 0:
            found[i] = min(
                found[i], bernstein(variance, bound, r, samples), bousquet(variance, largest, bound, r, samples)
            )
    return np.where(np.atleast_1d(radius) > 0, found, 1.0).reshape(np.shape(radius))


# ------------------------------------------------------------------ the checker


def spread(name: str, problem: Landscape, p: Any) -> tuple[Any, Any, float, float]:
    """(P(outcome) (n,), X - m (n, E, K), its largest norm B, the largest eigenvalue of its covariance)."""
    weights, gradients = law(name, problem, p)
    away = gradients - (weights[:, None, None] * gradients).sum(axis=0)
    flat = away.reshape(len(away), -1)
    covariance = (flat.T @ (weights[:, None] * flat)).astype(float)
    largest = float(np.linalg.eigvalsh(covariance)[-1])
    return weights, away, math.sqrt(float((flat * flat).sum(axis=-1).max())), max(largest, 0.0)


def law(name: str, problem: Landscape, p: Any) -> tuple[Any, Any]:
    """(P(outcome) (n,), X (n, E, K)): everything that one sample of a method can be."""
    drawn = list(exact.weighted_gradients(METHODS[name], problem, p))
    weights, gradients = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return weights, gradients


def means(weights: Any, values: Any, samples: int) -> tuple[Any, Any]:
    """(chance (M,), mean (M, E, K)) of all M multisets of `samples` outcomes, exact for exact input."""
    rows, chances = [], []
    for drawn in itertools.combinations_with_replacement(range(len(weights)), samples):
        counts = np.bincount(drawn, minlength=len(weights))
        ways = math.factorial(samples) // math.prod(math.factorial(int(c)) for c in counts)
        chances.append(ways * math.prod(weights[k] for k in drawn))
        rows.append(counts)
    flat = values.reshape(len(values), -1)
    counted = np.array(rows, dtype=object if values.dtype == object else float)
    return np.array(chances), (counted @ flat / samples).reshape(-1, *values.shape[1:])


def tail(weights: Any, away: Any, centre: Any, square: Any, samples: int) -> Any:
    """P(||mean of samples of `away` + centre||^2 >= square), exactly, by all multisets of outcomes."""
    chances, errors = means(weights, away, samples)
    squares = ((errors + centre) ** 2).sum(axis=(1, 2))
    return chances[squares >= square].sum()


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """Smallest room in (2) to (5) for 1 to 4 samples, and in floats in the failures of the step taken."""
    samples = 1 + int(8 * share) % 4
    rooms: list[Any] = []
    for name in TRIED:
        found = exact.moments(METHODS[name], problem, p)
        law = spread(name, problem, p)
        rooms += _tail_rooms(found, *law, samples)
        for part in {share, share**0}:
            rooms += _step_rooms(problem, found, law[0], law[1] + found.mean, samples, part)
    return min(rooms) if p.dtype != object else Fraction(min(rooms))


def _tail_rooms(found: Any, weights: Any, away: Any, bound: float, largest: float, samples: int) -> list[Any]:
    """Room in (2), (3) and (4) for errors of a quarter, a half and nine tenths of B; what `spread` tells is given."""
    variance = max(0.0, float(found.total_variance))  # where all losses agree, rounding may leave it below zero
    chances, errors = means(weights, away, samples)
    squares = (errors * errors).sum(axis=(1, 2))
    norms = np.sqrt((away * away).sum(axis=(1, 2)).astype(float))
    rooms = []
    for part in (Fraction(1, 4), Fraction(1, 2), Fraction(9, 10)):
        radius = part * Fraction(round(bound * 4096), 4096)
        square = radius * radius if away.dtype == object else float(radius) ** 2
        chance = float(chances[squares >= square].sum())
        for promised in (
            bernstein(variance, bound, float(radius), samples),
            bousquet(variance, largest, bound, float(radius), samples),
            float(pinelis(weights.astype(float), norms, float(radius), samples)),
        ):
            rooms.append(promised * (1 + MARGIN) + MARGIN - chance)
    return rooms


def _step_rooms(problem: Landscape, found: Any, weights: Any, gradients: Any, samples: int, share: Any) -> list[Any]:
    """Room in (5) for P((1) fails); in floats also of (1) for P(J' >= J), and of the step taken for the one named."""
    exactly = gradients.dtype == object
    spread = problem.max_loss - problem.min_loss
    square = (found.gradient * found.gradient).sum()
    size = max(abs(problem.max_loss), abs(problem.min_loss))
    if spread <= (0 if exactly else 1e-12 * size) or square <= (0 if exactly else 1e-18 * spread * spread):
        return []  # flat, or a gradient that is rounding: there is no step to take
    chances, steps = means(weights, gradients, samples)
    promised = 2 * (steps * found.gradient).sum(axis=(1, 2)) - share * (steps * steps).sum(axis=(1, 2))
    w, x, g = (part.astype(float) for part in (weights, gradients, found.gradient))
    most = failure_bound(w, x, g, samples, float(share))
    rooms = [most * (1 + MARGIN) + MARGIN - float(chances[promised <= 0].sum()), _promise(found, w, x, g)]
    if exactly:
        return rooms
    rate = share * largest_step(spread, problem.edges)
    moved = exponential_step(found.probabilities, steps, rate)
    tilted = found.probabilities * np.exp(-share * steps / (float(stated(problem.edges)) * spread))
    worse = _losses(problem, moved) >= found.expected_loss - 1e-15 * spread
    doubtful = rate / 2 * promised <= 1e-12 * spread  # nothing, or what rounding may hide
    rooms.append(MARGIN + chances[doubtful].sum() - chances[worse].sum())
    return [*rooms, named(moved, tilted / tilted.sum(axis=-1, keepdims=True))]


def _promise(found: Any, weights: Floats, gradients: Floats, gradient: Floats) -> float:
    """What the statement's n leaves of delta = 1/20: (2) at that n, not at one less, and the best of all at that n."""
    delta, length = 0.05, math.sqrt(float((gradient * gradient).sum()))
    room, variance = length - found.bias_norm, float(found.total_variance)
    away = gradients - (weights[:, None, None] * gradients).sum(axis=0)
    bound = math.sqrt(float((away * away).sum(axis=(1, 2)).max()))
    n = samples_by_bernstein(room, variance, bound, delta)
    if room <= 1e-9 * (1 + length) or n > MOST or bound == 0:
        return math.inf
    enough = delta * (1 + MARGIN)
    fewer = bernstein(variance, bound, room, int(n) - 1) - delta if n > 1 else math.inf
    return min(
        enough - bernstein(variance, bound, room, int(n)),
        enough - failure_bound(weights, gradients, gradient, int(n)),
        fewer + MARGIN,
    )


def _losses(problem: Landscape, policies: Any) -> Any:
    """J (M,) at each of the policies (M, E, K), in floats."""
    gates = architectures.one_hot(architectures.choices(*policies.shape[1:]), policies.shape[2])
    return np.einsum("mek,nek->mne", policies, gates).prod(axis=-1) @ problem.loss(gates)


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
    """(2) at r = ||grad J||, for 24 samples."""
    found = exact.moments(METHODS["advantage"], problem, p)
    weights, away, bound, _ = spread("advantage", problem, p)
    square = float((found.gradient * found.gradient).sum())
    if square <= 1e-18:
        return 0.0
    promised = bernstein(float(found.total_variance), bound, math.sqrt(square), 24)
    return promised + MARGIN - float(tail(weights, away, found.bias, square * (1 - 1e-9), 24))


def _along_alone(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """Chernoff's bound of P(A <= 0) for P((1) fails), REINFORCE, two samples."""
    found = exact.moments(METHODS["reinforce"], problem, p)
    square = float((found.gradient * found.gradient).sum())
    if square <= 1e-18:
        return 0.0
    weights, gradients = (part.astype(float) for part in law("reinforce", problem, p))
    along = (gradients * found.gradient.astype(float)).sum(axis=(1, 2))
    chances, steps = means(weights, gradients, 2)
    fails = (steps * steps).sum(axis=(1, 2)) >= 2 * (steps * found.gradient.astype(float)).sum(axis=(1, 2))
    return float(chernoff(weights, -along, 0.0, 2)) + MARGIN - float(chances[fails].sum())


RARE = Case("table", np.array([9, 0, 0]), np.array([[1, 99]]), Fraction(1), np.zeros((1, 2), dtype=int))
SMALL = Case("quadratic", np.array([[5], [10], [8]]), np.array([[1, 1]]), Fraction(1), np.zeros((1, 2), dtype=int))


def symbolic() -> list[Any]:
    """(2) at the statement's n; (1) from T8 for sgd's step; (4)'s integral; the ball of (1) at the corners of (5)."""
    v, g, b, d = sympy.symbols("V g B d", positive=True)
    n = (2 * v / g**2 + 2 * b / (3 * g)) * sympy.log(2 / d)
    a, r, s, c, t, u = sympy.symbols("a R s C t u", positive=True)
    mean, gradient, logits = (symbols.symbols(name, 1, 2) for name in ("G", "g", "t"))
    step = sgd().update(logits, mean, {}, s / c, 1)[0] - logits
    change = (gradient * step).sum() + c / 2 * (step * step).sum()
    ball = ((mean - gradient / s) ** 2).sum() - (gradient * gradient).sum() / s**2
    across = a * (2 * r - a)
    return [
        sympy.simplify(2 * sympy.exp(-n * g**2 / (2 * v + 2 * b * g / 3)) - d),
        *symbols.reduced([change - s**2 / (2 * c) * ball]),
        sympy.simplify(sympy.integrate((1 - t) * u**2 * sympy.exp(t * u), (t, 0, 1)) - (sympy.exp(u) - 1 - u)),
        *symbols.reduced([a**2 + across - 2 * r * a, (2 * r - a) ** 2 + across - 2 * r * (2 * r - a)]),
    ]


CLAIM = Claim(
    "T14",
    "sampled steps improve with high probability",
    "with ||X - m|| <= B and g = ||grad J|| - ||b|| > 0, n >= (2 V / g^2 + 2 B / (3 g)) ln(2 / delta) samples make a "
    "step of s / C <= 1 / C improve with probability 1 - delta: P(||G - m|| >= r) <= 2 exp(-n r^2 / (2 V + 2 B r / 3)) "
    "and <= (E[exp(l N) - l N])^n / cosh(l n r), N = ||X - m||, and P(||G - m|| >= sqrt(V / n) + r) <= exp(-(v / B^2) "
    "h(B n r / v)), v = n v_max + 2 B sqrt(n V); and it fails at most with P(A <= a) + P(A >= 2 R - a) + P(||G'||^2 >= "
    "a (2 R - a)), A along grad J, G' across it, R = ||grad J|| / s, by Chernoff's inequality along",
    "independent samples; V the total variance, v_max the largest variance along a direction; C the smoothness "
    "constant of T8; l > 0, 0 < a < R, 0 < s <= 1",
    "n >= (2 V / g^2 + 2 B / (3 g)) ln(2 / delta), or what the others ask for if it is less (`samples_needed`)",
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
        Control(
            "the part across the gradient may be forgotten",
            _along_alone,
            Domain("quadratic", (2, 2), (2, 2)),
            exact=False,
        ),
    ),
    "the n of the statement makes the first bound delta; a step of s / C improves inside the ball of (1); the integral "
    "behind (4); the corners of (5) lie on the ball",
    symbolic,
    Domain("quadratic", edges=(1, 2), candidates=(2, 2)),
)
