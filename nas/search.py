"""How is an architecture searched? Alternate one weight step and one architecture step, on different data.

`steps` is the bilevel loop, the same for every parent network and every method; `search` takes it to its end and says
what was found. It owns the architecture (logits, the method's memory, the optimiser's moments) and the schedule; the
network owns its weights and its minibatches. A run folder with records, checkpoints and resuming stands around the same
loop: `nas.running.searching`.
"""

import math
import operator
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor

from nas import derive, ending, methods, policy, step
from nas.derive import Derived
from nas.ending import Standing
from nas.found import Found, found_at
from nas.methods import Method
from nas.objective import Penalty
from nas.progress import Progress, Seen, empty_window, progress_bar, record
from nas.samples import ONE_HOT, Sample
from nas.schedule import cosine
from nas.settings import SearchSettings, build_method, build_optimiser
from nas.spaces.space import Space
from nas.supernets.parent import COSTS_UNKNOWN, ParentNetwork

# ------------------------------------------------------------------ the algorithm


def steps(
    network: ParentNetwork,
    settings: SearchSettings,
    seed: int = 0,
    start: Progress | None = None,
    method: Method | None = None,
) -> Iterator[Progress]:
    """The search, step by step, to its end: in each a weight step and, after the warm-up, an architecture step.

    Args: seed, of the drawn gates; start, where to go on from, else the beginning; method, one that is at hand instead
    of the one that the settings name.
    Yields: the progress after each step. Nothing is computed before it is asked for, so stopping costs nothing.
    """
    method = method or build_method(settings)
    optimiser = build_optimiser(settings)
    now = start or beginning(network, settings, seed, method)
    warmup, total = settings.lengths(network.steps_per_epoch)
    penalty = penalty_of(network, method, settings)
    noise = step.noise_shape(method, *network.space.shape)

    def uniforms(shape: tuple[int, ...] = noise) -> Tensor:
        return torch.rand(shape, generator=now.generator, device=network.device)

    while now.step < settings.end(network.steps_per_epoch):
        progress = max(0.0, (now.step - warmup) / max(1, total - warmup))
        state, architecture_loss, seen = now.state, None, now.seen

        with torch.no_grad():
            if settings.warmup == "shared" and now.step < warmup:
                even = torch.zeros_like(state.logits)
                drawn = ONE_HOT.sample(even, uniforms(ONE_HOT.noise(*network.space.shape)), None)
            else:
                drawn = step.draw(method, state.logits, uniforms(), progress, state.kept)
        weight_loss = network.weight_step(weight_gates(drawn), progress=now.step / total)

        if now.step >= warmup:
            rate = settings.rate * (cosine(progress) if settings.schedule == "cosine" else 1.0)
            with torch.no_grad():
                problem = network.objective()
                state, sample = step.architecture_step(
                    method, optimiser, state, problem, uniforms(), rate, progress, settings.clip, penalty=penalty
                )
            step.check_numbers(method, state.logits, sample)
            architecture_loss = sample.loss.mean()
            paid = sample.loss if penalty is None else penalty.charged(sample.loss, sample.gates)
            seen = seen.or_better(replace(sample, loss=paid)) if seen is not None else None

        now = Progress(state, now.generator, now.step + 1, weight_loss, architecture_loss, seen)
        yield now


def search(
    network: ParentNetwork,
    method: str | Method | Callable[..., Any] = "advantage",
    epochs: int = 20,
    seed: int = 0,
    **settings: Any,
) -> Found:
    """Search an architecture in one call, without a run folder. `nas.search(...)` is the same.

    Args: method, a name, a `Method`, or a plain function whose parameters name what it needs (`nas.methods.method_of`);
    settings, further fields of `SearchSettings`. Of the epochs a quarter is warm-up unless `warmup_epochs` is given;
    Adam's `rate` is by default so that a logit can move by `REACH` in all, and at most `FASTEST` a step.
    Returns: what was found, with records and the trained network.
    Raises: ValueError for an unknown setting, or another optimiser without its rate; Diverged, a ValueError too, at the
    first loss that is not finite.

    >>> from torch import nn
    >>> from nas.supernets import Batches, Edge, EdgeNetwork, Supernet
    >>> _ = torch.manual_seed(0)
    >>> inputs = torch.randn(200, 3)
    >>> batches = Batches(inputs, (inputs[:, 0] > 0).long(), size=20)
    >>> layer = Edge([nn.Identity(), nn.Threshold(9.0, 0.0)], name="layer")  # lets the input through, or hides it
    >>> model = EdgeNetwork(nn.Sequential(layer, nn.Linear(3, 2)))
    >>> space = model.space("example", ["seen", "hidden"])
    >>> network = Supernet(space, model, nn.functional.cross_entropy, batches, batches, batches)
    >>> search(network, method="advantage", epochs=8, seed=0).architecture
    'layer=seen'
    """
    seed = operator.index(seed)  # a NumPy integer is one, too; 0.5 is not
    credited, chosen = _chosen(network, method, epochs, settings)
    derive.check(network, credited, chosen.derive)
    check_zero(network.space, credited, chosen)
    each, penalty = network.steps_per_epoch, penalty_of(network, credited, chosen)
    (warmup, _), end = chosen.lengths(each), chosen.end(each)
    window, records, clock = empty_window(network), list[dict[str, Any]](), time.perf_counter()
    time_is_up, standing, ended = ending.clock(chosen, clock, network.device), Standing(), None
    with progress_bar(warmup, end, 0) as show:
        for now in steps(network, chosen, seed, method=credited):
            show(now.step)
            window, up = window.add(now), time_is_up()
            if chosen.recorded(now.step, each) or up:
                window, seconds = window.checked(), time.perf_counter() - clock
                kept = chosen.kept(now.step, each) or up
                records.append(record(network, credited, now, window, seconds, validate=kept, penalty=penalty))
                window = window.emptied()
            standing = ending.stood(standing, chosen, each, credited, now)
            if now.step < end and (ended := ending.early(chosen, standing, up)):
                break
    ending.check(chosen, each, now, ended)
    derived = cast(Derived, derive.derive(network, credited, now, chosen.derive))  # nobody stops it
    seconds = time.perf_counter() - clock
    return found_at(network, credited, now, derived, seed, seconds, records, ended=ended)


