"""The hand-written cell against autograd and finite differences, and what it must not compute or keep."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from nas.data.cifar import Images
from nas.spaces.nasbench201 import EDGES, OPERATIONS
from nas.supernets.edge import choose
from nas.tasks.cells.cell import EPSILON, ConvolutionalCell, Norm
from nas.tasks.cifar10.network import Settings, assemble

MODES = ("one-hot", "dense mixture", "one-hot, all run", "scaled and zeroed")


def make(norm: Norm | None = None, candidates: tuple[str, ...] = OPERATIONS, channels: int = 4) -> ConvolutionalCell:
    torch.manual_seed(0)
    cell = ConvolutionalCell(channels, EDGES, (candidates,) * len(EDGES), norm or Norm()).double()
    for name, parameter in cell.named_parameters():
        if "scale" in name or "shift" in name:
            torch.nn.init.normal_(parameter)
    return cell


def gates_of(mode: str, candidates: int = len(OPERATIONS)) -> tuple[Tensor, Tensor]:
    chosen = functional.one_hot(torch.randint(0, candidates, (len(EDGES),)), candidates).double()
    if mode == "one-hot":
        return chosen, chosen
    if mode == "dense mixture":
        return torch.rand_like(chosen), torch.ones_like(chosen)
    if mode == "one-hot, all run":
        return chosen, torch.ones_like(chosen)
    scaled = chosen * torch.tensor([1, 0, 1, 0.5, 1, 0.25]).double()[:, None]
    return scaled, chosen


def oracle(cell: ConvolutionalCell, x: Tensor, gates: Tensor, runs: Tensor, probe: Tensor) -> Tensor:
    """The cell in plain differentiable PyTorch, edge by edge as method.md and the benchmark define it."""
    nodes = [x]
    for target in (1, 2, 3):
        total = torch.zeros_like(x)
        for edge, (source, end) in enumerate(EDGES):
            if end != target:
                continue
            total = total + probe[edge]
            for k, name in enumerate(cell.candidates[edge]):
                if not runs[edge, k] or name == "none":
                    continue
                y = nodes[source]
                if name == "avg_pool_3x3":
                    y = functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
                elif name != "skip_connect":
                    layer: Any = cell.convolutions[f"{edge}_{k}"]
                    z = functional.conv2d(torch.relu(y), layer.weight, padding=layer.weight.shape[-1] // 2)
                    y = functional.batch_norm(z, None, None, layer.scale, layer.shift, True, 0.1, EPSILON)
                total = total + gates[edge, k] * y
        nodes.append(total)
    return nodes[3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("input_gradient", [False, True])
def test_values_and_all_gradients_equal_autograd(mode: str, affine: bool, input_gradient: bool) -> None:
    cell = make(Norm(affine))
    for seed in range(6):
        torch.manual_seed(seed)
        gates, runs = gates_of(mode)
        x = torch.randn(3, 4, 6, 6).double().contiguous(memory_format=torch.channels_last)
        x.requires_grad_(input_gradient)
        choice = choose(gates, runs, gradients=True)
        plain_gates, plain_probe = gates.clone().requires_grad_(), torch.zeros(6).double().requires_grad_()
        found, expected = cell(x, choice), oracle(cell, x, plain_gates, runs, plain_probe)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        inputs = [x] if input_gradient else []
        parameters = list(cell.parameters())
        mix = torch.randn_like(found)
        got = torch.autograd.grad((found.tanh() * mix).sum(), [*inputs, choice.gates, choice.probe, *parameters],
                                  allow_unused=True)  # fmt: skip
        want = torch.autograd.grad((expected.tanh() * mix).sum(), [*inputs, plain_gates, plain_probe, *parameters],
                                   allow_unused=True)  # fmt: skip
        for mine, other, like in zip(got, want, [*inputs, gates, plain_probe, *parameters], strict=True):
            filled = [torch.zeros_like(like) if g is None else g for g in (mine, other)]
            torch.testing.assert_close(filled[0], filled[1], rtol=0, atol=1e-10)


def test_gate_gradients_equal_finite_differences() -> None:
    """Over a mixture, where no gate is special: the central difference has an error of order h^2."""
    cell = make()
    torch.manual_seed(1)
    gates, runs = gates_of("dense mixture")
    x = torch.randn(3, 4, 6, 6).double()
    choice = choose(gates, runs, gradients=True)
    (found,) = torch.autograd.grad(cell(x, choice).tanh().mean(), choice.gates)
    step, slack = 1e-5, 1e-8
    for edge, k in itertools.product(range(6), range(5)):
        moved = torch.zeros_like(gates)
        moved[edge, k] = step
        with torch.no_grad():
            up, down = (cell(x, choose(gates + sign * moved, runs)).tanh().mean() for sign in (1, -1))
        assert abs(float((up - down) / (2 * step) - found[edge, k])) < slack
    assert found.abs().max() > 100 * slack  # the control: the differences are far above what would pass unseen


def test_zero_has_no_gate_gradient_but_an_output_gradient() -> None:
    cell = make()
    gates = functional.one_hot(torch.tensor([3, 3, 3, 0, 1, 3]), 5).double()
    choice = choose(gates, gates, gradients=True)
    loss = cell(torch.randn(2, 4, 6, 6).double(), choice).square().sum()
    gate, probe = torch.autograd.grad(loss, (choice.gates, choice.probe))
    assert gate[3].tolist() == [0] * 5
    assert probe[3] == probe[4] == probe[5] != 0


def test_a_cell_without_any_path_is_zero() -> None:
    cell = make()
    gates = functional.one_hot(torch.zeros(6, dtype=torch.long), 5).double()
    assert cell(torch.randn(2, 4, 6, 6).double(), choose(gates, gates)).abs().max() == 0


# ------------------------------------------------------------------ what is computed


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the kernels that run, and convolution backward passes by what they compute."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        self.counts[name] += name != "convolution" or args[-1] == 1  # pooling is a convolution in groups
        if name == "convolution_backward":
            self.counts["input gradients"] += args[-1][0]
            self.counts["weight gradients"] += args[-1][1]
        return function(*args, **(kwargs or {}))


def test_one_operation_an_edge_runs_and_an_architecture_step_computes_no_weight_gradient() -> None:
    cell = make()
    gates = functional.one_hot(torch.tensor([3, 1, 2, 4, 3, 1]), 5).double()  # three convolutions
    x = torch.randn(2, 4, 6, 6).double()
    for parameter in cell.parameters():
        parameter.requires_grad_(False)
    choice = choose(gates, gates, gradients=True)
    cell(x, choose(gates, gates))  # pooling counts the pixels of its windows once, by a convolution
    with Recorder() as recorder:
        loss = cell(x, choice).square().sum()
        torch.autograd.grad(loss, choice.gates)
    assert recorder.counts["convolution"] == recorder.counts["native_batch_norm"] == 3
    assert recorder.counts["weight gradients"] == 0
    assert recorder.counts["input gradients"] == 2  # the one from the cell's input needs none
    for parameter in cell.parameters():
        parameter.requires_grad_(True)
    with Recorder() as recorder:  # the control: a weight step does compute them, one for each that ran
        loss = cell(x, choose(gates, gates)).square().sum()
        found = torch.autograd.grad(loss, list(cell.parameters()), allow_unused=True)
    assert recorder.counts["weight gradients"] == 3
    assert sum(gradient is not None for gradient in found) == 3


@pytest.mark.parametrize("runs_of", [1, 2, 4])
def test_an_architecture_step_of_the_network_computes_no_weight_gradient(runs_of: int) -> None:
    """One path, two or all of them; nothing inside the cells, and nothing outside, where the stem's is PyTorch's."""
    images = Images(np.zeros((64, 3, 32, 32), np.uint8), np.zeros(64, np.uint8))
    network = assemble(Settings(channels=4, cells=1, batch=8, images=32, held_out=16), images, "cpu", 0)
    gates = functional.one_hot(torch.tensor([2, 2, 1, 2, 1, 2]), 4).float()
    run = torch.stack([gates.roll(k, 1) for k in range(runs_of)]).sum(dim=0)
    with Recorder() as recorder:
        network.objective().gradients(gates, run)
    assert recorder.counts["input gradients"] > 0
    assert recorder.counts["weight gradients"] == 0
    with Recorder() as recorder:  # the control
        network.weight_step(gates, 0.0)
    assert recorder.counts["weight gradients"] > 6


# ------------------------------------------------------------------ what is kept


def kept_bytes(candidates: int, dense: bool) -> int:
    """Bytes of activations that a step keeps for its backward pass, the weights left out."""
    cell = make(candidates=("nor_conv_3x3",) * candidates)
    gates = functional.one_hot(torch.arange(6) % candidates, candidates).double()
    weights = {parameter.data_ptr() for parameter in cell.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = cell(torch.randn(2, 4, 8, 8).double(), choose(gates, torch.ones_like(gates) if dense else gates))
    assert out.requires_grad
    return sum(kept.values())


def test_memory_is_that_of_one_architecture_whatever_the_number_of_candidates() -> None:
    sparse = [kept_bytes(candidates, dense=False) for candidates in (2, 4, 8, 16)]
    assert len(set(sparse)) == 1, sparse
    dense = [kept_bytes(candidates, dense=True) for candidates in (2, 4, 8, 16)]
    assert dense[3] > 5 * dense[0]  # the control: dense propagation keeps every operation's output
    assert dense[0] > 1.5 * sparse[0]


def test_what_an_operation_costs_is_its_parameters() -> None:
    """With 4 channels: 16 weights of the 1 x 1 convolution, 144 of the 3 x 3 one; with scale and shift 8 more."""
    plain = {"none": 0, "skip_connect": 0, "nor_conv_1x1": 16, "nor_conv_3x3": 144, "avg_pool_3x3": 0}
    assert make().costs().tolist() == [[plain[name] for name in OPERATIONS]] * len(EDGES)
    affine = {name: cost + 8 * (cost > 0) for name, cost in plain.items()}
    assert make(Norm(affine=True)).costs().tolist() == [[affine[name] for name in OPERATIONS]] * len(EDGES)
