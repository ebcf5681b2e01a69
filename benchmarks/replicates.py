"""How many replicate-steps a second does the runner do, beside a hand-fused kernel and beside a plain NumPy loop?

AdvantageNAS with Adam on the quadratic landscape, E = K = 10, 16 outputs, in one run on the same cores, taken in turn:

    numba      one hand-written kernel for exactly this case, a replicate a thread, float32 (needs `pip install numba`)
    compiled   simulate.run with the shipped estimators and architecture_step, one process a core, float32
    eager      the same without the compiler
    NumPy      one replicate at a time in plain NumPy, as one would first write it, on one core
    device     compiled, on the accelerator of --device

    python benchmarks/replicates.py [--cores 2] [--rounds 5] [--scaling] [--device cuda] [--out STEM]

Two speeds each: by the clock, and by processor time, which a busy machine does not blur (per processor-second, so that
NumPy's one core and the others' two compare). A compiler (g++) must be there. Compilation is not counted: it happens
once a setting and is printed beside. --out writes STEM.json, and with --scaling STEM.svg and STEM.png.
"""

import argparse
import functools
import json
import math
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from matplotlib.figure import Figure

from nas.judging import style
from nas.judging.colours import of_method
from nas.running import runs
from nas.running.pool import workers
from simulate.run import Machine, Setting, problem_of, simulate

CASE = Setting(
    landscape="quadratic", options={"outputs": 16, "gate_size": 0.3}, edges=10, candidates=10, rate=0.01, beta1=0.5
)
COMPILED = Machine(chunk=2048, compiled=True)
EAGER = Machine(chunk=2048)


