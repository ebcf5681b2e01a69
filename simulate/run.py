"""What happens to thousands of replicates of one method on one landscape?

All replicates are one batch of the shipped step, `nas.step.architecture_step`, in NumPy or torch, eager or compiled, a
cache-sized chunk at a time. Replicate r draws its randomness from (seed, method, r, step) alone (`simulate.philox`), so
its path does not depend on the chunk, the batch or the process it runs in. Memory does not grow with steps: only what
is recorded is kept.
"""

import contextlib
import itertools
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nas import methods, optimisers, policy, step
from nas.arrays import namespace
from nas.methods import Method
from nas.optimisers import Optimiser
from nas.running import config, plugins
from nas.step import State
from simulate import landscapes
from simulate.landscapes import Environment, Visits
from simulate.philox import uniforms
from theory.landscapes import Truth

Floats = npt.NDArray[np.float64]
Carried = tuple[Any, dict[str, Any], dict[str, Any], Visits]  # logits, memory, moments, the landscape's state
Step = Callable[[Carried, Any, Any, Any, Any], Carried]
NOISE, START = zlib.crc32(b"noise"), zlib.crc32(b"start")  # streams that all methods share


@dataclass(frozen=True)
class Setting:
    """One cell of a study: a method on a landscape at a step size.

    - method: a name of `nas.methods`, or package.module:name for your own.
    - landscape: a name (`python -m simulate compare list`), or package.module:name for your own.
    - edges, candidates: the size of the landscape, where it is free: E edges, K operations each.
    - landscape_seed: of what is random in the landscape.
    - options: further settings of the landscape.
    - optimiser: of the logits (`nas.optimisers`).
    - rate: the optimiser's step, or with `bound` a multiple of a step that theory proves safe.
    - bound: T1 (with natural: its limit, 1 / (max L - J)) or T8 (with sgd: 2 / (max L - min L), at most a third of T8's
      limit).
    - beta1, beta2: how much Adam keeps of its two moments a step.
    - samples: gates drawn independently, their gradients averaged into one step; they share the landscape's noise, and
      the first one counts as the visit.
    - start: uniform, or random: each edge uniform on the simplex.
    - steps: of every replicate.
    - replicates: side by side, each with its own random numbers.
    - every: steps between two records; there is one at the start and at the end anyway.
    - seed: of the replicates.
    - common: all methods draw from the same uniforms.
    - watch: J is computed at every step, to count the steps that raise it.

    >>> Setting(method="reinforce", landscape="trap", rate=0.03).steps
    1000
    """

    method: str = "advantage"
    landscape: str = "quadratic"
    edges: int = 6
    candidates: int = 4
    landscape_seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    optimiser: Literal["adam", "sgd", "natural", "asng", "exponentiated"] = "adam"
    rate: float = 0.01
    bound: Literal["none", "T1", "T8"] = "none"
    beta1: float = 0.5
    beta2: float = 0.999
    samples: int = 1
    start: Literal["uniform", "random"] = "uniform"
    steps: int = 1000
    replicates: int = 100
    every: int = 20
    seed: int = 0
    common: bool = False
    watch: bool = False

    def __post_init__(self) -> None:
        for name in ("edges", "candidates", "samples", "steps", "replicates", "every"):
            if getattr(self, name) < 1:
                raise ValueError(f"setting {name} must be at least 1, not {getattr(self, name)}")
        config.within(self, landscape_seed=(0, 1 << 63))
        most = dict.fromkeys(("edges", "candidates", "samples", "every"), 1 << 20)
        config.within(self, **{name: (1, m) for name, m in most.items()}, steps=(1, 1 << 32), replicates=(1, 1 << 24))
        if not 0 <= self.rate < math.inf or self.seed < 0:
            raise ValueError("settings rate and seed must not be negative, and rate must be finite")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"settings beta1 and beta2 must be in [0, 1), not {self.beta1}, {self.beta2}")
        wanted = {"T1": "natural", "T8": "sgd"}.get(self.bound, self.optimiser)
        if wanted != self.optimiser:
            raise ValueError(f"bound {self.bound} belongs to optimiser {wanted!r}, not {self.optimiser!r}")
        if not plugins.is_own(self.method):  # reading a cell must not load a user's module
            check_method(self)


