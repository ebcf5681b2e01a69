"""Every estimator: exact identities, hand calculations, unbiasedness by summing all outcomes, agreement of worlds."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import estimators

# ------------------------------------------------------------------ exact inputs


def rationals(rng: np.random.Generator, *shape: int) -> Any:
    return np.array(
        [
            F(int(n), int(d))
            for n, d in zip(
                rng.integers(-9, 10, np.prod(shape, dtype=int)),
                rng.integers(1, 7, np.prod(shape, dtype=int)),
                strict=True,
            )
        ],
        dtype=object,
    ).reshape(shape)


def simplex(rng: np.random.Generator, *shape: int) -> Any:
    weights = rng.integers(1, 9, shape).astype(object)
    return np.array([F(int(w)) for w in weights.ravel()], dtype=object).reshape(shape) / weights.sum(-1, keepdims=True)


def one_hot(rng: np.random.Generator, *shape: int) -> Any:
    chosen = rng.integers(0, shape[-1], shape[:-1])
    return np.array(np.eye(shape[-1], dtype=int)[chosen], dtype=object)


CASES: dict[str, Callable[[np.random.Generator, tuple[int, ...], int, int], tuple[Any, ...]]] = {
    "credited": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, e, k), rationals(r, *b, e)),
    "reinforce": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, e, k), rationals(r, *b), rationals(r, *b)),
    "reinforce_with_entropy": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b),
        rationals(r, *b),
        F(2, 5),
    ),
    "advantage": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, e, k), rationals(r, *b, e, k)),
    "advantage_with_baseline": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b, e, k),
        rationals(r, *b, e),
    ),
    "actor_critic": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b, e, k),
    ),
    "exact_advantage": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b, e),
    ),
    "debiased_advantage": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b),
        one_hot(r, *b, e),
    ),
    "budgeted_advantage": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b, e),
        rationals(r, *b, e),
        one_hot(r, *b, e),
        simplex(r, *b, e),
    ),
    "reference_advantage": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b, e, k),
        rationals(r, *b, e, k),
    ),
    "quadrature_advantage": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b, 3, e, k),
        simplex(r, 3),
    ),
    "reinforce_leave_one_out": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, 4, e, k), rationals(r, *b, 4)),
    "counterfactual": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b, e, k),
    ),
    "marginalised": lambda r, b, e, k: (simplex(r, *b, e, k), rationals(r, *b, e, k)),
    "parsec": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, 4, e, k), simplex(r, *b, 4)),
    "ars": lambda r, b, e, k: (rationals(r, *b, e), rationals(r, *b, k)),
    "muprop": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b),
        rationals(r, *b, e, k),
    ),
    "darts": lambda r, b, e, k: (simplex(r, *b, e, k), rationals(r, *b, e, k)),
    "unrolled": lambda r, b, e, k: (
        rationals(r, *b, e, k),
        rationals(r, *b, e, k),
        rationals(r, *b, e, k),
        F(1, 3),
        F(1, 7),
    ),
    "relaxed": lambda r, b, e, k: (simplex(r, *b, e, k), rationals(r, *b, e, k), F(5, 2)),
    "gumbel_rao": lambda r, b, e, k: (simplex(r, *b, 3, e, k), rationals(r, *b, e, k), F(5, 2)),
    "unordered_set": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, 2, e, k), rationals(r, *b, 2)),
    "disarm": lambda r, b, e, k: (simplex(r, *b, e, 2)[..., 0], one_hot(r, *b, 2, e, 2), rationals(r, *b, 2)),
    "rebar": lambda r, b, e, k: (
        simplex(r, *b, e, k),
        one_hot(r, *b, e, k),
        rationals(r, *b),
        simplex(r, *b, e, k),
        rationals(r, *b, e, k),
        simplex(r, *b, e, k),
        simplex(r, *b, e, k),
        rationals(r, *b),
        rationals(r, *b, e, k),
        F(5, 2),
    ),
    "fill_idle": lambda r, b, e, k: (one_hot(r, *b, e, k), rationals(r, *b, e, k), rationals(r, *b, e)),
    "reinmax": lambda r, b, e, k: (simplex(r, *b, e, k), one_hot(r, *b, e, k), rationals(r, *b, e, k)),
    "proxyless": lambda r, b, e, k: (simplex(r, *b, e, 2), rationals(r, *b, e, 2)),
    "nasp": lambda r, b, e, k: (rationals(r, *b, e, k),),
    "binomial": lambda r, b, e, k: (simplex(r, *b, e, 2)[..., 0], rationals(r, *b, e), k - 1, rationals(r, *b, e)),
    "first_order_credit": lambda r, b, e, k: (one_hot(r, *b, e, k), rationals(r, *b, e, k)),
    "softmax_pullback": lambda r, b, e, k: (simplex(r, *b, e, k), rationals(r, *b, e, k)),
}
ROWS_SUM_TO_ZERO = sorted(set(CASES) - {"unrolled", "fill_idle", "nasp", "binomial", "first_order_credit", "ars"})


def estimator(name: str) -> Callable[..., Any]:
    return getattr(estimators, name)  # type: ignore[no-any-return]


def converted(arguments: tuple[Any, ...], convert: Callable[[Any], Any]) -> list[Any]:
    return [convert(a) if isinstance(a, np.ndarray) else a if isinstance(a, int) else float(a) for a in arguments]


def test_every_public_estimator_has_a_case() -> None:
    public = {
        n
        for n, f in vars(estimators).items()
        if callable(f) and getattr(f, "__module__", "") == "nas.estimators" and not n.startswith("_")
    }
    assert public == set(CASES)


# ------------------------------------------------------------------ identities


@pytest.mark.parametrize("name", ROWS_SUM_TO_ZERO)
@given(
    seed=st.integers(0, 2**32 - 1),
    edges=st.integers(1, 3),
    candidates=st.integers(1, 4),
    batch=st.sampled_from([(), (2,), (2, 1)]),
)
@settings(max_examples=15, deadline=None)
def test_rows_sum_to_zero_exactly(name: str, seed: int, edges: int, candidates: int, batch: tuple[int, ...]) -> None:
    gradient = estimator(name)(*CASES[name](np.random.default_rng(seed), batch, edges, candidates))
    assert gradient.shape[:-1] == (*batch, edges)
    assert (gradient.sum(axis=-1) == 0).all()
    assert all(isinstance(entry, F | int) for entry in gradient.ravel())


@pytest.mark.parametrize("name", ["unrolled", "nasp", "fill_idle"])
def test_control_rows_of_plain_gate_gradients_do_not_sum_to_zero(name: str) -> None:
    gradient = estimator(name)(*CASES[name](np.random.default_rng(0), (), 2, 3))
    assert (gradient.sum(axis=-1) != 0).any()


@pytest.mark.parametrize(
    "name", ["advantage", "advantage_with_baseline", "reinforce", "exact_advantage", "darts", "relaxed", "reinmax"]
)
def test_rows_sum_to_zero_on_symbols(name: str) -> None:
    """The same functions on SymPy symbols: with p's and a's rows summing to one, each row of the gradient cancels."""
    edges, candidates = 2, 3

    def symbols(letter: str, *shape: int) -> Any:
        return np.array([sympy.Symbol(f"{letter}{i}") for i in range(int(np.prod(shape)))], dtype=object).reshape(shape)

    def row_stochastic(letter: str) -> Any:
        free = symbols(letter, edges, candidates - 1)
        return np.concatenate([free, 1 - free.sum(axis=-1, keepdims=True)], axis=-1)

    p, a, g = row_stochastic("p"), row_stochastic("a"), symbols("g", edges, candidates)
    arguments = {
        "advantage": (p, a, g),
        "advantage_with_baseline": (p, a, g, symbols("b", edges)),
        "reinforce": (p, a, sympy.Symbol("L"), sympy.Symbol("b")),
        "exact_advantage": (p, a, sympy.Symbol("L"), symbols("z", edges)),
        "darts": (p, g),
        "relaxed": (p, g, sympy.Symbol("tau")),
        "reinmax": (p, a, g),
    }[name]
    gradient = estimator(name)(*arguments)
    assert all(sympy.expand(row.sum()) == 0 for row in gradient)
    assert any(sympy.expand(entry) != 0 for entry in gradient.ravel())  # control: the entries themselves do not vanish


# ------------------------------------------------------------------ hand calculations


def test_advantage_by_hand() -> None:
    p = np.array([[F(1, 2), F(1, 2)], [F(1, 4), F(3, 4)]])
    a = np.array([[1, 0], [0, 1]], dtype=object)
    g = np.array([[F(3), F(100)], [F(-100), F(-2)]])
    # edge 0: credit 3, score (1/2, -1/2); edge 1: credit -2, score (-1/4, 1/4); idle entries are not read
    assert (estimators.advantage(p, a, g) == [[F(3, 2), F(-3, 2)], [F(1, 2), F(-1, 2)]]).all()


def test_reinforce_by_hand() -> None:
    p, a = np.array([[F(1, 3), F(2, 3)]]), np.array([[0, 1]], dtype=object)
    # (5 - 2) (a - p) = 3 (-1/3, 1/3)
    assert (estimators.reinforce(p, a, F(5), F(2)) == [[-1, 1]]).all()


def test_reinforce_with_entropy_by_hand() -> None:
    p, a = np.array([[F(1, 3), F(2, 3)]]), np.array([[0, 1]], dtype=object)
    # (5 + 1/2 * -4 - 2) (a - p) = 1 (-1/3, 1/3)
    assert (estimators.reinforce_with_entropy(p, a, F(5), F(-4), F(2), F(1, 2)) == [[F(-1, 3), F(1, 3)]]).all()


def test_actor_critic_by_hand() -> None:
    p, a = np.array([[F(1, 2), F(1, 2)], [F(1, 4), F(3, 4)]]), np.array([[1, 0], [0, 1]], dtype=object)
    w = np.array([[F(3), F(5)], [F(2), F(6)]])
    # expected 4 and 5; edge 0 is 1 better than that, edge 1 is 1 worse: V = (4 + 1, 5 - 1), L - V = (1, 2)
    expected = [[F(1, 2), F(-1, 2)], [F(-1, 2), F(1, 2)]]
    assert (estimators.actor_critic(p, a, F(6), w) == expected).all()


def test_relaxed_by_hand() -> None:
    z, g = np.array([[F(1, 4), F(3, 4)]]), np.array([[F(8), F(4)]])
    # <z, g> = 5; z (g - 5) / 2 = (1/4 * 3, 3/4 * -1) / 2
    assert (estimators.relaxed(z, g, 2) == [[F(3, 8), F(-3, 8)]]).all()


def test_parsec_by_hand() -> None:
    p = np.array([[F(1, 2), F(1, 2)]])
    gates = np.array([[[1, 0]], [[0, 1]]], dtype=object)
    # -(3/4 (1/2, -1/2) + 1/4 (-1/2, 1/2)) = (-1/4, 1/4): the better sample gains probability
    assert (estimators.parsec(p, gates, np.array([F(3, 4), F(1, 4)])) == [[F(-1, 4), F(1, 4)]]).all()


def test_the_five_taylor_flip() -> None:
    """T5: phi = (t o - y)^2, o in {1, 2}, y = 8/5: first-order credit prefers the worse operation."""
    y = F(8, 5)
    exact = [(o - y) ** 2 - y**2 for o in (1, 2)]
    credit = [2 * (o - y) * o for o in (1, 2)]
    assert exact == [F(-11, 5), F(-12, 5)]
    assert credit == [F(-6, 5), F(8, 5)]
    p = np.array([[F(1, 2), F(1, 2)]])
    architectures = [np.array([[1, 0]], dtype=object), np.array([[0, 1]], dtype=object)]
    true = sum(
        a_p * estimators.exact_advantage(p, a, e + y**2, np.array([y**2]))
        for a, e, a_p in zip(architectures, exact, p[0], strict=True)
    )
    first = sum(
        a_p * estimators.advantage(p, a, np.array([credit], dtype=object))
        for a, a_p in zip(architectures, p[0], strict=True)
    )
    assert true[0, 1] < 0 < first[0, 1]  # the better operation 1: exact descends towards it, credit away from it


# ------------------------------------------------------------------ unbiased, by summing all outcomes


class Landscape:
    """Random loss tables over E edges and K + 1 operations, the last one zero: affine in each edge's gates."""

    def __init__(self, rng: np.random.Generator, edges: int, candidates: int) -> None:
        self.edges, self.candidates = edges, candidates
        self.table = rationals(rng, *(candidates + 1,) * edges)
        self.p = simplex(rng, edges, candidates)

    def outcomes(self) -> Iterator[tuple[tuple[int, ...], F, Any]]:
        for a in itertools.product(range(self.candidates), repeat=self.edges):
            probability = F(1)
            for edge, operation in enumerate(a):
                probability *= self.p[edge, operation]
            yield a, probability, self.gates(a)

    def gates(self, a: tuple[int, ...]) -> Any:
        return np.array(np.eye(self.candidates, dtype=int)[list(a)], dtype=object)

    def replaced(self, a: tuple[int, ...], edge: int, operation: int) -> F:
        return self.table[(*a[:edge], operation, *a[edge + 1 :])]  # type: ignore[no-any-return]

    def zeroed(self, a: tuple[int, ...]) -> Any:
        return np.array([self.replaced(a, e, self.candidates) for e in range(self.edges)], dtype=object)

    def alternatives(self, a: tuple[int, ...]) -> Any:
        return np.array(
            [[self.replaced(a, e, k) for k in range(self.candidates)] for e in range(self.edges)], dtype=object
        )

    def gradient(self) -> Any:
        """E[L (a - p)] = p (q - J), from the definition."""
        return sum(probability * self.table[a] * (gates - self.p) for a, probability, gates in self.outcomes())

    def mean(self, estimate: Callable[[tuple[int, ...], Any], Any]) -> Any:
        return sum(probability * estimate(a, gates) for a, probability, gates in self.outcomes())


