"""Second-order DARTS: hypergradients that are known or differenced, and a search that first order cannot make."""

import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import nas
import nas.__main__
from nas import estimators, methods
from nas.methods import SECOND_ORDER
from nas.questions import QUESTIONS
from nas.running import runs
from nas.running.searching import search_in
from nas.settings import SearchSettings
from nas.supernets import ahead
from nas.supernets.ahead import look_ahead
from nas.supernets.descent import Descent
from nas.tasks.text.network import TextNetwork
from tests.nas.tasks.text.test_network import CORPUS
from tests.nas.tasks.text.test_network import SETTINGS as TEXT

DOUBLE = torch.float64


def hypergradient(found: dict[str, Tensor]) -> Tensor:
    return estimators.unrolled(
        found["stepped_gate_gradient"],
        found["gate_gradient_plus"],
        found["gate_gradient_minus"],
        found["virtual_rate"],
        found["virtual_radius"],
    )


# ------------------------------------------------------------------ two quadratics


class Levels:
    """L_train = |w - C a|^2 / 2, solved by one step of rate one; L_val = |w - v|^2 / 2, which no gate enters."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.w, self.v = torch.randn(4, dtype=DOUBLE), torch.randn(4, dtype=DOUBLE)
        self.c, self.a = torch.randn(4, 3, dtype=DOUBLE), torch.tensor([[0.2, 0.5, 0.3]], dtype=DOUBLE)

    def training(self) -> tuple[Tensor, list[Tensor]]:
        off = self.w - self.c @ self.a[0]
        return -(self.c.T @ off)[None], [off]

    def validation(self) -> tuple[Tensor, list[Tensor]]:
        return 0 * self.a, [self.w - self.v]


def test_the_hypergradient_of_two_quadratics() -> None:
    """w'(a) = C a, so that dL_val/da = C' (C a - v): exactly, since all is quadratic. Shorter steps give a share."""
    two = Levels()
    known = (two.c.T @ (two.c @ two.a[0] - two.v))[None]
    before = two.w.clone()
    found = look_ahead([two.w], two.training, two.validation, 1.0, None)
    assert tuple(found) == QUESTIONS["virtual_step"].fills
    torch.testing.assert_close(hypergradient(found), known, rtol=1e-9, atol=1e-12)
    assert torch.equal(two.w, before)
    assert (found["stepped_gate_gradient"] == 0).all()  # first order sees nothing here
    half = look_ahead([two.w], two.training, two.validation, 0.5, None)
    stepped = (two.w + two.c @ two.a[0]) / 2
    torch.testing.assert_close(hypergradient(half), (two.c.T @ (stepped - two.v))[None] / 2, rtol=1e-9, atol=1e-12)


def test_control_a_turned_step_or_radius_has_another_gradient() -> None:
    two = Levels()
    known = (two.c.T @ (two.c @ two.a[0] - two.v))[None]
    found = look_ahead([two.w], two.training, two.validation, 1.0, None)
    for name in ("virtual_rate", "virtual_radius"):
        assert not torch.allclose(hypergradient({**found, name: -found[name]}), known, rtol=1e-3)
    away = look_ahead([two.w], two.training, two.validation, -1.0, None)
    assert not torch.allclose(hypergradient(away), known, rtol=1e-3)


def test_the_virtual_step_is_clipped_as_the_real_one() -> None:
    two = Levels()
    norm = float(torch.linalg.vector_norm(two.training()[1][0]))
    found = look_ahead([two.w], two.training, two.validation, 0.7, norm / 4)
    assert float(found["virtual_rate"]) == pytest.approx(0.7 / 4)
    assert float(look_ahead([two.w], two.training, two.validation, 0.7, 4 * norm)["virtual_rate"]) == pytest.approx(0.7)


@pytest.mark.parametrize("length", [0.5, 4.0])
def test_the_radius_is_a_hundredth_over_the_norm_of_the_validation_slope(length: float) -> None:
    """As published. After a step of rate one the weights are C a, and L_val pulls at them by the distance to v."""
    two = Levels()
    two.v = two.c @ two.a[0] + length * torch.tensor([0.6, 0.0, 0.8, 0.0], dtype=DOUBLE)
    found = look_ahead([two.w], two.training, two.validation, 1.0, None)
    assert float(found["virtual_radius"]) == pytest.approx(0.01 / length)


def test_weights_are_put_back_when_a_pass_fails() -> None:
    two = Levels()
    before = two.w.clone()

    def broken() -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        look_ahead([two.w], two.training, broken, 1.0, None)
    assert torch.equal(two.w, before)


def test_a_validation_that_no_weight_enters_has_no_correction() -> None:
    two = Levels()
    found = look_ahead([two.w], two.training, partial(_flat, two), 1.0, None)
    assert torch.equal(hypergradient(found), torch.ones_like(two.a))


def _flat(two: Levels) -> tuple[Tensor, list[Tensor]]:
    return torch.ones_like(two.a), [0 * two.w]


# ------------------------------------------------------------------ networks, by differences


def small(descent: Any = None) -> nas.Supernet:
    """Two edges in a row, tanh between: nothing is quadratic; batch normalisation keeps running statistics."""
    torch.manual_seed(1)
    layers = [
        nas.Edge([nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Linear(3, 3), None], name="first"),
        nn.BatchNorm1d(3),
        nas.Edge([nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Sigmoid()), None], name="second"),
        nn.Linear(3, 2),
    ]
    model = nas.EdgeNetwork(nn.Sequential(*layers)).double()
    inputs = torch.randn(40, 3, dtype=DOUBLE)
    batches = [nas.Batches(inputs, (inputs[:, n] > 0).long(), size=20, seed=n) for n in range(3)]
    space = model.space("small", ["one", "two", "none"])
    return nas.Supernet(space, model, nn.functional.cross_entropy, *batches, descent=descent or Descent(rate=0.8))


GATES = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], dtype=DOUBLE)


def differenced(weights: list[Tensor], training: Any, loss: Any, gates: Tensor, step: float) -> Tensor:
    """d/dgates of L_val(w - step dL_train/dw(w, gates), gates), by central differences of 1e-5."""
    before, found = [w.clone() for w in weights], torch.zeros_like(gates)
    for place in itertools.product(*map(range, gates.shape)):
        ends = []
        for reach in (1e-5, -1e-5):
            moved = gates.clone()
            moved[place] += reach
            slopes = training(moved)[1]
            with torch.no_grad():
                for weight, value, slope in zip(weights, before, slopes, strict=True):
                    weight.copy_(value - step * slope)
                ends.append(float(loss(moved)))
                for weight, value in zip(weights, before, strict=True):
                    weight.copy_(value)
        found[place] = (ends[0] - ends[1]) / 2e-5
    return found


@pytest.mark.parametrize(("length", "tolerance"), [(1e-4, 1e-6), (ahead.LENGTH, 5e-3)])
def test_a_supernets_hypergradient_is_the_difference_through_a_weight_step(
    monkeypatch: pytest.MonkeyPatch, length: float, tolerance: float
) -> None:
    monkeypatch.setattr(ahead, "LENGTH", length)
    network = small()
    network.weight_step(torch.eye(3, dtype=DOUBLE)[[0, 1]], progress=0.5)  # so that the rate is half of 0.8
    state = {name: tensor.clone() for name, tensor in network.state().items()}
    problem = network.objective()
    found = problem.virtual_step(GATES)
    assert {n: t for n, t in network.state().items() if not torch.equal(t, state[n])}.keys() == {"position"}
    weights = list(network.parameters.values())
    inputs, targets = network.weights.at(network.weight_steps)
    training = type(problem)(network.model, network.loss, inputs, targets)
    slopes = partial(training._slopes, weights=weights)
    norm = torch.linalg.vector_norm(torch.cat([slope.flatten() for slope in slopes(GATES)[1]]))
    step = float(0.4 * min(1.0, 1.0 / norm))
    assert float(found["virtual_rate"]) == pytest.approx(step, rel=1e-5)
    expected = differenced(weights, slopes, problem.loss, GATES, step)
    torch.testing.assert_close(hypergradient(found), expected, rtol=tolerance, atol=tolerance * expected.abs().max())
    first_order = found["stepped_gate_gradient"]
    assert (first_order - expected).abs().max() > 1e-2 * expected.abs().max()  # the control


def test_a_text_networks_hypergradient_is_the_difference_through_a_weight_step() -> None:
    network = TextNetwork(replace(TEXT, rate=2.0), CORPUS, "cpu", 0, DOUBLE)
    gates = torch.softmax(torch.randn(6, 5, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)), dim=-1)
    network.weight_step(torch.eye(5, dtype=DOUBLE)[[0, 1, 2, 3, 1, 2]], progress=0.5)
    problem = network.objective()
    state = {name: tensor.clone() for name, tensor in network.state().items()}
    found = problem.virtual_step(gates)
    assert not [name for name, tensor in network.state().items() if not torch.equal(tensor, state[name])]
    window, hidden = network.ahead(), network.weight_stream.state
    slopes = partial(network.slopes, window=window, state=hidden)

    def loss(moved: Tensor) -> Tensor:
        return network.loss(moved, problem.window, problem.state).loss

    step = float(found["virtual_rate"])
    assert 0 < step < 1.0  # clipped
    expected = differenced(list(network.weights.values()), slopes, loss, gates, step)
    limit = 1e-4 * expected.abs().max()
    torch.testing.assert_close(hypergradient(found), expected, rtol=1e-4, atol=float(limit))
    assert (found["stepped_gate_gradient"] - expected).abs().max() > 10 * limit  # the control
    taken = network.weight_stream.next(TEXT.units, TEXT.dropout, network.weights["output"])
    assert torch.equal(taken.words, window.words)
    assert all(torch.equal(a, b) for a, b in zip(taken.masks or (), window.masks or (), strict=True))


# ------------------------------------------------------------------ a search


class Constant(nn.Module):
    """A fixed vector times the input's first column."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.register_buffer("values", torch.tensor(values))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs[:, :1] * self.values  # type: ignore[operator]


