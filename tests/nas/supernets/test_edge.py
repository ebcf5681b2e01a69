"""Edges in a network of plain PyTorch: shared rows, the zero operation, idle operations left alone."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.supernets.batches import Batches
from nas.supernets.edge import Edge, EdgeNetwork, choose
from nas.supernets.supernet import Supernet


class Counting(nn.Module):
    """Multiplies by a factor and counts its calls."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.calls = factor, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.factor


class Two(nn.Module):
    def __init__(self, names: tuple[str | None, str | None] = (None, None)) -> None:
        super().__init__()
        self.first = Edge([Counting(2.0), Counting(3.0), None], names[0])
        self.second = Edge([Counting(5.0), Counting(7.0), None], names[1])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.first(x) + self.second(x)
        return out


def test_by_hand_and_only_the_chosen_run() -> None:
    network = Two()
    model = EdgeNetwork(network)
    gates = torch.tensor([[0.0, 1, 0], [1, 0, 0]])
    choice = choose(gates, gates, gradients=True)
    out = model(torch.ones(4), choice)
    assert out.tolist() == [8.0] * 4  # 3 + 5
    gate, probe = torch.autograd.grad(out.sum(), (choice.gates, choice.probe))
    assert gate.tolist() == [[0, 12, 0], [20, 0, 0]]  # <dL/doutput, output> = 4 · 3 and 4 · 5
    assert probe.tolist() == [4, 4]
    operations = [*network.first.operations, *network.second.operations]
    assert [op.calls for op in operations if isinstance(op, Counting)] == [0, 1, 1, 0]


def test_zero_gives_zeros_of_the_right_shape() -> None:
    model = EdgeNetwork(Two())
    gates = torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    for size in (4, 4, 7):
        assert model(torch.ones(size), choose(gates, gates)).tolist() == [0.0] * size


def test_a_zeroed_edge_still_tells_the_gradient_of_its_output() -> None:
    """Every element of an edge's output moves with its probe: four of each."""
    gates = torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    choice = choose(gates, gates, gradients=True)
    (probe,) = torch.autograd.grad(EdgeNetwork(Two())(torch.ones(4), choice).sum(), choice.probe)
    assert probe.tolist() == [4, 4]


def test_a_chain_of_edges_in_which_every_operation_is_used() -> None:
    space = EdgeNetwork(nn.Sequential(Edge([nn.ReLU(), None], "x"), Edge([nn.ReLU(), None], "y"))).space("mine", "ab")
    assert space.read("x=a,y=b") == (0, 1)
    assert space.edges == ((0, 1), (1, 2))


def test_zeros_have_the_type_of_the_output() -> None:
    """For every kind of input anew: a batch of the same shape in another type is another kind."""
    model = EdgeNetwork(Two())
    gates = torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    zeros = [model(torch.ones(3, dtype=kind), choose(gates.to(kind), gates)) for kind in (torch.float32, torch.float64)]
    assert [part.dtype for part in zeros] == [torch.float32, torch.float64]
    assert all(part.tolist() == [0.0] * 3 for part in zeros)


class First(nn.Module):
    """The first column of a tensor, or of the first tensor of several; writes down each call, its copies' too."""

    calls: ClassVar[list[int]] = []

    def forward(self, inputs: Any) -> Tensor:
        rows: Tensor = inputs if isinstance(inputs, Tensor) else inputs[0]
        First.calls.append(len(rows))
        return rows[:, :1]


def test_the_shape_of_zeros_is_asked_once_for_a_kind_of_tensor_and_each_time_for_anything_else() -> None:
    model, gates = EdgeNetwork(Edge([First(), None])), torch.tensor([[0.0, 1.0]])
    First.calls.clear()
    for size in (4, 4, 7, 4):
        assert model(torch.ones(size, 2), choose(gates, gates)).tolist() == [[0.0]] * size
    assert First.calls == [4, 7]
    for size in (4, 7, 7):  # a pair's kind is not known
        assert model((torch.ones(size, 2), 3), choose(gates, gates)).tolist() == [[0.0]] * size
    assert First.calls == [4, 7, 4, 7, 7]


class Halving(nn.Module):
    """Changes the first of its inputs."""

    def forward(self, inputs: tuple[Tensor, int]) -> Tensor:
        return inputs[0].mul_(0.5)


