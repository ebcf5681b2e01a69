"""T13: what do sampled steps promise? Descent on average, down to a level that the variance sets; then, stationarity.

Let J be C-smooth (T8) and g one sample's gradient, with mean m = grad J + b and total variance V. Then

    E J(theta - n g) <= J - n <grad J, m> + (C/2) n^2 (||m||^2 + V),                                          (1)

because E||g||^2 = ||m||^2 + V. For an unbiased g the right side is J - n (1 - C n / 2) ||grad J||^2 + (C/2) n^2 V:
the longest step that descends on average is 2 ||grad J||^2 / (C (||grad J||^2 + V)), half of it is the best one, and a
fixed n < 2 / C is promised nothing once ||grad J||^2 <= C n V / (2 - C n). For n <= 1 / C and any bias, (1) gives
J - (n/2) ||grad J||^2 + (n/2) ||b||^2 + (C/2) n^2 V, which is T10 plus the noise.

Summed over steps n_t (they may depend on t, not on the future), (1) telescopes: for an unbiased g

    sum_t n_t (1 - C n_t / 2) E||grad J(theta_t)||^2 <= J_0 - min L + (C/2) sum_t n_t^2 E V_t.               (2)

V is bounded whatever the policy: E Delta^2 / 2 for REINFORCE with baseline J (E edges; Popoviciu's inequality, and
||a_e - p_e||^2 <= 2). So with sum n_t^2 finite and sum n_t infinite (Robbins & Monro 1951) lim inf E||grad J||^2 = 0:
stationary, not optimal, and every vertex of the simplex is stationary. (1) and (2) are the usual analysis of
stochastic gradient descent (Bottou, Curtis & Nocedal 2018, section 4); the constants C and V are what is said here.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from nas import estimators, objective
from nas.methods import METHODS
from nas.optimisers import sgd
from theory import exact, symbols
from theory.cases import Case, Domain
from theory.claim import Checker, Claim, Control, named
from theory.claims.t5_taylor_bias import FLIP, QUADRATIC
from theory.claims.t8_logit_step import smoothness, stated
from theory.exact import Moments
from theory.landscapes import Landscape
from theory.quantities import expected_loss, exponential_step, rational_step

UNBIASED = ("reinforce", "exact_advantage", "debiased_advantage")
TRIED = (*UNBIASED, "advantage")
NEAR = 1e-5  # how far an exact step may lie from the one that is named: rounding to 22 binary digits, and no more


def average_decrease(found: Moments, smoothness: Any, rate: Any) -> Any:
    """A lower bound on J - E J' after one step of the logits at this rate (T13). Negative where nothing is promised."""
    return rate * _along(found) - smoothness / 2 * rate * rate * _square(found)


def longest_average_step(found: Moments, smoothness: Any) -> Any:
    """The longest step that T13 promises not to raise J on average; half of it has the largest promise. 0 if none."""
    along = _along(found)
    return 2 * along / (smoothness * _square(found)) if along > 0 else 0 * along


def resting_level(found: Moments, smoothness: Any, rate: Any) -> Any:
    """||grad J||^2 below which an unbiased step of fixed rate < 2 / C is promised nothing: C rate V / (2 - C rate)."""
    return smoothness * rate * found.total_variance / (2 - smoothness * rate)


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """The smallest room, in units of max L - min L, in (1), (2), V's closed forms and the bound on REINFORCE's V."""
    spread = problem.max_loss - problem.min_loss
    if spread <= 0:
        return spread
    c = smoothness(spread, problem.edges)
    rooms = [] if p.dtype == object else [two_steps(problem, p, share)]
    for name in TRIED:
        found = exact.moments(METHODS[name], problem, p)
        longest = longest_average_step(found, c)
        rate = share * (longest or 1 / c)
        rooms += [average_room(name, problem, found, rate), the_named_rate(name, problem, found, share, rate)]
        rooms.append(-abs(found.total_variance - closed_variance(name, problem, found)) / spread)
        if name == "reinforce":
            rooms.append(variance_room(found, spread) / spread)
    return min(rooms) / spread


