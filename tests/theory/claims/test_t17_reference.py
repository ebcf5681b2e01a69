"""Credit against a reference: the flip repaired by hand, the circumcentre, and checkers that notice a wrong formula."""

from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest

from nas import estimators
from nas.methods import METHODS
from theory import exact
from theory.cases import Case, random_case
from theory.claim import holds, try_case
from theory.claims import CLAIMS, t17_reference
from theory.claims.t5_taylor_bias import FLIP
from theory.claims.t17_reference import bias, circumcentre, distances
from theory.landscapes import make

CLAIM = CLAIMS["T17"]


def test_the_midpoint_repairs_the_flip() -> None:
    """T5's flip, outputs 5 and 10, target 8, slopes -6 and 4: against the midpoint 7.5, credits -6 (-2.5) and 4 (2.5).

    15 and 10: operation 1 is the better one by 5, as the exact losses 9 and 4 say; against nothing -30 and 40.
    """
    land, p, half = FLIP.problem(True), FLIP.policy(True), np.full((1, 2), F(1, 2))
    gates = np.array([[[1, 0]], [[0, 1]]], dtype=object)
    slopes = land.gradients(gates, gates * 0 + 1).gate_gradient
    assert ((gates - half) * slopes).sum(axis=-1).ravel().tolist() == [15, 10]
    assert land.loss(gates).tolist() == [9, 4]
    assert (circumcentre(land.outputs) == half).all()  # type: ignore[attr-defined]
    assert (bias(land, p, half) == 0).all()  # type: ignore[arg-type]
    assert (bias(land, p, 0 * half) == exact.moments(METHODS["advantage"], land, p).bias).all()  # type: ignore[arg-type]


def test_the_circumcentre_lies_equally_far_and_has_no_bias() -> None:
    land: Any = make("quadratic", 2, 4, seed=2, exact=True, outputs=3)
    centre, p = circumcentre(land.outputs), np.array([[F(1, 10), F(2, 10), F(3, 10), F(4, 10)]] * 2)
    assert (centre.sum(axis=-1) == 1).all()
    apart = distances(land.outputs, centre)
    assert (apart == apart[:, :1]).all()
    assert (bias(land, p, centre) == 0).all()
    assert (bias(land, p, p) != 0).any()


def test_the_registered_method_compares_with_the_mean_output() -> None:
    land: Any = make("quadratic", 2, 3, seed=2, exact=True)
    p = np.array([[F(1, 6), F(2, 6), F(3, 6)]] * 2)
    assert (exact.moments(METHODS["reference_advantage"], land, p).bias == bias(land, p, p)).all()


def test_an_earlier_output_stands_for_the_mean_output_by_hand() -> None:
    """T5's flip, outputs 5 and 10, slopes -6 and 4, p = 1/2: against 5 the credits are 0 and 20, against 10 30 and 0.

    With w = 1/2 and a_0 - p_0 = 1/2 or -1/2 their mean gradients are -5 and 15/2, on average 5/4: that of 15 and 10,
    against 7.5. Second moments: 1/4 (200 + 450) / 1 = 325/2 on average, against 1/4 (225 + 100) = 325/4 of the mean;
    the price is w E[slope^2] (5/2)^2 = 1/2 * 26 * 25/4 = 325/4.
    """
    land, p = FLIP.problem(True), FLIP.policy(True)
    assert t17_reference.sparse_rooms(land, p) == [0, 0]  # type: ignore[arg-type]
    gates = np.array([[[1, 0]], [[0, 1]]], dtype=object)
    slopes = land.gradients(gates, gates * 0 + 1).gate_gradient
    credits = [((gates - one) * slopes).sum(axis=-1).ravel().tolist() for one in np.eye(2, dtype=int)]
    assert credits == [[0, 20], [30, 0]]
    means, seconds = [], []
    for reference in ([1, 0], [0, 1], [F(1, 2), F(1, 2)]):
        estimate = estimators.reference_advantage(p, gates, slopes, np.array([reference], dtype=object))
        means.append(estimate.mean(axis=0)[0, 0])
        seconds.append((estimate**2).sum(axis=(1, 2)).mean())
    assert means == [-5, F(15, 2), F(5, 4)]
    assert (seconds[0] + seconds[1]) / 2 == F(325, 4) + F(325, 4) == seconds[2] + F(325, 4)


