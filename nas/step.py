"""What happens in one architecture step? Draw, measure, credit, move: the same in every world.

State goes in, a new state comes out; randomness is an argument (`uniforms`, of the shape `noise_shape` gives).
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from nas import policy
from nas.arrays import namespace
from nas.methods import Memory, Method
from nas.objective import Objective, Penalty
from nas.optimisers import Moments, Optimiser, clip_norm
from nas.questions import QUESTIONS
from nas.samples import Draw, Sample

Kept = dict[str, Any]
EMA_RATE = 0.05  # coefficient of every moving average (Sato et al. 2021)


@dataclass(frozen=True)
class State:
    """All that a method carries from step to step; arrays only, so that any array format saves it.

    logits (..., E, K); memory: name -> moving average, and name + ".count" -> updates so far; moments: the optimiser's;
    kept: what the draw reads beside the logits (`nas.samples.Keeps`), empty for most.
    """

    logits: Any
    memory: Memory
    moments: Moments
    step: int = 0
    kept: Kept = field(default_factory=dict)


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
    samples: int = 1,
    penalty: Penalty[Any] | None = None,
) -> tuple[State, Sample]:
    """One architecture update: draw gates, ask the objective, credit the edges, move the logits.

    Args: uniforms of shape (..., *noise_shape(method, E, K, samples)); rate, the optimiser's step size; progress in
    [0, 1] for temperatures; clip, the largest gradient norm; samples S, drawn independently, whose gradients and moving
    averages are averaged; penalty, added to the objective: its own gradient is exact and sees no sample.
    Returns: the new state and the sample, for records; its arrays have an axis of S before their own if S > 1.
    Raises: ValueError if the estimator returns anything but a gradient (..., E, K) of numbers (NaN is looked for at the
    first step alone), or for S > 1 without a gradient.

    >>> import numpy as np
    >>> from nas import methods, optimisers
    >>> from theory.landscapes import make
    >>> method, sgd, problem = methods.find("reinforce"), optimisers.sgd(), make("additive", edges=2, candidates=3)
    >>> state = start(method, sgd, np.zeros((2, 3)))
    >>> state, sample = architecture_step(method, sgd, state, problem, np.array([0.1, 0.9]), rate=0.1)
    >>> sample.gates
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    now = state if samples == 1 else _spread(method, state, samples)
    memory, keeps = now.memory, method.draw.keeps
    sample = measure(method, draw(method, now.logits, uniforms, progress, now.kept), problem)
    remembered = remember(method, memory, sample)
    gradient = gradient_of(method, sample, memory)
    paid = sample
    if gradient is None and penalty is not None:  # a search without a gradient stands for the best that it saw
        paid = replace(sample, loss=penalty.charged(sample.loss, sample.gates))
        remembered = remember(method, memory, paid)
    kept = state.kept if keeps is None or keeps.after is None else keeps.after(state.kept, paid)
    if gradient is None:
        return replace(state, memory=remembered, kept=kept, step=state.step + 1), sample
    if isinstance(state.step, int) and state.step == 0:
        check_numbers(method, gradient, sample)
    ran, moving = sample, state.logits
    pull_back = None if keeps is None else keeps.pull_back
    if pull_back is not None:
        if penalty is not None:
            raise ValueError(
                f"a penalty's gradient is known for a softmax, which method {method.name} does not draw from"
            )
        moving = _row(state.logits, kept)
        gradient = _row(*pull_back(now.logits, now.kept, sample, gradient))
    if samples > 1:
        gradient = _mean(gradient, axis=-3)
        remembered = {name: _mean(values, -1 - _axes(method, name)) for name, values in remembered.items()}
        ran = replace(sample, runs=sample.runs.sum(axis=-3))
    if penalty is not None:
        gradient = gradient + penalty.gradient(probabilities(method, state))
    if clip is not None:
        gradient = clip_norm(gradient, clip)
    moved, moments = optimiser.update(moving, gradient, state.moments, rate, state.step + 1)
    if pull_back is not None:
        moved, kept = _of_row(moved, state.logits, kept)
    if method.constrain is not None:
        moved = method.constrain(state.logits, moved, ran)
    return State(moved, remembered, moments, state.step + 1, kept), sample


def start(method: Method, optimiser: Optimiser, logits: Any, uniforms: Any = None) -> State:
    """The state before the first step, from logits (..., E, K).

    Args: uniforms (..., n), n = start_noise(method, E, K), of which a policy with weights makes its first ones.
    Raises: ValueError if they are missing, or for an optimiser that moves E rows of logits and nothing else.

    >>> import numpy as np
    >>> from nas import methods, optimisers
    >>> start(methods.find("reinforce"), optimisers.adam(), np.zeros((2, 3))).memory  # the baseline, and of how many
    {'loss': array(0.), 'loss.count': array(0.)}
    """
    xp = namespace(logits)
    zero = xp.zeros_like(logits)
    memory: Memory = {}
    for name, average in method.averages.items():
        memory[name] = zero[(..., *(0,) * (2 - average.axes))]
        memory[name + ".count"] = xp.zeros_like(memory[name])
    keeps = method.draw.keeps
    kept = {} if keeps is None else _first(method, logits, uniforms)
    if method.estimator is None:
        memory["best"] = xp.full_like(zero[..., 0, 0], math.inf)
        memory["best.gates"] = policy.one_hot_argmax(_probabilities(method.draw, logits, kept))  # until one is seen
    if keeps is None or keeps.pull_back is None:
        return State(logits, memory, optimiser.start(logits), kept=kept)
    check_optimiser(method, optimiser)
    return State(logits, memory, optimiser.start(_row(logits, kept)), kept=kept)


