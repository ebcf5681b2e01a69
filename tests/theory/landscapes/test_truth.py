"""Extremes: the first of equals, chunk by chunk, and what is not known is said to be unknown."""

import math
from typing import Any

import numpy as np
import pytest

from theory.landscapes import UNKNOWN, Bilinear, Blocks, Truth, make, truth


def test_the_first_of_equals() -> None:
    ties = Bilinear(np.array([[1.0, 0.0, 0.0], [2.0, 2.0, 5.0]]))
    assert ties.truth == Truth((1, 0), 2.0, 6.0)
    assert truth.by_enumeration(ties, 9) == ties.truth
    assert make("xor", 3, 4).optimum == (0, 0, 0)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    land = make("pairwise", 4, 3, seed=2)
    whole, losses = truth.by_enumeration(land, 81), truth.losses(land, 81)
    monkeypatch.setattr(truth, "CHUNK", 7)
    assert truth.by_enumeration(land, 81) == whole
    np.testing.assert_array_equal(truth.losses(land, 81), losses)
    assert truth.of_table(losses) == whole


def test_the_first_of_equals_also_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    ties = Bilinear(np.array([[1.0, 0.0, 0.0], [2.0, 2.0, 5.0]]))
    monkeypatch.setattr(truth, "CHUNK", 1)
    assert truth.by_enumeration(ties, 9) == Truth((1, 0), 2.0, 6.0)


def test_blocks_are_searched_one_by_one() -> None:
    """Thirty edges in blocks of three: no sum over 2^30 architectures, and the same as by hand."""
    land = make("plateau", 30, 5, seed=1, block=3)
    assert (land.min_loss, land.max_loss) == (pytest.approx(0), 1)
    assert land.loss(np.eye(5)[list(land.optimum)]) == land.min_loss
    rng = np.random.default_rng(0)
    members = np.array([[1.0, 1, 0, 0], [0, 0, 1, 0]])
    random = Blocks(0.0, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.array([1.5, -2.0]), members)
    found, known = random.truth, truth.by_enumeration(random, 81)
    assert known is not None
    assert found.optimum == known.optimum
    assert (found.min_loss, found.max_loss) == (pytest.approx(known.min_loss), pytest.approx(known.max_loss))


def test_too_many_are_unknown_or_refused() -> None:
    land: Any = make("pairwise", 4, 3)
    assert land.extremes(80) is None
    assert land.extremes(81) is not None
    assert math.isnan(UNKNOWN.min_loss)
    with pytest.raises(ValueError, match=r"a sum over all 3\^4 = 81 architectures, too many \(at most 80\)"):
        truth.losses(land, 80)
    with pytest.raises(ValueError, match=r"10\^10 = 1e\+10 architectures are too many"):
        _ = make("pairwise", 10, 10).min_loss
    with pytest.raises(ValueError, match="too many to sum over"):
        _ = make("xor", 40, 3).min_loss
