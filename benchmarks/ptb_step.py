"""What does a step of the recurrent parent network cost beside its matrix products alone?

    python benchmarks/ptb_step.py [--units 300] [--batch 256] [--threads 2] [--repeats 5] [--clock cpu]
                                  [--growth DIR/NAME] [--device cuda]

Prints, for a weight step and an architecture step: plain PyTorch (the same cell edge by edge, with autograd), this
toolkit in float32 and with bfloat16 products, on CUDA also its static form (a step is one recorded graph), the matrix
products of the same step alone; seconds, times the products, share of the machine's peak. All variants of a row of
repeats run one after another, so that a busy machine meets all alike; medians. Then, each in a process of its own, the
seconds of the first call, after how many steps what that takes longer than plain's is won back, and the peak memory
beyond what the process held before (on the CPU resident, on CUDA allocated); the memory that a tape holds under sparse,
two-path and dense propagation. `--growth` how a step in float32 grows with units, nodes, window and streams, and as
which power: that is written to NAME.json, with a figure on logarithmic axes.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from benchmarks.cifar_step import (
    Growth,
    held,
    in_a_fresh_process,
    keep_growth,
    pays_after,
    peak_memory_of,
    timed,
)
from nas.data.ptb import Corpus
from nas.policy import gates_of
from nas.tasks.text import cell as cells
from nas.tasks.text import language_model as language
from nas.tasks.text.network import Settings, TextNetwork

VOCABULARY = 10_000
Precision = Literal["float32", "bfloat16"]
Clock = Callable[[], float]
DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--window", type=int, default=35)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for one thread, a busy machine")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--growth", type=Path, metavar="DIR/NAME", help="also grow units, nodes, window and streams")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_default_device(options.device)
    settings = Settings(units=options.units, nodes=options.nodes, batch=options.batch, window=options.window)
    clock = time.process_time if options.clock == "cpu" else wall
    where = torch.cuda.get_device_name() if on_cuda() else f"{options.threads} threads"
    print(f"torch {torch.__version__}, {where}, {settings}")
    times = compare(settings, options.repeats, clock)
    first_calls(settings, times, options.threads, options.device, clock)
    memory(settings)
    if options.growth is not None:
        about = f"torch {torch.__version__}, {where}, {settings}"
        start = (
            f"from {settings.units} units, {settings.nodes} nodes, {settings.window} steps, {settings.batch} streams"
        )
        keep_growth(grown(settings, options.repeats, clock), options.growth, about, start)


GROWN = {"units": (100, 200, 300, 400), "nodes": (1, 3, 8), "window": (10, 35, 70), "batch": (64, 128, 256)}


def grown(settings: Settings, repeats: int, clock: Clock) -> list[Growth]:
    """Both steps in float32 while one size grows and the others stay."""
    told = []
    for name, sizes in GROWN.items():
        for number, step in enumerate(("weight_step", "architecture_step")):
            works = {str(size): steps_of(replace(settings, **{name: size}), "float32")[number] for size in sizes}
            taken = measure(works, repeats, clock)
            told.append(Growth(name, step, sizes, [statistics.median(taken[str(size)]) for size in sizes]))
    return told


# ------------------------------------------------------------------ the comparison


def compare(settings: Settings, repeats: int, clock: Clock) -> dict[str, float]:
    """Print the table of variants. Returns: seconds of each."""
    kinds = ("plain PyTorch", "this toolkit", *(["recorded"] if on_cuda() else []), "products alone")
    names = [f"{of}: {kind}, {precision}" for of in STEPS for kind in kinds for precision in DTYPES]
    variants = {name: variant(settings, name) for name in names if "plain PyTorch, bf" not in name}
    size = 8192 if on_cuda() else 2048
    for known, dtype in DTYPES.items():
        square = torch.randn(size, size).to(dtype)
        variants[f"peak, {known}"] = partial(torch.matmul, square, square)
    taken = measure(variants, repeats, clock)
    times = {name: statistics.median(own) for name, own in taken.items()}
    print(f"{'step':<40} {'seconds, median [lowest, highest]':>34} {'x products':>11} {'of peak':>8}")
    for name, seconds in times.items():
        if name.startswith("peak"):
            continue
        kind, of = name.split(":")[0], name.rsplit(" ", 1)[1]
        peak = 2 * size**3 / times[f"peak, {of}"]
        share = operations(settings, kind == "weights") / seconds / peak
        ratio = seconds / times[f"{kind}: products alone, {of}"]
        spread = f"{seconds:.3f} [{min(taken[name]):.3f}, {max(taken[name]):.3f}]"
        print(f"{name:<40} {spread:>34} {ratio:>11.2f} {share:>8.0%}")
    for name, seconds in times.items():
        if name.startswith("peak"):
            print(f"{name}, a product of {size} x {size}: {2 * size**3 / seconds / 1e9:.0f} GFLOP/s")
    return times


STEPS = ("weights", "architecture")


def variant(settings: Settings, name: str) -> Callable[[], object]:
    """What is measured under a name: the step, what makes it, and a precision."""
    of, kind, precision = re.split(": |, ", name)
    number = STEPS.index(of)
    if kind == "plain PyTorch":
        return plain_step(settings, with_weights=number == 0)
    if kind == "products alone":
        return products(settings, precision, with_weights=number == 0)  # type: ignore[arg-type]
    return steps_of(replace(settings, static=kind == "recorded"), precision)[number]  # type: ignore[arg-type]


def first_calls(settings: Settings, times: dict[str, float], threads: int, device: str, clock: Clock) -> None:
    """Print what the first call of each variant costs."""
    print(f"{'first call':<40} {'seconds':>10} {'pays after steps':>17} {'peak, MiB':>10}")
    plain: dict[str, float] = {}
    for name, usual in times.items():
        if name.startswith("peak") or "products alone" in name:
            continue
        seconds, peak = in_a_fresh_process(threads, first_call, settings, name, device, clock)
        of = name.split(":")[0]
        steps = pays_after(seconds, usual, plain.setdefault(of, seconds), times[f"{of}: plain PyTorch, float32"])
        print(f"{name:<40} {seconds:>10.3f} {steps:>17} {peak / 2**20:>10.0f}")


def first_call(settings: Settings, name: str, device: str, clock: Clock) -> tuple[float, float]:
    """Seconds of a variant's first call, and its peak memory in bytes."""
    torch.set_default_device(device)
    step = variant(settings, name)
    before = held(device)
    return timed(step, device, clock), peak_memory_of(device) - before