def check_optimiser(method: Method, optimiser: Optimiser) -> None:
    """Raises: ValueError if the method has weights to move and the optimiser knows only rows of logits."""
    keeps = method.draw.keeps
    if keeps is not None and keeps.pull_back is not None and not optimiser.elementwise:
        raise ValueError(
            f"optimiser {optimiser.name} moves E rows of logits alone, and method {method.name} has weights, too: "
            "take adam or sgd"
        )


def start_noise(method: Method, edges: int, candidates: int) -> int:
    """How many uniforms `start` takes: none, but for a policy with weights."""
    return 0 if method.draw.keeps is None else method.draw.keeps.noise(edges, candidates)


def noise_shape(method: Method, edges: int, candidates: int, samples: int = 1) -> tuple[int, ...]:
    """Trailing shape of the uniforms that one step consumes, with an axis of `samples` first if it takes several."""
    return (*(() if samples == 1 else (samples,)), *method.draw.noise(edges, candidates))


def draw(method: Method, logits: Any, uniforms: Any, progress: float = 0.0, kept: Kept | None = None) -> Sample:
    """The gates of one step, before anything is measured. Also what a weight step trains under.

    Args: kept, the state's, which a draw that keeps something needs.
    """
    temperature = method.temperature(progress) if method.temperature else None
    if method.draw.keeps is None:
        return method.draw.sample(logits, uniforms, temperature)
    return method.draw.sample(logits, uniforms, temperature, kept)


def measure(method: Method, sample: Sample, problem: Objective[Any]) -> Sample:
    """Ask the objective what the method needs to know of this sample."""
    sample = replace(sample, zero_operation=problem.zero_operation)
    for name, question in QUESTIONS.items():  # the drawn gates are asked about first
        if name in method.needs:
            sample = replace(sample, **question.ask(problem, sample))
    return sample


def gradient_of(method: Method, sample: Sample, memory: Memory) -> Any:
    """The estimator's gradient (..., E, K), or None for a search without one. Exact for exact samples and memory.

    Raises: ValueError if the estimator returns anything else.
    """
    if method.estimator is None:
        return None
    gradient = method.estimate(charged(method, sample, memory), memory)
    if getattr(gradient, "shape", None) != sample.probabilities.shape:
        _refuse(method, sample, gradient)
    return gradient


def check_numbers(method: Method, values: Any, sample: Sample) -> None:
    """Refuse a gradient, or logits that it moved, with NaN where nothing measured has one: the estimator's doing.

    A network whose weights diverged answers with NaN in its loss or its slopes; a search says so at its checkpoint. On
    a GPU nothing is read, for it would have to be waited for, nor where a step is compiled. Raises: ValueError that
    names the estimator.
    """
    xp = namespace(values)
    if xp.__name__ == "torch" and (not values.is_cpu or xp.compiler.is_compiling()):
        return
    if not bool((values != values).any()):
        return
    measured = (sample.loss, sample.gate_gradient, sample.output_gradient, sample.zeroed_loss)
    if not any(part is not None and bool((part != part).any()) for part in measured):
        raise ValueError(f"estimator {method.name} returned a gradient with NaN, though the loss has none")


def remember(method: Method, memory: Memory, sample: Sample) -> Memory:
    """Update the moving averages: a plain mean at first, exponential with EMA_RATE after 1/EMA_RATE samples.

    Of a method that draws several samples itself, an average takes the mean of the updates that each would make.
    """
    updated = dict(memory)
    for name, average in method.averages.items():
        mean, count = memory[name], memory[name + ".count"]
        xp = namespace(mean)
        value = average.value(charged(method, sample, memory) if average.charged else sample)
        own = value.ndim - mean.ndim  # axes of the method's own samples
        if own:
            mean, count = (_insert(values, average.axes, own) for values in (mean, count))
        seen = average.where(sample) if average.where else xp.ones_like(mean)
        rate = xp.where(count * EMA_RATE < 1 - EMA_RATE, 1 / (count + 1), EMA_RATE)
        if average.first:
            updates = count.sum(axis=tuple(range(-average.axes, 0)), keepdims=True)
            mean = xp.where(updates > 0, mean, value)
        mean, count = mean + seen * rate * (value - mean), count + seen
        for _ in range(own):
            mean, count = (_mean(values, axis=-1 - average.axes) for values in (mean, count))
        updated[name], updated[name + ".count"] = mean, count
    if method.estimator is None:
        better = sample.loss < memory["best"]
        xp = namespace(memory["best"])
        updated["best"] = xp.where(better, sample.loss, memory["best"])
        updated["best.gates"] = xp.where(better[..., None, None], sample.gates, memory["best.gates"])
    return updated


