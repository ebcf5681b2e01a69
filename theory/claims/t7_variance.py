"""T7: when has credit less variance than REINFORCE? On additive landscapes, a boundary in closed form."""

from typing import Any

import numpy as np

from nas import estimators
from nas.methods import METHODS
from theory import exact, symbols
from theory.cases import Domain
from theory.claim import Claim, Control
from theory.landscapes import Landscape
from theory.quantities import score_norms


def boundary(costs: Any, p: Any) -> Any:
    """V(REINFORCE) - V(credit) of each edge, (E,), for costs l (E, K): positive where credit wins.

    sum_{f != e} Var(l_f) E[w] - 2 m E[l w] + m^2 E[w], m = E[l_e], w = ||a_e - p_e||^2.
    """
    w = score_norms(p)
    mean = (p * costs).sum(axis=-1)
    variance = (p * costs * costs).sum(axis=-1) - mean * mean
    others = variance.sum() - variance
    weight = (p * w).sum(axis=-1)
    return others * weight - 2 * mean * (p * costs * w).sum(axis=-1) + mean * mean * weight


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-|the measured difference of the two variances - the closed form|, both sides of the boundary."""
    return -abs(difference(problem, p) - boundary(_costs(problem), p)).max()


def difference(problem: Landscape, p: Any) -> Any:
    """V(REINFORCE with baseline J) - V(credit) of each edge, (E,), by summing; any landscape."""
    plain, credit = (exact.moments(METHODS[name], problem, p) for name in ("reinforce", "exact_advantage"))
    return plain.edge_variances - credit.edge_variances


def _costs(problem: Landscape) -> Any:
    eye = np.eye(problem.edges * problem.candidates, dtype=int)
    single = eye.reshape(-1, problem.edges, problem.candidates)
    return problem.loss(single.astype(object) if problem.exact else single.astype(float)).reshape(single.shape[1:])


def _always(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return difference(problem, p).min()


def _never(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return -difference(problem, p).max()


ADDITIVE = Domain("additive")


def symbolic() -> list[Any]:
    """Two binary edges: E ||reinforce_e||^2 - E ||advantage_e||^2 of the shipped estimators, minus the closed form."""
    p, costs = symbols.policy(2, 2), symbols.symbols("l", 2, 2)
    mean = (p * costs).sum()
    gap: Any = 0
    for _, probability, gates in symbols.architectures(p):
        loss = (gates * costs).sum()
        plain = estimators.reinforce(p, gates, loss, mean)
        credit = estimators.advantage(p, gates, costs)
        gap = gap + probability * ((plain * plain).sum(axis=-1) - (credit * credit).sum(axis=-1))
    return symbols.reduced(gap - boundary(costs, p))


CLAIM = Claim(
    "T7",
    "the variance boundary",
    "credit beats REINFORCE on edge e iff E[w] sum_{f != e} Var(l_f) > 2 m_e E[l_e w] - m_e^2 E[w], w = |a_e - p_e|^2",
    "additive L = sum_e l_e with zero costing 0, b = J, m_e = E[l_e]",
    "V(REINFORCE) - V(credit) = E[w] sum_{f != e} Var(l_f) - 2 m E[l w] + m^2 E[w]",
    slack,
    (
        Control("credit never has more variance than REINFORCE", _always, ADDITIVE),
        Control("credit never has less variance than REINFORCE", _never, ADDITIVE),
    ),
    "E||reinforce||^2 - E||advantage||^2 is the closed form",
    symbolic,
    ADDITIVE,
)
