"""How is an architecture searched? Alternate one weight step and one architecture step, on different data.

The loop of the bilevel search, the same for every parent network and every method. It owns the architecture (logits,
the method's memory, the optimiser's moments), the schedule, the records and the checkpoints; the network owns its
weights and its minibatches. Stopped at any step and resumed, a run on the CPU ends bit-identical to the uninterrupted.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from nas import methods, optimisers, policy, step
from nas.methods import Method
from nas.optimisers import Optimiser
from nas.running import processes
from nas.running.runs import Diverged, Run, RunError
from nas.samples import Sample
from nas.schedule import cosine
from nas.step import State
from nas.supernets.parent import ParentNetwork


@dataclass(frozen=True)
class SearchSettings:
    """The architecture's side of a search; defaults are the CIFAR-10 settings of Sato et al. (2021).

    epochs count all epochs, the first `warmup_epochs` of which train weights only. rate, decay, clip are the logits';
    without clip (None) gradients keep their length. schedule "cosine" takes the rate to zero over the architecture
    steps. beta1, beta2 are Adam's; decay is Adam's and SGD's; the other optimisers have neither. zero_policy as in
    `nas.methods.Method`; it matters only where the space has a zero operation and the method credits gates. A record
    every `record_every` steps.
    """

    method: str = "advantage"
    optimiser: Literal["adam", "sgd", "natural", "asng", "exponentiated"] = "adam"
    rate: float = 3e-4
    beta1: float = 0.5
    beta2: float = 0.999
    decay: float = 3e-3
    clip: float | None = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    zero_policy: Literal["worst", "plain"] = "worst"
    epochs: int = 100
    warmup_epochs: int = 50
    record_every: int = 100

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 <= self.warmup_epochs <= self.epochs:
            raise ValueError(
                f"need 0 <= warmup_epochs <= epochs and epochs >= 1, not {self.warmup_epochs}, {self.epochs}"
            )
        if not (0 <= self.rate < math.inf and 0 <= self.decay < math.inf) or self.record_every < 1:
            raise ValueError("rate and decay must be finite and not negative, record_every at least 1")
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise ValueError(f"need 0 <= beta1, beta2 < 1, not {self.beta1}, {self.beta2}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be positive, or none, not {self.clip}")


def search(
    network: ParentNetwork, settings: SearchSettings, run: Run, seed: int, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """Search from the start, or on from the run's checkpoint.

    Args: stopped, asked after every step; when true, a checkpoint is written and None returned.
    Returns: the result that was written to result.json, with the derived architecture.
    Raises: Diverged at the first loss that is not finite, naming the step, or if a weight or a logit to be kept is NaN.
    """
    method, optimiser = build_method(settings), build_optimiser(settings)
    position = _resume(network, run) if run.resumed else _start(network, method, optimiser, seed)
    total = settings.epochs * network.steps_per_epoch
    warmup = settings.warmup_epochs * network.steps_per_epoch
    clock = time.perf_counter() - position.seconds

    def taken(step: int) -> int:  # weight and architecture steps, for the time that is left
        return step + max(0, step - warmup)

    quiet = processes.rank() > 0 or None
    with tqdm(total=taken(total), initial=taken(position.step), disable=quiet, unit="step") as bar:
        while position.step < total:
            position = _one_step(network, method, optimiser, settings, position, warmup, total)
            bar.update(taken(position.step) - bar.n)
            recorded = position.step % settings.record_every == 0 or position.step == total
            epoch_ended = position.step % network.steps_per_epoch == 0
            leaving = stopped() and position.step < total
            if not (recorded or epoch_ended or leaving or network.device == "cpu"):
                continue
            _check_finite(position)
            position = replace(position, losses=())
            if not (recorded or epoch_ended or leaving):
                continue
            position = replace(position, seconds=time.perf_counter() - clock)
            if recorded or epoch_ended:
                run.record(_record(network, method, position, validate=epoch_ended))
                position = replace(position, window={name: 0 * sums for name, sums in position.window.items()})
            if epoch_ended or leaving:
                _checkpoint(network, run, position)
            if leaving:
                return None
    result = _result(network, method, settings, position, seed)
    run.finish(result)
    return result


def build_method(settings: SearchSettings) -> Method:
    """The method of the settings, with its zero-operation policy where it has one. Raises: ValueError if unknown."""
    found = methods.find(settings.method)
    return replace(found, zero_policy=settings.zero_policy) if "gate_gradient" in found.averages else found


def build_optimiser(settings: SearchSettings) -> Optimiser:
    """The logits' optimiser of the settings."""
    if settings.optimiser == "adam":
        return optimisers.adam(settings.beta1, settings.beta2, decay=settings.decay)
    if settings.optimiser == "sgd":
        return optimisers.sgd(decay=settings.decay)
    return optimisers.OPTIMISERS[settings.optimiser]()


def weight_gates(sample: Sample) -> Tensor:
    """Gates (E, K) that a weight step trains under: the sample's, or the first of several."""
    gates: Tensor = sample.gates
    return gates if gates.ndim == 2 else gates[0]


# ------------------------------------------------------------------ one step, and where it stands


@dataclass(frozen=True)
class _Position:
    """Everything between two steps. window: sums since the last record; losses: those not yet known to be finite."""

    state: State
    generator: torch.Generator
    window: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    losses: tuple[tuple[int, Tensor], ...] = ()


