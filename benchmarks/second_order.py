"""What does a step of second-order DARTS cost beside one of first order, in time and memory?

    python benchmarks/second_order.py [--task cifar10|text|…] [--preset quick] [--set network.cells=1] [--rounds 10]
        [--threads 2] [--data DIR] [--device cpu|cuda]

The parent network of a task as a search builds it. Both steps are taken in turn in every round, so that they meet the
same machine; what is told of them is the ratio. By count second order has five forward passes where first order has
one (four, and one for the loss that is recorded), and four backward passes where it has one, on text twice as many.
Memory is that of one step in a fresh process: its peak less what was there before. On the CPU that is resident memory,
with what a first step loads: a network must be large enough to stand out.
"""

import argparse
import platform
import resource
import statistics
import sys
import time
from pathlib import Path

import torch

from nas import methods, optimisers, step
from nas.running.pool import workers
from nas.supernets.parent import ParentNetwork
from nas.tasks import experiments

NAMES = ("darts", "darts_second_order")
MEGA = 1e6
Given = tuple[str, str, tuple[str, ...], Path | None, str]


def network_of(task: str, preset: str, sets: tuple[str, ...], data: Path | None, device: str) -> ParentNetwork:
    """The parent network of a task with a preset, and further settings."""
    experiment = experiments.load(task, preset, sets=[*sets, f"search.method={NAMES[1]}"])
    return experiments.build(experiment, data, device, seed=0)


def take(network: ParentNetwork, name: str) -> None:
    """One architecture step from even logits."""
    method, adam = methods.find(name), optimisers.adam()
    logits = torch.zeros(network.space.shape, device=network.device)
    state = step.start(method, adam, logits)
    uniforms = torch.rand(step.noise_shape(method, *network.space.shape), device=network.device)
    with torch.no_grad():
        step.architecture_step(method, adam, state, network.objective(), uniforms, rate=0.0)
    if network.device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(network: ParentNetwork, rounds: int) -> dict[str, list[float]]:
    """Of every round, both steps in turn; two rounds before it warm up."""
    taken: dict[str, list[float]] = {name: [] for name in NAMES}
    for count in range(rounds + 2):
        for name in NAMES:
            start = time.perf_counter()
            take(network, name)
            if count >= 2:
                taken[name].append(time.perf_counter() - start)
    return taken


def peak(given: Given, name: str, threads: int) -> float:
    """Megabytes that one step adds at its peak."""
    torch.set_num_threads(threads)
    network = network_of(*given)
    on_cuda = network.device.startswith("cuda")
    if on_cuda:
        take(network, NAMES[0])
        torch.cuda.reset_peak_memory_stats()
        before = float(torch.cuda.memory_allocated())
        take(network, name)
        return (torch.cuda.max_memory_allocated() - before) / MEGA
    before = int(Path("/proc/self/statm").read_text().split()[1]) * float(resource.getpagesize())
    take(network, name)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0 - before) / MEGA


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="cifar10")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", type=Path, metavar="DIR")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be at least 2: a spread is printed")
    given: Given = (options.task, options.preset, tuple(options.set), options.data, options.device)
    torch.set_num_threads(options.threads)
    try:
        network = network_of(*given)
    except ValueError as error:
        print(f"second_order.py: {error}", file=sys.stderr)
        return 2
    about = (
        f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}, {options.threads} threads"
    )
    print(f"{about}; {network.about}; {options.rounds} rounds")
    taken = seconds(network, options.rounds)
    ratios = [second / first for first, second in zip(*(taken[name] for name in NAMES), strict=True)]
    print(f"{'step':20} {'seconds, mean ± std':>20} {'of first order [lowest, highest]':>33} {'megabytes':>10}")
    for name in NAMES:
        with workers(1) as fresh:
            megabytes = fresh.submit(peak, given, name, options.threads).result()
        mean = f"{statistics.mean(taken[name]):.3f} ± {statistics.stdev(taken[name]):.3f}"
        ratio = statistics.mean(taken[name]) / statistics.mean(taken[NAMES[0]])
        apart = f"{ratio:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]" if name == NAMES[1] else "1"
        print(f"{name:20} {mean:>20} {apart:>33} {megabytes:10.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
