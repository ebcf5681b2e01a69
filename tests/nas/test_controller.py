"""The LSTM policy: its gradient again by autograd, its expectation by enumeration, and which theorems survive."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction as F
from typing import Any

import numpy as np
import pytest
import torch

from nas import controller, estimators, methods, optimisers, policy, step
from nas.methods import ENAS, ENAS_CRITIC, ENTROPY_WEIGHT
from nas.objective import Penalty
from tests.nas.test_estimators import rationals, simplex

# ------------------------------------------------------------------ the LSTM, a second time


def random_policy(seed: int, lead: tuple[int, ...], edges: int, candidates: int, scale: float = 1.0) -> Any:
    rng = np.random.default_rng(seed)
    shapes = controller.shapes(candidates)
    weights = {name: scale * rng.normal(size=(*lead, *shape)) / 4 for name, shape in shapes.items()}
    return rng.normal(size=(*lead, edges, candidates)), weights


def by_torch(logits: torch.Tensor, weights: dict[str, torch.Tensor], choice: list[int]) -> torch.Tensor:
    """Conditional log-probabilities (E, K) of a choice, by PyTorch's own LSTM cell, whose gates stand in another order.

    PyTorch's order is write, keep, new, show; its weights are transposed.
    """
    units = controller.UNITS
    cell = torch.nn.LSTMCell(units, units).double()
    keep, write, show, new = weights["recurrent"].T.split(units)
    of_bias = dict(zip(("keep", "write", "show", "new"), weights["bias"].split(units), strict=True))
    matrix = torch.cat((write, keep, new, show))
    bias = torch.cat((of_bias["write"], of_bias["keep"], of_bias["new"], of_bias["show"]))
    named = {"weight_ih": matrix[:, :units], "weight_hh": matrix[:, units:], "bias_ih": bias, "bias_hh": 0 * bias}
    state: Any = None
    word, rows = weights["start"][None], []
    for edge, operation in enumerate(choice):
        state = torch.func.functional_call(cell, named, (word, state))
        raw = logits[edge] + state[0][0] @ weights["readout"]
        rows.append(torch.log_softmax(2.5 * torch.tanh(raw / 5), dim=-1))
        word = weights["embedding"][operation][None]
    return torch.stack(rows)


@pytest.mark.parametrize("seed", range(3))
def test_probabilities_and_gradient_are_those_of_pytorchs_lstm(seed: int) -> None:
    """And a sum over several replicates is each one alone: the backward pass has leading axes."""
    edges, candidates = 4, 3
    logits, weights = random_policy(seed, (2,), edges, candidates)
    rng = np.random.default_rng(seed)
    choice, credit = rng.integers(candidates, size=(2, edges)), rng.normal(size=(2, edges))
    sample = controller.given(logits, weights, np.eye(candidates)[choice])
    gradient = estimators.credited(sample.probabilities, sample.gates, credit)
    of_logits, of_weights = controller.pull_back(logits, weights, sample, gradient)
    for replicate in range(2):
        leaves = {"logits": logits, **weights}
        leaf = {name: torch.tensor(array[replicate], requires_grad=True) for name, array in leaves.items()}
        parts = {name: leaf[name] for name in weights}
        rows = by_torch(leaf["logits"], parts, choice[replicate].tolist())
        np.testing.assert_allclose(sample.probabilities[replicate], rows.detach().exp(), rtol=1e-12)
        chosen = rows[torch.arange(edges), torch.tensor(choice[replicate])]
        np.testing.assert_allclose(sample.log_probability[replicate], chosen.sum().item(), rtol=1e-12)
        expected = torch.autograd.grad((torch.tensor(credit[replicate]) * chosen).sum(), [*leaf.values()])
        for (name, found), by_autograd in zip({"logits": of_logits, **of_weights}.items(), expected, strict=True):
            assert by_autograd.abs().max() > 1e-6, name
            np.testing.assert_allclose(found[replicate], by_autograd, rtol=1e-9, atol=1e-13, err_msg=name)


def test_draws_follow_the_chain_of_conditionals() -> None:
    """Frequencies over an even grid of uniforms, E = 2, K = 2: each joint probability to one part of the grid."""
    logits, weights = random_policy(5, (), 2, 2, scale=4)
    n = 200
    grid = (np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2) + 0.5) / n
    wide = np.broadcast_to(logits, (n * n, 2, 2))
    sample = controller.CONTROLLER.sample(wide, grid, None, weights)
    found = np.einsum("nj,nk->jk", sample.gates[:, 0], sample.gates[:, 1]) / n**2
    joint = np.array([[np.exp(one(logits, weights, (j, k)).log_probability) for k in range(2)] for j in range(2)])
    np.testing.assert_allclose(found, joint, atol=2 / n)
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    rows = joint / joint.sum(axis=1, keepdims=True)
    assert abs(rows[0, 0] - rows[1, 0]) > 0.02  # no product: the second edge sees the first
    surest = controller.surest(logits, weights)
    first = int(surest[0].argmax())
    np.testing.assert_allclose(surest, [joint.sum(axis=1), rows[first]], rtol=1e-9)


def test_control_without_weights_it_is_a_product_of_softmaxes() -> None:
    logits, weights = random_policy(0, (), 3, 3)
    weights["readout"] = 0 * weights["readout"]
    squashed = policy.softmax(2.5 * np.tanh(logits / 5))
    for choice in itertools.product(range(3), repeat=3):
        np.testing.assert_allclose(one(logits, weights, choice).probabilities, squashed)


def one(logits: Any, weights: Any, choice: tuple[int, ...]) -> Any:
    return controller.given(logits, weights, np.eye(logits.shape[-1])[list(choice)])


# ------------------------------------------------------------------ the expected loss, by enumeration


def enumerated(logits: Any, weights: Any, losses: Any, weight: float) -> Any:
    """E[L] - weight H, over all architectures; leading axes of logits and weights are replicates."""
    total: Any = 0
    for choice in itertools.product(range(losses.shape[0]), repeat=losses.ndim):
        gates = np.broadcast_to(np.eye(losses.shape[0])[list(choice)], logits.shape)
        log_p = controller.given(logits, weights, gates).log_probability
        total = total + np.exp(log_p) * (losses[choice] + weight * log_p)
    return total


def mean_gradient(logits: Any, weights: Any, losses: Any, estimate: Callable[..., Any]) -> dict[str, Any]:
    """The mean over all architectures of what an estimator says, pulled back to logits and weights."""
    total = {name: 0 * array for name, array in {"logits": logits, **weights}.items()}
    for choice in itertools.product(range(losses.shape[0]), repeat=losses.ndim):
        sample = one(logits, weights, choice)
        gradient = estimate(sample, losses[choice])
        of_logits, of_weights = controller.pull_back(logits, weights, sample, gradient)
        for name, part in {"logits": of_logits, **of_weights}.items():
            total[name] = total[name] + np.exp(sample.log_probability) * part
    return total


def slopes(logits: Any, weights: Any, losses: Any, weight: float, seed: int) -> list[tuple[dict[str, Any], float]]:
    """Directions in logits and weights, and the finite difference of `enumerated` along each."""
    rng, reach = np.random.default_rng(seed), 1e-4
    found = []
    for alone in ("logits", *weights, ""):
        along = {name: rng.normal(size=a.shape) * (alone in ("", name)) for name, a in weights.items()}
        of_logits = rng.normal(size=logits.shape) * (alone in ("", "logits"))
        ends = [
            enumerated(
                logits + side * reach * of_logits,
                {name: a + side * reach * along[name] for name, a in weights.items()},
                losses,
                weight,
            )
            for side in (1, -1)
        ]
        found.append(({"logits": of_logits, **along}, float(ends[0] - ends[1]) / (2 * reach)))
    return found


def enas(sample: Any, loss: Any, baseline: Any = 0.37, weight: float = 0.3) -> Any:
    return estimators.reinforce_with_entropy(
        sample.probabilities, sample.gates, loss, sample.log_probability, baseline, weight
    )


def turned(sample: Any, loss: Any) -> Any:
    return enas(sample, loss, weight=-0.3)


def sees_its_own(sample: Any, loss: Any) -> Any:
    return enas(sample, loss, baseline=0.37 + sample.gates[0, 0])


def sees_what_comes_later(sample: Any, loss: Any) -> Any:
    later = np.append(sample.gates[1:, 0], 0.37)
    return enas(sample, loss) - later[:, None] * (sample.gates - sample.probabilities)


def sees_what_came_before(sample: Any, loss: Any) -> Any:
    before = np.append(0.37, sample.gates[:-1, 0])
    return enas(sample, loss) - before[:, None] * (sample.gates - sample.probabilities)


LEARNED = np.arange(1.0, 7.0).reshape(3, 2) ** 2 / 10  # what a critic may say before it has learned


def critic(sample: Any, loss: Any) -> Any:
    table = LEARNED[: len(sample.gates)]
    return estimators.actor_critic(sample.probabilities, sample.gates, loss + 0.3 * sample.log_probability, table)


def critic_of_its_own_edge(sample: Any, loss: Any) -> Any:
    own = ((sample.gates - sample.probabilities) * LEARNED[: len(sample.gates)]).sum(axis=-1)
    return critic(sample, loss) - own[:, None] * (sample.gates - sample.probabilities)


def critic_that_is_not_centred(sample: Any, loss: Any) -> Any:
    """Of other edges the table itself, not how far it lies from its mean given what was chosen before."""
    expected = (sample.probabilities * LEARNED[: len(sample.gates)]).sum(axis=-1)
    others = expected.sum() - expected
    return critic(sample, loss) - others[:, None] * (sample.gates - sample.probabilities)


@pytest.mark.parametrize("edges", [2, 3])
@pytest.mark.parametrize(
    ("estimate", "holds"),
    [
        (enas, True),
        (critic, True),
        (critic_of_its_own_edge, False),
        (critic_that_is_not_centred, False),
        (sees_what_came_before, True),
        (turned, False),
        (sees_its_own, False),
        (sees_what_comes_later, False),
    ],
)
def test_the_mean_is_the_gradient_of_the_expected_loss(edges: int, estimate: Any, holds: bool) -> None:
    """T4 through the LSTM: in all parameters, for a baseline that sees neither a_e nor what is chosen after it."""
    logits, weights = random_policy(edges, (), edges, 2, scale=2)
    losses = np.random.default_rng(edges).normal(size=(2,) * edges)
    mean = mean_gradient(logits, weights, losses, estimate)
    apart = []
    for along, slope in slopes(logits, weights, losses, 0.3, seed=edges):
        assert abs(slope) > 1e-4
        said = sum(float((mean[name] * direction).sum()) for name, direction in along.items())
        apart.append(abs(said - slope) / abs(slope))
    assert (max(apart) < 1e-5) == holds, apart


# ------------------------------------------------------------------ in fractions, whatever writes the conditionals


WRONG = np.array([[F(9), F(-4)], [F(1, 7), F(3)], [F(-2), F(5)]])  # what a critic may say before it has learned


class Chain:
    """Any policy of E = 3 edges with K = 2: a row of its own for each edge and all choices before it."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.losses, self.zeroed = rationals(rng, 2, 2, 2), rationals(rng, 3, 2, 2)
        nodes = [prefix for edge in range(3) for prefix in itertools.product(range(2), repeat=edge)]
        self.rows = {prefix: simplex(rng, 2) for prefix in nodes}

    def outcomes(self) -> Iterator[tuple[tuple[int, ...], F, Any, Any]]:
        for a in itertools.product(range(2), repeat=3):
            p = np.stack([self.rows[a[:edge]] for edge in range(3)])
            gates = np.array(np.eye(2, dtype=int)[list(a)], dtype=object)
            yield a, (p * gates).sum(axis=-1).prod(), p, gates

    def gradient(self, prefix: tuple[int, ...]) -> Any:
        """Of E[L] in the logits of one row: P(prefix) p_k (E[L | prefix, k] - E[L | prefix])."""
        q = [
            sum(w * self.losses[a] for a, w, _, _ in self.outcomes() if a[: len(prefix) + 1] == (*prefix, k))
            for k in (0, 1)
        ]
        return np.array(q) - self.rows[prefix] * sum(q)

    def mean(self, prefix: tuple[int, ...], estimate: Callable[..., Any]) -> Any:
        edge = len(prefix)
        return sum(w * estimate(self, a, p, gates)[edge] for a, w, p, gates in self.outcomes() if a[:edge] == prefix)

    def unbiased(self, estimate: Callable[..., Any], edge: int) -> bool:
        rows = [prefix for prefix in self.rows if len(prefix) == edge]
        return all((self.mean(prefix, estimate) == self.gradient(prefix)).all() for prefix in rows)


