"""T4: is the exact advantage unbiased? Yes, because the zeroed loss does not depend on the edge's own operation.

Known of agents that share a reward: the exact advantage is a difference reward (Wolpert & Tumer 2002), with policy
gradients Dr.Reinforce (Castellini et al. 2020, arXiv 2012.11258). Debiased credit is a single-term randomised
correction (Rhee & Glynn 2015).
"""

from typing import Any

import numpy as np

from nas import estimators
from nas.arrays import expand
from nas.methods import METHODS, Method
from theory import exact, symbols
from theory.claim import Checker, Claim, Control
from theory.landscapes import Landscape

EXACT = METHODS["exact_advantage"]


def unbiased(method: Method) -> Checker:
    """-max |mean - gradient| of a method, as a checker."""

    def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
        return -abs(exact.moments(method, problem, p).bias).max()

    return slack


def wrong_sign(probabilities: Any, gates: Any, loss: Any, zeroed_loss: Any) -> Any:
    """The exact advantage, upside down."""
    return -estimators.exact_advantage(probabilities, gates, loss, zeroed_loss)


def own_baseline(probabilities: Any, gates: Any, loss: Any, zeroed_loss: Any) -> Any:
    """A baseline that depends on the edge's own operation."""
    return estimators.credited(probabilities, gates, expand(loss, 1) - zeroed_loss * gates[..., 0])


WRONG_SIGN = Method("wrong_sign", "Wrong sign", wrong_sign)
OWN_BASELINE = Method("own_baseline", "Own baseline", own_baseline)


def symbolic() -> list[Any]:
    """The mean of the shipped exact advantage and of the shipped debiased credit, minus E[L (a - p)]."""
    p, losses, slopes = symbols.policy(2, 2), symbols.table(2, 2), symbols.symbols("g", 2, 2, 2, 2)
    choice = symbols.symbols("q", 2)
    mean: Any = 0
    debiased: Any = 0
    for a, probability, gates in symbols.architectures(p):
        zeroed = symbols.zeroed(losses, a)
        mean = mean + probability * estimators.exact_advantage(p, gates, losses[a], zeroed)
        for edge in range(2):
            chosen = np.array([int(e == edge) for e in range(2)], dtype=object)
            debiased = debiased + probability * choice[edge] * estimators.debiased_advantage(
                p, gates, slopes[a], losses[a], zeroed[edge], chosen, choice
            )
    # the choice probabilities sum to one: put q_1 = 1 - q_0
    debiased = [entry.subs(choice[1], 1 - choice[0]) for entry in debiased.ravel()]
    true = symbols.gradient(losses, p)
    return symbols.reduced(mean - true) + symbols.reduced(np.array(debiased) - true.ravel())


CLAIM = Claim(
    "T4",
    "the exact advantage is unbiased",
    "E[(L(a) - L(a, e zeroed)) (a_e - p_e)] = E[L (a_e - p_e)], as for any credit L - b_e with b_e independent of a_e",
    "any E, K, L, p",
    "none",
    unbiased(EXACT),
    (
        Control("a baseline that depends on a_e is unbiased", unbiased(OWN_BASELINE)),
        Control("the credit with the wrong sign is unbiased", unbiased(WRONG_SIGN)),
    ),
    "the sum over architectures of the shipped exact_advantage, and of debiased_advantage with any choice "
    "probabilities and any gate gradients, equals E[L (a - p)]",
    symbolic,
)
