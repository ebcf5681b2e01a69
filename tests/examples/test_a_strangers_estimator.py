"""A test file as you would write it for an estimator of your own: every statement is exact.

The estimator: the loss of this architecture against its mean over the edge's own alternatives, half of the way.
"""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings

from nas import estimators
from nas.methods import METHODS
from theory.testing import (
    assert_bias,
    assert_descends,
    assert_unbiased,
    assert_variance_below,
    landscapes,
    moments,
    policies,
)


def halfway(probabilities: Any, gates: Any, loss: Any, zeroed_loss: Any, alternative_losses: Any) -> Any:
    """(L - (L_zeroed + mean_k L_k) / 2)(a - p): both baselines are free of the edge's own operation."""
    mean = (probabilities * alternative_losses).sum(axis=-1)
    return estimators.credited(probabilities, gates, loss[..., None] - (zeroed_loss + mean) / 2)


def careless(probabilities: Any, gates: Any, loss: Any, zeroed_loss: Any) -> Any:
    """As above, but with a baseline of the edge's own gate."""
    return estimators.credited(probabilities, gates, loss[..., None] - zeroed_loss * gates[..., 0])


def test_halfway_is_unbiased_on_every_loss() -> None:
    assert_unbiased(halfway)


def test_halfways_mean_step_descends() -> None:
    assert_descends(halfway)


def test_marginalising_never_costs_variance() -> None:
    assert_variance_below(METHODS["marginalised"], METHODS["counterfactual"])


def test_the_careless_one_is_found_out_with_the_smallest_case() -> None:
    with pytest.raises(AssertionError, match=r"careless is biased: its mean is .*, the gradient") as caught:
        assert_unbiased(careless)
    assert "again: Case('additive'" in str(caught.value) or "again: Case('table'" in str(caught.value)


def test_first_order_credit_is_unbiased_on_tables_and_off_by_the_outputs_square_beyond() -> None:
    """(h - 2)^2 with h = 1 or 3, p = 1/2: credits -2 and 6, exact advantages -3 and -3: bias p_k (r_k - mean r)."""
    from theory.cases import Case

    case = Case("quadratic", [[1], [3], [2]], [[1, 1]], Fraction(1), [[0, 0]])
    assert_unbiased(METHODS["advantage"], "additive", "table")
    assert_bias(METHODS["advantage"], case.problem(True), case.policy(True), [[-2, 2]])


@given(landscape=landscapes("table", 2, 2), policy=policies(2, 2))
@settings(max_examples=20, deadline=None)
def test_halfways_variance_is_between_its_neighbours_on_the_whole(landscape: Any, policy: Any) -> None:
    """Its credit is the mean of two, so its variance is at most the mean of theirs (convexity of the square)."""
    own, left, right = (
        moments(m, landscape, policy).total_variance
        for m in (halfway, METHODS["exact_advantage"], METHODS["counterfactual"])
    )
    assert own <= (left + right) / 2