def architecture(method: Method, state: State) -> Any:
    """The derived architecture as one-hot gates (..., E, K): the most probable one, or the best one that was seen."""
    if method.estimator is None:
        return state.memory["best.gates"]
    return policy.one_hot_argmax(probabilities(method, state))


def probabilities(method: Method, state: State) -> Any:
    """The architecture distribution (..., E, K) of a state.

    Of a policy whose edges see those before them: what each has where all before it took their most probable operation.
    """
    return _probabilities(method.draw, state.logits, state.kept)


def charged(method: Method, sample: Sample, memory: Memory) -> Sample:
    """The sample as the estimator sees it: a drawn zero operation is charged by the method's policy."""
    if method.zero_policy == "worst" and sample.zero_operation is not None:
        return charge_zero(sample, memory["gate_gradient"])
    return sample


def charge_zero(sample: Sample, means: Any) -> Sample:
    """Charge a sampled zero operation the largest moving average of gate gradients of its edge's other operations.

    An operation that was not drawn yet counts with the average that it has: zero. Several samples share one average.
    """
    xp = namespace(means)
    means = _insert(means, 2, sample.gate_gradient.ndim - means.ndim)
    is_zero = policy.positions(means) == sample.zero_operation
    worst = xp.amax(xp.where(is_zero, -xp.inf, means), axis=-1, keepdims=True)
    return replace(sample, gate_gradient=xp.where(is_zero, worst, sample.gate_gradient))


# ------------------------------------------------------------------ helpers


def _refuse(method: Method, sample: Sample, gradient: Any) -> None:
    """Raises: ValueError that says what the estimator returned and what it must."""
    shape = getattr(gradient, "shape", None)
    found = f"a {type(gradient).__name__}" if shape is None else f"the shape {tuple(shape)}"
    found = "None" if gradient is None else found
    raise ValueError(
        f"estimator {method.name} returned {found}; it must return the gradient, of the shape "
        f"{tuple(sample.probabilities.shape)} of the probabilities, (..., E, K)"
    )


def _probabilities(way: Draw, logits: Any, kept: Kept) -> Any:
    return way.probabilities(logits) if way.keeps is None else way.probabilities(logits, kept)


def _first(method: Method, logits: Any, uniforms: Any) -> Kept:
    """What the draw keeps, at the start."""
    keeps, wanted = method.draw.keeps, start_noise(method, *logits.shape[-2:])
    if keeps is None or (wanted and (uniforms is None or uniforms.shape[-1] != wanted)):
        raise ValueError(f"method {method.name} begins with weights drawn at random: `start` needs {wanted} uniforms")
    return keeps.start(logits, uniforms)


def _row(logits: Any, kept: Kept) -> Any:
    """Logits (..., E, K) and all that is kept, as one row (..., 1, n), by name: what an optimiser moves together."""
    lead = logits.shape[:-2]
    parts = (logits, *(kept[name] for name in sorted(kept)))
    return namespace(logits).concatenate([part.reshape(*lead, 1, -1) for part in parts], axis=-1)


def _of_row(row: Any, logits: Any, kept: Kept) -> tuple[Any, Kept]:
    """Logits and what is kept, in the shapes that they had before `_row`."""
    lead, done = logits.shape[:-2], 0
    parts: Kept = {}
    for name, like in (("", logits), *((name, kept[name]) for name in sorted(kept))):
        size = math.prod(like.shape[len(lead) :])
        # In memory of its own: products may round by where a matrix begins, and a checkpoint's begins afresh.
        parts[name] = 1 * row[..., 0, done : done + size].reshape(like.shape)
        done += size
    return parts.pop(""), parts


def _spread(method: Method, state: State, samples: int) -> State:
    """Logits (..., S, E, K), all the same, and memory and kept arrays that meet numbers of S samples."""
    if method.estimator is None:
        raise ValueError(f"method {method.name} has no gradient to average over {samples} samples")
    logits = state.logits
    wide = (*logits.shape[:-2], samples, *logits.shape[-2:])
    memory = {name: _insert(values, _axes(method, name), 1) for name, values in state.memory.items()}
    kept = {name: _insert(values, values.ndim - logits.ndim + 2, 1) for name, values in state.kept.items()}
    return replace(
        state, logits=namespace(logits).broadcast_to(logits[..., None, :, :], wide), memory=memory, kept=kept
    )


def _axes(method: Method, name: str) -> int:
    """How many of the trailing (E, K) an entry of memory has."""
    return method.averages[name.removesuffix(".count")].axes


def _insert(values: Any, axes: int, count: int) -> Any:
    """Put `count` axes of length one before the last `axes`."""
    return values[(..., *(None,) * count, *(slice(None),) * axes)]


def _mean(values: Any, axis: int) -> Any:
    return values.sum(axis=axis) / values.shape[axis]