LANDSCAPES = [(1, 2), (1, 3), (2, 2), (2, 3), (3, 2)]


@pytest.fixture(params=LANDSCAPES, ids=str)
def land(request: pytest.FixtureRequest) -> Landscape:
    return Landscape(np.random.default_rng(sum(request.param)), *request.param)


def test_reinforce_is_unbiased(land: Landscape) -> None:
    mean = land.mean(lambda a, gates: estimators.reinforce(land.p, gates, land.table[a], F(7, 3)))
    assert (mean == land.gradient()).all()


def test_control_a_baseline_that_depends_on_the_gates_is_biased(land: Landscape) -> None:
    mean = land.mean(lambda a, gates: estimators.reinforce(land.p, gates, land.table[a], F(a[0])))
    assert (mean != land.gradient()).any()


def test_exact_advantage_is_unbiased(land: Landscape) -> None:
    mean = land.mean(lambda a, gates: estimators.exact_advantage(land.p, gates, land.table[a], land.zeroed(a)))
    assert (mean == land.gradient()).all()


def test_first_order_credit_is_exact_where_the_loss_is_affine(land: Landscape) -> None:
    """T5: with L affine in every edge's gates, the gate gradient is L(a) - L(zeroed), so the means agree too."""

    def gate_gradient(a: tuple[int, ...]) -> Any:
        return land.alternatives(a) - land.zeroed(a)[:, None]

    mean = land.mean(lambda a, gates: estimators.advantage(land.p, gates, gate_gradient(a)))
    assert (mean == land.gradient()).all()
    b = np.array([F(2, 7)] * land.edges)
    with_baseline = land.mean(lambda a, gates: estimators.advantage_with_baseline(land.p, gates, gate_gradient(a), b))
    assert (with_baseline == land.gradient()).all()


