"""When is what used? Baselines before their update, averages where drawn, counters that count, first temperatures.

A deterministic method is held against torch's autograd and optimisers step by step; averages against numbers by hand.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nas import optimisers, policy, step
from nas.methods import CREDIT_AVERAGE, METHODS, Method
from nas.objective import Gradients
from nas.samples import SEVERAL, Sample


class Scripted:
    """An objective that answers with the next number of a list, and gate gradients that count from one."""

    zero_operation: int | None = None

    def __init__(self, losses: list[float], zero_operation: int | None = None) -> None:
        self.losses, self.zero_operation = iter(losses), zero_operation

    def loss(self, gates: Any) -> Any:
        return next(self.losses) + 0 * gates.sum(axis=(-1, -2))

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        loss = self.loss(gates)
        gradient = loss[..., None, None] * (1 + np.arange(gates.shape[-1])) * runs
        return Gradients(loss, gradient, 0 * gates[..., 0])


class TorchQuadratic:
    """(sum of outputs - target)^2 with autograd."""

    zero_operation = None

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.outputs = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
        self.target = torch.randn(4, generator=generator, dtype=torch.float64)

    def loss(self, gates: Any) -> Any:
        return ((torch.einsum("...ek,ekd->...d", gates, self.outputs) - self.target) ** 2).sum(-1)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        a = gates.detach().clone().requires_grad_()
        loss = self.loss(a)
        return Gradients(loss.detach(), torch.autograd.grad(loss.sum(), a)[0] * runs, 0 * gates[..., 0])


def one_edge(operation: int) -> Any:
    """The uniform that draws this operation of two even ones, (E,) = (1,)."""
    return np.array([0.25 + 0.5 * operation])


# ------------------------------------------------------------------ whole steps against torch


@pytest.mark.parametrize("clip", [None, 0.05])
def test_darts_with_adam_is_what_torch_does(clip: float | None) -> None:
    """Six steps: the moments' bias is corrected by the number of this step, the gradient is clipped before."""
    problem, method, ours = TorchQuadratic(), METHODS["darts"], optimisers.adam(0.5, 0.9, decay=0.01)
    start = torch.tensor([[0.3, -0.2, 0.1], [0.0, 0.5, -1.0]], dtype=torch.float64)
    state = step.start(method, ours, start)
    theirs = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([theirs], lr=0.1, betas=(0.5, 0.9), weight_decay=0.01)
    for number in range(1, 7):
        state, _ = step.architecture_step(method, ours, state, problem, torch.zeros(0), 0.1, clip=clip)
        optimiser.zero_grad()
        problem.loss(torch.softmax(theirs, -1)).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_([theirs], clip)
        optimiser.step()
        torch.testing.assert_close(
            state.logits, theirs.detach(), rtol=1e-4 if clip else 1e-10, atol=1e-6 if clip else 0
        )
        assert state.step == number


def test_the_rate_of_this_step_is_used() -> None:
    problem, method, ours = TorchQuadratic(), METHODS["darts"], optimisers.sgd()
    start = torch.zeros(2, 3, dtype=torch.float64)
    gradient = step.architecture_step(method, ours, step.start(method, ours, start), problem, torch.zeros(0), 1.0)[0]
    for rate in (0.5, 0.0):
        found, _ = step.architecture_step(method, ours, step.start(method, ours, start), problem, torch.zeros(0), rate)
        torch.testing.assert_close(found.logits, rate * gradient.logits)


@pytest.mark.parametrize(
    ("name", "progress", "temperature"), [("gdas", 0.0, 10.0), ("gdas", 0.25, 7.525), ("snas", 0.5, 0.5)]
)
def test_a_step_draws_at_the_temperature_of_its_progress(name: str, progress: float, temperature: float) -> None:
    u = np.random.default_rng(0).random((2, 3))
    found = step.draw(METHODS[name], np.zeros((2, 3)), u, progress)
    assert found.temperature == pytest.approx(temperature)
    weights = (-np.log(u)) ** (-1 / temperature)
    np.testing.assert_allclose(found.z, weights / weights.sum(axis=-1, keepdims=True), rtol=1e-9)


# ------------------------------------------------------------------ averages


