"""T8: how long a plain gradient step on the logits is safe, jointly over all edges? The smoothness constant of J.

Let S = sum_e v_e . (a_e - p_e), var = E S^2, D = max L - min L, c the mid-range. v' H v = E[(L - c)(S^2 - var)], so
|v' H v| <= (D/2) E|S^2 - var|, and a loss of two values c +- D/2 attains it: J is C-smooth with exactly

    C = (D/2) R,   R = sup over p, v of E|S^2 - var| / ||v||^2.

Proved here, whatever K: R <= 1/2 for one edge, R <= (2 E - 2) / (3 E - 2) for E >= 2. So R = 1/2 for two edges, where
XOR at p = 1/2 attains it, and C < D/3 for any number.

  1. One edge: E s^4 + 3 t^2 <= 2 t y with t = E s^2, y = ||v_e||^2, s = v_e . (a_e - p_e). For given values s_k the
     difference of the sides is convex in p on {p in the simplex, sum p_k s_k = 0}, so it is largest at a vertex, that
     is at two values -a, b: t = a b, E s^4 = a b (a^2 - a b + b^2), y >= (a + b)^2 / 2, difference
     a b ((a + b)^2 - 2 y) <= 0. With z = 2 t: Var(s^2) <= z (y - z), 0 <= z <= y. Hence E|s^2 - t| <= y / 2.
  2. All edges, independent and centred: E S^4 = 3 var^2 + sum (E s^4 - 3 t^2), var = Z / 2, Y = sum y, Z = sum z. With
     w = y - z and k = 1 - 1/E: E S^4 <= 3 Z^2/4 + sum z w - sum z^2/2 <= Z^2/4 + k Y^2/2 =: M, since sum z w <= m W for
     m = max z, W = sum w, sum z^2 >= Z^2/E + (m - Z/E)^2 E/(E - 1), and then the room is a square plus W Z (1 - 2/E).
  3. |x - var| <= var + (1 - 4 var/b) x + 2 var x^2/b^2 for x >= 0 and b >= 2 var: a parabola that touches at 0 and b.
     At x = S^2, b = M / var, on average: E|S^2 - var| <= 2 var - 2 var^3/M = 2 k Y^2 Z / (Z^2 + 2 k Y^2), which grows
     with Z <= Y, to 2 k Y / (1 + 2 k).

That J is smooth is known (one row: Mei et al. 2020, arXiv 2005.06392; players of a common potential: Zhang et al. 2022,
arXiv 2202.00872). A constant that does not grow with E we have not found.

Open: is R = 1/2 for E >= 3? `hard_search` looks for more and finds none. Equality is attained by 2, 3 and 5 binary
edges at p = 1/2 with equal v: there the question contains E|S^2 - 1| <= 1 for all Rademacher sums of unit variance.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from nas.optimisers import sgd
from theory import exact, symbols
from theory.architectures import choices, one_hot, probability
from theory.cases import Case
from theory.claim import Claim, Control, named
from theory.landscapes import Landscape
from theory.quantities import expected_loss, exponential_step


def smoothness(spread: Any, edges: int) -> Any:
    """A proved smoothness constant of J in the logits, for spread = max L - min L: 1/4 to 1/3 of it."""
    n = max(edges, 2)
    return spread * (n - 1) / (3 * n - 2)


def largest_step(spread: Any, edges: int) -> Any:
    """1 / C: the step with the largest guaranteed decrease, (1/2C) ||grad J||^2. Steps up to 2 / C do not raise J."""
    return 1 / smoothness(spread, edges)


def stated(edges: int) -> Fraction:
    """C / D as the statement has it, for the checkers to measure their steps by."""
    return Fraction(1, 4) if edges <= 2 else Fraction(edges - 1, 3 * edges - 2)


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """n (1 - C n / 2) ||grad J||^2 <= J - J', for n = share * 2 / C, in units of max L - min L."""
    spread = problem.max_loss - problem.min_loss
    if spread <= 0:
        return spread
    known = exact.truth(problem, p)
    rate = 2 * share * largest_step(spread, problem.edges)
    moved = exponential_step(p, known.gradient, rate)
    after = expected_loss(problem, moved)
    promised = rate * (1 - share) * (known.gradient * known.gradient).sum()
    weights = p * np.exp(-2 * share * known.gradient / (float(stated(problem.edges)) * spread))
    length = named(moved, weights / weights.sum(axis=-1, keepdims=True))
    return min(
        (known.expected_loss - after - promised) / spread, _curvature_room(problem, p, direction) / spread, length
    )


