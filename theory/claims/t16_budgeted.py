"""T16: what does the exact advantage cost if it is looked up only now and then? A budget, a scale, and a chance.

Let x_e = L - b_e be a credit whose baseline b_e does not depend on a_e but costs a pass: the loss with edge e zeroed,
or with any set of edges zeroed that holds e. Let h_e be a control, anything known without that pass, such as alpha_e
times the first-order credit c_e. Edge e is looked up with a chance pi_e > 0, edges jointly by any law, and credited

    h_e + (1[e looked up] / pi_e)(x_e - h_e).

Given the gates its mean is x_e and its variance (x_e - h_e)^2 (1 / pi_e - 1), so it is unbiased, and with w_e =
||a_e - p_e||^2

    V = V(x) + sum_e E[w_e (x_e - h_e)^2 (1 / pi_e - 1)].                                                      (1)

h and pi may depend on the gates and on all earlier steps (moving averages, say): everything but what is looked up now.
For h = alpha c, R(alpha) = E[w (x - alpha c)^2] = R(alpha*) + E[w c^2] (alpha - alpha*)^2 with alpha* = E[w x c] / E[w
c^2], and R(alpha*) = E[w x^2] (1 - rho^2), rho the weighted correlation: the bias of c does not matter, only rho does.
Under a budget of sum_e pi_e passes the best chances are ~ sqrt(R_e), capped at 1 (`repairs.best_chances`); given the
drawn operation, ~ sqrt(w_ek E[(x - h)^2 | a_e = k]), which is never worse: passes go to surprising draws.

All the bias of first-order credit is a table of E K numbers: c_e - E[c_e - x_e | a_e] is unbiased without any lookup,
since E[r (a_e - p_e)] sees r only through E[r | a_e]. Lookups now and then can fill that table (gamma_ek in the
control h_ek = gamma_ek + alpha_ek c_e). It is not free: it holds as much of the gradient as the bias took away, and a
stale one is a bias.

Zeroing a group G of edges at once serves all its edges with one pass: x_G = L - L(G zeroed) credits each of them
without bias. It sees what T12 hides, for one pass instead of |G|; what it costs is (1) with x_G, whose own variance is
larger, because the other edges of the group are noise to each. Single-term randomised corrections are Rhee & Glynn's
(2015), the scale is that of a control variate, the cap that of Neyman allocation; we know
of no earlier use for architecture credit.
"""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from nas import estimators, objective
from theory import exact, repairs, symbols
from theory.cases import Domain
from theory.claim import Claim, Control, named
from theory.claims.t5_taylor_bias import QUADRATIC
from theory.landscapes import Landscape

GROUPS = {1: [[0]], 2: [[0, 1]], 3: [[0, 2], [1]]}


def enumerated(
    problem: Landscape, p: Any, scale: Any, chances: Any, groups: Any = None, divide: bool = True
) -> tuple[Any, Any]:
    """(mean (E, K), total variance) of the shipped `budgeted_advantage`, over architectures and what is looked up.

    scale, chances (E, K): of the edge that drew operation k; edges (groups, if given) are looked up independently.
    divide: by the chance, as the estimator does; False leaves that out, a control.
    """
    edges = len(p)
    groups = [[e] for e in range(edges)] if groups is None else groups
    member = repairs.together(groups, edges)
    mean, second = 0 * p, 0 * p[0, 0]
    for weights, all_gates, losses in exact.weighted_losses(problem, p):
        for weight, gates, loss in zip(weights, all_gates, losses, strict=True):
            slopes = problem.gradients(gates[None], gates[None]).gate_gradient[0]
            control = (gates * scale).sum(axis=-1) * (estimators.first_order_credit(gates, slopes) @ member)
            worth = loss - problem.loss(gates * (1 - member)[:, :, None])
            chance = (gates * chances).sum(axis=-1)
            for drawn in itertools.product((0, 1), repeat=len(groups)):
                looked, law = np.zeros(edges, dtype=int).astype(object), weight
                for group, one in zip(groups, drawn, strict=True):
                    looked[group] = one
                    law = law * (chance[group[0]] if one else 1 - chance[group[0]])
                g = estimators.budgeted_advantage(p, gates, control, worth, looked, chance if divide else chance**0)
                mean, second = mean + law * g, second + law * (g * g).sum()
    return mean, second - (mean * mean).sum()


