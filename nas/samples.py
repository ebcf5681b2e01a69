"""How are the gates of one step drawn, and what is then known of them?

A `Draw` turns logits and uniforms into a `Sample`: one-hot gates (sparse propagation), several of them, a relaxed
row, the mean, two paths. The step (`nas.step`) fills in what it measures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nas import policy
from nas.arrays import namespace


@dataclass(frozen=True)
class Sample:
    """Everything one architecture step drew and measured. Fields a method does not need stay None.

    probabilities, gates, runs (..., E, K) — with several samples, gates (..., S, E, K); loss (...,) or (..., S).
    """

    probabilities: Any
    gates: Any
    runs: Any
    temperature: Any = None
    z: Any = None  # relaxed sample (..., E, K) of GDAS and SNAS; (..., M, E, K) of Gumbel-Rao
    conditioned: Any = None  # REBAR: a second relaxed sample with the same argmax (..., E, K)
    slope: Any = None  # REBAR: how its perturbed log-probabilities move with log p (..., E, K)
    largest: Any = None  # DisARM: the larger probability of each edge (..., E)
    log_probability: Any = None  # ln P(a) of a policy whose edges see each other (...,)
    pair: Any = None  # the two drawn operations, one-hot (..., E, 2, K)
    chosen: Any = None  # one edge to zero, one-hot (..., E)
    reference: Any = None  # ARS: noise of the reference operation (..., E)
    zero_operation: int | None = None
    loss: Any = None
    gate_gradient: Any = None
    output_gradient: Any = None
    zeroed_loss: Any = None  # (..., E), or (...,) where one edge was chosen
    alternative_losses: Any = None  # (..., E, K)
    path_gradients: Any = None  # (..., Q, E, K)
    mean_loss: Any = None  # at the mean gates a = p
    mean_gate_gradient: Any = None
    relaxed_gate_gradient: Any = None  # at z (..., E, K)
    conditioned_loss: Any = None  # at the conditioned sample
    conditioned_gate_gradient: Any = None
    stepped_gate_gradient: Any = None  # after a virtual weight step (..., E, K)
    gate_gradient_plus: Any = None  # on the weights' minibatch, at weights +- radius dL/dweights
    gate_gradient_minus: Any = None
    virtual_rate: Any = None  # of the virtual step
    virtual_radius: Any = None
    expected_gradient: Any = None  # of E[L] with respect to the logits (..., E, K), where the problem knows it


@dataclass(frozen=True)
class Keeps:
    """What a draw reads beside the logits: arrays of its own, by name, that go from step to step.

    start: (logits, uniforms) -> the arrays at the start, with the leading axes of the logits; noise(E, K): how many
    uniforms it takes. Then one of two. pull_back: (logits, kept, sample, gradient) -> (gradient of the logits, of each
    array), where `gradient` (..., E, K) is that of the logits of `sample.probabilities`; the optimiser moves the arrays
    with the logits: a policy with weights. after: (kept, sample) -> the arrays after a measured sample: a memory.
    """

    start: Callable[[Any, Any], dict[str, Any]]
    noise: Callable[[int, int], int]
    pull_back: Callable[[Any, dict[str, Any], Sample, Any], tuple[Any, dict[str, Any]]] | None = None
    after: Callable[[dict[str, Any], Sample], dict[str, Any]] | None = None


@dataclass(frozen=True)
class Draw:
    """How gates come from logits. `noise(E, K)` is the trailing shape of the uniforms that `sample` consumes.

    gives: which fields of the sample it fills, besides probabilities, gates and runs. candidates: the only K that it
    can draw from, None for any. keeps: what it reads beside the logits; None for the product of E softmaxes and its
    kin. What keeps something is called with it: sample(logits, uniforms, temperature, kept), probabilities(logits,
    kept); a sample's probabilities are then those that each edge had when its turn came.
    """

    sample: Callable[..., Sample]  # (logits, uniforms, temperature) -> Sample
    noise: Callable[[int, int], tuple[int, ...]]
    probabilities: Callable[..., Any] = policy.softmax
    gives: tuple[str, ...] = ()
    candidates: int | None = None
    keeps: Keeps | None = None


# ------------------------------------------------------------------ ways to draw


def _one_hot(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = policy.softmax(logits)
    gates = policy.draw(p, uniforms)
    return Sample(p, gates, gates)


def _several(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = policy.softmax(logits)
    gates = policy.draw(p[..., None, :, :], uniforms)
    return Sample(p, gates, gates)


def _one_hot_and_edge(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    xp = namespace(logits)
    sample = _one_hot(logits, uniforms[..., :-1], temperature)
    even = xp.ones_like(logits[..., 0])  # weights: `draw` takes rows of any sum
    return replace(sample, chosen=policy.draw(even, uniforms[..., -1]))


def _gumbel_hard(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    z = policy.gumbel_softmax(logits, uniforms, temperature)
    gates = policy.one_hot_argmax(z)
    return Sample(policy.softmax(logits), gates, gates, temperature, z)


def _gumbel_soft(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    z = policy.gumbel_softmax(logits, uniforms, temperature)
    return Sample(policy.softmax(logits), z, namespace(z).ones_like(z), temperature, z)


def _gumbel_hard_dense(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    sample = _gumbel_hard(logits, uniforms, temperature)
    return replace(sample, runs=namespace(logits).ones_like(sample.gates))


def _gumbel_given(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    """Gumbel-Rao: the gates, then RELAXATIONS relaxed samples that have them as argmax."""
    p = policy.softmax(logits)
    gates = policy.draw(p, uniforms[..., 0])
    own = uniforms[..., 1:].reshape(*gates.shape[:-1], RELAXATIONS, gates.shape[-1]).swapaxes(-3, -2)
    perturbed = policy.perturbed_given(p[..., None, :, :], gates[..., None, :, :], own)
    z = policy.softmax(perturbed / temperature)
    return Sample(p, gates, namespace(gates).ones_like(gates), temperature, z)


def _gumbel_twice(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    """REBAR: a relaxed sample, its argmax as gates, and another relaxed sample given the gates."""
    xp = namespace(logits)
    candidates = logits.shape[-1]
    sample = _gumbel_hard(logits, uniforms[..., :candidates], temperature)
    perturbed = policy.perturbed_given(sample.probabilities, sample.gates, uniforms[..., candidates:])
    slope = 1 - xp.exp(perturbed - xp.amax(perturbed, axis=-1, keepdims=True))
    return replace(sample, conditioned=policy.softmax(perturbed / temperature), slope=slope)


def _distinct(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = policy.softmax(logits)
    first = policy.draw(p, uniforms[..., 0])
    second = policy.draw_another(p, first, uniforms[..., 1])
    gates = namespace(p).stack((first, second), axis=-3)
    return Sample(p, gates, gates)


def _antithetic(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    xp = namespace(logits)
    refuse_all_but_two(logits.shape[-1])
    p = policy.softmax(logits)
    gates = xp.stack((policy.draw(p, uniforms), policy.draw(p, 1 - uniforms)), axis=-3)
    return Sample(p, gates, gates, largest=xp.amax(p, axis=-1))


def refuse_all_but_two(candidates: int) -> None:
    """Raises: ValueError unless an edge has two candidate operations."""
    if candidates != 2:
        raise ValueError(
            f"an antithetic pair (DisARM) is for binary choices: 2 candidate operations an edge, not {candidates}"
        )


def _mean(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = policy.softmax(logits)
    return Sample(p, p, namespace(p).ones_like(p))


def _argmax(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    gates = policy.one_hot_argmax(logits)
    return Sample(policy.softmax(logits), gates, namespace(gates).ones_like(gates))


def _uniform(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    return _one_hot(namespace(logits).zeros_like(logits), uniforms, temperature)


def _pair(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = policy.softmax(logits)
    first, second = policy.draw_pair(p, uniforms[..., :2])
    pair = namespace(p).stack((first, second), axis=-2)
    q = (pair * p[..., None, :]).sum(axis=-1)
    active = policy.draw(q, uniforms[..., 2])
    return Sample(p, (active[..., None] * pair).sum(axis=-2), first + second, pair=pair)


def _all_dense(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = policy.softmax(logits)
    gates = policy.draw(p, uniforms)
    return Sample(p, gates, namespace(gates).ones_like(gates))


def _swapped(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    """ARS: operation = argmin of Dirichlet noise x exp(-logit); swap each operation's noise with operation 0's."""
    xp = namespace(logits)
    noise = xp.finfo(uniforms.dtype).tiny - xp.log1p(-uniforms)
    noise = noise / noise.sum(axis=-1, keepdims=True)
    candidates = logits.shape[-1]
    columns = []
    for operation in range(candidates):
        order = list(range(candidates))
        order[0], order[operation] = operation, 0
        columns.append(xp.stack([noise[..., k] for k in order], axis=-1))
    swapped = xp.stack(columns, axis=-3)
    gates = policy.one_hot_argmax(logits[..., None, :, :] - xp.log(swapped))
    return Sample(policy.softmax(logits), gates, gates, reference=noise[..., 0])


def binomial_probabilities(logits: Any) -> Any:
    """Binomial(K - 1, sigmoid(phi)) over ordered candidates; phi is column 0 of logits (..., E, K)."""
    xp = namespace(logits)
    trials = logits.shape[-1] - 1
    rows = [logits[..., 0] * k + math.log(math.comb(trials, k)) for k in range(trials + 1)]
    return policy.softmax(xp.stack(rows, axis=-1))


def _binomial(logits: Any, uniforms: Any, temperature: Any) -> Sample:
    p = binomial_probabilities(logits)
    gates = policy.draw(p, uniforms)
    return Sample(p, gates, gates)


def _even(logits: Any) -> Any:
    """The policy that ignores its logits."""
    return policy.softmax(namespace(logits).zeros_like(logits))


# ------------------------------------------------------------------ trailing shapes of their uniforms

RELAXATIONS = 10  # relaxed samples for each drawn architecture (the least of Paulus et al. 2021)
SAMPLES = 8  # architectures a step of the several-sample methods (PARSEC's setting in Sato et al. 2021)


def edge_noise(edges: int, candidates: int) -> tuple[int, ...]:
    """One uniform an edge."""
    return (edges,)


def _operation_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (edges, candidates)


def _several_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (SAMPLES, edges)


def _chosen_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (edges + 1,)


def _pair_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (edges, 3)


def _given_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (edges, 1 + RELAXATIONS * candidates)


def _twice_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (edges, 2 * candidates)


def _distinct_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (edges, 2)


def _antithetic_noise(edges: int, candidates: int) -> tuple[int, ...]:
    refuse_all_but_two(candidates)
    return (edges,)


def _no_noise(edges: int, candidates: int) -> tuple[int, ...]:
    return (0,)


# ------------------------------------------------------------------ the draws

ONE_HOT = Draw(_one_hot, edge_noise)
SEVERAL = Draw(_several, _several_noise)
ONE_HOT_AND_EDGE = Draw(_one_hot_and_edge, _chosen_noise, gives=("chosen",))
GUMBEL_HARD = Draw(_gumbel_hard, _operation_noise, gives=("z", "temperature"))
GUMBEL_SOFT = Draw(_gumbel_soft, _operation_noise, gives=("z", "temperature"))
GUMBEL_HARD_DENSE = Draw(_gumbel_hard_dense, _operation_noise, gives=("z", "temperature"))
GUMBEL_GIVEN = Draw(_gumbel_given, _given_noise, gives=("z", "temperature"))
GUMBEL_TWICE = Draw(_gumbel_twice, _twice_noise, gives=("z", "temperature", "conditioned", "slope"))
DISTINCT = Draw(_distinct, _distinct_noise)
ANTITHETIC = Draw(_antithetic, _antithetic_noise, gives=("largest",), candidates=2)
MEAN = Draw(_mean, _no_noise)
ARGMAX = Draw(_argmax, _no_noise)
UNIFORM = Draw(_uniform, edge_noise, _even)
PAIR = Draw(_pair, _pair_noise, gives=("pair",))
ALL_DENSE = Draw(_all_dense, edge_noise)
SWAPPED = Draw(_swapped, _operation_noise, gives=("reference",))
BINOMIAL = Draw(_binomial, edge_noise, binomial_probabilities)