@dataclass(frozen=True)
class Trace:
    """What was recorded: steps (P,), and by name arrays (P, R).

    expected_loss J; optimal_probability, of drawing the best architecture, and correct, the share of edges whose most
    probable operation is the best one (both nan where there is no one best); derived_loss of the most probable
    architecture; entropy in nats, summed over edges; surest, the least over edges of the largest probability; with
    `watch` also rises, steps so far that raised J, and worst_rise, the largest rise of J in one step.

    >>> trace: Trace = simulate(Setting(steps=20, every=10, replicates=3), Machine("numpy"))
    >>> trace.steps, trace.values["entropy"].shape
    (array([ 0, 10, 20]), (3, 3))
    """

    steps: npt.NDArray[np.int64]
    values: Mapping[str, Floats]


@dataclass(frozen=True)
class Machine:
    """Where and how to compute.

    - world: the array library.
    - device: cpu or cuda.
    - dtype: of the arrays.
    - chunk: replicates that are computed at a time.
    - compiled: one fused step by torch.compile.

    >>> Machine("numpy", dtype="float64").array([1, 2]).dtype
    dtype('float64')
    """

    world: Literal["torch", "numpy"] = "torch"
    device: str = "cpu"
    dtype: Literal["float32", "float64"] = "float32"
    chunk: int = 512
    compiled: bool = False

    def __post_init__(self) -> None:
        config.within(self, chunk=(1, 1 << 24))

    def check(self) -> None:
        """Raises: ValueError if this machine does not have the device."""
        if self.world == "numpy" and self.device != "cpu":
            raise ValueError(f"device {self.device!r} needs world 'torch', not 'numpy'")
        if self.world == "torch":
            from nas.running.processes import take_device

            take_device(self.device)

    def array(self, values: Any) -> Any:
        """An array of this world, type and device."""
        if self.world == "numpy":
            return np.array(values, dtype=self.dtype)
        import torch

        return torch.tensor(values, dtype=getattr(torch, self.dtype), device=self.device)

    def quietly(self) -> contextlib.AbstractContextManager[Any]:
        """Without autograd's bookkeeping, where this world has one."""
        if self.world == "numpy":
            return contextlib.nullcontext()
        import torch

        return torch.no_grad()

    def integers(self, values: Any) -> Any:
        """An int64 array of this world and device."""
        if self.world == "numpy":
            return np.asarray(values, dtype=np.int64)
        import torch

        return torch.as_tensor(values, dtype=torch.int64, device=self.device)


# ------------------------------------------------------------------ the loop


def simulate(
    setting: Setting,
    machine: Machine = Machine(),
    replicates: range | None = None,
    progress: Callable[[int], object] = lambda replicate_steps: None,
) -> Trace:
    """Run the setting's replicates, or some of them by number.

    Args: progress, told after each record how many replicate-steps were done since.
    Raises: ValueError for an unknown method or landscape, or a bound that the landscape has no truth for.

    >>> trace = simulate(Setting(landscape="additive", rate=0.1, steps=40, replicates=50), Machine("numpy"))
    >>> first, *_, last = trace.values["expected_loss"].mean(axis=1)
    >>> bool(last < first)
    True
    """
    with machine.quietly():
        return _simulate(setting, machine, range(setting.replicates) if replicates is None else replicates, progress)


