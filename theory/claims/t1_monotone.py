"""T1: does the natural-gradient step lower the expected loss, for all edges at once?

Close to Akimoto & Ollivier (2013) and, by the Baum-Eagon inequality, to linear multiplicative weights in congestion
games (Palaiopanos, Panageas & Piliouras 2017, arXiv 1703.01138).
"""

from typing import Any

import numpy as np

from nas import estimators, policy
from theory import exact, symbols
from theory.claim import Claim, Control, named
from theory.landscapes import Landscape
from theory.quantities import expected_loss, settled


def step(problem: Landscape, p: Any, share: Any) -> tuple[Any, Any, Any]:
    """(p', J, c - J) after the step share / (c - J), c = max L; p' = p where c = J."""
    known = exact.truth(problem, p)
    room = problem.max_loss - known.expected_loss
    if room <= (0 if p.dtype == object else 1e-12 * (1 + abs(problem.max_loss))):
        return p, known.expected_loss, 0 * room
    rate = share * policy.admissible_step(problem.max_loss, known.expected_loss)
    return settled(policy.natural_step(p, known.gradient, rate)), known.expected_loss, room


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """J - J' exactly; in floats the stronger bound on ln(c - J') - ln(c - J), times 1 (dimensionless)."""
    moved, before, room = step(problem, p, share)
    after = expected_loss(problem, moved)
    if p.dtype == object:
        return min(before - after, the_named_step(problem, p, share, moved))
    if room <= 0 or problem.max_loss - after <= 1e-12 * room:
        return before - after
    gain = np.log(problem.max_loss - after) - np.log(room)
    bound = policy.kl(moved, p).sum() / share
    if share < 1:
        bound = bound + (1 / share - 1) * policy.kl(p, moved).sum()
    return min(gain - bound, (before - after) / room, the_named_step(problem, p, share, moved))


def the_named_step(problem: Landscape, p: Any, share: Any, moved: Any) -> Any:
    """`named`: c - J times the move is -share g, that is p' = p - share g / (c - J), in units of the losses' range.

    Where c = J nothing moves, and g is zero.
    """
    known = exact.truth(problem, p)
    spread = problem.max_loss - problem.min_loss
    room = problem.max_loss - known.expected_loss
    unit = spread if spread > 0 else 1 + 0 * spread
    return named((moved - p) * room / unit, -share * known.gradient / unit)


def _ascent(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    known = exact.truth(problem, p)
    room = problem.max_loss - known.expected_loss
    if room <= 0:
        return room
    moved = policy.natural_step(p, known.gradient, -share / room)
    if (moved < 0).any():
        return 0 * room
    return known.expected_loss - expected_loss(problem, settled(moved))


def _three_times_too_long(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    known = exact.truth(problem, p)
    room = problem.max_loss - known.expected_loss
    if room <= 0:
        return room
    moved = policy.natural_step(p, known.gradient, 3 / room)
    if (moved < 0).any():
        return 0 * room
    return known.expected_loss - expected_loss(problem, settled(moved))


def symbolic() -> list[Any]:
    """p' of the shipped step and the shipped exact advantage is (1 - d) p + d E_w[a], w = P (c - L) / (c - J)."""
    p, losses = symbols.policy(2, 2), symbols.table(2, 2)
    c, delta = symbols.symbols("c"), symbols.symbols("d")
    j = symbols.expected(losses, p)
    mean: Any = 0
    mixture: Any = 0
    for a, probability, gates in symbols.architectures(p):
        mean = mean + probability * estimators.exact_advantage(p, gates, losses[a], symbols.zeroed(losses, a))
        mixture = mixture + probability * (c[()] - losses[a]) / (c[()] - j) * gates
    moved = policy.natural_step(p, mean, delta[()] / (c[()] - j))
    return symbols.reduced(moved - (1 - delta[()]) * p - delta[()] * mixture)


CLAIM = Claim(
    "T1",
    "monotone improvement, all edges at once",
    "p' = p - e g with e = d / (c - J), c >= max L, 0 < d <= 1: "
    "ln(c - J') - ln(c - J) >= KL(p'||p) / d + (1/d - 1) KL(p||p') >= 0",
    "g the gradient of J (any unbiased estimator's mean); any E, K, L; p anywhere on the simplex",
    "largest step 1 / (max L - J)",
    slack,
    (
        Control("wrong sign in the credit: p' = p + e g does not raise J", _ascent),
        Control("three times the step, where the simplex allows it, does not raise J", _three_times_too_long),
    ),
    "p' = (1 - d) p + d E_w[a], whence T1 by Jensen's inequality on ln sum_a w(a) p'(a) / p(a)",
    symbolic,
)
