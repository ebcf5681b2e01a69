"""The product of categoricals: draws, quantities, and theorem T1's step, at and beyond the edges of the domain."""

import math
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas import policy

EXTREME = st.one_of(st.floats(-5, 5), st.sampled_from([-1e4, 1e4, -math.inf]))


@st.composite
def logits_and_uniforms(draw: st.DrawFn) -> tuple[Any, Any]:
    edges, candidates = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    logits = draw(hnp.arrays(np.float64, (3, edges, candidates), elements=EXTREME))
    logits[..., draw(st.integers(0, candidates - 1))] = 0.0  # a row of -inf is no distribution
    below_one = st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.0, math.nextafter(1, 0)]))
    return logits, draw(hnp.arrays(np.float64, (3, edges), elements=below_one))


@given(logits_and_uniforms())
@settings(max_examples=200, deadline=None)
def test_draws_are_one_hot_possible_and_the_same_in_numpy_and_torch(drawn: tuple[Any, Any]) -> None:
    logits, uniforms = drawn
    p = policy.softmax(logits)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=1e-12)
    gates = policy.draw(p, uniforms)
    assert set(np.unique(gates)) <= {0.0, 1.0}
    assert (gates.sum(axis=-1) == 1).all()
    assert (p[gates == 1] > 0).all()  # what has probability zero is never drawn
    assert (policy.draw(torch.tensor(p), torch.tensor(uniforms)).numpy() == gates).all()


def test_draw_is_the_inverse_cdf_by_hand() -> None:
    p = np.array([[0.25, 0.5, 0.25]])
    for uniform, operation in [(0.0, 0), (0.2499, 0), (0.25, 1), (0.7499, 1), (0.75, 2), (math.nextafter(1, 0), 2)]:
        assert policy.choices(policy.draw(p, np.array([uniform]))) == [operation]


def test_draw_frequencies() -> None:
    """On an even grid of n uniforms each frequency is within 1/n of its probability: no statistics needed."""
    p, n = policy.softmax(np.array([[0.3, -1.0, 2.0, 0.0]])), 10_000
    frequencies = policy.draw(p, (np.arange(n)[:, None] + 0.5) / n).mean(axis=0)
    assert np.abs(frequencies - p).max() <= 1 / n
    assert np.abs(frequencies - policy.softmax(np.zeros((1, 4)))).max() > 100 / n  # control: another distribution


def test_operations_far_behind_are_still_drawn() -> None:
    """A log-probability gap of 12 is rare, not impossible (published code adds 0.001 and loses it)."""
    p = policy.softmax(np.array([[0.0, -12.0]]))
    assert policy.choices(policy.draw(p, np.array([math.nextafter(1, 0)]))) == [1]


def test_pairs_differ_and_follow_the_law_without_replacement() -> None:
    p = np.array([[0.5, 0.3, 0.2]])
    n = 200
    grid = (np.arange(n) + 0.5) / n
    u = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    first, second = policy.draw_pair(p, u)
    assert ((first * second).sum(axis=-1) == 0).all()
    joint = np.einsum("nej,nek->jk", first, second) / n**2
    law = np.array([[0 if j == k else p[0, j] * p[0, k] / (1 - p[0, j]) for k in range(3)] for j in range(3)])
    assert np.abs(joint - law).max() <= 2 / n


def test_a_pair_needs_two_candidates() -> None:
    with pytest.raises(ValueError, match="at least 2 candidate"):
        policy.draw_pair(np.ones((1, 1)), np.zeros((1, 2)))


def test_gumbel_argmax_follows_softmax() -> None:
    logits, n = np.array([[0.5, -0.5]]), 400
    grid = (np.arange(n) + 0.5) / n
    u = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    frequencies = policy.one_hot_argmax(policy.gumbel_softmax(logits, u, 1.0)).mean(axis=0)
    assert np.abs(frequencies - policy.softmax(logits)).max() < 2 / n
    assert np.isfinite(policy.gumbel_softmax(logits, np.array([[0.0, math.nextafter(1, 0)]]), 0.1)).all()


def test_gates_and_choices_are_inverse() -> None:
    choice = np.array([[0, 2], [1, 1]])
    gates = policy.gates_of(choice, 3, np.zeros((2, 2, 3)))
    assert (policy.choices(gates) == choice).all()
    assert gates.dtype == np.float64
    assert (policy.choices(policy.gates_of(torch.tensor(choice), 3, torch.zeros(2, 2, 3))).numpy() == choice).all()


def test_quantities_by_hand() -> None:
    p, q = np.array([[0.5, 0.5, 0.0]]), np.array([[0.25, 0.75, 0.0]])
    assert policy.entropy(p) == pytest.approx(math.log(2))
    assert policy.kl(p, q) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert policy.kl(p, p) == 0
    assert policy.log_probability(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([[1.0, 0], [0, 1]])) == pytest.approx(
        math.log(0.45)
    )
    with np.errstate(divide="ignore"):
        assert policy.kl(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])) == math.inf
    assert (policy.kl(torch.tensor(p), torch.tensor(q)).numpy() == policy.kl(p, q)).all()


