"""Do the assertions for users hold what is true, refuse what is false, and show the smallest case of it?"""

import re
from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from nas import estimators, policy
from nas.methods import METHODS, Method
from nas.samples import Draw, Sample, edge_noise
from theory.cases import Case
from theory.claims.t5_taylor_bias import FLIP
from theory.testing import (
    POINTS,
    assert_bias,
    assert_descends,
    assert_unbiased,
    assert_variance_below,
    landscapes,
    moments,
    policies,
)


def half(probabilities: Any, gates: Any, loss: Any) -> Any:
    return loss[..., None, None] * (gates - probabilities) / 2


def turned(probabilities: Any, gates: Any, loss: Any) -> Any:
    return -1 * loss[..., None, None] * (gates - probabilities)


def nothing(probabilities: Any, gates: Any, loss: Any) -> Any:
    return 0 * loss[..., None, None] * gates


def averaging(probabilities: Any, gates: Any, loss: Any) -> Any:
    return (loss - np.mean(loss))[..., None, None] * (gates - probabilities)


UNBIASED = ("reinforce", "exact_advantage", "counterfactual", "marginalised", "debiased_advantage", "muprop")


@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_estimators_pass(name: str) -> None:
    assert_unbiased(METHODS[name], cases=10)


def test_credit_passes_where_the_loss_is_affine_and_not_beyond() -> None:
    assert_unbiased(estimators.advantage, "additive", "table")
    with pytest.raises(AssertionError, match="advantage is biased"):
        assert_unbiased(estimators.advantage)


def again(message: str) -> Case:
    """The case that a message prints as Python."""
    found: Case = eval(message.split("again: ")[1], {"Case": Case, "np": np, "Fraction": F})
    return found


def test_the_counterexample_is_the_smallest_and_can_be_pasted() -> None:
    """One edge, two operations, one loss of 1: nothing can be left out; mean and gradient are shown as fractions."""
    with pytest.raises(AssertionError) as caught:
        assert_unbiased(half, "table")
    message = str(caught.value)
    small = again(message)
    assert np.shape(small.weights) == (1, 2)
    assert sorted(np.abs(small.losses).tolist()) == [0, 0, 1]
    found = moments(half, small.problem(True), small.policy(True))
    assert f"its mean is [[{found.mean[0, 0]}, {found.mean[0, 1]}]]" in message
    assert re.search(r"at the policy \[\[1/2, 1/2\]\]", message)
    assert abs(found.gradient[0, 0]) == F(1, 4)


@pytest.mark.parametrize(
    "check",
    [
        lambda: assert_unbiased(averaging),
        lambda: assert_descends(averaging),
        lambda: assert_variance_below(averaging, METHODS["reinforce"]),
        lambda: assert_variance_below(METHODS["marginalised"], averaging),
        lambda: assert_bias(averaging, FLIP.problem(True), FLIP.policy(True), [[0, 0]]),
    ],
    ids=["unbiased", "descends", "variance of one", "variance of the other", "bias"],
)
def test_what_is_no_function_is_refused_before_anything_is_summed(check: Callable[[], None]) -> None:
    """All architectures are one batch here, so the moments of what mixes a batch would be made up."""
    with pytest.raises(AssertionError, match="averaging is no function of its sample: a batch is not its rows"):
        check()


# ------------------------------------------------------------------ where there is no sum in fractions


def rooted(probabilities: Any, gates: Any, loss: Any) -> Any:
    """Unbiased, and not rational: the loss as the logarithm of its exponential."""
    return np.log(np.exp(loss))[..., None, None] * (gates - probabilities)


def a_little_too_long(probabilities: Any, gates: Any, loss: Any) -> Any:
    return (1 + 1e-6) * rooted(probabilities, gates, loss)


def test_what_is_not_rational_is_held_to_rounding() -> None:
    assert_unbiased(rooted, cases=10)
    assert_descends(rooted, cases=10)
    with pytest.raises(AssertionError, match="a_little_too_long is biased"):
        assert_unbiased(a_little_too_long, cases=10)
    with pytest.raises(AssertionError, match="parsec is biased"):
        assert_unbiased(METHODS["parsec"], "additive", cases=3)


def mixed(logits: Any) -> Any:
    return 0.9 * policy.softmax(logits) + 0.1 / logits.shape[-1]


