"""How can one fixed sequence of kernels compute every cell, with the choice on the device?

On a GPU a step of this network is bound by launches, and asking the host which operation runs stops the device. Here
every operation is a 3×3 convolution whose kernel is selected by the gates: a 1×1 convolution is a centre tap, skip a
delta, average pooling a uniform kernel with a correction at the border. A node's outgoing edges are one convolution of
(relu(x), x); a selected edge is then normalised or not. Nothing depends on the choice but numbers, so the whole step is
recorded once as a CUDA graph and replayed.

The numbers are those of nas/tasks/cells/cell.py (tests compare them in double precision on the CPU, where this
is only slower). Speed on a GPU: not measured yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nas.objective import Gradients
from nas.running.processes import average
from nas.supernets.descent import Descent
from nas.supernets.recorded import Recorder
from nas.supernets.supernet import NetworkObjective, Supernet
from nas.tasks.cells.cell import EPSILON, KERNEL, ConvolutionalCell, window_pixels


@dataclass(frozen=True)
class Selection:
    """A choice that stays on the device: runs (E, K) with at most one 1 a row; factor, probe (E,) as in `Choice`."""

    runs: Tensor
    factor: Tensor
    probe: Tensor


def fixed_graph_cell(cell: ConvolutionalCell, x: Tensor, selection: Selection) -> Tensor:
    """The cell's output by one convolution a source node, (N, C, H, W) -> (N, C, H, W)."""
    nodes: list[Tensor] = [x]
    sums: dict[int, Tensor] = {}
    for source in range(cell.edges[-1][1]):
        node = nodes[source]
        outgoing = [edge for edge, (start, _) in enumerate(cell.edges) if start == source]
        kernel = torch.cat([_kernel(cell, edge, selection.runs[edge]) for edge in outgoing])
        z = functional.conv2d(torch.cat((torch.relu(node), node), dim=1), kernel.to(node.dtype), padding=1)
        y = functional.batch_norm(z, None, None, training=True, eps=EPSILON)
        for place, edge in enumerate(outgoing):
            part = slice(place * node.shape[1], (place + 1) * node.shape[1])
            out = _finished(cell, edge, selection, z[:, part], y[:, part])
            target = cell.edges[edge][1]
            sums[target] = sums[target] + out if target in sums else out
        nodes.append(sums[source + 1])
    return nodes[-1]


def _kernel(cell: ConvolutionalCell, edge: int, row: Tensor) -> Tensor:
    """The selected 3×3 kernel (C, 2C, 3, 3): the first half acts on relu(x), the second on x."""
    rectified: Any = 0
    plain: Any = 0
    for k, name in enumerate(cell.candidates[edge]):
        if name in KERNEL:
            layer: Any = cell.convolutions[f"{edge}_{k}"]
            margin = (3 - KERNEL[name]) // 2
            rectified = rectified + row[k] * functional.pad(layer.weight, (margin,) * 4)
        elif name == "skip_connect":
            plain = plain + row[k] * functional.pad(row.new_ones(1, 1), (1,) * 4)
        elif name == "avg_pool_3x3":
            plain = plain + row[k] * row.new_full((3, 3), 1 / 9)
    channels = cell.channels
    eye = torch.eye(channels, dtype=row.dtype, device=row.device)[:, :, None, None]
    return torch.cat((rectified + torch.zeros_like(eye * row.new_zeros(3, 3)), eye * plain), dim=1)


def _finished(cell: ConvolutionalCell, edge: int, selection: Selection, z: Tensor, y: Tensor) -> Tensor:
    names, row = cell.candidates[edge], selection.runs[edge]
    convolved, pooled = _chosen(row, names, tuple(KERNEL)), _chosen(row, names, ("avg_pool_3x3",))
    border = 9 / window_pixels(z.shape[2], z.shape[3], z.dtype, z.device)
    chosen = torch.where(convolved > 0, y, z * torch.where(pooled > 0, border, torch.ones_like(border)))
    return chosen * selection.factor[edge].to(z.dtype) + selection.probe[edge].to(z.dtype)


def _chosen(row: Tensor, names: tuple[str, ...], wanted: tuple[str, ...]) -> Tensor:
    picked = [row[k] for k, name in enumerate(names) if name in wanted]
    return torch.stack(picked).sum() if picked else row.new_zeros(())


# ------------------------------------------------------------------ the parent network


