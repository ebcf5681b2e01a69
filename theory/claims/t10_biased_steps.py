"""T10: what does a biased step still promise? The honest guarantee for first-order credit."""

from typing import Any

import numpy as np

from nas.methods import METHODS
from theory import exact, symbols
from theory.cases import Domain
from theory.claim import Claim, Control
from theory.claims.t5_taylor_bias import FLIP, QUADRATIC
from theory.claims.t8_logit_step import largest_step
from theory.landscapes import Landscape
from theory.quantities import expected_loss, exponential_step


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """(n/2)(||bias||^2 - ||grad J||^2) - (J' - J), for the mean of credit and for an arbitrary direction."""
    credit = exact.moments(METHODS["advantage"], problem, p)
    spread = problem.max_loss - problem.min_loss
    if spread <= 0:
        return spread
    rate = _rate(problem, share)
    worst = np.inf
    for step in (credit.mean, credit.gradient + direction):
        change = expected_loss(problem, exponential_step(p, step, rate)) - credit.expected_loss
        bias = step - credit.gradient
        promised = rate / 2 * ((bias * bias).sum() - (credit.gradient * credit.gradient).sum())
        worst = min(worst, (promised - change) / spread)
    return worst


def exact_slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """The algebra behind it, exactly: with n = share / C, -n <g, s> + C n^2 ||s||^2 / 2 <= (n/2)(||b||^2 - ||g||^2)."""
    credit = exact.moments(METHODS["advantage"], problem, p)
    step, g, b = credit.mean, credit.gradient, credit.bias
    return ((b * b).sum() - (g * g).sum()) / 2 + (g * step).sum() - share * (step * step).sum() / 2


def _rate(problem: Landscape, share: Any) -> Any:
    return share * largest_step(problem.max_loss - problem.min_loss + 1e-9, problem.edges)


def _without_bias(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    credit = exact.moments(METHODS["advantage"], problem, p)
    rate = _rate(problem, share)
    change = expected_loss(problem, exponential_step(p, credit.mean, rate)) - credit.expected_loss
    return -rate / 2 * (credit.gradient * credit.gradient).sum() - change


def _never_rises(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    mean = exact.moments(METHODS["advantage"], problem, p).mean
    return expected_loss(problem, p) - expected_loss(problem, exponential_step(p, mean, _rate(problem, share)))


def symbolic() -> list[Any]:
    """-<g, g + b> + ||g + b||^2 / 2 = (||b||^2 - ||g||^2) / 2."""
    g, b = symbols.symbols("g", 2, 2), symbols.symbols("b", 2, 2)
    left = -(g * (g + b)).sum() + ((g + b) * (g + b)).sum() / 2
    return symbols.reduced([left - ((b * b).sum() - (g * g).sum()) / 2])


CLAIM = Claim(
    "T10",
    "biased steps",
    "J' <= J - (n/2) ||grad J||^2 + (n/2) ||bias||^2 for a logit step along grad J + bias",
    "n <= 1 / C, C the smoothness constant of T8 (so n <= 2 / Delta in particular); any direction",
    "descends wherever ||bias|| < ||grad J||",
    slack,
    (
        Control("the same without the bias term, for first-order credit", _without_bias, QUADRATIC, FLIP, exact=False),
        Control("first-order credit's expected step never raises J", _never_rises, QUADRATIC, FLIP, exact=False),
    ),
    "-<g, g + b> + ||g + b||^2 / 2 = (||b||^2 - ||g||^2) / 2, with T8's descent inequality",
    symbolic,
    QUADRATIC,
    exact_slack,
    Domain("quadratic", edges=(1, 2)),
)
