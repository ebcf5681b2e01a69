"""One architecture step, over the whole registry: a method is tested the day it is listed."""

import math
from dataclasses import replace
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nas import estimators, methods, objective, optimisers, policy, step
from nas.arrays import namespace
from nas.methods import METHODS, Method
from nas.objective import Gradients, Penalty
from nas.samples import SEVERAL, Sample

EDGES, CANDIDATES, OUTPUTS = 3, 4, 2


class Quadratic:
    """Squared distance of the summed edge outputs from a target: the smallest objective with real gate gradients."""

    def __init__(self, outputs: Any, target: Any, zero_operation: int | None = None) -> None:
        self.outputs, self.target, self.zero_operation = outputs, target, zero_operation

    def residual(self, gates: Any) -> Any:
        return namespace(gates).einsum("...ek,ekd->...d", gates, self.outputs) - self.target

    def loss(self, gates: Any) -> Any:
        return (self.residual(gates) ** 2).sum(axis=-1)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        residual = self.residual(gates)
        gate_gradient = namespace(gates).einsum("...d,ekd->...ek", 2 * residual, self.outputs) * runs
        output_gradient = (2 * residual).sum(axis=-1)[..., None] + 0 * gates[..., 0]
        return Gradients((residual**2).sum(axis=-1), gate_gradient, output_gradient)


def problem(world: str = "numpy") -> Quadratic:
    rng = np.random.default_rng(1)
    outputs, target = rng.normal(size=(EDGES, CANDIDATES, OUTPUTS)) / 2, rng.normal(size=OUTPUTS)
    return Quadratic(outputs, target) if world == "numpy" else Quadratic(torch.tensor(outputs), torch.tensor(target))


def run(method: Method, steps: int, replicates: int, world: str, optimiser: optimisers.Optimiser, rate: float) -> Any:
    rng = np.random.default_rng(7)
    logits: Any = np.full((replicates, EDGES, CANDIDATES), 0.5)
    convert: Any = torch.tensor if world == "torch" else np.asarray
    state = step.start(method, optimiser, convert(logits))
    shape = (replicates, *step.noise_shape(method, EDGES, CANDIDATES))
    for i in range(steps):
        state, sample = step.architecture_step(
            method, optimiser, state, problem(world), convert(rng.random(shape)), rate, i / steps, clip=1.0
        )
    return state, sample


@pytest.mark.parametrize("name", METHODS)
def test_numpy_and_torch_take_the_same_steps(name: str) -> None:
    found = {w: run(METHODS[name], 25, 4, w, optimisers.adam(), 0.05)[0] for w in ("numpy", "torch")}
    np.testing.assert_allclose(found["torch"].logits.numpy(), found["numpy"].logits, atol=1e-7)
    for key, value in found["numpy"].memory.items():
        np.testing.assert_allclose(found["torch"].memory[key].numpy(), value, atol=1e-7)
    assert found["numpy"].step == 25


@pytest.mark.parametrize("name", METHODS)
def test_a_whole_step_compiles_into_one_graph(name: str) -> None:
    method, optimiser, landscape = METHODS[name], optimisers.adam(), problem("torch")
    state = step.start(method, optimiser, torch.full((4, EDGES, CANDIDATES), 0.5, dtype=torch.float64))
    uniforms = torch.rand((4, *step.noise_shape(method, EDGES, CANDIDATES)), dtype=torch.float64)

    def advance(state: step.State, uniforms: Any) -> step.State:
        return step.architecture_step(method, optimiser, state, landscape, uniforms, 0.05, 0.5, clip=1.0)[0]

    torch._dynamo.reset()
    compiled = torch.compile(advance, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(state, uniforms).logits, advance(state, uniforms).logits)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random", "nasp", "binomial_advantage", "binomial_reinforce"}))
