"""How many samples make a step improve: the bound holds exactly, and its control without the bias does not."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.methods import METHODS
from theory import exact, sampled
from theory.claims.t5_taylor_bias import FLIP
from theory.landscapes import make


@given(
    seed=st.integers(0, 10_000),
    name=st.sampled_from(["reinforce", "exact_advantage", "advantage", "counterfactual", "marginalised"]),
    samples=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_bound_holds(seed: int, name: str, samples: int) -> None:
    rng = np.random.default_rng(seed)
    land, p = make("quadratic", 2, 2, seed), rng.dirichlet(np.ones(2), 2)
    found = exact.moments(METHODS[name], land, p)
    assert sampled.failure_probability(METHODS[name], land, p, samples) <= sampled.failure_bound(found, samples) + 1e-12


def test_the_bound_is_not_idle() -> None:
    land, p = make("quadratic", 2, 2, seed=4), np.array([[0.6, 0.4], [0.3, 0.7]])
    found = exact.moments(METHODS["marginalised"], land, p)
    needed = math.ceil(sampled.samples_for_full_step(found, 0.2))
    assert needed <= 16
    assert sampled.failure_probability(METHODS["marginalised"], land, p, needed) <= 0.2


def test_control_a_bound_that_forgets_the_bias_fails_on_the_flip() -> None:
    """T5's flip: forgetting the bias promises improvement with 19 in 20 of 128-sample steps; credit never improves."""
    land, p = FLIP.problem(False), FLIP.policy(False)
    found = exact.moments(METHODS["advantage"], land, p)
    samples = 128
    forgetful = sampled.failure_bound(dataclasses.replace(found, mean=found.gradient), samples)
    failed = sampled.failure_probability(METHODS["advantage"], land, p, samples)
    assert forgetful < 0.05 < failed
    assert failed == pytest.approx(1)
    assert sampled.failure_bound(found, samples) == 1
    assert math.isinf(sampled.samples_for_full_step(found, 0.05))


def test_failure_by_hand() -> None:
    """One sample, one edge, L = (0, 1), J = 1/2: REINFORCE steps to the better operation whatever was drawn."""
    land, p = make("xor", 1, 2), np.full((1, 2), 0.5)
    assert sampled.failure_probability(METHODS["reinforce"], land, p, 1) == 0


def test_refusals() -> None:
    land, p = make("quadratic", 2, 2), np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match="500 samples of 4 architectures are"):
        sampled.failure_probability(METHODS["reinforce"], land, p, 500)
    with pytest.raises(ValueError, match="does not draw one architecture a step"):
        sampled.failure_probability(METHODS["debiased_advantage"], land, p, 1)
