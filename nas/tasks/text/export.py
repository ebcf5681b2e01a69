"""What does the found recurrent cell look like as plain PyTorch that needs nothing of this toolkit?

The source is written for one cell, so that it reads as that cell; tests hold it against nas/tasks/text/cell.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.running import runs
from nas.spaces import recurrent
from nas.tasks.task import Exported
from nas.tasks.text.network import Settings
from nas.tasks.text.scratch import derived

OPERATION = {"identity": "{}", "tanh": "torch.tanh({})", "sigmoid": "torch.sigmoid({})", "relu": "torch.relu({})"}


def export(settings: Settings, result: Mapping[str, Any], weights: Path | None, data: Path | None = None) -> Exported:
    """The cell and its language model as source, and the tensors of its `state_dict` if `weights` has them."""
    architecture = derived(settings, result)
    edges, choices = recurrent.parse(architecture)
    named = tuple((*edge, recurrent.OPERATIONS[choice]) for edge, choice in zip(edges, choices, strict=True))
    if weights is None:
        return Exported(named, source(architecture, settings.units))
    tensors = _tensors(architecture, weights)
    units, words = tensors["embedding"].shape[1], tensors["embedding"].shape[0]
    for node in {start for start, _ in edges}:
        wide = 2 * sum(start == node for start, _ in edges) * units
        if tuple(tensors.get(f"cell.source{node}", tensors["bias"]).shape) != (units, wide):
            raise ValueError(f"{weights} holds the weights of a cell with other edges than {architecture}")
    return Exported(named, source(architecture, units, words), tensors)


def source(architecture: str, units: int, words: int | None = None) -> str:
    """A Python module with one cell and the language model around it; words: how many the model knows."""
    edges, choices = recurrent.parse(architecture)
    nodes = max(end for _, end in edges)
    leaving = {node: [end for start, end in edges if start == node] for node in range(nodes)}
    operation = {edge: recurrent.OPERATIONS[choice] for edge, choice in zip(edges, choices, strict=True)}
    layers, lines = [], []
    for node, ends in leaving.items():
        if node:
            into = [f"from{start}to{end}" for start, end in edges if end == node]
            lines.append(f"        node{node} = {_mean(into)}")
        if not ends:
            continue
        layers.append(f"        self.source{node} = matrix(units, {2 * len(ends)} * units)")
        lines.append(f"        gate, new = split(node{node} @ self.source{node}, edges={len(ends)})")
        for place, end in enumerate(ends):
            name = operation[node, end]
            value = "0" if name == "zero" else OPERATION[name].format(f"new[{place}]")
            lines.append(f"        from{node}to{end} = node{node} + gate[{place}] * ({value} - node{node})")
    into = [f"from{start}to{end}" for start, end in edges if end == nodes]
    lines.append(f"        node{nodes} = {_mean(into)}")
    lines.append(f"        return {_mean([f'node{node}' for node in range(1, nodes + 1)])}")
    size = "" if words is None else f"={words}"
    head = "units, words" if words is None else f"units={units}, words{size}"
    return _TEMPLATE.format(
        architecture=architecture,
        layers="\n".join(layers),
        lines="\n".join(lines),
        head=head,
        units=units,
        made="LanguageModel(units, words)" if words is None else "LanguageModel()",
        given="file, units, words" if words is None else "file",
    )


def _mean(terms: list[str]) -> str:
    return terms[0] if len(terms) == 1 else f"({' + '.join(terms)}) / {len(terms)}"


_TEMPLATE = '''"""A language model around the recurrent cell

    {architecture}

Needs PyTorch alone. LanguageModel(...) has fresh weights, load(FILE ...) those of a safetensors file.
The search ran it with {units} units.
"""

import torch
from torch import nn


class Cell(nn.Module):
    """The cell: a word x and the hidden state h, (..., units) each -> the next hidden state."""

    def __init__(self, units):
        super().__init__()
        self.input, self.hidden = matrix(units, 2 * units), matrix(units, 2 * units)
{layers}

    def forward(self, x, h):
        (gate,), (new,) = split(x @ self.input + h @ self.hidden, edges=1)
        node0 = h + gate * (torch.tanh(new) - h)
{lines}


class LanguageModel(nn.Module):
    """Word numbers (T, N) and the hidden state before them, (N, units) or None -> log p of each next word, state."""

    def __init__(self, {head}):
        super().__init__()
        self.embedding, self.output = matrix(words, units), matrix(words, units)
        self.bias = nn.Parameter(torch.zeros(words))
        self.cell = Cell(units)

    def forward(self, words, h=None):
        x = self.embedding[words]
        h = torch.zeros_like(x[0]) if h is None else h
        states = []
        for word in x:
            h = self.cell(word, h)
            states.append(h)
        return torch.log_softmax(torch.stack(states) @ self.output.T + self.bias, dim=-1), h


def matrix(rows, columns):
    return nn.Parameter(torch.empty(rows, columns).uniform_(-0.1, 0.1))


def split(product, edges):
    """The highway gates and the new values of each edge that leaves a node, from (..., 2 * edges * units)."""
    parts = product.chunk(2 * edges, dim=-1)
    return [torch.sigmoid(part) for part in parts[:edges]], parts[edges:]


def load({given}):
    """The model with the weights of a safetensors file, ready to be asked."""
    from safetensors.torch import load_file

    model = {made}
    model.load_state_dict(load_file(file))
    return model.eval()
'''


def _tensors(architecture: str, folder: Path) -> dict[str, Tensor]:
    """Tensors of a run's checkpoint under the source's names."""
    found, _ = runs.read_checkpoint(folder / runs.CHECKPOINT)
    searched = any(name.startswith("network/") for name in found)
    if not searched and (folder / runs.RESULT).exists() and runs.result(folder)["architecture"] != architecture:
        raise ValueError(f"{folder} trained another model, {runs.result(folder)['architecture']}")
    kept = {name.removeprefix("network/"): tensor for name, tensor in found.items()}
    kept = {name.removeprefix("weights."): tensor for name, tensor in kept.items() if name.startswith("weights.")}
    if "embedding" not in kept:
        raise ValueError(f"{folder} holds no weights of this task: give a search's or a training's run folder")
    outside = ("embedding", "output", "bias")
    return {name if name in outside else f"cell.{name}": tensor for name, tensor in kept.items()}
