"""T6: does the expected loss converge under T1's step? Yes, and the policy travels a finite distance."""

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
        worst = min(worst, before - after)
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
    """sum_t KL_t / d <= sum_t [ln(c - J_{t+1}) - ln(c - J_t)] = ln(c - J_T) - ln(c - J_0): the sum telescopes."""
    values = [sympy.Symbol(f"u{t}", positive=True) for t in range(6)]
    gains = [sympy.log(after) - sympy.log(before) for before, after in itertools.pairwise(values)]
    return symbols.reduced([sympy.expand(sum(gains) - sympy.log(values[-1]) + sympy.log(values[0]))])


CLAIM = Claim(
    "T6",
    "convergence",
    "under T1's step J(p_t) never rises and converges, and sum_t KL(p_{t+1}||p_t) <= d ln((c - min L) / (c - J_0))",
    "as T1, c and d fixed, J_0 < c",
    "sum_t KL(p_{t+1}||p_t) <= d ln((c - min L) / (c - J_0))",
    slack,
    (Control("steps to the end of the simplex never raise J either", _to_the_simplex),),
    "T1 telescopes: sum_t KL_t / d <= ln(c - J_T) - ln(c - J_0)",
    symbolic,
)
