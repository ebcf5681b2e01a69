"""Minibatches, weight steps, answers about gates, states: the same numbers whatever the order, restart or processes."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional

from nas import methods, optimisers, step
from nas.running.runs import CHECKPOINT, open_run, read_checkpoint
from nas.running.searching import search_in
from nas.settings import SearchSettings
from nas.supernets import supernet
from nas.supernets.batches import Batches
from nas.supernets.descent import Descent
from nas.supernets.edge import Choice, Edge, EdgeNetwork, choose
from nas.supernets.supernet import NetworkObjective, Supernet, _are_classes


def noisy(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs + 0.1 * torch.randn(inputs.shape, generator=generator).to(inputs.dtype)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.edges = nn.ModuleList(Edge([nn.Linear(5, 5), nn.Identity(), nn.Tanh(), None], f"e{k}") for k in range(2))
        self.out = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.edges
        out: Tensor = self.out(first(x) * second(x))
        return out


def make(seed: int = 0, dtype: torch.dtype = torch.float64) -> Supernet:
    torch.manual_seed(seed)
    model = EdgeNetwork(Net()).to(dtype)
    inputs, targets = torch.randn(40, 5, dtype=dtype), torch.randint(0, 3, (40,))
    space = model.space("two", ["linear", "identity", "tanh", "zero"])
    weights, architecture = (Batches(inputs, targets, 8, stream, noisy) for stream in (1, 2))
    held_out = Batches(inputs, targets, 20, shuffle=False)
    return Supernet(space, model, functional.cross_entropy, weights, architecture, held_out, Descent(0.2, clip=0.5))


ONE = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0]]).double()
OTHER = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0]]).double()


def test_minibatches_depend_on_seed_and_position_alone() -> None:
    inputs, targets = torch.arange(20.0)[:, None], torch.arange(20)
    batches = Batches(inputs, targets, 6, 3, noisy)
    assert batches.steps == 3
    forward = [batches.at(position) for position in range(7)]
    for position in reversed(range(7)):
        for one, other in zip(forward[position], Batches(inputs, targets, 6, 3, noisy).at(position), strict=True):
            assert torch.equal(one, other)
    epoch = torch.cat([batches.at(position)[1] for position in range(3)])
    assert len(set(epoch.tolist())) == 18  # every example at most once an epoch
    assert not torch.equal(forward[0][1], forward[3][1])  # a new order each epoch
    assert not torch.equal(forward[0][1], Batches(inputs, targets, 6, 4, noisy).at(0)[1])  # and for each seed
    with pytest.raises(ValueError, match="a minibatch of 21 does not fit 20 examples"):
        Batches(inputs, targets, 21)


def test_descent_is_nesterov_sgd_with_clipping_and_a_cosine() -> None:
    """Against torch.optim.SGD, where all operations run in every step."""
    torch.manual_seed(0)
    mine = [torch.randn(3, 4).double(), torch.randn(2).double()]
    theirs = [nn.Parameter(parameter.clone()) for parameter in mine]
    velocity = [torch.zeros_like(parameter) for parameter in mine]
    optimiser = torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 10)
    for count in range(10):
        gradients = [torch.randn_like(parameter) for parameter in mine]
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        nn.utils.clip_grad_norm_(theirs, 1.0)
        optimiser.step()
        schedule.step()
        Descent(0.1).step(mine, gradients, velocity, count / 10)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=0, atol=1e-12)


def test_idle_operations_do_not_move() -> None:
    network = make()
    before = {name: parameter.detach().clone() for name, parameter in network.parameters.items()}
    network.weight_step(OTHER, 0.0)
    network.weight_step(ONE, 0.0)
    network.weight_step(OTHER, 0.0)
    moved = {name for name, parameter in network.parameters.items() if not torch.equal(parameter, before[name])}
    linear = {name for name in before if ".operations.0." in name or "out" in name}
    assert moved == linear
    before = {name: parameter.detach().clone() for name, parameter in network.parameters.items()}
    network.weight_step(ONE, 0.0)  # momentum of the idle second linear operation must not carry it on
    assert torch.equal(network.parameters["network.edges.1.operations.0.weight"],
                       before["network.edges.1.operations.0.weight"])  # fmt: skip


def test_an_objective_answers_as_differences_of_its_loss_do() -> None:
    network = make()
    objective = network.objective()
    gates, runs = torch.rand(2, 4).double(), torch.ones(2, 4).double()
    found = objective.gradients(gates, runs)
    small = 1e-6
    for edge in range(2):
        for k in range(4):
            moved = torch.zeros_like(gates)
            moved[edge, k] = small
            slope = (objective.loss(gates + moved) - objective.loss(gates - moved)) / (2 * small)
            assert abs(float(slope - found.gate_gradient[edge, k])) < 1e-8
    assert found.gate_gradient.abs().max() > 1e-3
    sparse = objective.gradients(ONE, ONE)
    assert torch.equal(sparse.gate_gradient != 0, ONE != 0)
    assert torch.equal(objective.loss(ONE), sparse.loss)
    stacked = objective.gradients(torch.stack((ONE, OTHER)), torch.stack((ONE, OTHER)))
    assert torch.equal(stacked.loss, objective.loss(torch.stack((ONE, OTHER))))
    assert torch.equal(stacked.gate_gradient[0], sparse.gate_gradient)
    assert all(parameter.requires_grad for parameter in network.parameters.values())


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_method_takes_a_step(name: str) -> None:
    network, method, adam = make(), methods.METHODS[name], optimisers.adam()
    state = step.start(method, adam, torch.zeros(2, 4).double())
    uniforms = torch.rand(step.noise_shape(method, 2, 4), generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        state, sample = step.architecture_step(method, adam, state, network.objective(), uniforms, 0.1, 0.5)
    assert torch.isfinite(state.logits).all()
    assert torch.isfinite(sample.loss).all()
    if method.estimator is not None:
        assert state.logits.abs().max() > 0


def test_a_saved_network_goes_on_bit_for_bit() -> None:
    straight, stopped = make(), make()
    for network in (straight, stopped):
        for gates in (ONE, OTHER, ONE):
            network.weight_step(gates, 0.1)
            network.objective()
    fresh = make(seed=7)
    fresh.weights, fresh.architecture = stopped.weights, stopped.architecture
    assert fresh.state().keys() == stopped.state().keys()
    fresh.load({name: tensor.clone() for name, tensor in stopped.state().items()})
    for network in (straight, fresh):
        for gates in (OTHER, ONE, ONE):
            network.weight_step(gates, 0.2)
    for name, tensor in straight.state().items():
        assert torch.equal(tensor, fresh.state()[name]), name
    assert torch.equal(straight.objective().loss(ONE), fresh.objective().loss(ONE))
    wrong = straight.state()
    wrong.pop("position")
    with pytest.raises(ValueError, match="not of this network: 'position'"):
        fresh.load(wrong)
    with pytest.raises(ValueError, match=r"model\.network\.out\.weight has shape \(1,\), not \(3, 5\)"):
        fresh.load(straight.state() | {"model.network.out.weight": torch.zeros(1)})


def dropping() -> Supernet:
    torch.manual_seed(0)
    noisy = nn.Sequential(Edge([nn.Linear(5, 5), nn.Identity()], "e"), nn.Dropout(0.5), nn.Linear(5, 3))
    model = EdgeNetwork(noisy).double()
    batches = Batches(torch.randn(40, 5).double(), torch.randint(0, 3, (40,)), 8)
    return Supernet(model.space("noisy"), model, functional.cross_entropy, batches, batches, batches)


def test_the_networks_own_noise_is_the_minibatchs() -> None:
    """Dropout: one objective's questions meet one mask, a restart the same masks, and nobody else's numbers change."""
    one = torch.tensor([[1.0, 0.0]]).double()
    straight, stopped = dropping(), dropping()
    before = torch.get_rng_state()
    first, second = straight.objective(), straight.objective()
    assert torch.equal(first.loss(one), first.gradients(one, one).loss)
    second.inputs, second.targets = first.inputs, first.targets
    assert not torch.equal(first.loss(one), second.loss(one))  # the next minibatch has another
    assert torch.equal(torch.get_rng_state(), before)
    choice = choose(one, one)
    straight.model.train()
    assert not torch.equal(straight.model(first.inputs, choice), straight.model(first.inputs, choice))  # the control
    losses = [float(straight.weight_step(one, 0.0)) for _ in range(4)]
    assert [float(stopped.weight_step(one, 0.0)) for _ in range(2)] == losses[:2]
    fresh = dropping()
    fresh.load(stopped.state())
    assert [float(fresh.weight_step(one, 0.0)) for _ in range(2)] == losses[2:]


@pytest.mark.parametrize("ask", ["weight step", "loss", "gradients", "step ahead"])
def test_judging_between_two_steps_changes_no_answer(ask: str) -> None:
    """Dropout drops again although it rested while the network was judged."""
    one = torch.tensor([[1.0, 0.0]]).double()

    def answer(network: Supernet) -> Tensor:
        if ask == "weight step":
            return network.weight_step(one, 0.0)
        objective = network.objective()
        if ask == "step ahead":
            return objective.virtual_step(one)["stepped_gate_gradient"]
        return objective.loss(one) if ask == "loss" else objective.gradients(one, one).gate_gradient

    straight, judged = dropping(), dropping()
    judged.validate(one)
    assert torch.equal(answer(judged), answer(straight))


def test_nothing_is_dropped_while_a_network_is_judged() -> None:
    network, one = dropping(), torch.tensor([[1.0, 0.0]]).double()
    figures = network.validate(one)
    with torch.no_grad():
        scores = network.model.eval()(network.held_out.inputs, choose(one, one))
        dropped = network.model.train()(network.held_out.inputs, choose(one, one))
    by_hand, control = (float(functional.cross_entropy(part, network.held_out.targets)) for part in (scores, dropped))
    assert figures["loss"] == pytest.approx(by_hand)
    assert figures["loss"] != pytest.approx(control)


def test_an_objective_of_ones_own_draws_the_noise_of_seed_zero() -> None:
    network, one = dropping(), torch.tensor([[1.0, 0.0]]).double()
    of = network.model, network.loss, *network.architecture.at(0)
    losses = [NetworkObjective(*of, **seed).loss(one) for seed in ({}, {"noise": 0}, {"noise": 1})]
    assert losses[0] == losses[1] != losses[2]


def test_processes_that_cannot_share_a_minibatch_evenly_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernet.processes, "count", lambda: 4)
    make()  # minibatches of 8, 8 and 20
    monkeypatch.setattr(supernet.processes, "count", lambda: 3)
    with pytest.raises(ValueError, match="a minibatch of 8 cannot be shared evenly by 3 processes"):
        make()


def test_held_out_figures_by_hand() -> None:
    network = make()
    figures = network.validate(ONE)
    with torch.no_grad():
        scores = network.model(network.held_out.inputs, choose(ONE, ONE))
    right = (scores.argmax(dim=1) == network.held_out.targets).double().mean() * 100
    assert figures["accuracy"] == pytest.approx(float(right))
    assert figures["loss"] == pytest.approx(float(functional.cross_entropy(scores, network.held_out.targets)))


def test_figures_are_asked_for_an_architectures_operations() -> None:
    network = make()
    network.figures = lambda choices: {"first": choices[0], "second": choices[1]}
    figures = network.validate(ONE)
    assert (figures["first"], figures["second"]) == (0, 2)
    assert set(figures) == {"loss", "accuracy", "first", "second"}


def test_accuracy_of_sequences_is_over_all_their_places() -> None:
    """Four classes at two places, handed through: right at the first of the two, and wrong at the second."""
    classes = torch.arange(20).reshape(10, 2) % 4
    model = EdgeNetwork(nn.Sequential(Edge([nn.Identity(), None])))
    batches = Batches(functional.one_hot(classes).float(), (classes + torch.tensor([0, 1])) % 4, 5)

    def loss(found: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(found.flatten(0, 1), wanted.flatten())

    network = Supernet(model.space("places"), model, loss, batches, batches, batches)
    assert network.validate(torch.tensor([[1.0, 0.0]]))["accuracy"] == 50


@pytest.mark.parametrize(
    ("targets", "classes"),
    [([0, 1], True), ([0.0, 1.0], False), ([False, True], False), ([0j, 1j], False), ([[0, 1]], False)],
)
def test_classes_are_whole_numbers_one_for_each_row_of_scores(targets: list[Any], classes: bool) -> None:
    assert _are_classes(torch.zeros(2, 3), torch.tensor(targets)) is classes


def test_a_network_says_how_many_examples_it_trains_on_unless_it_says_something_else() -> None:
    network = make()
    assert network.about == "40 examples for the weights, 40 for the architecture"
    uses = network.weights, network.architecture, network.held_out
    assert Supernet(network.space, network.model, network.loss, *uses, about="letters").about == "letters"


# ------------------------------------------------------------------ which minibatch, and which weights


def test_every_step_takes_the_next_minibatch_from_the_first_on() -> None:
    network = make()
    for number in range(7):  # five are an epoch
        inputs, targets = network.weights.at(number)
        with torch.no_grad():
            loss = functional.cross_entropy(network.model(inputs, choose(ONE, ONE)), targets)
        assert torch.equal(network.weight_step(ONE, 0.1), loss)
        assert torch.equal(network.objective().inputs, network.architecture.at(number)[0])
        assert network.state()["position"].tolist() == [number + 1, number + 1]


def test_gates_and_runs_may_lack_each_others_axes() -> None:
    objective = make().objective()
    gates, runs = torch.stack((ONE, OTHER, OTHER)), torch.stack((ONE, torch.ones_like(ONE), ONE + OTHER))
    for mine, theirs in ((ONE, runs), (gates, torch.ones_like(ONE))):
        found = objective.gradients(mine, theirs)
        for number in range(3):
            row, run = (part if part.ndim == 2 else part[number] for part in (mine, theirs))
            alone = objective.gradients(row, run)
            assert torch.equal(found.loss[number], alone.loss)
            assert torch.equal(found.gate_gradient[number], alone.gate_gradient)
            assert torch.equal(found.output_gradient[number], alone.output_gradient)


@pytest.mark.parametrize(("reads", "gate", "output"), [("nothing", 0, 0), ("gates", 2, 0), ("outputs", 0, 2)])
def test_what_a_loss_does_not_depend_on_has_no_slope(reads: str, gate: float, output: float) -> None:
    """The loss is the mean input, 2, times the sum of what the network reads."""

    class Reads(nn.Module):
        def forward(self, inputs: Tensor, choice: Choice) -> Tensor:
            read = {"nothing": torch.ones(1), "gates": choice.gates, "outputs": choice.probe}[reads]
            return inputs.mean() * read.sum()

    objective = NetworkObjective(Reads(), lambda found, targets: found, torch.tensor([1.0, 3.0]), torch.zeros(2))
    gates = torch.ones(2, 1)  # two edges of one operation
    found = objective.gradients(gates, gates)
    assert found.gate_gradient.tolist() == [[gate], [gate]]
    assert found.output_gradient.tolist() == [output, output]


class Helped(nn.Module):
    """Has a second head, in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = Edge([nn.Linear(5, 5), nn.Linear(5, 5)], "e")
        self.norm, self.out, self.helper = nn.BatchNorm1d(5), nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.norm(self.edge(x))
        out: Tensor = self.out(found) + self.helper(found) if self.training else self.out(found)
        return out


