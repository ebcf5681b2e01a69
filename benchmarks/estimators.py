"""How long does each estimator take per call, in NumPy and in torch, over batch sizes?

    python benchmarks/estimators.py [--edges 6] [--candidates 5] [--batches 1 100 10000]

Prints microseconds per call (median of the repeats, float32, one thread) and the ratio torch / NumPy, the two timed in
turn. Then the cost of checking shapes at the door (`nas.shapes`): the ratio of an architecture step with the check to
one without it. Absolute times are this machine's; compare rows and columns, not machines.
"""

import argparse
import importlib.util
import inspect
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nas import estimators, methods, optimisers, shapes, step
from nas.methods import METHODS
from nas.objective import Gradients

SIZES = {"S": 8, "Q": 8, "M": 10}
NUMBERS = {"temperature": 0.5, "trials": 4, "weight_step": 0.1, "radius": 0.01}
STEPS = ("advantage", "reinforce", "debiased_advantage", "gdas")  # of which a whole step is timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=int, default=6)
    parser.add_argument("--candidates", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 100, 10_000])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = {"E": options.edges, "K": options.candidates, **SIZES}
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
            arguments = inputs(function, sizes, batch)
            tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]
            in_numpy, in_torch = interleaved(
                [lambda a=arguments, f=function: f(*a), lambda a=tensors, f=function: f(*a)], options.repeats
            )
            shown, other = statistics.median(in_numpy), statistics.median(in_torch)
            spread = f"{shown:.1f} [{min(in_numpy):.0f}-{max(in_numpy):.0f}]"
            row += f"{spread:>24}{other:>12.1f}{other / shown:>7.2f}"
        print(row, flush=True)
    print_steps(sizes, options.batches, options.repeats)


def functions() -> dict[str, Callable[..., Any]]:
    """The public estimators, in the order of their file."""
    return {n: f for n, f in vars(estimators).items() if inspect.isfunction(f) and f.__module__ == "nas.estimators"}


def inputs(function: Callable[..., Any], sizes: dict[str, int], batch: int) -> list[Any]:
    """Random arguments of the shapes that the estimator's door asks for."""
    rng = np.random.default_rng(0)
    arguments: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        axes = function.shapes[parameter.name].replace("/1", "").split()  # type: ignore[attr-defined]
        if parameter.name in NUMBERS:
            arguments.append(NUMBERS[parameter.name])
        elif parameter.default is inspect.Parameter.empty:
            shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in axes]
            arguments.append(rng.random((batch, *shape), dtype=np.float32))
    return arguments


def without_the_door() -> Any:
    """A second copy of `nas.estimators` in which `shaped` checks nothing, not even that it is there."""
    found = importlib.util.find_spec("nas.estimators")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    checked, shapes.shaped = shapes.shaped, lambda **_: lambda function: function
    try:
        found.loader.exec_module(module)
    finally:
        shapes.shaped = checked
    return module


def print_steps(sizes: dict[str, int], batches: list[int], repeats: int) -> None:
    """An architecture step, with Adam on a quadratic landscape, with the door and without it."""
    bare = without_the_door()
    print(f"\n{'one architecture step':26}{'world':>8}{'batch':>8}{'us':>24}{'without the door':>24}{'ratio':>7}")
    for name in STEPS:
        for world in ("numpy", "torch"):
            for batch in batches:
                times = interleaved(
                    [stepping(name, module, world, sizes, batch) for module in (estimators, bare)], repeats
                )
                with_it, without = (statistics.median(part) for part in times)
                spreads = [f"{statistics.median(part):.1f} [{min(part):.0f}-{max(part):.0f}]" for part in times]
                print(
                    f"{name:26}{world:>8}{batch:>8}{spreads[0]:>24}{spreads[1]:>24}{with_it / without:>7.3f}",
                    flush=True,
                )


def stepping(name: str, module: Any, world: str, sizes: dict[str, int], batch: int) -> Callable[[], Any]:
    """One step, as a function to be timed; the estimators are those of `module`."""
    made = METHODS[name]
    methods.estimators = module  # what the adapters of `nas.methods` call
    adapter = getattr(methods, made.estimator.__name__, None)
    estimator = adapter or getattr(module, made.estimator.__name__)
    method, optimiser = replace(made, estimator=estimator, zero_policy="plain"), optimisers.adam()
    edges, candidates = sizes["E"], sizes["K"]
    rng = np.random.default_rng(0)
    convert: Any = torch.from_numpy if world == "torch" else np.asarray
    landscape = Quadratic(convert(rng.normal(size=(edges, candidates)).astype(np.float32)))
    state = step.start(method, optimiser, convert(np.zeros((batch, edges, candidates), np.float32)))
    uniforms = convert(rng.random((batch, *step.noise_shape(method, edges, candidates)), dtype=np.float32))

    def advance() -> Any:
        methods.estimators = module
        return step.architecture_step(method, optimiser, state, landscape, uniforms, 0.01)

    return advance


class Quadratic:
    """(sum of the chosen outputs - 1)^2: as cheap as a loss can be, so that the step itself is what is timed."""

    zero_operation = None

    def __init__(self, outputs: Any) -> None:
        self.outputs = outputs

    def loss(self, gates: Any) -> Any:
        return ((gates * self.outputs).sum(axis=(-1, -2)) - 1) ** 2

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        slope = 2 * ((gates * self.outputs).sum(axis=(-1, -2)) - 1)[..., None]
        return Gradients(self.loss(gates), slope[..., None] * self.outputs * runs, slope + 0 * gates[..., 0])


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
