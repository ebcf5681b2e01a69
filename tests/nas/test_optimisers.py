"""The optimisers against independent oracles: torch.optim, closed forms, and the exact step of theorem T1."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas import estimators, optimisers, policy
from nas import step as steps_of
from nas.methods import METHODS
from nas.objective import Gradients


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


class Squares:
    """Two edges' outputs, summed, against a target: (a . o - 2)^2."""

    zero_operation = None
    outputs = np.array([[1.0, -0.5, 2.0], [0.25, 1.5, -1.0]])

    def loss(self, gates: Any) -> Any:
        return ((gates * self.outputs).sum(axis=(-1, -2)) - 2) ** 2

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        slope = 2 * ((gates * self.outputs).sum(axis=(-1, -2)) - 2)
        return Gradients(self.loss(gates), slope[..., None, None] * self.outputs * runs, 0 * gates[..., 0])


def gaea(name: str, optimiser: optimisers.Optimiser, steps: int = 5) -> tuple[Any, Any]:
    """(policy after our steps, policy after the published ones): p_k ~ p_k exp(-rate dL/dp_k), Li et al. 2021.

    dL/dp is the gate gradient at the mean gates for `darts`; for one sampled path L(a) a / p, whose mean it estimates.
    """
    method, problem, rate = METHODS[name], Squares(), 0.3
    p = np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]])
    state, rng = steps_of.start(method, optimiser, np.log(p)), np.random.default_rng(0)
    for _ in range(steps):
        uniforms = rng.random(steps_of.noise_shape(method, 2, 3))
        state, sample = steps_of.architecture_step(method, optimiser, state, problem, uniforms, rate)
        if name == "darts":
            slope = problem.gradients(p, np.ones_like(p)).gate_gradient
        else:
            slope = problem.loss(sample.gates) * sample.gates / p
        p = p * np.exp(-rate * slope)
        p = p / p.sum(axis=-1, keepdims=True)
    return policy.softmax(state.logits), p


@pytest.mark.parametrize("name", ["darts", "reinforce_without_baseline"])
def test_gaea_is_a_method_and_the_exponentiated_optimiser(name: str) -> None:
    ours, published = gaea(name, optimisers.exponentiated())
    np.testing.assert_allclose(ours, published, rtol=1e-9)
    other, published = gaea(name, optimisers.sgd())  # control: the same gradient on the logits is another algorithm
    assert np.abs(other - published).max() > 1e-2


def test_clip_bounds_the_norm_of_each_replicate() -> None:
    gradient = np.array([[[3.0, 4.0]], [[0.3, 0.4]], [[0.0, 0.0]]])
    clipped = optimisers.clip_norm(gradient, 1.0)
    np.testing.assert_allclose(clipped, [[[0.6, 0.8]], [[0.3, 0.4]], [[0.0, 0.0]]])
    np.testing.assert_allclose(optimisers.clip_norm(torch.tensor(gradient), 1.0).numpy(), clipped)


# ------------------------------------------------------------------ the papers' pseudo-code, number by number


