"""T9: does exponentiated gradient lower the expected loss? One edge at a time always, all at once below 8 / lambda.

Mirror descent with the entropy; below the inverse of a constant of relative smoothness it is known to descend (Lu,
Freund & Nesterov 2018, arXiv 1610.05708). The constant lambda / 8 is what is derived here. Beyond it the step may cycle
or turn chaotic (Palaiopanos, Panageas & Piliouras 2017, arXiv 1703.01138).
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from nas import policy
from nas.optimisers import exponentiated
from theory import exact, symbols
from theory.architectures import choices, one_hot
from theory.cases import Case, Domain
from theory.claim import Claim, Control, named
from theory.landscapes import Landscape
from theory.quantities import conditional_losses, expected_loss


def interactions(problem: Landscape) -> Any:
    """I_ij = max |L(k, l) - L(k', l) - L(k, l') + L(k', l')| over operations and other edges, (E, E), 0 for i = j."""
    edges, candidates = problem.edges, problem.candidates
    losses = problem.loss(one_hot(choices(edges, candidates), candidates)).reshape((candidates,) * edges)
    pairs = np.zeros((edges, edges))
    for i in range(edges):
        for j in range(i + 1, edges):
            first = np.moveaxis(losses, (i, j), (0, 1))
            rows = first[:, None] - first[None]
            pairs[i, j] = pairs[j, i] = np.abs(rows[:, :, :, None] - rows[:, :, None]).max()
    return pairs


def largest_rate(problem: Landscape) -> float:
    """8 / lambda, lambda the largest eigenvalue of `interactions`; infinite for additive losses."""
    top = float(np.linalg.eigvalsh(interactions(problem))[-1])
    return 8 / top if top > 1e-12 else math.inf


def together(problem: Landscape, p: Any, rate: float) -> Any:
    """The policy after one exponentiated-gradient step of all edges, by the shipped optimiser."""
    return policy.softmax(exponentiated().update(policy.logits(p), exact.truth(problem, p).gradient, {}, rate, 1)[0])


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """The smaller decrease of: all edges at share * 8 / lambda, and edge after edge at any rate."""
    before = expected_loss(problem, p)
    spread = problem.max_loss - problem.min_loss
    if spread <= 0:
        return spread
    rate = min(share * largest_rate(problem), 1e3 / spread)
    moved = together(problem, p, rate)
    worst, lengths = before - expected_loss(problem, moved), [named(moved, _tilted(problem, p, rate))]
    if rate < 1e3 / spread:  # else lambda is next to nothing, and any rate is allowed
        lengths.append(named(rate * np.linalg.norm(interactions(problem), 2) / 8, share))
    for edge in range(len(p)):
        moved = p.copy()
        moved[edge] = together(problem, p, 30 * share / spread)[edge]
        lengths.append(named(moved[edge], _tilted(problem, p, 30 * share / spread)[edge]))
        after = expected_loss(problem, moved)
        worst, before, p = min(worst, before - after), after, moved
    return min(worst / spread, *lengths)


def _tilted(problem: Landscape, p: Any, rate: float) -> Any:
    """The policy that the claim names: p exp(-rate Q), normalised."""
    q = conditional_losses(problem, p)
    weights = p * np.exp(-rate * (q - np.where(p > 0, q, np.inf).min(axis=-1, keepdims=True)))
    return weights / weights.sum(axis=-1, keepdims=True)


def exact_slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """Edge after edge with p' ~ p x^(m Q), x = share < 1 rational, m Q integers: an exact exponentiated step.

    Where the next edge's numbers would have thousands of digits, the edges before are all that is checked.
    """
    x = share if share < 1 else Fraction(1, 2)
    before = expected_loss(problem, p)
    worst = 0 * before
    for edge in range(len(p)):
        q = conditional_losses(problem, p)[edge]
        power = math.lcm(*(value.denominator for value in q))
        if power * (max(q) - min(q)) > 2000:
            break
        weights = p[edge] * np.array([x ** int(power * (value - min(q))) for value in q], dtype=object)
        moved = p.copy()
        moved[edge] = weights / weights.sum()
        after = expected_loss(problem, moved)
        worst = min(worst, before - after, _follows(p[edge], moved[edge], q))
        before, p = after, moved
    return worst


def _follows(before: Any, after: Any, q: Any) -> Any:
    """Infinite if the step moved as exp(-n Q), n > 0, does: the odds of each pair fall where Q is the larger one."""
    possible = [k for k in range(len(q)) if before[k] > 0]
    wrong = [
        (i, j) for i in possible for j in possible if q[i] > q[j] and not after[i] * before[j] < after[j] * before[i]
    ]
    return Fraction(-len(wrong)) if wrong else math.inf


def _outside(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    rate = largest_rate(problem) * 8.1 / 8
    return 0.0 if math.isinf(rate) else expected_loss(problem, p) - expected_loss(problem, together(problem, p, rate))


def _any_rate(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return expected_loss(problem, p) - expected_loss(problem, together(problem, p, 100.0))


def game(edges: int, weights: list[int]) -> Case:
    """L = number of pairs of edges with the same operation, binary, every edge at the given weights."""
    every = np.array(list(np.ndindex((3,) * edges))).reshape(*(3,) * edges, edges)
    same = sum(
        ((every[..., i] == every[..., j]) & (every[..., i] < 2)).astype(int) for i in range(edges) for j in range(i)
    )
    return Case("table", np.asarray(same), np.array([weights] * edges), Fraction(1), np.zeros((edges, 2), dtype=int))


def symbolic() -> list[Any]:
    """One edge, three operations, p(n) ~ p exp(-n Q): dJ/dn = -Var_{p(n)}(Q)."""
    rate = sympy.Symbol("n", real=True)
    p, q = symbols.symbols("p", 3), symbols.symbols("Q", 3)
    weights = [pk * sympy.exp(-rate * qk) for pk, qk in zip(p, q, strict=True)]
    total = sum(weights)
    mean = sum(w * qk for w, qk in zip(weights, q, strict=True)) / total
    variance = sum(w * (qk - mean) ** 2 for w, qk in zip(weights, q, strict=True)) / total
    return [sympy.simplify(sympy.diff(mean, rate) + variance)]


CLAIM = Claim(
    "T9",
    "exponentiated gradient",
    "p' ~ p exp(-n Q), Q_e(k) = E[L | a_ek = 1], does not raise J: edge after edge for any n >= 0, all at once for "
    "n <= 8 / lambda",
    "any L, p; lambda the largest eigenvalue of I_ij = max |L(k,l) - L(k',l) - L(k,l') + L(k',l')|; exactly checked is "
    "edge after edge, all at once in floats (and proved in Coq)",
    "largest rate 8 / lambda",
    slack,
    (
        Control(
            "at 8.1 / lambda J does not rise (coordination game at p = (0.501, 0.499))",
            _outside,
            example=game(3, [501, 499]),
            exact=False,
        ),
        Control(
            "at rate 100 two coordinated edges at p = (0.6, 0.4) do not rise",
            _any_rate,
            example=game(2, [3, 2]),
            exact=False,
        ),
    ),
    "dJ/dn = -Var(Q) <= 0 along one edge's exponentiated path",
    symbolic,
    exact_slack=exact_slack,
    exact_domain=Domain(edges=(1, 2), candidates=(2, 2)),
)