class Weight(nn.Module):
    """A learned vector less the input."""

    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(2))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.values - inputs


def squared(found: Tensor, wanted: Tensor) -> Tensor:
    return ((found - wanted) ** 2).sum(dim=-1).mean() / 2


def bilevel() -> nas.Supernet:
    """The weights are pulled to the chosen constant; the architecture's minibatches, zeros, see the weights alone."""
    model = nas.EdgeNetwork(nn.Sequential(nas.Edge([Constant(1.0, 0.0), Constant(0.0, 1.0)], name="edge"), Weight()))
    ones, zeros, wanted = torch.ones(20, 1), torch.zeros(20, 1), torch.tensor([0.0, 1.0]).expand(20, 2)
    training = nas.Batches(ones, torch.zeros(20, 2), size=10)
    others = [nas.Batches(zeros, wanted.contiguous(), size=10) for _ in range(2)]
    descent = Descent(rate=0.5, momentum=0.0, decay=0.0, clip=None)
    return nas.Supernet(model.space("bilevel", ["x", "y"]), model, squared, training, *others, descent=descent)


SETTINGS = SearchSettings(method="darts_second_order", rate=0.1, decay=0.0, epochs=20, warmup_epochs=2, record_every=7)


def test_a_search_finds_what_only_the_weights_tell() -> None:
    found = nas.search(bilevel(), method="darts_second_order", epochs=20)
    assert found.architecture == "edge=y"
    assert found.probabilities[0][1] > 0.8
    first = nas.search(bilevel(), method="darts", epochs=20)
    assert first.probabilities[0] == [0.5, 0.5]  # the control: no gate enters the loss that it asks


