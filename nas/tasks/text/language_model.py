"""What surrounds a recurrent core in a language model, and how is it trained? Embedding, dropout, output layer, SGD.

The same for a searched cell and for `torch.nn.LSTM`, so that they are compared under one protocol. The loss of a window
is the sum over its steps of the batch's mean negative log-likelihood, as published (Sato et al. 2021), in nats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nas.optimisers import clip_scale

State = tuple[Tensor, ...]
Weights = dict[str, Tensor]

CHUNK = 1 << 22  # logits held at once on a CPU: 16 MB in float32


class Core(Protocol):
    """A recurrent network between embedding and output layer."""

    def start(self, batch: int, like: Tensor) -> State:
        """The state before the first word, each tensor (batch, units) or (1, batch, units)."""

    def forward(self, weights: Weights, x: Tensor, state: State, record: bool) -> tuple[Tensor, State, Any]:
        """Outputs (T, B, H), the state after, and what `backward` needs (None unless `record`)."""

    def backward(self, weights: Weights, tape: Any, grad: Tensor, with_weights: bool) -> tuple[Tensor, Weights, Any]:
        """dL/dx (T, B, H), the weights' gradients by name (or none), and whatever else the core reports."""


@dataclass(frozen=True)
class Window:
    """One minibatch: words and the words that follow them (T, B), and dropout masks (T, B, H), or None."""

    words: Tensor
    following: Tensor
    masks: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Passed:
    """What a pass over a window gives: loss (0-d), the state after it, gradients by name, the core's own report."""

    loss: Tensor
    state: State
    gradients: Weights
    report: Any = None


# ------------------------------------------------------------------ the model


def loss_of(core: Core, weights: Weights, window: Window, state: State) -> Passed:
    """The loss of a window, forward only."""
    y, after, _ = core.forward(weights, _embedded(weights, window), state, record=False)
    y = y if window.masks is None else y * window.masks[1]
    loss = _output_loss(y.flatten(0, 1), weights, window.following.flatten(), window.words.shape[1])
    return Passed(loss, after, {})


def gradients_of(core: Core, weights: Weights, window: Window, state: State, with_weights: bool) -> Passed:
    """The loss of a window and its gradients; with_weights False leaves the weights' out and asks the core only."""
    x = _embedded(weights, window)
    y, after, tape = core.forward(weights, x, state, record=True)
    masked = y if window.masks is None else y * window.masks[1]
    top = _output_layer(masked.flatten(0, 1), weights, window.following.flatten(), window.words.shape[1], with_weights)
    into_y = top.x.view_as(y)
    if window.masks is not None:
        into_y = into_y * window.masks[1]
    into_x, gradients, report = core.backward(weights, tape, into_y, with_weights)
    if with_weights:
        if window.masks is not None:
            into_x = into_x * window.masks[0]
        gradients |= {"output": top.weight, "bias": top.bias}
        vocabulary = weights["embedding"].shape[0]
        rows = into_x.flatten(0, 1)
        gradients["embedding"] = torch.ops.aten.embedding_dense_backward(
            rows, window.words.flatten(), vocabulary, -1, False
        )
    return Passed(top.loss, after, gradients, report)


def log_likelihoods(x: Tensor, weights: Weights, words: Tensor) -> Tensor:
    """log p(word) in nats for outputs x (N, H) and words (N,): (N,). Exact in the type of the weights."""
    weight, bias = weights["output"], weights["bias"]
    rows = []
    at_once = _rows_at_once(x, weight)
    for some, wanted in zip(torch.split(x, at_once), torch.split(words, at_once), strict=True):
        scores = torch.addmm(bias, some, weight.mT)
        rows.append(torch.log_softmax(scores, -1).gather(1, wanted[:, None])[:, 0])
    return torch.cat(rows)


