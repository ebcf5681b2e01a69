"""T10: what does a biased step still promise? The honest guarantee for first-order credit."""

from fractions import Fraction
from typing import Any

import numpy as np

from nas.methods import METHODS
from nas.optimisers import sgd
from theory import exact, symbols
from theory.cases import Case, Domain
from theory.claim import Claim, Control, named
from theory.claims.t5_taylor_bias import FLIP, QUADRATIC, symbolic_credit
from theory.claims.t8_logit_step import EXCLUSIVE, largest_step, stated
from theory.landscapes import Landscape
from theory.quantities import expected_loss, exponential_step

FACTOR = Fraction(9, 8)  # exact steps multiply probabilities by whole powers of it: logits move by multiples of ln(9/8)
LN_BELOW = 2 * sum(Fraction(1, (2 * k + 1) * 17 ** (2 * k + 1)) for k in range(9))  # ln(9/8) = 2 artanh(1/17)
LN_ABOVE = LN_BELOW + Fraction(1, 17**18)
LONGEST = 200  # powers: 23 in the logits; longer ones are cut, so that the numbers keep readable lengths


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """(n/2)(||bias||^2 - ||grad J||^2) - (J' - J), for the mean of credit and for an arbitrary direction."""
    spread = problem.max_loss - problem.min_loss
    if spread <= 0:
        return spread
    credit = exact.moments(METHODS["advantage"], problem, p)
    steps = (credit.mean, credit.gradient + direction)
    rate = _rate(problem, share)
    length = named(rate * spread * stated(problem.edges), share)  # C n = share: a rate of zero would keep every promise
    return min(*(_room(problem, p, step, rate) / spread for step in steps), length)


def nearest(step: Any) -> Any:
    """Whole powers of 9/8 nearest to a rational step of the logits, (E, K)."""
    powers = [max(-LONGEST, min(LONGEST, round(value / LN_BELOW))) for value in step.ravel()]
    return np.array(powers, dtype=object).reshape(step.shape)


def powers_of(p: Any, powers: Any) -> Any:
    """p' ~ p (9/8)^-powers: exactly the step powers * ln(9/8) of the logits."""
    weights = p * np.array([FACTOR ** -int(m) for m in powers.ravel()], dtype=object).reshape(p.shape)
    return weights / weights.sum(axis=-1, keepdims=True)


def _room(problem: Landscape, p: Any, step: Any, rate: Any) -> Any:
    """(n/2)||step||^2 - n <grad J, step> - (J' - J): T10 in terms of step = grad J + bias.

    On `Fraction` for the nearest step that keeps p' rational; ln(9/8) is rounded to the side that takes room away.
    """
    known = exact.truth(problem, p)
    if p.dtype != object:
        promised = rate * ((step * step).sum() / 2 - (known.gradient * step).sum())
        return promised - expected_loss(problem, exponential_step(p, step, rate)) + known.expected_loss
    powers = nearest(rate * step)
    along = (known.gradient * powers).sum()
    promised = (powers * powers).sum() * LN_BELOW**2 / (2 * rate) - along * (LN_ABOVE if along > 0 else LN_BELOW)
    return promised - expected_loss(problem, powers_of(p, powers)) + known.expected_loss


def _rate(problem: Landscape, share: Any) -> Any:
    """share / C; where all losses are equal any step will do."""
    spread = problem.max_loss - problem.min_loss
    return share * largest_step(spread, problem.edges) if spread > 0 else share


def _after_credit(problem: Landscape, p: Any, rate: Any) -> tuple[Any, Any]:
    """(first-order credit's moments, J after its mean step)."""
    credit = exact.moments(METHODS["advantage"], problem, p)
    exactly = p.dtype == object
    moved = powers_of(p, nearest(rate * credit.mean)) if exactly else exponential_step(p, credit.mean, rate)
    return credit, expected_loss(problem, moved)


def _without_bias(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    rate = _rate(problem, share)
    credit, after = _after_credit(problem, p, rate)
    return credit.expected_loss - after - rate / 2 * (credit.gradient * credit.gradient).sum()


def _never_rises(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    credit, after = _after_credit(problem, p, _rate(problem, share))
    return credit.expected_loss - after


def _three_times_too_long(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return _room(problem, p, exact.truth(problem, p).gradient, 3 * _rate(problem, 1))


def symbolic() -> list[Any]:
    """<g, v> + (C/2)||v||^2 = (n/2)(||b||^2 - ||g||^2), n = 1/C, v the shipped step along the shipped credit's mean."""
    mean, gradient, bias = symbolic_credit()
    logits, c = symbols.symbols("t", 2, 2), symbols.symbols("C")[()]
    v = sgd().update(logits, mean, {}, 1 / c, 1)[0] - logits
    promised = ((bias * bias).sum() - (gradient * gradient).sum()) / (2 * c)
    return symbols.reduced((gradient * v).sum() + c * (v * v).sum() / 2 - promised)


# XOR, where the curvature along the gradient is C: 1 / C ends at the saddle p = 1/2, 3 / C well beyond it
AT_THE_SADDLE = Case("table", EXCLUSIVE, np.array([[3, 2], [2, 3]]), Fraction(1), np.zeros((2, 2), dtype=int))


CLAIM = Claim(
    "T10",
    "biased steps",
    "J' <= J - (n/2) ||grad J||^2 + (n/2) ||bias||^2 for a logit step along grad J + bias",
    "n <= 1 / C, C the smoothness constant of T8 (so n <= 2 / Delta in particular); any direction",
    "descends wherever ||bias|| < ||grad J||",
    slack,
    (
        Control("the same without the bias term, for first-order credit", _without_bias, QUADRATIC, FLIP),
        Control("first-order credit's expected step never raises J", _never_rises, QUADRATIC, FLIP),
        Control("a step of 3 / C keeps the promise", _three_times_too_long, example=AT_THE_SADDLE),
    ),
    "<g, v> + (C/2) ||v||^2 = (n/2) (||b||^2 - ||g||^2) for sgd's v = -n E[advantage] and T5's b, with T8's inequality",
    symbolic,
    QUADRATIC,
    exact_domain=Domain("quadratic", edges=(1, 2)),
)