def tried(p: Any, share: Any, direction: Any, groups: Any = None) -> tuple[Any, Any]:
    """(scale, chances), (E, K), made of a case's numbers: both differ from operation to operation, unless in groups."""
    half = Fraction(1, 2) if p.dtype == object else 0.5
    scale, chances = half * direction, share / (1 + direction * direction)
    if groups is not None:
        member = repairs.together(groups, len(p))
        chances = np.stack([chances[list(row).index(1)][:1] + 0 * p[0] for row in member])
    return scale, chances


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """No bias, and (1) for odd scales and chances, alone and in groups; the best scale; in floats the best chances."""
    rooms = []
    gradient = exact.truth(problem, p).gradient
    for groups in (None, GROUPS[len(p)]):
        found = repairs.corrections(problem, p, groups)
        scale, chances = tried(p, share, direction, groups)
        rooms += [named(2 * scale, direction), the_named_chances(chances, share, direction, groups)]
        mean, variance = enumerated(problem, p, scale, chances, groups)
        rooms += [-abs(mean - gradient).max(), -abs(variance - repairs.budgeted_variance(found, scale, chances))]
        rooms += _scale_rooms(found, direction)
        if p.dtype != object:
            rooms += _chance_rooms(found, share)
    rooms.append(-abs(tabulated(problem, p) - gradient).max())
    return min(rooms) / (1 + max(abs(problem.max_loss), abs(problem.min_loss))) ** 2


def the_named_chances(chances: Any, share: Any, direction: Any, groups: Any) -> Any:
    """`named`: chance times 1 + direction^2 is the share, in a group that of its first edge's first operation.

    Looked up for sure, any control at all is unbiased, and (1) is the variance of the exact advantage.
    """
    if groups is None:
        return named(chances * (1 + direction**2), share)
    first = {edge: min(group) for group in groups for edge in group}
    asked = np.stack([direction[first[edge], 0] + 0 * row for edge, row in enumerate(direction)])
    return named(chances * (1 + asked**2), share)


def tabulated(problem: Landscape, p: Any, by_operation: bool = True) -> Any:
    """Mean (E, K) of credit_e - E[credit_e - exact_e | a_e], or with the same less the mean over operations alone."""
    parts = []
    for weight, gates, loss in exact.weighted_losses(problem, p):
        credit = estimators.first_order_credit(gates, problem.gradients(gates, gates).gate_gradient)
        parts.append((weight, gates, credit, credit - (loss[:, None] - objective.zeroed_losses(problem, gates))))
    weight, gates, credit, missing = (np.concatenate(part) for part in zip(*parts, strict=True))
    table = (weight[:, None, None] * missing[..., None] * gates).sum(axis=0) / np.where(p == 0, 1 + p, p)
    if not by_operation:
        table = table * 0 + (weight[:, None] * missing).sum(axis=0)[:, None]
    estimate = estimators.credited(p, gates, credit - (gates * table).sum(axis=-1))
    return (weight[:, None, None] * estimate).sum(axis=0)


def _scale_rooms(found: repairs.Corrections, direction: Any) -> list[Any]:
    """R(alpha) - R(alpha*) - E[w c^2](alpha - alpha*)^2 and R(alpha*) - E[w x^2] + E[w x c]^2 / E[w c^2], both zero."""
    x, xc, c = (part.sum(axis=-1) for part in (found.worth, found.product, found.control))
    best = repairs.best_scale(found)
    least = repairs.missed(found, best).sum(axis=-1)
    tried_scale = direction[:, :1]
    gap = repairs.missed(found, tried_scale).sum(axis=-1) - least - c * ((tried_scale - best) ** 2)[:, 0]
    left = np.where(c == 0, x, x - xc * xc / np.where(c == 0, c + 1, c))
    return [-abs(gap).max(), -abs(least - left).max()]


def _chance_rooms(found: repairs.Corrections, share: Any) -> list[Any]:
    """How much better the best chances are than even and other ones of the budget, and by operation than by edge."""
    edges, p = len(found.probabilities), found.probabilities
    budget = share * edges
    rest = repairs.missed(found, repairs.best_scale(found))
    by_edge = repairs.best_chances(rest.sum(axis=-1, keepdims=True), np.ones((edges, 1)), budget)
    by_draw = repairs.best_chances(rest, p, budget)

    def price(chances: Any) -> Any:
        """sum R / pi over what is missed; a chance of zero where something is missed makes it infinite."""
        counted = rest > 1e-12 * (1 + rest.max())
        return (np.where(counted, rest, 0.0) / np.where(counted, chances + 0 * rest, 1.0)).sum()

    weights = share * np.arange(1, edges + 1)[:, None]
    other = np.minimum(1.0, budget * weights / weights.sum())
    over = [max(0.0, by_edge.sum() - budget), max(0.0, (p * by_draw).sum() - budget)]
    return [
        *(-spent if spent > 1e-9 else 0.0 for spent in over),
        price(share + 0 * by_edge) - price(by_edge),
        price(other) - price(by_edge),
        price(by_edge) - price(by_draw),
    ]


# ------------------------------------------------------------------ controls


