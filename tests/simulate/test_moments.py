"""Measured moments against theory's, over the whole registry; a deliberately wrong estimator is caught."""

import dataclasses
import math
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from nas.methods import METHODS
from simulate import __main__ as program
from simulate import moments
from simulate.moments import WRONG, Comparison, compare, half_the_score
from simulate.philox import uniforms
from theory import exact, landscapes

RIGHT = [name for name, method in METHODS.items() if method.estimator is not None]


@pytest.mark.parametrize("name", RIGHT)
def test_measured_moments_are_the_exact_ones(name: str) -> None:
    # Seeded; a right estimator would fail at one seed in 10,000 (moments.LEVEL).
    found = compare(METHODS[name], "quadratic", n=20_000)
    assert found.agrees, found


@pytest.mark.parametrize("landscape", ["quadratic", "pairwise"])
def test_a_wrong_estimator_is_caught(landscape: str) -> None:
    found = compare(WRONG, landscape, n=20_000)
    assert not found.agrees
    assert found.worst > 5 * found.allowed


def test_the_command_prints_a_verdict_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["moments", "advantage", "--draws", "20000"]) == 0
    assert "agrees" in capsys.readouterr().out
    assert program.main(["moments", "simulate.moments:WRONG", "--draws", "20000"]) == 0
    assert "differs" in capsys.readouterr().out
    assert program.main(["moments", "advantagee"]) == 2