def test_adam_by_its_papers_pseudo_code() -> None:
    """Kingma & Ba 2015, Algorithm 1, on single numbers; the step counter t is what corrects the bias."""
    ours, rate, beta1, beta2, epsilon = optimisers.adam(0.9, 0.99, 1e-3), 0.1, 0.9, 0.99, 1e-3
    gradients = np.random.default_rng(1).normal(size=(6, 2, 3))
    theta = np.zeros((2, 3))
    moments = ours.start(theta)
    expected, m, v = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 3))
    for t, g in enumerate(gradients, 1):
        theta, moments = ours.update(theta, g, moments, rate, t)
        for i in np.ndindex(2, 3):
            m[i] = beta1 * m[i] + (1 - beta1) * g[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g[i] ** 2
            expected[i] -= rate * (m[i] / (1 - beta1**t)) / (math.sqrt(v[i] / (1 - beta2**t)) + epsilon)
        np.testing.assert_allclose(theta, expected, rtol=1e-12)


def test_adams_defaults_are_the_papers_searches() -> None:
    """The first step is rate * sign, whatever the coefficients, since the corrections cancel; the second tells them."""
    g1, g2 = 1.0, -2.0
    ours = optimisers.adam()
    theta, moments = ours.update(np.zeros((1, 1)), np.array([[g1]]), ours.start(np.zeros((1, 1))), 0.1, 1)
    first = -0.1 / (1 + 1e-8)
    assert theta.item() == pytest.approx(first, rel=1e-12)
    theta, _ = ours.update(theta, np.array([[g2]]), moments, 0.1, 2)
    m = (0.5 * 0.5 * g1 + 0.5 * g2) / (1 - 0.5**2)
    v = (0.999 * 0.001 * g1**2 + 0.001 * g2**2) / (1 - 0.999**2)
    assert theta.item() == pytest.approx(first - 0.1 * m / (math.sqrt(v) + 1e-8), rel=1e-10)


def test_asng_by_its_papers_pseudo_code() -> None:
    """Akimoto et al. 2019, Algorithm 1, single numbers, two cells of 3 edges x 4 operations, five steps, Delta moving.

    n = E (K - 1); delta = delta_0 / Delta; p += delta g / |g|_F; beta = delta / sqrt n;
    s = (1 - beta) s + sqrt(beta (2 - beta)) F^(1/2) g / |g|_F; gamma = (1 - beta)^2 gamma + beta (2 - beta);
    Delta *= exp(beta (gamma - |s|^2 / alpha)); then probabilities are kept above 1 / n and renormalised as published.
    """
    edges, k, alpha, delta_0 = 3, 4, 1.5, 0.8
    n = edges * (k - 1)
    ours, rng = optimisers.asng(alpha), np.random.default_rng(3)
    logits = np.log(policy.softmax(rng.normal(size=(2, edges, k)) * 0.3))
    moments = ours.start(logits)
    p, s = policy.softmax(logits), np.zeros((2, edges, k))
    gamma, big_delta = [0.0, 0.0], [1.0, 1.0]
    for step in range(1, 6):
        descends = rng.normal(size=(2, edges, k))
        descends -= descends.mean(axis=-1, keepdims=True)
        logits, moments = ours.update(logits, descends, moments, delta_0, step)
        for r in range(2):
            white = [[descends[r, e, j] / math.sqrt(p[r, e, j]) for j in range(k)] for e in range(edges)]
            length = math.sqrt(sum(x * x for row in white for x in row))
            delta = min(delta_0 / big_delta[r], math.sqrt(n))
            beta = delta / math.sqrt(n)
            for e in range(edges):
                moved = [p[r, e, j] - delta * descends[r, e, j] / length for j in range(k)]
                over = [max(x - 1 / n, 0.0) for x in moved]
                for j in range(k):
                    s[r, e, j] = (1 - beta) * s[r, e, j] + math.sqrt(beta * (2 - beta)) * white[e][j] / length
                    p[r, e, j] = 1 / n + over[j] * (1 - k / n) / sum(over)
            gamma[r] = (1 - beta) ** 2 * gamma[r] + beta * (2 - beta)
            big_delta[r] *= math.exp(beta * (gamma[r] - (s[r] ** 2).sum() / alpha))
        np.testing.assert_allclose(policy.softmax(logits), p, rtol=1e-9)
        np.testing.assert_allclose(np.exp(moments["log_delta"][:, 0, 0]), big_delta, rtol=1e-9)
    assert abs(math.log(big_delta[0])) > 0.05  # Delta moved, so its sign and its use have been seen
    assert (p == 1 / n).any()  # and the floor was reached


def test_asng_never_takes_a_step_longer_than_the_whole_fisher_length() -> None:
    """delta <= sqrt n: beyond it beta would pass 1. Rates 2 sqrt n and sqrt n are the same step."""
    ours, logits = optimisers.asng(), np.zeros((2, 3))
    gradient = np.array([[0.2, -0.1, -0.1], [0.0, 0.3, -0.3]])
    longest = math.sqrt(2 * 2)
    found = [ours.update(logits, gradient, ours.start(logits), rate, 1) for rate in (longest, 2 * longest)]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert (found[0][1]["weight"] == 1).all()
    shorter = ours.update(logits, gradient, ours.start(logits), longest / 2, 1)
    assert (shorter[1]["weight"] == 0.75).all()  # beta (2 - beta) at beta = 1/2


def test_asngs_floor_is_half_the_uniform_probability_in_the_smallest_games() -> None:
    """E = 1, K = 2: 1 / n = 1 would be no policy; the floor is 1 / (2 K) = 1/4."""
    ours, logits = optimisers.asng(), np.zeros((1, 2))
    moved, _ = ours.update(logits, np.array([[0.5, -0.5]]), ours.start(logits), 1.0, 1)
    np.testing.assert_allclose(policy.softmax(moved), [[0.25, 0.75]], rtol=1e-12)


def test_natural_takes_the_step_asked_for_each_replicate_alone() -> None:
    """Replicate 0 reaches its face at 1 and is shortened to it, replicate 1 is not shortened; both edges move."""
    p = np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.25, 0.75]]])
    gradient = np.array([[[0.5, -0.5], [0.1, -0.1]], [[0.1, -0.1], [-0.1, 0.1]]])
    moved, _ = optimisers.natural().update(np.log(p), gradient, {}, 2.0, 1)
    expected = [[[0.0, 1.0], [0.15, 0.85]], [[0.3, 0.7], [0.45, 0.55]]]
    np.testing.assert_allclose(policy.softmax(moved), expected, rtol=1e-12)