def whole_stream(core: Core, weights: Weights, words: Tensor, like: Tensor) -> float:
    """Perplexity of a text read once from its first word to its last, starting after `<eos>` (word 0), without dropout.

    The text is cut into pieces that are read side by side; each takes its first state from the end of the one before,
    and all are read again until no first state changes any more. A recurrent network forgets, so two readings nearly
    always do; as many readings as pieces always do.
    """
    pieces = max(1, min(64, len(words) // 256))
    length = -(-len(words) // pieces)
    padding = words.new_zeros(pieces * length - len(words))
    before = torch.cat((words.new_zeros(1), words[:-1], padding)).view(pieces, length).T
    following = torch.cat((words, padding)).view(pieces, length).T
    counts = (torch.arange(pieces * length, device=words.device) < len(words)).view(pieces, length).T
    starts = core.start(pieces, like)
    for reading in range(pieces + 1):
        total, state = torch.zeros((), dtype=torch.float64, device=words.device), starts
        for some in range(0, length, 64):
            window = Window(before[some : some + 64], following[some : some + 64])
            y, state, _ = core.forward(weights, _embedded(weights, window), state, record=False)
            if reading or pieces == 1:
                rows = log_likelihoods(y.flatten(0, 1), weights, window.following.flatten())
                total -= rows.double()[counts[some : some + 64].flatten()].sum()
        ends = tuple(torch.cat((0 * part[..., :1, :], part[..., :-1, :]), -2) for part in state)
        change = max(float(((a - b).abs() / b.abs().clamp_min(1)).max()) for a, b in zip(ends, starts, strict=True))
        if (reading or pieces == 1) and not change > 1e-5:  # a state that is not a number ends the readings too
            break
        starts = ends
    return math.exp(min(float(total) / len(words), 700.0)) if math.isfinite(float(total)) else math.nan


def sgd(weights: Weights, gradients: Weights, rate: Tensor | float, clip: float) -> None:
    """One step of SGD in place, the gradient's norm over all weights clipped; nothing is read on the host."""
    norm = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients.values()]).norm()
    scale = -rate * clip_scale(norm, clip)
    for name, gradient in gradients.items():
        weights[name].addcmul_(gradient, scale.to(gradient.dtype))


def initial(shapes: dict[str, tuple[int, ...]], seed: int, dtype: torch.dtype, device: str) -> Weights:
    """Weights uniform in (-0.1, 0.1), as published; the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.rand(shape, generator=generator, dtype=dtype, device="cpu") * 0.2 - 0.1).to(device)
        for name, shape in shapes.items()
    }


def shapes(vocabulary: int, units: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights that are not the core's."""
    return {"embedding": (vocabulary, units), "output": (vocabulary, units), "bias": (vocabulary,)}


def products(weights: Weights, precision: str) -> Weights:
    """Weights as products take them: in bfloat16 the matrices of a searched cell and of the output layer, if wanted."""
    if precision != "bfloat16":
        return weights
    return {name: w.to(torch.bfloat16) if _is_matrix(name) else w for name, w in weights.items()}


def _is_matrix(name: str) -> bool:
    return name in ("input", "hidden", "output") or name.startswith("source")


def drop_masks(shape: tuple[int, ...], rate: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """A dropout mask: 0 with probability `rate` (to 1/256), else 1 / (probability kept)."""
    kept = round((1 - rate) * 256)
    count = -(-torch.Size(shape).numel() // 8)
    numbers = torch.empty(count, dtype=torch.int64, device=like.device)
    numbers.random_(-(2**63), None, generator=generator)  # eight random bytes at a time
    chosen = numbers.view(torch.uint8)[: torch.Size(shape).numel()].view(shape) < kept
    return chosen.to(like.dtype) * (256 / kept)


# ------------------------------------------------------------------ the text, window by window


class Stream:
    """A text read in `batch` places at once, window after window, around and around, with the state carried along.

    The places are evenly spaced, as in the authors' release. Position and random state are all that changes.
    """

    def __init__(self, words: Tensor, batch: int, window: int, seed: int) -> None:
        self.words, self.window, self.position = words, window, 0
        self.offsets = torch.arange(batch, device=words.device) * len(words) // batch
        self.generator = torch.Generator(device=words.device).manual_seed(seed)
        self.state: State = ()

    @property
    def windows(self) -> int:
        """How many windows it takes to see the text about once."""
        return max(1, len(self.words) // (len(self.offsets) * self.window))

    def next(self, units: int, dropout: float, like: Tensor) -> Window:
        """The next window, with its dropout masks."""
        steps = torch.arange(self.window + 1, device=self.words.device)[:, None]
        words = self.words[(self.offsets + self.position + steps) % len(self.words)]
        self.position = (self.position + self.window) % len(self.words)
        masks = None
        if dropout:
            shape = (self.window, len(self.offsets), units)
            first = drop_masks(shape, dropout, self.generator, like)
            masks = (first, drop_masks(shape, dropout, self.generator, like))
        return Window(words[:-1], words[1:], masks)


# ------------------------------------------------------------------ helpers


@dataclass(frozen=True)
class _Output:
    loss: Tensor
    x: Tensor
    weight: Tensor
    bias: Tensor


def _embedded(weights: Weights, window: Window) -> Tensor:
    x = weights["embedding"][window.words]
    return x if window.masks is None else x * window.masks[0]


def _output_layer(x: Tensor, weights: Weights, words: Tensor, batch: int, with_weights: bool) -> _Output:
    """Loss and gradients of the output layer; a weight gradient of zeros without weights."""
    weight = weights["output"]
    into_x, into_weight = torch.empty_like(x), torch.zeros_like(weight, dtype=x.dtype)
    into_bias, loss = torch.zeros_like(weights["bias"]), x.new_zeros(())
    ones = weight.new_ones(1, _rows_at_once(x, weight))
    for part, own, p in _softmax_by_rows(x, weights):
        each, wanted = torch.arange(len(own), device=x.device), words[part]
        hit = p[each, wanted]
        loss += _surprise(hit, x.dtype)
        p[each, wanted] = hit - 1
        into_x[part] = p @ weight
        if with_weights:
            _add_product(into_weight, p.mT, own)
            into_bias += (ones[:, : len(own)] @ p)[0]  # as a product: a sum in 32 bits would first copy all of p
    return _Output(loss / batch, into_x.div_(batch), into_weight.div_(batch), into_bias.div_(batch))


def _output_loss(x: Tensor, weights: Weights, words: Tensor, batch: int) -> Tensor:
    """The loss of `_output_layer`, number for number."""
    loss = x.new_zeros(())
    for part, own, p in _softmax_by_rows(x, weights):
        loss += _surprise(p[torch.arange(len(own), device=x.device), words[part]], x.dtype)
    return loss / batch


def _softmax_by_rows(x: Tensor, weights: Weights) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """A chunk of rows at a time their place, outputs and softmax, so that a CPU never stores a window's logits.

    A chunk's softmax is overwritten by the next one's.
    """
    weight, bias = weights["output"], weights["bias"].to(weights["output"].dtype)
    rows = _rows_at_once(x, weight)
    room = weight.new_empty(2, rows, len(weight))  # fresh memory for every chunk costs more than softmax
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        own = x[part].to(weight.dtype)
        scores = torch.addmm(bias, own, weight.mT, out=room[0, : len(own)])
        yield part, own, torch.softmax(scores, -1, out=room[1, : len(own)])


def _surprise(hit: Tensor, dtype: torch.dtype) -> Tensor:
    """Summed negative log-likelihood of the words' probabilities; at most 87 nats a word in 32 bits."""
    return -hit.to(dtype).clamp_min(torch.finfo(torch.float32).tiny).log().sum()


def _add_product(to: Tensor, a: Tensor, b: Tensor) -> None:
    if a.dtype == to.dtype:
        to.addmm_(a, b)
    else:
        to += a @ b


def _rows_at_once(x: Tensor, weight: Tensor) -> int:
    return len(x) if x.device.type != "cpu" else min(len(x), max(1, CHUNK // len(weight)))
