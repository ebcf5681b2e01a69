"""A test file as you would write it for a draw of your own: its law, its bias, its descent.

The draws are those of examples/own_draw.py. What they draw cannot be listed, so their means are integrated.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from examples.own_draw import FLOOR, floored, leave_one_out, mixed
from nas.methods import METHODS
from theory.testing import assert_descends, assert_unbiased, assert_variance_below

EVEN = (np.arange(10_000) + 0.5) / 10_000  # uniforms of a single edge


def forgetful(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
    """The score of a softmax, which this policy is not."""
    return (loss - baseline)[..., None, None] * (gates - probabilities)


def including_itself(probabilities: Any, gates: Any, loss: Any) -> Any:
    """Leave one out that leaves none out: the baseline is the mean of all four samples."""
    credit = (loss - loss.mean(axis=-1, keepdims=True)) / loss.shape[-1]
    return (credit[..., None, None] * (gates - probabilities[..., None, :, :])).sum(axis=-3)


def raw_score(probabilities: Any, gates: Any, loss: Any) -> Any:
    return loss[..., None, None] * (gates - probabilities)


def test_it_draws_as_often_as_its_policy_says_and_never_forgets_an_operation() -> None:
    logits = np.array([[-50.0, 0.0, 1.0]])
    drawn = floored.draw.sample(np.broadcast_to(logits, (10_000, 1, 3)), EVEN[:, None], None)
    np.testing.assert_allclose(drawn.gates.mean(axis=0), mixed(logits), rtol=0, atol=1e-4)
    assert mixed(logits).min() == pytest.approx(FLOOR / 3)


def test_the_floored_score_is_unbiased_and_descends() -> None:
    assert_unbiased(floored, cases=3)
    assert_descends(floored, cases=3)


def test_a_score_that_forgets_the_policy_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"forgetful is biased: its mean is .*, the gradient"):
        assert_unbiased(replace(floored, name="forgetful", estimator=forgetful), "table", cases=3)


def test_four_samples_that_judge_each_other() -> None:
    assert_unbiased(leave_one_out, cases=3)
    with pytest.raises(AssertionError, match="including_itself is biased"):
        assert_unbiased(replace(leave_one_out, name="including_itself", estimator=including_itself), "table", cases=3)


def test_four_samples_vary_less_than_one_without_a_baseline() -> None:
    raw = replace(METHODS["reinforce"], name="raw", estimator=raw_score, baseline=None)
    assert_variance_below(leave_one_out, raw, "table", cases=3)
    with pytest.raises(AssertionError, match="raw has more variance than leave_one_out"):
        assert_variance_below(raw, leave_one_out, "table", cases=3)
