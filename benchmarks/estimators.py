"""How long does each estimator take per call, in NumPy and in torch, over batch sizes?

    python benchmarks/estimators.py [--edges 6] [--candidates 5] [--batches 1 100 10000]

Prints microseconds per call (median of the repeats, float32, one thread) and the ratio torch / NumPy, the two timed in
turn. Absolute times are this machine's; compare rows and columns, not machines.
"""

import argparse
import inspect
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nas import estimators

SHAPES: dict[str, tuple[str, ...]] = {
    "probabilities": ("E", "K"),
    "gates": ("E", "K"),
    "z": ("E", "K"),
    "gate_gradient": ("E", "K"),
    "gate_gradient_plus": ("E", "K"),
    "gate_gradient_minus": ("E", "K"),
    "mean_gate_gradient": ("E", "K"),
    "alternative_losses": ("E", "K"),
    "gradient": ("E", "K"),
    "gate_gradients": ("S", "E", "K"),
    "pair_probabilities": ("E", "P"),
    "pair_gate_gradient": ("E", "P"),
    "credit": ("E",),
    "baseline": ("E",),
    "zeroed_loss": ("E",),
    "chosen": ("E",),
    "reference": ("E",),
    "output_gradient": ("E",),
    "success": ("E",),
    "count": ("E",),
    "loss": (),
    "mean_loss": (),
    "swapped_losses": ("K",),
}
# parameters whose shape differs from the name's usual one
SPECIAL = {
    ("reinforce", "baseline"): (),
    ("debiased_advantage", "zeroed_loss"): (),
    ("reinforce_leave_one_out", "gates"): ("S", "E", "K"),
    ("reinforce_leave_one_out", "loss"): ("S",),
    ("parsec", "gates"): ("S", "E", "K"),
    ("parsec", "weights"): ("S",),
}
NUMBERS = {"temperature": 0.5, "trials": 4, "weight_step": 0.1, "radius": 0.01}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=6)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100, 10_000])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = {"E": options.edges, "K": options.candidates, "S": 8, "P": 2}
    print(
        f"E = {options.edges}, K = {options.candidates}, S = 8, float32, {torch.get_num_threads()} threads; "
        f"Python {platform.python_version()}, NumPy {np.__version__}, torch {torch.__version__}, "
        f"median of {options.repeats} repeats [min-max]"
    )
    print(
        f"{'estimator':26}"
        + "".join(f"{f'batch {b}: NumPy us':>24}{'torch us':>12}{'ratio':>7}" for b in options.batches)
    )
    for name, function in functions().items():
        row = f"{name:26}"
        for batch in options.batches:
            arguments = inputs(name, function, sizes, batch)
            tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]
            in_numpy, in_torch = interleaved(
                [lambda a=arguments, f=function: f(*a), lambda a=tensors, f=function: f(*a)], options.repeats
            )
            shown, other = statistics.median(in_numpy), statistics.median(in_torch)
            spread = f"{shown:.1f} [{min(in_numpy):.0f}-{max(in_numpy):.0f}]"
            row += f"{spread:>24}{other:>12.1f}{other / shown:>7.2f}"
        print(row, flush=True)


def functions() -> dict[str, Callable[..., Any]]:
    """The public estimators, in the order of their file."""
    return {n: f for n, f in vars(estimators).items() if inspect.isfunction(f) and f.__module__ == "nas.estimators"}


def inputs(name: str, function: Callable[..., Any], sizes: dict[str, int], batch: int) -> list[Any]:
    rng = np.random.default_rng(0)
    arguments: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in NUMBERS:
            arguments.append(NUMBERS[parameter.name])
        elif (name, parameter.name) == ("quadrature_advantage", "weights"):
            arguments.append(np.full(8, 1 / 8, np.float32))
        elif parameter.default is inspect.Parameter.empty:
            shape = SPECIAL.get((name, parameter.name), SHAPES.get(parameter.name))
            if shape is None:
                raise SystemExit(f"benchmarks/estimators.py does not know the shape of {name}({parameter.name})")
            arguments.append(rng.random((batch, *(sizes[axis] for axis in shape)), dtype=np.float32))
    return arguments


def interleaved(calls: list[Callable[[], Any]], repeats: int) -> list[list[float]]:
    """Microseconds per call of each repeat, the calls taking turns; a repeat loops for about 5 ms."""
    loops = []
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        loops.append(max(1, int(0.005 / max(time.perf_counter() - start, 1e-7))))
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, times, count in zip(calls, found, loops, strict=True):
            start = time.perf_counter()
            for _ in range(count):
                call()
            times.append((time.perf_counter() - start) / count * 1e6)
    return found


if __name__ == "__main__":
    main()