def variance_room(found: Moments, spread: Any) -> Any:
    """What is left of E Delta^2 / 2, the most that the total variance of REINFORCE with baseline J can be."""
    return len(found.mean) * spread * spread / 2 - found.total_variance


def the_named_rate(name: str, problem: Landscape, found: Moments, share: Any, rate: Any) -> Any:
    """`named`: the rate times C E||g||^2 is `share` of 2 <grad J, m>, or the rate share / C where that is not positive.

    E||g||^2 is summed here over what a step draws, and C is the statement's.
    """
    spread = problem.max_loss - problem.min_loss
    c = spread * (stated(problem.edges) if found.mean.dtype == object else float(stated(problem.edges)))
    along, square = (found.gradient * found.mean).sum() / spread**2, 0 * spread
    if not along > 0:
        return named(rate * c, share)
    for weights, gradients in exact.weighted_gradients(METHODS[name], problem, found.probabilities):
        square = square + (weights * (gradients * gradients).sum(axis=(1, 2))).sum() / spread**2
    return named(rate * c * square, 2 * share * along)


def average_room(name: str, problem: Landscape, found: Moments, rate: Any, promised: Any = None) -> Any:
    """Promised bound on E J' minus E J', one step of `rate` along one sample's gradient; exact where p is.

    promised: what J - E J' should at least be, by default T13's. A step that is not the one named is a violation; on
    `Fraction` each sample's step is the nearest with a rational p', and (1) is taken for these steps themselves.
    """
    c = smoothness(problem.max_loss - problem.min_loss, problem.edges)
    after: Any = 0
    bound: Any = 0
    astray: Any = 0
    length: Any = math.inf
    p = found.probabilities
    for weights, gradients in exact.weighted_gradients(METHODS[name], problem, p):
        for weight, gradient in zip(weights, gradients, strict=True):
            if p.dtype != object:
                moved = exponential_step(p, gradient, rate)
                length = min(length, named(moved, _tilted(p, rate * gradient)))
                after = after + weight * expected_loss(problem, moved)
                continue
            step = rational_step(p, rate * gradient)
            after = after + weight * expected_loss(problem, step.moved)
            bound = bound + weight * _least(found.gradient, step.low, step.high, c)
            astray = max(astray, abs(step.low - rate * gradient).max())
    if promised is None:
        promised = average_decrease(found, c, rate) if p.dtype != object else -bound
    return min(found.expected_loss - promised - after, length) if astray < NEAR else -astray