def test_every_method_improves_on_the_uniform_policy(name: str) -> None:
    """300 steps on a mild quadratic, 64 replicates: the derived architectures beat the uniform mean."""
    state, _ = run(METHODS[name], 300, 64, "numpy", optimisers.adam(), 0.05)
    derived = problem().loss(step.architecture(METHODS[name], state)).mean()
    uniform = policy.draw(
        np.full((4096, EDGES, CANDIDATES), 1 / CANDIDATES), np.random.default_rng(3).random((4096, EDGES))
    )
    assert derived < problem().loss(uniform).mean()


def upside_down(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
    return -1 * estimators.reinforce(probabilities, gates, loss, baseline)


def test_control_a_flipped_sign_does_not_improve() -> None:
    wrong = replace(METHODS["reinforce"], estimator=upside_down)
    state, _ = run(wrong, 300, 64, "numpy", optimisers.adam(), 0.05)
    uniform = policy.draw(
        np.full((4096, EDGES, CANDIDATES), 1 / CANDIDATES), np.random.default_rng(3).random((4096, EDGES))
    )
    assert problem().loss(step.architecture(wrong, state)).mean() > problem().loss(uniform).mean()


@pytest.mark.parametrize("name", METHODS)
def test_runs_says_what_a_method_reads(name: str) -> None:
    """Garbage in the gate gradient of operations that did not run must not change the step (sparse means sparse)."""

    class Garbage(Quadratic):
        def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
            measured = super().gradients(gates, runs)
            return replace(measured, gate_gradient=measured.gate_gradient + 1e3 * (1 - runs))

    clean = problem()
    method, optimiser = METHODS[name], optimisers.sgd()
    logits = np.random.default_rng(2).normal(size=(5, EDGES, CANDIDATES))
    uniforms = np.random.default_rng(3).random((5, *step.noise_shape(method, EDGES, CANDIDATES)))
    found = [
        step.architecture_step(method, optimiser, step.start(method, optimiser, logits), p, uniforms, 0.1)[0].logits
        for p in (clean, Garbage(clean.outputs, clean.target))
    ]
    np.testing.assert_array_equal(*found)


EXTREME = st.one_of(st.floats(-5, 5), st.sampled_from([-1e4, 1e4, -math.inf]))
GATES_ARE_PARAMETERS = {"nasp", "binomial_advantage", "binomial_reinforce"}  # their logits are no softmax's


@pytest.mark.parametrize("name", sorted(set(METHODS) - GATES_ARE_PARAMETERS))
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_shape_and_extreme_logits_give_finite_steps(name: str, data: st.DataObject) -> None:
    """E and K from 1 (K from 2 for two paths), logits of +-1e4 and -inf, uniforms at both ends of [0, 1)."""
    method, optimiser = METHODS[name], optimisers.sgd()
    edges = data.draw(st.integers(1, 3))
    candidates = data.draw(st.integers(2 if method.propagation == "two-path" else 1, 4))
    logits = data.draw(hnp.arrays(np.float64, (2, edges, candidates), elements=EXTREME))
    logits[..., 0] = 0.0
    shape = (2, *step.noise_shape(method, edges, candidates))
    ends = st.one_of(st.floats(0.01, 0.99), st.sampled_from([0.0, math.nextafter(1, 0)]))
    uniforms = data.draw(hnp.arrays(np.float64, shape, elements=ends))
    rng = np.random.default_rng(0)
    landscape = Quadratic(rng.normal(size=(edges, candidates, 2)), rng.normal(size=2))
    sample = step.measure(method, step.draw(method, logits, uniforms, 0.5), landscape)
    assert ((sample.gates >= 0) & (sample.gates <= 1)).all()
    np.testing.assert_allclose(sample.gates.sum(axis=-1), 1)
    gradient = step.gradient_of(method, sample, step.start(method, optimiser, logits).memory)
    if gradient is not None:
        assert gradient.shape == (2, edges, candidates)
        assert np.isfinite(gradient).all()
        if name != "ars":  # its rows sum to zero only on average
            np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-9 * (1 + np.abs(gradient).max()))
        assert name == "ars" or candidates > 1 or (gradient == 0).all()  # one candidate: nothing to choose
    moved, _ = step.architecture_step(
        method, optimiser, step.start(method, optimiser, logits), landscape, uniforms, 0.1
    )
    assert not np.isnan(moved.logits).any()