def measure(variants: dict[str, Callable[[], object]], repeats: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of each variant, interleaved."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, run in variants.items():
            start = clock()
            run()
            if repeat:  # the first round warms up
                taken[name].append(clock() - start)
    return taken


def steps_of(settings: Settings, precision: Precision) -> tuple[Callable[[], object], Callable[[], object]]:
    """A weight step and an architecture step of the parent network, each under a new random architecture."""
    network = parent(replace(settings, precision=precision))
    generator = torch.Generator(device=network.device).manual_seed(0)
    edges, candidates = network.space.shape

    def gates() -> Tensor:
        chosen = torch.randint(candidates, (edges,), generator=generator)
        return gates_of(chosen, candidates, torch.zeros(edges, candidates))

    def weight_step() -> object:
        drawn = gates()
        return network.weight_step(drawn, 0.5)

    def architecture_step() -> object:
        drawn = gates()
        return network.objective().gradients(drawn, drawn)

    return weight_step, architecture_step


def parent(settings: Settings) -> TextNetwork:
    """A parent network on a random text."""
    words = torch.randint(VOCABULARY, (2 * settings.batch * (settings.window + 1) * 3,))
    corpus = Corpus("random words", tuple(map(str, range(VOCABULARY))), words, words[:100], words[:100], "00" * 8)
    return TextNetwork(settings, corpus, str(torch.get_default_device()), 0)


def wall() -> float:
    """Seconds, after the device has done what it was asked."""
    if on_cuda():
        torch.cuda.synchronize()
    return time.perf_counter()


def on_cuda() -> bool:
    """Whether tensors are made on a GPU."""
    return torch.get_default_device().type == "cuda"


# ------------------------------------------------------------------ what it is compared with


class PlainText:
    """The language model as anyone would write it first: a loop over steps and edges, torch's own layers."""

    def __init__(self, units: int, nodes: int) -> None:
        self.edges = [(j, i) for i in range(1, nodes + 1) for j in range(i)]
        self.embedding = torch.nn.Embedding(VOCABULARY, units)
        self.first = torch.nn.Linear(2 * units, 2 * units, bias=False)
        self.links = torch.nn.ModuleList(torch.nn.Linear(units, 2 * units, bias=False) for _ in self.edges)
        self.output = torch.nn.Linear(units, VOCABULARY)
        self.network = torch.nn.ModuleList([self.embedding, self.first, self.links, self.output])
        for weight in self.network.parameters():
            torch.nn.init.uniform_(weight, -0.1, 0.1)

    def loss(self, text: Tensor, chosen: list[int], gates: Tensor, dropout: float) -> Tensor:
        """The summed loss of words (T + 1, B) from a zero state, each edge with its chosen operation and its gate."""
        operations = (lambda u: u, torch.tanh, torch.sigmoid, torch.relu, torch.zeros_like)
        h, hidden = torch.zeros(text.shape[1], self.embedding.embedding_dim), []
        for word in torch.dropout(self.embedding(text[:-1]), dropout, True):
            gate, new = self.first(torch.cat((word, h), 1)).chunk(2, 1)
            nodes = [h + gate.sigmoid() * (new.tanh() - h)]
            for i in range(1, self.edges[-1][1] + 1):
                arriving = []
                for e, (source, target) in enumerate(self.edges):
                    if target == i:
                        gate, new = self.links[e](nodes[source]).chunk(2, 1)
                        value = operations[chosen[e]](new) * gates[e]
                        arriving.append(nodes[source] + gate.sigmoid() * (value - nodes[source]))
                nodes.append(torch.stack(arriving).mean(0))
            h = torch.stack(nodes[1:]).mean(0)
            hidden.append(h)
        scores = self.output(torch.dropout(torch.stack(hidden), dropout, True))
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), text[1:].flatten(), reduction="sum")