@pytest.mark.parametrize("drawn", [0, 1])
def test_the_weights_that_a_step_would_move_are_those_that_it_moves(drawn: int) -> None:
    torch.manual_seed(0)
    model, gates = EdgeNetwork(Helped()), torch.eye(2)[[drawn]]
    batches = Batches(torch.randn(40, 5), torch.randint(0, 3, (40,)), 8)
    network = Supernet(model.space("helped"), model, functional.cross_entropy, batches, batches, batches)
    network.validate(gates)
    before, numbers = {name: tensor.clone() for name, tensor in network.state().items()}, torch.get_rng_state()
    reached = network.reached(gates)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state().items())
    assert torch.equal(torch.get_rng_state(), numbers)
    network.weight_step(gates, 0.0)
    moved = [weight for name, weight in network.parameters.items() if not torch.equal(weight, before[f"model.{name}"])]
    assert [id(weight) for weight in reached] == [id(weight) for weight in moved]
    assert len(moved) == 8 == len(network.parameters) - 2


def test_where_no_weight_is_reached_none_would_move() -> None:
    model = EdgeNetwork(nn.Sequential(Edge([nn.Linear(3, 2), None])))
    network = priced(model)
    assert len(network.reached(torch.tensor([[1.0, 0.0]]))) == 2
    assert network.reached(torch.tensor([[0.0, 1.0]])) == []