def test_two_paths_need_two_candidates() -> None:
    with pytest.raises(ValueError, match="at least 2 candidate"):
        step.draw(METHODS["proxyless"], np.zeros((1, 1)), np.zeros((1, 3)))


def test_propagation_counts_the_operations_that_run() -> None:
    logits = np.random.default_rng(2).normal(size=(5, EDGES, CANDIDATES))
    for method in METHODS.values():
        uniforms = np.random.default_rng(3).random((5, *step.noise_shape(method, EDGES, CANDIDATES)))
        running = step.draw(method, logits, uniforms).runs.sum(axis=-1)
        expected = {"sparse": 1, "two-path": 2, "dense": CANDIDATES}[method.propagation]
        if method.name in ("muprop", "rebar"):  # the sampled pass is sparse; those at mean or relaxed gates are dense
            expected = 1
        assert (running == expected).all(), method.name


def test_only_what_keeps_something_needs_uniforms_to_start() -> None:
    assert [step.start_noise(method, EDGES, CANDIDATES) for method in METHODS.values()] == [0] * len(METHODS)
    assert step.start_noise(methods.ENAS, EDGES, CANDIDATES) > 0  # the control


# ------------------------------------------------------------------ memory


def sampled(gates: Any, gate_gradient: Any, loss: Any, zero: int | None = None) -> Sample:
    p = np.full(gates.shape, 1 / gates.shape[-1])
    return Sample(p, gates, gates, loss=loss, gate_gradient=gate_gradient, zero_operation=zero)


def test_moving_average_is_a_mean_first_then_exponential() -> None:
    method = METHODS["reinforce"]
    memory = step.start(method, optimisers.sgd(), np.zeros((1, 2))).memory
    gates = np.array([[1.0, 0.0]])
    seen = []
    for i in range(40):
        memory = step.remember(method, memory, sampled(gates, gates, np.float64(i)))
        seen.append(float(memory["loss"]))
    assert seen[:4] == pytest.approx([0, 0.5, 1.0, 1.5])  # plain means of 0, 1, 2, 3
    assert seen[39] == pytest.approx(0.95 * seen[38] + 0.05 * 39)


def test_after_twenty_updates_the_newest_counts_a_twentieth_also_where_updates_are_fractions() -> None:
    """Averages over several samples count fractions of updates. From 19 on the rate is 1/20, not 1 / (19.5 + 1)."""
    method, gates = METHODS["advantage"], np.array([[1.0, 0.0]])
    for count, rate in ((18.0, 1 / 19), (18.5, 1 / 19.5), (19.0, 1 / 20), (19.5, 1 / 20), (20.0, 1 / 20)):
        memory = {"gate_gradient": np.array([[10.0, 7.0]]), "gate_gradient.count": np.array([[count, 3.0]])}
        after = step.remember(method, memory, sampled(gates, 30 * gates, np.float64(0)))
        np.testing.assert_allclose(after["gate_gradient"], [[10 + 20 * rate, 7.0]], rtol=1e-12)
        assert after["gate_gradient.count"].tolist() == [[count + 1, 3.0]]


def test_a_critic_of_one_edge_takes_the_first_loss_for_all_operations_and_only_the_first() -> None:
    """Losses 5 at operation 0, then 3 at operation 1: the table is (5, 5), then (5, 3)."""
    method = METHODS["actor_critic"]
    memory = step.start(method, optimisers.sgd(), np.zeros((1, 2))).memory
    tables = []
    for gates, loss in (([[1.0, 0.0]], 5.0), ([[0.0, 1.0]], 3.0)):
        memory = step.remember(method, memory, sampled(np.array(gates), None, np.float64(loss)))
        tables.append(memory["critic"].tolist())
    assert tables == [[[5.0, 5.0]], [[5.0, 3.0]]]


