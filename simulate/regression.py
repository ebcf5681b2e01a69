"""What is the toy regression of Sato et al. (2021)? A frozen one-layer cell that has to match a random teacher cell.

Ten edges with ten candidates. Edge e convolves the 13 x 13 input with ten fixed 7 x 7 filters (stride 2); candidate k
is channel k. The gates multiply channels, tanh follows, a fixed 4 x 4 convolution makes a scalar, and the output is
the mean over edges. The target is the same cell at a one-hot teacher; the loss is the mean squared error:

    u_e = sum_k a_ek F_ek * x,   output = (1/E) sum_e <r_e, tanh(u_e)>,   L(a) = mean_b (output_b - target_b)^2

so with residual d_b = (2/B)(output_b - target_b), the gate gradient has the closed form used below:

    dL/da_ek = sum_{b,s} d_b (r_es / E) (1 - tanh(u_ebs)^2) (F_ek * x)_bs

The weights are normal with variance 1 / fan-in and without bias, the defaults of the framework of the authors' release
(Chainer; its toy/toy.py). Several independent problems, *trials*, sit side by side on the first axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.objective import Gradients
from theory.streams import stream

INPUT, FILTER, STRIDE = 13, 7, 2
TAPS = FILTER * FILTER
OUTPUT = (INPUT - FILTER) // STRIDE + 1  # 4 x 4 positions, read out by one 4 x 4 filter
POSITIONS = OUTPUT * OUTPUT


@dataclass(frozen=True)
class Cells:
    """Frozen weights of T trials: filters (T, E, K, 49), readout (T, E, 16), teacher (T, E, K) one-hot."""

    filters: Tensor
    readout: Tensor
    teacher: Tensor


def cells(seed: int, trials: Sequence[int], edges: int, candidates: int, device: str = "cpu") -> Cells:
    """The weights of the numbered trials; trial t is the same whichever others are asked for."""
    drawn = [weights(stream(seed, "weights", trial), edges, candidates) for trial in trials]
    filters, readout, teacher = (np.stack(part) for part in zip(*drawn, strict=True))
    parts = (filters, readout, np.eye(candidates)[teacher])
    return Cells(*(torch.from_numpy(part).to(device, torch.float32) for part in parts))


def weights(random: np.random.Generator, edges: int, candidates: int) -> tuple[Any, Any, Any]:
    """Random filters (E, K, 49) and readout (E, 16), and a teacher: one operation an edge (E,)."""
    filters = random.standard_normal((edges, candidates, TAPS)) / FILTER
    readout = random.standard_normal((edges, POSITIONS)) / OUTPUT
    return filters, readout, random.integers(candidates, size=edges)


@dataclass(frozen=True)
class Regression:
    """The loss of T trials on one minibatch each, an `nas.objective.Objective`.

    Propagation is honest: `gradients` convolves and stores the channels that run and no others, so its cost is that of
    sparse, two-path or dense propagation. patches (T, 49, 16 B), target (T, B).
    """

    cells: Cells
    patches: Tensor
    target: Tensor
    zero_operation: None = None

    def loss(self, gates: Tensor) -> Tensor:
        """Loss (T, ...) of gates (T, ..., E, K), with one convolution an edge."""
        flat = gates.reshape(gates.shape[0], -1, *gates.shape[-2:])
        error = predict(self.cells, self.patches, flat) - self.target[:, None]
        return (error * error).mean(dim=-1).reshape(gates.shape[:-2])

    def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
        """Loss and gate gradients at gates (T, ..., E, K) of the operations in `runs`."""
        flat = gates.reshape(gates.shape[0], -1, *gates.shape[-2:])
        ran, index = runs.reshape(flat.shape).topk(int(runs.sum(dim=-1).amax()), dim=-1)  # (T, X, E, R)
        trials, evaluations, edges, paths = index.shape

        trial = torch.arange(trials, device=gates.device)[:, None, None, None]
        edge = torch.arange(edges, device=gates.device)[:, None]
        filters = self.cells.filters[trial, edge, index]  # (T, X, E, R, 49)
        channels = (filters.flatten(1, 3) @ self.patches).reshape(trials, evaluations, edges, paths, -1)
        weights = flat.gather(-1, index)
        hidden = torch.tanh((weights[..., None, :] @ channels)[..., 0, :])

        error = _read(self.cells, hidden) - self.target[:, None]
        size = error.shape[-1]
        read = self.cells.readout[:, None, :, :, None] / edges
        upstream = (read * (2 / size * error)[:, :, None, None]).reshape(hidden.shape)
        slope = upstream * (1 - hidden * hidden)  # dL / d(output of edge e), (T, X, E, 16 B)
        by_path = (channels @ slope[..., None])[..., 0] * ran
        return Gradients(
            (error * error).mean(dim=-1).reshape(gates.shape[:-2]),
            torch.zeros_like(flat).scatter(-1, index, by_path).reshape(gates.shape),
            slope.sum(dim=-1).reshape(gates.shape[:-1]),
        )


def minibatch(network: Cells, inputs: Tensor) -> Regression:
    """The objective on inputs (T, 13, 13, B): batch last, so that patches are copied in whole rows."""
    patches = _patches(inputs)
    return Regression(network, patches, predict(network, patches, network.teacher[:, None])[:, 0])


def random_patches(random: np.random.Generator, inputs: int) -> Any:
    """What the filters see of B random inputs: NumPy (49, 16 B)."""
    return _patches(torch.from_numpy(2 * random.random((1, INPUT, INPUT, inputs)) - 1))[0].numpy()


def predict(network: Cells, patches: Tensor, gates: Tensor) -> Tensor:
    """Outputs (T, X, B) of gates (T, X, E, K). Convolution is linear, so the gates merge the filters first."""
    merged = torch.einsum("txek,tekf->txef", gates, network.filters)
    hidden = torch.tanh(merged.flatten(1, 2) @ patches)
    return _read(network, hidden.reshape(*gates.shape[:3], -1))


def _patches(inputs: Tensor) -> Tensor:
    windows = inputs.unfold(1, FILTER, STRIDE).unfold(2, FILTER, STRIDE)  # (T, 4, 4, B, 7, 7)
    return windows.permute(0, 4, 5, 1, 2, 3).reshape(inputs.shape[0], TAPS, POSITIONS * inputs.shape[-1])


def _read(network: Cells, hidden: Tensor) -> Tensor:
    """Mean over edges of the readouts: (T, X, E, 16 B) -> (T, X, B)."""
    trials, evaluations, edges = hidden.shape[:3]
    weights = network.readout.reshape(trials, 1, 1, -1) / edges
    return (weights @ hidden.reshape(trials, evaluations, edges * POSITIONS, -1))[:, :, 0]