def test_exponentiated_leaves_impossible_operations_impossible() -> None:
    logits = np.array([[0.0, -np.inf, 0.0]])
    moved, _ = optimisers.exponentiated().update(logits, np.array([[0.1, 0.0, -0.1]]), {}, 0.5, 1)
    np.testing.assert_allclose(moved, [[-0.1, -np.inf, 0.1]])  # advantages 0.2 and -0.2, times 0.5


@pytest.mark.parametrize("name", optimisers.OPTIMISERS)
def test_an_optimiser_has_its_name_and_starts_from_zero_moments(name: str) -> None:
    ours, logits = optimisers.OPTIMISERS[name](), np.ones((2, 3, 4))
    assert ours.name == name
    for value in ours.start(logits).values():
        assert value.shape == logits.shape
        assert (value == 0).all()
    gradient = np.random.default_rng(0).normal(size=logits.shape)
    moved, moments = ours.update(logits, gradient - gradient.mean(axis=-1, keepdims=True), ours.start(logits), 0.1, 1)
    assert set(moments) == set(ours.moments)
    assert (moved != logits).any()


@pytest.mark.parametrize("name", optimisers.OPTIMISERS)
def test_elementwise_optimisers_and_no_others_move_each_number_by_its_own_gradient(name: str) -> None:
    """Three steps of a row of numbers, and of each number in a row of its own."""
    ours, rng = optimisers.OPTIMISERS[name](), np.random.default_rng(0)
    gradients = rng.normal(size=(3, 1, 4)) / 20
    gradients -= gradients.mean(axis=-1, keepdims=True)

    def moved(logits: Any, columns: slice) -> Any:
        moments = ours.start(logits)
        for number, gradient in enumerate(gradients[..., columns], 1):
            logits, moments = ours.update(logits, gradient, moments, 0.1, number)
        return logits

    start = np.log([[0.1, 0.2, 0.3, 0.4]])
    alone = [moved(start[:, k : k + 1], slice(k, k + 1)) for k in range(4)]
    assert np.allclose(moved(start, slice(None)), np.concatenate(alone, axis=-1), rtol=1e-12) == ours.elementwise


def test_clip_takes_the_norm_over_all_edges() -> None:
    """(3, 0) and (0, 4): norm 5, though no edge is longer than 4."""
    gradient = np.array([[3.0, 0.0], [0.0, 4.0]])
    np.testing.assert_allclose(optimisers.clip_norm(gradient, 2.5), gradient / 2, rtol=1e-15)
    np.testing.assert_array_equal(optimisers.clip_norm(gradient, 5.1), gradient)


def test_what_is_short_enough_keeps_its_bits_and_the_rest_keeps_its_direction() -> None:
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3):
        gradient = scale * rng.normal(size=(50, 3, 4))
        norm = np.sqrt((gradient**2).sum(axis=(-1, -2)))
        clipped = optimisers.clip_norm(gradient, 2.0)
        short = norm <= 2.0
        np.testing.assert_array_equal(clipped[short], gradient[short])
        np.testing.assert_allclose(clipped[~short], 2.0 * (gradient / norm[:, None, None])[~short])
    assert (optimisers.clip_norm(np.zeros((1, 2)), 1.0) == 0).all()


def test_build_gives_each_optimiser_the_settings_it_has() -> None:
    logits, gradient, step = np.ones((1, 2)), np.array([[1.0, -2.0]]), 3
    settings = {"beta1": 0.3, "beta2": 0.7, "decay": 0.1}
    by_hand = {
        "adam": optimisers.adam(0.3, 0.7, decay=0.1),
        "sgd": optimisers.sgd(decay=0.1),
        "natural": optimisers.natural(),
        "asng": optimisers.asng(),
        "exponentiated": optimisers.exponentiated(),
    }
    assert by_hand.keys() == optimisers.OPTIMISERS.keys()
    for name, expected in by_hand.items():
        built = optimisers.build(name, **settings)
        ours, theirs = (o.update(logits, gradient, o.start(logits), 0.1, step)[0] for o in (built, expected))
        np.testing.assert_array_equal(ours, theirs)
        plain = optimisers.build(name)  # the control: where there are such settings, they matter
        moved = plain.update(logits, gradient, plain.start(logits), 0.1, step)[0]
        assert (moved == theirs).all() == (name not in ("adam", "sgd"))
    with pytest.raises(ValueError, match="unknown optimiser 'adamw'; known: adam, sgd, natural, asng, exponentiated"):
        optimisers.build("adamw")