def _one_step(
    network: ParentNetwork,
    method: Method,
    optimiser: Optimiser,
    settings: SearchSettings,
    position: _Position,
    warmup: int,
    total: int,
) -> _Position:
    state, window, losses = position.state, dict(position.window), position.losses
    progress = max(0.0, (position.step - warmup) / max(1, total - warmup))
    shape = step.noise_shape(method, *network.space.shape)

    def uniforms() -> Tensor:
        return torch.rand(shape, generator=position.generator, device=network.device)

    with torch.no_grad():
        sample = step.draw(method, state.logits, uniforms(), progress)
    loss = network.weight_step(weight_gates(sample), progress=position.step / total)
    window["weight_loss"] = window["weight_loss"] + loss
    window["weight_steps"] = window["weight_steps"] + 1
    losses = (*losses, (position.step + 1, loss))
    if position.step >= warmup:
        rate = settings.rate * (cosine(progress) if settings.schedule == "cosine" else 1.0)
        with torch.no_grad():
            state, sample = step.architecture_step(
                method, optimiser, state, network.objective(), uniforms(), rate, progress, settings.clip
            )
        loss = sample.loss.mean()
        window["architecture_loss"] = window["architecture_loss"] + loss
        window["architecture_steps"] = window["architecture_steps"] + 1
        losses = (*losses, (position.step + 1, loss))
    return replace(position, state=state, window=window, step=position.step + 1, losses=losses)


def _start(network: ParentNetwork, method: Method, optimiser: Optimiser, seed: int) -> _Position:
    generator = torch.Generator(device=network.device).manual_seed(seed)
    zero = torch.zeros((), device=network.device)
    names = ("weight_loss", "weight_steps", "architecture_loss", "architecture_steps")
    logits = torch.zeros(network.space.shape, device=network.device)
    return _Position(step.start(method, optimiser, logits), generator, dict.fromkeys(names, zero))


def _check_finite(position: _Position) -> None:
    if not position.losses:
        return
    finite = torch.isfinite(torch.stack([loss for _, loss in position.losses])).tolist()
    if not all(finite):
        step_of_first = position.losses[finite.index(False)][0]
        raise Diverged(
            f"the loss is not finite at step {step_of_first}; what is kept ends before it: lower a learning rate"
        )


# ------------------------------------------------------------------ records and checkpoints


def _record(network: ParentNetwork, method: Method, position: _Position, validate: bool) -> dict[str, Any]:
    derived = step.architecture(method, position.state)
    probabilities = step.probabilities(method, position.state)
    sums = {name: float(total) for name, total in position.window.items()}
    record: dict[str, Any] = {
        "step": position.step,
        "epoch": position.step / network.steps_per_epoch,
        "seconds": round(position.seconds, 3),
        "weight_loss": sums["weight_loss"] / max(1, sums["weight_steps"]),
        "architecture_loss": sums["architecture_loss"] / max(1, sums["architecture_steps"]),
        "entropy": float(policy.entropy(probabilities).sum()),
        "probabilities": _believed(method, probabilities, derived).tolist(),
        "architecture": network.space.write(policy.choices(derived).tolist()),
    }
    return {**record, "validation": network.validate(derived)} if validate else record


def _believed(method: Method, probabilities: Tensor, derived: Tensor) -> Tensor:
    """What a record calls probabilities: a search without a gradient draws evenly but stands for the best it saw."""
    return derived if method.estimate is None else probabilities


def _checkpoint(network: ParentNetwork, run: Run, position: _Position) -> None:
    state = position.state
    tensors = {"logits": state.logits, "generator": position.generator.get_state()}
    for prefix, part in _parts(state.memory, state.moments, position.window, network.state()).items():
        tensors |= {f"{prefix}/{name}": tensor for name, tensor in part.items()}
    run.checkpoint(tensors, {"step": position.step, "architecture_step": state.step, "seconds": position.seconds})


def _resume(network: ParentNetwork, run: Run) -> _Position:
    tensors, about = run.restore()
    parts: dict[str, dict[str, Tensor]] = _parts({}, {}, {}, {})
    for name, tensor in tensors.items():
        prefix, slash, rest = name.partition("/")
        if slash:
            parts[prefix][rest] = tensor.to(network.device) if prefix != "network" else tensor
    network.load(parts["network"])
    generator = torch.Generator(device=network.device)
    try:
        generator.set_state(tensors["generator"])
    except RuntimeError as error:  # each kind of device has its own kind of state
        raise RunError(
            f"{run.folder} was begun on another kind of device: go on there, or choose other --runs"
        ) from error
    logits = tensors["logits"].to(network.device)
    state = State(logits, parts["memory"], parts["moments"], about["architecture_step"])
    return _Position(state, generator, parts["window"], about["step"], about["seconds"])


def _parts(
    memory: dict[str, Tensor], moments: dict[str, Tensor], window: dict[str, Tensor], network: dict[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    return {"memory": memory, "moments": moments, "window": window, "network": network}


def _result(
    network: ParentNetwork, method: Method, settings: SearchSettings, position: _Position, seed: int
) -> dict[str, Any]:
    gates = step.architecture(method, position.state)
    derived = policy.choices(gates).tolist()
    return {
        "space": network.space.name,
        "method": settings.method,
        "zero_policy": method.zero_policy if network.space.zero_operation is not None else None,
        "architecture": network.space.write(derived),
        "choices": derived,
        "probabilities": _believed(method, step.probabilities(method, position.state), gates).tolist(),
        "steps": position.step,
        "seconds": round(position.seconds, 1),
        "seed": seed,
        "device": network.device,
    }
