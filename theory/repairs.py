"""What do repairs of first-order credit cost? Debiasing one random edge, and quadrature along every edge's gate.

Let c_e be the first-order credit, x_e the exact one, r_e = x_e - c_e, w_e = ||a_e - p_e||^2 and R_e = E[w_e r_e^2].
Debiased credit, c_e + 1[e chosen] r_e / q_e, has the mean of the exact advantage and the total variance

    V(q) = V_exact + sum_e R_e (1 / q_e - 1),

so its price is (E - 1) sum R for even choice, and smallest, (sum sqrt R)^2 - sum R, for q_e = sqrt(R_e) / sum sqrt(R)
(Cauchy-Schwarz). Given the gates even better: q_e(a) ~ |r_e| sqrt(w_e), since q may depend on a as long as the edge is
drawn with it; then the price is E[(sum_e |r_e| sqrt w_e)^2] - sum R. That one is an oracle, a lower bound for every
choice of the edge: all r_e are known only where every edge was zeroed, and who has done that has the exact advantage.
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