def test_logits_are_the_inverse_of_softmax() -> None:
    p = np.array([[0.2, 0.8, 0.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(policy.softmax(policy.logits(p)), p, rtol=1e-15)
    np.testing.assert_array_equal(policy.logits(torch.tensor(p)).numpy(), policy.logits(p))
    assert policy.logits(p)[1, 1] == -math.inf


# ------------------------------------------------------------------ theorem T1's step


def expected_loss(p: Any, table: Any) -> Any:
    return sum(p[0, i] * p[1, j] * table[i, j] for i in range(2) for j in range(2))


def exact_gradient(p: Any, table: Any) -> Any:
    q = np.array(
        [
            [sum(p[1, j] * table[i, j] for j in range(2)) for i in range(2)],
            [sum(p[0, i] * table[i, j] for i in range(2)) for j in range(2)],
        ],
        dtype=object,
    )
    return p * (q - expected_loss(p, table))


@given(
    st.lists(st.fractions(-5, 5, max_denominator=20), min_size=4, max_size=4),
    st.fractions(F(1, 50), F(49, 50)),
    st.fractions(F(1, 50), F(49, 50)),
)
@settings(max_examples=200, deadline=None)
def test_the_admissible_step_never_raises_the_expected_loss(losses: list[F], a: F, b: F) -> None:
    table, p = np.array(losses, dtype=object).reshape(2, 2), np.array([[a, 1 - a], [b, 1 - b]], dtype=object)
    before = expected_loss(p, table)
    if max(losses) == before:
        assert policy.admissible_step(max(losses), before) == math.inf
        return
    gradient = exact_gradient(p, table)
    step = policy.admissible_step(max(losses), before)
    moved = policy.natural_step(p, gradient, step)
    assert (moved >= 0).all()
    assert (moved.sum(axis=-1) == 1).all()
    assert expected_loss(moved, table) <= before
    assert step <= policy.simplex_step(p.astype(float), gradient.astype(float)) * (1 + 1e-9)


def test_control_the_simplex_step_can_raise_the_expected_loss() -> None:
    """T3: staying on the simplex is not enough for two edges. Coordination game, away from the balanced point."""
    rng, raised = np.random.default_rng(0), 0
    for _ in range(500):
        table, p = rng.normal(size=(2, 2)), policy.softmax(rng.normal(size=(2, 2)))
        gradient = exact_gradient(p, table).astype(float)
        moved = policy.natural_step(p, gradient, policy.simplex_step(p, gradient))
        raised += expected_loss(moved, table) > expected_loss(p, table) + 1e-9
    assert raised > 0


def test_simplex_step_by_hand() -> None:
    p, g = np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([[1.0, -1.0], [0.5, -0.5]])
    assert policy.simplex_step(p, g) == pytest.approx(0.4)  # edge 1: 0.2 / 0.5
    assert policy.simplex_step(p, 0 * g) == math.inf


# ------------------------------------------------------------------ exact laws: every uniform of an even grid


def grid(n: int, *shape: int) -> Any:
    """All n^size combinations of the midpoints of n equal parts, (n^size, *shape)."""
    size = math.prod(shape)
    axes = np.meshgrid(*[(np.arange(n) + 0.5) / n] * size, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=-1).reshape(-1, *shape)


def test_gumbels_are_standard_gumbel_by_hand() -> None:
    """u = exp(-1) has G = 0, u = exp(-e) G = -1, u = exp(-1/e) G = +1; at temperature 1, and at 1/2."""
    u = np.exp([[-1.0, -math.e, -1 / math.e]])
    logits = np.array([[0.5, 2.0, -1.0]])
    weights = np.exp([0.5, 1.0, 0.0])  # logits + (0, -1, 1)
    np.testing.assert_allclose(policy.gumbel_softmax(logits, u, 1.0), [weights / weights.sum()], rtol=1e-12)
    np.testing.assert_allclose(policy.gumbel_softmax(logits, u, 0.5), [weights**2 / (weights**2).sum()], rtol=1e-12)


def test_gumbel_argmax_follows_softmax_for_three_operations() -> None:
    """Two Gumbels differ symmetrically, so K = 2 cannot see a turned sign of the noise: K = 3 does."""
    logits, n = np.array([[1.0, 0.0, -0.7]]), 60
    u = grid(n, 1, 3)
    p = policy.softmax(logits)
    frequencies = policy.one_hot_argmax(policy.gumbel_softmax(logits, u, 1.0)).mean(axis=0)
    assert np.abs(frequencies - p).max() < 1 / n
    turned = policy.one_hot_argmax(logits + np.log(-np.log(u))).mean(axis=0)
    assert np.abs(turned - p).max() > 2 / n  # control: the noise with the other sign


def test_the_relaxed_sample_has_its_law_not_only_its_argmax() -> None:
    """P(z_1 / z_0 < t) = P(logistic < tau ln t - difference of logits): K = 2, every pair of uniforms of a grid."""
    logits, n, temperature = np.array([[0.5, -0.5]]), 400, 2.0
    z = policy.gumbel_softmax(logits, grid(n, 1, 2), temperature)
    ratio = z[:, 0, 1] / z[:, 0, 0]
    for t in (0.3, 1.0, 2.0):
        law = 1 / (1 + math.exp(-(temperature * math.log(t) + 1.0)))
        assert abs((ratio < t).mean() - law) < 2 / n


def test_edges_are_drawn_independently() -> None:
    """E = 2, K = 3: the joint frequencies over a grid of both uniforms are the products of the rows."""
    p, n = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), 100
    gates = policy.draw(p, grid(n, 2))
    joint = np.einsum("nj,nk->jk", gates[:, 0], gates[:, 1]) / n**2
    np.testing.assert_allclose(joint, np.outer(p[0], p[1]), atol=1e-12)  # every cut of the rows is a cut of the grid


def test_pairs_of_two_edges_are_independent_and_each_without_replacement() -> None:
    p, n = np.array([[0.5, 0.25, 0.25], [0.125, 0.5, 0.375]]), 16
    first, second = policy.draw_pair(p, grid(n, 2, 2))
    law = [[[0 if j == k else row[j] * row[k] / (1 - row[j]) for k in range(3)] for j in range(3)] for row in p]
    joint = np.einsum("nj,nk,nl,nm->jklm", first[:, 0], second[:, 0], first[:, 1], second[:, 1]) / n**4
    assert np.abs(joint - np.einsum("jk,lm->jklm", *np.array(law))).max() < 2 / n


def test_the_second_of_a_pair_is_even_where_the_first_has_all_the_probability() -> None:
    first, second = policy.draw_pair(np.array([[0.0, 1.0, 0.0]]), grid(10, 1, 2))
    assert (first == [[0.0, 1.0, 0.0]]).all()
    np.testing.assert_allclose(second.mean(axis=0), [[0.5, 0.0, 0.5]])


def test_rows_need_not_be_normalised_to_be_drawn_from() -> None:
    np.testing.assert_allclose(policy.draw(np.array([[2.0, 6.0]]), grid(8, 1)).mean(axis=0), [[0.25, 0.75]])


def test_ties_go_to_the_first() -> None:
    assert policy.one_hot_argmax(np.array([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])).tolist() == [[0, 1, 0], [1, 0, 0]]


# ------------------------------------------------------------------ quantities on batches, axis by axis


def test_quantities_of_a_batch_are_those_of_its_members() -> None:
    """(2, 3, E = 4, K = 5): all sizes differ, so a sum over the wrong axis has the wrong shape or value."""
    rng = np.random.default_rng(0)
    p, q = policy.softmax(rng.normal(size=(2, 3, 4, 5))), policy.softmax(rng.normal(size=(2, 3, 4, 5)))
    gates, gradient = policy.draw(p, rng.random((2, 3, 4))), rng.normal(size=(2, 3, 4, 5))
    found = {
        "log_probability": policy.log_probability(p, gates),
        "entropy": policy.entropy(p),
        "kl": policy.kl(p, q),
        "simplex_step": policy.simplex_step(p, gradient),
        "choices": policy.choices(gates),
    }
    for i, j in np.ndindex(2, 3):
        a, pe, qe, g = policy.choices(gates[i, j]), p[i, j], q[i, j], gradient[i, j]
        steps = [pe[e, k] / g[e, k] for e, k in np.ndindex(4, 5) if g[e, k] > 0]
        expected = {
            "log_probability": sum(math.log(pe[e, a[e]]) for e in range(4)),
            "entropy": [-sum(x * math.log(x) for x in row) for row in pe],
            "kl": [sum(x * math.log(x / y) for x, y in zip(*rows, strict=True)) for rows in zip(pe, qe, strict=True)],
            "simplex_step": min(steps),
            "choices": [row.tolist().index(1.0) for row in gates[i, j]],
        }
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][i, j], value, rtol=1e-12, err_msg=name)
    assert {name: value.shape for name, value in found.items()} == {
        "log_probability": (2, 3),
        "entropy": (2, 3, 4),
        "kl": (2, 3, 4),
        "simplex_step": (2, 3),
        "choices": (2, 3, 4),
    }