def test_gate_averages_move_only_where_sampled() -> None:
    method = METHODS["advantage"]
    memory = step.start(method, optimisers.sgd(), np.zeros((2, 2))).memory
    gates = np.array([[1.0, 0.0], [0.0, 1.0]])
    memory = step.remember(method, memory, sampled(gates, np.array([[3.0, 99.0], [99.0, -2.0]]), np.float64(0)))
    assert memory["gate_gradient"].tolist() == [[3.0, 0.0], [0.0, -2.0]]


def test_zero_policy_charges_the_worst_average_and_plain_does_not() -> None:
    """Edge 0 drew zero (index 1): its credit is 0 by construction, and the policy makes it the worst of the others."""
    gates = np.array([[0.0, 1.0, 0.0]])
    sample = sampled(gates, 0 * gates, np.float64(1), zero=1)
    memory = {"gate_gradient": np.array([[-1.0, 50.0, 4.0]])}
    worst = step.gradient_of(METHODS["advantage"], sample, memory)
    np.testing.assert_allclose(worst, 4.0 * (gates - 1 / 3))
    plain = step.gradient_of(replace(METHODS["advantage"], zero_policy="plain"), sample, memory)
    assert (plain == 0).all()
    other = replace(sample, gates=np.array([[1.0, 0.0, 0.0]]), gate_gradient=np.array([[2.0, 0.0, 0.0]]))
    np.testing.assert_allclose(step.gradient_of(METHODS["advantage"], other, memory), 2.0 * (other.gates - 1 / 3))


def test_the_credits_average_is_of_the_charged_credit() -> None:
    """The baseline is subtracted from what the estimator sees, so it averages that: zero was drawn and charged 4."""
    gates = np.array([[0.0, 1.0, 0.0]])
    method = METHODS["advantage_with_baseline"]
    memory = step.start(method, optimisers.sgd(), np.zeros((1, 3))).memory | {"gate_gradient": np.array([[-1.0, 0, 4]])}
    charged = step.remember(method, memory, sampled(gates, 0 * gates, np.float64(1), zero=1))
    assert charged["credit"].tolist() == [4.0]
    plain = step.remember(
        replace(method, zero_policy="plain"), memory, sampled(gates, 0 * gates, np.float64(1), zero=1)
    )
    assert plain["credit"].tolist() == [0.0]


@pytest.mark.parametrize("name", METHODS)
def test_the_drawn_gates_are_asked_about_first(name: str) -> None:
    """A recurrent network's state goes on from the first gates that are asked about (`nas.tasks.text.network`)."""
    asked: list[Any] = []

    class Watched(Quadratic):
        def loss(self, gates: Any) -> Any:
            asked.append(gates)
            return super().loss(gates)

        def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
            asked.append(gates)
            return super().gradients(gates, runs)

    method, optimiser = METHODS[name], optimisers.sgd()
    shape = step.noise_shape(method, EDGES, CANDIDATES)
    uniforms = np.random.default_rng(0).random(shape)
    watched = Watched(problem().outputs, problem().target)
    state = step.start(method, optimiser, np.zeros((EDGES, CANDIDATES)))
    _, sample = step.architecture_step(method, optimiser, state, watched, uniforms, 0.1, 0.5)
    np.testing.assert_array_equal(asked[0], sample.gates)


def test_random_search_keeps_the_best_and_never_moves() -> None:
    state, _ = run(METHODS["random"], 200, 8, "numpy", optimisers.adam(), 0.05)
    assert (state.logits == 0.5).all()
    best = step.architecture(METHODS["random"], state)
    np.testing.assert_allclose(problem().loss(best), state.memory["best"])
    worse = policy.draw(np.full((1000, EDGES, CANDIDATES), 0.25), np.random.default_rng(3).random((1000, EDGES)))
    assert (state.memory["best"] <= np.quantile(problem().loss(worse), 0.05)).all()