def exact_slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """C^2 ||v||^4 - (v' H v)^2 for the given direction: the smoothness itself, rationally."""
    return _curvature_room(problem, p, direction)


def curvature(problem: Landscape, p: Any, v: Any) -> Any:
    """v' H v = E[(L - c)(S^2 - E S^2)] of J in the logits."""
    c = (problem.max_loss + problem.min_loss) / 2
    pairs = []
    for weight, gates, loss in exact.weighted_losses(problem, p):
        s = ((gates - p) * v).sum(axis=-1).sum(axis=-1)
        pairs.append((weight, loss, s * s))
    variance = sum((w * s).sum() for w, _, s in pairs)
    return sum((w * (loss - c) * (s - variance)).sum() for w, loss, s in pairs)


def _curvature_room(problem: Landscape, p: Any, v: Any, constant: Any = None) -> Any:
    spread = problem.max_loss - problem.min_loss
    c = smoothness(spread, problem.edges) if constant is None else constant * spread
    norm = (v * v).sum()
    return c * c * norm * norm - curvature(problem, p, v) ** 2


# ------------------------------------------------------------------ the open question


def ratio(p: Any, v: Any) -> Any:
    """E|S^2 - var| / ||v||^2 at p, v (E, K): the smoothness constant is half its supremum, times max L - min L."""
    every = choices(*p.shape)
    weight = probability(p, every)
    s = ((one_hot(every, p.shape[1], p.dtype == object) - p) * v).sum(axis=-1).sum(axis=-1)
    variance = (weight * s * s).sum()
    return (weight * abs(s * s - variance)).sum() / (v * v).sum()


def hard_search(edges: int, candidates: int, starts: int, seed: int) -> tuple[float, Any, Any]:
    """The largest `ratio` that BFGS finds over all policies and directions, and where: (ratio, p, v).

    The loss is already optimised out: the worst one takes its two extremes by the sign of S^2 - var.
    """
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    size = edges * candidates
    every = choices(edges, candidates)
    gates = one_hot(every, candidates)

    def split(z: Any) -> tuple[Any, Any]:
        logits = z[:size].reshape(edges, candidates)
        p = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return p / p.sum(axis=-1, keepdims=True), z[size:].reshape(edges, candidates)

    def negative(z: Any) -> tuple[float, Any]:
        p, v = split(z)
        norm = (v * v).sum()
        weight = probability(p, every)
        score = gates - p
        s = (score * v).sum(axis=(1, 2))
        variance = (weight * s * s).sum()
        sign = np.sign(s * s - variance)
        value = (weight * sign * (s * s - variance)).sum()
        tilt = (weight * sign).sum()
        by_v = 2 * ((weight * (sign - tilt) * s)[:, None, None] * score).sum(axis=0)
        # d/dlogits of E[f (S^2 - var)] at fixed f: through P, through p inside S (E f S, E S = 0), and through var
        inner = sign * s * s - tilt * s * s - sign * variance
        by_p = (weight * inner)[:, None, None] * score
        through_mean = p * (v - (p * v).sum(axis=-1, keepdims=True))
        by_p = by_p.sum(axis=0) - 2 * (weight * (sign - tilt) * s).sum() * through_mean
        found = value / norm
        return -found, -np.concatenate([(by_p / norm).ravel(), (by_v / norm - 2 * found * v / norm).ravel()])

    best, where = 0.0, np.zeros(2 * size)
    for _ in range(starts):
        start = np.concatenate([rng.choice([0.1, 1.0, 3.0]) * rng.standard_normal(size), rng.standard_normal(size)])
        found = minimize(negative, start, jac=True, method="BFGS", options={"maxiter": 300})
        if -found.fun > best:
            best, where = float(-found.fun), found.x
    p, v = split(where)
    return best, p, v / np.linalg.norm(v)


# ------------------------------------------------------------------ derivation and controls