def test_debiased_credit_is_unbiased_for_any_gate_gradient(land: Landscape) -> None:
    rng = np.random.default_rng(5)
    wrong = {a: rationals(rng, land.edges, land.candidates) for a, _, _ in land.outcomes()}
    q = simplex(rng, land.edges)
    edges = np.array(np.eye(land.edges, dtype=int), dtype=object)

    def estimate(a: tuple[int, ...], gates: Any, weights: Any, probability: Any) -> Any:
        return sum(
            weights[e]
            * estimators.debiased_advantage(
                land.p, gates, wrong[a], land.table[a], land.zeroed(a)[e], edges[e], probability
            )
            for e in range(land.edges)
        )

    even = np.array([F(1, land.edges)] * land.edges)
    assert (land.mean(lambda a, g: estimate(a, g, even, None)) == land.gradient()).all()
    assert (land.mean(lambda a, g: estimate(a, g, q, q)) == land.gradient()).all()
    assert (land.mean(lambda a, g: estimators.advantage(land.p, g, wrong[a])) != land.gradient()).any()  # control


def test_leave_one_out_is_unbiased(land: Landscape) -> None:
    pairs = itertools.product(land.outcomes(), repeat=2)
    mean = sum(
        pa
        * pb
        * estimators.reinforce_leave_one_out(land.p, np.stack([ga, gb]), np.array([land.table[a], land.table[b]]))
        for (a, pa, ga), (b, pb, gb) in pairs
    )
    assert (mean == land.gradient()).all()


