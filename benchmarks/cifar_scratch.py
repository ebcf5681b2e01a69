"""Does this network, trained by the benchmark's recipe, reach the accuracy that the benchmark reports?

    python benchmarks/cifar_scratch.py [--cells 7759 4978] [--epochs 12] [--seeds 1] [--data DIR] [--device cpu|cuda]

Each cell, by its index in NAS-Bench-201's table, is trained from scratch on all 50,000 images and judged on the test
images, beside what the table has for as many epochs: 12 (one training of the benchmark's) or 200 (the mean of up to
three). The cells of the default have no 3×3 convolution, so that two cores can train them. A training is a run folder;
stopped, the same command goes on.
"""

import argparse
import platform
from pathlib import Path

import torch
from tqdm import tqdm

from nas.__main__ import add_machine
from nas.data import nasbench201
from nas.tasks.cifar10 import scratch as scratch_images

COLUMNS = {12: "cifar10_test_12ep", 200: "cifar10_test"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[7759, 4978])
    parser.add_argument("--epochs", type=int, default=12, choices=sorted(COLUMNS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    add_machine(parser)
    options = parser.parse_args()
    table = nasbench201.load(options.data)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    print(f"{versions}, {options.device}, {torch.get_num_threads()} threads, {options.epochs} epochs")
    print(f"{'cell':>6} {'seed':>4} {'here, %':>8} {'table, %':>9} {'seconds':>8}  architecture")
    for index in options.cells:
        reported = float(table.column(COLUMNS[options.epochs])[index])
        for seed in range(options.seeds):
            recipe = scratch_images.Recipe(table.architectures[index], seed, options.epochs)
            row = scratch_images.train_once(options.runs, recipe, options.data, options.device)
            assert row is not None  # nothing stops it but a signal
            figures = f"{row['test']:>8.2f} {reported:>9.2f} {row['seconds']:>8.0f}"
            tqdm.write(f"{index:>6} {seed:>4} {figures}  {recipe.architecture}")


if __name__ == "__main__":
    main()
