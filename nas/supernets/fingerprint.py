"""Is this still the network that a run was begun with? What decides its numbers, in words that can be compared.

A checkpoint holds weights; what trains them stands in the user's code. A run is gone on from only with the same
optimiser, loss, minibatches and data.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nas.data.stored import Stored
from nas.supernets.batches import Batches


def of_model(model: nn.Module) -> str:
    """Names, shapes and types of all parameters and buffers, and each layer's kind and settings, as one digest."""
    lines = [f"{name} {tuple(tensor.shape)} {tensor.dtype}" for name, tensor in model.state_dict().items()]
    lines += [f"{name} {type(layer).__name__} {_still(layer.extra_repr())}" for name, layer in model.named_modules()]
    weights = sum(parameter.numel() for parameter in model.parameters())
    return f"{weights:,} weights, {_digest(chr(10).join(lines).encode())}"


def of_batches(batches: Batches) -> str:
    """The examples, and in which order and by what they are changed."""
    order = f"shuffled by {batches.seed}" if batches.shuffle else "in order"
    changed = "" if batches.transform is None else f", by {of_callable(batches.transform)} with {batches.seed}"
    stored = isinstance(batches.inputs, Stored)
    content = batches.inputs.digest.encode() if stored else _bytes(batches.inputs)
    examples = f"{len(batches.targets):,} examples {_digest(content, _bytes(batches.targets))}"
    return f"{examples}, {batches.size} a minibatch, {order}{changed}"


def of_callable(function: Callable[..., Any]) -> str:
    """The name of a function, with what it was given; a module's kind and settings."""
    if isinstance(function, partial):
        given = [repr(part) for part in function.args] + [
            f"{name}={part!r}" for name, part in function.keywords.items()
        ]
        return _still(f"{of_callable(function.func)}({', '.join(given)})")
    if isinstance(function, nn.Module):
        return _still(f"{type(function).__name__}({function.extra_repr()})")
    return str(getattr(function, "__qualname__", type(function).__name__))


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _digest(*parts: Any) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()[:10]


def _still(text: str) -> str:
    """Without addresses, which differ from start to start."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