@dataclass(frozen=True)
class Timing:
    """Replicate-steps done, seconds by the clock, seconds of processor time over all cores."""

    done: int
    clock: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", help="also on this accelerator, e.g. cuda")
    parser.add_argument("--scaling", action="store_true", help="also cost against E, K and replicates")
    parser.add_argument("--out", type=Path, metavar="STEM", help="write STEM.json and the figure of --scaling")
    options = parser.parse_args()
    about = {
        "machine": f"{platform.machine()}, {options.cores} of {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "rounds": options.rounds,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    with workers(options.cores, threads=1) as pool:
        found = {"about": about, "speed": compare(pool, options.cores, options.rounds, options.device)}
        found["memory"] = memory(pool)
        if options.scaling:
            found["scaling"] = scaling(pool)
    if options.out:
        runs.write_atomically(options.out.with_suffix(".json"), json.dumps(found, indent=2) + "\n")
        if options.scaling:
            style.save(figure(found["scaling"]), options.out)


def compare(pool: Executor, cores: int, rounds: int, device: str | None) -> dict[str, dict[str, float]]:
    """Replicate-steps a second of each variant, medians of interleaved rounds."""

    def ours(machine: Machine, replicates: int, steps: int) -> Callable[[], Timing]:
        setting = replace(CASE, replicates=replicates, steps=steps, every=steps)
        share = replicates // cores
        parts = [range(first, first + share) for first in range(0, replicates, share)]

        def run() -> Timing:
            clock = time.perf_counter()
            processor = sum(pool.map(functools.partial(_processor_seconds, setting, machine), parts))
            return Timing(replicates * steps, time.perf_counter() - clock, processor)

        return run

    def here(work: Callable[[], int]) -> Callable[[], Timing]:
        def run() -> Timing:
            clock, processor = time.perf_counter(), time.process_time()
            done = work()
            return Timing(done, time.perf_counter() - clock, time.process_time() - processor)

        return run

    variants: dict[str, Callable[[], Timing]] = {}
    if find_spec("numba") is not None:
        variants["numba"] = here(numba_kernel(4096, 400, cores))
    else:
        print("numba is not installed: no hand-fused kernel to compare with (pip install numba)")
    variants |= {
        "compiled": ours(COMPILED, cores * COMPILED.chunk, 500),
        "eager": ours(EAGER, cores * EAGER.chunk, 100),
        "NumPy": here(lambda: numpy_loop(2, 1000)),
    }
    if device is not None:
        variants["device"] = here(lambda: accelerated(device, 1 << 17, 1000))
    for name, run in variants.items():
        print(f"{name}: first call {run().clock:.1f} s")
    taken: dict[str, list[Timing]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            taken[name].append(run())
    found = {}
    for name, timings in taken.items():
        clock = [timing.done / timing.clock for timing in timings]
        processor = [timing.done / timing.processor for timing in timings]
        found[name] = {
            "per_second": statistics.median(clock),
            "lowest": min(clock),
            "highest": max(clock),
            "per_processor_second": statistics.median(processor),
        }
    print(f"\nreplicate-steps, medians of {rounds} rounds, and in brackets lowest and highest")
    print(f"{'':<62}{'of numba':>10}{'x NumPy':>9}")
    for name, row in found.items():
        spread = f" [{row['lowest']:,.0f}, {row['highest']:,.0f}]"
        for kind, unit, extra in (
            ("per_second", "a second", spread),
            ("per_processor_second", "a processor-second", ""),
        ):
            of_numba = row[kind] / found["numba"][kind] if "numba" in found else math.nan
            told = f"{name:<9}{row[kind]:,.0f} {unit}{extra}"
            print(f"{told:<62}{of_numba:>10.2f}{row[kind] / found['NumPy'][kind]:>9.0f}")
    return found


def memory(pool: Executor) -> dict[str, float]:
    """Peak memory of a process after few and after many steps, MiB."""
    found = {str(steps): pool.submit(_peak, steps).result() for steps in (200, 4000)}
    print(
        "\npeak memory of a worker: "
        + ", ".join(f"{peak:.0f} MiB after {steps} steps" for steps, peak in found.items())
    )
    return found


def scaling(pool: Executor) -> dict[str, dict[str, Any]]:
    """Processor seconds a step against E, K and replicates, with exponents fitted on log axes (eager, one process).

    Small sizes cost what some 40 calls of torch cost, whatever their size, so the exponent is that of the last three.
    """
    print("\nprocessor time of one step, eager, one process; exponent of the last three sizes, where calls cost little")
    axes: dict[str, list[Setting]] = {
        "edges": [replace(CASE, edges=n, replicates=512) for n in (5, 10, 20, 40, 80, 160)],
        "candidates": [replace(CASE, candidates=n, replicates=512) for n in (5, 10, 20, 40, 80, 160)],
        "replicates": [replace(CASE, replicates=n) for n in (64, 256, 1024, 4096, 16384, 65536)],
    }
    found: dict[str, dict[str, Any]] = {}
    for name, settings in axes.items():
        sizes = [getattr(setting, name) for setting in settings]
        seconds = [pool.submit(_seconds_a_step, setting).result() for setting in settings]
        slope, error = _exponent(sizes[-3:], seconds[-3:])
        found[name] = {"sizes": sizes, "seconds": seconds, "exponent": slope, "standard_error": error}
        points = ", ".join(f"{size}: {1e3 * s:.2f} ms" for size, s in zip(sizes, seconds, strict=True))
        print(f"  {name:<11}{points};  exponent {slope:.2f} ± {error:.2f}")
    return found


@style.styled
def figure(axes: dict[str, dict[str, Any]]) -> Figure:
    """Cost of a step on log axes with the fitted power laws, a panel an axis."""
    drawn = Figure(figsize=(style.WIDTH, 2.6))
    panels = drawn.subplots(1, len(axes), sharey=True)
    for panel, (name, row) in zip(panels, axes.items(), strict=True):
        x, y = np.array(row["sizes"], float), 1e3 * np.array(row["seconds"])
        panel.plot(x, y, "o", color=of_method("advantage"))
        line = np.exp(np.log(y[-3:]).mean()) * (x / np.exp(np.log(x[-3:]).mean())) ** row["exponent"]
        panel.plot(x, line, color="black", linewidth=0.8)
        panel.set(
            xscale="log",
            yscale="log",
            xlabel=name,
            title=f"exponent {row['exponent']:.2f} ± {row['standard_error']:.2f}",
        )
    panels[0].set_ylabel("processor time a step, ms")
    return drawn


def accelerated(device: str, replicates: int, steps: int) -> int:
    """The compiled step on an accelerator, all replicates in one chunk."""
    machine = Machine(device=device, chunk=replicates, compiled=True)
    simulate(replace(CASE, replicates=replicates, steps=steps, every=steps), machine)
    return replicates * steps


def _processor_seconds(setting: Setting, machine: Machine, replicates: range) -> float:
    clock = time.process_time()
    simulate(setting, machine, replicates)
    return time.process_time() - clock


def _seconds_a_step(setting: Setting) -> float:
    machine = Machine(chunk=setting.replicates)
    times = []
    for _ in range(5):
        clock = time.process_time()
        simulate(replace(setting, steps=20, every=20), machine)
        times.append((time.process_time() - clock) / 20)
    return statistics.median(times)


def _exponent(sizes: list[int], seconds: list[float]) -> tuple[float, float]:
    """Slope of log seconds over log size, with its standard error."""
    x, y = np.log(sizes), np.log(seconds)
    slope, intercept = np.polyfit(x, y, 1)
    residual = float(((y - slope * x - intercept) ** 2).sum()) / max(1, len(sizes) - 2)
    return float(slope), math.sqrt(residual / float(((x - x.mean()) ** 2).sum()))


def _peak(steps: int) -> float:
    simulate(replace(CASE, replicates=512, steps=steps, every=steps), Machine(chunk=512))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------ what it is compared with


def numpy_loop(replicates: int, steps: int) -> int:
    """The same method in plain NumPy, one replicate after the other."""
    landscape: Any = problem_of(CASE).landscape
    outputs, target = landscape.outputs.reshape(10, 10, 16), landscape.target
    random, edges = np.random.default_rng(0), np.arange(10)
    for _ in range(replicates):
        logits = np.zeros((10, 10))
        first, second = np.zeros((10, 10)), np.zeros((10, 10))
        for t in range(1, steps + 1):
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            choice = np.array([random.choice(10, p=row) for row in p])
            gates = np.eye(10)[choice]
            chosen = outputs[edges, choice]
            error = chosen.sum(axis=0) - target
            credit = chosen @ (2 * error / 16)
            gradient = credit[:, None] * (gates - p)
            first = 0.5 * first + 0.5 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            logits -= 0.01 * (first / (1 - 0.5**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    return replicates * steps


def numba_kernel(replicates: int, steps: int, cores: int) -> Callable[[], int]:
    """The same method as one hand-fused kernel, replicates over threads, its own xorshift generator."""
    import numba

    numba.set_num_threads(cores)
    landscape: Any = problem_of(CASE).landscape
    outputs = landscape.outputs.reshape(10, 10, 16).astype(np.float32)
    target = landscape.target.astype(np.float32)

    @numba.njit(fastmath=True, parallel=True)  # type: ignore[untyped-decorator, unused-ignore]
    def kernel(
        logits: Any, first: Any, second: Any, steps: Any, rate: Any, beta1: Any, beta2: Any, epsilon: Any
    ) -> None:
        edges, candidates, depth = outputs.shape
        for r in numba.prange(logits.shape[0]):
            p = np.empty((edges, candidates), np.float32)
            choice = np.empty(edges, np.int64)
            error = np.empty(depth, np.float32)
            state = np.uint64(r * 7919 + 1) * np.uint64(0x9E3779B97F4A7C15)
            for t in range(1, steps + 1):
                for d in range(depth):
                    error[d] = -target[d]
                for e in range(edges):
                    top = logits[r, e, 0]
                    for k in range(1, candidates):
                        top = max(top, logits[r, e, k])
                    total = np.float32(0)
                    for k in range(candidates):
                        p[e, k] = math.exp(logits[r, e, k] - top)
                        total += p[e, k]
                    state ^= state >> np.uint64(12)
                    state ^= state << np.uint64(25)
                    state ^= state >> np.uint64(27)
                    word = (state * np.uint64(2685821657736338717)) >> np.uint64(40)
                    level = np.float32(word) * np.float32(2.0**-24) * total
                    k, passed = 0, p[e, 0]
                    while k < candidates - 1 and level >= passed:
                        k += 1
                        passed += p[e, k]
                    choice[e] = k
                    inverse = np.float32(1) / total
                    for j in range(candidates):
                        p[e, j] *= inverse
                    for d in range(depth):
                        error[d] += outputs[e, k, d]
                rate1 = np.float32(rate / (1 - beta1**t))
                scale2 = np.float32(1 / (1 - beta2**t))
                for e in range(edges):
                    credit = np.float32(0)
                    for d in range(depth):
                        credit += np.float32(2) * error[d] * outputs[e, choice[e], d]
                    credit /= depth
                    for k in range(candidates):
                        gradient = -credit * p[e, k]
                        if k == choice[e]:
                            gradient += credit
                        m = beta1 * first[r, e, k] + (np.float32(1) - beta1) * gradient
                        v = beta2 * second[r, e, k] + (np.float32(1) - beta2) * gradient * gradient
                        first[r, e, k] = m
                        second[r, e, k] = v
                        logits[r, e, k] -= rate1 * m / (math.sqrt(v * scale2) + epsilon)

    numbers = [np.float32(value) for value in (0.01, 0.5, 0.999, 1e-8)]

    def run() -> int:
        logits, first, second = (np.zeros((replicates, 10, 10), np.float32) for _ in range(3))
        kernel(logits, first, second, steps, *numbers)
        return replicates * steps

    return run


if __name__ == "__main__":
    main()
