"""Every landscape against brute force: J by summing all architectures, its slope, both worlds, theory's numbers."""

import os
from typing import Any

import numpy as np
import pytest
import torch

from nas.data import nasbench201
from nas.policy import softmax
from simulate import landscapes
from simulate.landscapes import make
from simulate.losses import Landscape
from theory import landscapes as exact

EDGES, CANDIDATES = 4, 3
SIZED = [name for name in landscapes.names() if name != "nasbench201"]
RANDOM = np.random.default_rng(0)


def policies(landscape: Landscape, rows: int = 3) -> Any:
    return RANDOM.dirichlet(np.ones(landscape.candidates), size=(rows, landscape.edges))


def all_gates(landscape: Landscape) -> Any:
    shape = (landscape.candidates,) * landscape.edges
    return np.eye(landscape.candidates)[np.indices(shape).reshape(landscape.edges, -1).T]


def double(landscape: Landscape) -> Landscape:
    return landscape.placed(lambda values: torch.from_numpy(values.copy()))


@pytest.mark.parametrize("name", SIZED)
def test_the_expected_loss_is_the_sum_over_all_architectures(name: str) -> None:
    landscape = double(make(name, EDGES, CANDIDATES))
    p, gates = policies(landscape), all_gates(landscape)
    visits: dict[str, Any] = {"visits": torch.full(p.shape, 1e9)} if name == "drifting" else {}
    weights = (gates * p[:, None]).sum(axis=-1).prod(axis=-1)
    losses = landscape.loss(torch.from_numpy(gates)).numpy()
    found = landscape.expected(visits, torch.from_numpy(p)).numpy()
    np.testing.assert_allclose(found, weights @ losses, rtol=1e-9, atol=1e-9)
    assert not np.allclose(landscape.expected(visits, torch.from_numpy(p[::-1].copy())), weights @ losses) or name in (
        "flat",
        "xor",
    )


@pytest.mark.parametrize("name", SIZED)
def test_the_gradient_is_the_slope_of_the_expected_loss(name: str) -> None:
    landscape = double(make(name, EDGES, CANDIDATES))
    logits = np.log(policies(landscape))
    direction = RANDOM.standard_normal(logits.shape)
    visits = {"visits": torch.from_numpy(50 * RANDOM.random(logits.shape))} if name == "drifting" else {}

    def value(step: float) -> Any:
        return landscape.expected(visits, softmax(torch.from_numpy(logits + step * direction))).numpy()

    gradient = landscape.gradient(visits, softmax(torch.from_numpy(logits))).numpy()
    slope = (value(1e-5) - value(-1e-5)) / 2e-5
    np.testing.assert_allclose((gradient * direction).sum(axis=(-1, -2)), slope, atol=1e-6 * max(1.0, abs(slope).max()))
    if name != "flat":
        assert abs(slope).max() > 1e-6


@pytest.mark.parametrize("name", [name for name in SIZED if "numpy" in make(name, EDGES, CANDIDATES).worlds])
def test_numpy_and_torch_agree_on_one_hot_zeroed_and_mixed_gates(name: str) -> None:
    landscape = make(name, EDGES, CANDIDATES)
    if name == "drifting":
        pytest.skip("its loss at a moment is tested through expected and gradient")
    p = policies(landscape)
    hot = np.eye(landscape.candidates)[RANDOM.integers(landscape.candidates, size=p.shape[:-1])]
    zeroed = hot * (np.arange(landscape.edges) > 0)[:, None]
    for gates in (hot, zeroed, p):
        ours, theirs = landscape.gradients(gates, gates), None
        tensor = torch.from_numpy(gates)
        theirs = double(landscape).gradients(tensor, tensor)
        np.testing.assert_allclose(ours.loss, theirs.loss, atol=1e-12)
        np.testing.assert_allclose(ours.gate_gradient, theirs.gate_gradient, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in exact.LANDSCAPES if name != "nasbench201"])
def test_theorys_landscapes_hold_the_same_numbers(name: str) -> None:
    ours, theirs = double(make(name, EDGES, CANDIDATES, 3)), exact.make(name, EDGES, CANDIDATES, 3)
    p = policies(ours)
    for gates in (p, all_gates(ours)[:20], all_gates(ours)[:20] * (np.arange(EDGES) > 1)[:, None]):
        known, tensor = theirs.gradients(gates, np.ones_like(gates)), torch.from_numpy(gates)
        np.testing.assert_allclose(ours.loss(tensor), known.loss, atol=1e-12)
        np.testing.assert_allclose(ours.gradients(tensor, 1).gate_gradient, known.gate_gradient, atol=1e-12)
    other = double(make(name, EDGES, CANDIDATES, 4))
    assert name == "xor" or not np.allclose(ours.loss(torch.from_numpy(p)), other.loss(torch.from_numpy(p)))


@pytest.mark.parametrize("name", SIZED)
def test_the_truth_is_true(name: str) -> None:
    landscape = make(name, EDGES, CANDIDATES)
    losses = np.asarray(double(landscape).loss(torch.from_numpy(all_gates(landscape))))
    assert landscape.truth.best == pytest.approx(losses.min(), abs=1e-12)
    assert landscape.truth.worst == pytest.approx(losses.max(), abs=1e-12)
    if landscape.truth.optimum is None:
        assert name in ("xor", "flat")
        assert (losses < losses.min() + 1e-9).sum() > 1
    else:
        best = np.eye(landscape.candidates)[list(landscape.truth.optimum)]
        assert float(double(landscape).loss(torch.from_numpy(best))) == pytest.approx(losses.min())


