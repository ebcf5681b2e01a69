"""How many samples make a step that improves, with probability at least 1 - delta?

Let m = grad J + b be the mean of one sample's gradient, V its total variance, C a smoothness constant of J (T8). The
mean G of n samples, with step 1 / C on the logits, changes the expected loss by at most (T10 for this very G)

    J' - J <= (1 / 2C) (||G - grad J||^2 - ||grad J||^2),

so it improves whenever ||G - grad J|| < ||grad J||. With Chebyshev's inequality, for ||b|| < ||grad J||:

    P(J' >= J) <= V / (n (||grad J|| - ||b||)^2),   so   n >= V / (delta (||grad J|| - ||b||)^2) samples suffice.

In the limit of short steps only <grad J, G> > 0 is needed, and Cantelli's inequality gives
n >= (1/delta - 1) gradJ' Sigma gradJ / <grad J, m>^2, if <grad J, m> > 0. For ||b|| >= ||grad J|| the first bound says
nothing, and rightly: where the mean step climbs (T5's flip) no number of samples helps.
"""

import itertools
import math
from typing import Any

import numpy as np

from nas.methods import Method
from theory import architectures, exact
from theory.claims.t8_logit_step import largest_step
from theory.exact import Moments
from theory.landscapes import Landscape
from theory.quantities import expected_loss, exponential_step


def samples_for_full_step(found: Moments, delta: float) -> float:
    """n that suffices for a step of 1 / C to improve with probability 1 - delta; infinite where ||b|| >= ||grad J||.

    >>> from nas.methods import find
    >>> from theory.exact import moments
    >>> from theory.landscapes import make
    >>> found = moments(find("reinforce"), make("additive", 2, 2), np.full((2, 2), 0.5))
    >>> round(samples_for_full_step(found, 0.1) / samples_for_full_step(found, 0.5), 9)
    5.0
    """
    room = math.sqrt((found.gradient * found.gradient).sum()) - found.bias_norm
    return float(found.total_variance) / (delta * room * room) if room > 0 else math.inf


def failure_bound(found: Moments, samples: int) -> float:
    """Upper bound on P(J' >= J) after a step of 1 / C with the mean of n samples."""
    return min(1.0, samples_for_full_step(found, 1.0) / samples)


def failure_probability(method: Method, problem: Landscape, probabilities: Any, samples: int) -> float:
    """P(J' >= J) exactly, after a step of 1 / C with the mean of n samples of a one-hot method.

    Sums over all multisets of n architectures: C(K^E + n - 1, n) of them. Raises: ValueError beyond 100,000.
    """
    number = architectures.count(*probabilities.shape)
    multisets = math.comb(number + samples - 1, samples)
    if multisets > 100_000:
        raise ValueError(f"{samples} samples of {number} architectures are {multisets:,} multisets: too many to sum")
    spread = problem.max_loss - problem.min_loss
    step = largest_step(spread, problem.edges)
    before = expected_loss(problem, probabilities)
    every = architectures.choices(*probabilities.shape)
    chance = architectures.probability(probabilities, every)
    gradients = exact.sample_gradients(method, problem, probabilities)
    failed = 0.0
    for counts in _compositions(number, samples):
        ways = math.factorial(samples) // math.prod(math.factorial(c) for c in counts)
        weight = ways * math.prod(float(q) ** c for q, c in zip(chance, counts, strict=True))
        mean = np.tensordot(np.array(counts) / samples, gradients, axes=1)
        if expected_loss(problem, exponential_step(probabilities, mean, step)) >= before - 1e-15 * spread:
            failed += weight
    return failed


def _compositions(parts: int, total: int) -> Any:
    """All counts of `parts` non-negative integers with the given sum."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        ends = (-1, *bars, total + parts - 1)
        yield tuple(right - left - 1 for left, right in itertools.pairwise(ends))
