"""How long does one step of the CIFAR-10 parent network take, beside plain GDAS-style PyTorch?

    python benchmarks/cifar_step.py [--rounds 12] [--threads 2] [--batch 64] [--cells 5] [--device cpu|cuda]
        [--cpu-time] [--static] [--profile] [--growth DIR/NAME]

Every round draws one random cell and times every variant on it, in turn, so that all meet the same cells and the same
machine. The plain network is written here as GDAS's authors accelerate theirs: each edge runs its drawn operation and
adds the other operations' zero gates as scalars; default memory format, separate layers, and a backward pass that
computes weight gradients in the architecture step too. Share of peak: multiply-adds of the convolutions that ran, over
what one large matrix product reaches here in the same precision and threads. Then, each variant in a process of its
own: seconds of the first call of each step, after how many steps what that takes longer than plain's is won back, and
the peak memory of both steps beyond what the process held before (on the CPU resident, on CUDA allocated). `--profile`
prints which kernels a step of this toolkit spends its time in, by PyTorch's profiler, over the first four cells;
`--growth` how a step in float32 grows with channels, cells, images and operations on an edge, and as which power: that
is written to NAME.json, with a figure on logarithmic axes.
"""

import argparse
import json
import math
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from torch import Tensor, nn
from torch.nn import functional

from nas.data.cifar import Images
from nas.judging.style import WIDTH, save, styled
from nas.running import runs
from nas.running.pool import workers
from nas.spaces.nasbench201 import EDGES, cell_space
from nas.supernets.supernet import Supernet
from nas.tasks.cifar10.network import Settings, assemble

CHANNELS, CANDIDATES = 16, len(cell_space().operations)


# ------------------------------------------------------------------ the plain network


class PlainConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outputs, affine=False),
        )


class PlainCell(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            nn.ModuleList(
                [
                    nn.Identity(),
                    PlainConv(channels, channels, 1),
                    PlainConv(channels, channels, 3),
                    nn.AvgPool2d(3, 1, 1, count_include_pad=False),
                ]
            )
            for _ in EDGES
        )

    def forward(self, x: Tensor, gates: Tensor, chosen: list[int]) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            terms = []
            for edge, (source, end) in enumerate(EDGES):
                if end == target:
                    operations: nn.ModuleList = self.edges[edge]  # type: ignore[assignment]
                    terms.append(
                        sum(
                            gates[edge, k] * operation(nodes[source]) if k == chosen[edge] else gates[edge, k]
                            for k, operation in enumerate(operations)
                        )
                    )
            nodes.append(sum(terms))  # type: ignore[arg-type]
        return nodes[3]


class PlainReduction(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.long = nn.Sequential(PlainConv(channels, 2 * channels, 3, 2), PlainConv(2 * channels, 2 * channels, 3))
        self.short = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.long(x) + self.short(x)  # type: ignore[no-any-return]


class PlainNetwork(nn.Module):
    def __init__(self, cells: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS))
        self.layers = nn.ModuleList()
        for stage in range(3):
            if stage:
                self.layers.append(PlainReduction(CHANNELS * 2 ** (stage - 1)))
            self.layers.extend(PlainCell(CHANNELS * 2**stage) for _ in range(cells))
        self.head = nn.Sequential(nn.BatchNorm2d(4 * CHANNELS), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.linear = nn.Linear(4 * CHANNELS, 10)

    def forward(self, x: Tensor, gates: Tensor, chosen: list[int]) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x, gates, chosen) if isinstance(layer, PlainCell) else layer(x)
        return self.linear(self.head(x))  # type: ignore[no-any-return]