def with_a_constant(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    return estimators.reinforce(p, gates, chain.losses[a], F(7, 3))


def with_the_past(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    past = np.array([F(5, 7), F(a[0]), F(3 * a[0] - a[1], 2)])
    return estimators.credited(p, gates, chain.losses[a] - past)


def with_a_critic(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    return estimators.actor_critic(p, gates, chain.losses[a], WRONG)


def with_a_critic_that_is_not_centred(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    said = (gates * WRONG).sum(axis=-1)
    return estimators.credited(p, gates, chain.losses[a] - (said.sum() - said))


def with_the_future(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    future = np.array([F(a[1] + 2 * a[2]), F(a[2]), F(5, 7)])
    return estimators.credited(p, gates, chain.losses[a] - future)


def exact_advantage(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    """A zeroed loss of edge e that depends on all other choices."""
    others = [chain.zeroed[e][tuple(a[f] for f in range(3) if f != e)] for e in range(3)]
    return estimators.exact_advantage(p, gates, chain.losses[a], np.array(others))


def counterfactual(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    return estimators.counterfactual(p, gates, chain.losses[a], alternatives(chain, a))


def marginalised(chain: Chain, a: Any, p: Any, gates: Any) -> Any:
    return estimators.marginalised(p, alternatives(chain, a))


def alternatives(chain: Chain, a: Any) -> Any:
    return np.array([[chain.losses[(*a[:e], k, *a[e + 1 :])] for k in range(2)] for e in range(3)])


@pytest.mark.parametrize("seed", range(3))
def test_t4_where_edges_see_those_before_them(seed: int) -> None:
    """Exactly: what may be subtracted is what was known before the edge's turn. The last edge has no later ones."""
    chain = Chain(seed)
    for estimate in (with_a_constant, with_the_past, with_a_critic):
        assert [chain.unbiased(estimate, edge) for edge in range(3)] == [True, True, True]
    for estimate in (with_the_future, with_a_critic_that_is_not_centred, exact_advantage, counterfactual, marginalised):
        assert [chain.unbiased(estimate, edge) for edge in range(3)] == [False, False, True]


def test_control_where_no_edge_sees_another_all_of_them_are_unbiased() -> None:
    chain = Chain(0)
    for prefix in chain.rows:
        chain.rows[prefix] = chain.rows[(0,) * len(prefix)]
    for estimate in (with_a_constant, with_the_past, with_the_future, exact_advantage, counterfactual, marginalised):
        assert all(chain.unbiased(estimate, edge) for edge in range(3))


def test_t8s_step_is_none_in_the_weights() -> None:
    """A step of 2 / (Delta / 4) along the exact gradient: in free logits J never rises, in the weights it can."""
    rng = np.random.default_rng(0)
    raised = {"weights": 0, "logits": 0}
    for seed in range(60):
        losses = rng.normal(size=(2, 2))
        rate = 8 / (losses.max() - losses.min())
        logits, weights = random_policy(seed, (), 2, 2, scale=6)
        mean = mean_gradient(logits, weights, losses, lambda sample, loss: enas(sample, loss, weight=0.0))
        moved = {name: array - rate * mean[name] for name, array in {"logits": logits, **weights}.items()}
        before = enumerated(logits, weights, losses, 0.0)
        raised["weights"] += enumerated(moved.pop("logits"), moved, losses, 0.0) > before + 1e-9
        p = policy.softmax(logits)
        q = np.stack((losses @ p[1], losses.T @ p[0]))
        free = policy.softmax(logits - rate * estimators.softmax_pullback(p, q))
        raised["logits"] += free[0] @ losses @ free[1] > p[0] @ losses @ p[1] + 1e-9
    assert raised["logits"] == 0
    assert raised["weights"] > 0


# ------------------------------------------------------------------ one step


class Table:
    """Losses of two edges and three operations, each edge's own and a price for taking the same twice."""

    zero_operation = None

    def loss(self, gates: Any) -> Any:
        own = (gates[..., 0, :] * np.arange(3.0)).sum(axis=-1) + (gates[..., 1, :] * np.arange(3.0)[::-1]).sum(axis=-1)
        return own + (gates[..., 0, :] * gates[..., 1, :]).sum(axis=-1)


def begun(replicates: int, world: Any = np.asarray) -> Any:
    rng = np.random.default_rng(0)
    first = world(rng.random((replicates, step.start_noise(ENAS, 2, 3))))
    return step.start(ENAS, optimisers.adam(), world(np.zeros((replicates, 2, 3))), first)


def test_replicates_are_independent_and_each_is_itself_alone() -> None:
    state, adam = begun(3), optimisers.adam()
    uniforms = np.random.default_rng(1).random((4, 3, 2))
    alone = [
        step.State(*({k: v[r : r + 1] for k, v in part.items()} if isinstance(part, dict) else part[r : r + 1]
                     for part in (state.logits, state.memory, state.moments)), 0,
                   {k: v[r : r + 1] for k, v in state.kept.items()})
        for r in range(3)
    ]  # fmt: skip
    for now in uniforms:
        state, _ = step.architecture_step(ENAS, adam, state, Table(), now, 0.01, clip=1.0)
        alone = [
            step.architecture_step(ENAS, adam, part, Table(), now[r : r + 1], 0.01, clip=1.0)[0]
            for r, part in enumerate(alone)
        ]
    for r, part in enumerate(alone):
        np.testing.assert_allclose(state.logits[r], part.logits[0], rtol=1e-9, atol=1e-12)
        for name, array in part.kept.items():
            np.testing.assert_allclose(state.kept[name][r], array[0], rtol=1e-9, atol=1e-12)
    assert np.abs(state.kept["readout"] - begun(3).kept["readout"]).max() > 0.01


def test_weights_move_with_the_logits_each_against_its_own_gradient() -> None:
    """Plain descent at rates 0 and 1/4, by the method's own parts; what comes out is in memory of its own."""
    sgd = optimisers.sgd()
    state = step.start(
        ENAS, sgd, np.zeros((2, 2, 3)), np.random.default_rng(0).random((2, step.start_noise(ENAS, 2, 3)))
    )
    uniforms = np.array([[0.2, 0.9], [0.6, 0.1]])
    sample = step.measure(ENAS, step.draw(ENAS, state.logits, uniforms, kept=state.kept), Table())
    gradient = step.gradient_of(ENAS, sample, state.memory)
    of_logits, of_weights = controller.pull_back(state.logits, state.kept, sample, gradient)
    for rate in (0.0, 0.25):
        after, _ = step.architecture_step(ENAS, sgd, state, Table(), uniforms, rate)
        np.testing.assert_allclose(after.logits, state.logits - rate * of_logits, rtol=1e-12)
        assert after.kept.keys() == state.kept.keys()
        for name, array in after.kept.items():
            np.testing.assert_allclose(array, state.kept[name] - rate * of_weights[name], rtol=1e-12, err_msg=name)
        assert all(array.flags.owndata for array in (after.logits, *after.kept.values()))
    assert all(np.abs(array).max() > 1e-6 for array in (of_logits, *of_weights.values()))


def test_a_step_of_several_samples_is_the_mean_of_their_gradients() -> None:
    state, sgd = begun(2), optimisers.sgd()
    uniforms = np.random.default_rng(2).random((2, 3, 2))
    state = step.start(ENAS, sgd, state.logits, np.random.default_rng(0).random((2, step.start_noise(ENAS, 2, 3))))
    together, _ = step.architecture_step(ENAS, sgd, state, Table(), uniforms, 1.0, samples=3)
    singles = [step.architecture_step(ENAS, sgd, state, Table(), uniforms[:, s], 1.0)[0] for s in range(3)]
    np.testing.assert_allclose(together.logits, np.mean([s.logits for s in singles], axis=0), atol=1e-12)
    for name, array in together.kept.items():
        np.testing.assert_allclose(array, np.mean([s.kept[name] for s in singles], axis=0), atol=1e-12, err_msg=name)
        assert array.shape == state.kept[name].shape
    assert np.abs(together.logits).max() > 1e-3


def test_numpy_and_torch_take_the_same_steps() -> None:
    adam = optimisers.adam()
    ours, theirs = begun(2), begun(2, torch.tensor)
    for now in np.random.default_rng(3).random((3, 2, 2)):
        ours, _ = step.architecture_step(ENAS, adam, ours, Table(), now, 0.01)
        problem: Any = Table()
        problem.loss = lambda gates: torch.as_tensor(Table().loss(gates.numpy()))
        theirs, _ = step.architecture_step(ENAS, adam, theirs, problem, torch.tensor(now), 0.01)
    for name, array in ours.kept.items():
        np.testing.assert_allclose(array, theirs.kept[name], rtol=1e-9, atol=1e-12)


def test_the_baseline_is_the_average_of_loss_and_bonus() -> None:
    state = begun(1)
    taken, sample = step.architecture_step(ENAS, optimisers.adam(), state, Table(), np.array([[0.2, 0.9]]), 0.01)
    expected = sample.loss + ENTROPY_WEIGHT * sample.log_probability
    np.testing.assert_allclose(taken.memory["regularised_loss"], expected)
    assert (taken.memory["regularised_loss"] != sample.loss).all()


def test_the_critic_learns_what_each_operation_cost_and_credits_by_it() -> None:
    """Its table by hand: all entries have the first loss, then those of drawn operations the means of theirs."""
    sgd = optimisers.sgd()
    state = step.start(
        ENAS_CRITIC, sgd, np.zeros((2, 3)), np.random.default_rng(0).random(step.start_noise(ENAS, 2, 3))
    )
    first, one = step.architecture_step(ENAS_CRITIC, sgd, state, Table(), np.array([0.1, 0.9]), 0.1)
    price = one.loss + ENTROPY_WEIGHT * one.log_probability
    np.testing.assert_allclose(first.memory["critic"], np.full((2, 3), price))
    second, two = step.architecture_step(ENAS_CRITIC, sgd, first, Table(), np.array([0.1, 0.1]), 0.1)
    now = two.loss + ENTROPY_WEIGHT * two.log_probability
    assert now != price
    expected = np.array([[(price + now) / 2, price, price], [now, price, price]])
    np.testing.assert_allclose(second.memory["critic"], expected)
    # The first step charged the loss itself: the critic knew nothing. The second charges it against what is known.
    known = first.memory["critic"]
    values = [(two.probabilities[0] * known[0]).sum(), (two.probabilities[1] * known[1]).sum()]
    surprise = ((two.gates - two.probabilities) * known).sum(axis=-1)
    values = [values[0] + surprise[1], values[1] + surprise[0]]
    gradient = ENAS_CRITIC.estimate(two, first.memory)
    np.testing.assert_allclose(
        gradient, (now - np.array(values))[:, None] * (two.gates - two.probabilities), atol=1e-12
    )
    assert np.abs(gradient).max() > 0.1


def test_what_cannot_begin_is_refused() -> None:
    logits = np.zeros((2, 3))
    with pytest.raises(ValueError, match="method enas begins with weights drawn at random: `start` needs 33472"):
        step.start(ENAS, optimisers.adam(), logits)
    enough = np.full(step.start_noise(ENAS, 2, 3), 0.5)
    for name in ("natural", "asng", "exponentiated"):
        with pytest.raises(ValueError, match=f"optimiser {name} moves E rows of logits alone, and method enas has"):
            step.start(ENAS, optimisers.build(name), logits, enough)
    assert step.start(ENAS, optimisers.sgd(), logits, enough).kept  # the control


def test_a_penalty_is_refused_where_its_gradient_is_not_known() -> None:
    price = Penalty(0.5, np.ones((2, 3)))
    with pytest.raises(ValueError, match="a penalty's gradient is known for a softmax, which method enas does not"):
        step.architecture_step(ENAS, optimisers.adam(), begun(1), Table(), np.full((1, 2), 0.5), 0.1, penalty=price)


def test_theory_and_simulator_refuse_it_in_one_line() -> None:
    assert methods.find("enas") is ENAS
    with pytest.raises(ValueError, match="method enas does not draw from a product of E softmaxes") as refused:
        methods.find("enas", landscape=True)
    assert "\n" not in str(refused.value)