def test_the_baseline_is_used_before_it_is_updated() -> None:
    """Losses 4, 10, 1: baselines 0, 4, 7; gradients (L - b)(a - p), by hand at p = 1/2 (rate 0 keeps it there)."""
    method, ours = METHODS["reinforce"], optimisers.sgd()
    state, problem = step.start(method, ours, np.zeros((1, 2))), Scripted([4, 10, 1])
    moved = []
    for operation in (0, 1, 0):
        after, _ = step.architecture_step(method, ours, state, problem, one_edge(operation), 1.0)
        moved.append(after.logits.tolist())
        state = replace(after, logits=state.logits)
    assert moved == [[[-2.0, 2.0]], [[3.0, -3.0]], [[3.0, -3.0]]]  # -(4 - 0)/2, +(10 - 4)/2, -(1 - 7)/2
    assert state.memory["loss"] == pytest.approx(5.0)
    assert state.memory["loss.count"] == 3


def test_the_credits_average_is_used_before_it_is_updated() -> None:
    """Credits 3 (operation 0), 8 = 4 * 2 (operation 1): baselines 0 and 3; gradients 3/2 and (8 - 3)/2."""
    method, ours = METHODS["advantage_with_baseline"], optimisers.sgd()
    state, problem = step.start(method, ours, np.zeros((1, 2))), Scripted([3, 4])
    moved = []
    for operation in (0, 1):
        after, _ = step.architecture_step(method, ours, state, problem, one_edge(operation), 1.0)
        moved.append(after.logits.tolist())
        state = replace(after, logits=state.logits)
    assert moved == [[[-1.5, 1.5]], [[2.5, -2.5]]]
    assert state.memory["credit"].tolist() == [5.5]


def test_counts_grow_only_where_an_operation_was_drawn() -> None:
    """Operation 0 at losses 3 and 5, operation 1 at 7: averages of g = L (1 + k): 4 and 14, counts 2 and 1."""
    method, ours = METHODS["advantage"], optimisers.sgd()
    state, problem = step.start(method, ours, np.zeros((1, 2))), Scripted([3, 7, 5])
    for operation in (0, 1, 0):
        state, _ = step.architecture_step(method, ours, state, problem, one_edge(operation), 0.0)
    assert state.memory["gate_gradient"].tolist() == [[4.0, 14.0]]
    assert state.memory["gate_gradient.count"].tolist() == [[2.0, 1.0]]


def test_zero_is_charged_by_the_average_before_this_step() -> None:
    """Two samples in one step: one draws zero, the other operation 0 for the first time. Zero's charge is still 0."""
    method, ours = METHODS["advantage"], optimisers.sgd()
    state, problem = step.start(method, ours, np.zeros((1, 2))), Scripted([6], zero_operation=1)
    uniforms = np.stack([one_edge(1), one_edge(0)])
    after, sample = step.architecture_step(method, ours, state, problem, uniforms, 1.0, samples=2)
    assert sample.gates[:, 0].tolist() == [[0, 1], [1, 0]]
    # sample 0: charge 0, no gradient; sample 1: 6 (1/2, -1/2); their mean (3/2, -3/2) is descended
    assert after.logits.tolist() == [[-1.5, 1.5]]
    problem = Scripted([6], zero_operation=1)
    after, _ = step.architecture_step(method, ours, after, problem, uniforms, 0.0, samples=2)
    charged = step.charged(method, sample, {"gate_gradient": np.array([[[4.0, 99.0]]])})
    assert charged.gate_gradient[0, 0, 1] == 4.0  # the largest of the others, and never zero's own
    assert charged.gate_gradient[1, 0, 0] == 6.0  # what was drawn and is not zero keeps its own


def test_an_average_is_a_mean_for_twenty_samples_and_then_forgets() -> None:
    method = METHODS["reinforce"]
    memory = step.start(method, optimisers.sgd(), np.zeros((1, 2))).memory
    gates = np.array([[1.0, 0.0]])
    losses = [float(i * i % 17) for i in range(60)]
    expected = 0.0
    for number, loss in enumerate(losses):
        sample = Sample(gates / 2, gates, gates, loss=np.float64(loss))
        memory = step.remember(method, memory, sample)
        expected = sum(losses[: number + 1]) / (number + 1) if number < 20 else 0.95 * expected + 0.05 * loss
        assert float(memory["loss"]) == pytest.approx(expected, rel=1e-12)
        assert memory["loss.count"] == number + 1