# ------------------------------------------------------------------ single methods


def test_two_path_keeps_undrawn_probabilities() -> None:
    method, optimiser = METHODS["proxyless"], optimisers.adam()
    logits = np.random.default_rng(0).normal(size=(6, EDGES, CANDIDATES))
    state = step.start(method, optimiser, logits)
    for i in range(3):  # momentum must not leak to undrawn operations either
        uniforms = np.random.default_rng(i).random((6, EDGES, 3))
        before = policy.softmax(state.logits)
        state, sample = step.architecture_step(method, optimiser, state, problem(), uniforms, 0.1)
        after = policy.softmax(state.logits)
        np.testing.assert_allclose(after[sample.runs == 0], before[sample.runs == 0], rtol=1e-10)
        assert (np.abs(after - before)[sample.runs == 1] > 1e-6).any()


def test_nasp_stays_in_its_box() -> None:
    state, _ = run(METHODS["nasp"], 50, 4, "numpy", optimisers.sgd(), 1.0)
    assert (state.logits >= 0).all()
    assert (state.logits <= 1).all()


def test_ars_samples_follow_the_policy() -> None:
    """The unswapped pass of ARS is a draw from softmax(logits): frequencies against n = 40,000 and a 5-sigma bound."""
    logits = np.broadcast_to(np.array([[1.0, 0.0, -1.0, 0.5]]), (40_000, 1, 4))
    sample = step.draw(METHODS["ars"], logits, np.random.default_rng(0).random((40_000, 1, 4)))
    p = policy.softmax(logits[0])
    assert (np.abs(sample.gates[:, 0].mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / 40_000)).all()


def test_binomial_policy_by_hand() -> None:
    p = policy_of_binomial = methods.METHODS["binomial_advantage"].draw.probabilities(np.array([[0.0, 9.0, 9.0]]))
    np.testing.assert_allclose(p, [[0.25, 0.5, 0.25]])
    assert policy_of_binomial.shape == (1, 3)


def test_gauss_quadrature_method_is_exact_on_a_quadratic() -> None:
    logits = np.random.default_rng(5).normal(size=(6, EDGES, CANDIDATES))
    uniforms = np.random.default_rng(6).random((6, EDGES))
    found = []
    for name in ("quadrature_advantage", "exact_advantage", "advantage"):
        sample = step.measure(METHODS[name], step.draw(METHODS[name], logits, uniforms), problem())
        memory = step.start(METHODS[name], optimisers.sgd(), logits).memory
        found.append(step.gradient_of(METHODS[name], sample, memory))
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)
    assert np.abs(found[2] - found[1]).max() > 0.01  # control: first-order credit is not


# ------------------------------------------------------------------ questions to an objective, exactly


def exact_problem() -> tuple[Quadratic, Any]:
    class Exact(Quadratic):
        def residual(self, gates: Any) -> Any:
            return (gates[..., None] * self.outputs).sum(axis=-2).sum(axis=-2) - self.target

    outputs = np.array([F(i - 3, 1 + i % 4) for i in range(12)], dtype=object).reshape(2, 3, 2)
    return Exact(outputs, np.array([F(1, 2), F(-1)], dtype=object)), np.array([[0, 1, 0], [1, 0, 0]], dtype=object)


def test_zeroed_and_alternative_losses_exactly() -> None:
    landscape, gates = exact_problem()
    zeroed = objective.zeroed_losses(landscape, gates)
    for edge in range(2):
        off = gates.copy()
        off[edge] = 0
        assert zeroed[edge] == landscape.loss(off)
        assert (
            objective.zeroed_loss(landscape, gates, np.array([e == edge for e in range(2)], dtype=object) * 1)
            == zeroed[edge]
        )
    alternatives = objective.alternative_losses(landscape, gates)
    for edge in range(2):
        for operation in range(3):
            other = gates.copy()
            other[edge] = [int(k == operation) for k in range(3)]
            assert alternatives[edge, operation] == landscape.loss(other)


