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
