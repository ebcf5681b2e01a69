"""Do the shared weights of a CIFAR-10 parent network rank cells as training each of them from scratch does?

    python benchmarks/cifar_ranking.py RUN [--cells 100] [--operations A,B,…] [--seed 0] [--data DIR] [--device DEVICE]

Cells are drawn uniformly, or all taken where --operations leaves no more than --cells of them. They are judged with the
weights of the run's last checkpoint on its held-out images, beside their test accuracy in NAS-Bench-201's table; so are
the cell that the run stands for, the one of 3×3 convolutions alone and the table's best. Printed is Kendall's tau with
its 95 % bootstrap interval over the cells.
"""

import argparse
import itertools
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau
from tqdm import tqdm

from nas import policy
from nas.__main__ import add_machine
from nas.data import nasbench201
from nas.judging import audit
from nas.judging.statistics import bootstrap
from nas.spaces import nasbench201 as space
from nas.supernets.parent import ParentNetwork
from nas.tasks import experiments

RESAMPLES = 2000


def main() -> None:
    """Print the correlation, and the three cells one would ask about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--operations", metavar="A,B,…", help="cells of these alone (default: the space's)")
    parser.add_argument("--seed", type=int, default=0)
    add_machine(parser)
    options = parser.parse_args()
    experiment = experiments.reload(options.run)
    precision = experiment.network.precision
    experiment = replace(experiment, network=replace(experiment.network, static=False))
    network, probabilities, steps = audit.reopened(options.run, experiment, options.data, options.device, options.seed)
    random = np.random.default_rng(options.seed)
    names = network.space.operations if options.operations is None else options.operations.split(",")
    drawn = cells_of([network.space.operations.index(name) for name in names], options.cells, random)
    figures = np.array([judged(network, cell.tolist()) for cell in tqdm(drawn, disable=None, unit="cell")])
    tau = bootstrap(lambda some: float(kendalltau(*figures[some].T).statistic), len(drawn), random, RESAMPLES)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}, {precision}"
    print(f"{versions}, after {steps} steps, n = {len(drawn)} cells of {', '.join(names)}")
    print(f"Kendall's tau of shared-weight and table accuracy: {tau.value:.2f} [{tau.lower:.2f}, {tau.upper:.2f}]")
    best = nasbench201.load(options.data)
    asked = {
        "found": policy.choices(policy.one_hot_argmax(probabilities)).tolist(),
        "3x3 alone": [network.space.operations.index("nor_conv_3x3")] * len(space.EDGES),
        "best": list(network.space.read(best.architectures[int(best.column("cifar10_test").argmax())])),
    }
    print(f"{'':12}{'shared weights, %':>18}{'table, %':>10}")
    for name, cell in asked.items():
        mine, theirs = judged(network, cell)
        beaten = int((figures[:, 0] > mine).sum())
        print(f"{name:12}{mine:>18.2f}{theirs:>10.2f}  {beaten} of {len(drawn)} cells are above it here")


def cells_of(operations: list[int], count: int, random: np.random.Generator) -> np.ndarray:
    """(n, E) operation indices: all cells of these operations if they are at most `count`, else so many drawn."""
    edges = len(space.EDGES)
    if len(operations) ** edges <= count:
        return np.array(list(itertools.product(operations, repeat=edges)))
    return random.choice(operations, size=(count, edges))


def judged(network: ParentNetwork, cell: list[int]) -> tuple[float, float]:
    """Accuracy of a cell with the shared weights on held-out images, and in the table, in percent."""
    edges, candidates = network.space.shape
    gates = policy.gates_of(torch.tensor(cell), candidates, torch.zeros(edges, candidates))
    figures = network.validate(gates.to(network.device))
    return figures["accuracy"], figures["table_test_accuracy"]


if __name__ == "__main__":
    main()