def test_memory_starts_at_zero_in_the_shapes_of_its_averages() -> None:
    logits = np.ones((5, 3, 4))
    for method in METHODS.values():
        memory = step.start(method, optimisers.sgd(), logits).memory
        for name, average in method.averages.items():
            assert memory[name].shape == (5, 3, 4)[: 1 + average.axes]
            assert memory[name + ".count"].shape == memory[name].shape
            assert (memory[name] == 0).all()
            assert (memory[name + ".count"] == 0).all()
    memory = step.start(METHODS["random"], optimisers.sgd(), logits).memory
    assert (memory["best"] == math.inf).all()
    assert memory["best"].shape == (5,)
    assert (memory["best.gates"] == np.eye(4)[0]).all()


def test_random_search_keeps_the_first_of_equals_each_replicate_alone() -> None:
    method, ours = METHODS["random"], optimisers.sgd()
    state = step.start(method, ours, np.zeros((2, 1, 2)))

    class Prices(Scripted):
        def __init__(self, prices: Any) -> None:
            super().__init__([])
            self.prices = prices

        def loss(self, gates: Any) -> Any:
            return (gates * self.prices).sum(axis=(-1, -2))

    found = []
    for operation, prices in ((0, [[5.0, 9.0]]), (1, [[9.0, 5.0]]), (1, [[9.0, 4.0]])):
        uniforms = np.stack([one_edge(operation), one_edge(0)])
        state, _ = step.architecture_step(method, ours, state, Prices(prices), uniforms, 1.0)
        found.append((state.memory["best"].tolist(), step.architecture(method, state)[:, 0].argmax(axis=-1).tolist()))
    assert found == [([5.0, 5.0], [0, 0]), ([5.0, 5.0], [0, 0]), ([4.0, 5.0], [1, 0])]
    assert state.step == 3
    assert (state.logits == 0).all()


# ------------------------------------------------------------------ several samples a step


def test_several_samples_are_averaged_and_nothing_else() -> None:
    """S = 3 of REINFORCE: the mean of the three gradients at the same baseline, by hand from each sample alone."""
    method, ours, rng = METHODS["reinforce"], optimisers.sgd(), np.random.default_rng(0)
    problem = TorchQuadratic()
    logits = torch.tensor(rng.normal(size=(4, 2, 3)))
    state = step.start(method, ours, logits)
    state = replace(state, memory={"loss": torch.full((4,), 2.0), "loss.count": torch.full((4,), 5.0)})
    uniforms = torch.tensor(rng.random((4, 3, 2)))
    after, sample = step.architecture_step(method, ours, state, problem, uniforms, 1.0, samples=3)
    p = torch.softmax(logits, -1)
    gradients, averages = [], []
    for s in range(3):
        gates = torch.tensor(policy.draw(p.numpy(), uniforms[:, s].numpy()))
        loss = problem.loss(gates)
        gradients.append((loss - 2.0)[:, None, None] * (gates - p))
        averages.append(2.0 + (loss - 2.0) / 6)
        torch.testing.assert_close(sample.loss[:, s], loss)
    torch.testing.assert_close(after.logits, logits - sum(gradients) / 3)
    torch.testing.assert_close(after.memory["loss"], sum(averages) / 3)
    torch.testing.assert_close(after.memory["loss.count"], torch.full((4,), 6.0))


def test_the_most_probable_architecture_is_derived() -> None:
    method, ours = METHODS["darts"], optimisers.sgd()
    logits = np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0]])
    assert step.architecture(method, step.start(method, ours, logits)).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_undrawn_logits_stay_and_the_pair_keeps_its_weight_by_hand() -> None:
    """Weights exp(logit) = (1, 2, 4), paths 0 and 2 drawn and moved to (9, 1) : 5 is shared as 9/2 and 1/2."""
    runs = np.array([[1.0, 0.0, 1.0]])
    old, new = np.log([[1.0, 2.0, 4.0]]), np.log([[9.0, 100.0, 1.0]])
    constrain = METHODS["proxyless"].constrain
    assert constrain is not None
    np.testing.assert_allclose(np.exp(constrain(old, new, Sample(runs, runs, runs))), [[4.5, 2.0, 0.5]], rtol=1e-12)


