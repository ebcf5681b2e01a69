"""T5: how biased is first-order credit, and can it be fatal? The Taylor remainder along an edge's gate; yes."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from nas import estimators, objective
from nas.methods import METHODS
from theory import exact, symbols
from theory.cases import Case, Domain
from theory.claim import Claim, Control
from theory.landscapes import Landscape, Power, Quadratic


def remainders(problem: Landscape, p: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(P(a) (n,), gates (n, E, K), r_e = credit_e - exact_e (n, E)) of all architectures, in chunks."""
    for weight, gates, loss in exact.weighted_losses(problem, p):
        measured = problem.gradients(gates, gates)
        credit = estimators.first_order_credit(gates, measured.gate_gradient)
        yield weight, gates, credit - (loss[:, None] - objective.zeroed_losses(problem, gates))


def remainder(problem: Landscape, p: Any) -> tuple[Any, Any]:
    """(E[r_e (a_e - p_e)] (E, K), largest |r_e| (E,))."""
    total: Any = 0
    largest: Any = 0
    for weight, gates, r in remainders(problem, p):
        total = total + (weight[:, None, None] * estimators.credited(p, gates, r)).sum(axis=0)
        largest = np.maximum(largest, abs(r).max(axis=0))
    return total, largest


def integral_gap(outputs: Any, p: Any, power: int) -> Any:
    """Largest |r_e - int_0^1 t^power phi''(t) dt| on the network of these outputs with the loss mean of (sum h)^3.

    phi(t) = mean of (rest + t h)^3, so phi'' = mean of 6 (rest + t h) h^2: it varies along the gate.
    """
    cubic = Power(outputs, 0 * outputs[0, 0], 3)
    largest: Any = 0
    for _, gates, r in remainders(cubic, p):
        own = (gates[..., None] * outputs).sum(axis=-2)
        rest = own.sum(axis=-2, keepdims=True) - own
        integral = 6 * own * own * (rest / (power + 1) + own / (power + 2))
        largest = max(largest, abs(r - integral.sum(axis=-1) / outputs.shape[-1]).max())
    return largest


def curvature_room(outputs: Any, p: Any, divisor: int) -> Any:
    """Smallest M / divisor - |r_e| on `integral_gap`'s network: phi'' is linear in t, so M is its size at an end."""
    cubic = Power(outputs, 0 * outputs[0, 0], 3)
    rooms = []
    for _, gates, r in remainders(cubic, p):
        own = (gates[..., None] * outputs).sum(axis=-2)
        rest = own.sum(axis=-2, keepdims=True) - own
        ends = [6 * (own * own * (rest + t * own)).sum(axis=-1) / outputs.shape[-1] for t in (0, 1)]
        rooms.append((np.maximum(abs(ends[0]), abs(ends[1])) / divisor - abs(r)).min())
    return min(rooms)


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """The bias is E[r (a - p)]; its square is at most max r^2 (1 - ||p_e||^2); in a quadratic network r = ||h||^2/D.

    And r = int t phi'' and |r| <= M/2 where the curvature varies: on the cubic network of the same outputs.
    """
    bias = exact.moments(METHODS["advantage"], problem, p).bias
    formula, largest = remainder(problem, p)
    identity = -abs(bias - formula).max()
    room = largest * largest * (1 - (p * p).sum(axis=-1)) - (bias * bias).sum(axis=-1)
    found = min(identity, room.min())
    if isinstance(problem, Quadratic):
        size = (problem.outputs * problem.outputs).sum(axis=-1) / problem.outputs.shape[-1]
        closed = p * (size - (p * size).sum(axis=-1, keepdims=True))
        integral, room = -integral_gap(problem.outputs, p, 1), curvature_room(problem.outputs, p, 2)
        found = min(found, -abs(bias - closed).max(), integral, room)
    return found


def _descends(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """<E[credit gradient], true gradient>: negative where the mean step climbs."""
    found = exact.moments(METHODS["advantage"], problem, p)
    return (found.mean * found.gradient).sum()


def _no_bias(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return -abs(exact.moments(METHODS["advantage"], problem, p).bias).max()


def _third(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return curvature_room(problem.outputs, p, 3) if isinstance(problem, Quadratic) else 0


def _without_t(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    return -integral_gap(problem.outputs, p, 0) if isinstance(problem, Quadratic) else 0


QUADRATIC = Domain("quadratic")


# o in {1, 2}, y = 8/5, in units of a fifth: outputs 5 and 10, target 8
FLIP = Case("quadratic", np.array([[5], [10], [8]]), np.array([[1, 1]]), Fraction(1), np.zeros((1, 2), dtype=int))


def symbolic() -> list[Any]:
    """Two binary edges, L = (sum h - y)^2: the mean of the shipped advantage is the gradient + p (h^2 - E h^2)."""
    mean, gradient, bias = symbolic_credit()
    return symbols.reduced(mean - gradient - bias)


def symbolic_credit() -> tuple[Any, Any, Any]:
    """(mean of the shipped advantage, gradient, bias by the formula), two binary edges, L = (sum h - y)^2; (2, 2)."""
    p, h, y = symbols.policy(2, 2), symbols.symbols("h", 2, 2), symbols.symbols("y")[()]
    mean: Any = 0
    gradient: Any = 0
    for _, probability, gates in symbols.architectures(p):
        miss = (gates * h).sum() - y
        mean = mean + probability * estimators.advantage(p, gates, 2 * miss * h)
        gradient = gradient + probability * miss**2 * (gates - p)
    return mean, gradient, estimators.softmax_pullback(p, h * h)


CLAIM = Claim(
    "T5",
    "the Taylor bias of first-order credit",
    "bias_ek = p_ek (E[r_e | a_ek = 1] - E[r_e]), r_e = credit_e - exact_e = int_0^1 t phi''(t) dt, and "
    "||bias_e|| <= max |r_e| sqrt(1 - ||p_e||^2) <= (M/2) sqrt(1 - ||p_e||^2) if |phi''| <= M",
    "any landscape; phi(t) the loss as edge e's gate goes from 0 to 1; M a bound on its curvature",
    "||bias_e|| <= (M/2) sqrt(1 - ||p_e||^2); for L = mean of D (sum h - y)^2: bias_e = E[(||h_e||^2 / D)(a_e - p_e)]",
    slack,
    (
        Control("first-order credit's mean step descends (the two-operation flip)", _descends, QUADRATIC, FLIP),
        Control("first-order credit is unbiased on quadratic networks", _no_bias, QUADRATIC),
        Control("r is int phi'' dt, without the factor t", _without_t, QUADRATIC),
        Control("|r_e| <= M / 3", _third, QUADRATIC),
    ),
    "E[advantage] - E[L (a - p)] = p (h^2 - E h^2) for L = (sum h - y)^2",
    symbolic,
    QUADRATIC,
)
