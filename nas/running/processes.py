"""How do several processes search as one? `torchrun -m nas search cifar10` starts them; one writes the run folder.

Each computes on its share of every minibatch, gradients and losses are averaged, and all draw the same architectures:
all hold the same weights and logits. The first one's run folder is the run; the others read it and write nothing.
Where one is killed, the others end at their next exchange, each in one line; started again, they go on together.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from nas.running import runs, trackers
from nas.running.runs import Run

BETWEEN = 10  # steps between two agreements on stopping: each costs an exchange


@contextmanager
def joined(device: str) -> Iterator[str]:
    """The device of this process, while it is joined to those that torchrun started; alone, `device` itself."""
    device = own_device(device)
    if not _started_together():
        yield device
        return
    on_cuda = device.startswith("cuda")
    if on_cuda:
        torch.cuda.set_device(device)
    with _exchange():
        distributed.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def own_device(device: str) -> str:
    """`device`, or of several processes that torchrun started on GPUs each its own."""
    on_cuda = device.startswith("cuda") and _started_together()
    return f"cuda:{os.environ['LOCAL_RANK']}" if on_cuda else device


def take_device(device: str) -> None:
    """Make a GPU that is named by its number the current one.

    Raises: ValueError in one line if torch does not know the device or this machine does not have it.
    """
    try:
        torch.zeros(1, device=device)
        if torch.device(device).type == "meta":
            raise RuntimeError("it has shapes, but no numbers")
        if (number := torch.device(device).index) is not None and device.startswith("cuda"):
            torch.cuda.set_device(number)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used here ({reason}); use cpu") from error


def count() -> int:
    """How many processes share the work: 1 unless they are joined."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def average(tensors: list[Tensor]) -> list[Tensor]:
    """The mean over the processes of each tensor, in one exchange."""
    if count() == 1:
        return tensors
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    with _exchange():
        distributed.all_reduce(flat)
    parts = torch.split(flat / count(), [tensor.numel() for tensor in tensors])
    return [part.view_as(tensor).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True)]


@contextmanager
def open_run(folder: Path, settings: Any, device: str = "cpu", names: Sequence[str] = ()) -> Iterator[Run]:
    """`trackers.open_run` in the first process; the others follow it. Raises: RunError as there."""
    if rank() == 0:
        with trackers.open_run(folder, settings, device, names) as run:
            _wait_for_all()
            yield run
    else:
        _wait_for_all()
        yield Follower(folder)


def agreed(stopped: Callable[[], bool], device: str) -> Callable[[], bool]:
    """`stopped` of any process, told to all at the same step: asked often, exchanged every `BETWEEN` times."""
    if count() == 1:
        return stopped
    asked = 0

    def ask() -> bool:
        nonlocal asked
        asked += 1
        if asked % BETWEEN:
            return False
        votes = torch.tensor(float(stopped()), device=device)
        with _exchange():
            distributed.all_reduce(votes)
        return bool(votes > 0)

    return ask


@dataclass(frozen=True)
class Follower(Run):
    """The run folder of the first process, seen from another: read, never written."""

    def record(self, record: Mapping[str, Any]) -> None:
        """Nothing."""

    def checkpoint(self, tensors: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Nothing."""

    def restore(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The last checkpoint's tensors and facts."""
        return runs.read_checkpoint(self.folder / runs.CHECKPOINT)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Nothing."""


def _started_together() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _wait_for_all() -> None:
    if count() > 1:
        with _exchange():
            distributed.barrier()


@contextmanager
def _exchange() -> Iterator[None]:
    """Raises: RunError in one line where another process of the group is gone; nothing is written then."""
    try:
        yield
    except RuntimeError as error:  # what torch.distributed raises for whatever is wrong with the others
        raise runs.RunError(
            f"another process of this search is gone ({' '.join(str(error).split())[:200]}); start all of them again: "
            "they go on from the last checkpoint"
        ) from error