def test_noise_has_mean_zero_in_rank_and_disturbs_each_operation() -> None:
    landscape = make("noisy", 2, 3, size=1.0)
    noise = RANDOM.random((4000, landscape.noise))
    hot = np.broadcast_to(np.eye(3)[[0, 1]], (4000, 2, 3))
    difference = np.asarray(landscape.minibatch({}, noise).loss(hot)) - landscape.loss(hot)
    # A fair sign, to five standard deviations of 4,000 tosses.
    assert abs((difference > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    assert np.abs(difference).max() > 20


def test_in_the_drifting_landscape_an_operation_gets_better_as_it_is_visited() -> None:
    landscape = make("drifting", 1, 2, pace=10.0)
    never, often = {"visits": np.zeros((1, 1, 2))}, {"visits": np.array([[[50.0, 0.0]]])}
    p = np.array([[[1.0, 0.0]]])
    assert landscape.expected(often, p) < landscape.expected(never, p)
    assert landscape.expected(often, p[..., ::-1]) == landscape.expected(never, p[..., ::-1])


def test_the_toy_landscape_is_the_toy_regression() -> None:
    from simulate import regression
    from theory.streams import stream

    landscape = make("toy", EDGES, CANDIDATES, 5, inputs=6)
    random = stream(5, "toy")
    filters, readout, teacher = regression.weights(random, EDGES, CANDIDATES)
    tensors = (torch.from_numpy(part)[None] for part in (filters, readout, np.eye(CANDIDATES)[teacher]))
    inputs = torch.from_numpy(2 * random.random((1, 13, 13, 6)) - 1)
    network = regression.minibatch(regression.Cells(*tensors), inputs)
    for gates in (policies(landscape), all_gates(landscape)[:7]):
        tensor = torch.from_numpy(gates)[None]
        known, ours = network.gradients(tensor, torch.ones_like(tensor)), landscape.gradients(gates, 1)
        np.testing.assert_allclose(ours.loss, known.loss[0], atol=1e-12)
        np.testing.assert_allclose(ours.gate_gradient, known.gate_gradient[0], atol=1e-12)
        np.testing.assert_allclose(ours.output_gradient, known.output_gradient[0], atol=1e-12)
    assert landscape.truth.optimum == tuple(teacher)
    assert landscape.truth.best < 1e-12 < landscape.loss(policies(landscape)).min()


@pytest.mark.skipif(
    "ADVANTAGE_NAS_DATA" not in os.environ, reason="needs the NAS-Bench-201 table in ADVANTAGE_NAS_DATA"
)
@pytest.mark.parametrize("dataset", nasbench201.DATASETS)
def test_the_real_table_is_a_landscape_on_each_of_its_data_sets(dataset: str) -> None:
    landscape = make("nasbench201", 6, 4, dataset=dataset)
    errors = 100 - nasbench201.load().cube(f"{dataset}_test")
    p = policies(landscape, 2)
    weights = np.ones((2, 1))
    for edge in range(6):
        weights = (weights[:, :, None] * p[:, edge, None]).reshape(2, -1)
    inner = errors[(slice(1, None),) * 6]
    np.testing.assert_allclose(landscape.expected({}, p), weights @ inner.ravel(), rtol=1e-12)
    assert np.array_equal(landscape.truth.optimum or (), np.unravel_index(inner.argmin(), inner.shape))
    hot = np.eye(4)[np.array([[3, 0, 1, 2, 2, 1]])]
    zeroed = hot * (np.arange(6) != 4)[:, None]
    np.testing.assert_allclose(landscape.loss(hot)[0], errors[4, 1, 2, 3, 3, 2])
    np.testing.assert_allclose(landscape.loss(zeroed)[0], errors[4, 1, 2, 3, 0, 2])
    credit = (landscape.gradients(hot, hot).gate_gradient * hot).sum(axis=-1)[0, 4]
    np.testing.assert_allclose(credit, errors[4, 1, 2, 3, 3, 2] - errors[4, 1, 2, 3, 0, 2])


def test_a_users_function_is_a_landscape() -> None:
    quadratic = make("quadratic", EDGES, CANDIDATES)
    tensors = double(quadratic)
    own = double(landscapes.from_function(tensors.loss, EDGES, CANDIDATES))
    p = torch.from_numpy(policies(quadratic))
    torch.testing.assert_close(own.expected({}, p), tensors.expected({}, p))
    torch.testing.assert_close(own.gradient({}, p), tensors.gradient({}, p))
    torch.testing.assert_close(own.slopes(p), tensors.slopes(p))
    assert own.truth == quadratic.truth


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hill"}, "unknown landscape 'hill'; known: additive"),
        ({"name": "additive", "edges": 0}, "at least one edge"),
        ({"name": "nk", "neighbors": 2}, "unknown option 'neighbors' of landscape nk; known: neighbours"),
        ({"name": "nk", "neighbours": 9}, "0 <= neighbours < edges"),
        ({"name": "simulate.landscapes:nothing"}, "cannot load landscape"),
        ({"name": "plateau", "block": 0}, "1 <= block"),
    ],
)
def test_bad_names_and_options_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make(**arguments)