def symbolic() -> list[Any]:
    """The shipped step's slope and the Hessian form (two binary edges); the vertex, the square, and step 3."""
    t = sympy.Symbol("t", real=True)
    weights = np.array([[sympy.Symbol(f"w{e}{k}", positive=True) for k in range(2)] for e in range(2)], dtype=object)
    v, losses, c = symbols.symbols("v", 2, 2), symbols.table(2, 2), sympy.Symbol("c", real=True)
    tilted = np.array(
        [[w * sympy.exp(t * x) for w, x in zip(*rows, strict=True)] for rows in zip(weights, v, strict=True)]
    )
    along = symbols.expected(losses, tilted / tilted.sum(axis=-1, keepdims=True))
    second = sympy.diff(along, t, 2).subs(t, 0)
    p = weights / weights.sum(axis=-1, keepdims=True)
    pairs = [(q, losses[a], ((gates - p) * v).sum() ** 2) for a, q, gates in symbols.architectures(p)]
    variance = sum(q * s for q, _, s in pairs)
    form = sum(q * (loss - c) * (s - variance) for q, loss, s in pairs)
    logits, rate = symbols.symbols("t", 2, 2), sympy.Symbol("n", positive=True)
    step = sgd().update(logits, symbols.exact_mean(losses, p), {}, rate, 1)[0] - logits
    slope = (v * step).sum() + rate * sympy.diff(along, t).subs(t, 0)
    a, b, y = sympy.symbols("a b y", positive=True)
    p_b = a / (a + b)
    square, fourth = p_b * b**2 + (1 - p_b) * a**2, p_b * b**4 + (1 - p_b) * a**4
    vertex = fourth + 3 * square**2 - 2 * square * y - a * b * ((a + b) ** 2 - 2 * y)
    m, z, w, others = sympy.symbols("M Z W n", positive=True)
    edges = others + 1
    gap = m - z / edges
    squares = z**2 / edges + gap**2 * edges / others
    room = others / edges * (z + w) ** 2 / 2 - (z**2 / 2 - squares / 2 + m * w)
    root = sympy.sqrt(others / edges)
    completed = (gap / root - root * w) ** 2 / 2 + w * z * (1 - 2 / edges)
    return [
        *symbols.reduced([slope, second - form, vertex]),
        sympy.simplify(sympy.expand(room - completed)),
        *symbols.reduced(_parabola(edges)),
    ]


def _parabola(edges: Any) -> list[Any]:
    """Step 3: where it touches, what it gives on average, that this grows in Z, and to what (Y = 1)."""
    x, var, b, z, k = sympy.symbols("x V b Z k", positive=True)
    parabola = var + (1 - 4 * var / b) * x + 2 * var * x**2 / b**2
    average = 2 * var - 2 * var**3 / (z**2 / 4 + k / 2)
    bound = 2 * k * z / (z**2 + 2 * k)
    most = 2 * k / (1 + 2 * k)
    return [
        parabola - (x - var) - 2 * var * (x - b) ** 2 / b**2,
        parabola - (var - x) - 2 * x * (1 - 2 * var / b) - 2 * var * x**2 / b**2,
        average.subs(var, z / 2) - bound,
        most - bound - 2 * k * (1 - z) * (2 * k - z) / ((1 + 2 * k) * (z**2 + 2 * k)),
        most.subs(k, 1 - 1 / edges) - (2 * edges - 2) / (3 * edges - 2),
    ]


EXCLUSIVE = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])  # XOR of two binary edges; the zeroed states do not matter
SIGNS = np.array([[1, -1], [1, -1]])


def _nine(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    known = exact.truth(problem, p)
    rate = 9 / max(problem.max_loss - problem.min_loss, 1e-9)
    return known.expected_loss - expected_loss(problem, exponential_step(p, known.gradient, rate))


CLAIM = Claim(
    "T8",
    "a plain gradient step on the logits",
    "J is C-smooth in the logits, so J - J' >= n (1 - C n / 2) ||grad J||^2 >= 0 for any step 0 <= n <= 2 / C",
    "D = max L - min L; C = D/4 for one or two edges (tight for two: XOR), C = D (E - 1) / (3 E - 2) < D/3 beyond "
    "(so the older D/2 with n < 4/D holds a fortiori); any K, L, p. Whether C = D/4 for E >= 3 is open",
    "best step 1 / C, largest 2 / C: 8 / D for one or two edges, at least 6 / D for any number",
    slack,
    (
        Control(
            "J is 0.24 D-smooth (XOR at p = 1/2 has D/4)",
            lambda problem, p, share, v: _curvature_room(problem, p, v, Fraction(24, 100)),
            example=Case("table", EXCLUSIVE, np.array([[1, 1], [1, 1]]), Fraction(1), SIGNS),
        ),
        Control(
            "a step of 9 / D does not raise J",
            _nine,
            example=Case("table", EXCLUSIVE, np.array([[51, 49], [49, 51]]), Fraction(1), np.zeros((2, 2), dtype=int)),
            exact=False,
        ),
    ),
    "<v, sgd's step along E[exact_advantage]> = -n dJ/dv, v' H v = E[(L - c)(S^2 - E S^2)], the vertex, the square, "
    "the parabola and the growth in the proof",
    symbolic,
    exact_slack=exact_slack,
)
