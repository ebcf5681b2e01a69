"""How is a step launched at once instead of kernel by kernel? Recorded as a CUDA graph, and replayed.

A parent network's step is hundreds of small kernels, and on a GPU starting them takes longer than running them. A
function that never asks the host anything can be recorded at its first call and started as one.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Work = Callable[..., tuple[Tensor, ...]]


class Recorder:
    """Recordings by name, of functions that change `state` in place. On the CPU the functions simply run."""

    def __init__(self, device: str, state: tuple[Tensor, ...]) -> None:
        self.device, self.state = device, state
        self.recordings: dict[str, _Recording] = {}

    def replayed(self, name: str, work: Work) -> Work:
        """`work` itself on the CPU; on CUDA its recording, made at the first call. Arguments keep their shapes."""
        if not self.device.startswith("cuda"):
            return work
        if name not in self.recordings:
            self.recordings[name] = _Recording(work, self.state)
        return self.recordings[name]


class _Recording:
    def __init__(self, work: Work, state: tuple[Tensor, ...]) -> None:
        self.work, self.state = work, state
        self.graph: Any = None
        self.inputs: tuple[Tensor, ...] = ()
        self.outputs: tuple[Tensor, ...] = ()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        if self.graph is None:
            self._record(inputs)
        for mine, given in zip(self.inputs, inputs, strict=True):
            mine.copy_(given)
        self.graph.replay()
        return tuple(output.clone() for output in self.outputs)

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        """Run a few times, as CUDA asks before a recording, record, and undo what that changed in the state."""
        self.inputs = tuple(given.clone() for given in inputs)
        before = [tensor.clone() for tensor in self.state]
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.work(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = self.work(*self.inputs)
        for tensor, value in zip(self.state, before, strict=True):
            tensor.copy_(value)
