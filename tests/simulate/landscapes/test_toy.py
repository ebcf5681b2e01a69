"""The toy landscape is the toy regression; its truth and J against sums over all architectures."""

from typing import Any

import numpy as np
import pytest
import torch

from simulate.landscapes import Toy, make
from theory.landscapes import truth

EDGES, CANDIDATES = 4, 3
RANDOM = np.random.default_rng(0)


def policies(rows: int = 3) -> Any:
    return RANDOM.dirichlet(np.ones(CANDIDATES), size=(rows, EDGES))


def all_gates() -> Any:
    return np.eye(CANDIDATES)[np.indices((CANDIDATES,) * EDGES).reshape(EDGES, -1).T]


def test_the_toy_landscape_is_the_toy_regression() -> None:
    from simulate import regression
    from theory.streams import stream

    environment = make("toy", EDGES, CANDIDATES, 5, inputs=6)
    landscape = environment.landscape
    random = stream(5, "toy")
    filters, readout, teacher = regression.weights(random, EDGES, CANDIDATES)
    tensors = (torch.from_numpy(part)[None] for part in (filters, readout, np.eye(CANDIDATES)[teacher]))
    inputs = torch.from_numpy(2 * random.random((1, 13, 13, 6)) - 1)
    network = regression.minibatch(regression.Cells(*tensors), inputs)
    for gates in (policies(), all_gates()[:7]):
        tensor = torch.from_numpy(gates)[None]
        known, ours = network.gradients(tensor, torch.ones_like(tensor)), landscape.gradients(gates, 1)
        np.testing.assert_allclose(ours.loss, known.loss[0], atol=1e-12)
        np.testing.assert_allclose(ours.gate_gradient, known.gate_gradient[0], atol=1e-12)
        np.testing.assert_allclose(ours.output_gradient, known.output_gradient[0], atol=1e-12)
    assert environment.truth.optimum == tuple(teacher)
    assert environment.truth.min_loss < 1e-12 < landscape.loss(policies()).min()


def test_its_expectation_is_a_sum_and_its_extremes_are_extremes() -> None:
    landscape, p = make("toy", EDGES, CANDIDATES, 5, inputs=6).landscape, policies()
    gates, direction = all_gates(), RANDOM.standard_normal((3, EDGES, CANDIDATES))
    weights = (gates * p[:, None]).sum(axis=-1).prod(axis=-1)
    np.testing.assert_allclose(landscape.expected(p), weights @ landscape.loss(gates), rtol=1e-9)
    assert not np.allclose(landscape.loss(p), weights @ landscape.loss(gates), rtol=1e-3)
    known = truth.by_enumeration(landscape, 81)
    assert known is not None
    np.testing.assert_allclose(landscape.max_loss, known.max_loss, rtol=1e-9)
    assert landscape.optimum == known.optimum
    score = (landscape.expected_gradient(p) * direction).sum(axis=(-1, -2))
    tilt = (weights * ((gates - p[:, None]) * direction[:, None]).sum(axis=(-1, -2))) @ landscape.loss(gates)
    np.testing.assert_allclose(score, tilt, rtol=1e-9)


def test_what_did_not_run_has_no_gradient() -> None:
    landscape, gates = make("toy", EDGES, CANDIDATES, 5, inputs=6).landscape, policies()
    runs = np.arange(CANDIDATES) * np.ones((3, EDGES, 1))  # 0, 1 and 2
    whole = landscape.gradients(gates, 1).gate_gradient
    np.testing.assert_array_equal(landscape.slopes(gates), whole)
    np.testing.assert_allclose(landscape.gradients(gates, runs).gate_gradient, whole * [0, 1, 2])
    assert abs(whole).min() > 0


def test_one_input_is_enough_for_the_toy() -> None:
    one: Any = make("toy", 2, 3, inputs=1).landscape
    assert one.channels.shape == (2, 3, 16)
    with pytest.raises(ValueError, match="toy needs at least one input, not 0"):
        make("toy", 2, 3, inputs=0)


def test_it_knows_j_itself_and_has_twenty_inputs_if_nothing_is_said() -> None:
    landscape: Any = make("toy", 2, 3).landscape
    assert isinstance(landscape, Toy)  # its losses need not be summed
    assert landscape.closed_form
    assert landscape.channels.shape == (2, 3, 16 * 20)
    assert landscape.hard.target.shape == (20,)


def test_its_largest_loss_is_not_known_where_too_many_would_be_summed() -> None:
    landscape: Any = make("toy", 2, 3).landscape
    few, many = landscape.extremes(8), landscape.extremes(9)
    assert np.isnan(few.max_loss)
    assert many.max_loss > 0
    assert (few.min_loss, few.optimum) == (many.min_loss, many.optimum) == (0, landscape.teacher)


def test_worlds_agree() -> None:
    landscape, p = make("toy", EDGES, CANDIDATES, 5, inputs=6).landscape, policies()
    there = landscape.placed(lambda values: torch.from_numpy(values.copy()))
    ours, theirs = landscape.gradients(p, 1), there.gradients(torch.from_numpy(p), 1)
    for part in ("loss", "gate_gradient", "output_gradient"):
        np.testing.assert_allclose(getattr(ours, part), getattr(theirs, part), atol=1e-12)
