"""`python -m theory COMMAND`: verify the claims, or write the report card of an estimator."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.running import files, program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 a claim does not hold, 2 refused (one line says why)."""
    return program.run(parser(), arguments)


def alone() -> int:
    """The program in a process of its own: `python -m theory`, or the script."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: BLAS threads only wait for each other
    return main()


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    return program.parser("theory", __doc__, (_add_verify, _add_card, _add_results))


# ------------------------------------------------------------------ verify


def _add_verify(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "verify", help="do the theorems hold, and are their controls caught?", epilog="example: %(prog)s --only T1,T4"
    )
    parser.add_argument("--only", metavar="T1,T4", help="these claims (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cases", type=int, metavar="N", help="random cases a claim, more for a wider search (default: 2000)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ledger")
    parser.add_argument("--proofs", type=Path, metavar="FILE", help="a record of proofs/check.py --json FILE")
    parser.set_defaults(run_command=_verify)


def _verify(options: argparse.Namespace) -> int:
    from theory import ledger
    from theory.claims import CLAIMS

    only = [name.strip() for name in options.only.split(",")] if options.only is not None else list(CLAIMS)
    if options.json is not None:
        files.check_target(options.json)
    cases = ledger.DEFAULT_CASES if options.cases is None else options.cases
    rows = ledger.verify(only, options.seed, cases, options.proofs)
    print(ledger.table(rows))
    if options.json:
        ledger.write(options.json, rows, options.seed, cases)
    return 0 if ledger.passed(rows) else 1


# ------------------------------------------------------------------ card


def _add_card(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "card",
        help="the report card of an estimator",
        epilog="example: %(prog)s advantage reinforce --landscape trap",
    )
    parser.add_argument("method", nargs="+", help="names of methods, or package.module:name of your own")
    parser.add_argument(
        "--landscape",
        default="quadratic",
        help="a name (docs/theory.md lists them), or your own package.module:name (default: quadratic)",
    )
    parser.add_argument("--dataset", help="cifar10 (default), cifar100 or imagenet16_120, of nasbench201")
    parser.add_argument("--edges", type=int, help="default: the landscape's own, or 6")
    parser.add_argument("--candidates", type=int, help="default: the landscape's own, or 4")
    parser.add_argument("--seed", type=int, default=0, help="of the landscape")
    parser.add_argument("--policy", default="uniform", metavar="uniform|FILE", help="JSON: E rows of K probabilities")
    parser.add_argument("--progress", type=float, default=0.0, help="of the search, 0 to 1: sets temperatures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the cards")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw them (default: runs/card.png)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (else ADVANTAGE_NAS_DATA)")
    parser.set_defaults(run_command=_card)


def _card(options: argparse.Namespace) -> int:
    from nas.judging import style
    from nas.methods import find
    from theory import card
    from theory.landscapes import make

    methods = [find(name, landscape=True) for name in options.method]
    if not 0 <= options.progress <= 1:
        raise ValueError(f"--progress must lie in 0 to 1, not {options.progress}")
    if options.json is not None:
        files.check_target(options.json)
    if options.figure is not None:
        style.check(options.figure)
    about = {}
    if options.landscape == "nasbench201":
        about = {"dataset": options.dataset or "cifar10", "data": options.data}
    elif options.dataset or options.data:
        option = "--dataset" if options.dataset else "--data"
        raise ValueError(f"{option} belongs to --landscape nasbench201, not to {options.landscape}")
    landscape = make(options.landscape, options.edges, options.candidates, options.seed, **about)
    policy = card.read_policy(options.policy, landscape.edges, landscape.candidates)
    figure = options.figure or Path("runs") / "card.png"
    if options.figure is None:
        figure.parent.mkdir(exist_ok=True)
        style.check(figure)
    cards = [card.card(method, landscape, policy, options.progress) for method in methods]
    print(f"{options.landscape}, {landscape.edges} edges, {landscape.candidates} candidates, policy {options.policy}\n")
    print(card.table(cards))
    if options.json:
        facts = {
            "landscape": options.landscape,
            **({"dataset": about["dataset"]} if about else {"seed": options.seed}),
            "edges": landscape.edges,
            "candidates": landscape.candidates,
            "policy": policy.tolist(),
            "min_loss": float(landscape.min_loss),
            "max_loss": float(landscape.max_loss),
        }
        card.write(options.json, cards, facts)
    card.figure(figure, cards)
    print(f"\nfigure: {figure}")
    return 0


# ------------------------------------------------------------------ results


def _add_results(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "results",
        help="make the numbers and figures of docs/results/theory* again",
        epilog="example: %(prog)s --only rule --out figures",
    )
    parser.add_argument("--out", type=Path, default=Path("docs/results"), metavar="DIR", help="default: docs/results")
    parser.add_argument(
        "--only", choices=("nasbench201", "map", "repairs", "sampled", "rule", "methods"), help="one of them"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (else ADVANTAGE_NAS_DATA)")
    parser.add_argument("--redraw", action="store_true", help="draw the numbers that are in --out again")
    parser.set_defaults(run_command=_results)


def _results(options: argparse.Namespace) -> int:
    from theory import results

    for path in results.make_results(options.out, options.only, options.data, options.redraw):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(alone())