def test_one_of_several_inputs_is_not_changed_in_place_either() -> None:
    gates = torch.tensor([[1.0, 0.0]])
    with pytest.raises(ValueError, match=r"operation 0 of edge e, Halving\(\), changes its input in place"):
        EdgeNetwork(Edge([Halving(), First()], "e"))((torch.ones(3, 2), 3), choose(gates, gates))
    gates = torch.tensor([[0.0, 1.0]])  # the control
    assert EdgeNetwork(Edge([Halving(), First()]))((torch.ones(3, 2), 3), choose(gates, gates)).shape == (3, 1)


def test_an_edge_is_called_by_its_name_before_it_has_a_place() -> None:
    assert Edge([nn.ReLU()], "stem")._named(0) == "operation 0 of edge stem, ReLU(),"


def test_a_mixture_is_the_sum_of_gate_times_output_of_what_runs() -> None:
    """1/4 of 2 x and 3/4 of 3 x, then all of 5 x and, not run though its gate is one, 7 x."""
    network = Two()
    gates = torch.tensor([[0.25, 0.75, 0.0], [1.0, 1.0, 0.0]])
    runs = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    choice = choose(gates, runs)
    assert choice.runs == ((0, 1), (0,))
    assert choice.values == ((0.25, 0.75, 0.0), (1.0, 1.0, 0.0))
    assert not choice.gates.requires_grad
    assert not choice.probe.requires_grad
    assert EdgeNetwork(network)(torch.ones(2), choice).tolist() == [0.5 + 2.25 + 5.0] * 2


def test_zero_may_stand_first_and_moves_no_idle_operation() -> None:
    """Drawn on an edge of batch normalisation with running averages, by a whole weight step."""
    edge = Edge([None, nn.BatchNorm1d(3), nn.Linear(3, 3)])
    model = EdgeNetwork(nn.Sequential(nn.Linear(3, 3), edge, nn.Linear(3, 2)))
    batches = Batches(torch.randn(20, 3), torch.zeros(20, dtype=torch.long), 10)
    network = Supernet(model.space("mine"), model, functional.cross_entropy, batches, batches, batches)
    assert network.space.zero_operation == 0
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for drawn, moved in ((0, {"network.2.bias"}), (1, {"network.1.operations.1.running_mean", "network.0.weight"})):
        gates = functional.one_hot(torch.tensor([drawn]), 3).float()
        network.weight_step(gates, 0.0)
        after = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
        assert moved <= after
        assert drawn == 1 or not {name for name in after if name.startswith("network.1.")}


def test_an_operation_with_gate_zero_is_idle_in_a_weight_step() -> None:
    """Also where a method runs it to ask for its gradient: it does not run, and is not decayed."""
    edge = Edge([Counting(3), nn.Linear(3, 3), nn.Linear(3, 3)])
    model = EdgeNetwork(nn.Sequential(nn.Linear(3, 3), edge, nn.Linear(3, 2)))
    batches = Batches(torch.randn(20, 3), torch.zeros(20, dtype=torch.long), 10)
    network = Supernet(model.space("mine"), model, functional.cross_entropy, batches, batches, batches)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    network.weight_step(torch.tensor([[0.0, 1.0, 0.0]]), 0.0)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    idle, drawn = ({name for name in before if f".operations.{k}." in name} for k in (2, 1))
    assert not moved & idle
    assert drawn <= moved
    assert edge.operations[0].calls == 0


def test_one_name_is_one_row() -> None:
    model = EdgeNetwork(Two(("same", "same")))
    space = model.space("mine", ["a", "b", "zero"])
    assert space.shape == (1, 3)
    assert space.zero_operation == 2
    assert model(torch.ones(1), choose(torch.tensor([[0.0, 1, 0]]), torch.tensor([[0.0, 1, 0]]))).tolist() == [10.0]


