"""Do the shared weights of a CIFAR-10 parent network rank cells as training each of them from scratch does?

    python benchmarks/cifar_ranking.py RUN [--cells 100] [--seed 0] [--data DIR] [--device cpu|cuda]

Cells are drawn uniformly and judged with the weights of the run's last checkpoint on its held-out images, beside their
test accuracy in NAS-Bench-201's table; so are the cell that the run stands for, the one of 3×3 convolutions alone and
the table's best. Printed is Kendall's tau with its 95 % bootstrap interval over the drawn cells.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau
from tqdm import tqdm

from nas import audit, policy, tasks
from nas.data import nasbench201
from nas.spaces import nasbench201 as space
from nas.supernets.parent import ParentNetwork

RESAMPLES = 2000


def main() -> None:
    """Print the correlation, and the three cells one would ask about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    precision = tasks.reload(options.run).network.precision
    network, probabilities, _, steps = audit.reopened(
        options.run, precision, options.data, options.device, options.seed
    )
    random = np.random.default_rng(options.seed)
    drawn = random.integers(network.space.shape[1], size=(options.cells, network.space.shape[0]))
    figures = np.array([judged(network, cell.tolist()) for cell in tqdm(drawn, disable=None, unit="cell")])
    tau = kendalltau(*figures.T).statistic
    places = random.integers(options.cells, size=(RESAMPLES, options.cells))
    low, high = np.nanquantile([kendalltau(*figures[some].T).statistic for some in places], (0.025, 0.975))
    versions = f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}, {precision}"
    print(f"{versions}, after {steps} steps, n = {options.cells} cells")
    print(f"Kendall's tau of shared-weight and table accuracy: {tau:.2f} [{low:.2f}, {high:.2f}]")
    best = nasbench201.load(options.data)
    names = {
        "found": policy.choices(policy.one_hot_argmax(probabilities)).tolist(),
        "3x3 alone": [network.space.operations.index("nor_conv_3x3")] * len(space.EDGES),
        "best": list(network.space.read(best.architectures[int(best.column("cifar10_test").argmax())])),
    }
    print(f"{'':12}{'shared weights, %':>18}{'table, %':>10}")
    for name, cell in names.items():
        mine, theirs = judged(network, cell)
        beaten = int((figures[:, 0] > mine).sum())
        print(f"{name:12}{mine:>18.2f}{theirs:>10.2f}  {beaten} of {options.cells} drawn cells are above it here")


def judged(network: ParentNetwork, cell: list[int]) -> tuple[float, float]:
    """Accuracy of a cell with the shared weights on held-out images, and in the table, in percent."""
    edges, candidates = network.space.shape
    gates = policy.gates_of(torch.tensor(cell), candidates, torch.zeros(edges, candidates))
    figures = network.validate(gates.to(network.device))
    return figures["accuracy"], figures["table_test_accuracy"]


if __name__ == "__main__":
    main()