def test_leave_one_out_refuses_one_sample() -> None:
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        estimators.reinforce_leave_one_out(np.ones((2, 2)) / 2, np.ones((1, 2, 2)), np.ones(1))


def test_counterfactual_and_marginalised_are_unbiased(land: Landscape) -> None:
    mean = land.mean(lambda a, g: estimators.counterfactual(land.p, g, land.table[a], land.alternatives(a)))
    assert (mean == land.gradient()).all()
    assert (land.mean(lambda a, g: estimators.marginalised(land.p, land.alternatives(a))) == land.gradient()).all()


def test_muprop_is_unbiased_for_any_expansion(land: Landscape) -> None:
    g = rationals(np.random.default_rng(3), land.edges, land.candidates)
    mean = land.mean(lambda a, gates: estimators.muprop(land.p, gates, land.table[a], F(3, 5), g))
    assert (mean == land.gradient()).all()


def test_binomial_is_unbiased() -> None:
    """d/dphi E[L(k)] with k ~ Binomial(n, s): ds/dphi = s (1 - s), d pmf / ds in exact arithmetic."""
    s, n, loss = F(2, 7), 3, [F(1), F(-2), F(5, 3), F(4)]
    choose = [1, 3, 3, 1]

    def pmf(k: int, x: Any) -> Any:
        return choose[k] * x**k * (1 - x) ** (n - k)

    x = sympy.Symbol("x")
    slope = sum(sympy.Rational(loss[k].numerator, loss[k].denominator) * sympy.diff(pmf(k, x), x) for k in range(n + 1))
    true = slope.subs(x, sympy.Rational(2, 7)) * sympy.Rational(2, 7) * sympy.Rational(5, 7)
    mean = sum(
        pmf(k, s) * estimators.binomial(np.array([s]), np.array([F(k)]), n, np.array([loss[k] - F(1, 2)]))[0]
        for k in range(n + 1)
    )
    assert sympy.Rational(mean.numerator, mean.denominator) == true
    assert mean != 0


