"""The CIFAR-10 network is the benchmark's, its images are cropped and flipped as said, its answers are exact."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from nas import methods, objective, optimisers, step
from nas.data import nasbench201 as table_file
from nas.data.cifar import Images
from nas.data.places import VARIABLE
from nas.estimators import first_order_credit
from nas.running import runs
from nas.running.searching import search_in
from nas.settings import SearchSettings
from nas.spaces import nasbench201
from nas.spaces.nasbench201 import EDGES, OPERATIONS
from nas.supernets.edge import choose
from nas.supernets.supernet import NetworkObjective, Supernet
from nas.tasks.cells import cell as convolutional
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork
from nas.tasks.cifar10 import network as cifar
from nas.tasks.cifar10.network import KIND, Settings, assemble, augment

SMALL = Settings(channels=4, cells=1, batch=8, images=32, held_out=16)


def made_up(count: int = 64) -> Images:
    random = np.random.default_rng(0)
    return Images(random.integers(0, 256, (count, 3, 32, 32), np.uint8), random.integers(0, 10, count).astype(np.uint8))


def build(settings: Settings = SMALL, seed: int = 0) -> Supernet:
    return assemble(settings, made_up(), "cpu", seed)


def one_hot(*choices: int, candidates: int = 4) -> torch.Tensor:
    return functional.one_hot(torch.tensor(choices), candidates).float()


@pytest.mark.parametrize(
    "cell", [(1, 1, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3), (2, 3, 1, 4, 0, 2), (0, 0, 0, 0, 0, 0), (3, 3, 3, 1, 3, 2)]
)
def test_parameters_are_the_benchmarks(cell: tuple[int, ...]) -> None:
    """73,306 + 28,000 a 1×1 convolution + 243,040 a 3×3 one, as in the benchmark's records for every cell."""
    model = CellNetwork(16, 5, tuple((OPERATIONS[k],) for k in cell), Norm(affine=True, statistics="running"), KIND)
    expected = 73_306 + 28_000 * cell.count(2) + 243_040 * cell.count(3)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_parameters_are_the_tables() -> None:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    table = table_file.load(Path(folder))
    index = table.find("|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    cell = tuple((OPERATIONS[k],) for k in table.choices[index])
    model = CellNetwork(16, 5, cell, Norm(affine=True, statistics="running"), KIND)
    assert sum(parameter.numel() for parameter in model.parameters()) == table.column("cifar10_params")[index]


def test_crops_and_flips_are_those_of_the_padded_image() -> None:
    images = torch.from_numpy(made_up(200).pixels)
    found = augment(images, torch.Generator().manual_seed(0))
    padded = functional.pad(images, (4, 4, 4, 4))
    seen = []
    for image, wide in zip(found, padded, strict=True):
        matches = [
            (down, right, flip)
            for down in range(9)
            for right in range(9)
            for flip in (False, True)
            if torch.equal(image.flip(2) if flip else image, wide[:, down : down + 32, right : right + 32])
        ]
        assert len(matches) == 1
        seen.append(matches[0])
    assert {down for down, _, _ in seen} == {right for _, right, _ in seen} == set(range(9))
    assert 60 < sum(flip for _, _, flip in seen) < 140  # 200 fair draws: 5.6 standard deviations


def test_weights_and_architecture_see_different_images() -> None:
    network = build()
    halves = made_up().pixels[:32], made_up().pixels[32:]
    for batches, half in ((network.weights, halves[0]), (network.architecture, halves[1])):
        assert np.array_equal(batches.inputs.numpy(), half)
    assert np.array_equal(network.held_out.inputs.numpy(), halves[1][:16])


def test_unseen_images_are_kept_from_both_kinds_of_step_and_may_rank() -> None:
    network = build(Settings(channels=2, cells=1, batch=8, images=32, held_out=16, unseen=12))
    half = made_up().pixels[32:]
    assert np.array_equal(network.architecture.inputs.numpy(), half[:20])
    assert np.array_equal(network.held_out.inputs.numpy(), half[20:])
    assert network.held_out_unseen
    assert not build().held_out_unseen  # architecture steps see those of `held_out`
    with pytest.raises(ValueError, match="need 0 <= unseen <= images - batch, not 30"):
        Settings(batch=8, images=32, held_out=16, unseen=30)


def test_gate_gradients_equal_finite_differences_in_double_precision() -> None:
    network = build(Settings(channels=2, cells=2, zero=True, batch=8, images=32, held_out=16))
    network.model.double()
    objective = network.objective()
    torch.manual_seed(0)
    gates = torch.rand(6, 5).double()
    found = objective.gradients(gates, torch.ones_like(gates))
    small = 1e-5
    for edge, k in ((0, 2), (1, 3), (2, 1), (3, 4), (5, 3), (4, 0)):
        moved = torch.zeros_like(gates)
        moved[edge, k] = small
        slope = (objective.loss(gates + moved) - objective.loss(gates - moved)) / (2 * small)
        assert abs(float(slope - found.gate_gradient[edge, k])) < 1e-7
    assert found.gate_gradient.abs().max() > 1e-4
    assert found.gate_gradient[:, 0].abs().max() == 0  # `none`


@pytest.mark.parametrize("name", methods.PAPER_METHODS)
def test_the_papers_methods_step_on_it(name: str) -> None:
    network, method, adam = build(), methods.METHODS[name], optimisers.adam()
    state = step.start(method, adam, torch.zeros(6, 4))
    uniforms = torch.rand(step.noise_shape(method, 6, 4), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        sample = step.draw(method, state.logits, uniforms, 0.5)
        gates, run = (part if part.ndim == 2 else part[0] for part in (sample.gates, sample.runs))
        loss = network.weight_step(gates, 0.0)
        state, sample = step.architecture_step(method, adam, state, network.objective(), uniforms, 0.1, 0.5)
    assert torch.isfinite(loss)
    assert state.logits.abs().max() > 0
    per_edge = {"sparse": 1, "two-path": 2, "dense": 4}[method.propagation]
    assert (run != 0).sum().item() == 6 * per_edge


def test_running_statistics_move_in_weight_steps_only() -> None:
    network = build(Settings(channels=4, cells=1, batch=8, images=32, held_out=16, statistics="running", affine=True))
    gates = one_hot(2, 2, 2, 2, 2, 2)
    start = network.state()
    start = {name: tensor.clone() for name, tensor in start.items()}
    objective = network.objective()
    objective.loss(gates)
    objective.gradients(gates, gates)
    network.validate(gates)
    assert all(torch.equal(tensor, start[name]) for name, tensor in network.state().items() if name != "position")
    network.weight_step(gates, 0.0)
    assert not torch.equal(network.state()["model.stem.mean"], start["model.stem.mean"])
    assert not torch.equal(network.state()["model.stages.0.0.convolutions.0_2.mean"],
                           start["model.stages.0.0.convolutions.0_2.mean"])  # fmt: skip


def test_sixteen_bit_credit_errs_far_less_than_minibatches_differ() -> None:
    """bfloat16 activations against double precision: the error is small beside the spread over minibatches."""
    settings = Settings(channels=8, cells=1, batch=16, images=32, held_out=16)
    wide, narrow = build(settings), build(replace(settings, precision="bfloat16"))
    wide.model.double()
    generator = torch.Generator().manual_seed(0)
    errors, spreads = [], []
    for cell in range(6):
        gates = one_hot(*torch.randint(0, 4, (6,), generator=generator).tolist())
        exact = []
        for position in (2 * cell, 2 * cell + 1):
            inputs, targets = wide.architecture.at(position)
            found = []
            for network, dtype in ((wide, torch.float64), (narrow, torch.float32)):
                objective = NetworkObjective(network.model, functional.cross_entropy, inputs, targets)
                asked = gates.to(dtype)
                found.append(objective.gradients(asked, asked).gate_gradient.sum(dim=1).double())
            exact.append(found[0])
            errors.append(found[1] - found[0])
        spreads.append((exact[0] - exact[1]) / 2**0.5)
    error, spread = (torch.cat(part).square().mean().sqrt() for part in (errors, spreads))
    assert 0 < error < 0.3 * spread


def test_credits_into_a_node_that_only_convolutions_leave_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """T12 on the network: normalisation after a node hides what its edges are worth together, and the first edge whole.

    Every convolution normalises, so where both edges that leave node 1 are convolutions edge 0 -> 1 has no credit.
    """
    monkeypatch.setattr(convolutional, "EPSILON", 1e-14)
    network = build(Settings(channels=2, cells=2, batch=8, images=32, held_out=16))
    network.model.double()
    problem, sums = network.objective(), []
    for first, skip in itertools.product(range(4), (False, True)):
        gates = one_hot(first, 1, 0 if skip else 2, 3, 1, 2).double()  # skip: also an edge that leaves node 1
        credit = first_order_credit(gates, problem.gradients(gates, gates).gate_gradient)
        worth = problem.loss(gates) - objective.zeroed_losses(problem, gates)
        sums.append((skip, abs(float(credit[0])), abs(float(credit[1] + credit[2])), abs(float(worth[0]))))
    hidden, seen = ([row for row in sums if row[0] is skip] for skip in (False, True))
    assert max(row[1] for row in hidden) < 1e-10
    assert max(row[2] for row in sums) < 1e-10  # into node 2, which a convolution leaves
    assert min(row[3] for row in hidden) > 1e-4  # although edge 0 -> 1 has worth
    assert min(row[1] for row in seen) > 1e-5  # the control: a skip lets credit through


@pytest.mark.parametrize("zero", [False, True])
def test_a_record_has_the_tables_figures_of_its_own_cell(zero: bool) -> None:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    table, cells = table_file.load(Path(folder)), nasbench201.cell_space(zero)
    figures = cifar.table_figures(Path(folder), zero)
    assert figures is not None
    random = np.random.default_rng(0)
    for choices in random.integers(0, len(cells.operations), (50, 6)).tolist():
        index = table.find(cells.write(choices))
        assert figures(choices) == {
            "table_test_accuracy": table.column("cifar10_test")[index],
            "table_valid_accuracy": table.column("cifar10_valid")[index],
        }


def test_bad_settings_and_missing_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images <= 25000, not 16, 5, 64, 30000"):
        Settings(images=30_000)
    with pytest.raises(ValueError, match="held_out"):
        Settings(images=100, held_out=101)
    with pytest.raises(ValueError, match=r"CIFAR-10 not found.*kriz/cifar\.html"):
        cifar.build(Settings(), tmp_path, "cpu", 0)


def test_the_same_seed_is_the_same_network() -> None:
    gates = one_hot(0, 1, 2, 3, 2, 1)
    losses = [[float(network.weight_step(gates, 0.0)) for _ in range(3)] for network in (build(), build())]
    assert losses[0] == losses[1]
    assert losses[0] != [float(build(seed=1).weight_step(gates, 0.0)) for _ in range(3)]


@pytest.mark.parametrize("static", [False, True])
def test_a_search_stopped_in_the_middle_ends_bit_for_bit_the_same(static: bool, tmp_path: Path) -> None:
    settings = SearchSettings(epochs=2, warmup_epochs=0, rate=0.1, record_every=5)

    def searched(name: str, stop_after: int | None = None) -> dict[str, torch.Tensor] | None:
        steps = itertools.count(1)
        with runs.open_run(tmp_path / name, settings) as run:
            network = build(replace(SMALL, static=static))
            if search_in(run, network, settings, 0, lambda: next(steps) == stop_after) is None:
                return None
        return runs.read_checkpoint(tmp_path / name / runs.CHECKPOINT)[0]

    straight = searched("straight")
    assert searched("stopped", 3) is None
    resumed = searched("stopped")
    assert straight is not None
    assert resumed is not None
    assert straight.keys() == resumed.keys()
    for name, tensor in straight.items():
        assert torch.equal(tensor, resumed[name]), name
    assert (tmp_path / "straight" / runs.RESULT).exists()


def test_choices_are_named_in_the_space() -> None:
    network = build()
    assert network.space.edges == EDGES
    assert network.model(network.held_out.inputs, choose(*2 * (one_hot(0, 1, 2, 3, 2, 1),))).shape == (16, 10)
