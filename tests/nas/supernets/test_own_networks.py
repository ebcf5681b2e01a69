"""Networks as strangers bring them: normalised, frozen, without weights, of any target; each works, or is one line."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import nas
from nas.running import runs
from nas.running.searching import search_in
from nas.supernets import Batches, Descent, Edge, EdgeNetwork, Supernet
from nas.supernets.edge import choose

SETTINGS = nas.SearchSettings(epochs=4, warmup_epochs=1, rate=0.05, record_every=5)
ONE, OTHER = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


def linear() -> nn.Module:
    return nn.Linear(3, 4)


def made(
    operations: Callable[[], list[Any]] = lambda: [nn.Linear(3, 4), nn.Linear(3, 4)],
    after: Callable[[], nn.Module] = lambda: nn.Linear(4, 2),
    **changed: Any,
) -> Supernet:
    torch.manual_seed(0)
    inputs = torch.randn(40, 3)
    targets = changed.pop("targets", (inputs[:, 0] > 0).long())
    model = EdgeNetwork(nn.Sequential(Edge(operations(), "e"), after()))
    data = changed.pop("data", inputs)
    order = changed.pop("order", 0)
    given = {"descent": Descent(0.1), "loss": functional.cross_entropy} | changed
    batches = [Batches(data, targets, 10, seed) for seed in (order, 1, 2)]
    loss = given.pop("loss")
    return Supernet(model.space("mine"), model, loss, *batches, **given)


# ------------------------------------------------------------------ a resume with another network is refused


def killed_at(step: int, folder: Path, network: Supernet, seed: int = 0) -> Any:
    count = itertools.count(1)
    with runs.open_run(folder, SETTINGS) as run:
        return search_in(run, network, SETTINGS, seed, lambda: next(count) == step)


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("descent", {"descent": Descent(0.2)}),
    ("descent", {"descent": functools.partial(torch.optim.SGD, lr=0.1)}),
    ("weights data", {"order": 7}),
    ("weights data", {"data": torch.zeros(40, 3)}),
    ("weights data", {"targets": torch.zeros(40, dtype=torch.long)}),
    ("loss", {"loss": functional.multi_margin_loss}),
    ("model", {"after": lambda: nn.Sequential(nn.Linear(4, 2), nn.Tanh())}),
]


@pytest.mark.parametrize(("what", "changed"), OTHERS)
def test_a_run_is_not_gone_on_with_by_another_network(tmp_path: Path, what: str, changed: dict[str, Any]) -> None:
    assert killed_at(6, tmp_path, made()) is None
    with pytest.raises(runs.RunError, match=f"was begun with another {what}: .*put that back") as refused:
        killed_at(99, tmp_path, made(**changed))
    assert "\n" not in str(refused.value)
    assert killed_at(99, tmp_path, made()) is not None  # the control: the same network goes on


def test_another_seed_is_refused_and_an_old_checkpoint_goes_on(tmp_path: Path) -> None:
    assert killed_at(6, tmp_path, made()) is None
    with pytest.raises(runs.RunError, match="another seed: 0, now 3"):
        killed_at(99, tmp_path, made(), seed=3)
    tensors, about = runs.read_checkpoint(tmp_path / runs.CHECKPOINT)
    assert set(about.pop("fingerprint")) > {"seed", "model", "descent", "weights data", "held-out data"}
    about.pop("metrics_bytes")
    with runs.open_run(tmp_path, SETTINGS) as run:
        run.checkpoint(tensors, about)  # as one was before there were fingerprints
    assert killed_at(99, tmp_path, made(descent=Descent(0.2))) is not None


def test_a_fingerprint_does_not_change_from_start_to_start() -> None:
    class Odd(nn.Linear):
        def extra_repr(self) -> str:
            return f"{object()}"

    first, second = (made(after=lambda: Odd(4, 2)).fingerprint() for _ in range(2))
    assert first == second
    trained = made()
    trained.weight_step(ONE, 0.0)
    trained.objective()
    assert trained.fingerprint() == made().fingerprint()


# ------------------------------------------------------------------ normalisation


def test_validation_normalises_as_training_does() -> None:
    """Two operations that are the same but for the scale of their output. Running averages mix both scales."""

    class Scaled(nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = by

        def forward(self, x: Tensor) -> Tensor:
            return self.by * x

    def figures(**running: bool) -> list[dict[str, float]]:
        network = made(
            lambda: [Scaled(1.0), Scaled(100.0)],
            lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)),
            **running,
        )
        for step in range(40):
            network.weight_step((ONE, OTHER)[step % 2], 0.0)
        before = {name: tensor.clone() for name, tensor in network.state().items()}
        judged = [network.validate(gates) for gates in (ONE, OTHER)]
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state().items())
        return judged

    one, other = figures()
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
    one, other = figures(running_statistics=True)  # the control: what a user met
    assert abs(one["loss"] - other["loss"]) > 0.1


# ------------------------------------------------------------------ what is refused in one line


class Several(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def halved(x: Tensor) -> Tensor:
    return x.mul_(0.5)


class InPlace(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(halved(x))


@pytest.mark.parametrize(
    ("operations", "line"),
    [
        (
            lambda: [nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 4)), nn.Linear(3, 4)],
            r"operation 0 of edge e, Sequential\(.*changes its input in place",
        ),
        (lambda: [Several(), nn.Identity()], r"operation 0 of edge e, Several\(\), returned a tuple"),
        (
            lambda: [nn.Linear(3, 4), nn.Linear(3, 1)],
            r"operation 1 of .* returned the shape \(10, 1\), another \(10, 4\)",
        ),
    ],
)
def test_operations_that_cannot_stand_on_an_edge_are_named(operations: Callable[[], list[Any]], line: str) -> None:
    network = made(operations, nn.Identity)
    with pytest.raises(ValueError, match=line) as refused:
        network.objective().loss(torch.stack((ONE, OTHER)))
    assert "\n" not in str(refused.value)


def test_a_network_that_changes_its_minibatch_is_refused() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(40, 3)
    model = EdgeNetwork(nn.Sequential(nn.ReLU(inplace=True), Edge([linear(), linear()], "e"), nn.Linear(4, 2)))
    batches = Batches(inputs, (inputs[:, 0] > 0).long(), 10)
    network = Supernet(model.space("mine"), model, functional.cross_entropy, batches, batches, batches)
    with pytest.raises(ValueError, match="changes its minibatch in place"):
        network.objective().loss(ONE)


def test_a_loss_that_is_no_mean_is_refused() -> None:
    network = made(loss=functools.partial(functional.cross_entropy, reduction="none"))
    for ask in (lambda: network.weight_step(ONE, 0.0), lambda: network.objective().loss(ONE)):
        with pytest.raises(ValueError, match=r"must be one number, .* not of the shape \(10,\)"):
            ask()


def test_edges_with_different_numbers_of_operations_are_refused_when_made() -> None:
    with pytest.raises(ValueError, match=r"one number of operations, found \[2, 3\]"):
        EdgeNetwork(nn.Sequential(Edge([linear(), linear()]), Edge([nn.Tanh(), nn.ReLU(), None])))


# ------------------------------------------------------------------ what works


def test_frozen_weights_stay() -> None:
    def frozen() -> nn.Module:
        return nn.Linear(4, 2).requires_grad_(False)

    network = made(after=frozen)
    before = {name: tensor.clone() for name, tensor in network.model.state_dict().items()}
    network.weight_step(ONE, 0.0)
    network.objective().gradients(ONE, ONE)
    moved = {name for name, tensor in network.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"network.0.operations.0.weight", "network.0.operations.0.bias"}
    assert not any(weight.requires_grad for name, weight in network.model.named_parameters() if ".1." in name[:10])


@pytest.mark.parametrize("descent", [Descent(0.1), functools.partial(torch.optim.Adam, lr=0.1)])
def test_networks_without_weights_are_searched(descent: Any) -> None:
    targets = torch.randint(0, 3, (40,))
    network = made(lambda: [nn.Identity(), nn.Tanh()], nn.Identity, targets=targets, descent=descent)
    assert nas.search(network, epochs=2).records


def test_accuracy_stands_where_labels_are_classes() -> None:
    assert set(made().validate(ONE)) == {"loss", "accuracy"}
    regression = made(targets=torch.randn(40, 2), loss=functional.mse_loss)
    labels = made(targets=torch.randint(0, 2, (40, 2)).float(), loss=functional.binary_cross_entropy_with_logits)
    for network in (regression, labels):
        assert set(network.validate(ONE)) == {"loss"}
        found = nas.search(network, epochs=2, derive="ranked:2")
        assert set(found.records[-1]["validation"]) == {"loss"}


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    settings = replace(SETTINGS, rate=np.float32(0.05), epochs=np.int64(2))  # type: ignore[arg-type]
    network = made(figures=lambda choices: {"size": np.float32(len(choices))})
    with runs.open_run(tmp_path, settings) as run:
        assert search_in(run, network, settings, 0) is not None
    assert runs.records(tmp_path)[-1]["validation"]["size"] == 1.0
    assert "epochs = 2\n" in (tmp_path / runs.CONFIG).read_text()


# ------------------------------------------------------------------ optimisers of torch.optim


def test_nesterov_sgd_of_torch_is_the_default_descent() -> None:
    """Same steps to rounding: rate, momentum, decay, cosine, and idle operations at rest."""
    make = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    mine, theirs, plain = (made(descent=d) for d in (Descent(clip=None), make, functools.partial(make, momentum=0.8)))
    for network in (mine, theirs, plain):
        for step in range(8):
            network.weight_step((ONE, OTHER, ONE)[step % 3], step / 8)
    for name, parameter in mine.parameters.items():
        torch.testing.assert_close(parameter, theirs.parameters[name], rtol=0, atol=1e-6)
    assert any((parameter - plain.parameters[name]).abs().max() > 1e-4 for name, parameter in mine.parameters.items())


@pytest.mark.parametrize(
    "factory",
    [
        functools.partial(torch.optim.AdamW, lr=0.05),
        functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
        functools.partial(torch.optim.SGD, lr=0.05),
        functools.partial(torch.optim.RMSprop, lr=0.01, centered=True),
        functools.partial(torch.optim.NAdam, lr=0.01),
        functools.partial(torch.optim.Adagrad, lr=0.05),
    ],
)
def test_their_state_is_kept(tmp_path: Path, factory: Any) -> None:
    """Killed in the middle, the search ends with the weights and moments of one left alone."""
    assert killed_at(99, tmp_path / "whole", made(descent=factory)) is not None
    assert killed_at(7, tmp_path / "parts", made(descent=factory)) is None
    assert killed_at(99, tmp_path / "parts", made(descent=factory)) is not None
    whole, parts = (runs.read_checkpoint(tmp_path / name / runs.CHECKPOINT)[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


def test_control_forgotten_moments_end_elsewhere() -> None:
    factory = functools.partial(torch.optim.AdamW, lr=0.05)
    straight, forgetful = made(descent=factory), made(descent=factory)
    for _ in range(3):
        straight.weight_step(ONE, 0.0)
    kept = {name: tensor for name, tensor in straight.state().items() if not name.startswith("optimiser.")}
    assert len(kept) < len(straight.state())
    forgetful.load(kept)
    for network in (straight, forgetful):
        network.weight_step(ONE, 0.0)
    assert not torch.equal(*(network.parameters["network.1.weight"] for network in (straight, forgetful)))


def test_a_checkpoint_of_another_network_is_refused_in_one_line_and_changes_nothing() -> None:
    """One of a layer that is frozen here has the same weights: its moments alone tell that it was another network."""
    factory = functools.partial(torch.optim.Adam, lr=0.1)
    trained = made(descent=factory)
    trained.weight_step(ONE, 0.0)
    other = made(after=lambda: nn.Linear(4, 3), descent=factory)
    frozen = made(after=lambda: nn.Linear(4, 2).requires_grad_(False), descent=factory)
    for network, says in (
        (other, r"network\.1\.weight has shape \(2, 4\)"),
        (frozen, r"'network\.1\.weight' does not train"),
    ):
        network.weight_step(ONE, 0.0)
        before = {name: tensor.clone() for name, tensor in network.state().items()}
        with pytest.raises(ValueError, match=says):
            network.load(trained.state())
        after = network.state()
        assert before.keys() == after.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    trained.load(trained.state())  # the control


def test_what_is_no_optimiser_is_refused_when_made() -> None:
    for wrong in (torch.optim.LBFGS, lambda parameters: 3, torch.optim.SGD([torch.zeros(1)], lr=0.1)):
        with pytest.raises(ValueError, match=r"makes an optimiser of torch\.optim that steps once a minibatch"):
            made(descent=wrong)


def test_a_choice_still_answers_after_all_that() -> None:
    network = made()
    assert network.model(torch.randn(5, 3), choose(ONE, ONE)).shape == (5, 2)


# ------------------------------------------------------------------ minibatches


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_data_loader_is_one_line(place: int) -> None:
    data = torch.utils.data.TensorDataset(torch.randn(40, 3), torch.zeros(40, dtype=torch.long))
    model = EdgeNetwork(nn.Sequential(Edge([nn.Linear(3, 4), nn.Linear(3, 4)]), nn.Linear(4, 2)))
    batches: list[Any] = [Batches(*data.tensors, 10) for _ in range(3)]
    assert Supernet(model.space("mine"), model, functional.cross_entropy, *batches).steps_per_epoch == 4  # the control
    batches[place] = torch.utils.data.DataLoader(data, 10)
    use = ("weights", "architecture", "held_out")[place]
    with pytest.raises(ValueError, match=f"^{use} is a DataLoader: give nas.Batches, whose examples lie in memory"):
        Supernet(model.space("mine"), model, functional.cross_entropy, *batches)
