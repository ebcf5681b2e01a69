"""How many replicate-steps a second does the runner do, beside a hand-fused kernel and beside a plain NumPy loop?

AdvantageNAS with Adam on the quadratic landscape, E = K = 10, 16 outputs, in one run on the same cores, taken in turn:

    numba      one hand-written kernel for exactly this case, a replicate a thread, float32 (needs `pip install numba`)
    compiled   simulate.run with the shipped estimators and architecture_step, one process a core, float32
    eager      the same without the compiler
    NumPy      one replicate at a time in plain NumPy, as one would first write it, on one core

    python benchmarks/simulate.py [--cores 2] [--rounds 5] [--scaling]

A compiler (g++) must be there. Compilation is not counted: it happens once a setting and is printed beside.
"""

import argparse
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this folder would hide the package of the same name

import numpy as np
import torch

from simulate.run import Machine, Setting, problem_of, simulate, simulate_split

CASE = Setting(
    landscape="quadratic", options={"outputs": 16, "gate_size": 0.3}, edges=10, candidates=10, rate=0.01, beta1=0.5
)
COMPILED = Machine(chunk=512, compiled=True)
EAGER = Machine(chunk=2048)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scaling", action="store_true", help="also cost against E, K and replicates")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {options.cores} of {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}, NumPy {np.__version__}"
    )
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        options.cores, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        compare(pool, options.cores, options.rounds)
        memory(pool)
        if options.scaling:
            scaling(pool, options.cores)


def compare(pool: ProcessPoolExecutor, cores: int, rounds: int) -> None:
    """Replicate-steps a second of each variant, medians of interleaved rounds."""

    def ours(machine: Machine, replicates: int, steps: int) -> Callable[[], int]:
        setting = replace(CASE, replicates=replicates, steps=steps, every=steps)

        def run() -> int:
            simulate_split(setting, machine, pool, cores)
            return replicates * steps

        return run

    variants: dict[str, Callable[[], int]] = {
        "numba": numba_kernel(4096, 400, cores),
        "compiled": ours(COMPILED, 2 * cores * COMPILED.chunk, 1000),
        "eager": ours(EAGER, cores * EAGER.chunk, 100),
        "NumPy": lambda: numpy_loop(2, 1000),
    }
    for name, run in variants.items():
        clock = time.perf_counter()
        run()
        print(f"{name}: first call {time.perf_counter() - clock:.1f} s")
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            clock = time.perf_counter()
            done = run()
            speeds[name].append(done / (time.perf_counter() - clock))
    reference, loop = (statistics.median(speeds[name]) for name in ("numba", "NumPy"))
    print(f"\nmedians of {rounds} rounds")
    print(f"{'variant':<10}{'replicate-steps/s':>19}{'min':>12}{'max':>12}{'of numba':>10}{'x NumPy':>9}")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(
            f"{name:<10}{middle:>19,.0f}{min(values):>12,.0f}{max(values):>12,.0f}"
            f"{middle / reference:>10.2f}{middle / loop:>9.0f}"
        )


def memory(pool: ProcessPoolExecutor) -> None:
    """Peak memory of a process after few and after many steps."""
    few, many = (pool.submit(_peak, steps).result() for steps in (200, 4000))
    print(f"\npeak memory of a worker: {few:.0f} MiB after 200 steps, {many:.0f} MiB after 4,000")


def scaling(pool: ProcessPoolExecutor, cores: int) -> None:
    """Seconds a step against E, K and replicates, with exponents fitted on log axes (eager, one process)."""
    print("\ncost of one step, eager, one process, against")
    axes: dict[str, list[Setting]] = {
        "edges": [replace(CASE, edges=n, replicates=512) for n in (5, 10, 20, 40)],
        "candidates": [replace(CASE, candidates=n, replicates=512) for n in (5, 10, 20, 40)],
        "replicates": [replace(CASE, replicates=n) for n in (64, 256, 1024, 4096)],
    }
    for name, settings in axes.items():
        sizes = [getattr(setting, name) for setting in settings]
        seconds = [pool.submit(_seconds_a_step, setting).result() for setting in settings]
        slope, error = _exponent(sizes, seconds)
        points = ", ".join(f"{size}: {1e3 * s:.2f} ms" for size, s in zip(sizes, seconds, strict=True))
        print(f"  {name:<11}{points};  exponent {slope:.2f} ± {error:.2f}")


def _seconds_a_step(setting: Setting) -> float:
    machine = Machine(chunk=setting.replicates)
    times = []
    for _ in range(5):
        clock = time.perf_counter()
        simulate(replace(setting, steps=20, every=20), machine)
        times.append((time.perf_counter() - clock) / 20)
    return statistics.median(times)


def _exponent(sizes: list[int], seconds: list[float]) -> tuple[float, float]:
    """Slope of log seconds over log size, with its standard error."""
    x, y = np.log(sizes), np.log(seconds)
    (slope, intercept), residual = np.polyfit(x, y, 1), 0.0
    residual = float(((y - slope * x - intercept) ** 2).sum()) / max(1, len(sizes) - 2)
    return float(slope), math.sqrt(residual / float(((x - x.mean()) ** 2).sum()))


def _peak(steps: int) -> float:
    simulate(replace(CASE, replicates=512, steps=steps, every=steps), Machine(chunk=512))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# ------------------------------------------------------------------ what it is compared with


def numpy_loop(replicates: int, steps: int) -> int:
    """The same method in plain NumPy, one replicate after the other."""
    landscape: Any = problem_of(CASE)
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
    landscape: Any = problem_of(CASE)
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
