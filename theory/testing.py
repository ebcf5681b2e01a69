"""How do you test an estimator of your own? What this project's own tests are made of, with exact answers.

    assert_unbiased        its mean is the gradient of E[L], on every kind of loss or on one
    assert_bias            its bias on one landscape at one policy is exactly this
    assert_variance_below  it never has more total variance than another estimator
    assert_descends        its mean step never climbs
    landscapes, policies   Hypothesis strategies, in fractions, that shrink to small integers

An estimator must first of all be a function of its sample (`theory.verdict.impurities`). Then every statement is tried
on random cases in `Fraction` and compared with ``==``. What has no such sum is tried in floats: an estimator that is
not rational to rounding, a draw of your own or one with continuous noise by integration, to `ERRORS` standard errors. A
case that fails is made smaller until nothing can be left out; the message shows it as numbers and as Python to paste.
An estimator is a plain function whose parameters are named as what it needs (`nas.methods.method_of`), or a `Method`.
The strategies need `hypothesis`.

>>> def wrong(probabilities, gates, loss):
...     return loss[..., None, None] * gates
>>> assert_unbiased(wrong, "table")  # doctest: +ELLIPSIS
Traceback (most recent call last):
...
AssertionError: wrong is biased: ...
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.methods import Method, method_of
from theory import exact, outcomes, verdict
from theory.cases import Case, Domain, Kind, minimise, random_case
from theory.landscapes import Landscape

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "assert_bias",
    "assert_descends",
    "assert_unbiased",
    "assert_variance_below",
    "landscapes",
    "moments",
    "policies",
]

Estimator = Callable[..., Any] | Method
Range = tuple[int, int]

KINDS: tuple[Kind, ...] = ("additive", "table", "quadratic")  # from the tamest: the first that fails is shown
EDGES: Range = (1, 2)
CANDIDATES: Range = (2, 3)
CASES = 40
ERRORS = 8  # of an integral: 16 scramblings miss by more in less than one case of 100,000
POINTS = 1024  # of each; a probability is never resolved finer than by one of them, though all 16 may agree


def moments(estimator: Estimator, landscape: Landscape, probabilities: Any) -> exact.Moments:
    """Exact mean, bias and covariance of an estimator at probabilities (E, K); see `theory.exact.moments`."""
    return exact.moments(_method(estimator), landscape, probabilities)


# ------------------------------------------------------------------ what can be asserted


def assert_unbiased(
    estimator: Estimator,
    *kinds: Kind,
    edges: Range = EDGES,
    candidates: Range = CANDIDATES,
    cases: int = CASES,
    seed: int = 0,
) -> None:
    """The mean over all architectures is the gradient of E[L], p (q - J), on `cases` random cases of each kind.

    kinds: "additive", "table" (any loss of architectures and zeroed edges: affine in every gate), "quadratic" (curved);
    by default all three. Of a policy that is no softmax, the gradient is that with respect to its own logits.
    Raises: AssertionError with the smallest case found.
    """
    method = _function(estimator)

    def shown(case: Case) -> str | None:
        found = _found(method, case)
        if (abs(found.bias) <= _slack(found, found.error)).all():
            return None
        return f"{method.name} is biased: its mean is {_matrix(found.mean)}, the gradient {_matrix(found.gradient)}"

    _everywhere(shown, (method,), kinds or KINDS, edges, candidates, cases, seed)


def assert_bias(estimator: Estimator, landscape: Landscape, probabilities: Any, expected: Any) -> None:
    """mean - gradient at probabilities (E, K) is `expected` (E, K): exactly where landscape and policy are fractions.

    A draw of your own takes them in floats. Raises: AssertionError with both.
    """
    method = _function(estimator)
    found = exact.moments(method, landscape, probabilities)
    wanted = np.asarray(expected, dtype=object)
    slack = _slack(found, found.error)
    if found.bias.shape != wanted.shape or not (abs(found.bias - wanted) <= slack).all():
        raise AssertionError(f"the bias of {method.name} is {_matrix(found.bias)}, not {_matrix(wanted)}")


def assert_variance_below(
    estimator: Estimator,
    other: Estimator,
    *kinds: Kind,
    edges: Range = EDGES,
    candidates: Range = CANDIDATES,
    cases: int = CASES,
    seed: int = 0,
) -> None:
    """The trace of the covariance of one sample's gradient is never larger than the other's.

    Baselines stand at their expectations. Raises: AssertionError with the smallest case found.
    """
    method, rival = _function(estimator), _function(other)

    def shown(case: Case) -> str | None:
        both = [_found(one, case) for one in (method, rival)]
        own, least = (found.total_variance for found in both)
        if own <= least + sum(_slack(found, found.variance_error) for found in both):
            return None
        return f"{method.name} has more variance than {rival.name}: {_number(own)} against {_number(least)}"

    _everywhere(shown, (method, rival), kinds or KINDS, edges, candidates, cases, seed)


def assert_descends(
    estimator: Estimator,
    *kinds: Kind,
    edges: Range = EDGES,
    candidates: Range = CANDIDATES,
    cases: int = CASES,
    seed: int = 0,
) -> None:
    """The mean step goes down: <mean, gradient of E[L]> is positive wherever the gradient is not zero.

    Raises: AssertionError with the smallest case found.
    """
    method = _function(estimator)

    def shown(case: Case) -> str | None:
        found = _found(method, case)
        along = (found.mean * found.gradient).sum()
        nothing = _slack(found, 0)
        flat, still = ((abs(vector) <= nothing).all() for vector in (found.gradient, found.mean))
        if flat or (along + ERRORS * found.error * abs(found.gradient).sum() > 0 and not still):
            return None
        climbs = "climbs" if along < 0 and not still else "does not descend"
        return (
            f"the mean step of {method.name} {climbs}: <mean, gradient> = {along}, its mean is {_matrix(found.mean)}, "
            f"the gradient {_matrix(found.gradient)}"
        )

    _everywhere(shown, (method,), kinds or KINDS, edges, candidates, cases, seed)


# ------------------------------------------------------------------ strategies


def landscapes(kind: Kind = "table", edges: int = 2, candidates: int = 3) -> "SearchStrategy[Landscape]":
    """Landscapes of E edges and K candidates with small integer losses, as fractions."""
    from theory.properties import cases

    return cases(Domain(kind, (edges, edges), (candidates, candidates))).map(_problem)


def policies(edges: int = 2, candidates: int = 3) -> "SearchStrategy[Any]":
    """Probabilities (E, K) in fractions, some on and some near the boundary of the simplex."""
    from theory.properties import cases

    return cases(Domain("additive", (edges, edges), (candidates, candidates))).map(_policy)


# ------------------------------------------------------------------ helpers


def _found(method: Method, case: Case) -> exact.Moments:
    """The moments in fractions; in floats, where they are no sum of fractions."""
    if method.draw in outcomes.FINITE:
        try:
            return exact.moments(method, case.problem(True), case.policy(True))
        except (TypeError, ValueError):
            pass  # the estimator is not rational, or wrong in a way that floats show, too
    return exact.moments(method, case.problem(False), case.policy(False), points=POINTS)


def _slack(found: exact.Moments, error: float) -> float:
    """The largest difference that counts as none, beside a standard error: zero in fractions."""
    if isinstance(found.bias.ravel()[0], Fraction):
        return 0
    slack = verdict.rounding(float(abs(found.expected_loss)))
    if found.outcomes == outcomes.REPLICATES * POINTS:  # integrated
        slack += ERRORS * error + math.sqrt(max(0, found.total_variance)) / POINTS
    return slack


def _everywhere(
    shown: Callable[[Case], str | None],
    methods: Sequence[Method],
    kinds: tuple[Kind, ...],
    edges: Range,
    candidates: Range,
    cases: int,
    seed: int,
) -> None:
    """Raises: AssertionError with the smallest case of which `shown` says something.

    Where a method is integrated, cases are inside the simplex: on its boundary logits are infinite.
    """
    listed = all(method.draw in outcomes.FINITE for method in methods)
    rng = np.random.default_rng(seed)
    for kind in kinds:
        for _ in range(cases):
            case = random_case(rng, Domain(kind, edges, candidates))
            case = case if listed else replace(case, weights=np.clip(case.weights, 1, 9))
            if shown(case) is not None:
                small = minimise(case, lambda one: shown(one) is not None)
                raise AssertionError(f"{shown(small)}\n{_described(small)}\nagain: {small}")


def _described(case: Case) -> str:
    losses = np.asarray(case.losses)
    words = {
        "table": f"losses {losses.tolist()}, the last state of each edge being zeroed",
        "additive": f"the sum of each edge's losses {losses.tolist()}",
        "quadratic": f"mean of (sum of the edges' outputs - target)^2, outputs and, last, the target {losses.tolist()}",
    }
    return f"on {words[case.kind]}, at the policy {_matrix(case.policy(True))}"


def _matrix(values: Any) -> str:
    return "[" + ", ".join("[" + ", ".join(_number(value) for value in row) + "]" for row in values) + "]"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _function(estimator: Estimator) -> Method:
    """The method, if it is a function of its sample: of anything else moments say nothing. Raises: AssertionError."""
    method = _method(estimator)
    faults = verdict.impurities(method)
    if faults:
        raise AssertionError(f"{method.name} is no function of its sample: {'; '.join(faults)}")
    return method


def _method(estimator: Estimator) -> Method:
    return estimator if isinstance(estimator, Method) else method_of(estimator, _name(estimator))


def _name(estimator: Callable[..., Any]) -> str:
    return getattr(estimator, "__name__", type(estimator).__name__)


def _problem(case: Case) -> Landscape:
    return case.problem(True)


def _policy(case: Case) -> Any:
    return case.policy(True)
