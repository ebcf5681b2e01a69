"""How is a search run so that nothing is lost? Records, a checkpoint every epoch, stopping and going on.

What stands around the loop of `nas.search.steps` when there is a run folder. Stopped at any step and resumed, a run on
the CPU ends with the same bits and the same records as one left alone.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nas.progress import Progress, Window, empty_window, found_at, progress_bar, record
from nas.running.runs import Run, RunError
from nas.search import SearchSettings, beginning, build_method, steps
from nas.step import State
from nas.supernets.parent import ParentNetwork


def search_in(
    run: Run, network: ParentNetwork, settings: SearchSettings, seed: int, stopped: Callable[[], bool] = lambda: False
) -> dict[str, Any] | None:
    """Search from the start, or on from the run's checkpoint.

    Args: stopped, asked after every step; when true, a checkpoint is written and None returned.
    Returns: the result that was written to result.json, with the derived architecture (`nas.progress.Found.result`).
    Raises: Diverged at the first loss that is not finite, naming the step, or if a weight or a logit to be kept is NaN.
    """
    method, each = build_method(settings), network.steps_per_epoch
    warmup, total = settings.lengths(each)
    if run.resumed:
        begun, window, seconds = _restored(run, network)
    else:
        begun, window, seconds = beginning(network, settings, seed), empty_window(network), 0.0
    now, clock = begun, time.perf_counter() - seconds
    with progress_bar(warmup, total, begun.step) as show:
        for now in steps(network, settings, seed, begun):
            show(now.step)
            window = window.add(now)
            recorded, epoch_ended = settings.recorded(now.step, each), now.step % each == 0
            leaving = stopped() and now.step < total
            if not (recorded or leaving):
                continue
            window, seconds = window.checked(), time.perf_counter() - clock
            if recorded:
                run.record(record(network, method, now, window, seconds, validate=epoch_ended))
                window = window.emptied()
            if epoch_ended or leaving:
                _keep(run, network, now, window, seconds)
            if leaving:
                return None
    result = found_at(network, method, now, seed, seconds, [], settings.method).result
    run.finish(result)
    return result


# ------------------------------------------------------------------ checkpoints


def _keep(run: Run, network: ParentNetwork, now: Progress, window: Window, seconds: float) -> None:
    state = now.state
    tensors = {"logits": state.logits, "generator": now.generator.get_state()}
    parts = {"memory": state.memory, "moments": state.moments, "window": window.sums, "network": network.state()}
    for prefix, part in parts.items():
        tensors |= {f"{prefix}/{name}": tensor for name, tensor in part.items()}
    run.checkpoint(tensors, {"step": now.step, "architecture_step": state.step, "seconds": seconds})


def _restored(run: Run, network: ParentNetwork) -> tuple[Progress, Window, float]:
    """Where the run's checkpoint stands, the network taken there too, and the seconds so far."""
    tensors, about = run.restore()
    parts: dict[str, dict[str, Tensor]] = {"memory": {}, "moments": {}, "window": {}, "network": {}}
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
    return Progress(state, generator, about["step"]), Window(parts["window"]), about["seconds"]