def test_ars_is_unbiased_for_two_operations() -> None:
    """K = 2, E = 1: the noise is (u, 1-u), u uniform; operation 0 iff u < p_0. Integrated piecewise, exactly."""
    for p0, losses in [(F(1, 3), (F(2), F(-1))), (F(4, 5), (F(0), F(7, 2)))]:
        true = p0 * (1 - p0) * (losses[0] - losses[1])
        cuts = sorted({F(0), F(1), p0, 1 - p0})
        total = F(0)
        for left, right in itertools.pairwise(cuts):
            middle = (left + right) / 2  # the estimate is linear in u on each piece: the midpoint rule is exact
            plain, swapped = losses[0 if middle < p0 else 1], losses[0 if 1 - middle < p0 else 1]
            estimate = estimators.ars(np.array([middle]), np.array([plain, swapped]))
            total += (right - left) * estimate[0, 0]
        assert total == true


def test_reinmax_is_exact_for_one_quadratic_edge_and_straight_through_is_not() -> None:
    rng = np.random.default_rng(2)
    p, o, y = simplex(rng, 1, 3), rationals(rng, 3), F(4, 5)

    def loss(h: F) -> F:
        return (h - y) ** 2

    true = p[0] * (np.array([loss(h) for h in o]) - sum(pk * loss(h) for pk, h in zip(p[0], o, strict=True)))

    def mean(estimate: Callable[[Any, Any], Any]) -> Any:
        gates = np.array(np.eye(3, dtype=int), dtype=object)
        return sum(p[0, k] * estimate(gates[k : k + 1], (2 * (o[k] - y) * o)[None]) for k in range(3))[0]

    assert (mean(lambda a, g: estimators.reinmax(p, a, g)) == true).all()
    assert (mean(lambda a, g: estimators.darts(p, g)) != true).any()


