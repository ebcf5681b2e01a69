"""Samples that suffice: the tail by hand, both inequalities in order, and bounds that are too small noticed."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from nas.methods import METHODS
from theory import exact
from theory.cases import Case, random_case
from theory.claim import holds, try_case
from theory.claims import CLAIMS, t14_concentration
from theory.claims.t5_taylor_bias import FLIP
from theory.claims.t14_concentration import (
    bernstein,
    bousquet,
    chernoff,
    failure_bound,
    pinelis,
    samples_by_bernstein,
    samples_needed,
    spread,
    tail,
)
from theory.landscapes import make
from theory.quantities import expected_loss
from theory.sampled import failure_probability, samples_for_full_step

CLAIM = CLAIMS["T14"]


def test_the_tail_by_hand() -> None:
    """Errors -1 and 3 with chances 3/4 and 1/4: means of two are -1, 1, 3 with chances 9/16, 6/16, 1/16."""
    weights, away = np.array([F(3, 4), F(1, 4)]), np.array([F(-1), F(3)]).reshape(2, 1, 1)
    centre = np.array([[F(0)]])
    assert tail(weights, away, centre, F(1), 2) == 1
    assert tail(weights, away, centre, F(2), 2) == F(1, 16)
    assert tail(weights, away, centre, F(9), 1) == F(1, 4)


def test_bernstein_by_hand() -> None:
    """V = 3, B = 3, r = 3, n = 2: 2 exp(-2 9 / (6 + 6)) = 2 exp(-3/2)."""
    assert bernstein(3.0, 3.0, 3.0, 2) == pytest.approx(2 * math.exp(-1.5))


def test_bousquet_by_hand() -> None:
    """V = 4, n = 4: sqrt(V / n) = 1, r = 2: one over it. v = 4 * 1 + 2 * 2 sqrt(16) = 20, u = 2 * 4 * 1 / 20 = 2/5."""
    expected = math.exp(-5 * (1.4 * math.log(1.4) - 0.4))
    assert bousquet(4.0, 1.0, 2.0, 2.0, 4) == pytest.approx(expected, rel=1e-12)
    assert bousquet(4.0, 1.0, 2.0, 1.0, 4) == 1


def test_the_law_of_sizes_by_hand() -> None:
    """One size, 2: at l = 1, 5 samples, r = 3/2: (e^2 - 2)^5 / cosh(7.5); the smallest over l is no more than that."""
    one, size = np.array([1.0]), np.array([2.0])
    at_one = (math.exp(2) - 2) ** 5 / math.cosh(7.5)
    x = minimise_scalar(lambda x: 5 * math.log(math.exp(2 * x) - 2 * x) - math.log(math.cosh(7.5 * x)), 1e-3, 4)
    best = (math.exp(2 * x) - 2 * x) ** 5 / math.cosh(7.5 * x)
    assert best <= pinelis(one, size, 1.5, 5) <= min(1.0, at_one, 1.02 * best)
    assert pinelis(one, size, np.array([0.0, -1.0]), 5).tolist() == [1, 1]
    assert pinelis(one, 0 * size, np.array([0.0, 1.0]), 5).tolist() == [1, 0]


def test_chernoff_by_hand() -> None:
    """A fair coin of 0 and 1: P(mean >= a) <= exp(-n (ln 2 - H(a))), H the entropy in nats (Chernoff 1952)."""
    fair, values = np.array([0.5, 0.5]), np.array([0.0, 1.0])
    for a, n in ((0.6, 7), (0.75, 10), (0.9, 3)):
        exactly = math.exp(n * (-a * math.log(a) - (1 - a) * math.log(1 - a) - math.log(2)))
        assert exactly * (1 - 1e-12) <= chernoff(fair, values, a, n) <= 1.03 * exactly
    assert chernoff(fair, values, np.array([0.5, 0.2]), 9).tolist() == [1, 1]
    assert chernoff(fair, 0 * values, np.array([0.0, 0.1]), 9).tolist() == [1, 0]


def minimise_scalar(function: Callable[[float], float], low: float, high: float) -> float:
    return float(minimize_scalar(function, bounds=(low, high), method="bounded").x)


def test_the_number_of_samples_is_what_the_bounds_ask_for() -> None:
    land, p = make("quadratic", 2, 2, seed=4), np.array([[0.6, 0.4], [0.3, 0.7]])
    gradient = exact.truth(land, p).gradient
    for name, delta, share in (("reinforce", 0.05, 1.0), ("exact_advantage", 1e-4, 0.5), ("advantage", 0.05, 1.0)):
        law = t14_concentration.law(name, land, p)
        n = int(samples_needed(*law, gradient, delta, share))
        assert failure_bound(*law, gradient, n, share) <= delta < failure_bound(*law, gradient, n - 1, share)
    assert math.isinf(samples_needed(*law, 0 * gradient, 0.05))
    assert samples_by_bernstein(2.0, 4.0, 3.0, 2 / math.e) == 3  # (8 / 4 + 6 / 6) ln e
    assert math.isinf(samples_by_bernstein(0.0, 4.0, 3.0, 0.05))


def test_along_and_across_by_hand() -> None:
    """X = (2, 1) or (2, -1), fair, along (1, 0) for R = 4: A = 2 for sure, so a step fails only across.

    At a -> 2 the rest is sqrt(2 (8 - 2)) = sqrt(12) > 1: it never fails. At R = 1.2 the best a below 1.2 leaves
    sqrt(a (2.4 - a)) < 1.2, and A = 2 <= 2 R - a only for a <= 0.4: sqrt(0.4 * 2) = 0.894, so for n = 1 no promise.
    """
    law, flat, unit = np.array([0.5, 0.5]), np.array([[2.0, 1.0], [2.0, -1.0]]), np.array([1.0, 0.0])
    assert t14_concentration._along_and_across(law, flat, unit, 4.0, 1) < 1e-9
    assert t14_concentration._along_and_across(law, flat, unit, 1.2, 1) >= 1
    # nine samples at a = 0.39, the largest level: P(|mean of 9 signs| >= 0.885) by Chernoff, 2 exp(-9 (ln 2 - H(0.94)))
    rest = math.sqrt(0.39 * 2.01)
    up = (1 + rest) / 2
    both = 2 * math.exp(9 * (-up * math.log(up) - (1 - up) * math.log(1 - up) - math.log(2)))
    assert t14_concentration._along_and_across(law, flat, unit, 1.2, 9) == pytest.approx(both, rel=0.05)


@pytest.mark.parametrize("edges", [2, 3])
def test_all_that_is_promised_holds_along_and_across(edges: int) -> None:
    """Three edges: what is across has two dimensions or more, and no line."""
    land, p = make("quadratic", edges, 2, seed=4), np.random.default_rng(0).dirichlet(np.ones(2), edges)
    gradient = exact.truth(land, p).gradient
    weights, gradients = t14_concentration.law("exact_advantage_with_baseline", land, p)
    for samples in (1, 2, 4):
        chances, steps = t14_concentration.means(weights, gradients, samples)
        fails = (steps * steps).sum(axis=(1, 2)) >= 2 * (steps * gradient).sum(axis=(1, 2))
        assert chances.sum() == pytest.approx(1)
        assert chances[fails].sum() <= failure_bound(weights, gradients, gradient, samples) + 1e-9
    assert failure_bound(weights, gradients, gradient, 4000) < 1e-3


def test_the_promise_holds_exactly_and_needs_fewer_samples_than_before() -> None:
    """Within ten times the number that suffices, where credit is unbiased; fewer than Bernstein and Chebyshev ask."""
    land, p = make("quadratic", 2, 2, seed=4), np.array([[0.6, 0.4], [0.3, 0.7]])
    for name, exactly in (("reinforce", 2), ("exact_advantage", 9), ("exact_advantage_with_baseline", 5)):
        found = exact.moments(METHODS[name], land, p)
        law = t14_concentration.law(name, land, p)
        _, _, bound, _ = spread(name, land, p)
        n = int(samples_needed(*law, found.gradient, 0.05))
        assert failure_probability(METHODS[name], land, p, exactly) <= 0.05
        assert failure_probability(METHODS[name], land, p, exactly - 1) > 0.05
        assert n <= 10 * exactly
        room = float(np.linalg.norm(found.gradient)) - found.bias_norm
        assert n < samples_by_bernstein(room, float(found.total_variance), bound, 0.05)
        assert n < samples_for_full_step(found, 0.05)


def test_no_number_of_samples_helps_where_the_mean_step_climbs() -> None:
    land, p = FLIP.problem(False), FLIP.policy(False)
    law = t14_concentration.law("advantage", land, p)
    assert math.isinf(samples_needed(*law, exact.truth(land, p).gradient, 0.5))


# ------------------------------------------------------------------ every room, over all draws in order


@pytest.mark.parametrize("exactly", [True, False])
@pytest.mark.parametrize("name", t14_concentration.TRIED)
def test_the_rooms_are_what_is_promised_less_what_happens(name: str, exactly: bool) -> None:
    """Three samples of two binary edges: 64 ordered draws, each with its chance; the bounds are those tested above."""
    case, samples = Case("quadratic", np.array([[3], [-1], [2], [5], [3]]), np.array([[1, 2], [3, 4]]), F(1, 2), 0), 3
    land, p = case.problem(exactly), case.policy(exactly)
    found = exact.moments(METHODS[name], land, p)
    law = spread(name, land, p)
    q, x = t14_concentration.law(name, land, p)
    drawn = [(math.prod(q[list(a)]), sum(x[list(a)]) / samples) for a in itertools.product(range(4), repeat=samples)]
    g, m = found.gradient, found.mean
    away = [float(((row - m) ** 2).sum()) ** 0.5 for row in x]
    bound, variance = max(away), sum(float(a) * n**2 for a, n in zip(q, away, strict=True))
    flat = np.array([(row - m).ravel() for row in x], dtype=float)
    covariance = sum(float(a) * np.outer(row, row) for a, row in zip(q, flat, strict=True))
    assert law[2:] == (pytest.approx(bound), pytest.approx(np.linalg.eigvalsh(covariance)[-1]))
    expected = []
    for part in (0.25, 0.5, 0.9):
        radius = part * round(bound * 4096) / 4096
        chance = float(sum(a for a, mean in drawn if float(((mean - m) ** 2).sum()) >= radius**2))
        promises = [
            bernstein(variance, bound, radius, samples),
            bousquet(variance, law[3], bound, radius, samples),
            float(pinelis(q.astype(float), np.array(away), radius, samples)),
        ]
        expected += [promise - chance for promise in promises]
    assert t14_concentration._tail_rooms(found, *law, samples) == pytest.approx(expected, abs=1e-8)
    delta = (land.max_loss - land.min_loss) / 4  # C of two edges
    for share in (F(3, 7), F(6, 7)):  # at which no draw is a tie, which floats would break
        part = share if exactly else float(share)
        rooms = t14_concentration._step_rooms(land, found, law[0], law[1] + m, samples, part)
        fails = [2 * (mean * g).sum() <= part * (mean * mean).sum() for _, mean in drawn]
        most = failure_bound(q.astype(float), x.astype(float), g.astype(float), samples, float(share))
        assert rooms[0] == pytest.approx(
            most - float(sum(a for (a, _), f in zip(drawn, fails, strict=True) if f)), abs=1e-8
        )
        if exactly:
            assert len(rooms) == 2
            continue
        moved = [p * np.exp(-float(share) / float(delta) * mean) for _, mean in drawn]
        after = [expected_loss(land, row / row.sum(axis=-1, keepdims=True)) for row in moved]
        worse = sum(a for (a, _), j in zip(drawn, after, strict=True) if j >= found.expected_loss)
        assert rooms[2] == pytest.approx(
            float(sum(a for (a, _), f in zip(drawn, fails, strict=True) if f)) - worse, abs=1e-8
        )
        assert rooms[3] == math.inf  # the step is the one that is named


def test_what_the_statements_number_leaves_by_hand() -> None:
    """One fair edge, exact advantages 0 and (-1/2, 1/2): |g|^2 = 1/8, B^2 = V = 1/8, so V / g^2 = B / g = 1.

    n = ceil((2 + 2/3) ln 40) = ceil(9.837) = 10: 2 exp(-10 / (8/3)) is below 1/20, 2 exp(-9 / (8/3)) above.
    """
    land, p = Case("table", np.array([0, 1, 0]), np.array([[1, 1]]), F(1), 0).problem(False), np.full((1, 2), 0.5)
    found = exact.moments(METHODS["exact_advantage"], land, p)
    law = t14_concentration.law("exact_advantage", land, p)
    room = t14_concentration._promise(found, *law, found.gradient)
    at = [2 * math.exp(-n * 3 / 8) for n in (9, 10)]
    assert at[1] < 0.05 < at[0]
    assert room == pytest.approx(
        min(0.05 - at[1], at[0] - 0.05, 0.05 - failure_bound(*law, found.gradient, 10)), abs=1e-8
    )
    assert t14_concentration._promise(found, *law, 0 * found.gradient) == math.inf  # no room, no promise


def test_nothing_to_step_along_is_no_room() -> None:
    """All losses equal, and a saddle, where the gradient vanishes though the losses differ."""
    flat = Case("table", np.full((3, 3), 7), np.array([[1, 2], [3, 4]]), F(1), 0)
    saddle = Case("table", np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]]), np.ones((2, 2), dtype=int), F(1), 0)
    for case in (flat, saddle):
        for exactly in (True, False):
            land, p = case.problem(exactly), case.policy(exactly)
            found = exact.moments(METHODS["reinforce"], land, p)
            law = t14_concentration.law("reinforce", land, p)
            assert t14_concentration._step_rooms(land, found, *law, 2, 1) == []


def test_means_by_hand() -> None:
    """Two of (0, 4) with chances 3/4, 1/4: 0, 2 and 4 with 9/16, 6/16, 1/16."""
    chances, found = t14_concentration.means(np.array([F(3, 4), F(1, 4)]), np.array([F(0), F(4)]).reshape(2, 1, 1), 2)
    assert dict(zip(found.ravel().tolist(), chances.tolist(), strict=True)) == {0: F(9, 16), 2: F(6, 16), 4: F(1, 16)}


def test_every_control_promises_what_it_says_by_hand() -> None:
    """RARE: exact advantages 9 (0.99, -0.99) with chance 0.01, else nothing: V = 2 (0.0099) 8.91^2, B = 8.8209 sqrt 2.

    FLIP: credits (-30, 40), gradients -+15 and -+20, m = -+17.5, B^2 = V = 12.5, but ||grad J||^2 = 25/8: 24 samples
    are promised 2 exp(-24 (25/8) / (25 + 12.5 / 3)), and never do. On (0, 1; 1, 3) grad J has 3/8 in every entry, J is
    5/4, and <grad J, X> is 15/16, 0, 0 and 21/16.
    """
    no_term, doubled, no_bias, along_alone = CLAIM.controls
    variance, bound = 2 * 0.0099 * 8.91**2, 8.8209 * math.sqrt(2)
    radius = 0.9 * bound
    for control, scale in ((no_term, 2 * variance), (doubled, variance + bound * radius / 3)):
        number = try_case(control.slack, t14_concentration.RARE, False)
        assert number == pytest.approx(2 * math.exp(-radius * radius / scale) - 0.01, abs=1e-8)
    assert try_case(no_bias.slack, t14_concentration.SMALL, False) == pytest.approx(2 * math.exp(-18 / 7) - 1, abs=1e-8)
    four = Case("table", np.array([[0, 1, 0], [1, 3, 0], [0, 0, 0]]), np.ones((2, 2), dtype=int), F(1), 0)
    scores = {a: np.array([1 - 2 * a[0], 2 * a[0] - 1, 1 - 2 * a[1], 2 * a[1] - 1]) / 2 for a in np.ndindex(2, 2)}
    law = [(loss - 1.25) * scores[a] for a, loss in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 3}.items()]
    gradient = np.array([-3, 3, -3, 3]) / 8
    steps = [(one + other) / 2 for one in law for other in law]
    fails = np.mean([step @ step >= 2 * step @ gradient for step in steps])
    promised = chernoff(np.full(4, 0.25), np.array([-15, 0, 0, -21]) / 16, 0.0, 2)
    assert try_case(along_alone.slack, four, False) == pytest.approx(promised - fails, abs=1e-8)
    assert 0 < fails < 1


# ------------------------------------------------------------------ teeth


def _violated(number: int = 40) -> int:
    rng = np.random.default_rng(3)
    rare = [Case("quadratic", np.array([[9], [0], [0]]), np.array([[1, w]]), F(1), np.zeros((1, 2))) for w in (9, 99)]
    cases = [random_case(rng, CLAIM.domain) for _ in range(number)] + rare
    return sum(not holds(try_case(CLAIM.slack, case, exactly), exactly) for case in cases for exactly in (False, True))


WRONG: dict[str, Callable[..., Any]] = {
    "bernstein": lambda v, b, r, n: 2 * math.exp(-n * r * r / (2 * v)) if v > 0 else 1.0,
    "bousquet": lambda v, s, b, r, n: math.exp(-n * max(0.0, r - math.sqrt(v / n)) ** 2 / (2 * s)) if s > 0 else 1.0,
    "pinelis": lambda weights, norms, r, n, right=pinelis: right(weights, norms, 2 * r, n),
    "chernoff": lambda weights, values, level, n, right=chernoff: right(weights, values, level, 3 * n),
}


@pytest.mark.parametrize("which", WRONG)
def test_control_a_bound_that_is_too_small_is_noticed(which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With B = 0 in the exponent, at twice the radius, or for thrice the samples, errors are promised away."""
    assert _violated() == 0
    monkeypatch.setattr(t14_concentration, which, WRONG[which])
    assert _violated() > 0


def test_control_a_bound_that_forgets_what_is_across_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample as its part along the gradient."""
    right = failure_bound

    def along(weights: Any, gradients: Any, gradient: Any, samples: int, share: float = 1.0) -> float:
        unit = gradient / math.sqrt(float((gradient * gradient).sum()))
        parts = (gradients * unit).sum(axis=(1, 2))[:, None, None] * unit
        return right(weights, parts, gradient, samples, share)

    monkeypatch.setattr(t14_concentration, "failure_bound", along)
    assert _violated() > 0


def test_control_a_failure_that_is_not_counted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = t14_concentration.means
    monkeypatch.setattr(
        t14_concentration,
        "means",
        lambda weights, values, samples: (3 + right(weights, values, samples)[0], right(weights, values, samples)[1]),
    )
    assert _violated() > 20
