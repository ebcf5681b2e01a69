"""T17: must credit compare with nothing? Any output that is independent of the edge's choice may stand for its absence.

Let rho_e be a reference output for edge e that does not depend on a_e (it may depend on the other edges, on earlier
steps, on the input). L(a) - L(a with e's output replaced by rho_e) is an unbiased credit (T4's argument), and its
first-order form <dL/dh_e, h_e - rho_e> errs by r = int_0^1 t phi''(t) dt, phi(t) the loss at rho_e + t (h_e - rho_e):
by at most (M/2) ||h_e - rho_e||^2 where the curvature of L in h_e is at most M. AdvantageNAS has rho = 0. So

    bias_ek = p_ek (E[r | a_ek = 1] - E[r]),   ||bias_e|| <= (M/2) E[||h_e - rho_e||^2 ||a_e - p_e||]:

what counts is how far the operations' outputs lie from the reference, not their size. The mean output has the least
mean square distance. For L = mean of D outputs of (sum h - y)^2, r = ||h_e - rho_e||^2 / D, so the bias is *zero at
every policy* where all outputs lie equally far from rho: at the midpoint of two, the circumcentre of three, of any K
<= D + 1 in general position. A circumcentre needs the outputs side by side; a mean output does not. First-order credit
is affine in rho, so on any loss an R_e that is drawn independently of the gates, with mean rho_e, has the bias of rho,
and the variance

    V(R) = V(rho) + sum_e E[||a_e - p_e||^2 <dL/dh_e, R_e - rho_e>^2]:

what the edge sent in *one* earlier step stands for the mean output, without running another operation, and an average
of n of them (at a policy that stands still) for an n-th of that price. On a network outputs depend on the input as
well: a moving average, per channel, say, is then a mean over inputs, too, and further from the outputs.

With a baseline the reference is a control variate in the sense of T11 and T16; that a counterfactual may be any
default action is known from difference rewards (Wolpert & Tumer 2002). The bound and the circumcentre are new as far
as we know.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sympy

from nas import estimators
from theory import exact, symbols
from theory.cases import Domain
from theory.claim import Checker, Claim, Control
from theory.claims.t5_taylor_bias import QUADRATIC
from theory.landscapes import Landscape, OfSum, Power


def circumcentre(outputs: Any) -> Any:
    """Weights m (E, K) that sum to one, whose mixture of the outputs (E, K, D) lies equally far from all K of them.

    Solves sum_k m_k ||h_j - h_k||^2 = const and sum m = 1 (barycentric coordinates), exactly on `Fraction`.
    Raises: ValueError where an edge has no such point in the affine hull of its outputs.
    """
    edges, candidates, _ = outputs.shape
    found = np.empty((edges, candidates), dtype=outputs.dtype)
    for edge, h in enumerate(outputs):
        squares = ((h[:, None] - h) ** 2).sum(axis=-1)
        one = squares[0, 0] * 0 + 1
        system = np.full((candidates + 1, candidates + 1), one, dtype=outputs.dtype)
        system[:candidates, :candidates], system[candidates, candidates] = squares, 0 * one
        solved = _solved(system, np.array([0 * one] * candidates + [one]))
        if solved is None:
            raise ValueError(f"the outputs of edge {edge} do not lie on a sphere with its centre in their affine hull")
        found[edge] = solved[:candidates]
    return found


def remainders(problem: OfSum, p: Any, reference: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(P(a) (n,), gates (n, E, K), r (n, E)): first-order credit minus L - L(e at its reference), all architectures."""
    for weight, gates, loss in exact.weighted_losses(problem, p):
        slopes = problem.gradients(gates, gates * 0 + 1).gate_gradient
        credit = ((gates - reference) * slopes).sum(axis=-1)
        yield weight, gates, credit - (loss[:, None] - problem.loss(referred(gates, reference)))


def referred(gates: Any, reference: Any) -> Any:
    """Gates (..., E, E, K): each edge in turn at its reference, the others as they are."""
    own = np.eye(gates.shape[-2], dtype=int)[..., None]
    return gates[..., None, :, :] * (1 - own) + own * reference


def bias(problem: OfSum, p: Any, reference: Any) -> Any:
    """E[reference_advantage] - gradient, (E, K), of the shipped estimator with dense gate gradients."""
    mean: Any = 0
    for weight, gates, _ in exact.weighted_losses(problem, p):
        slopes = problem.gradients(gates, gates * 0 + 1).gate_gradient
        estimate = estimators.reference_advantage(p, gates, slopes, reference)
        mean = mean + (weight[:, None, None] * estimate).sum(axis=0)
    return mean - exact.truth(problem, p).gradient


