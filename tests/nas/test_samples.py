"""What does each draw give, and with which law? By hand, and over all combinations of an even grid of uniforms."""

import math
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch

from nas import samples

P = np.array([[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]])
LOGITS = np.log(P)


def grid(n: int, *shape: int) -> Any:
    """All n^size combinations of the midpoints of n equal parts, (n^size, *shape)."""
    axes = np.meshgrid(*[(np.arange(n) + 0.5) / n] * math.prod(shape), indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=-1).reshape(-1, *shape)


def drawn(draw: samples.Draw, logits: Any, uniforms: Any, temperature: Any = None) -> samples.Sample:
    batch = uniforms.shape[: uniforms.ndim - len(draw.noise(*logits.shape))]
    return draw.sample(np.broadcast_to(logits, (*batch, *logits.shape)), uniforms, temperature)


def joint(gates: Any) -> Any:
    """Frequencies (K, K) of the operations of two edges."""
    return np.einsum("nj,nk->jk", gates[:, 0], gates[:, 1]) / len(gates)


@pytest.mark.parametrize("draw", [samples.ONE_HOT, samples.ALL_DENSE], ids=["one_hot", "all_dense"])
def test_one_hot_draws_have_the_product_law(draw: samples.Draw) -> None:
    found = drawn(draw, LOGITS, grid(64, 2))
    np.testing.assert_allclose(joint(found.gates), np.outer(P[0], P[1]), atol=1e-12)
    np.testing.assert_allclose(found.probabilities[0], P)
    np.testing.assert_array_equal(found.runs, found.gates if draw is samples.ONE_HOT else 1 + 0 * found.gates)


def test_several_samples_are_independent() -> None:
    """The samples' uniforms are used one by one: sample s has the gates of the s-th row, whatever the others draw."""
    uniforms = np.random.default_rng(0).random((5, samples.SAMPLES, 2))
    found = drawn(samples.SEVERAL, LOGITS, uniforms)
    assert found.probabilities.shape == (5, 2, 3)
    for s in range(samples.SAMPLES):
        np.testing.assert_array_equal(found.gates[:, s], drawn(samples.ONE_HOT, LOGITS, uniforms[:, s]).gates)
    np.testing.assert_array_equal(found.runs, found.gates)


def test_the_chosen_edge_is_even_and_independent_of_the_gates() -> None:
    """E = 2, so that the grid's uniforms are cut exactly: P(a, chosen) = P(a) / 2."""
    found = drawn(samples.ONE_HOT_AND_EDGE, LOGITS, grid(16, 3))
    law = np.einsum("nj,nk,ne->jke", found.gates[:, 0], found.gates[:, 1], found.chosen) / 16**3
    np.testing.assert_allclose(law, np.einsum("j,k,e->jke", P[0], P[1], [0.5, 0.5]), atol=1e-12)


def test_an_edge_is_chosen_where_no_operation_can_be() -> None:
    found = drawn(samples.ONE_HOT_AND_EDGE, np.zeros((3, 1)), np.array([[0.5, 0.5, 0.5, u] for u in (0.1, 0.5, 0.9)]))
    np.testing.assert_array_equal(found.chosen, np.eye(3))


def test_gumbel_draws_are_the_relaxed_sample_and_its_argmax() -> None:
    u = grid(3, 2, 3)
    hard, soft = (drawn(d, LOGITS, u, 0.7) for d in (samples.GUMBEL_HARD, samples.GUMBEL_SOFT))
    weights = (P / -np.log(u)) ** (1 / 0.7)  # exp((log p - log(-log u)) / tau)
    z = weights / weights.sum(axis=-1, keepdims=True)
    for found in (hard, soft):
        np.testing.assert_allclose(found.z, z, rtol=1e-9)
        np.testing.assert_allclose(found.probabilities[0], P)
        assert found.temperature == 0.7
    np.testing.assert_array_equal(soft.gates, soft.z)
    assert (soft.runs == 1).all()
    np.testing.assert_array_equal(hard.gates, np.eye(3)[z.argmax(axis=-1)])
    np.testing.assert_array_equal(hard.runs, hard.gates)


def test_the_dense_hard_draw_runs_everything() -> None:
    u = grid(3, 2, 3)
    hard, dense = (drawn(d, LOGITS, u, 0.7) for d in (samples.GUMBEL_HARD, samples.GUMBEL_HARD_DENSE))
    np.testing.assert_array_equal(dense.gates, hard.gates)
    np.testing.assert_array_equal(dense.z, hard.z)
    assert (dense.runs == 1).all()