# ------------------------------------------------------------------ several samples in one step


def two_steps(method: Method, samples: int, replicates: int, seed: int = 0) -> list[step.State]:
    """The states after one and after two steps on a quadratic, from random logits."""
    rng, optimiser = np.random.default_rng(seed), optimisers.adam()
    states = [step.start(method, optimiser, rng.normal(size=(replicates, EDGES, CANDIDATES)))]
    for _ in range(2):
        uniforms = rng.random((replicates, *step.noise_shape(method, EDGES, CANDIDATES, samples)))
        states.append(
            step.architecture_step(method, optimiser, states[-1], problem(), uniforms, 0.1, 0.3, samples=samples)[0]
        )
    return states[1:]


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random"}))
def test_several_samples_are_the_mean_of_single_steps(name: str) -> None:
    """One step of plain descent on S samples: the mean of the S steps that each sample alone would take.

    Also with an edge axis as long as the replicates', where a wrong axis would go unseen in the shapes.
    """
    method, optimiser, samples, rng = METHODS[name], optimisers.sgd(), 4, np.random.default_rng(1)
    if method.constrain is not None:
        method = replace(method, constrain=None)  # a projection is not linear
    for replicates in (2, EDGES, samples):
        state = step.start(method, optimiser, rng.normal(size=(replicates, EDGES, CANDIDATES)))
        state = replace(state, memory={n: v + rng.random(v.shape) for n, v in state.memory.items()})
        uniforms = rng.random((replicates, *step.noise_shape(method, EDGES, CANDIDATES, samples)))
        whole, sample = step.architecture_step(method, optimiser, state, problem(), uniforms, 0.1, 0.3, samples=samples)
        single = [
            step.architecture_step(method, optimiser, state, problem(), uniforms[:, s], 0.1, 0.3)[0]
            for s in range(samples)
        ]
        np.testing.assert_allclose(whole.logits, np.mean([one.logits for one in single], axis=0), atol=1e-12)
        for key, value in whole.memory.items():
            assert value.shape == state.memory[key].shape
            np.testing.assert_allclose(value, np.mean([one.memory[key] for one in single], axis=0), atol=1e-12)
        assert sample.gates.shape[:2] == (replicates, samples)
        assert np.abs(whole.logits - single[0].logits).max() > 1e-6 or method.draw.noise(EDGES, 1) == (0,)


def test_one_sample_is_the_step_without_the_axis() -> None:
    for method in (METHODS["advantage_with_baseline"], METHODS["reinforce_leave_one_out"]):
        state, optimiser = step.start(method, optimisers.adam(), np.zeros((2, EDGES, CANDIDATES))), optimisers.adam()
        uniforms = np.random.default_rng(0).random((2, *step.noise_shape(method, EDGES, CANDIDATES)))
        bare, _ = step.architecture_step(method, optimiser, state, problem(), uniforms, 0.1)
        said, _ = step.architecture_step(method, optimiser, state, problem(), uniforms, 0.1, samples=1)
        assert (bare.logits == said.logits).all()


def test_a_search_without_a_gradient_has_nothing_to_average() -> None:
    with pytest.raises(ValueError, match="method random has no gradient to average over 4 samples"):
        two_steps(METHODS["random"], 4, 2)


def centred_by_hand(probabilities: Any, gates: Any, loss: Any, baseline: Any) -> Any:
    """The mean of several samples' REINFORCE, all with the same moving average as baseline."""
    charge = (loss - baseline[..., None])[..., None, None]
    return (charge * (gates - probabilities[..., None, :, :])).sum(axis=-3) / gates.shape[-3]