def test_too_few_draws_are_refused_before_anything_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With 500 draws a right estimator's rarest entry lies 128 standard errors off: none of them drew the operation."""
    assert program.main(["moments", "advantage", "--draws", "500"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "500 draws are too few to tell right from wrong: the rarest operation has probability 0.001" in printed.err
    assert printed.err.endswith("take 19,236 or more\n")


def test_the_wrong_estimator_halves_the_score_of_the_drawn_operation_alone() -> None:
    """A credit of 4 at p = (1/4, 3/4): 4 (1 - 1/4, -3/4) = (3, -3), of which the first is halved."""
    p, gates, gradient = np.array([[0.25, 0.75]]), np.array([[1.0, 0.0]]), np.array([[4.0, 7.0]])
    np.testing.assert_allclose(half_the_score(p, gates, gradient), [[1.5, -3.0]])


# ------------------------------------------------------------------ the comparison by hand


def by_hand(
    monkeypatch: pytest.MonkeyPatch, draws: Any, mean: Any, error: float = 0.0, variance: float = 0.0, off: float = 0.0
) -> Comparison:
    """compare() where these (n, 2) were drawn; error and off are the exact side's, of its mean and of its variance."""
    known = SimpleNamespace(
        mean=np.array([mean]), error=error, total_variance=variance, variance_error=off, bias_norm=0.25,
        gradient=np.array([[-1.0, 1.0]]),
    )  # fmt: skip
    monkeypatch.setattr(moments, "OFTEN", 0)  # of what is given nothing is rare
    monkeypatch.setattr(exact, "moments", lambda *_: known)
    monkeypatch.setattr(moments, "_gradients", lambda *_: np.array(draws)[:, None, :])
    return compare(METHODS["advantage"], "additive", n=len(draws), edges=1, candidates=2)


def test_the_measured_side_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four draws of mean (2, 5), each (+-1, +-2) off it: standard errors (1, 2) / sqrt 3, squares 5, variance 20/3."""
    draws = [[1.0, 3.0], [3.0, 7.0], [1.0, 7.0], [3.0, 3.0]]
    found = by_hand(monkeypatch, draws, [1.0, 5.0], variance=17 / 3, off=0.5)
    assert found.worst == pytest.approx(math.sqrt(3))
    assert found.measured_variance == pytest.approx(20 / 3)
    assert found.variance_z == pytest.approx(2)
    assert found.measured_bias_norm == pytest.approx(5)  # (3, 4)
    assert (found.n, found.bias_norm, found.variance) == (4, 0.25, 17 / 3)
    rounded = by_hand(monkeypatch, draws, [1.0, 5.0], variance=20 / 3 + 5e-10)  # squares that do not vary
    assert rounded.variance_z == 0


STILL = [[0.0, 0.0]] * 3


@pytest.mark.parametrize(
    ("mean", "error", "worst"),
    [
        (0.0, 0.0, 0.0),
        (0.5e-9, 0.0, 0.0),
        (1e-9, 0.0, math.inf),
        (1.5e-9, 0.0, math.inf),
        (3e-12, 1e-12, 0.0),
        (3e-12, 1.5e-12, 2.0),
    ],
)
def test_an_entry_that_never_varies_is_right_to_rounding(
    mean: float, error: float, worst: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_hand(monkeypatch, STILL, [0.0, mean], error=error).worst == pytest.approx(worst)


@pytest.mark.parametrize(
    ("variance", "off", "z"),
    [
        (0.0, 0.0, 0.0),
        (0.5e-9, 0.0, 0.0),
        (1e-9, 0.0, -1000.0),
        (3e-12, 1e-12, -3.0),
        (3e-12, 1.5e-12, -2.0),
    ],
)
def test_a_variance_that_never_varies_is_right_to_rounding(
    variance: float, off: float, z: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert by_hand(monkeypatch, STILL, [0.0, 0.0], variance=variance, off=off).variance_z == pytest.approx(z)


def test_all_intervals_together_miss_a_right_estimator_at_the_level() -> None:
    """Two-sided tests of nine entries and of the variance: half of the level is for each of the two."""
    found = compare(METHODS["advantage"], "additive", n=20_000)
    assert 2 * 9 * stats.norm.sf(found.allowed) == pytest.approx(1e-4 / 2)
    assert 2 * stats.norm.sf(found.variance_allowed) == pytest.approx(1e-4 / 2)
    assert found == compare(METHODS["advantage"], "additive", 20_000, 0, 3, 3)
    assert found != compare(METHODS["advantage"], "additive", 20_000, 1, 3, 3)
    assert compare(METHODS["advantage"], "additive", edges=1, candidates=2).n == 100_000


def test_agreement_is_of_both_and_takes_the_ends() -> None:
    ends = dict.fromkeys((entry.name for entry in dataclasses.fields(Comparison)), 2.0)
    assert Comparison(**{**ends, "variance_z": 2.0}).agrees  # type: ignore[arg-type]
    assert Comparison(**{**ends, "variance_z": -2.0}).agrees  # type: ignore[arg-type]
    for beyond in ({"worst": 2.1}, {"variance_z": 2.1}, {"variance_z": -2.1}):
        assert not Comparison(**{**ends, **beyond}).agrees  # type: ignore[arg-type]


def test_the_gradients_of_a_policy_by_hand() -> None:
    """An operation is the first whose cumulated probability is above the uniform number; then L (a - p)."""
    p, method = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]), METHODS["reinforce_without_baseline"]
    problem = landscapes.make("additive", 2, 3, 0)
    drawn = uniforms(7, zlib.crc32(method.name.encode()), np.arange(5), 0, (2,), np.float64)
    choice = (drawn[..., None] > p.cumsum(axis=-1)).sum(axis=-1)
    gates = np.eye(3)[choice]
    found = moments._gradients(method, problem, p, 5, 7)
    np.testing.assert_allclose(found, (gates - p) * problem.loss(gates)[:, None, None], rtol=1e-12)


def test_logits_of_a_policy() -> None:
    """ln p; or where a binomial count of two trials is drawn, mean counts of 1/2 and 4/3: ln (1/3) and ln 2."""
    p = np.array([[9, 6, 1], [16 / 9, 64 / 9, 64 / 9]]) / 16
    softmax = moments._logits(METHODS["advantage"], p)
    np.testing.assert_allclose(softmax, np.log(p))
    ordered = moments._logits(METHODS["binomial_advantage"], p)
    np.testing.assert_allclose(ordered, [[-math.log(3), 0, 0], [math.log(2), 0, 0]], atol=1e-12)
