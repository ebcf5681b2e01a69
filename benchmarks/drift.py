"""How far apart does weight training move cells, beside what architecture steps gain (theorem T15)?

    python benchmarks/drift.py [--task digits] [--preset quick] [--set KEY=VALUE ...] [--every 100] [--cells 64]
    python benchmarks/drift.py --run RUN [--every 100] [--cells 64]        on from the checkpoint of a stopped search

With search.warmup=shared the warm-up is found under --runs, or made there. Searches without a run folder (a RUN is only
read), asks the same evenly drawn cells on the same minibatches of the
architecture's data every so many steps, and prints an interval a line: what its architecture steps gained at the
weights it began with, how the losses moved together, and apart. Losses in units of the task's loss.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import torch

from nas.__main__ import add_machine
from nas.judging import drift
from nas.progress import progress_bar
from nas.running import runs, searching, warmup
from nas.tasks import experiments


def main() -> int:
    """Print the table, and write its numbers where --json says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="digits", help="a new search of this task (default: digits)")
    parser.add_argument("--preset")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets")
    parser.add_argument("--run", type=Path, metavar="RUN", help="go on from this run's checkpoint instead")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where a shared warm-up lies")
    parser.add_argument("--every", type=int, default=100, help="steps from one moment to the next")
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--batches", type=int, default=4, help="minibatches that every cell is asked on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    add_machine(parser)
    options = parser.parse_args()
    try:
        found = measured(options)
    except ValueError as error:
        print(f"drift: {error}", file=sys.stderr)
        return 2
    versions = f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}"
    print(f"{versions}; {options.batches} minibatches, seed {options.seed}\n{drift.report(found)}")
    if options.json:
        about = runs.about_this_program(options.device)
        runs.write_atomically(options.json, json.dumps({**about, **found}, indent=1) + "\n")
    return 0


def measured(options: argparse.Namespace) -> dict[str, object]:
    """The summary of the search that the options name."""
    if options.run:
        experiment = experiments.reload(options.run)
    else:
        experiment = experiments.load(options.task, options.preset, None, options.sets, usual_preset="quick")
    network = experiments.build(experiment, options.data, options.device, options.seed)
    settings, start = experiment.search, None
    if options.run:
        tensors, about = runs.read_checkpoint(options.run / runs.CHECKPOINT)
        mine = searching.fingerprint(network, options.seed)
        start, _, _ = searching.restored(tensors, about, network, options.run, mine)
    elif (shared := warmup.folder_of(options.runs, experiment, options.seed)) is not None:
        warmup.warm_up(shared, experiment, network, options.seed, options.device)
        start, _ = searching.forked(shared, network, settings, options.seed)
    cells = drift.evenly(network, options.cells, options.seed)
    (first, _), end = settings.lengths(network.steps_per_epoch), settings.end(network.steps_per_epoch)
    with progress_bar(first, end, start.step if start else 0) as show:
        course = drift.follow(network, settings, cells, options.batches, options.every, options.seed, start, show)
    return {"task": experiment.task, "method": settings.method, "batches": options.batches, **drift.summary(course)}


if __name__ == "__main__":
    sys.exit(main())