def _simulate(setting: Setting, machine: Machine, numbers: range, progress: Callable[[int], object]) -> Trace:
    problem = problem_of(setting)
    truth, problem = problem.truth, problem.placed(machine.array)
    method, optimiser = method_of(setting, problem), optimiser_of(setting)
    compiled = machine.compiled and problem.landscape.compiles
    if plugins.is_own(setting.method):
        _try(setting, problem, truth, machine)
    advance = (_compiled if compiled else _step)(setting, problem, truth, machine)
    temperature = method.temperature or (lambda done: 1.0)
    betas = (setting.beta1, setting.beta2)

    def clock_at(done: int) -> Clock:
        return Clock({beta: machine.array(beta ** (done + 1)) for beta in betas})

    points = record_steps(setting)
    chunks = []
    for first in range(numbers.start, numbers.stop, machine.chunk):
        size = min(machine.chunk, numbers.stop - first)
        # A compiled step has one size: the last chunk is filled up with replicates that are dropped again.
        rows = machine.integers(np.arange(first, first + (machine.chunk if compiled else size)))
        state = step.start(method, optimiser, _logits(setting, problem, rows, machine))
        carried: Carried = (state.logits, state.memory, state.moments, problem.start(state.logits))
        watched = _Watch(problem, truth, method, carried) if setting.watch else None
        recorded = [_record(method, problem, truth, carried, watched, size)]
        for done, until in itertools.pairwise(points):
            for t in range(done, until):
                warmth = machine.array(temperature(t / setting.steps))
                carried = advance(carried, rows, machine.integers(t), clock_at(t), warmth)
                if watched is not None:
                    watched.look(carried)
            if plugins.is_own(setting.method):
                _refuse_nan(method, carried[0], until)
            recorded.append(_record(method, problem, truth, carried, watched, size))
            progress(size * (until - done))
        chunks.append(recorded)
    values = {
        name: np.stack([np.concatenate([recorded[point][name] for recorded in chunks]) for point in range(len(points))])
        for name in chunks[0][0]
    }
    return Trace(np.array(points), values)


def check_method(setting: Setting) -> None:
    """Raises: ValueError if the setting's method is unknown, or has nothing to average over `samples`."""
    method = methods.find(setting.method, landscape=True)
    if method.estimator is None and setting.samples > 1:
        raise ValueError(f"method {setting.method} has no gradient to average over {setting.samples} samples")
    if "expected_gradient" in method.needs and setting.samples > 1:
        raise ValueError(f"method {setting.method} takes the expected gradient: nothing to average over samples")


def problem_of(setting: Setting) -> Environment:
    """The setting's landscape, in NumPy float64. Raises: ValueError if its bound needs a truth that is not known."""
    try:
        found = landscapes.make(
            setting.landscape, setting.edges, setting.candidates, setting.landscape_seed, **setting.options
        )
    except TypeError as error:
        raise ValueError(f"options {setting.options} do not suit landscape {setting.landscape}: {error}") from error
    if setting.bound != "none" and math.isnan(found.truth.max_loss):
        raise ValueError(
            f"bound {setting.bound} needs the largest loss, unknown for this {setting.landscape}: too large"
        )
    if setting.bound != "none" and found.truth.max_loss <= found.truth.min_loss:
        raise ValueError(f"bound {setting.bound} divides by the range of the loss, which is 0 on {setting.landscape}")
    return found


def record_steps(setting: Setting) -> list[int]:
    """Steps after which something is recorded: 0, every, 2 every, ..., steps.

    >>> record_steps(Setting(steps=50, every=20))
    [0, 20, 40, 50]
    """
    return [*range(0, setting.steps, setting.every), setting.steps]


def method_of(setting: Setting, problem: Environment) -> Method:
    """The setting's method; without the average that only the zero operation's rule reads, where there is none."""
    found = methods.find(setting.method, landscape=True)
    return found if problem.landscape.zero_operation is not None else replace(found, zero_policy="plain")


# ------------------------------------------------------------------ one step of a chunk


@dataclass(frozen=True)
class Clock:
    """The number of the coming step, as an optimiser sees it: only through its powers, beta^t.

    They are computed outside what is compiled: inside, the compiler would take them again for every row.
    """

    powers: Mapping[float, Any]

    def __add__(self, one: int) -> "Clock":
        return self

    def __rpow__(self, beta: float) -> Any:
        return self.powers[beta]