class Plain:
    """The plain network's two steps, on data of the same size."""

    def __init__(self, batch: int, cells: int, device: str) -> None:
        torch.manual_seed(0)
        self.network = PlainNetwork(cells).to(device)
        self.logits = nn.Parameter(torch.zeros(len(EDGES), CANDIDATES, device=device))
        self.weights = torch.optim.SGD(self.network.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
        self.images = torch.randn(batch, 3, 32, 32, device=device)
        self.labels = torch.randint(0, 10, (batch,), device=device)

    def weight_step(self, chosen: list[int]) -> None:
        self.backward(chosen)
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.weights.step()

    def architecture_step(self, chosen: list[int]) -> None:
        self.backward(chosen)

    def backward(self, chosen: list[int]) -> None:
        soft = functional.softmax(self.logits, dim=1)
        hard = functional.one_hot(torch.tensor(chosen, device=soft.device), CANDIDATES).to(soft.dtype)
        gates = hard - soft.detach() + soft
        self.weights.zero_grad()
        torch.autograd.backward(functional.cross_entropy(self.network(self.images, gates, chosen), self.labels))


# ------------------------------------------------------------------ ours


@dataclass
class Ours:
    """The two steps of this repository's network; the architecture step ends with the gate gradients.

    operations: how many run on an edge, the chosen one and those after it: in a weight step each with an equal share,
    in an architecture step all but the chosen one with gate zero.
    """

    supernet: Supernet
    operations: int = 1

    def weight_step(self, chosen: list[int]) -> None:
        self.supernet.weight_step(self.running(chosen) / self.operations, 0.0)

    def architecture_step(self, chosen: list[int]) -> None:
        self.supernet.objective().gradients(self.gates(chosen), self.running(chosen))

    def running(self, chosen: list[int]) -> Tensor:
        gates = self.gates(chosen)
        return torch.stack([gates.roll(shift, 1) for shift in range(self.operations)]).sum(dim=0)

    def gates(self, chosen: list[int]) -> Tensor:
        return functional.one_hot(torch.tensor(chosen, device=self.supernet.device), CANDIDATES).float()


def ours(
    precision: str,
    batch: int,
    cells: int,
    device: str,
    static: bool = False,
    channels: int = CHANNELS,
    operations: int = 1,
    held_out: int = 1,
) -> Ours:
    random = np.random.default_rng(0)
    count = 4 * batch
    images = Images(
        random.integers(0, 256, (count, 3, 32, 32), np.uint8), random.integers(0, 10, count).astype(np.uint8)
    )
    settings = Settings(
        channels=channels,
        cells=cells,
        batch=batch,
        images=2 * batch,
        held_out=held_out,
        precision=precision,  # type: ignore[arg-type]
        static=static,
    )
    return Ours(assemble(settings, images, device, 0), operations)


# ------------------------------------------------------------------ the measurement


def multiply_adds(chosen: list[int], batch: int, cells: int) -> float:
    """Multiply-adds of one forward pass's convolutions: the same in each stage, half the channels on twice the side."""
    one = batch * CHANNELS**2 * 32 * 32
    cell = sum({1: 1, 2: 9}.get(k, 0) for k in chosen) * one
    stem = batch * 3 * CHANNELS * 9 * 32 * 32
    reductions = 2 * (9 * one / 2 + 9 * one + one / 2)
    return 3 * cells * cell + stem + reductions


def peak(dtype: torch.dtype, device: str, clock: Callable[[], float]) -> float:
    """Multiply-adds a second of one matrix product, large enough to fill the device."""
    size = 8192 if device.startswith("cuda") else 1024
    left, right = torch.randn(2, size, size, device=device).to(dtype)
    return size**3 / min(timed(lambda: left @ right, device, clock) for _ in range(20))


def timed(work: Callable[[], object], device: str, clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return clock() - start


def asked(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, Callable[[], float]]:
    """The options with `--rounds`, `--threads` and `--cpu-time`, and the clock that they ask for; threads are set."""
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="one thread's processor time, for a machine in use")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be at least 2: a spread is printed")
    options.threads = 1 if options.cpu_time else options.threads
    torch.set_num_threads(options.threads)
    return options, time.thread_time if options.cpu_time else time.perf_counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--static", action="store_true", help="the form for GPUs too (on CUDA always)")
    parser.add_argument("--profile", action="store_true", help="also print where a step's time goes")
    parser.add_argument("--growth", type=Path, metavar="DIR/NAME", help="also grow channels, cells, images, operations")
    options, clock = asked(parser)
    size = (options.batch, options.cells, options.device)
    names = ["plain float32", "this float32", "this bfloat16"]
    if options.static or options.device.startswith("cuda"):
        names += ["static float32", "static bfloat16"]
    variants = {name: (variant(name, *size), getattr(torch, name.split()[1])) for name in names}
    generator = torch.Generator().manual_seed(0)
    seconds: dict[tuple[str, str], list[float]] = {}
    work: list[float] = []
    cells: list[list[int]] = []
    for count in range(options.rounds + 2):
        chosen = torch.randint(0, CANDIDATES, (len(EDGES),), generator=generator).tolist()
        cells.append(chosen)
        for name, (timed_one, _) in variants.items():
            for step in STEPS:
                took = timed(lambda v=timed_one, s=step, c=chosen: getattr(v, s)(c), options.device, clock)  # type: ignore[misc]
                if count >= 2:  # two rounds to warm up
                    seconds.setdefault((name, step), []).append(took)
        if count >= 2:
            work.append(multiply_adds(chosen, options.batch, options.cells))
    peaks = {dtype: peak(dtype, options.device, clock) for dtype in {dtype for _, dtype in variants.values()}}
    used = f"{options.threads} threads" + (", processor time" if options.cpu_time else "")
    about = f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}, {used}"
    print(f"{about}, batch {options.batch}, {options.cells} cells a stage, {options.rounds} random cells")
    print(f"{'variant':15} {'step':18} {'seconds, mean ± std':>20} {'of plain [lowest, highest]':>27} {'of peak':>8}")
    for (name, step), times in seconds.items():
        plain = seconds["plain float32", step]
        ratios = [mine / other for mine, other in zip(times, plain, strict=True)]
        ratio = statistics.mean(times) / statistics.mean(plain)
        passes = 3 if step == "weight_step" or name.startswith("plain") else 2
        share = passes * statistics.mean(work) / statistics.mean(times) / peaks[variants[name][1]]
        mean = f"{statistics.mean(times):.3f} ± {statistics.stdev(times):.3f}"
        of_plain = f"{ratio:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"{name:15} {step:18} {mean:>20} {of_plain:>27} {share:8.1%}")
    if options.growth is not None:
        keep_growth(grown(options.rounds, options.device, clock), options.growth, about, GROWN_FROM)
    if options.profile:
        for name in names[1:]:
            for step in STEPS:
                print_profile(f"{name}, {step}", getattr(variants[name][0], step), cells[:4])
    print(f"{'variant':15} {'first weight':>13} {'first architecture':>19} {'pays after steps':>17} {'peak, MiB':>10}")
    first: dict[str, tuple[list[float], float]] = {}
    for name in names:
        first[name] = in_a_fresh_process(options.threads, first_calls, name, *size, clock)
        calls, peak_memory = first[name]
        usual, plain = (sum(statistics.mean(seconds[one, step]) for step in STEPS) for one in (name, names[0]))
        steps = pays_after(sum(calls), usual, sum(first[names[0]][0]), plain)
        print(f"{name:15} {calls[0]:>13.3f} {calls[1]:>19.3f} {steps:>17} {peak_memory / 2**20:>10.0f}")


