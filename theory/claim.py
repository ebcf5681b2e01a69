"""What is a claim? One statement with its conditions, a checker for any landscape and policy, and controls that fail.

The checker returns the *slack*: how far the statement is from being violated, so that it holds where the slack is not
negative. For an identity that is minus the largest difference. On `Fraction` it is exact; on floats, anything above
-`TOLERANCE` counts as rounding.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.cases import Case, Domain
from theory.landscapes import Landscape

TOLERANCE = 1e-9
ANYWHERE = Domain()

Checker = Callable[[Landscape, Any, Any, Any], Any]  # (problem, probabilities, share, direction) -> slack


@dataclass(frozen=True)
class Control:
    """A statement that is false because a condition is violated: the search must find a counterexample.

    example: a case known to violate it, tried before the search; exact: whether counterexamples are checked in
    `Fraction` (False where the statement needs exponentials). With `exists` the false statement is that some case has
    positive slack, and the control is caught if the search finds none.
    """

    name: str
    slack: Checker
    domain: Domain = ANYWHERE
    example: Case | None = None
    exact: bool = True
    exists: bool = False


@dataclass(frozen=True)
class Claim:
    """id, statement, conditions and constant in words and symbols; derivation: what `symbolic` derives with SymPy.

    symbolic() returns expressions that must all be zero. slack is the checker, `exact_slack` its rational form where
    the statement itself needs exponentials or logarithms (default: the same). exists: the statement says that some case
    has positive slack, not that all have.

    >>> from theory.claims import CLAIMS
    >>> claim: Claim = CLAIMS["T2"]
    >>> all(expression == 0 for expression in claim.symbolic())  # derived with SymPy
    True
    """

    id: str
    title: str
    statement: str
    conditions: str
    constant: str
    slack: Checker
    controls: tuple[Control, ...]
    derivation: str
    symbolic: Callable[[], list[Any]]
    domain: Domain = ANYWHERE
    exact_slack: Checker | None = None
    exact_domain: Domain | None = None
    exists: bool = False


def named(found: Any, expected: Any) -> Any:
    """Infinite if the step a checker tried is the step its claim names, else minus the largest difference.

    A checker takes the minimum with its slack: a step of another length violates the claim, a step of none included,
    of which most inequalities would be true. Numbers without a unit; in floats up to `TOLERANCE`.
    """
    difference = abs(np.atleast_1d(np.asarray(found - expected)))
    largest = difference.max()
    return math.inf if largest <= (0 if difference.dtype == object else TOLERANCE) else -largest


def try_case(slack: Checker, case: Case, exact: bool) -> Any:
    """Slack of one case."""
    share = case.share if exact else float(case.share)
    return slack(case.problem(exact), case.policy(exact), share, case.vector(exact))


def holds(slack: Any, exact: bool) -> bool:
    """Whether a slack counts as not negative. A nan does not."""
    return bool(slack >= (0 if exact else -TOLERANCE))