def distances(outputs: Any, reference: Any) -> Any:
    """||h_ek - rho_e||^2 / D, (E, K)."""
    apart = outputs - (reference[..., None] * outputs).sum(axis=1, keepdims=True)
    return (apart * apart).sum(axis=-1) / outputs.shape[-1]


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """Over odd references, the mean output and the circumcentre: no bias, T5's formula, the closed form, the bound."""
    if not isinstance(problem, OfSum):
        raise ValueError(f"T17 is tried on networks, whose edges have outputs, not on a {type(problem).__name__}")
    rooms = [0 * share]
    for reference in (share * direction, p, *_centres(problem)):
        rooms += [-abs(_exact_bias(problem, p, reference)).max()]
        found, apart = bias(problem, p, reference), distances(problem.outputs, reference)
        closed = p * (apart - (p * apart).sum(axis=-1, keepdims=True))
        by_remainder: Any = 0
        for weight, gates, r in remainders(problem, p, reference):
            by_remainder = by_remainder + (weight[:, None, None] * estimators.credited(p, gates, r)).sum(axis=0)
        rooms += [-abs(found - closed).max(), -abs(found - by_remainder).max()]
        rooms += [curvature_room(problem, p, reference, 2)]
    rooms += [-abs(bias(problem, p, centre)).max() for centre in _centres(problem)]
    at_mean, at_other = (_spread(problem, p, reference) for reference in (p, p + share * direction))
    rooms += [(at_other - at_mean).min(), *_refused(problem), *sparse_rooms(problem, p)]
    return min(rooms) / (1 + max(abs(problem.max_loss), abs(problem.min_loss)))


def sparse_rooms(problem: OfSum, p: Any) -> list[Any]:
    """An edge's output in an earlier step, drawn from p, for its mean output: the same mean, and V's closed form."""
    candidates = p.shape[1]
    means: list[Any] = [0 * p, 0 * p]
    price: Any = 0
    for weight, gates, _ in exact.weighted_losses(problem, p):
        slopes = problem.gradients(gates, gates * 0 + 1).gate_gradient
        w = ((gates - p) ** 2).sum(axis=-1)
        at_mean = estimators.reference_advantage(p, gates, slopes, p)
        means[0] = means[0] + (weight[:, None, None] * at_mean).sum(axis=0)
        price = price - (weight * (at_mean * at_mean).sum(axis=(1, 2))).sum()
        for operation in range(candidates):
            earlier = 0 * p + np.eye(candidates, dtype=int)[operation]
            law = weight[:, None] * p[:, operation]
            estimate = estimators.reference_advantage(p, gates, slopes, earlier)
            means[1] = means[1] + (law[..., None] * estimate).sum(axis=0)
            missed = ((earlier - p) * slopes).sum(axis=-1)
            price = price + (law * ((estimate * estimate).sum(axis=-1) - w * missed * missed)).sum()
    unit = 1 + max(abs(problem.max_loss), abs(problem.min_loss))
    return [-abs(means[1] - means[0]).max(), -abs(price) / unit]


def curvature_room(problem: OfSum, p: Any, reference: Any, divisor: int) -> Any:
    """Smallest M ||h - rho||^2 / divisor - |r| on the cubic network of the same outputs.

    L = mean of s^3: along h - rho = d the curvature is mean of 6 s d^2, linear on the way, so largest at an end.
    """
    cubic = Power(problem.outputs, 0 * problem.outputs[0, 0], 3)
    size = problem.outputs.shape[-1]
    away = (reference[..., None] * problem.outputs).sum(axis=1)
    rooms = []
    for _, gates, r in remainders(cubic, p, reference):
        own = (gates[..., None] * problem.outputs).sum(axis=-2)
        total = own.sum(axis=-2, keepdims=True)
        square = (own - away) ** 2
        ends = [abs((6 * s * square).sum(axis=-1) / size) for s in (total, total - own + away)]
        rooms.append((np.maximum(*ends) / divisor - abs(r)).min())
    return min(rooms)


def _centres(problem: OfSum) -> list[Any]:
    try:
        return [circumcentre(problem.outputs)]
    except ValueError:
        return []


def _refused(problem: OfSum) -> list[Any]:
    """-1 if no circumcentre was found though every edge's outputs are in general position: there is one then."""
    for h in problem.outputs:
        apart = h[1:] - h[0]
        if _solved(apart @ apart.T, 0 * apart[:, 0]) is None:
            return []
    return [] if _centres(problem) else [-1]


def _spread(problem: OfSum, p: Any, reference: Any) -> Any:
    return (p * distances(problem.outputs, reference)).sum(axis=-1)


def _exact_bias(problem: OfSum, p: Any, reference: Any) -> Any:
    mean: Any = 0
    for weight, gates, loss in exact.weighted_losses(problem, p):
        worth = loss[:, None] - problem.loss(referred(gates, reference))
        mean = mean + (weight[:, None, None] * estimators.credited(p, gates, worth)).sum(axis=0)
    return mean - exact.truth(problem, p).gradient


def _solved(matrix: Any, right: Any) -> Any:
    """Solution of a linear system by elimination with pivots, exact for exact input; None if it is singular."""
    rows = np.concatenate([matrix, right[:, None]], axis=1)
    size = len(rows)
    tiny = 0 if rows.dtype == object else 1e-9 * max(1.0, float(abs(rows).max()))
    for column in range(size):
        pivot = column + int(np.argmax(abs(rows[column:, column])))
        if abs(rows[pivot, column]) <= tiny:
            return None
        rows[[column, pivot]] = rows[[pivot, column]]
        rows[column] = rows[column] / rows[column, column]
        for other in range(size):
            if other != column:
                rows[other] = rows[other] - rows[other, column] * rows[column]
    return rows[:, -1]