@pytest.mark.parametrize("stop_at", [3, 21])
def test_stopped_and_resumed_ends_bit_identical(tmp_path: Path, stop_at: int) -> None:
    def searched(name: str, stop: int = -1) -> Any:
        steps = itertools.count(1)
        with runs.open_run(tmp_path / name, SETTINGS) as run:
            return search_in(run, bilevel(), SETTINGS, 3, lambda: next(steps) == stop)

    searched("whole")
    assert searched("parts", stop_at) is None
    searched("parts")
    whole, parts = (runs.read_checkpoint(tmp_path / name / runs.CHECKPOINT)[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert not [name for name, tensor in whole.items() if not torch.equal(tensor, parts[name])]
    assert whole["logits"].abs().max() > 0.1


TINY = {
    "ptb": ["network.units=6", "network.batch=400", "network.window=8", "network.least=60"],
    "digits": ["network.channels=2", "network.batch=100"],
}


@pytest.mark.parametrize("task", TINY)
def test_tasks_are_searched_with_it(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADVANTAGE_NAS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    settings = [
        *TINY[task],
        "search.epochs=1",
        "search.warmup_epochs=0",
        "search.rate=0.05",
        "search.method=darts_second_order",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    assert nas.__main__.main(["search", task, "--runs", str(tmp_path / "runs"), *words]) == 0
    (result,) = (tmp_path / "runs").rglob("result.json")
    rows = torch.tensor(json.loads(result.read_text())["probabilities"])
    assert (rows.max(dim=-1).values > 1.001 * rows.mean(dim=-1)).all()  # every edge moved


def test_what_cannot_look_ahead_is_refused_in_one_line() -> None:
    network = small(partial(torch.optim.SGD, lr=0.1))
    with pytest.raises(ValueError, match="it needs weights and descent=Descent") as refused:
        network.objective().virtual_step(GATES)
    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="method darts_second_order takes a virtual step of a network's weights"):
        methods.find("darts_second_order", landscape=True)
    assert methods.find("darts_second_order") is SECOND_ORDER


def test_a_problem_without_weights_is_refused_in_one_line() -> None:
    from tests.nas.tiny import Tiny

    with pytest.raises(ValueError, match="this problem offers none"):
        nas.search(Tiny(), method="darts_second_order", epochs=2)  # type: ignore[arg-type]