class FixedGraphSupernet(Supernet):
    """A `Supernet` of a CIFAR network whose steps never ask the host anything; its weights are one flat array.

    On CUDA the two steps are recorded as graphs at their first call and replayed; on the CPU they simply run.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(self.descent, Descent):
            raise ValueError("network.static = true moves its weights by a Descent, not by an optimiser of torch.optim")
        self.masked = self.descent
        self.flat = _flatten(self.parameters)
        self.flat_velocity = _flatten(self.velocity)
        self.mask_index = _mask_index(self.parameters, self.space.shape[1], self.device)
        self.recorder = Recorder(self.device, (self.flat, self.flat_velocity))

    def weight_step(self, gates: Tensor, progress: float) -> Tensor:
        _refuse_many(gates)
        inputs, targets = self.weights.at(self.weight_steps)
        self.weight_steps += 1
        rate = torch.tensor(self.masked.rate_at(progress), dtype=self.flat.dtype).to(self.device, non_blocking=True)
        loss: Tensor = self.recorder.replayed("weights", self._train)(inputs, targets, gates, rate)[0]
        return loss

    def objective(self) -> "FixedGraphObjective":
        inputs, targets = self.architecture.at(self.architecture_steps)
        self.architecture_steps += 1
        return FixedGraphObjective(self, inputs, targets)

    def scores(self, inputs: Tensor, selection: Selection) -> Tensor:
        """Class scores under a selection."""
        model: Any = self.model
        scores: Tensor = model.run(inputs, lambda cell, x: fixed_graph_cell(cell, x, selection))
        return scores

    def _train(self, inputs: Tensor, targets: Tensor, gates: Tensor, rate: Tensor) -> tuple[Tensor, ...]:
        none = torch.zeros_like(gates[:, 0])
        with torch.enable_grad():
            loss = self.loss(self.scores(inputs, Selection(gates, torch.ones_like(none), none)), targets)
            gradients = torch.autograd.grad(
                loss, list(self.parameters.values()), allow_unused=True, materialize_grads=True
            )
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        loss, flat = average([loss.detach(), flat])
        with torch.no_grad():
            moves = torch.cat((self._reaching(gates).reshape(-1), gates.new_ones(1)))
            ran = moves.to(flat.dtype)[self.mask_index]
            self.masked.masked_step(self.flat, flat, self.flat_velocity, ran, rate)
        return (loss,)

    def _reaching(self, gates: Tensor) -> Tensor:
        """The gates (E, K) without those of edges that lead nowhere, because only `none` goes on from their target."""
        zero, edges = self.space.zero_operation, self.space.edges
        if zero is None:
            return gates
        open_ = 1 - gates[:, zero]
        alive = {edges[-1][1]: torch.ones_like(open_[0])}
        for node in range(edges[-1][1] - 1, 0, -1):
            onward = [open_[edge] * alive[end] for edge, (start, end) in enumerate(edges) if start == node]
            alive[node] = torch.stack(onward).amax()
        return gates * torch.stack([alive[end] for _, end in edges])[:, None]


class FixedGraphObjective(NetworkObjective):
    """`NetworkObjective` without a word to the host: gates are one-hot rows, zero rows, or scaled ones."""

    def __init__(self, network: FixedGraphSupernet, inputs: Tensor, targets: Tensor) -> None:
        super().__init__(network.model, network.loss, inputs, targets, network.space.zero_operation)
        self.network = network

    def gradients(self, gates: Tensor, runs: Tensor) -> Gradients[Tensor]:
        _refuse_many(runs)
        return super().gradients(gates, runs)

    def _loss(self, gates: Tensor) -> Tensor:
        return self.network.recorder.replayed("loss", self._forward)(self.inputs, self.targets, gates)[0]

    def _gradients(self, gates: Tensor, runs: Tensor) -> tuple[Tensor, ...]:
        return self.network.recorder.replayed("gradients", self._both)(self.inputs, self.targets, gates, runs)

    def _forward(self, inputs: Tensor, targets: Tensor, gates: Tensor) -> tuple[Tensor, ...]:
        runs = (gates != 0).to(gates.dtype)
        selection = Selection(runs, gates.sum(dim=-1), torch.zeros_like(gates[:, 0]))
        return (self.minibatch_loss(self.network.scores(inputs, selection), targets),)

    def _both(self, inputs: Tensor, targets: Tensor, gates: Tensor, runs: Tensor) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            factor = (gates * runs).sum(dim=-1).detach().requires_grad_()
            probe = torch.zeros_like(factor).requires_grad_()
            loss = self.minibatch_loss(self.network.scores(inputs, Selection(runs, factor, probe)), targets)
            credit, output = torch.autograd.grad(loss, (factor, probe))
        return loss.detach(), credit[:, None] * runs, output


# ------------------------------------------------------------------ helpers


def _flatten(tensors: Mapping[str, Tensor]) -> Tensor:
    """One array of all elements, of which every tensor becomes a part."""
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors.values()])
    place = 0
    for tensor in tensors.values():
        tensor.data = flat[place : place + tensor.numel()].view(tensor.shape)
        place += tensor.numel()
    return flat


def _mask_index(parameters: Mapping[str, Tensor], candidates: int, device: str) -> Tensor:
    """For each weight the gate that says whether it ran, as a place in the flat gates; the last place is always on."""
    parts = []
    for name, parameter in parameters.items():
        _, inside, rest = name.partition(".convolutions.")
        edge, _, k = rest.split(".")[0].partition("_")
        parts.append(torch.full((parameter.numel(),), int(edge) * candidates + int(k) if inside else -1))
    return torch.cat(parts).to(device)


def _refuse_many(runs: Tensor) -> None:
    # Read where that costs nothing: on a GPU it would stop the queue; nas/tasks/experiments.py has asked the method.
    if runs.device.type == "cpu" and bool((runs.count_nonzero(dim=-1) > 1).any()):
        raise ValueError("network.static = true runs one operation an edge; set it to false for this method")