def one(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    gates = policy.draw(mixed(logits), uniforms)
    return Sample(mixed(logits), gates, gates)


def score(probabilities: Any, gates: Any, loss: Any) -> Any:
    softmax = (probabilities - 0.1 / gates.shape[-1]) / 0.9
    chosen = 0.9 * (gates * softmax / probabilities).sum(axis=-1)
    return (loss[..., None] * chosen)[..., None] * (gates - softmax)


def forgetful(probabilities: Any, gates: Any, loss: Any) -> Any:
    """The score of a softmax, which this policy is not."""
    return loss[..., None, None] * (gates - probabilities)


OWN = Draw(one, edge_noise, mixed)
FLOORED = Method("floored", "Floored", score, OWN)
FORGETFUL = Method("forgetful", "Forgetful", forgetful, OWN)
CLIMBING = Method("climbing", "Climbing", turned, OWN)
TWICE = Method("twice", "Twice", lambda probabilities, gates, loss: 2 * score(probabilities, gates, loss), OWN)
STILL = Method("still", "Still", nothing, OWN)


def test_a_draw_of_ones_own_is_integrated_against_the_gradient_of_its_own_policy() -> None:
    assert_unbiased(FLOORED, cases=8)
    with pytest.raises(AssertionError, match="forgetful is biased") as caught:
        assert_unbiased(FORGETFUL, "additive", cases=2)
    small = again(str(caught.value))
    assert np.shape(small.weights) == (1, 2)
    assert sorted(np.abs(small.losses).ravel().tolist()) == [0, 1]


def test_one_point_of_an_integral_is_no_bias() -> None:
    """All 16 scramblings count as many of 1,024 points below 0.9 x 6/11 + 0.05, and miss by less than one."""
    case = Case("quadratic", np.array([[0], [-1], [0]]), np.array([[6, 5]]), F(1), np.array([[0, 0]]))
    found = moments(FLOORED, case.problem(False), case.policy(False))
    assert 0 < abs(found.bias).max() < np.sqrt(found.total_variance) / POINTS
    assert found.error < 1e-15
    assert_bias(FLOORED, case.problem(False), case.policy(False), [[0, 0]])
    with pytest.raises(AssertionError, match="the bias of twice is"):
        assert_bias(TWICE, case.problem(False), case.policy(False), [[0, 0]])


def test_descent_and_variance_of_a_draw_of_ones_own() -> None:
    assert_descends(FLOORED, "additive", "table", cases=3)
    with pytest.raises(AssertionError, match="the mean step of climbing climbs"):
        assert_descends(CLIMBING, "additive", cases=2)
    for seed in range(6):  # its mean is zero to rounding, of either sign
        with pytest.raises(AssertionError, match="the mean step of still does not descend"):
            assert_descends(STILL, "additive", cases=1, seed=seed)
    assert_variance_below(FLOORED, FLOORED, "table", cases=3)
    assert_variance_below(FLOORED, TWICE, "table", cases=3)
    with pytest.raises(AssertionError, match="twice has more variance than floored"):
        assert_variance_below(TWICE, FLOORED, "additive", cases=2)


# ------------------------------------------------------------------ bias, variance, descent


def test_the_flips_bias_by_hand() -> None:
    """T5: r = h^2 = (25, 100) in the case's units, p = 1/2: 1/2 (25 - 62.5) = -75/4."""
    land, p = FLIP.problem(True), FLIP.policy(True)
    assert_bias(estimators.advantage, land, p, [[F(-75, 4), F(75, 4)]])
    with pytest.raises(AssertionError, match=r"the bias of advantage is \[\[-75/4, 75/4\]\], not \[\[0, 0\]\]"):
        assert_bias(estimators.advantage, land, p, [[0, 0]])


def test_variance_below() -> None:
    assert_variance_below(METHODS["marginalised"], METHODS["counterfactual"])
    assert_variance_below(METHODS["reinforce"], METHODS["reinforce"])  # not larger, so an equal one passes
    with pytest.raises(AssertionError, match=r"counterfactual has more variance than marginalised: .* against"):
        assert_variance_below(METHODS["counterfactual"], METHODS["marginalised"])
    with pytest.raises(AssertionError, match="exact_advantage has more variance than reinforce"):
        assert_variance_below(METHODS["exact_advantage"], METHODS["reinforce"], "additive")


def test_descends() -> None:
    assert_descends(half)  # biased, and still downhill
    with pytest.raises(AssertionError, match="the mean step of turned climbs: <mean, gradient> = -"):
        assert_descends(turned)
    with pytest.raises(AssertionError, match="the mean step of nothing does not descend"):
        assert_descends(nothing)
    assert_descends(estimators.advantage, "additive", "table")
    with pytest.raises(AssertionError, match="advantage climbs") as caught:
        assert_descends(estimators.advantage, "quadratic", edges=(1, 1), candidates=(2, 2), cases=200)
    assert np.shape(again(str(caught.value)).weights) == (1, 2)


# ------------------------------------------------------------------ strategies


@given(landscape=landscapes("quadratic", 2, 3), policy=policies(2, 3))
@settings(max_examples=10, deadline=None)
def test_strategies_are_exact_and_of_the_size_asked_for(landscape: Any, policy: Any) -> None:
    assert (landscape.edges, landscape.candidates, landscape.exact) == (2, 3, True)
    assert policy.shape == (2, 3)
    assert (policy.sum(axis=-1) == 1).all()
    assert all(isinstance(value, F) for value in policy.ravel())
    assert (moments(METHODS["exact_advantage"], landscape, policy).bias == 0).all()
