"""How is one network trained from scratch? Step after step; a record and a checkpoint every epoch.

What trains is a `Trainee`, on text or on images. Stopped at any step and resumed, a training on the CPU ends with the
same bits and the same records as one left alone.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from nas.running import runs
from nas.running.runs import Diverged, Run


class Trainee(Protocol):
    """A network with its data and its optimiser."""

    @property
    def steps_per_epoch(self) -> int:
        """Minibatches an epoch."""
        ...

    def step(self, progress: float) -> Tensor:
        """One optimiser step, `progress` in [0, 1] of the schedule; returns the loss, shape ()."""
        ...

    def judged(self) -> dict[str, float]:
        """What an epoch's record says beside the loss."""
        ...

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on."""
        ...

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore `state()`."""
        ...


T = TypeVar("T", bound=Trainee)


def once(
    folder: Path,
    recipe: Any,
    epochs: int,
    trainee: Callable[[], T],
    row: Callable[[T], dict[str, Any]],
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """The row of one training: from its finished run folder, or by training there, or by going on; None if stopped.

    Stopped before its first step, a training that is not finished leaves nothing behind.

    Args: recipe, a dataclass with architecture and seed, all that the training depends on; row, what is said of the
    trained network. Architecture, epochs, seed and seconds are said of every one.
    Raises: Diverged at a loss that is not finite.
    """
    if (folder / runs.RESULT).exists():
        return runs.result(folder)
    if stopped():
        return None
    with runs.open_run(folder, recipe, device) as run:
        trained = trainee()
        seconds = train(run, trained, epochs, recipe.architecture, stopped)
        if seconds is None:
            return None
        about = {"architecture": recipe.architecture, **row(trained)}
        about |= {"epochs": epochs, "seed": recipe.seed, "seconds": round(seconds, 1)}
        run.finish(about)
        return about


def train(
    run: Run, trainee: Trainee, epochs: int, title: str, stopped: Callable[[], bool] = lambda: False
) -> float | None:
    """Train for so many epochs, on from the run's checkpoint if there is one.

    Args: title, of the progress bar; stopped, asked after every step: when true, a checkpoint is written.
    Returns: the seconds that it took, or None if stopped.
    Raises: Diverged at the first loss that is not finite, naming the step (on a GPU: the epoch's last).
    """
    step, before = 0, 0.0
    losses: list[Tensor] = []  # of this epoch
    if run.resumed:
        tensors, about = run.restore()
        losses = list(tensors.pop(LOSSES))
        trainee.load(tensors)
        step, before = about["step"], about["seconds"]
    total, clock = epochs * trainee.steps_per_epoch, time.perf_counter() - before
    with tqdm(total=total, initial=step, disable=None, unit="step", desc=title) as bar:
        while step < total:
            losses.append(trainee.step(step / total))
            step += 1
            bar.update()
            epoch_ended, leaving = step % trainee.steps_per_epoch == 0, stopped() and step < total
            if losses[-1].device.type == "cpu" and not torch.isfinite(losses[-1]):
                raise _diverged(run, step)
            if not (epoch_ended or leaving):
                continue
            kept = torch.stack([loss.cpu() for loss in losses])
            if not torch.isfinite(kept).all():
                raise _diverged(run, step)
            seconds = time.perf_counter() - clock
            if epoch_ended:
                record: dict[str, Any] = {"step": step, "epoch": step // trainee.steps_per_epoch}
                run.record({**record, "seconds": round(seconds, 3), "loss": float(kept.mean()), **trainee.judged()})
                losses, kept = [], kept[:0]
            run.checkpoint({**trainee.state(), LOSSES: kept}, {"step": step, "seconds": seconds})
            if leaving:
                return None
    return time.perf_counter() - clock


LOSSES = "training.losses"


def _diverged(run: Run, step: int) -> Diverged:
    return Diverged(f"{run.folder}: the loss is not finite at step {step}; lower the learning rate")
