"""How is a NAS-Bench-201 cell computed so that one operation an edge runs, and a backward pass wastes nothing?

The cell is one differentiable function with its backward pass written out. What that buys, beside fewer launches:

- the gate gradient <dL/doutput, output> of a normalised convolution is a by-product of the normalisation's backward
  pass, that of skip and pooling one inner product with the input (they are linear, so <dy, op(x)> = <op^T dy, x>);
- an architecture step (weights that need no gradient) runs no weight-gradient kernel;
- gates fold into the normalisation's scale; the ReLU of a node is masked once in the backward pass, not an edge at a
  time; nothing but the nodes and each convolution's output is kept.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.spaces.space import Edges
from nas.supernets.edge import Choice

EPSILON, MOMENTUM = 1e-5, 0.1
KERNEL = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}


@dataclass(frozen=True)
class Norm:
    """Batch normalisation: with or without learned scale and shift; statistics of the batch, or running averages.

    Running averages are updated in training and used in evaluation; "batch" uses the batch at hand in both.
    """

    affine: bool = False
    statistics: Literal["batch", "running"] = "batch"


class ConvolutionalCell(nn.Module):
    """A cell of three computed nodes, (N, C, H, W) -> (N, C, H, W); node j is the sum of its incoming edges.

    edges: (source, target) pairs, targets ascending; candidates: for each edge its operations' names.
    """

    def __init__(self, channels: int, edges: Edges, candidates: tuple[tuple[str, ...], ...], norm: Norm) -> None:
        super().__init__()
        self.channels, self.edges, self.candidates = channels, edges, candidates
        self.convolutions = nn.ModuleDict(
            {
                f"{edge}_{k}": ConvNorm(channels, channels, KERNEL[name], 1, norm)
                for edge, names in enumerate(candidates)
                for k, name in enumerate(names)
                if name in KERNEL
            }
        )

    def forward(self, inputs: Tensor, choice: Choice) -> Tensor:
        paths: list[_Path] = []
        tensors: list[Tensor | None] = []
        for edge, (source, target) in enumerate(self.edges):
            for k in choice.runs[edge]:
                name = self.candidates[edge][k]
                if name == "none":
                    continue
                layer: Any = self.convolutions[f"{edge}_{k}"] if name in KERNEL else None
                if layer is not None:
                    tensors += [layer.weight, layer.scale, layer.shift]
                paths.append(_Path(edge, k, source, target, name, choice.values[edge][k], layer))
        apply: Any = _CellFunction.apply
        out: Tensor = apply(self.edges, paths, inputs, choice.gates, choice.probe, *tensors)
        return out

    def costs(self) -> Tensor:
        """How many parameters an edge spends on an operation, (E, K)."""
        rows = [[self._count(edge, k) for k in range(len(names))] for edge, names in enumerate(self.candidates)]
        return torch.tensor(rows, dtype=torch.get_default_dtype())

    def _count(self, edge: int, k: int) -> int:
        name = f"{edge}_{k}"
        layer = self.convolutions[name] if name in self.convolutions else nn.Module()
        return sum(weight.numel() for weight in layer.parameters())


class ConvNorm(nn.Module):
    """ReLU (unless `relu` is false), convolution of size 1 or 3 without bias, batch normalisation."""

    scale: nn.Parameter | None
    shift: nn.Parameter | None
    mean: Tensor | None
    variance: Tensor | None

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, norm: Norm, relu: bool = True) -> None:
        super().__init__()
        self.stride, self.padding, self.relu = stride, size // 2, relu
        weight = torch.empty(outputs, inputs, size, size)
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))  # torch.nn.Conv2d's own start
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.scale = nn.Parameter(torch.ones(outputs)) if norm.affine else None
        self.shift = nn.Parameter(torch.zeros(outputs)) if norm.affine else None
        running = norm.statistics == "running"
        self.register_buffer("mean", torch.zeros(outputs) if running else None)
        self.register_buffer("variance", torch.ones(outputs) if running else None)

    def forward(self, inputs: Tensor) -> Tensor:
        inputs = torch.relu(inputs) if self.relu else inputs
        z = functional.conv2d(inputs, self.weight.to(inputs.dtype), None, self.stride, self.padding)
        return functional.batch_norm(
            z, self.mean, self.variance, self.scale, self.shift, self.of_the_batch, MOMENTUM, EPSILON
        )

    @property
    def of_the_batch(self) -> bool:
        """Whether the statistics are those of the batch at hand."""
        return self.training or self.mean is None


# ------------------------------------------------------------------ the cell, forward and backward


@dataclass(frozen=True)
class _Path:
    """One operation that runs: where it goes, and its gate as a number."""

    edge: int
    operation: int
    source: int
    target: int
    name: str
    gate: float
    layer: ConvNorm | None


class _CellFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        edges: Edges,
        paths: list[_Path],
        inputs: Tensor,
        gates: Tensor,
        probe: Tensor,
        *tensors: Tensor | None,
    ) -> Tensor:
        nodes, kept = [inputs], []
        rectified: dict[int, Tensor] = {}
        given = iter(zip(*[iter(tensors)] * 3, strict=True))
        for target in range(1, 1 + edges[-1][1]):
            total = _Sum()
            for path in (path for path in paths if path.target == target):
                x = nodes[path.source]
                if path.layer is None:
                    if path.gate != 0:
                        pooled = path.name != "skip_connect"
                        total.add(_pool(x) if pooled else x, path.gate, owned=pooled)
                    continue
                weight, scale, shift = next(given)
                if path.source not in rectified:
                    rectified[path.source] = torch.relu(x)
                z = functional.conv2d(rectified[path.source], weight.to(x.dtype), None, 1, path.layer.padding)
                y, mean, deviation = torch.native_batch_norm(
                    z,
                    _scaled(scale, path.gate, z),
                    shift * path.gate if shift is not None else None,
                    path.layer.mean,
                    path.layer.variance,
                    path.layer.of_the_batch,
                    MOMENTUM,
                    EPSILON,
                )
                kept += [z, mean, deviation]
                if path.gate != 0:
                    total.add(y, 1.0, owned=True)
            nodes.append(total.value(inputs))
        ctx.edges, ctx.paths, ctx.gates, ctx.kept = edges, paths, gates, len(kept)
        ctx.save_for_backward(*nodes[:-1], *kept, *tensors)
        return nodes[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        last = ctx.edges[-1][1]
        saved = ctx.saved_tensors
        nodes, kept, tensors = saved[:last], saved[last : last + ctx.kept], saved[last + ctx.kept :]
        _, _, wants_input, wants_gates, wants_probe, *wants = ctx.needs_input_grad
        gate_gradient = torch.zeros_like(ctx.gates) if wants_gates else None
        probe_gradient = torch.zeros_like(ctx.gates[:, 0]) if wants_probe else None
        tensor_gradients: list[Tensor | None] = [None] * len(tensors)
        node_sums = [_Sum() for _ in range(last)] + [_Sum(gradients[0])]
        rectified_sums = [_Sum() for _ in range(last)]
        rectified: dict[int, Tensor] = {}
        places = _places(ctx.paths)
        for target in range(last, -1, -1):
            if target < last and rectified_sums[target].tensor is not None:
                masked = torch.ops.aten.threshold_backward(rectified_sums[target].tensor, nodes[target], 0)
                node_sums[target].add(masked, 1.0, owned=True)
            dy = node_sums[target].tensor
            if dy is None or target == 0:
                continue
            if probe_gradient is not None:
                into = [edge for edge, (_, end) in enumerate(ctx.edges) if end == target]
                probe_gradient[into] = dy.sum(dtype=probe_gradient.dtype)
            for path, place in zip(ctx.paths, places, strict=True):
                if path.target != target:
                    continue
                onward = path.gate != 0 and (path.source > 0 or wants_input)
                x = nodes[path.source]
                if path.layer is None:
                    pooled = path.name != "skip_connect"
                    dx = _pool_transposed(dy) if pooled else dy
                    if gate_gradient is not None:
                        gate_gradient[path.edge, path.operation] = (dx * x).sum(dtype=gate_gradient.dtype)
                    if onward:
                        node_sums[path.source].add(dx, path.gate, owned=pooled)
                    continue
                z, mean, deviation = kept[3 * place : 3 * place + 3]
                weight, scale, shift = tensors[3 * place : 3 * place + 3]
                wants_weight, wants_scale, wants_shift = wants[3 * place : 3 * place + 3]
                through = path.gate != 0 and (onward or wants_weight)
                dz, d_scale, d_shift = torch.ops.aten.native_batch_norm_backward(
                    dy,
                    z,
                    _scaled(scale, path.gate, z),
                    path.layer.mean,
                    path.layer.variance,
                    mean,
                    deviation,
                    path.layer.of_the_batch,
                    EPSILON,
                    [through, wants_gates or wants_scale, wants_shift or (wants_gates and shift is not None)],
                )
                if gate_gradient is not None:
                    credit = d_scale.sum() if scale is None else (d_scale * scale).sum() + (d_shift * shift).sum()
                    gate_gradient[path.edge, path.operation] = credit
                if wants_scale:
                    tensor_gradients[3 * place + 1] = d_scale * path.gate
                if wants_shift:
                    tensor_gradients[3 * place + 2] = d_shift * path.gate
                if through:
                    padding = [path.layer.padding] * 2
                    if wants_weight and path.source not in rectified:
                        rectified[path.source] = torch.relu(x)
                    dx, dw, _ = torch.ops.aten.convolution_backward(
                        dz, rectified.get(path.source, x), weight.to(x.dtype), [0], [1, 1], padding, [1, 1], False,
                        [0, 0], 1, [onward, wants_weight, False],
                    )  # fmt: skip
                    if onward:
                        rectified_sums[path.source].add(dx, 1.0, owned=True)
                    if wants_weight:
                        tensor_gradients[3 * place] = dw.to(weight.dtype)
        input_gradient = node_sums[0].value(nodes[0]) if wants_input else None
        return None, None, input_gradient, gate_gradient, probe_gradient, *tensor_gradients


# ------------------------------------------------------------------ helpers


class _Sum:
    """A running sum that copies no term and overwrites none that it does not own."""

    def __init__(self, tensor: Tensor | None = None) -> None:
        self.tensor, self.owned = tensor, False

    def add(self, term: Tensor, factor: float, owned: bool) -> None:
        """Add factor * term; `owned` allows overwriting the term itself."""
        if self.tensor is None:
            self.tensor, self.owned = (term, owned) if factor == 1 else (term * factor, True)
        elif self.owned:
            self.tensor.add_(term, alpha=factor)
        elif owned and factor == 1:
            self.tensor, self.owned = term.add_(self.tensor), True
        else:
            self.tensor, self.owned = torch.add(self.tensor, term, alpha=factor), True

    def value(self, like: Tensor) -> Tensor:
        """The sum as a tensor of its own, zeros if nothing was added."""
        if self.tensor is None:
            return torch.zeros_like(like)
        return self.tensor if self.owned else self.tensor.clone()


def _places(paths: list[_Path]) -> list[int]:
    """For each path its place among the convolutions."""
    places, seen = [], 0
    for path in paths:
        places.append(seen)
        seen += path.layer is not None
    return places


def _scaled(scale: Tensor | None, gate: float, like: Tensor) -> Tensor:
    """The normalisation's scale times the gate, in at least 32 bits."""
    if scale is not None:
        return scale * gate
    wide = torch.float32 if like.dtype == torch.bfloat16 else like.dtype
    return torch.full((like.shape[1],), gate, dtype=wide, device=like.device)


