"""The optimisers against independent oracles: torch.optim, closed forms, and the exact step of theorem T1."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas import estimators, optimisers, policy


def test_adam_equals_torch_adam() -> None:
    rng = np.random.default_rng(0)
    logits, gradients = rng.normal(size=(3, 4)), rng.normal(size=(20, 3, 4))
    oracle = torch.nn.Parameter(torch.tensor(logits))
    theirs = torch.optim.Adam([oracle], lr=0.01, betas=(0.5, 0.999), weight_decay=3e-3)
    ours = optimisers.adam(0.5, 0.999, decay=3e-3)
    moments = ours.start(logits)
    for step, gradient in enumerate(gradients, 1):
        oracle.grad = torch.tensor(gradient)
        theirs.step()
        logits, moments = ours.update(logits, gradient, moments, 0.01, step)
    np.testing.assert_allclose(logits, oracle.detach().numpy(), rtol=1e-10)


def test_sgd_equals_torch_sgd() -> None:
    rng = np.random.default_rng(0)
    logits, gradients = rng.normal(size=(3, 4)), rng.normal(size=(20, 3, 4))
    oracle = torch.nn.Parameter(torch.tensor(logits))
    theirs = torch.optim.SGD([oracle], lr=0.01, weight_decay=0.1)
    ours = optimisers.sgd(decay=0.1)
    moments = ours.start(logits)
    for step, gradient in enumerate(gradients, 1):
        oracle.grad = torch.tensor(gradient)
        theirs.step()
        logits, moments = ours.update(logits, gradient, moments, 0.01, step)
    np.testing.assert_allclose(logits, oracle.detach().numpy(), rtol=1e-10)


def test_natural_moves_probabilities_by_the_gradient() -> None:
    logits, gradient = np.array([[0.0, 0.0], [1.0, -1.0]]), np.array([[0.2, -0.2], [-0.1, 0.1]])
    moved, _ = optimisers.natural().update(logits, gradient, {}, 0.3, 1)
    np.testing.assert_allclose(policy.softmax(moved), policy.softmax(logits) - 0.3 * gradient)


def test_natural_stops_at_the_face_of_the_simplex_and_stays() -> None:
    logits, gradient = np.zeros((1, 2)), np.array([[0.5, -0.5]])
    moved, _ = optimisers.natural().update(logits, gradient, {}, 5.0, 1)
    np.testing.assert_allclose(policy.softmax(moved), [[0.0, 1.0]])
    again, _ = optimisers.natural().update(moved, 0 * gradient, {}, 5.0, 2)
    np.testing.assert_allclose(policy.softmax(again), [[0.0, 1.0]])


def fisher_length(p: np.ndarray, direction: np.ndarray) -> float:
    """The length of a move of probabilities (E, K) by the Fisher matrices of the first K - 1 of each row."""
    squares = [d[:-1] @ (np.diag(1 / q[:-1]) + 1 / q[-1]) @ d[:-1] for q, d in zip(p, direction, strict=True)]
    return float(np.sqrt(sum(squares)))


def test_asng_on_two_samples_is_the_published_step() -> None:
    p = policy.softmax(np.random.default_rng(0).normal(size=(6, 4)) * 0.2)
    gates = np.eye(4)[[[0, 1, 2, 3, 0, 1], [1, 1, 3, 0, 2, 2]]]
    gradient = estimators.reinforce_leave_one_out(p, gates, np.array([5.0, 2.0]))
    ours = optimisers.asng()
    moved, _ = ours.update(np.log(p), gradient, ours.start(p), 0.05, 1)
    by_rank = (gates[1] - p) - (gates[0] - p)  # utilities 1 and -1: the second sample is the better one
    expected = p + 0.05 * by_rank / fisher_length(p, by_rank)
    assert expected.min() > 1 / 18  # nothing was cut off
    np.testing.assert_allclose(policy.softmax(moved), expected, rtol=1e-12)
    assert not np.allclose(policy.softmax(moved), p + 0.05 * by_rank / np.linalg.norm(by_rank))  # another length


@pytest.mark.parametrize("threshold", [1.5, 0.5])
def test_asng_shortens_its_steps_on_noise(threshold: float) -> None:
    rng, ours = np.random.default_rng(0), optimisers.asng(threshold)
    logits = np.zeros((50, 6, 4))
    moments = ours.start(logits)
    for step in range(1, 101):
        noise = rng.normal(size=logits.shape)
        _, moments = ours.update(logits, noise - noise.mean(axis=-1, keepdims=True), moments, 0.5, step)
    shorter = moments["log_delta"][:, 0, 0]
    # a random walk's energy is 1, so Delta grows where the threshold is above 1; below, as the control, it falls
    assert (np.sign(shorter) == (1 if threshold > 1 else -1)).mean() > 0.9


def test_asng_lengthens_its_steps_along_a_steady_gradient() -> None:
    gradient = np.tile([0.3, -0.1, -0.1, -0.1], (6, 1))
    ours, logits = optimisers.asng(), np.zeros((6, 4))
    moments = ours.start(logits)
    for step in range(1, 101):
        _, moments = ours.update(logits, gradient, moments, 0.1, step)
    assert (moments["log_delta"] < -0.5).all()


def test_asng_stays_on_a_flat_loss() -> None:
    ours, logits = optimisers.asng(), np.log([[[0.2, 0.3, 0.5]], [[0.6, 0.2, 0.2]]])
    gradient = np.array([[[0.0, 0.0, 0.0]], [[0.1, -0.1, 0.0]]])
    moved, moments = ours.update(logits, gradient, ours.start(logits), 0.1, 1)
    np.testing.assert_array_equal(moved[0], logits[0])
    assert all((values[0] == 0).all() for values in moments.values())
    assert (moved[1] != logits[1]).any()
    assert all((moments[name][1] != 0).any() for name in ("path", "weight"))


@given(st.integers(1, 5), st.integers(2, 6), st.integers(0, 2**31), st.floats(1e-3, 10.0))
def test_asng_keeps_every_operation_alive_in_both_worlds(edges: int, candidates: int, seed: int, rate: float) -> None:
    rng, ours = np.random.default_rng(seed), optimisers.asng()
    logits = np.zeros((edges, candidates))
    theirs, moments = torch.tensor(logits), ours.start(logits)
    their_moments = ours.start(theirs)
    floor = min(1 / (edges * (candidates - 1)), 1 / (2 * candidates))
    for step in range(1, 6):
        p = policy.softmax(logits)
        gates = policy.draw(p, rng.random(edges))
        gradient = estimators.reinforce(p, gates, rng.normal(), 0.0)
        logits, moments = ours.update(logits, gradient, moments, rate, step)
        theirs, their_moments = ours.update(theirs, torch.tensor(gradient), their_moments, rate, step)
        p = policy.softmax(logits)
        assert p.min() >= floor - 1e-12
        assert np.allclose(p.sum(axis=-1), 1)
        np.testing.assert_allclose(theirs.numpy(), logits, atol=1e-9)


def test_exponentiated_multiplies_by_exp_of_the_advantage() -> None:
    p, q, eta = np.array([[0.3, 0.7]]), np.array([[2.0, -1.0]]), 0.4
    expected_loss = (p * q).sum()
    moved, _ = optimisers.exponentiated().update(np.log(p), p * (q - expected_loss), {}, eta, 1)
    weights = p * np.exp(-eta * q)
    np.testing.assert_allclose(policy.softmax(moved), weights / weights.sum())


def test_clip_bounds_the_norm_of_each_replicate() -> None:
    gradient = np.array([[[3.0, 4.0]], [[0.3, 0.4]], [[0.0, 0.0]]])
    clipped = optimisers.clip_norm(gradient, 1.0)
    np.testing.assert_allclose(clipped, [[[0.6, 0.8]], [[0.3, 0.4]], [[0.0, 0.0]]])
    np.testing.assert_allclose(optimisers.clip_norm(torch.tensor(gradient), 1.0).numpy(), clipped)