def test_without_being_asked_nothing_decays() -> None:
    logits, still = np.array([[3.0, -1.0]]), np.zeros((1, 2))
    for ours in (optimisers.sgd(), optimisers.adam()):
        assert ours.update(logits, still, ours.start(logits), 0.1, 1)[0].tolist() == [[3.0, -1.0]]


@pytest.mark.parametrize("name", optimisers.OPTIMISERS)
def test_a_batch_of_two_axes_moves_as_its_members_do(name: str) -> None:
    ours, rng = optimisers.OPTIMISERS[name](), np.random.default_rng(0)
    logits, gradient = rng.normal(size=(2, 2, 3, 4)) / 4, rng.normal(size=(2, 2, 3, 4))
    gradient -= gradient.mean(axis=-1, keepdims=True)
    moved, moments = ours.update(logits, gradient, ours.start(logits), 0.1, 1)
    for i in np.ndindex(2, 2):
        alone, own = ours.update(logits[i], gradient[i], ours.start(logits[i]), 0.1, 1)
        np.testing.assert_allclose(moved[i], alone, rtol=1e-12)
        for moment, values in own.items():
            np.testing.assert_allclose(moments[moment][i] + 0 * values, values, rtol=1e-12)
        np.testing.assert_allclose(optimisers.clip_norm(gradient, 0.5)[i], optimisers.clip_norm(gradient[i], 0.5))


def test_the_smallest_game_has_one_degree_of_freedom() -> None:
    """E = 1, K = 2: n = 1, so a rate of 1/2 is beta = 1/2, and gamma = beta (2 - beta) = 3/4."""
    ours, logits = optimisers.asng(), np.zeros((1, 2))
    _, moments = ours.update(logits, np.array([[0.5, -0.5]]), ours.start(logits), 0.5, 1)
    np.testing.assert_allclose(moments["weight"], 0.75, rtol=1e-12)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_an_optimiser_that_is_built_has_the_defaults_of_its_own(name: str) -> None:
    built, ours = optimisers.build(name), optimisers.OPTIMISERS[name]()
    found = []
    for optimiser in (built, ours):
        logits = np.ones((1, 2))
        moments = optimiser.start(logits)
        for number, gradient in enumerate(([[1.0, -2.0]], [[3.0, 1.0]]), 1):
            logits, moments = optimiser.update(logits, np.array(gradient), moments, 0.1, number)
        found.append(logits)
    np.testing.assert_array_equal(*found)


def test_asngs_own_threshold_is_one_and_a_half() -> None:
    """E = 1, K = 2, beta = 1/2: gamma = |s|^2 = 3/4, so ln Delta = 1/2 (3/4 - 3/4 / (3/2)) = 1/8."""
    ours, logits = optimisers.asng(), np.zeros((1, 2))
    _, moments = ours.update(logits, np.array([[0.5, -0.5]]), ours.start(logits), 0.5, 1)
    np.testing.assert_allclose(moments["log_delta"], 0.125, rtol=1e-12)


def test_asng_takes_no_probability_for_more_than_one_above_its_floor() -> None:
    """E = 5, K = 3: n = 10, floor 1/10. The longest step, sqrt 10, along (-1, 0, 1) / sqrt 6 on one uniform edge.

    There it leads to 1/3 + sqrt(10/6) (1, 0, -1) = (1.62, 0.33, -0.96). Above the floor that is (1, 7/30, 0), bounded;
    its sum is 37/30 and 1 - 3/10 = 7/10 is there to share: (21/37, 4.9/37, 0) above the floor.
    """
    ours, logits, gradient = optimisers.asng(), np.zeros((5, 3)), np.zeros((5, 3))
    gradient[2] = [-1, 0, 1]
    moved, _ = ours.update(logits, gradient, ours.start(logits), 10**0.5, 1)
    expected = np.full((5, 3), 1 / 3)
    expected[2] = [0.1 + 21 / 37, 0.1 + 4.9 / 37, 0.1]
    np.testing.assert_allclose(policy.softmax(moved), expected, rtol=1e-12)