# ------------------------------------------------------------------ how it grows

GROWN = {"channels": (8, 16, 32, 64), "cells": (1, 2, 4, 8), "batch": (16, 32, 64, 128), "operations": (1, 2, 4)}
GROWN_FROM = "from 16 channels, one cell a stage, 32 images, one operation an edge"


@dataclass
class Growth:
    """Median seconds of a step at each size of one thing, and the power of the size that fits them."""

    of: str
    step: str
    sizes: Sequence[int]
    seconds: list[float]

    @property
    def power(self) -> float:
        return power_of(self.sizes, self.seconds)


def grown(rounds: int, device: str, clock: Callable[[], float]) -> list[Growth]:
    """Both steps while one size grows and the others stay small."""
    usual, told = {"channels": 16, "cells": 1, "batch": 32, "operations": 1}, []
    for name, sizes in GROWN.items():
        networks = {size: ours("float32", device=device, **{**usual, name: size}) for size in sizes}
        for step in STEPS:
            taken: dict[int, list[float]] = {size: [] for size in sizes}
            for count in range(rounds + 1):  # the first warms up
                chosen = torch.randint(0, CANDIDATES, (len(EDGES),), generator=torch.Generator().manual_seed(count))
                for size, network in networks.items():
                    took = timed(partial(getattr(network, step), chosen.tolist()), device, clock)
                    taken[size] += [took] if count else []
            told.append(Growth(name, step, sizes, [statistics.median(taken[size]) for size in sizes]))
    return told


