"""Which quantities do several claims speak of? Expected loss, conditional losses, moved policies: exact or floats."""

import math
from typing import Any

import numpy as np

from nas import policy
from nas.objective import Objective
from theory import exact


def expected_loss(problem: Objective[Any], probabilities: Any) -> Any:
    """J = E[L] at probabilities (E, K)."""
    total: Any = 0
    for weight, _, loss in exact.weighted_losses(problem, probabilities):
        total = total + (weight * loss).sum()
    return total


def conditional_losses(problem: Objective[Any], probabilities: Any) -> Any:
    """q_ek = E[L | a_ek = 1], (E, K), where p_ek > 0; J elsewhere."""
    known = exact.truth(problem, probabilities)
    positive = probabilities > 0
    return known.expected_loss + known.gradient / np.where(positive, probabilities, 1 + 0 * probabilities)


def simplex_step(probabilities: Any, gradient: Any) -> Any:
    """`nas.policy.simplex_step`, or None where any step stays on the simplex."""
    least = 0 if probabilities.dtype == object else 1e-12  # a rounding error is no gradient
    longest = policy.simplex_step(probabilities, np.where(gradient > least, gradient, 0 * gradient))
    return None if longest == math.inf else longest


def settled(probabilities: Any) -> Any:
    """Float rows with rounding errors below zero removed; exact rows unchanged."""
    if probabilities.dtype == object:
        return probabilities
    positive = np.where((probabilities < 0) & (probabilities > -1e-12), 0.0, probabilities)
    return positive / positive.sum(axis=-1, keepdims=True)


def exponential_step(probabilities: Any, direction: Any, rate: Any) -> Any:
    """p' ~ p exp(-rate direction), rows (E, K): a step of the logits, in floats."""
    return policy.softmax(policy.logits(probabilities) - rate * direction)


def score_norms(probabilities: Any) -> Any:
    """w_ek = ||e_k - p_e||^2, (E, K): the squared score of an edge that drew operation k."""
    return 1 - 2 * probabilities + (probabilities * probabilities).sum(axis=-1, keepdims=True)