def test_every_question_is_asked_once_a_step() -> None:
    """A step of S samples asks for all of them together: one backward pass of a batch, not S."""
    asked = itertools.count()

    class Counted(Scripted):
        def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
            next(asked)
            return super().gradients(gates, runs)

    method, ours = METHODS["advantage"], optimisers.sgd()
    state = step.start(method, ours, np.zeros((1, 2)))
    step.architecture_step(method, ours, state, Counted([1.0]), np.full((4, 1), 0.1), 0.1, samples=4)
    assert next(asked) == 1


def test_without_progress_a_step_is_the_first_of_its_schedule() -> None:
    problem, method, ours = TorchQuadratic(), METHODS["snas"], optimisers.sgd()
    state = step.start(method, ours, torch.zeros(2, 3, dtype=torch.float64))
    uniforms = torch.rand(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    default, sample = step.architecture_step(method, ours, state, problem, uniforms, 0.1)
    first, _ = step.architecture_step(method, ours, state, problem, uniforms, 0.1, progress=0.0)
    torch.testing.assert_close(default.logits, first.logits, rtol=0, atol=0)
    assert sample.temperature == step.draw(method, state.logits, uniforms).temperature == 1.0


def test_the_paths_of_all_samples_may_move() -> None:
    """Two samples of two paths, (0, 1) and (1, 2) of four: three operations keep their weight together, one its own."""
    problem = Scripted([1.0])
    method, ours = METHODS["proxyless"], optimisers.sgd()
    state = step.start(method, ours, np.log([[0.25, 0.25, 0.25, 0.25]]))
    # first path, second path among the rest, and which of the two is active
    uniforms = np.array([[[0.1, 0.1, 0.2]], [[0.3, 0.5, 0.2]]])
    after, sample = step.architecture_step(method, ours, state, problem, uniforms, 1.0, samples=2)
    assert sample.runs[:, 0].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    moved = np.exp(after.logits[0])
    assert moved[3] == pytest.approx(0.25)
    assert moved[:3].sum() == pytest.approx(0.75)
    assert (np.abs(moved[:3] - 0.25) > 1e-3).sum() >= 2


def test_each_edge_charges_its_own_worst() -> None:
    """E = 2, K = 3, zero is operation 1: averages (5, 99, 2) and (-4, 99, -1) charge 5 and -1."""
    gates = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    means = np.array([[5.0, 99.0, 2.0], [-4.0, 99.0, -1.0]])
    sample = Sample(gates / 3, gates, gates, gate_gradient=7 * gates, zero_operation=1)
    assert step.charge_zero(sample, means).gate_gradient.tolist() == [[0, 5, 0], [7, -1, 0]]
    both = np.array([[0.0, 1.0, 0.0]] * 2)
    sample = Sample(both / 3, both, both, gate_gradient=0 * both, zero_operation=1)
    assert step.charge_zero(sample, means).gate_gradient.tolist() == [[0, 5, 0], [0, -1, 0]]


def test_a_method_that_draws_several_averages_over_its_own_samples() -> None:
    """Eight samples on three edges, credit remembered edge by edge: the mean of the updates that each would make."""

    def centred(probabilities: Any, gates: Any, gate_gradient: Any, baseline: Any) -> Any:
        return 0 * probabilities

    method = Method("centred", "Centred", centred, draw=SEVERAL, baseline=CREDIT_AVERAGE)
    state = step.start(method, optimisers.sgd(), np.zeros((2, 3, 4)))
    uniforms = np.random.default_rng(0).random((2, 8, 3))
    memory = {"credit": np.full((2, 3), 1.0), "credit.count": np.array([[0.0, 1.0, 4.0]] * 2)}
    state = replace(state, memory=memory)
    after, sample = step.architecture_step(method, optimisers.sgd(), state, Scripted([2.0]), uniforms, 1.0)
    credit = 2.0 * (1 + sample.gates.argmax(axis=-1))  # g = L (1 + k) of the operation that was drawn
    assert credit.shape == (2, 8, 3)
    expected = (1.0 + (credit - 1.0) / np.array([1.0, 2.0, 5.0])).mean(axis=1)
    np.testing.assert_allclose(after.memory["credit"], expected)
    np.testing.assert_allclose(after.memory["credit.count"], memory["credit.count"] + 1)