def beginning(network: ParentNetwork, settings: SearchSettings, seed: int, method: Method | None = None) -> Progress:
    """Before the first step: all architectures are equally probable."""
    method = method or build_method(settings)
    logits = torch.zeros(network.space.shape, device=network.device)
    generator = torch.Generator(device=network.device).manual_seed(seed)
    seen = Seen(torch.tensor(math.inf, device=network.device), torch.zeros_like(logits))
    wanted = step.start_noise(method, *network.space.shape)
    uniforms = torch.rand(wanted, generator=generator, device=network.device) if wanted else None
    return Progress(
        step.start(method, build_optimiser(settings), logits, uniforms),
        generator,
        seen=seen if settings.derive == "best_seen" else None,
    )


def weight_gates(sample: Sample) -> Tensor:
    """Gates (E, K) that a weight step trains under: the sample's, or the first of several."""
    gates: Tensor = sample.gates
    return gates if gates.ndim == 2 else gates[0]


REACH = 10.0  # a logit gap of 10 leaves the other operations 5 in 100,000: more would be spent on nothing
FASTEST = 0.1  # Adam's rate at which a dozen steps in one direction settle an edge: too fast to find out


def _chosen(
    network: ParentNetwork, method: str | Method | Callable[..., Any], epochs: int, settings: dict[str, Any]
) -> tuple[Method, SearchSettings]:
    """The method, and all settings of a search that was asked for in one call."""
    known = [field.name for field in fields(SearchSettings) if field.name not in ("method", "epochs")]
    for name in settings:
        if name not in known:
            raise ValueError(f"unknown setting {name!r} of a search; known: {', '.join(known)}")
    if "rate" not in settings and settings.get("optimiser", "adam") != "adam":
        raise ValueError(f"optimiser {settings['optimiser']!r} needs a rate: there is a default for adam alone")
    warmup = settings.get("warmup_epochs", epochs // 4)
    steps = max(1, (epochs - warmup) * network.steps_per_epoch)
    usual = {"warmup_epochs": warmup, "rate": min(2 * REACH / steps, FASTEST)}  # a cosine's mean is a half
    if isinstance(method, str):
        chosen = SearchSettings(method=method, epochs=epochs, **{**usual, **settings})
        return build_method(chosen), chosen
    if not isinstance(method, Method):
        method = methods.method_of(method, getattr(method, "__name__", type(method).__name__))
    if "zero_policy" in settings:
        method = replace(method, zero_policy=settings["zero_policy"])
    return method, SearchSettings(method=method.name, epochs=epochs, **{**usual, **settings})


def check_zero(space: Space, method: Method, settings: SearchSettings) -> None:
    """Refuse a method of one's own that would credit gates otherwise than the settings say.

    Raises: ValueError in one line, where the space has a zero operation and the policies differ.
    """
    registered = methods.METHODS.get(settings.method)
    own = registered is None or registered.estimator is not method.estimator
    reads = "gate_gradient" in method.takes and space.zero is not None
    if own and reads and method.zero_policy != settings.zero_policy:
        raise ValueError(
            f"method {settings.method} leaves the credit of a drawn {space.zero!r} at zero, but search.zero_policy is "
            f"{settings.zero_policy}: set that to {method.zero_policy}, "
            f'or say zero_policy="{settings.zero_policy}" in a nas.methods.Method'
        )


def penalty_of(network: ParentNetwork, method: Method, settings: SearchSettings) -> Penalty[Tensor] | None:
    """The price on operations, as a share of the dearest architecture's; None without one.

    Raises: ValueError in one line if the network does not say what its operations cost, says something else than one
    finite cost an operation, or the method's policy is no softmax.
    """
    if settings.penalty == 0:
        return None
    asked: Callable[[], Tensor] | None = getattr(network, "costs", None)
    if asked is None:
        raise ValueError(COSTS_UNKNOWN)
    costs = asked()
    if tuple(costs.shape) != network.space.shape or not bool((torch.isfinite(costs) & (costs >= 0)).all()):
        raise ValueError(
            f"search.penalty: the costs of the operations must be finite and not negative, of the shape "
            f"{network.space.shape}, not {tuple(costs.shape)}"
        )
    dearest = costs.amax(dim=-1).sum()
    if dearest == 0:
        raise ValueError("search.penalty: all operations of this network cost nothing")
    free = method.draw.probabilities is policy.softmax and method.constrain is None
    if method.estimator is not None and not free:
        raise ValueError(
            f"search.penalty: its gradient is known for a softmax whose logits move freely; {method.name} has none"
        )
    return Penalty(settings.penalty, (costs / dearest).to(network.device))


class SearchModule(ModuleType):
    """`nas.search` is this module by Python's rules and the search by its name, whatever is imported first: so both."""

    __call__ = staticmethod(search)


sys.modules[__name__].__class__ = SearchModule
