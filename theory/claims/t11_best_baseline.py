"""T11: what does a baseline cost over the best one? A variance identity; T7 is its additive case.

That the best baseline weighs the loss by the squared score is known (Greensmith, Bartlett & Baxter 2004), for factored
actions from Wu et al. (2018, arXiv 1803.07246).
"""

from typing import Any

import numpy as np
import sympy

from nas import estimators, objective
from nas.arrays import expand
from nas.methods import METHODS, Method
from theory import exact, symbols
from theory.claim import Claim, Control
from theory.landscapes import Landscape
from theory.quantities import score_norms


def best_baseline(p: Any, alternative_losses: Any) -> Any:
    """b*_e = E[L ||a_e - p_e||^2 | others] / (1 - ||p_e||^2), (..., E), from losses of all alternatives (..., E, K)."""
    spread = 1 - (p * p).sum(axis=-1)
    weighted = (p * score_norms(p) * alternative_losses).sum(axis=-1)
    return weighted / np.where(spread == 0, 1 + 0 * spread, spread)


def with_best_baseline(probabilities: Any, gates: Any, loss: Any, alternative_losses: Any) -> Any:
    """REINFORCE whose baseline is b*_e, edge by edge."""
    credit = expand(loss, 1) - best_baseline(probabilities, alternative_losses)
    return estimators.credited(probabilities, gates, credit)


BEST = Method("best_baseline", "Best baseline", with_best_baseline, unbiased_by="T4", colour="#808080")


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-|V(b) - V(b*) - (1 - ||p_e||^2) E(b - b*)^2| for b = J and for b = the zeroed loss."""
    best = exact.moments(BEST, problem, p).edge_variances
    worst: Any = 0
    for name in ("reinforce", "exact_advantage"):
        found = exact.moments(METHODS[name], problem, p)
        excess = found.edge_variances - best - _price(problem, p, name, found.expected_loss)
        worst = max(worst, abs(excess).max())
    return -worst


def _price(problem: Landscape, p: Any, name: str, mean: Any) -> Any:
    """(1 - ||p_e||^2) E(b - b*)^2, (E,)."""
    total: Any = 0
    for weight, gates, _ in exact.weighted_losses(problem, p):
        b = objective.zeroed_losses(problem, gates) if name == "exact_advantage" else mean
        gap = b - best_baseline(p, objective.alternative_losses(problem, gates))
        total = total + (weight[:, None] * gap * gap).sum(axis=0)
    return (1 - (p * p).sum(axis=-1)) * total


def _mean_is_best(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    plain, best = (exact.moments(m, problem, p) for m in (METHODS["reinforce"], BEST))
    return best.total_variance - plain.total_variance


def _marginal_is_best(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    marginal, best = (exact.moments(m, problem, p) for m in (METHODS["counterfactual"], BEST))
    return best.total_variance - marginal.total_variance


def symbolic() -> list[Any]:
    """Edge 0 of two, K = 3: E||(L - b)(a_0 - p_0)||^2 of `credited`, b(a_1) any, is its minimum plus the price."""
    p0, p1 = symbols.policy(1, 3)[0], symbols.symbols("r", 2)
    losses, b = symbols.symbols("L", 3, 2), symbols.symbols("b", 2)
    w = score_norms(p0[None])[0]
    spread = 1 - (p0 * p0).sum()
    best = [(p0 * w * losses[:, j]).sum() / spread for j in range(2)]

    def second_moment(baseline: Any) -> Any:
        total: Any = 0
        for k in range(3):
            gates = np.array(np.eye(3, dtype=int)[k], dtype=object)
            for j in range(2):
                g = estimators.credited(p0[None], gates[None], np.array([losses[k, j] - baseline[j]], dtype=object))
                total = total + p0[k] * p1[j] * (g * g).sum()
        return total

    price = spread * sum(p1[j] * (b[j] - best[j]) ** 2 for j in range(2))
    return [sympy.cancel(sympy.together(second_moment(b) - second_moment(best) - price))]


CLAIM = Claim(
    "T11",
    "the price of a baseline",
    "V(b) = V(b*) + (1 - ||p_e||^2) E(b - b*)^2, b* = E[L ||a_e - p_e||^2 | others] / (1 - ||p_e||^2)",
    "b any function of the other edges; any E, K, L; p_e not deterministic (else both sides are 0 and b* is 0/0)",
    "b* is the best baseline; T7 is the additive case",
    slack,
    (
        Control("the mean loss J is the best baseline", _mean_is_best),
        Control("the counterfactual mean is the best baseline", _marginal_is_best),
    ),
    "the identity for the shipped `credited` with K = 3",
    symbolic,
)
