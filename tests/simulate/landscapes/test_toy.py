"""The toy landscape is the toy regression; its truth and J against sums over all architectures."""

from typing import Any

import numpy as np
import torch

from simulate.landscapes import make
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


def test_worlds_agree() -> None:
    landscape, p = make("toy", EDGES, CANDIDATES, 5, inputs=6).landscape, policies()
    there = landscape.placed(lambda values: torch.from_numpy(values.copy()))
    ours, theirs = landscape.gradients(p, 1), there.gradients(torch.from_numpy(p), 1)
    for part in ("loss", "gate_gradient", "output_gradient"):
        np.testing.assert_allclose(getattr(ours, part), getattr(theirs, part), atol=1e-12)
