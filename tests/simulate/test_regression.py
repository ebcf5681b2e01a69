"""The toy regression against independent oracles: library convolutions, autograd, finite differences."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.methods import PAPER_METHODS, find
from nas.objective import zeroed_losses
from nas.optimisers import adam
from nas.step import architecture_step, noise_shape, start
from simulate.regression import Cells, Regression, cells, minibatch, random_patches, weights

TRIALS, EDGES, CANDIDATES, BATCH = 3, 4, 5, 6


def make() -> tuple[Cells, Tensor, Regression]:
    network = cells(1, range(TRIALS), EDGES, CANDIDATES)
    double = Cells(network.filters.double(), network.readout.double(), network.teacher.double())
    inputs = torch.rand(TRIALS, 13, 13, BATCH, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return double, inputs, minibatch(double, inputs)


def convolved(network: Cells, inputs: Tensor, gates: Tensor, trial: int) -> Tensor:
    """Outputs (B,) of one trial by torch's own convolutions, edge by edge, as the definition reads."""
    x = inputs[trial].permute(2, 0, 1)[:, None]
    total = torch.zeros(inputs.shape[-1], dtype=inputs.dtype)
    for edge in range(gates.shape[-2]):
        channels = functional.conv2d(x, network.filters[trial, edge].reshape(-1, 1, 7, 7), stride=2)
        mixed = torch.tanh((channels * gates[trial, edge][:, None, None]).sum(dim=1, keepdim=True))
        total = total + functional.conv2d(mixed, network.readout[trial, edge].reshape(1, 1, 4, 4)).flatten()
    return total / gates.shape[-2]


