"""How is a search run so that nothing is lost? Records, a checkpoint every epoch, stopping and going on.

What stands around the loop of `nas.search.steps` when there is a run folder. Stopped at any step and resumed, a run on
the CPU ends with the same bits and the same records as one left alone.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas import derive, ending
from nas.ending import Standing
from nas.found import found_at
from nas.progress import Progress, Seen, Window, empty_window, progress_bar, record
from nas.running import runs
from nas.running.runs import Run, RunError
from nas.search import beginning, check_zero, penalty_of, steps
from nas.settings import SearchSettings, build_method
from nas.step import State
from nas.supernets.parent import ParentNetwork


def search_in(
    run: Run,
    network: ParentNetwork,
    settings: SearchSettings,
    seed: int,
    stopped: Callable[[], bool] = lambda: False,
    warmup_run: Path | None = None,
) -> dict[str, Any] | None:
    """Search from the start, or on from the run's checkpoint.

    Args: stopped, asked after every step; when true, a checkpoint is written and None returned; warmup_run, a finished
    warm-up (`nas.running.warmup`) to go on from instead of the start.
    Returns: the result that was written to result.json, with the derived architecture (`nas.found.Found.result`).
    Raises: Diverged at the first loss that is not finite, naming the step, or if a weight or a logit to be kept is NaN.
    """
    method, each = build_method(settings), network.steps_per_epoch
    (warmup, _), end = settings.lengths(each), settings.end(each)
    derive.check(network, method, settings.derive)
    check_zero(network.space, method, settings)
    penalty = penalty_of(network, method, settings)
    forked_from = (
        None if warmup_run is None else {"run": str(warmup_run), "seconds": runs.records(warmup_run)[-1]["seconds"]}
    )
    mine, standing = fingerprint(network, seed), Standing()
    if run.resumed:
        tensors, about = run.restore()
        begun, window, seconds = restored(tensors, about, network, run.folder, mine)
        standing, forked_from = Standing(**about.get(STANDING, {})), about.get(FORKED_FROM, forked_from)
    elif warmup_run is not None:
        begun, seconds = forked(warmup_run, network, settings, seed)
        window = empty_window(network)
    else:
        begun, window, seconds = beginning(network, settings, seed), empty_window(network), 0.0
    now, clock = begun, time.perf_counter() - seconds
    time_is_up = ending.clock(settings, clock, network.device)
    ended = ending.early(settings, standing, settings.seconds is not None and seconds >= settings.seconds)
    with progress_bar(warmup, end, begun.step) as show:
        for now in steps(network, settings, seed, begun) if ended is None else ():  # else only its result was missing
            show(now.step)
            window, up = window.add(now), time_is_up()
            recorded, kept = settings.recorded(now.step, each) or up, settings.kept(now.step, each) or up
            leaving = stopped() and now.step < end and not up
            if not (recorded or leaving):
                continue
            window, seconds = window.checked(), time.perf_counter() - clock
            if recorded:
                run.record(record(network, method, now, window, seconds, validate=kept, penalty=penalty))
                window = window.emptied()
            if kept or leaving:
                standing = ending.stood(standing, settings, each, method, now)
                _keep(run, network, now, window, seconds, mine, standing, forked_from)
            if leaving:
                return None
            if now.step < end and (ended := ending.early(settings, standing, up)):
                break
    ending.check(settings, each, now, ended)
    derived = derive.derive(network, method, now, settings.derive, stopped)
    if derived is None:
        return None
    seconds = time.perf_counter() - clock
    result = found_at(network, method, now, derived, seed, seconds, [], settings.method, forked_from, ended).result
    run.finish(result)
    return result


def forked(folder: Path, network: ParentNetwork, settings: SearchSettings, seed: int) -> tuple[Progress, float]:
    """Where a search stands that goes on from a finished warm-up, the network taken there; and its seconds.

    The weights, their minibatches and the random numbers are the warm-up's; the method's own state is fresh, as it is
    after a warm-up of one's own.
    """
    mine = fingerprint(network, seed)
    there, _, seconds = restored(*runs.read_checkpoint(folder / runs.CHECKPOINT), network, folder, mine)
    return replace(beginning(network, settings, seed), generator=there.generator, step=there.step), seconds


# ------------------------------------------------------------------ checkpoints

FINGERPRINT, STANDING, FORKED_FROM = "fingerprint", "standing", "forked_from"


def fingerprint(network: ParentNetwork, seed: int) -> dict[str, str]:
    """What must be as it was for a run to go on, in words: the seed, and what the network says of itself."""
    of_network: dict[str, str] = getattr(network, "fingerprint", dict)()
    return {"seed": str(seed), **of_network}


def check_fingerprint(folder: Path, about: dict[str, Any], mine: dict[str, str]) -> None:
    """Raises: RunError if what a checkpoint of `folder` says `about` itself is of another network than `mine`."""
    for name, then in about.get(FINGERPRINT, {}).items():
        if mine.get(name, then) != then:
            raise RunError(
                f"{folder} was begun with another {name}: {then}, now {mine[name]}; "
                "put that back, or choose another folder"
            )


def check_same(folder: Path, network: ParentNetwork, seed: int) -> None:
    """Raises: RunError in one line if the search in `folder` saw another network, or other data, than this one."""
    _, about = runs.read_checkpoint(folder / runs.CHECKPOINT)
    check_fingerprint(folder, about, fingerprint(network, seed))


def _keep(
    run: Run,
    network: ParentNetwork,
    now: Progress,
    window: Window,
    seconds: float,
    mine: dict[str, str],
    standing: Standing,
    forked_from: dict[str, Any] | None,
) -> None:
    state = now.state
    tensors = {"logits": state.logits, "generator": now.generator.get_state()}
    parts = {"memory": state.memory, "moments": state.moments, "window": window.sums, "network": network.state()}
    parts |= {"kept": state.kept}
    parts |= {"seen": vars(now.seen)} if now.seen is not None else {}
    for prefix, part in parts.items():
        tensors |= {f"{prefix}/{name}": tensor for name, tensor in part.items()}
    facts = {"step": now.step, "architecture_step": state.step, "seconds": seconds, FINGERPRINT: mine}
    facts |= {FORKED_FROM: forked_from}  # None, too: what was begun from nothing has no beginning that was made later
    facts |= {STANDING: vars(standing)} if standing != Standing() else {}
    run.checkpoint(tensors, facts)


def restored(
    tensors: dict[str, Tensor], about: dict[str, Any], network: ParentNetwork, folder: Path, mine: dict[str, str]
) -> tuple[Progress, Window, float]:
    """Where a checkpoint of `folder` stands, the network taken there too, and the seconds so far.

    Raises: RunError if the checkpoint has another fingerprint than `mine`; one from before there were any has none.
    """
    check_fingerprint(folder, about, mine)
    prefixes = ("memory", "moments", "kept", "window", "network", "seen")
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    for name, tensor in tensors.items():
        prefix, slash, rest = name.partition("/")
        if slash:
            parts[prefix][rest] = tensor.to(network.device) if prefix != "network" else tensor
    network.load(parts["network"])
    generator = torch.Generator(device=network.device)
    try:
        generator.set_state(tensors["generator"])
    except RuntimeError as error:  # each kind of device has its own kind of state
        raise RunError(f"{folder} was begun on another kind of device: go on there, or choose other --runs") from error
    logits = tensors["logits"].to(network.device)
    kept = {
        name: tensor.clone() for name, tensor in parts["kept"].items()
    }  # as a step leaves them: memory of their own
    state = State(logits, parts["memory"], parts["moments"], about["architecture_step"], kept)
    seen = Seen(**parts["seen"]) if parts["seen"] else None
    return Progress(state, generator, about["step"], seen=seen), Window(parts["window"]), about["seconds"]