def test_averages_of_a_method_that_draws_several_keep_their_shape() -> None:
    """Its average is one number a replicate, the mean of its 8 losses, whether a step takes one such draw or three."""
    own = Method("own", "Own", centred_by_hand, draw=SEVERAL, baseline=methods.LOSS_AVERAGE)
    for samples in (1, 3):
        for replicates in (2, 8):  # 8 replicates: a missing axis would broadcast against the 8 samples
            optimiser = optimisers.sgd()
            state = step.start(own, optimiser, np.zeros((replicates, EDGES, CANDIDATES)))
            uniforms = np.random.default_rng(0).random((replicates, *step.noise_shape(own, EDGES, CANDIDATES, samples)))
            state, sample = step.architecture_step(own, optimiser, state, problem(), uniforms, 0.1, samples=samples)
            assert state.memory["loss"].shape == (replicates,)
            np.testing.assert_allclose(state.memory["loss"], sample.loss.reshape(replicates, -1).mean(axis=-1))
            assert (state.memory["loss.count"] == 1).all()


# ------------------------------------------------------------------ what an estimator may return


def returns_nothing(probabilities: Any, gates: Any, loss: Any) -> None:
    """Forgot its return."""


def returns_a_column(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    return (gates * gate_gradient).sum(axis=-1, keepdims=True)


def returns_it_turned(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    return namespace(gates).swapaxes(gates * gate_gradient, -1, -2)


def returns_one_for_all_replicates(probabilities: Any, gates: Any, gate_gradient: Any) -> Any:
    return (gates * gate_gradient).sum(axis=0)


@pytest.mark.parametrize("world", ["numpy", "torch"])
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize(
    ("estimator", "says"),
    [
        (returns_nothing, "returned None; it must return the gradient"),
        (returns_a_column, r"returned the shape \(5, (2, )?3, 1\); it must .* of the shape \(5, (2, )?3, 4\)"),
        (returns_it_turned, r"returned the shape \(5, (2, )?4, 3\)"),
        (returns_one_for_all_replicates, r"returned the shape \((2, )?3, 4\)"),
    ],
)
def test_what_is_no_gradient_is_refused_at_the_first_step(estimator: Any, says: str, samples: int, world: str) -> None:
    method, optimiser = methods.method_of(estimator, "mine"), optimisers.adam()
    convert: Any = torch.tensor if world == "torch" else np.asarray
    state = step.start(method, optimiser, convert(np.zeros((5, EDGES, CANDIDATES))))
    uniforms = convert(np.random.default_rng(0).random((5, *step.noise_shape(method, EDGES, CANDIDATES, samples))))
    with pytest.raises(ValueError, match=f"estimator mine {says}"):
        step.architecture_step(method, optimiser, state, problem(world), uniforms, 0.1, samples=samples)


def gives_nan(probabilities: Any, gates: Any, loss: Any) -> Any:
    return gates * math.nan


@pytest.mark.parametrize("world", ["numpy", "torch"])
def test_nan_of_an_estimator_is_refused_at_the_first_step_and_that_of_a_loss_is_not_its_fault(world: str) -> None:
    method, optimiser = methods.method_of(gives_nan, "mine"), optimisers.adam()
    convert: Any = torch.tensor if world == "torch" else np.asarray
    state = step.start(method, optimiser, convert(np.zeros((EDGES, CANDIDATES))))
    uniforms = convert(np.random.default_rng(0).random(step.noise_shape(method, EDGES, CANDIDATES)))

    def first(problem: Any, at: int = 0) -> Any:
        begun = replace(state, step=at)
        return step.architecture_step(method, optimiser, begun, problem, uniforms, 0.1)[0].logits

    with pytest.raises(ValueError, match="estimator mine returned a gradient with NaN, though the loss has none"):
        first(problem(world))
    assert math.isnan(first(problem(world), at=1)[0, 0])  # later steps are not looked at: the loops do
    lost = problem(world)
    lost.target = lost.target + math.nan
    assert math.isnan(first(lost)[0, 0])


def test_one_nan_is_enough_in_a_gradient_and_in_what_was_measured() -> None:
    method, gates = METHODS["reinforce"], np.eye(2)[None].repeat(2, axis=0)
    values = np.zeros((2, 2, 2))
    step.check_numbers(method, values, sampled(gates, gates, np.zeros(2)))  # the control
    values[1, 0, 1] = math.nan
    whole = sampled(gates, gates, np.zeros(2))
    with pytest.raises(ValueError, match="estimator reinforce returned a gradient with NaN"):
        step.check_numbers(method, values, whole)
    for name in ("loss", "gate_gradient", "output_gradient", "zeroed_loss"):
        step.check_numbers(method, values, replace(whole, **{name: np.array([0.0, math.nan])}))


def test_what_is_not_on_the_processor_is_not_read() -> None:
    """A tensor of the device `meta` has no numbers: to look at one is an error."""
    values = torch.zeros((2, 2), device="meta")
    step.check_numbers(METHODS["reinforce"], values, sampled(values, values, values[..., 0, 0]))
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool((values != values).any())  # the control


# ------------------------------------------------------------------ a price on operations

FREE = [m.name for m in METHODS.values() if m.draw.probabilities is policy.softmax and m.constrain is None]


@pytest.mark.parametrize("name", FREE)
def test_a_penalty_moves_the_logits_by_its_own_gradient_whatever_was_drawn(name: str) -> None:
    method, sgd = METHODS[name], optimisers.sgd()
    logits = np.random.default_rng(2).normal(size=(5, EDGES, CANDIDATES))
    uniforms = np.random.default_rng(3).random((5, *step.noise_shape(method, EDGES, CANDIDATES)))
    price = Penalty(2.0, np.random.default_rng(4).random((EDGES, CANDIDATES)))

    def moved(penalty: Penalty[Any] | None) -> Any:
        state = step.start(method, sgd, logits)
        return step.architecture_step(method, sgd, state, problem(), uniforms, 0.1, 0.5, penalty=penalty)[0].logits

    difference = moved(price) - moved(None)
    np.testing.assert_allclose(difference, -0.1 * price.gradient(policy.softmax(logits)), atol=1e-12)
    assert np.abs(difference).max() > 1e-3
    np.testing.assert_array_equal(moved(replace(price, weight=0.0)), moved(None))  # the control


def test_with_several_samples_a_penalty_counts_once() -> None:
    method, sgd, price = METHODS["advantage"], optimisers.sgd(), Penalty(2.0, np.arange(12.0).reshape(3, 4))
    logits = np.random.default_rng(2).normal(size=(EDGES, CANDIDATES))
    uniforms = np.random.default_rng(3).random(step.noise_shape(method, EDGES, CANDIDATES, 7))
    state = step.start(method, sgd, logits)
    found = [
        step.architecture_step(method, sgd, state, problem(), uniforms, 1.0, samples=7, penalty=penalty)[0].logits
        for penalty in (price, None)
    ]
    np.testing.assert_allclose(found[0] - found[1], -price.gradient(policy.softmax(logits)), atol=1e-12)


def test_a_search_without_a_gradient_stands_for_the_best_after_payment() -> None:
    """Two draws by hand: losses 1 and 3, of which the first pays 5 and the second nothing."""
    method, sgd = METHODS["random"], optimisers.sgd()

    class Table:
        zero_operation = None

        def loss(self, gates: Any) -> Any:
            return (gates * np.array([[1.0, 3.0]])).sum(axis=(-1, -2))

    def best(penalty: Penalty[Any] | None) -> Any:
        state = step.start(method, sgd, np.zeros((1, 2)))
        for uniform in (0.1, 0.9):
            state, sample = step.architecture_step(
                method, sgd, state, Table(), np.array([uniform]), 1.0, penalty=penalty
            )
        assert sample.loss == 3.0  # what is recorded is the loss itself
        return step.architecture(method, state).tolist(), float(state.memory["best"])

    assert best(Penalty(5.0, np.array([[1.0, 0.0]]))) == ([[0.0, 1.0]], 3.0)
    assert best(None) == ([[1.0, 0.0]], 1.0)