def _undivided(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    mean, _ = enumerated(problem, p, *tried(p, share, direction), divide=False)
    return -abs(mean - exact.truth(problem, p).gradient).max()


def _plain_scale(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """R(alpha*) - R(1): never negative if no scale is better than one."""
    found = repairs.corrections(problem, p)
    return (repairs.missed(found, repairs.best_scale(found)) - repairs.missed(found, 1)).sum()


def _never_useless(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """R(0) - R(1): what plain credit saves as a control."""
    found = repairs.corrections(problem, p)
    return (repairs.missed(found, 0) - repairs.missed(found, 1)).sum()


def _even_is_best(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """sum R / pi for pi ~ 1 + R / (1 + sum R), minus the same for even chances of the same sum."""
    rest = repairs.missed(repairs.corrections(problem, p), 1).sum(axis=-1)
    skewed = 1 + rest / (1 + rest.sum())
    chances = skewed / skewed.sum()
    return (rest / chances).sum() - len(rest) * rest.sum()


def _one_number(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return -abs(tabulated(problem, p, by_operation=False) - exact.truth(problem, p).gradient).max()


def _outsider(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-|bias| of crediting edge 0 with L - L(edge 1 zeroed), a set that does not hold it."""
    mean: Any = 0
    for weight, gates, loss in exact.weighted_losses(problem, p):
        others = np.ones((len(p), 1), dtype=int)
        others[-1] = 0
        worth = loss - problem.loss(gates * others)
        mean = mean + ((weight * worth)[:, None] * (gates[:, 0] - p[0])).sum(axis=0)
    return -abs(mean - exact.truth(problem, p).gradient[0]).max()


def symbolic() -> list[Any]:
    """Mean and second moment of the shipped `budgeted_advantage` on one of two binary edges, any control and chance."""
    p, losses = symbols.policy(2, 2), symbols.table(2, 2)
    control, chance = symbols.symbols("h", 2, 2, 2), symbols.symbols("c", 2, 2, 2)
    mean: Any = 0
    excess: Any = 0
    for a, probability, gates in symbols.architectures(p):
        worth = losses[a] - symbols.zeroed(losses, a)
        plain = estimators.credited(p, gates, worth)[0]
        for one in (0, 1):
            looked = np.array([one, 0], dtype=object)
            g = estimators.budgeted_advantage(p, gates, control[a], worth, looked, chance[a])[0]
            law = probability * (chance[a][0] if one else 1 - chance[a][0])
            mean, excess = mean + law * g, excess + law * (g * g).sum()
        miss = (worth - control[a])[0]
        w = ((gates - p)[0] ** 2).sum()
        excess = excess - probability * ((plain * plain).sum() + w * miss**2 * (1 / chance[a][0] - 1))
    x, xc, c, alpha = sympy.symbols("x y c a")
    left = x - 2 * alpha * xc + alpha**2 * c - (x - xc**2 / c) - c * (alpha - xc / c) ** 2
    return symbols.reduced([*(mean - symbols.gradient(losses, p)[0]), excess, left])


CLAIM = Claim(
    "T16",
    "scaled, budgeted debiasing",
    "h_e + (1[e looked up] / pi_e)(x_e - h_e), x_e = L - b_e, is unbiased with V = V(x) + sum_e E[w_e (x_e - h_e)^2 "
    "(1 / pi_e - 1)], w_e = ||a_e - p_e||^2; for h = alpha c, R = E[w (x - alpha c)^2] is least at alpha* = E[w x c] / "
    "E[w c^2], where it is E[w x^2] (1 - rho^2); under sum pi = B the best pi ~ sqrt(R), capped at 1; c_e - E[c_e - "
    "x_e | a_e] is unbiased",
    "b_e independent of a_e (edge e zeroed, or any set that holds e); pi_e > 0; h, alpha, pi may depend on the gates "
    "and on earlier steps, not on what is looked up now; edges looked up jointly by any law",
    "none: an identity",
    slack,
    (
        Control("what is looked up need not be divided by its chance", _undivided, QUADRATIC),
        Control("plain credit, scale 1, is the best control", _plain_scale, QUADRATIC),
        Control("plain credit is better than no control", _never_useless, QUADRATIC),
        Control("the even chance is the best", _even_is_best, QUADRATIC),
        Control("a number an edge, not an operation, takes the bias off as well", _one_number, QUADRATIC),
        Control("zeroing edges other than e credits e without bias", _outsider, Domain("quadratic", edges=(2, 2))),
    ),
    "mean and second moment of the shipped budgeted_advantage on two binary edges, any control and chance; the "
    "square in the scale",
    symbolic,
    QUADRATIC,
    exact_domain=Domain("quadratic", edges=(1, 3), candidates=(2, 2)),
)
