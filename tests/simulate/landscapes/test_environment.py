"""Noise and state: what a minibatch and a visit change, and that J and its gradient are those of the moment."""

from typing import Any

import numpy as np
import pytest
import torch

from nas.policy import softmax
from simulate.landscapes import Environment, make
from simulate.landscapes.environment import Drifting, Noisy
from theory.landscapes import Bilinear, Enumerated
from theory.landscapes import make as make_still

RANDOM = np.random.default_rng(0)
VISITS = {"visits": np.array([[[50.0, 0.0, 2.0], [1.0, 9.0, 30.0]]])}


def test_noise_has_mean_zero_in_rank_and_disturbs_each_operation() -> None:
    landscape = make("noisy", 2, 3, size=1.0)
    noise = RANDOM.random((4000, landscape.noise))
    hot = np.broadcast_to(np.eye(3)[[0, 1]], (4000, 2, 3))
    difference = np.asarray(landscape.minibatch({}, noise).loss(hot)) - landscape.landscape.loss(hot)
    # A fair sign, to five standard deviations of 4,000 tosses.
    assert abs((difference > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    assert np.abs(difference).max() > 20


def test_noise_by_hand() -> None:
    """Student's t with 2 degrees of freedom: F(sqrt(2/3)) = 3/4. Uniforms 0 and 1 - 2^-24 are kept off 0 and 1.

    At x = 2^-24 the quantile is (2 x - 1) / sqrt(2 x) = -2^(23/2), at x = 1 - 2^-23 it is 2^11, but for one part in a
    million.
    """
    land = make_still("additive", 1, 2)
    noisy: Any = Noisy(land, size=3.0)
    assert noisy.noise == 2
    gates, rest = np.eye(2)[[[0], [1], [0]]], np.full((3, 2), 0.5)
    rest[0, 0], rest[1, 1], rest[2, 0] = 0.75, 0.0, 1 - 2.0**-24
    met = noisy.minibatch({}, rest)
    expected = 3 * np.array([(2 / 3) ** 0.5, -(2**11.5), 2.0**11])
    np.testing.assert_allclose(met.loss(gates) - land.loss(gates), expected, rtol=1e-6)
    slopes = (
        met.gradients(gates, np.ones_like(gates)).gate_gradient - land.gradients(gates, gates * 0 + 1).gate_gradient
    )
    np.testing.assert_allclose((slopes * gates).sum(axis=(-1, -2)), expected, rtol=1e-6)
    np.testing.assert_allclose((slopes * (1 - gates)).sum(axis=(-1, -2)), 0, atol=1e-5)  # the median of t is 0
    assert noisy.now({}) is land
    two = Noisy(make_still("additive", 2, 2), size=1.0)
    everywhere, drawn = np.array([[0.75, 0.25, 0.25, 0.75]]), np.array([[[0.5, 0.0], [0.0, 2.0]]])
    moved = two.minibatch({}, everywhere).loss(drawn) - two.landscape.loss(drawn)
    np.testing.assert_allclose(moved, 2.5 * (2 / 3) ** 0.5, rtol=1e-6)  # 1/2 and 2 times a quartile


def test_the_drift_by_hand() -> None:
    """After 2 ln 2 visits at the pace 2 half of the way is left: from 5 and 8 towards 1 and 2 it is at 3 and 5."""
    land: Any = Drifting(Bilinear(np.array([[1.0, 2.0]])), np.array([[5.0, 8.0]]), pace=2.0)
    half = {"visits": np.array([[[2 * np.log(2), 0.0]], [[0.0, 2 * np.log(2)]]])}
    now = land.now(half)
    assert now.shape == (1, 2)
    both = np.eye(2)[[[[0], [1]]] * 2]  # two samples of each of two replicates
    np.testing.assert_allclose(now.loss(both), [[3, 8], [5, 5]], rtol=1e-12)
    slopes = land.minibatch(half, None).gradients(both, np.ones_like(both)).gate_gradient
    np.testing.assert_allclose(slopes, [[[[3, 8]]] * 2, [[[5, 5]]] * 2], rtol=1e-12)
    moved = land.visit(half, both[:, 0])["visits"]
    np.testing.assert_allclose(moved - half["visits"], both[:, 0], rtol=1e-12)
    assert now.slopes(both).shape == both.shape
    np.testing.assert_allclose(land.now(land.start(np.ones((2, 1, 2)))).loss(both), [[5, 8]] * 2, rtol=1e-12)


def test_in_the_drifting_landscape_an_operation_gets_better_as_it_is_visited() -> None:
    landscape = make("drifting", 1, 2, pace=10.0)
    never, often = {"visits": np.zeros((1, 1, 2))}, {"visits": np.array([[[50.0, 0.0]]])}
    p = np.array([[[1.0, 0.0]]])
    assert landscape.now(often).expected(p) < landscape.now(never).expected(p)
    assert landscape.now(often).expected(p[..., ::-1]) == landscape.now(never).expected(p[..., ::-1])


def test_the_drifting_loss_of_the_moment_is_what_a_minibatch_shows() -> None:
    """J by the sum over all architectures of the minibatch's loss, its gradient by differences of J."""
    landscape = make("drifting", 2, 3, pace=10.0)
    p = RANDOM.dirichlet(np.ones(3), size=(1, 2))
    gates = np.eye(3)[np.indices((3, 3)).reshape(2, -1).T][None]  # (1, 9, 2, 3)
    weights = (gates * p[:, None]).sum(axis=-1).prod(axis=-1)
    losses = landscape.minibatch(VISITS, None).loss(gates)
    now = landscape.now(VISITS)
    np.testing.assert_allclose(now.expected(p), (weights * losses).sum(axis=-1))
    logits, direction = np.log(p), RANDOM.standard_normal(p.shape)
    rise = now.expected(softmax(logits + 1e-5 * direction)) - now.expected(softmax(logits - 1e-5 * direction))
    np.testing.assert_allclose((now.expected_gradient(p) * direction).sum(axis=(-1, -2)), rise / 2e-5, rtol=1e-6)
    assert abs(rise).max() > 1e-7
    assert not np.allclose(landscape.landscape.expected(p), now.expected(p))


def test_what_ran_is_what_was_visited() -> None:
    landscape = make("drifting", 2, 3)
    gates = np.eye(3)[[[0, 2]]]
    visits = landscape.visit(landscape.start(np.zeros((1, 2, 3))), gates)
    np.testing.assert_array_equal(visits["visits"], gates)
    still = make("additive", 2, 3)
    assert still.visit(still.start(gates), gates) == {}
    assert still.noise == 0
    assert still.now({}) is still.landscape


@pytest.mark.parametrize("name", ["noisy", "drifting"])
def test_both_worlds_meet_the_same(name: str) -> None:
    landscape = make(name, 2, 3)
    noise, gates = RANDOM.random((1, landscape.noise)), np.eye(3)[[[0, 2]]]
    placed = landscape.placed(lambda values: torch.from_numpy(values.copy()))
    there = placed.minibatch({k: torch.from_numpy(v) for k, v in VISITS.items()}, torch.from_numpy(noise))
    here = landscape.minibatch(VISITS, noise)
    tensor = torch.from_numpy(gates)
    np.testing.assert_allclose(here.loss(gates), there.loss(tensor), atol=1e-12)
    several = here.loss(np.stack([gates, gates], axis=1))  # two samples a replicate share the minibatch
    np.testing.assert_allclose(several, np.stack([here.loss(gates)] * 2, axis=1))
    ours, theirs = here.gradients(gates, gates), there.gradients(tensor, tensor)
    np.testing.assert_allclose(ours.gate_gradient, theirs.gate_gradient, atol=1e-12)
    assert abs(ours.gate_gradient).max() > 0.01


def test_where_j_has_no_closed_form_all_architectures_are_summed_once_and_too_many_are_refused() -> None:
    built: Any = Environment.of("bent", make_still("saturating", 3, 2, 1))
    assert isinstance(built.landscape, Enumerated)
    assert built.truth.min_loss == built.landscape.losses.min()
    with pytest.raises(ValueError, match=r"landscape 'bent': its expected loss needs a sum over all 4\^11"):
        Environment.of("bent", make_still("saturating", 11, 4, 1))
    with pytest.raises(ValueError, match=r"over all 2\^21"):  # one edge fewer is what is summed at most
        Environment.of("bent", make_still("saturating", 21, 2, 1))
    with pytest.raises(ValueError, match="landscape 'three' is a int, neither"):
        Environment.of("three", 3)


def test_the_truth_is_unknown_where_it_would_take_too_long_and_has_no_optimum_where_there_is_no_one_best() -> None:
    assert np.isnan(make("pairwise", 11, 4).truth.min_loss)
    assert make("pairwise", 11, 4).truth.optimum is None
    assert make("xor", 3, 2).truth.optimum is None
    assert make("xor", 3, 2).truth.max_loss == 1
    assert make("trap", 3, 2).truth.optimum == make_still("trap", 3, 2).optimum
