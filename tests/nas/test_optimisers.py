"""The optimisers against independent oracles: torch.optim, closed forms, and the exact step of theorem T1."""

import numpy as np
import pytest
import torch

from nas import optimisers, policy


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


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_equals_torch_sgd(momentum: float) -> None:
    rng = np.random.default_rng(0)
    logits, gradients = rng.normal(size=(3, 4)), rng.normal(size=(20, 3, 4))
    oracle = torch.nn.Parameter(torch.tensor(logits))
    theirs = torch.optim.SGD([oracle], lr=0.01, momentum=momentum, weight_decay=0.1)
    ours = optimisers.sgd(momentum, decay=0.1)
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