TWO = np.array([[0.3, 0.7]])


def logistic_law(z: Any, temperature: float) -> float:
    """The largest distance of z's first entry, two operations at TWO, from the relaxed sample's law.

    tau logit(z) = log(p_0 / p_1) + logistic noise, so P(z < t) = sigmoid(tau logit(t) - log(p_0 / p_1)).
    """
    levels = np.array([0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
    odds = (levels / (1 - levels)) ** temperature * TWO[0, 1] / TWO[0, 0]
    return float(np.abs((z[..., 0].ravel()[:, None] < levels).mean(axis=0) - odds / (1 + odds)).max())


def test_relaxed_samples_given_the_gates_have_their_argmax_and_together_the_relaxed_law() -> None:
    n, temperature = 50, 0.7
    points = grid(n, 3)
    uniforms = np.full((len(points), *samples.GUMBEL_GIVEN.noise(1, 2)), 0.5)
    uniforms[:, 0, 0] = points[:, 0]
    uniforms[:, 0, 3:5] = points[:, 1:]  # the second relaxed sample's
    found = drawn(samples.GUMBEL_GIVEN, np.log(TWO), uniforms, temperature)
    assert found.z.shape == (n**3, samples.RELAXATIONS, 1, 2)
    np.testing.assert_allclose(found.gates.mean(axis=0), TWO, atol=1e-12)
    np.testing.assert_array_equal(found.z.argmax(axis=-1), found.gates.argmax(axis=-1)[:, None] + 0 * found.z[..., 0])
    assert logistic_law(found.z[:, 1], temperature) < 1 / n
    assert logistic_law(found.z[:, 0], temperature) > 5 / n  # control: the first one's noise stood still
    assert (found.runs == 1).all()


def test_rebars_second_relaxed_sample_has_the_gates_as_argmax_and_the_relaxed_law() -> None:
    n, temperature = 22, 0.7
    uniforms = grid(n, 1, 4)
    found = drawn(samples.GUMBEL_TWICE, np.log(TWO), uniforms, temperature)
    hard = drawn(samples.GUMBEL_HARD, np.log(TWO), uniforms[..., :2], temperature)
    np.testing.assert_array_equal(found.z, hard.z)
    np.testing.assert_array_equal(found.gates, hard.gates)
    np.testing.assert_array_equal(found.conditioned.argmax(axis=-1), found.gates.argmax(axis=-1))
    assert logistic_law(found.conditioned, temperature) < 1 / n
    exponential = -np.log(uniforms[..., 2:])
    top = (exponential * found.gates).sum(axis=-1, keepdims=True)
    waiting = exponential / TWO
    np.testing.assert_allclose(found.slope, (1 - found.gates) * waiting / (waiting + top), atol=1e-9)
    weights = np.where(found.gates > 0, top, waiting + top) ** (-1 / temperature)
    np.testing.assert_allclose(found.conditioned, weights / weights.sum(axis=-1, keepdims=True), rtol=1e-9)


def test_two_different_architectures_are_drawn_without_replacement() -> None:
    """P(a, then b) = P_a P_b / (1 - P_a), of all 72 ordered pairs."""
    n = 24
    found = drawn(samples.DISTINCT, LOGITS, grid(n, 2, 2))
    first, second = (found.gates.argmax(axis=-1) @ [3, 1]).T
    law = np.outer(P[0], P[1]).ravel()
    expected = np.outer(law, law) / (1 - law)[:, None] * (1 - np.eye(9))
    np.testing.assert_allclose(expected.sum(), 1)
    measured = np.bincount(first * 9 + second, minlength=81).reshape(9, 9) / len(first)
    assert (np.diagonal(measured) == 0).all()
    assert np.abs(measured - expected).max() < 0.1 / n
    assert np.abs(measured - np.outer(law, law)).max() > 0.2 / n  # control: with replacement
    np.testing.assert_array_equal(found.runs, found.gates)


def test_where_one_architecture_is_certain_it_is_drawn_twice() -> None:
    with np.errstate(divide="ignore"):
        certain = np.log([[0.0, 1.0], [1.0, 0.0]])
        one_left = np.log([[0.5, 0.5], [1.0, 0.0]])
    twice = drawn(samples.DISTINCT, certain, grid(3, 2, 2)).gates
    np.testing.assert_array_equal(twice, np.broadcast_to([[0, 1], [1, 0]], twice.shape))
    other = drawn(samples.DISTINCT, one_left, grid(3, 2, 2)).gates
    np.testing.assert_array_equal(other[:, 0, 0], 1 - other[:, 1, 0])


def test_an_antithetic_pair_is_each_alone_the_policy_and_differs_as_often_as_it_can() -> None:
    """P(0 then 1) = P(1 then 0) = min(p), the rest is twice the more probable one; edges are independent."""
    p = np.array([[0.25, 0.75], [0.625, 0.375]])
    found = drawn(samples.ANTITHETIC, np.log(p), grid(16, 2))
    law = [[[0, 0.25], [0.25, 0.5]], [[0.25, 0.375], [0.375, 0]]]
    for edge in range(2):
        np.testing.assert_allclose(joint(found.gates[:, :, edge]), law[edge], atol=1e-12)
    np.testing.assert_allclose(joint(found.gates[:, 0]), np.outer(p[0], p[1]), atol=1e-12)
    np.testing.assert_allclose(found.largest[0], [0.75, 0.625])
    np.testing.assert_array_equal(found.runs, found.gates)
    for refused in (
        lambda: samples.ANTITHETIC.noise(2, 3),
        lambda: drawn(samples.ANTITHETIC, LOGITS[:, :1], grid(2, 2)),
        lambda: samples.ANTITHETIC.sample(LOGITS, np.zeros(2), None),
    ):
        with pytest.raises(ValueError, match=r"for binary choices: 2 candidate operations an edge, not [13]$"):
            refused()


def test_draws_without_noise() -> None:
    nothing = np.zeros((1, 0))
    mean, best = (drawn(d, LOGITS, nothing) for d in (samples.MEAN, samples.ARGMAX))
    np.testing.assert_allclose(mean.gates[0], P)
    assert best.gates[0].tolist() == [[1, 0, 0], [0, 1, 0]]
    for found in (mean, best):
        np.testing.assert_allclose(found.probabilities[0], P)
        assert (found.runs == 1).all()


def test_uniform_draws_forget_the_logits() -> None:
    found = drawn(samples.UNIFORM, LOGITS, grid(30, 2))
    np.testing.assert_allclose(joint(found.gates), np.full((3, 3), 1 / 9), atol=1e-12)
    np.testing.assert_allclose(found.probabilities[0], np.full((2, 3), 1 / 3))
    np.testing.assert_allclose(samples.UNIFORM.probabilities(LOGITS), np.full((2, 3), 1 / 3))


def test_the_active_path_of_a_pair_follows_their_two_probabilities() -> None:
    """One edge: P(first i, second j, active i) = p_i p_j / (1 - p_i) * p_i / (p_i + p_j); the other runs, too."""
    n = 40
    found = drawn(samples.PAIR, LOGITS[:1], grid(n, 1, 3))
    first, second = found.pair[:, 0, 0], found.pair[:, 0, 1]
    active = (found.gates[:, 0] * first).sum(axis=-1)
    measured = np.einsum("ni,nj,n->ij", first, second, active) / n**3
    law = [
        [0 if i == j else P[0, i] * P[0, j] / (1 - P[0, i]) * P[0, i] / (P[0, i] + P[0, j]) for j in range(3)]
        for i in range(3)
    ]
    assert np.abs(measured - law).max() < 1.5 / n
    np.testing.assert_array_equal(found.runs[:, 0], first + second)
    assert ((found.gates == 1) <= (found.runs == 1)).all()
    assert (found.gates.sum(axis=-1) == 1).all()
    np.testing.assert_allclose(found.probabilities[0], P[:1])


# ------------------------------------------------------------------ ARS


def test_swapped_noise_by_hand() -> None:
    """-log(1 - u) = (1, 2, 5), so noise (1, 2, 5) / 8; swaps (1, 2, 5), (2, 1, 5), (5, 2, 1); the least noise wins."""
    u = 1 - np.exp([[-1.0, -2.0, -5.0]])
    found = samples.SWAPPED.sample(np.zeros((1, 3)), u, None)
    assert found.gates[:, 0].argmax(axis=-1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(found.reference, [1 / 8], rtol=1e-12)
    # p = (1, 4, 16) / 21: noise / p falls by 4 and 16: (1, 1/2, 5/16), (2, 1/4, 5/16), (5, 1/2, 1/16)
    found = samples.SWAPPED.sample(np.log([[1.0, 4.0, 16.0]]), u, None)
    assert found.gates[:, 0].argmax(axis=-1).tolist() == [2, 1, 2]
    np.testing.assert_allclose(found.probabilities, [[1 / 21, 4 / 21, 16 / 21]])
    np.testing.assert_array_equal(found.runs, found.gates)


def test_every_swap_alone_follows_the_policy_and_the_reference_is_dirichlet() -> None:
    """Flat Dirichlet noise of K = 3: the reference has the density 2 (1 - r), P(r < t) = 1 - (1 - t)^2."""
    n = 50
    found = drawn(samples.SWAPPED, LOGITS[:1], grid(n, 1, 3))
    for k in range(3):
        assert np.abs(found.gates[:, k, 0].mean(axis=0) - P[0]).max() < 1 / n
    for t in (0.1, 0.3, 0.7):
        assert abs((found.reference < t).mean() - (1 - (1 - t) ** 2)) < 1 / n


def test_swapped_noise_survives_both_ends_of_the_uniforms() -> None:
    ends = np.array([[0.0, math.nextafter(1, 0), 0.0], [0.0, 0.0, 0.0]])
    found = samples.SWAPPED.sample(np.zeros((2, 3)), ends, None)
    assert np.isfinite(found.reference).all()
    np.testing.assert_allclose(found.gates.sum(axis=-1), 1)


# ------------------------------------------------------------------ ordered candidates


@pytest.mark.parametrize("trials", [1, 2, 4])
def test_the_binomial_policy_is_binomial(trials: int) -> None:
    """phi = log 2: success 2/3, pmf C(n, k) 2^k / 3^n, in fractions."""
    logits = np.full((2, trials + 1), 7.0)
    logits[0, 0] = math.log(2)
    found = samples.binomial_probabilities(logits)[0]
    law = [float(F(math.comb(trials, k) * 2**k, 3**trials)) for k in range(trials + 1)]
    np.testing.assert_allclose(found, law, rtol=1e-12)
    gates = drawn(samples.BINOMIAL, logits, grid(90, 2)).gates
    assert np.abs(gates[:, 0].mean(axis=0) - law).max() <= 1 / 90


# ------------------------------------------------------------------ shapes


def test_noise_shapes() -> None:
    expected: dict[str, tuple[int, ...]] = {
        "ONE_HOT": (3,), "SEVERAL": (8, 3), "ONE_HOT_AND_EDGE": (4,), "GUMBEL_HARD": (3, 5), "GUMBEL_SOFT": (3, 5),
        "MEAN": (0,), "ARGMAX": (0,), "UNIFORM": (3,), "PAIR": (3, 3), "ALL_DENSE": (3,), "SWAPPED": (3, 5),
        "BINOMIAL": (3,), "GUMBEL_HARD_DENSE": (3, 5), "GUMBEL_GIVEN": (3, 51), "GUMBEL_TWICE": (3, 10),
        "DISTINCT": (3, 2),
    }  # fmt: skip
    assert {name: getattr(samples, name).noise(3, 5) for name in expected} == expected
    assert samples.ANTITHETIC.noise(3, 2) == (3,)
    expected["ANTITHETIC"] = (3,)
    assert {name for name, value in vars(samples).items() if isinstance(value, samples.Draw)} == set(expected)


@pytest.mark.parametrize("name", [name for name, value in vars(samples).items() if isinstance(value, samples.Draw)])
def test_a_batch_of_two_axes_is_its_members_and_torch_draws_the_same(name: str) -> None:
    draw, rng = getattr(samples, name), np.random.default_rng(1)
    candidates = draw.candidates or 5
    logits = rng.normal(size=(2, 3, 4, candidates))
    uniforms = rng.random((2, 3, *draw.noise(4, candidates)))
    found = draw.sample(logits, uniforms, 0.8)
    theirs = draw.sample(torch.tensor(logits), torch.tensor(uniforms), 0.8)
    given = [f for f in ("probabilities", "gates", "runs", "z", "pair", "chosen", "reference", "conditioned",
                         "slope", "largest")
             if getattr(found, f) is not None]  # fmt: skip
    for field in given:
        np.testing.assert_allclose(getattr(theirs, field).numpy(), getattr(found, field), atol=1e-12, err_msg=field)
        for i, j in np.ndindex(2, 3):
            alone = draw.sample(logits[i, j], uniforms[i, j], 0.8)
            np.testing.assert_allclose(getattr(alone, field), getattr(found, field)[i, j], atol=1e-12, err_msg=field)