def test_weights_ask_for_a_gradient_in_weight_steps_alone() -> None:
    asked = []

    class Watching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            asked.append(self.weight.requires_grad)
            return super().forward(x)

    gates = torch.tensor([[1.0, 0.0]])
    network = priced(EdgeNetwork(nn.Sequential(Edge([Watching(3, 2), None]))))
    network.objective().loss(gates)
    network.objective().gradients(gates, gates)
    network.weight_step(gates, 0.0)
    assert asked == [False, False, True]


# ------------------------------------------------------------------ the step ahead of second-order DARTS


def test_before_the_first_weight_step_the_step_ahead_has_the_whole_rate() -> None:
    network = make()
    network.descent = Descent(0.2, clip=None)
    found = network.objective().virtual_step(torch.full((2, 4), 0.25).double())
    assert float(found["virtual_rate"]) == pytest.approx(0.2)


def test_weights_that_nothing_reaches_do_not_turn_the_step_ahead() -> None:
    gates, plain, idle = torch.full((2, 4), 0.25).double(), make(), make()
    plain.descent = idle.descent = Descent(0.2, clip=0.01)
    idle.parameters["idle"] = nn.Parameter(torch.ones(3).double())
    expected, found = (network.objective().virtual_step(gates) for network in (plain, idle))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert expected["virtual_rate"] < 0.2  # it is clipped: a slope of theirs would show


