"""What do repairs of first-order credit cost? Debiasing some edges, scaled and under a budget, and quadrature.

Let c_e be the first-order credit, x_e the exact one, w_e = ||a_e - p_e||^2. Zeroing edge e with probability pi_e and
crediting alpha_e c_e + (1[e] / pi_e)(x_e - alpha_e c_e) has the mean of the exact advantage and, by T16, the variance

    V = V_exact + sum_e R_e (1 / pi_e - 1),   R_e = E[w_e (x_e - alpha_e c_e)^2].

`corrections` sums up what that needs for every edge *and drawn operation*: scale and chance may both depend on the
operation, which is known before an edge is zeroed. alpha = 1 and one edge a step with pi = q is debiased credit.

Given all residuals r_e = x_e - c_e, q_e ~ |r_e| sqrt(w_e) would be better still; then the price is E[(sum_e |r_e| sqrt
w_e)^2] - sum R. That one is an oracle, a lower bound for every choice of one edge: all r_e are known only where every
edge was zeroed, and who has done that has the exact advantage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas import estimators, objective, quadrature
from nas.quadrature import Rule
from theory import exact
from theory.landscapes import Landscape

RULES: dict[str, Rule] = {
    "first order": quadrature.END,
    "midpoint": quadrature.GAUSS_1,
    "trapezoid": quadrature.TRAPEZOID,
    "Gauss, 2 nodes": quadrature.GAUSS_2,
    "Gauss, 3 nodes": quadrature.GAUSS_3,
}


@dataclass(frozen=True)
class Residuals:
    """R_e (E,); the total variance of the exact advantage; E[(sum_e |r_e| sqrt w_e)^2]."""

    squares: Any
    exact_variance: Any
    joint: float


def residuals(problem: Landscape, probabilities: Any) -> Residuals:
    """What first-order credit misses, by summing over all architectures."""
    squares: Any = 0
    joint = 0.0
    second: Any = 0
    for weight, gates, loss in exact.weighted_losses(problem, probabilities):
        w = ((gates - probabilities) ** 2).sum(axis=-1)
        credit = estimators.first_order_credit(gates, problem.gradients(gates, gates).gate_gradient)
        x = loss[:, None] - objective.zeroed_losses(problem, gates)
        r = x - credit
        squares = squares + (weight[:, None] * w * r * r).sum(axis=0)
        second = second + (weight[:, None] * w * x * x).sum()
        joint += float(weight @ (np.abs(r.astype(float)) * np.sqrt(w.astype(float))).sum(axis=-1) ** 2)
    gradient = exact.truth(problem, probabilities).gradient
    return Residuals(squares, second - (gradient * gradient).sum(), joint)


@dataclass(frozen=True)
class Corrections:
    """E[1[a_e = k] w_e x_e^2], the same of x_e c_e and of c_e^2, (E, K) each: c a control, x the credit looked up.

    probabilities (E, K); exact_variance: the total variance of the credit x.
    """

    worth: Any
    product: Any
    control: Any
    probabilities: Any
    exact_variance: Any


def corrections(problem: Landscape, probabilities: Any, groups: Sequence[Sequence[int]] | None = None) -> Corrections:
    """The moments that T16 needs, by summing over all architectures.

    groups: sets of edges that are zeroed together, each edge in one of them (default: every edge alone). The control of
    an edge is then the sum of its group's first-order credits.
    """
    edges = len(probabilities)
    member = np.eye(edges, dtype=int) if groups is None else together(groups, edges)
    parts: list[Any] = [0, 0, 0]
    for weight, gates, loss in exact.weighted_losses(problem, probabilities):
        w = ((gates - probabilities) ** 2).sum(axis=-1)
        credit = estimators.first_order_credit(gates, problem.gradients(gates, gates).gate_gradient) @ member
        x = loss[:, None] - problem.loss(gates[:, None] * (1 - member)[:, :, None])
        for i, value in enumerate((x * x, x * credit, credit * credit)):
            parts[i] = parts[i] + ((weight[:, None] * w * value)[..., None] * gates).sum(axis=0)
    gradient = exact.truth(problem, probabilities).gradient
    worth, product, control = parts
    return Corrections(worth, product, control, probabilities, worth.sum() - (gradient * gradient).sum())


def together(groups: Sequence[Sequence[int]], edges: int) -> Any:
    """Whether two edges are in one group, (E, E) of zeros and ones. Raises: ValueError unless it is a partition."""
    if sorted(edge for group in groups for edge in group) != list(range(edges)):
        raise ValueError(f"groups must hold each of the {edges} edges once, not {[list(group) for group in groups]}")
    member = np.zeros((edges, edges), dtype=int)
    for group in groups:
        member[np.ix_(list(group), list(group))] = 1
    return member


def best_scale(found: Corrections, by_operation: bool = False) -> Any:
    """alpha = E[w x c] / E[w c^2], (E, 1), or (E, K) given the drawn operation; 0 where the control vanishes."""
    product, square = (
        part if by_operation else part.sum(axis=-1, keepdims=True) for part in (found.product, found.control)
    )
    return product / np.where(square == 0, square + 1, square)


def missed(found: Corrections, scale: Any) -> Any:
    """E[1[a_e = k] w_e (x_e - alpha c_e)^2], (E, K), for a scale (E, 1) or (E, K): R_e is the sum of row e."""
    return found.worth - 2 * scale * found.product + scale * scale * found.control


def budgeted_variance(found: Corrections, scale: Any, chances: Any) -> Any:
    """V = V_exact + sum R (1 / pi - 1) for chances pi (E, 1) or (E, K); what misses nothing may have pi = 0."""
    rest = missed(found, scale)
    safe = np.where(rest == 0, 1 + 0 * rest, chances + 0 * rest)
    return found.exact_variance + (rest * (1 / safe - 1)).sum()


def best_chances(rest: Any, costs: Any, budget: float) -> Any:
    """pi with the least sum of rest / pi under sum costs pi <= budget, pi <= 1: lambda sqrt(rest / costs), capped at 1.

    rest, costs: arrays of one shape, not negative, in floats. An entry without cost is looked up for sure.
    Raises: ValueError for a budget that is not positive.
    """
    if not budget > 0:
        raise ValueError(f"a budget of {budget} looks nothing up; it must be positive")
    rest, costs = np.asarray(rest, dtype=float).clip(min=0), np.asarray(costs, dtype=float)
    wanted = np.sqrt(rest / np.where(costs > 0, costs, 1.0))
    capped = costs <= 0
    while True:
        free = ~capped & (wanted > 0)
        left = budget - costs[capped].sum()
        factor = max(left, 0.0) / (costs * wanted)[free].sum() if free.any() else 0.0
        over = free & (factor * wanted > 1)
        if not over.any():
            return np.where(capped, 1.0, factor * wanted)
        capped |= over


def best_choice(squares: Any) -> Any:
    """q_e ~ sqrt(R_e), (E,): the choice probabilities with the least variance; even where nothing is missed."""
    roots = np.sqrt(np.asarray(squares, dtype=float))
    total = roots.sum()
    return roots / total if total > 0 else np.full(len(roots), 1 / len(roots))


def debiased_variance(found: Residuals, choice: Any) -> Any:
    """V(q) of debiased credit with choice probabilities q (E,); an edge that misses nothing may have q = 0."""
    price = sum(r * (1 / q - 1) for r, q in zip(found.squares, choice, strict=True) if r > 0)
    return found.exact_variance + price


def rule_moments(problem: Landscape, probabilities: Any, nodes: Sequence[float], weights: Sequence[float]) -> Any:
    """(bias (E, K), total variance) of the advantage by a quadrature rule along each edge's own gate."""
    gradient = exact.truth(problem, probabilities).gradient
    mean: Any = 0
    second = 0.0
    for weight, gates, _ in exact.weighted_losses(problem, probabilities, size=512):
        slopes = objective.path_gradients(problem, gates, gates, nodes)
        estimate = estimators.quadrature_advantage(probabilities, gates, slopes, np.asarray(weights))
        mean = mean + (weight[:, None, None] * estimate).sum(axis=0)
        second += float(weight @ (estimate * estimate).sum(axis=(1, 2)))
    return mean - gradient, second - float((mean * mean).sum())