def _step(setting: Setting, problem: Environment, truth: Truth, machine: Machine) -> Step:
    method, optimiser = method_of(setting, problem), optimiser_of(setting)
    if method.temperature is not None:
        method = replace(method, temperature=_as_given)  # the loop computes it, outside what is compiled
    knows = "expected_gradient" in method.needs
    shape = step.noise_shape(method, *problem.landscape.shape, setting.samples)
    stream = 0 if setting.common else zlib.crc32(setting.method.encode())
    dtype = getattr(namespace(machine.array(0)), machine.dtype)

    def advance(carried: Carried, rows: Any, t: Any, clock: Any, warmth: Any) -> Carried:
        state, visits = State(carried[0], carried[1], carried[2], clock), carried[3]
        drawn = uniforms(setting.seed, stream, rows, t, shape, dtype)
        objective: Any = problem.minibatch(visits, uniforms(setting.seed, NOISE, rows, t, (problem.noise,), dtype))
        rate: Any = setting.rate
        if setting.bound == "T8":
            rate = setting.rate * 2 / (truth.max_loss - truth.min_loss)
        elif setting.bound == "T1":
            rate = setting.rate / (truth.max_loss - problem.now(visits).expected(policy.softmax(state.logits)))
        if knows:
            objective = problem.now(visits)
        state, sample = step.architecture_step(
            method, optimiser, state, objective, drawn, rate, warmth, samples=setting.samples
        )
        gates = sample.gates
        first = gates.reshape(state.logits.shape[0], -1, *state.logits.shape[1:])[:, 0]
        return state.logits, state.memory, state.moments, problem.visit(visits, first)

    return advance


def try_estimator(setting: Setting, machine: Machine) -> None:
    """Take the setting's first step on two replicates, whatever for.

    Raises: ValueError that names the estimator if it fails, returns no gradient, or one that mixes replicates.
    """
    problem = problem_of(setting)
    with machine.quietly():
        _try(setting, problem.placed(machine.array), problem.truth, machine)


ROUNDING = 1e-3  # by which one replicate alone may move otherwise than beside another


def _try(setting: Setting, problem: Environment, truth: Truth, machine: Machine) -> None:
    """One step of a user's estimator, uncompiled, on two replicates and on the first of them alone.

    Raises: ValueError that names the estimator if it returns no gradient, NaN, or one that mixes replicates.
    """
    setting = replace(setting, optimiser="sgd", bound="none", rate=1.0, start="random")  # moves by the gradient itself
    method, optimiser = method_of(setting, problem), optimiser_of(setting)
    advance = _step(setting, problem, truth, machine)
    warmth = 1.0 if method.temperature is None else method.temperature(0.0)
    clock = Clock({beta: machine.array(beta) for beta in (setting.beta1, setting.beta2)})
    moved = []
    for count in (2, 1):
        rows = machine.integers(np.arange(count))
        state = step.start(method, optimiser, _logits(setting, problem, rows, machine))
        begun: Carried = (state.logits, state.memory, state.moments, problem.start(state.logits))
        try:
            logits = advance(begun, rows, machine.integers(0), clock, machine.array(warmth))[0]
        except ValueError:
            raise
        except Exception as error:  # whatever a user's function does
            what = f"estimator {method.name} on landscape {setting.landscape}"
            raise ValueError(f"{what} failed: {plugins.why(error)}") from error
        _refuse_nan(method, logits, 1)
        moved.append(logits - state.logits)
    together, alone = moved[0][:1], moved[1]
    if bool((abs(together - alone) > ROUNDING * (abs(together) + abs(alone)) + 1e-6).any()):
        raise ValueError(
            f"estimator {method.name} mixes replicates: the first one moves otherwise beside a second one than alone; "
            "sum over the axes (E, K) alone, axis=-1 and -2"
        )


def _refuse_nan(method: Method, logits: Any, done: int) -> None:
    if bool((logits != logits).any()):
        raise ValueError(f"estimator {method.name}: logits are not numbers after step {done}")


def _as_given(temperature: Any) -> Any:
    return temperature


_LAST_COMPILED: dict[str, Step] = {}