def test_architectures_read_as_written() -> None:
    space = EdgeNetwork(Two()).space("mine", ["a", "b", "zero"])
    assert space.write([1, 2]) == "first=b,second=zero"
    assert space.read("first=b,second=zero") == (1, 2)
    for wrong in ("", "first=b", "first=c,second=a", "second=a,first=a"):
        with pytest.raises(ValueError, match="not an architecture of mine"):
            space.read(wrong)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="no edge"):
        EdgeNetwork(nn.Linear(2, 2))
    for wrong in ([], [None], [None, nn.ReLU(), None]):
        with pytest.raises(ValueError, match="at least one operation beside zero, and one zero at most"):
            Edge(wrong)
    with pytest.raises(ValueError, match=r"zero in the same place, found it in \[0, 1\]"):
        EdgeNetwork(nn.Sequential(Edge([None, nn.ReLU()]), Edge([nn.ReLU(), None])))
    with pytest.raises(ValueError, match=r"one number of operations, found \[1, 2\]"):
        EdgeNetwork(nn.Sequential(Edge([nn.ReLU()]), Edge([nn.ReLU(), None])))
    with pytest.raises(ValueError, match="EdgeNetwork"):
        Edge([nn.ReLU()])(torch.ones(1))
    with pytest.raises(ValueError, match="3 different operation names"):
        EdgeNetwork(Two()).space("mine", ["a", "a", "b"])


def test_what_operations_cost_is_their_parameters_over_all_edges_of_a_row() -> None:
    def operations() -> list[nn.Module | None]:
        return [nn.Linear(3, 3), nn.Linear(3, 3, bias=False), nn.ReLU(), None]

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(Edge(operations(), name) for name in ("a", "b", "a"))

    assert EdgeNetwork(Stack()).costs().tolist() == [[24, 18, 0, 0], [12, 9, 0, 0]]  # two edges are called a


# ------------------------------------------------------------------ what was found, without edges


class Layered(nn.Module):
    """Four edges: two of one row in a list, one that stands twice in the network, one inside another module."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = nn.ModuleList([Edge([nn.Linear(3, 3), nn.Tanh(), None], "cell") for _ in range(2)])
        self.twice = Edge([nn.Linear(3, 3), nn.ReLU(), None])
        self.again = self.twice
        self.inner = nn.Sequential(nn.Linear(3, 3), Edge([nn.Linear(3, 3), nn.BatchNorm1d(3), None]))

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.stack, self.twice, self.again):
            x = x + layer(x)
        out: Tensor = self.inner(x) + x
        return out


@pytest.mark.parametrize("choices", [(0, 0, 0), (1, 0, 1), (2, 1, 1), (0, 2, 2)])
def test_the_chosen_network_answers_as_the_choice_does_and_holds_nothing_else(choices: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = EdgeNetwork(Layered()).eval()
    x = torch.randn(5, 3)
    gates = functional.one_hot(torch.tensor(choices), 3).float()
    plain = model.chosen(choices)
    expected = model(x, choose(gates, gates))
    assert torch.equal(plain(x), expected)
    other = gates.roll(1, dims=1)
    assert not torch.equal(plain(x), model(x, choose(other, other)))  # the control
    assert not [part for part in plain.modules() if isinstance(part, Edge)]
    linears = [choices[0] == 0, choices[0] == 0, choices[1] == 0, True, choices[2] == 0]
    weights = sum(weight.numel() for weight in plain.parameters())
    assert weights == 12 * sum(linears) + 6 * (choices[2] == 1)
    plain.get_parameter("inner.0.weight").data.zero_()
    assert torch.equal(model(x, choose(gates, gates)), expected)  # a copy: the parent network is as it was


def test_weights_of_the_chosen_network_fit_one_that_was_written_without_edges() -> None:
    model = EdgeNetwork(nn.Sequential(Edge([nn.Identity(), nn.Linear(3, 2)]), nn.Tanh()))
    by_hand = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    by_hand.load_state_dict(model.chosen([1]).state_dict())
    x = torch.randn(4, 3)
    assert torch.equal(by_hand(x), model.chosen([1])(x))


def test_a_network_that_is_one_edge_and_choices_that_do_not_fit() -> None:
    model = EdgeNetwork(Edge([nn.Identity(), nn.Tanh()]))
    assert isinstance(model.chosen([1]), nn.Tanh)
    for wrong in ([], [0, 1], [2], [-1]):
        with pytest.raises(ValueError, match="need 1 choices of 0 to 1, not"):
            model.chosen(wrong)
    with pytest.raises(ValueError, match=r"need 2 choices of 0 to 2, not \[0, 3\]"):
        EdgeNetwork(Two()).chosen([0, 3])
