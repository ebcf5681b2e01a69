"""How much memory does a step take as the number of candidates grows: one path, two paths, all of them?

    python benchmarks/memory.py [--candidates 2 4 8 16] [--batch 64] [--cells 2] [--device cpu|cuda]

The CIFAR-10 network with K 3×3 convolutions on every edge (the operation that stores most). Each figure comes from a
fresh process: peak memory of one step less what was there before it (on the CPU resident memory, on CUDA allocated
memory), after one small step has loaded the libraries. `kept` is what the forward pass stores for the backward pass,
weights left out; `weights` is the network's parameters with their gradients' worth of velocity, which must grow with K.
"""

import argparse
import platform

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.cifar_step import held, peak_memory_of
from nas.running.pool import workers
from nas.spaces.nasbench201 import EDGES
from nas.supernets.edge import choose
from nas.supernets.supernet import NetworkObjective
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork
from nas.tasks.cifar10.network import KIND

PATHS = {"one path": 1, "two paths": 2, "all": None}
MEGA = 1e6


def measure(candidates: int, paths: int | None, batch: int, cells: int, device: str) -> tuple[float, float, float]:
    """Megabytes of one architecture step: peak, kept for the backward pass, weights with velocity."""
    torch.manual_seed(0)
    network = CellNetwork(16, cells, (("nor_conv_3x3",) * candidates,) * len(EDGES), Norm(), KIND).to(device)
    weights = 2 * sum(parameter.numel() * 4 for parameter in network.parameters())
    chosen = torch.arange(len(EDGES)) % candidates
    gates = functional.one_hot(chosen, candidates).float().to(device)
    runs = torch.zeros_like(gates)
    for extra in range(candidates if paths is None else paths):
        runs += functional.one_hot((chosen + extra) % candidates, candidates).float().to(device)
    images, labels = torch.zeros(batch, 3, 32, 32, device=device), torch.zeros(batch, dtype=torch.long, device=device)
    _step(network, images[:1], labels[:1], gates, runs)
    before = held(device)
    _step(network, images, labels, gates, runs)
    peak = peak_memory_of(device) - before
    kept: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = network(images, choose(gates, runs, gradients=True))
    del scores
    return peak / MEGA, sum(kept.values()) / MEGA, weights / MEGA


def _step(network: CellNetwork, images: Tensor, labels: Tensor, gates: Tensor, runs: Tensor) -> None:
    NetworkObjective(network, functional.cross_entropy, images, labels).gradients(gates, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--cells", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    about = f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}"
    print(f"{about}, float32, batch {options.batch}, {options.cells} cells a stage; megabytes of one architecture step")
    print(f"{'runs':12}{'K':>4}{'peak':>10}{'kept':>10}{'weights':>10}")
    for name, paths in PATHS.items():
        for candidates in options.candidates:
            with workers(1) as fresh:
                job = fresh.submit(measure, candidates, paths, options.batch, options.cells, options.device)
                peak, kept, weights = job.result()
            print(f"{name:12}{candidates:>4}{peak:>10.1f}{kept:>10.1f}{weights:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