def plain_step(settings: Settings, with_weights: bool) -> Callable[[], object]:
    """The same step with autograd and torch's SGD, under a new random architecture each time."""
    plain, batch = PlainText(settings.units, settings.nodes), settings.batch
    weights = list(plain.network.parameters())
    for weight in weights:
        weight.requires_grad_(with_weights)
    sgd = torch.optim.SGD(weights, lr=1.0)
    text = torch.randint(VOCABULARY, (settings.window + 1, batch))

    def step() -> object:
        chosen = torch.randint(5, (len(plain.edges),)).tolist()
        gates = torch.ones(len(plain.edges), requires_grad=not with_weights)
        loss = plain.loss(text, chosen, gates, dropout=0.5) / batch
        if not with_weights:
            return torch.autograd.grad(loss, gates)
        sgd.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 0.25)
        sgd.step()
        return loss

    return step


def products(settings: Settings, precision: Precision, with_weights: bool) -> Callable[[], object]:
    """Only the matrix products of a step, in the same shapes and numbers."""
    dtype, units, window, batch = DTYPES[precision], settings.units, settings.window, settings.batch
    rows, nodes = window * batch, settings.nodes
    widths = [2 * units, *(2 * units * (nodes - j) for j in range(nodes))]
    small = [(torch.randn(batch, units).to(dtype), torch.randn(units, width).to(dtype)) for width in widths]
    back = [(torch.randn(batch, width).to(dtype), torch.randn(units, width).to(dtype).mT) for width in widths]
    long = torch.randn(rows, units).to(dtype)
    wide = [torch.randn(rows, width).to(dtype) for width in (2 * units, *widths)]
    weight, chunk = torch.randn(VOCABULARY, units).to(dtype), max(1, language.CHUNK // VOCABULARY)
    word = torch.randn(units, 2 * units).to(dtype)

    def run() -> object:
        long @ word
        for _ in range(window):
            for a, b in small:
                a @ b
            for a, b in back:
                a @ b
        wide[0] @ word.mT
        for some in torch.split(long, chunk):
            scores = some @ weight.mT
            scores @ weight
            if with_weights:
                scores.mT @ some
        return [long.mT @ matrix for matrix in wide] if with_weights else None

    return run


def operations(settings: Settings, with_weights: bool) -> float:
    """Floating-point operations of a step's products."""
    edges = settings.nodes * (settings.nodes + 1) // 2
    weights = 2 * settings.units**2 * (2 + edges) + VOCABULARY * settings.units
    return 2.0 * settings.window * settings.batch * weights * (3 if with_weights else 2)


def memory(settings: Settings) -> None:
    """Print what a forward pass keeps for the backward pass."""
    network = parent(settings)
    edges, candidates = network.space.shape
    chosen = gates_of(torch.arange(edges) % 4, candidates, torch.zeros(edges, candidates))
    window = network.weight_stream.next(settings.units, 0.0, network.weights["output"])
    x = network.weights["embedding"][window.words]
    runs = {"sparse": chosen, "two-path": chosen + chosen.roll(1, 1), "dense": torch.ones_like(chosen)}
    for name, run in runs.items():
        mix = network.mix_of(chosen, run)
        _, tape = cells.forward(network.cell, network.weights, mix, x, network.weight_stream.state[0], record=True)
        assert tape is not None
        kept = [tape.first, tape.nodes, *tape.pairs, *tape.mixed, *tape.outputs.values(), tape.hidden]
        print(f"the cell's memory of a window, {name:>8}: {sum(t.nbytes for t in kept) / 2**20:>6.0f} MiB")


if __name__ == "__main__":
    main()