def test_quadrature_with_two_ends_is_exact_for_a_quadratic_gate() -> None:
    """phi(t) = (t o - y)^2, phi' = 2 (t o - y) o: the trapezoid of phi' on [0, 1] is phi(1) - phi(0)."""
    p, a, o, y = np.array([[F(1, 4), F(3, 4)]]), np.array([[0, 1]], dtype=object), np.array([F(1), F(2)]), F(8, 5)
    gradients = np.stack([2 * (t * o - y)[None] * o for t in (0, 1)])
    by_rule = estimators.quadrature_advantage(p, a, gradients, np.array([F(1, 2), F(1, 2)]))
    exact = estimators.exact_advantage(p, a, (o[1] - y) ** 2, np.array([y**2]))
    assert (by_rule == exact).all()
    assert (estimators.advantage(p, a, gradients[1]) != exact).any()  # control: first order is not


# ------------------------------------------------------------------ biased, and shown to be


def quadratic_edge() -> tuple[Any, Any, F]:
    return np.array([F(1, 3), F(2, 3)]), np.array([F(1), F(2)]), F(3, 2)


def test_darts_is_biased() -> None:
    p, o, y = quadratic_edge()
    true = p * ((o - y) ** 2 - (p * (o - y) ** 2).sum())
    assert (estimators.darts(p[None], (2 * ((p * o).sum() - y) * o)[None])[0] != true).any()


def test_proxyless_is_biased() -> None:
    """Two candidates: the pair is the whole edge; summed over the active path it is straight-through."""
    p, o, y = quadratic_edge()
    true = p * ((o - y) ** 2 - (p * (o - y) ** 2).sum())
    mean = sum(p[k] * estimators.proxyless(p[None], (2 * (o[k] - y) * o)[None])[0] for k in range(2))
    assert (mean != true).any()


