"""How is `nasbench201.csv.gz` made from the benchmark's own release?

    pip install nats_bench
    python -m nas.data.convert_nasbench201 NATS-tss-v1_0-3ffb9-simple nasbench201.csv.gz

The first argument is the folder of the topology search space that NATS-Bench publishes (github.com/D-X-Y/NATS-Bench).
It is read by the authors' own package, which loads pickles, and a pickle can run anything: use it on their files only.
What comes out is read by `nas.data.nasbench201` without executing anything.
"""

import argparse
import csv
import gzip
import importlib
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from nas.data.nasbench201 import PARAMETERS, parameters
from nas.data.places import DataError
from nas.running.runs import write_atomically
from nas.spaces.nasbench201 import CELLS, read

RELEASED = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16_120": "ImageNet16-120"}

# column -> (name in the release, epochs, figure)
ACCURACIES = {
    **{f"{name}_test": (released, "200", "test-accuracy") for name, released in RELEASED.items()},
    "cifar10_valid": ("cifar10-valid", "200", "valid-accuracy"),
    "cifar100_valid": ("cifar100", "200", "valid-accuracy"),
    "imagenet16_120_valid": ("ImageNet16-120", "200", "valid-accuracy"),
    "cifar10_half_test": ("cifar10-valid", "200", "test-accuracy"),
    "cifar10_test_12ep": ("cifar10", "12", "test-accuracy"),
    "cifar10_valid_12ep": ("cifar10-valid", "12", "valid-accuracy"),
    "cifar100_test_12ep": ("cifar100", "12", "test-accuracy"),
    "cifar100_valid_12ep": ("cifar100", "12", "valid-accuracy"),
    "imagenet16_120_test_12ep": ("ImageNet16-120", "12", "test-accuracy"),
    "imagenet16_120_valid_12ep": ("ImageNet16-120", "12", "valid-accuracy"),
}


def rows(release: Any) -> Iterator[list[str]]:
    """The header, then one row a cell in the published order: means over the trained seeds.

    Args: release, a `nats_bench` topology object. Raises: DataError if it does not hold all cells.
    """
    if len(release.meta_archs) != CELLS:
        raise DataError(f"the release names {len(release.meta_archs)} cells, not {CELLS}")
    yield ["index", "architecture", *ACCURACIES, *(f"{name}_params" for name in PARAMETERS)]
    for index, architecture in enumerate(tqdm(release.meta_archs, disable=None, unit="cell")):
        try:
            figures = _figures(release, index)
        except Exception as error:  # the package asserts, and unpickles: it may raise anything
            raise DataError(f"cell {index}: {type(error).__name__}: {error}") from error
        cell = np.array(read(architecture))
        sizes = [str(parameters(cell, name)) for name in PARAMETERS]
        yield [str(index), architecture, *figures, *sizes]
        release.arch2infos_dict.pop(index, None)  # it keeps every cell it has read: gigabytes by the end
        release.evaluated_indexes.discard(index)


def _figures(release: Any, index: int) -> list[str]:
    asked: dict[tuple[str, str], dict[str, float]] = {}
    for name, epochs, _ in ACCURACIES.values():
        if (name, epochs) not in asked:
            asked[name, epochs] = release.get_more_info(index, name, hp=epochs, is_random=False)
    return [f"{asked[name, epochs][figure]:.8g}" for name, epochs, figure in ACCURACIES.values()]


def convert(release: Any, target: Path) -> None:
    """Write the whole table, aside first, then under its name."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows(release))
    write_atomically(target, gzip.compress(text.getvalue().encode("ascii"), mtime=0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert a release. Exit status 2 and one line where it cannot be read, or nothing could be written."""
    options = parser().parse_args(arguments)
    if not options.target.parent.is_dir():  # known before the hour of reading
        print(f"cannot write {options.target}: there is no folder {options.target.parent}", file=sys.stderr)
        return 2
    try:
        create = importlib.import_module("nats_bench").create
    except ImportError:
        print("the release is read by its authors' package: pip install nats_bench", file=sys.stderr)
        return 2
    try:
        convert(create(options.release, "tss", fast_mode=True, verbose=False), options.target)
    except (ValueError, OSError) as error:
        print(f"cannot convert {options.release}: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """What the script takes."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("release", help="folder of NATS-Bench's topology space, one file a cell")
    made.add_argument("target", type=Path, help="nasbench201.csv.gz")
    return made


if __name__ == "__main__":
    sys.exit(main())