def _tilted(p: Any, step: Any) -> Any:
    """p exp(-step) with rows that sum to one: the policy after a step of the logits, written out."""
    weights = p * np.exp(-step - (-step).max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _least(gradient: Any, low: Any, high: Any, c: Any) -> Any:
    """A lower bound of -<gradient, v> + (c/2) ||v||^2 over low <= v <= high."""
    along = np.where(gradient > 0, gradient * high, gradient * low).sum()
    nearest = np.where(low > 0, low, np.where(high < 0, high, 0 * low))
    return c / 2 * (nearest * nearest).sum() - along


def closed_variance(name: str, problem: Landscape, found: Moments) -> Any:
    """V = sum_e E[credit_e^2 w_e] - ||m||^2, w_e = ||a_e - p_e||^2; debiased credit's square is in `_square_of`."""
    p, total = found.probabilities, 0
    for weight, gates, loss in exact.weighted_losses(problem, p):
        w = ((gates - p) ** 2).sum(axis=-1)
        credit = estimators.first_order_credit(gates, problem.gradients(gates, gates).gate_gradient)
        worth = loss[:, None] - objective.zeroed_losses(problem, gates)
        squares = SQUARES[name](loss[:, None] - found.expected_loss, worth, credit, problem.edges)
        total = total + (weight[:, None] * w * squares).sum()
    return total - (found.mean * found.mean).sum()


SQUARES: dict[str, Callable[[Any, Any, Any, int], Any]] = {
    "reinforce": lambda centred, worth, credit, edges: centred**2 + 0 * worth,
    "exact_advantage": lambda centred, worth, credit, edges: worth**2,
    "debiased_advantage": lambda centred, worth, credit, edges: worth**2 + (edges - 1) * (worth - credit) ** 2,
    "advantage": lambda centred, worth, credit, edges: credit**2,
}


def two_steps(problem: Landscape, p: Any, share: Any, name: str = "exact_advantage") -> Any:
    """The room in (2), with E J_2 for min L, over steps share / C and share / 2 C, summing over both samples."""
    spread = problem.max_loss - problem.min_loss
    c = smoothness(spread, problem.edges)
    room: Any = expected_loss(problem, p)
    length: Any = math.inf
    states = [(1.0, p)]
    for t in range(2):
        after = []
        for chance, q in states:
            found, n = exact.moments(METHODS[name], problem, q), share / c / (t + 1)
            square = (found.gradient * found.gradient).sum()
            room = room + chance * (c / 2 * n * n * found.total_variance - n * (1 - c * n / 2) * square)
            for weights, gradients in exact.weighted_gradients(METHODS[name], problem, q):
                for weight, gradient in zip(weights, gradients, strict=True):
                    moved = exponential_step(q, gradient, n)
                    wanted = share * gradient / (float(stated(problem.edges)) * spread * (t + 1))
                    length = min(length, named(moved, _tilted(q, wanted)))
                    after.append((chance * weight, moved))
        states = after
    return min(room - sum(chance * expected_loss(problem, q) for chance, q in states), length)


def _along(found: Moments) -> Any:
    return (found.gradient * found.mean).sum()


def _square(found: Moments) -> Any:
    """E||g||^2."""
    return (found.mean * found.mean).sum() + found.total_variance


# ------------------------------------------------------------------ controls


def _average(name: str, rate: Callable[[Moments, Any], Any], promised: Callable[[Moments, Any, Any], Any]) -> Checker:
    """A control: the average decrease after a step of `rate` is at least `promised`."""

    def checker(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
        spread = problem.max_loss - problem.min_loss
        if spread <= 0:
            return spread
        c = smoothness(spread, problem.edges)
        found = exact.moments(METHODS[name], problem, p)
        n = rate(found, c)
        return average_room(name, problem, found, n, promised(found, c, n)) / spread

    return checker


def _unmoved(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """-(what the best step is promised): the room of a step that does nothing."""
    spread = problem.max_loss - problem.min_loss
    if spread <= 0:
        return spread
    c = smoothness(spread, problem.edges)
    found = exact.moments(METHODS["reinforce"], problem, p)
    return -average_decrease(found, c, longest_average_step(found, c) / 2) / spread


def symbolic() -> list[Any]:
    """(1) for sgd's step along the shipped credit, one edge; its other forms, its maximum, its zero, the level."""
    p, h, logits = symbols.policy(1, 2), symbols.symbols("h", 1, 2), symbols.symbols("t", 1, 2)
    y = symbols.symbols("y")[()]
    n, c, v, s = sympy.symbols("n C V s", positive=True)
    samples = [
        (q, estimators.advantage(p, gates, 2 * ((gates * h).sum() - y) * h)) for _, q, gates in symbols.architectures(p)
    ]
    mean = sum(q * g for q, g in samples)
    gradient = symbols.symbols("g", 1, 2)  # what holds for any gradient holds for that of the loss
    bias, square = mean - gradient, (gradient * gradient).sum()
    variance = sum(q * ((g - mean) ** 2).sum() for q, g in samples)
    steps = [(q, sgd().update(logits, g, {}, n, 1)[0] - logits) for q, g in samples]
    bound = sum(q * ((gradient * step).sum() + c / 2 * (step * step).sum()) for q, step in steps)
    claimed = -n * (gradient * mean).sum() + c / 2 * n**2 * ((mean * mean).sum() + variance)
    biased = (
        n / 2 * ((bias * bias).sum() - square) - n / 2 * (1 - c * n) * (mean * mean).sum() + c / 2 * n**2 * variance
    )
    unbiased = -n * s + c / 2 * n**2 * (s + v)
    best = s / (c * (s + v))
    return symbols.reduced(
        [
            bound - claimed,
            claimed - biased,
            unbiased - (-n * (1 - c * n / 2) * s + c / 2 * n**2 * v),
            sympy.diff(unbiased, n).subs(n, best),
            unbiased.subs(n, 2 * best),
            unbiased.subs(s, c * n * v / (2 - c * n)),
        ]
    )


def _even(losses: Any) -> Case:
    edges = np.ndim(losses)
    return Case("table", losses, np.ones((edges, 2), dtype=int), Fraction(1), np.zeros((edges, 2), dtype=int))


BINARY = _even(np.array([0, 1, 0]))
TWO_EDGES = _even(np.array([[0, 1, 0], [1, -1, 0], [0, 0, 0]]))
AT_REST = _even(np.array([[[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0] * 3] * 3]))


CLAIM = Claim(
    "T13",
    "sampled steps descend on average",
    "E J(theta - n g) <= J - n <grad J, m> + (C/2) n^2 (||m||^2 + V) for a gradient g of mean m, total variance V, so "
    "sum_t n_t (1 - C n_t / 2) E||grad J_t||^2 <= J_0 - min L + (C/2) sum_t n_t^2 E V_t where m = grad J; V = sum_e "
    "E[credit_e^2 ||a_e - p_e||^2] - ||m||^2, at most E Delta^2 / 2 for REINFORCE with baseline J",
    "C the smoothness constant of T8; any estimator with finitely many outcomes; n_t fixed beforehand",
    "longest step that descends on average 2 <grad J, m> / (C (||m||^2 + V)), best half of it; a fixed step rests at "
    "||grad J||^2 <= C n V / (2 - C n)",
    slack,
    (
        Control(
            "one sample's step of 1 / C, good for the mean gradient (T8), does not raise J on average either",
            _average("reinforce", lambda found, c: 1 / c, lambda found, c, n: 0 * n),
            example=AT_REST,
        ),
        Control(
            "the decrease is n (1 - C n / 2) ||grad J||^2 at the longest step, the variance aside",
            _average(
                "exact_advantage",
                longest_average_step,
                lambda found, c, n: n * (1 - c * n / 2) * (found.gradient * found.gradient).sum(),
            ),
            example=BINARY,
        ),
        Control(
            "biased credit descends as if it had no bias",
            _average(
                "advantage",
                lambda found, c: 1 / (4 * c),
                lambda found, c, n: (
                    n * (1 - c * n / 2) * (found.gradient * found.gradient).sum() - c / 2 * n * n * found.total_variance
                ),
            ),
            QUADRATIC,
            FLIP,
        ),
        Control(
            "ten times the longest step still descends on average",
            _average("reinforce", lambda found, c: 10 * longest_average_step(found, c), lambda found, c, n: 0 * n),
            example=TWO_EDGES,
        ),
        Control("a step that does nothing keeps the promise of the best one", _unmoved, example=BINARY),
    ),
    "-n <grad J, m> + (C/2) n^2 (||m||^2 + V) is the mean of <grad J, v> + (C/2) ||v||^2 for sgd's step v along the "
    "shipped credit; its unbiased and its T10 form, its maximum, its zero and the level",
    symbolic,
    QUADRATIC,
    exact_domain=Domain("quadratic", edges=(1, 2)),
)