@pytest.mark.parametrize("which", ["mean", "price"])
def test_control_a_reference_that_is_not_drawn_from_the_policy_is_noticed(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice an earlier output has another mean; the mean output itself, charged twice, another price."""
    right = estimators.reference_advantage

    def wrong(p: Any, gates: Any, slopes: Any, reference: Any) -> Any:
        drawn = bool(((reference == 0) | (reference == 1)).all())
        if not drawn:
            return right(p, gates, slopes, reference)
        return right(p, gates, slopes, 2 * reference) if which == "mean" else right(p, gates, slopes, p) * 2

    land, p = FLIP.problem(True), FLIP.policy(True)
    monkeypatch.setattr(estimators, "reference_advantage", wrong)
    mean, price = t17_reference.sparse_rooms(land, p)  # type: ignore[arg-type]
    assert (mean if which == "mean" else price) < 0


def test_three_outputs_on_a_line_have_no_circumcentre() -> None:
    with pytest.raises(ValueError, match="the outputs of edge 1 do not lie on a sphere"):
        circumcentre(np.array([[[0.0, 0], [1, 0], [0, 1]], [[0, 0], [1, 1], [2, 2]]]))


def test_no_reference_is_plain_credit() -> None:
    rng = np.random.default_rng(0)
    p, gates, slopes = rng.dirichlet(np.ones(4), 3), np.eye(4)[rng.integers(4, size=3)], rng.standard_normal((3, 4))
    np.testing.assert_array_equal(
        estimators.reference_advantage(p, gates, slopes, 0 * p), estimators.advantage(p, gates, slopes)
    )


def test_the_mean_output_is_nearest_in_the_mean_square() -> None:
    land: Any = make("quadratic", 3, 4, seed=1)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 3)
    for _ in range(20):
        other = p + 0.3 * rng.standard_normal(p.shape)
        assert ((p * distances(land.outputs, p)).sum() <= (p * distances(land.outputs, other)).sum()).all()


def test_every_control_by_hand() -> None:
    """h = (5, 10), y = 8, p = (1/4, 3/4): L = (9, 4), J = 21/4, gradient 15/16, mean output 35/4.

    1. At a quarter of its own output the edge has the losses (27/4)^2 and (11/2)^2. 2. and 3. ||h - rho||^2 is
    (225/16, 25/16) for the mean output and (25, 100) for none. 4. The slopes -6 and 4 make the credits (45/2, 5), or
    (0, 20) against operation 0: V = 2 (3/16) (3/4 c_0 + 1/4 c_1)^2. 5. s^3 at 5, rho 35/4: the remainder is
    75 (-15/4) - 125 + (35/4)^3, at most 6 (35/4) (15/4)^2 / 3 by this control.
    """
    case = Case("quadratic", np.array([[5], [10], [8]]), np.array([[1, 3]]), F(1, 2), np.zeros((1, 2), dtype=int))
    charged = 9 - F(27, 4) ** 2, 4 - F(11, 2) ** 2
    away = [F(1, 4) * F(3, 4) * (d[0] - d[1]) for d in ((F(225, 16), F(25, 16)), (F(25), F(100)))]
    spread = [F(3, 8) * (F(3, 4) * c[0] + F(1, 4) * c[1]) ** 2 for c in ((F(45, 2), 5), (0, 20))]
    by_hand = [
        -abs(F(3, 16) * (charged[0] - charged[1]) - F(15, 16)),
        -abs(away[0]),
        2 * away[1] ** 2 - 2 * away[0] ** 2,
        spread[0] - spread[1],
        6 * F(35, 4) * F(15, 4) ** 2 / 3 - abs(-75 * F(15, 4) - 125 + F(35, 4) ** 3),
    ]
    for control, number in zip(CLAIM.controls, by_hand, strict=True):
        assert try_case(control.slack, case, True) == number, control.name


# ------------------------------------------------------------------ teeth


def _violated(number: int = 12) -> int:
    rng = np.random.default_rng(3)
    domain = CLAIM.exact_domain or CLAIM.domain
    return sum(not holds(try_case(CLAIM.slack, random_case(rng, domain), True), True) for _ in range(number))


def test_control_an_estimator_without_its_reference_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _violated() == 0
    monkeypatch.setattr(
        estimators, "reference_advantage", lambda p, gates, slopes, reference: estimators.advantage(p, gates, slopes)
    )
    assert _violated() > 6


def test_control_sizes_for_distances_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t17_reference, "distances", lambda outputs, reference: distances(outputs, 0 * reference))
    assert _violated() > 6


def test_control_a_reference_in_the_wrong_place_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bias of credit vanishes at the circumcentre, not at the mean of the outputs."""
    monkeypatch.setattr(t17_reference, "circumcentre", lambda outputs: np.full(outputs.shape[:2], F(1, 3)))
    assert _violated() > 6