def _pool(x: Tensor) -> Tensor:
    """3×3 average over the pixels inside the image, as NAS-Bench-201 pools."""
    return _window_sum(x).mul_(_pool_weight(x.shape[1:], x.dtype, x.device))


def _pool_transposed(dy: Tensor) -> Tensor:
    """The transpose of `_pool`: the window is symmetric, so divide by the pixels inside first, then sum."""
    return _window_sum(dy * _pool_weight(dy.shape[1:], dy.dtype, dy.device))


def _window_sum(x: Tensor) -> Tensor:
    # As a depthwise convolution: several times faster on the CPU than its pooling kernel, most of all in bfloat16.
    return functional.conv2d(x, _ones(x.shape[1], x.dtype, x.device), padding=1, groups=x.shape[1])


@cache
def _ones(channels: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones(channels, 1, 3, 3, dtype=dtype, device=device)


@cache
def _pool_weight(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Spelled out for all channels: a factor that is broadcast over the innermost axis costs several times more.
    channels, height, width = shape
    weight = (1 / window_pixels(height, width, torch.float64, device)).to(dtype)
    return weight.expand(1, channels, height, width).contiguous(memory_format=torch.channels_last)


@cache
def window_pixels(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """How many pixels of each 3×3 window are inside the image, (1, 1, height, width)."""
    ones = torch.ones(1, 1, height, width, dtype=torch.float64)
    return functional.conv2d(ones, torch.ones(1, 1, 3, 3, dtype=torch.float64), padding=1).to(dtype).to(device)