def test_the_admissible_step_by_hand() -> None:
    """1 / (max L - J): 1 / (3 - 1) and 1 / (5 - 1), on numbers, arrays and tensors."""
    assert policy.admissible_step(F(3), F(1)) == F(1, 2)
    np.testing.assert_array_equal(policy.admissible_step(np.array([3.0, 5.0]), 1.0), [0.5, 0.25])
    np.testing.assert_array_equal(policy.admissible_step(5.0, np.array([1.0, 3.0])), [0.25, 0.5])
    assert policy.admissible_step(torch.tensor([3.0, 5.0]), torch.tensor([1.0, 1.0])).tolist() == [0.5, 0.25]
    assert policy.admissible_step(2.0, 2.0) == math.inf


def test_positions_count_from_zero() -> None:
    assert policy.positions(np.zeros((2, 3))).tolist() == [[0, 1, 2]] * 2
    assert policy.positions(torch.zeros(2, 3)).tolist() == [[0, 1, 2]] * 2


def test_softmax_is_not_moved_by_a_shift_and_survives_large_logits() -> None:
    logits = np.array([[1.0, 2.0, -1.0]])
    weights = np.exp(logits)
    np.testing.assert_allclose(policy.softmax(logits), weights / weights.sum(), rtol=1e-14)
    np.testing.assert_allclose(policy.softmax(logits + 5000), weights / weights.sum(), rtol=1e-10)