def keep_growth(growths: Sequence[Growth], stem: Path, about: str, start: str) -> None:
    """Print a line a growth, and write all of them with their figure."""
    print(f"grown {start}; seconds are medians")
    for one in growths:
        shown = ", ".join(f"{seconds:.4f}" for seconds in one.seconds)
        print(f"{one.of:10} {one.sizes!s:20} {one.step:18} power {one.power:.2f}, seconds {shown}")
    content = {"about": about, "start": start, "growths": [{**asdict(one), "power": one.power} for one in growths]}
    runs.write_atomically(stem.with_suffix(".json"), json.dumps(content, indent=1) + "\n")
    save(growth_figure(growths), stem)


@styled
def growth_figure(growths: Sequence[Growth]) -> Figure:
    """A panel for each thing that grows, both axes logarithmic, a line a step; above it the powers."""
    things = list(dict.fromkeys(one.of for one in growths))
    drawn = Figure(figsize=(WIDTH, 2.6))
    panels = drawn.subplots(1, len(things), sharey=True, squeeze=False)[0]
    for axes, thing in zip(panels, things, strict=True):
        own = [one for one in growths if one.of == thing]
        for one in own:
            axes.plot(one.sizes, one.seconds, "o-", markersize=3, label=one.step.replace("_", " "))
        axes.set(
            xscale="log", yscale="log", xlabel=thing, title="power " + ", ".join(f"{one.power:.2f}" for one in own)
        )
        axes.set_xticks(list(own[0].sizes), [str(size) for size in own[0].sizes])
        axes.xaxis.set_minor_locator(NullLocator())
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].yaxis.set_minor_locator(NullLocator())
    panels[0].set(ylabel="seconds a step")
    panels[0].legend(loc="upper left", fontsize=7)
    return drawn


def power_of(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The exponent p of seconds = c sizes^p, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


# ------------------------------------------------------------------ where the time goes


def print_profile(name: str, step: Callable[[list[int]], object], cells: Sequence[list[int]], most: int = 8) -> None:
    """The kernels that take most of a step: their share of its time in kernels, their calls a step."""
    with torch.profiler.profile() as profiler:
        for chosen in cells:
            step(chosen)
    kernels = {
        event.key: (event.self_cpu_time_total + event.self_device_time_total, event.count)
        for event in profiler.key_averages()
    }
    total = sum(taken for taken, _ in kernels.values())
    print(f"{name}: share of time, calls a step")
    for kernel, (taken, calls) in sorted(kernels.items(), key=lambda item: -item[1][0])[:most]:
        print(f"{taken / total:>8.1%} {calls / len(cells):>7.1f}  {kernel}")


# ------------------------------------------------------------------ the first call, and memory

STEPS = ("weight_step", "architecture_step")


def variant(name: str, batch: int, cells: int, device: str) -> Any:
    """What is measured under a name: "plain", "this" or "static", and a precision."""
    kind, precision = name.split()
    return Plain(batch, cells, device) if kind == "plain" else ours(precision, batch, cells, device, kind == "static")


def first_calls(
    name: str, batch: int, cells: int, device: str, clock: Callable[[], float]
) -> tuple[list[float], float]:
    """Seconds of a variant's first call of each step, and their peak memory in bytes."""
    made, chosen = variant(name, batch, cells, device), [2] * len(EDGES)
    before = held(device)
    calls = [timed(lambda s=step: getattr(made, s)(chosen), device, clock) for step in STEPS]  # type: ignore[misc]
    return calls, peak_memory_of(device) - before


def in_a_fresh_process(threads: int, work: Callable[..., Any], *given: Any) -> Any:
    """work(*given), where nothing was called before."""
    with workers(1, threads) as fresh:
        return fresh.submit(work, *given).result()


def pays_after(first: float, usual: float, plain_first: float, plain: float) -> str:
    """Steps after which a first call that takes longer than plain's is won back; "never" if a step is no faster.

    first, usual: seconds of the first and of a usual pair of steps; plain_first and plain those of the plain network.
    """
    extra = (first - usual) - (plain_first - plain)
    if extra <= 0:
        return "0"
    return f"{math.ceil(extra / (plain - usual)):,}" if usual < plain else "never"


def held(device: str) -> float:
    """Bytes of memory that are held now; from here on the peak counts."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        return float(torch.cuda.memory_allocated())
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak_memory_of(device: str) -> float:
    """Bytes of memory that were held at most."""
    if device.startswith("cuda"):
        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
