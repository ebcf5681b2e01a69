"""How long does it take to load the images and the table, and how much memory does a process take for the table?

    python benchmarks/loading.py [--rounds 5] [--data DIR]

Medians [shortest, longest] of the rounds, checksums included; in the first round files may come from the disk. Aims:
all 60,000 images under 3 s; the table well under 100 MB.
"""

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from nas.data import cifar10, nasbench201


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, n = {options.rounds}")
    before = resident()
    nasbench201.load(options.data)
    print(f"the table grows a process by at most {resident() - before:.0f} MB")
    for name, load in (("the table", table), ("60,000 images", cifar10.load)):
        taken = [seconds(load, options.data) for _ in range(options.rounds)]
        print(f"{name}: {statistics.median(taken):.2f} s [{min(taken):.2f}, {max(taken):.2f}]")


def table(data: Path | None) -> object:
    """The table, read again."""
    nasbench201._table.cache_clear()
    return nasbench201.load(data)


def seconds(load: Callable[[Path | None], object], data: Path | None) -> float:
    """By the clock, of one call."""
    start = time.perf_counter()
    load(data)
    return time.perf_counter() - start


def resident() -> float:
    """The largest resident memory so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