def test_a_uniform_that_was_rounded_to_one_still_draws_a_possible_operation() -> None:
    """Short floats round to 1: the last possible operation is drawn, and Gumbel's noise stays finite."""
    for p in ([[0.5, 0.5, 0.0]], [[0.1, 0.2, 0.0]], [[3.0, 1.0, 0.0]]):
        assert policy.draw(np.array(p), np.array([1.0])).tolist() == [[0, 1, 0]]
    for u in ([[0.0, 1.0]], [[1.0, 0.0]], [[1.0, 1.0]]):
        z = policy.gumbel_softmax(np.zeros((1, 2)), np.array(u), 1.0)
        assert np.isfinite(z).all()
        np.testing.assert_allclose(z.sum(), 1)


def test_pairs_of_a_batch_are_those_of_its_members() -> None:
    """(2, 3, E = 4, K = 5) and the smallest, K = 2, where the pair is always both."""
    rng = np.random.default_rng(0)
    p, u = policy.softmax(rng.normal(size=(2, 3, 4, 5))), rng.random((2, 3, 4, 2))
    p[0, 0, 0] = [0.0, 1.0, 0.0, 0.0, 0.0]
    first, second = policy.draw_pair(p, u)
    for index in np.ndindex(2, 3, 4):
        alone = policy.draw_pair(p[index][None], u[index][None])
        assert (alone[0][0] == first[index]).all()
        assert (alone[1][0] == second[index]).all()
        assert (first[index] @ second[index], second[index].sum()) == (0, 1)
    one, other = policy.draw_pair(np.full((3, 4, 2), 0.5), rng.random((3, 4, 2)))
    assert (one + other == 1).all()


# ------------------------------------------------------------------ a second architecture


def test_another_architecture_of_three_edges_has_its_share_of_what_is_left() -> None:
    """P(b | a) = P_b / (1 - P_a) for all 56 ordered pairs: the edge that differs first may be any of the three."""
    n, p = 40, np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
    every = [np.array([[1 - i, i], [1 - j, j], [1 - k, k]]) for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    law = [float((p * b).sum(axis=-1).prod()) for b in every]
    for number, a in enumerate(every):
        drawn = policy.draw_another(
            np.broadcast_to(p, (n**3, 3, 2)), np.broadcast_to(1.0 * a, (n**3, 3, 2)), grid(n, 3)
        )
        found = np.bincount(drawn[..., 1].astype(int) @ [4, 2, 1], minlength=8) / n**3
        expected = [0 if b == number else law[b] / (1 - law[number]) for b in range(8)]
        assert found[number] == 0
        assert np.abs(found - expected).max() < 0.5 / n


def test_what_cannot_be_drawn_leaves_all_the_others_their_probabilities() -> None:
    """Given an architecture of probability zero, another one is a plain draw."""
    p, a = np.array([[0.0, 0.25, 0.75]]), np.array([[1.0, 0.0, 0.0]])
    drawn = policy.draw_another(np.broadcast_to(p, (8, 1, 3)), np.broadcast_to(a, (8, 1, 3)), grid(8, 1))
    assert drawn[:, 0].argmax(axis=-1).tolist() == [1, 1, 2, 2, 2, 2, 2, 2]


def test_gates_of_choices_have_any_number_of_edges() -> None:
    for edges in (1, 2, 3):
        like, choice = np.zeros((4, edges, 5)), np.arange(4 * edges).reshape(4, edges) % 3
        np.testing.assert_array_equal(policy.gates_of(choice, 3, like), np.eye(3)[choice])
