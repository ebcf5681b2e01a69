"""What happens in one architecture step? Draw, measure, credit, move: the same in every world.

State goes in, a new state comes out; randomness is an argument (`uniforms`, of the shape `noise_shape` gives).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nas import objective, policy
from nas.arrays import namespace
from nas.methods import Memory, Method
from nas.objective import Objective
from nas.optimisers import Moments, Optimiser, clip_norm
from nas.samples import Sample

EMA_RATE = 0.05  # coefficient of every moving average (Sato et al. 2021)


@dataclass(frozen=True)
class State:
    """All that a method carries from step to step; arrays only, so that any array format saves it.

    logits (..., E, K); memory: name -> moving average, and name + ".count" -> updates so far; moments: the optimiser's.
    """

    logits: Any
    memory: Memory
    moments: Moments
    step: int = 0


# ------------------------------------------------------------------ the algorithm


def architecture_step(
    method: Method,
    optimiser: Optimiser,
    state: State,
    problem: Objective[Any],
    uniforms: Any,
    rate: Any,
    progress: float = 0.0,
    clip: float | None = None,
) -> tuple[State, Sample]:
    """One architecture update: draw gates, ask the objective, credit the edges, move the logits.

    Args: uniforms of shape (..., *noise_shape(method, E, K)); rate, the optimiser's step size; progress in [0, 1] for
    temperatures; clip, the largest gradient norm.
    Returns: the new state and the sample, for records.
    """
    sample = measure(method, draw(method, state.logits, uniforms, progress), problem)
    memory = remember(method, state.memory, sample)
    gradient = gradient_of(method, sample, state.memory)
    if gradient is None:
        return replace(state, memory=memory, step=state.step + 1), sample
    if clip is not None:
        gradient = clip_norm(gradient, clip)
    logits, moments = optimiser.update(state.logits, gradient, state.moments, rate, state.step + 1)
    if method.constrain is not None:
        logits = method.constrain(state.logits, logits, sample)
    return State(logits, memory, moments, state.step + 1), sample


def start(method: Method, optimiser: Optimiser, logits: Any) -> State:
    """The state before the first step, from logits (..., E, K)."""
    xp = namespace(logits)
    zero = xp.zeros_like(logits)
    memory: Memory = {}
    for name, average in method.averages.items():
        memory[name] = zero[(..., *(0,) * (2 - average.axes))]
        memory[name + ".count"] = xp.zeros_like(memory[name])
    if method.estimate is None:
        memory["best"] = xp.full_like(zero[..., 0, 0], math.inf)
        memory["best.gates"] = policy.one_hot_argmax(method.draw.probabilities(logits))  # until one is seen
    return State(logits, memory, optimiser.start(logits))


def noise_shape(method: Method, edges: int, candidates: int) -> tuple[int, ...]:
    """Trailing shape of the uniforms that one step consumes."""
    return method.draw.noise(edges, candidates)


def draw(method: Method, logits: Any, uniforms: Any, progress: float = 0.0) -> Sample:
    """The gates of one step, before anything is measured. Also what a weight step trains under."""
    temperature = method.temperature(progress) if method.temperature else None
    return method.draw.sample(logits, uniforms, temperature)


def measure(method: Method, sample: Sample, problem: Objective[Any]) -> Sample:
    """Ask the objective what the method needs to know of this sample."""
    sample = replace(sample, zero_operation=problem.zero_operation)
    for question in sorted(method.needs, key=list(QUESTIONS).index):  # the drawn gates are asked about first
        sample = replace(sample, **QUESTIONS[question](problem, sample))
    return sample


def gradient_of(method: Method, sample: Sample, memory: Memory) -> Any:
    """The estimator's gradient (..., E, K), or None for a search without one. Exact for exact samples and memory."""
    if method.estimate is None:
        return None
    return method.estimate(charged(method, sample, memory), memory)


def remember(method: Method, memory: Memory, sample: Sample) -> Memory:
    """Update the moving averages: a plain mean at first, exponential with EMA_RATE after 1/EMA_RATE samples."""
    updated = dict(memory)
    for name, average in method.averages.items():
        mean, count = memory[name], memory[name + ".count"]
        xp = namespace(mean)
        seen = average.where(sample) if average.where else xp.ones_like(mean)
        value = average.value(charged(method, sample, memory) if average.charged else sample)
        rate = xp.where(count * EMA_RATE < 1 - EMA_RATE, 1 / (count + 1), EMA_RATE)
        updated[name] = mean + seen * rate * (value - mean)
        updated[name + ".count"] = count + seen
    if method.estimate is None:
        better = sample.loss < memory["best"]
        xp = namespace(memory["best"])
        updated["best"] = xp.where(better, sample.loss, memory["best"])
        updated["best.gates"] = xp.where(better[..., None, None], sample.gates, memory["best.gates"])
    return updated


def architecture(method: Method, state: State) -> Any:
    """The derived architecture as one-hot gates (..., E, K): the most probable one, or the best one that was seen."""
    if method.estimate is None:
        return state.memory["best.gates"]
    return policy.one_hot_argmax(probabilities(method, state))


def probabilities(method: Method, state: State) -> Any:
    """The architecture distribution (..., E, K) of a state."""
    return method.draw.probabilities(state.logits)


def charged(method: Method, sample: Sample, memory: Memory) -> Sample:
    """The sample as the estimator sees it: a drawn zero operation is charged by the method's policy."""
    if method.zero_policy == "worst" and sample.zero_operation is not None:
        return charge_zero(sample, memory["gate_gradient"])
    return sample


def charge_zero(sample: Sample, means: Any) -> Sample:
    """Charge a sampled zero operation the largest moving average of gate gradients of its edge's other operations.

    An operation that was not drawn yet counts with the average that it has: zero.
    """
    xp = namespace(means)
    is_zero = policy.positions(means) == sample.zero_operation
    worst = xp.amax(xp.where(is_zero, -xp.inf, means), axis=-1, keepdims=True)
    return replace(sample, gate_gradient=xp.where(is_zero, worst, sample.gate_gradient))


# ------------------------------------------------------------------ questions to the objective


def _gradients(problem: Objective[Any], sample: Sample) -> dict[str, Any]:
    measured = problem.gradients(sample.gates, sample.runs)
    return {
        "loss": measured.loss,
        "gate_gradient": measured.gate_gradient,
        "output_gradient": measured.output_gradient,
    }


def _at_the_mean(problem: Objective[Any], sample: Sample) -> dict[str, Any]:
    measured = problem.gradients(sample.probabilities, namespace(sample.gates).ones_like(sample.gates))
    return {"mean_loss": measured.loss, "mean_gate_gradient": measured.gate_gradient}


GAUSS_NODES = (0.5 - math.sqrt(3) / 6, 0.5 + math.sqrt(3) / 6)

QUESTIONS: dict[str, Callable[[Objective[Any], Sample], dict[str, Any]]] = {
    "loss": lambda o, s: {"loss": o.loss(s.gates)},
    "gradients": _gradients,
    "zeroed_losses": lambda o, s: {"zeroed_loss": objective.zeroed_losses(o, s.gates)},
    "zeroed_loss": lambda o, s: {"zeroed_loss": objective.zeroed_loss(o, s.gates, s.chosen)},
    "alternative_losses": lambda o, s: {"alternative_losses": objective.alternative_losses(o, s.gates)},
    "path_gradients": lambda o, s: {"path_gradients": objective.path_gradients(o, s.gates, s.runs, GAUSS_NODES)},
    "mean": _at_the_mean,
}
