"""T6: does the expected loss converge under T1's step? Yes, and the policy travels a finite distance.

For linear multiplicative weights in congestion games more is known: they converge to Nash equilibria (Palaiopanos,
Panageas & Piliouras 2017, arXiv 1703.01138).
"""

import itertools
from typing import Any

import numpy as np
import sympy

from nas import policy
from theory import exact, symbols
from theory.claim import Claim, Control
from theory.claims import t1_monotone
from theory.landscapes import Landscape
from theory.quantities import expected_loss, settled, simplex_step

STEPS = 12


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """Over 12 steps (3 exactly): the smallest decrease of J and, in floats, the room in the bound on sum KL."""
    before = expected_loss(problem, p)
    start, travelled = problem.max_loss - before, 0.0
    worst = 0 * before
    for _ in range(3 if p.dtype == object else STEPS):
        moved, _, _ = t1_monotone.step(problem, p, share)
        after = expected_loss(problem, moved)
        worst = min(worst, before - after, t1_monotone.the_named_step(problem, p, share, moved))
        if p.dtype != object:
            travelled += float(policy.kl(moved, p).sum())
        p, before = moved, after
    if p.dtype == object or start <= 1e-12 * (1 + abs(problem.max_loss)):
        return worst
    return min(worst, share * (np.log(problem.max_loss - problem.min_loss) - np.log(start)) - travelled)


def _to_the_simplex(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    before = expected_loss(problem, p)
    worst = 0 * before
    for _ in range(3):
        gradient = exact.truth(problem, p).gradient
        longest = simplex_step(p, gradient)
        if longest is None:
            break
        p = settled(policy.natural_step(p, gradient, longest))
        after = expected_loss(problem, p)
        worst, before = min(worst, before - after), after
    return worst


def symbolic() -> list[Any]:
    """Two shipped steps from p = (1/3, 2/3), (1/4, 3/4): each is T1's mixture, and the product of gains telescopes."""
    losses, c, delta = symbols.table(2, 2), symbols.symbols("c")[()], symbols.symbols("d")[()]
    p = np.array([[sympy.Rational(1, 3), sympy.Rational(2, 3)], [sympy.Rational(1, 4), sympy.Rational(3, 4)]])
    misses, gaps = [], [c - symbols.expected(losses, p)]
    for _ in range(2):
        moved = policy.natural_step(p, symbols.exact_mean(losses, p), delta / gaps[-1])
        tilted = sum(q * (c - losses[a]) * gates for a, q, gates in symbols.architectures(p)) / gaps[-1]
        misses.append(moved - (1 - delta) * p - delta * tilted)
        p = moved
        gaps.append(c - symbols.expected(losses, p))
    gains = sympy.prod(after / before for before, after in itertools.pairwise(gaps))
    return symbols.reduced(np.append(np.array(misses), gains - gaps[-1] / gaps[0]))


CLAIM = Claim(
    "T6",
    "convergence",
    "under T1's step J(p_t) never rises and converges, and sum_t KL(p_{t+1}||p_t) <= d ln((c - min L) / (c - J_0))",
    "as T1, c and d fixed, J_0 < c",
    "sum_t KL(p_{t+1}||p_t) <= d ln((c - min L) / (c - J_0))",
    slack,
    (Control("steps to the end of the simplex never raise J either", _to_the_simplex),),
    "natural_step of E[exact_advantage] is T1's mixture step after step, and T1 telescopes: "
    "sum_t KL_t / d <= ln(c - J_T) - ln(c - J_0)",
    symbolic,
)