def _compiled(setting: Setting, problem: Environment, truth: Truth, machine: Machine) -> Step:
    """The step as one compiled function; the last one made is kept, for the next range of the same setting."""
    import torch

    key = repr((replace(setting, replicates=1, steps=1, every=1), machine))
    if key not in _LAST_COMPILED:
        torch.compiler.reset()  # one compiled setting at a time: else the compiler gives up after a handful
        _LAST_COMPILED.clear()
        _LAST_COMPILED[key] = torch.compile(_step(setting, problem, truth, machine), fullgraph=True, dynamic=False)
    return _LAST_COMPILED[key]


def optimiser_of(setting: Setting) -> Optimiser:
    """The setting's optimiser of the logits."""
    return optimisers.build(setting.optimiser, setting.beta1, setting.beta2)


def _logits(setting: Setting, problem: Environment, rows: Any, machine: Machine) -> Any:
    """Starting logits (R, E, K): equal, or of policies uniform on the simplex."""
    shape, xp = problem.landscape.shape, namespace(rows)
    values = uniforms(setting.seed, START, rows, 0, shape, getattr(xp, machine.dtype))
    return xp.log(-xp.log1p(-values) + 2.0**-24) if setting.start == "random" else 0 * values


# ------------------------------------------------------------------ what is recorded


class _Watch:
    """Counts the steps that raised J, for one chunk; rises below rounding are none."""

    def __init__(self, problem: Environment, truth: Truth, method: Method, carried: Carried) -> None:
        self.problem, self.method = problem, method
        self.before = self._expected(carried)
        self.rises, self.worst = 0 * self.before, 0 * self.before
        scale = max(1.0, abs(np.nan_to_num(truth.min_loss)), abs(np.nan_to_num(truth.max_loss)))
        self.rounding = 64 * float(namespace(self.before).finfo(self.before.dtype).eps) * scale

    def look(self, carried: Carried) -> None:
        """Compare with the step before."""
        after = self._expected(carried)
        rise = after - self.before
        self.rises = self.rises + (rise > self.rounding)
        self.worst = namespace(rise).maximum(self.worst, rise)
        self.before = after

    def _expected(self, carried: Carried) -> Any:
        return self.problem.now(carried[3]).expected(self.method.draw.probabilities(carried[0]))


def _record(
    method: Method, problem: Environment, truth: Truth, carried: Carried, watched: _Watch | None, size: int
) -> dict[str, Floats]:
    logits, memory, moments, visits = carried
    state = State(logits, memory, moments)
    lost = (logits != logits).sum(axis=-1).sum(axis=-1) > 0  # by too long steps: not "decided", which NaN looks like
    p = step.probabilities(method, state)
    derived = step.architecture(method, state)
    xp = namespace(p)
    values = {
        "expected_loss": problem.now(visits).expected(p),
        "derived_loss": problem.landscape.loss(derived),
        "entropy": policy.entropy(p).sum(axis=-1),
        "surest": xp.amin(xp.amax(p, axis=-1), axis=-1),
        "optimal_probability": math.nan + 0 * p[..., 0, 0],
        "correct": math.nan + 0 * p[..., 0, 0],
    }
    if truth.optimum is not None:
        best = (policy.positions(p) == _like(truth.optimum, logits)[:, None]) * p
        hits = (policy.positions(p) == _like(truth.optimum, logits)[:, None]) * derived
        values["optimal_probability"] = best.sum(axis=-1).prod(axis=-1)
        values["correct"] = hits.sum(axis=-1).sum(axis=-1) / len(truth.optimum)
    if watched is not None:
        values |= {"rises": watched.rises, "worst_rise": watched.worst}
    values = {name: xp.where(lost, math.nan, value) for name, value in values.items()}
    return {name: np.asarray(v.cpu() if hasattr(v, "cpu") else v, dtype=float)[:size] for name, v in values.items()}


def _like(choice: Sequence[int], logits: Any) -> Any:
    xp = namespace(logits)
    return xp.asarray(choice, **({} if xp is np else {"device": logits.device}))
