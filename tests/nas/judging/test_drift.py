"""T15's drift on a network whose losses are known: the bound, its terms by hand, and a search left as it was."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.judging import drift
from nas.judging.drift import Course, summary
from nas.search import beginning, steps
from nas.settings import SearchSettings
from tests.nas.tiny import Tiny
from theory.claims.t15_moving_weights import drifts


class Minibatch(Tiny):
    """The loss on one minibatch of a network, with the network's weights of the moment."""

    def __init__(self, network: Tiny, noise: Tensor) -> None:
        self.network, self.noise = network, noise

    @property
    def weights(self) -> Tensor:  # type: ignore[override]
        return self.network.weights


class Live(Tiny):
    """`Tiny` with objectives that remember their minibatch, as those of real networks do."""

    def objective(self) -> Minibatch:  # type: ignore[override]
        return Minibatch(self, super().objective().noise)


SETTINGS = SearchSettings(method="advantage", epochs=4, warmup_epochs=1, rate=0.2)
ALL = torch.eye(3)[torch.cartesian_prod(torch.arange(3), torch.arange(3))]


def test_the_terms_by_hand() -> None:
    """Two cells: losses (1, 3), then (2, 5), (2, 2); q = (1/2, 1/2), (3/4, 1/4), (1, 0).

    gains 1/4 * (3 - 1) = 1/2 and 1/4 * (5 - 2) = 3/4; D = (1, 2) and (0, -3): common 3/2 and -3/2, apart 1 and 3.
    Excess 2 - 1 = 1 at first and 2 - 2 = 0 at last: room 1 - 0 + 4 - 5/4.
    """
    course = Course((0, 10, 20), np.array([[1.0, 3], [2, 5], [2, 2]]), np.array([[0.5, 0.5], [0.75, 0.25], [1, 0]]))
    found = summary(course)
    assert found["intervals"] == [
        {"from": 0, "to": 10, "gain": 0.5, "common": 1.5, "apart": 1.0},
        {"from": 10, "to": 20, "gain": 0.75, "common": -1.5, "apart": 3.0},
    ]
    assert (found["gain"], found["common"], found["apart"]) == (1.25, 0.0, 4.0)
    assert found["excess"] == {"first": 1.0, "last": 0.0}
    assert (found["room"], found["cells"]) == (3.75, 2)
    assert "apart by 3.2 times" in drift.report(found)
    assert "10 to 20     0.75000    -1.50000     3.00000" in drift.report(found)


def test_a_search_is_followed_and_left_as_it_was() -> None:
    course = drift.follow(Live(3), SETTINGS, ALL, 2, 15, seed=1)
    assert course.steps == (0, 15, 30, 40)
    assert course.losses.shape == course.chances.shape == (4, 9)
    np.testing.assert_allclose(course.chances.sum(axis=1), 1)
    *_, alone = steps(Live(3), SETTINGS, 1)
    p = torch.softmax(alone.state.logits, dim=-1)
    np.testing.assert_allclose(course.chances[-1], torch.outer(p[0], p[1]).ravel().numpy(), rtol=1e-5)


def test_all_moments_are_asked_on_the_same_minibatches() -> None:
    """The first two of the architecture's; the losses at the end are those of the weights at the end."""
    network = Live(3)
    noises = [Live(3).objective().noise, network.objective().noise]
    noises[1] = network.objective().noise
    network = Live(3)
    course = drift.follow(network, SETTINGS, ALL, 2, 40, seed=1)
    for row, weights in ((0, torch.zeros(2, 3)), (1, network.weights)):
        expected = torch.stack([(ALL * (weights + noise)).sum((-1, -2)) ** 2 for noise in noises]).mean(0)
        np.testing.assert_allclose(course.losses[row], expected.numpy(), rtol=1e-4, atol=1e-6)


def test_the_bound_of_t15_holds_and_less_than_the_drift_does_not_do() -> None:
    course = drift.follow(Live(0), SETTINGS, ALL, 1, 5, seed=0)
    found = summary(course)
    assert found["room"] >= 0
    assert found["apart"] == pytest.approx(sum(d.apart for d in drifts(course.losses)))
    assert [row["common"] for row in found["intervals"]] == pytest.approx([d.common for d in drifts(course.losses)])
    # the identity (1) of T15: what is gained, and what moves under the policy, is all that happens
    moved = (course.chances[1:] * (course.losses[1:] - course.losses[:-1])).sum()
    expected = (course.chances * course.losses).sum(axis=1)
    assert expected[0] - expected[-1] == pytest.approx(found["gain"] - moved)
    # the control: two cells that change places while the policy follows gain 1 a time, and no first excess pays for it
    swaps = Course((0, 1, 2, 3), np.array([[1.0, 0], [0, 1], [1, 0], [0, 1]]), np.array([[1.0, 0], [0, 1]] * 2))
    gained = summary(swaps)
    assert gained["gain"] == 1 + 1 + 1
    excess = gained["excess"]["first"] - gained["excess"]["last"]
    assert excess + gained["apart"] / 3 < gained["gain"] <= excess + gained["apart"]


def test_it_goes_on_from_where_a_search_stands() -> None:
    network = Live(3)
    going = steps(network, SETTINGS, 1)
    for _ in range(20):
        now = next(going)
    course = drift.follow(network, SETTINGS, ALL, 2, 10, seed=1, start=now)
    *_, alone = steps(Live(3), SETTINGS, 1)
    assert course.steps == (20, 30, 40)
    p = torch.softmax(alone.state.logits, dim=-1)
    np.testing.assert_allclose(course.chances[-1], torch.outer(p[0], p[1]).ravel().numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="ends after 40 steps and stands at 40"):
        drift.follow(network, SETTINGS, ALL, 2, 10, seed=1, start=alone)


@pytest.mark.parametrize("wrong", [{"batches": 0}, {"every": 0}, {"cells": ALL[:0]}])
def test_sizes_that_ask_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="need cells, batches and every >= 1"):
        drift.follow(Live(), SETTINGS, **{"cells": ALL, "batches": 1, "every": 1, **wrong})


def test_cells_are_different_and_follow_the_seed() -> None:
    network: Any = Live()
    drawn = drift.evenly(network, 9, 0)
    assert len({tuple(cell.argmax(-1).tolist()) for cell in drawn}) == 9
    assert (drawn.sum(-1) == 1).all()
    assert torch.equal(drift.evenly(network, 4, 1), drift.evenly(network, 4, 1))
    assert not torch.equal(drift.evenly(network, 4, 1), drift.evenly(network, 4, 2))
    with pytest.raises(ValueError, match="tiny has 9 cells, of which 10 cannot be drawn"):
        drift.evenly(network, 10, 0)


def test_the_first_row_is_before_the_first_step() -> None:
    course = drift.follow(Live(0), SETTINGS, ALL, 1, 40, seed=0)
    begun = beginning(Live(0), SETTINGS, 0)  # type: ignore[arg-type]
    assert (course.steps[0], begun.step) == (0, 0)
    np.testing.assert_allclose(course.chances[0], 1 / 9)
    noise = Live(0).objective().noise
    np.testing.assert_allclose(course.losses[0], ((ALL * noise).sum((-1, -2)) ** 2).numpy(), rtol=1e-5)
