"""How fast are exact moments? Seconds a method on 4^6 and 10^6 architectures, peak memory, and every sparse method.

    python benchmarks/exact_moments.py [--large]

Aims: all sparse methods on 4^6 = 4,096 architectures within 2 s on two cores; 10^6 architectures within 30 s and 1 GiB.
"""

import argparse
import os
import platform
import resource
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from nas.methods import METHODS
from theory import exact
from theory.landscapes import make

LARGE = ("reinforce", "advantage", "exact_advantage", "debiased_advantage", "counterfactual")


def seconds(name: str, landscape: str, candidates: int, repeats: int) -> tuple[float, float]:
    """(median, largest) seconds of `repeats` runs on 6 edges."""
    land, p = make(landscape, 6, candidates, seed=1), np.full((6, candidates), 1 / candidates)
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        exact.moments(METHODS[name], land, p)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken), max(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="10^6 architectures, minutes")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}")
    if options.large:
        for landscape in ("quadratic", "heavy_tailed"):
            for name in LARGE:
                taken, _ = seconds(name, landscape, 10, 1)
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
                print(f"10^6 {landscape:12} {name:20} {taken:6.1f} s, process peak {peak:.2f} GiB", flush=True)
        return
    sparse = [n for n, m in METHODS.items() if m.propagation == "sparse" and m.estimator is not None]
    for landscape in ("quadratic", "heavy_tailed"):
        rows = {name: seconds(name, landscape, 4, 3) for name in sparse}
        for name, (median, worst) in rows.items():
            print(f"4^6 {landscape:12} {name:30} {median:6.3f} s (slowest of 3: {worst:.3f})")
        print(f"4^6 {landscape:12} all {len(sparse)} sparse methods: {sum(m for m, _ in rows.values()):.2f} s")


if __name__ == "__main__":
    main()