# ------------------------------------------------------------------ controls


def _network(check: Callable[[OfSum, Any, Any, Any], Any]) -> Checker:
    def checker(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
        if not isinstance(problem, OfSum):
            raise ValueError("a network is needed here")
        return check(problem, p, share, direction)

    return checker


def _own_choice(problem: OfSum, p: Any, share: Any, direction: Any) -> Any:
    """-|bias| of L - L(e at a share of its own output)."""
    own = np.eye(problem.edges, dtype=int)[..., None]
    mean: Any = 0
    for weight, gates, loss in exact.weighted_losses(problem, p):
        worth = loss[:, None] - problem.loss(gates[..., None, :, :] * (1 - own + own * share / 2))
        mean = mean + (weight[:, None, None] * estimators.credited(p, gates, worth)).sum(axis=0)
    return -abs(mean - exact.truth(problem, p).gradient).max()


def _for_nothing(problem: OfSum, p: Any, share: Any, direction: Any) -> Any:
    """V(p) - V(one operation's output): not negative if a reference that is drawn costs no variance."""
    one = 0 * p
    one[:, 0] = one[:, 0] + 1
    variances = []
    for reference in (p, one):
        mean, second = 0 * p, 0 * p[0, 0]
        for weight, gates, _ in exact.weighted_losses(problem, p):
            slopes = problem.gradients(gates, gates * 0 + 1).gate_gradient
            estimate = estimators.reference_advantage(p, gates, slopes, reference)
            mean = mean + (weight[:, None, None] * estimate).sum(axis=0)
            second = second + (weight * (estimate * estimate).sum(axis=(1, 2))).sum()
        variances.append(second - _norm(mean))
    return variances[0] - variances[1]


def _norm(values: Any) -> Any:
    return (values * values).sum()


def symbolic() -> list[Any]:
    """L = (sum h - y)^2, two binary edges: the shipped estimator's bias is p (d - <p, d>), and zero at the midpoint."""
    p, h, y = symbols.policy(2, 2), symbols.symbols("h", 2, 2), symbols.symbols("y")[()]
    m = symbols.symbols("m", 2, 2)
    half = np.full((2, 2), sympy.Rational(1, 2))
    gradient: Any = 0
    means: list[Any] = [0, 0]
    for _, probability, gates in symbols.architectures(p):
        miss = (gates * h).sum() - y
        gradient = gradient + probability * miss**2 * (gates - p)
        for i, reference in enumerate((m, half)):
            means[i] = means[i] + probability * estimators.reference_advantage(p, gates, 2 * miss * h, reference)
    away = (h - (m * h).sum(axis=-1, keepdims=True)) ** 2
    closed = estimators.softmax_pullback(p, away)
    return symbols.reduced(means[0] - gradient - closed) + symbols.reduced(means[1] - gradient)


CLAIM = Claim(
    "T17",
    "credit against a reference",
    "L(a) - L(e's output replaced by rho_e) is an unbiased credit; its first-order form <dL/dh_e, h_e - rho_e> has "
    "bias_ek = p_ek (E[r | a_ek = 1] - E[r]), |r| <= (M/2) ||h_e - rho_e||^2; in a quadratic network r = ||h_e - "
    "rho_e||^2 / D, so the bias is zero at every policy where all outputs lie equally far from rho_e; an R_e drawn "
    "independently with mean rho_e has the bias of rho, and V(R) = V(rho) + sum_e E[||a_e - p_e||^2 <dL/dh_e, R_e - "
    "rho_e>^2]",
    "rho_e does not depend on a_e; M bounds the curvature of L along h_e - rho_e",
    "the mean output has the least E||h_e - rho_e||^2; the circumcentre (the midpoint of two) has no bias",
    slack,
    (
        Control("a reference that depends on a_e is unbiased as well", _network(_own_choice), QUADRATIC),
        Control(
            "the first-order form is unbiased with the mean output as its reference",
            _network(lambda problem, p, share, v: -abs(bias(problem, p, p)).max()),
            QUADRATIC,
        ),
        Control(
            "the mean output never has more bias than no reference",
            _network(lambda problem, p, share, v: _norm(bias(problem, p, 0 * p)) - _norm(bias(problem, p, p))),
            QUADRATIC,
        ),
        Control("one operation's output costs no variance over the mean output", _network(_for_nothing), QUADRATIC),
        Control(
            "|r| <= (M / 3) ||h - rho||^2",
            _network(lambda problem, p, share, v: curvature_room(problem, p, p, 3)),
            QUADRATIC,
        ),
    ),
    "E[reference_advantage] - E[L (a - p)] = p (d - <p, d>), d = ||h - rho||^2, for L = (sum h - y)^2; zero at the "
    "midpoint",
    symbolic,
    QUADRATIC,
    exact_domain=Domain("quadratic", edges=(1, 2)),
)
