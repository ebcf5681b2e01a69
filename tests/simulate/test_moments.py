"""Measured moments against theory's, over the whole registry; a deliberately wrong estimator is caught."""

import pytest

from nas.methods import METHODS
from simulate import __main__ as program
from simulate.moments import WRONG, compare

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