@pytest.mark.parametrize("straight_through", [True, False], ids=["gdas", "snas"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_gumbel_relaxations_are_biased(straight_through: bool, temperature: float) -> None:
    """K = 2: z_1 = sigmoid((logit + logistic noise) / tau), so one integral over u gives the mean."""
    p_exact, o_exact, y_exact = quadratic_edge()
    p, o, y = p_exact.astype(float), o_exact.astype(float), float(y_exact)
    true = p * ((o - y) ** 2 - (p * (o - y) ** 2).sum())
    u = (np.arange(200_000) + 0.5) / 200_000
    z1 = 1 / (1 + np.exp(-(np.log(p[1] / p[0]) + np.log(u / (1 - u))) / temperature))
    z = np.stack([1 - z1, z1], axis=-1)[:, None, :]
    mixed = (z > 0.5).astype(float) if straight_through else z
    h = (mixed * o).sum(axis=-1)
    output_gradient = 2 * (h - y)
    dense = output_gradient[..., None] * o
    gradient = estimators.fill_idle(mixed, dense, output_gradient) if straight_through else dense
    mean = estimators.relaxed(z, gradient, temperature).mean(axis=0)[0]
    assert np.abs(mean - true).max() > 0.02  # the quadrature's own error is below 1e-3


def test_control_the_same_integral_finds_no_bias_in_an_unbiased_estimator() -> None:
    p_exact, o_exact, y_exact = quadratic_edge()
    p, o, y = p_exact.astype(float), o_exact.astype(float), float(y_exact)
    true = p * ((o - y) ** 2 - (p * (o - y) ** 2).sum())
    u = (np.arange(200_000) + 0.5) / 200_000
    gates = np.stack([u < p[0], u >= p[0]], axis=-1)[:, None, :].astype(float)
    loss = ((gates * o).sum(axis=(-1, -2)) - y) ** 2
    mean = estimators.reinforce(p[None], gates, loss, np.zeros_like(loss)).mean(axis=0)[0]
    assert np.abs(mean - true).max() < 1e-4


# ------------------------------------------------------------------ all worlds agree


@pytest.mark.parametrize("name", CASES)
def test_numpy_and_torch_agree_with_exact(name: str) -> None:
    arguments = CASES[name](np.random.default_rng(11), (3,), 2, 3)
    exact = np.asarray(estimator(name)(*arguments), dtype=float)
    worlds: list[tuple[Callable[[Any], Any], float]] = [
        (lambda x: x.astype(np.float64), 1e-12),
        (lambda x: x.astype(np.float32), 1e-4),
        (lambda x: torch.tensor(x.astype(np.float64)), 1e-12),
        (lambda x: torch.tensor(x.astype(np.float32)), 1e-4),
    ]
    for convert, tolerance in worlds:
        found = estimator(name)(*converted(arguments, convert))
        assert str(found.dtype).split(".")[-1] == str(convert(np.zeros(1)).dtype).split(".")[-1]
        np.testing.assert_allclose(np.asarray(found, dtype=float), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_vmap_over_replicates(name: str) -> None:
    if name == "quadrature_advantage":
        pytest.skip("the rule's weights have no replicate axis")
    arguments = converted(
        CASES[name](np.random.default_rng(4), (5,), 2, 3), lambda x: torch.tensor(x.astype(np.float64))
    )
    tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
    rest = [a for a in arguments if not isinstance(a, torch.Tensor)]
    if any(not isinstance(a, torch.Tensor) for a in arguments[: len(tensors)]):  # binomial: trials in the middle
        mapped = torch.func.vmap(lambda s, k, c: estimators.binomial(s, k, rest[0], c))(*tensors)
    else:
        mapped = torch.func.vmap(lambda *t: estimator(name)(*t, *rest))(*tensors)
    torch.testing.assert_close(mapped, estimator(name)(*arguments))


def test_compiles_into_one_graph() -> None:
    """All estimators in one function under torch.compile(fullgraph=True): nothing falls back to Python."""
    rng = np.random.default_rng(8)
    inputs = {
        name: converted(case(rng, (4,), 2, 3), lambda x: torch.tensor(x.astype(np.float64)))
        for name, case in CASES.items()
    }

    def everything(inputs: dict[str, list[Any]]) -> dict[str, Any]:
        return {name: estimator(name)(*arguments) for name, arguments in inputs.items()}

    torch.testing.assert_close(torch.compile(everything, fullgraph=True)(inputs), everything(inputs))


def test_importing_estimators_loads_neither_torch_nor_sympy() -> None:
    code = "import sys, nas.estimators; print(sorted({'torch', 'sympy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