# ------------------------------------------------------------------ several processes


def _one_of_two(number: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=number, world_size=2)
    network = make()
    answers = _train(network)
    logits, result = _search(Path(folder) / f"run {number}")
    torch.save({**network.state(), **answers, "logits": logits, "result": result}, Path(folder) / f"{number}.pt")
    torch.distributed.destroy_process_group()


def _train(network: Supernet) -> dict[str, Tensor]:
    for gates in (ONE, OTHER, OTHER, ONE):
        network.weight_step(gates, 0.1)
    found = network.objective().gradients(ONE, ONE)
    figures = network.validate(ONE)
    return {"gate_gradient": found.gate_gradient, "loss": found.loss, "accuracy": torch.tensor(figures["accuracy"])}


def _search(folder: Path) -> tuple[Tensor, Tensor]:
    """A whole search's logits in its checkpoint, and the probabilities in its result."""
    with open_run(folder, SEARCH) as run:
        result = search_in(run, make(), SEARCH, 0)
    assert result is not None
    return read_checkpoint(folder / CHECKPOINT)[0]["logits"], torch.tensor(result["probabilities"])


SEARCH = SearchSettings(epochs=4, warmup_epochs=1, rate=0.1)


def test_two_processes_do_the_work_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(_one_of_two, args=(port, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    first, second = (torch.load(tmp_path / f"{number}.pt", weights_only=True) for number in range(2))
    alone = make()
    expected = {**_train(alone), **alone.state()}
    for name, tensor in expected.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], tensor, rtol=0, atol=1e-12, msg=name)
    logits, result = _search(tmp_path / "alone")  # the same draws, so the same logits, which are in 32 bits
    assert torch.equal(first["logits"], second["logits"])
    torch.testing.assert_close(first["logits"], logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(first["result"], result, rtol=0, atol=1e-5)
    assert (logits - logits.mean()).abs().max() > 0.1  # the control: they have moved


# ------------------------------------------------------------------ what operations cost


def priced(model: nn.Module, costs: Tensor | None = None) -> Supernet:
    batches = Batches(torch.randn(20, 3), torch.arange(20) % 2, size=10)
    space = EdgeNetwork(nn.Sequential(Edge([nn.Linear(3, 2), None]))).space("priced", ["linear", "none"])
    return Supernet(space, model, functional.cross_entropy, batches, batches, batches, costs=costs)


def test_costs_are_those_given_or_those_that_the_model_s_modules_say() -> None:
    model = EdgeNetwork(nn.Sequential(Edge([nn.Linear(3, 2), None])))
    assert priced(model).costs().tolist() == [[8, 0]]
    assert priced(model, torch.tensor([[5.0, 1.0]])).costs().tolist() == [[5, 1]]
    with pytest.raises(ValueError, match="does not say what its operations cost"):
        priced(nn.Linear(3, 2)).costs()


def test_the_costs_of_parts_are_added_and_those_of_the_whole_go_before_them() -> None:
    class Part(nn.Module):
        def costs(self) -> Tensor:
            return torch.tensor([[3.0, 1.0]])

    class Whole(nn.Sequential):
        def costs(self) -> Tensor:
            return torch.tensor([[4.0, 2.0]])

    assert priced(nn.Sequential(Part(), Part())).costs().tolist() == [[6, 2]]
    assert priced(Whole(Part(), Part())).costs().tolist() == [[4, 2]]


def test_costs_of_one_s_own_are_part_of_what_a_run_is_gone_on_from_with() -> None:
    model = EdgeNetwork(nn.Sequential(Edge([nn.Linear(3, 2), None])))
    one, other = (priced(model, torch.tensor([[cost, 1.0]])).fingerprint() for cost in (5.0, 6.0))
    assert one["costs"] != other["costs"]
    assert "costs" not in priced(model).fingerprint()