def test_the_loss_is_that_of_the_definition() -> None:
    network, inputs, problem = make()
    gates = torch.rand(TRIALS, EDGES, CANDIDATES, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for trial in range(TRIALS):
        error = convolved(network, inputs, gates, trial) - convolved(network, inputs, network.teacher, trial)
        torch.testing.assert_close(problem.loss(gates)[trial], (error**2).mean())
    assert problem.loss(network.teacher).max() == 0


def test_gate_gradients_agree_with_autograd_and_a_wrong_slope_does_not() -> None:
    network, inputs, problem = make()
    gates = torch.rand(TRIALS, EDGES, CANDIDATES, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    gates.requires_grad_()
    (truth,) = torch.autograd.grad(problem.loss(gates).sum(), gates)
    found = problem.gradients(gates.detach(), torch.ones_like(gates))
    torch.testing.assert_close(found.gate_gradient, truth)
    torch.testing.assert_close(found.loss, problem.loss(gates.detach()))
    linear = minibatch(Cells(1e-4 * network.filters, network.readout, network.teacher), inputs)
    assert (1e4 * linear.gradients(gates.detach(), torch.ones_like(gates)).gate_gradient - truth).abs().max() > 1e-3


def test_sparse_propagation_gives_the_entries_of_what_ran_and_nothing_else() -> None:
    network, _, problem = make()
    one_hot = network.teacher.roll(1, dims=-1)
    sparse = problem.gradients(one_hot, one_hot).gate_gradient
    dense = problem.gradients(one_hot, torch.ones_like(one_hot)).gate_gradient
    torch.testing.assert_close(sparse, dense * one_hot)
    assert sparse.abs().sum() > 0


def test_edges_that_run_other_numbers_of_operations_share_a_propagation() -> None:
    """None on the first edge, one, two and all on the others; gates everywhere, as relaxed ones have them."""
    _, _, problem = make()
    gates = torch.rand(TRIALS, EDGES, CANDIDATES, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    runs = torch.zeros_like(gates)
    for edge, many in enumerate((0, 1, 2, CANDIDATES)):
        runs[:, edge, :many] = 1
    found = problem.gradients(gates * runs, runs).gate_gradient
    dense = problem.gradients(gates * runs, torch.ones_like(gates)).gate_gradient
    torch.testing.assert_close(found, dense * runs)
    assert dense[:, 0].abs().min() > 0  # what did not run has a gradient, and is not told


def test_the_output_gradient_is_the_derivative_of_a_constant_added_to_the_edge() -> None:
    network, _, problem = make()
    gates = network.teacher.roll(2, dims=-1)
    found = problem.gradients(gates, gates).output_gradient
    # An operation that outputs one everywhere: its gate gradient is the output gradient (GDAS's idle entries).
    patches = torch.cat((problem.patches, torch.ones_like(problem.patches[:, :1])), dim=1)
    constant = torch.zeros(TRIALS, EDGES, 1, 50, dtype=torch.float64)
    constant[..., -1] = 1
    filters = torch.cat((functional.pad(network.filters, (0, 1)), constant), dim=2)
    wider = Regression(Cells(filters, network.readout, network.teacher), patches, problem.target)
    idle = functional.pad(gates, (0, 1))
    torch.testing.assert_close(wider.gradients(idle, torch.ones_like(idle)).gate_gradient[..., -1], found)


def test_a_zeroed_edge_adds_nothing() -> None:
    network, inputs, problem = make()
    zeroed = zeroed_losses(problem, network.teacher)
    for edge in range(EDGES):
        gates = network.teacher.clone()
        gates[:, edge] = 0
        for trial in range(TRIALS):
            error = convolved(network, inputs, gates, trial) - convolved(network, inputs, network.teacher, trial)
            torch.testing.assert_close(zeroed[trial, edge], (error**2).mean())


def test_a_trial_is_the_same_whichever_others_run() -> None:
    alone, among = cells(5, [7], EDGES, CANDIDATES), cells(5, [2, 7, 3], EDGES, CANDIDATES)
    assert torch.equal(alone.filters[0], among.filters[1])
    assert torch.equal(alone.teacher[0], among.teacher[1])
    assert not torch.equal(alone.filters[0], among.filters[0])


def test_weights_have_the_variance_of_one_over_what_comes_in() -> None:
    """1/49 of 19,600 numbers and 1/16 of 320, to five standard deviations of a variance, sqrt(2 / n)."""
    filters, readout, teacher = weights(np.random.default_rng(0), 20, 20)
    assert abs(filters.var() * 49 - 1) < 5 * np.sqrt(2 / 19_600)
    assert abs(readout.var() * 16 - 1) < 5 * np.sqrt(2 / 320)
    assert (teacher.min(), teacher.max()) == (0, 19)


def test_random_inputs_are_uniform_from_minus_one_to_one() -> None:
    """What the filters see of them: 49 x 16 views of 13 x 13 numbers each, and no more numbers are drawn."""
    ours, theirs = (np.random.default_rng(3) for _ in range(2))
    seen = random_patches(ours, 50)
    image = 2 * theirs.random((13, 13, 50)) - 1
    assert seen.shape == (49, 16 * 50)
    np.testing.assert_array_equal(np.unique(seen), np.unique(image))
    np.testing.assert_array_equal(seen[0, :50], image[0, 0])  # the first tap at the first position, of every input
    np.testing.assert_array_equal(seen[-1, -50:], image[-1, -1])
    assert ours.random() == theirs.random()


@pytest.mark.parametrize("name", PAPER_METHODS)
def test_every_method_of_the_paper_takes_a_step(name: str) -> None:
    _, _, problem = make()
    method, optimiser = find(name), adam(0.9)
    state = start(method, optimiser, torch.ones(TRIALS, EDGES, CANDIDATES, dtype=torch.float64))
    shape = (TRIALS, *noise_shape(method, EDGES, CANDIDATES))
    uniforms = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    moved, sample = architecture_step(method, optimiser, state, problem, uniforms, 0.001, 0.5)
    assert torch.isfinite(moved.logits).all()
    assert not torch.equal(moved.logits, state.logits)
    assert torch.isfinite(sample.loss).all()
