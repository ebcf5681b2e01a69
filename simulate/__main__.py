"""`python -m simulate COMMAND`: run an experiment with known answers and draw what came out."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.running import program

if TYPE_CHECKING:
    from simulate.study import StudySettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 2 refused (one line says why)."""
    return program.run(parser(), arguments)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    return program.parser(
        "simulate",
        __doc__,
        (
            _add_run,
            _add_compare,
            _add_study,
            _add_settings,
            _add_plot,
            _add_report,
            _add_moments,
            _add_searchers,
            _add_demo,
        ),
    )


# ------------------------------------------------------------------ run


def _add_run(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "run",
        help="run one experiment: toy, the toy regression",
        epilog="example: %(prog)s toy --quick --trials 3",
    )
    parser.add_argument("experiment", help="toy")
    parser.add_argument("--quick", action="store_true", help="the first 600 iterations, those of the published figure")
    parser.add_argument("--trials", type=int, metavar="N", help="default: 10, as published")
    parser.add_argument("--iterations", type=int, metavar="N", help="default: 2000, as published")
    parser.add_argument("--methods", metavar="A,B", help="default: the eight methods of the paper")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML settings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, e.g. method.rate=3e-3"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of one operation (default: 1)")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings and stop")
    parser.set_defaults(run_command=_run)


def _run(options: argparse.Namespace) -> int:
    if options.experiment != "toy":
        raise ValueError(f"unknown experiment {options.experiment!r}; known: toy")
    from nas.running import config, runs
    from simulate import toy

    config.bounded("--threads", options.threads, 1, 1024)

    sets = [f"iterations={toy.SHOWN}"] if options.quick else []
    sets += [f"{key}={value}" for key in ("trials", "iterations") if (value := getattr(options, key)) is not None]
    if options.methods is not None:
        sets.append(f"methods={[name.strip() for name in options.methods.split(',')]}")
    settings = config.load(toy.ToySettings, options.config, [*sets, *options.set])
    toy.check(settings)
    if options.dry_run:
        print(config.dump(settings), end="")
        return 0

    import torch

    from simulate import experiments

    torch.set_num_threads(options.threads)
    stop = program.Stop()
    folder = experiments.toy_in(options.runs, settings, options.seed, options.device, stopped=stop)
    if folder is None:
        return stop.said(runs.folder_of(options.runs, "toy", settings, options.seed))
    print(toy.table(runs.result(folder)))
    print(f"figure: {folder / 'toy.svg'}")
    return 0


# ------------------------------------------------------------------ demo


def _add_demo(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="both real uses in their quick form, on one page",
        epilog="example: %(prog)s --out demo",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), help="where run folders and index.html go (default: demo)"
    )
    parser.set_defaults(run_command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from simulate import demo

    stop = program.Stop()
    if demo.demo(options.out, stop) is None:
        return stop.said(options.out)
    return 0


# ------------------------------------------------------------------ compare, study, plot, report

PRICED = (
    "methods are compared after equally many steps and, where steps cost differently, after equal passes (forward and\n"
    "backward) and equal seconds: a step's, measured on this machine on the toy regression of the landscape's size"
)


def _add_compare(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="some methods on one landscape, as a table and a page",
        epilog=f"{PRICED}\nevery setting, with its default and meaning: python -m simulate settings\n\n"
        "example: %(prog)s quadratic advantage reinforce --set rate=0.03 --set replicates=200",
    )
    parser.add_argument("landscape", help="a name (`compare list` prints them), or your own package.module:name")
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="names, or your own package.module:name")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting: rate, steps, replicates, common, ...",
    )
    _add_where(parser)
    parser.set_defaults(run_command=_compare)


def _compare(options: argparse.Namespace) -> int:
    from nas import methods
    from nas.running import config
    from simulate import landscapes, study
    from theory.landscapes.named import FIXED

    if options.landscape == "list":
        print("\n".join(landscapes.names()))
        return 0
    if not options.methods:
        raise ValueError(f"name one method or more; known: {', '.join(methods.METHODS)}")
    own_size = dict(zip(("edges", "candidates"), FIXED.get(options.landscape, ()), strict=False))
    settings = config.load(
        study.StudySettings,
        sets=[f"base.{text}" for text in options.set],
        base={
            "name": "compare",
            "about": f"{' and '.join(options.methods)} on {options.landscape}.",
            "base": {"landscape": options.landscape, **own_size},
            "grid": {"method": options.methods},
        },
    )
    return _run_study(settings, options)


def _add_study(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "study",
        help="run a grid of cells in parallel, draw it, write its report",
        epilog=f"{PRICED}\nwhat a study holds: docs/howto/studies.md, and python -m simulate settings\n\n"
        "example: %(prog)s monotone_exact --dry-run",
    )
    parser.add_argument(
        "file",
        type=Path,
        metavar="STUDY",
        help="a TOML file, or the name of one of the toolkit's studies (`study list` prints them)",
    )
    _add_where(parser)
    parser.set_defaults(run_command=_study)


def _study(options: argparse.Namespace) -> int:
    from simulate import study

    if options.file == Path("list"):
        print("\n".join(f"{name:<18}{study.about(file)}" for name, file in study.bundled().items()))
        return 0
    return _run_study(study.load(study.find(options.file)), options)


def _add_where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on a Dask cluster instead, e.g. tcp://host:8786")
    parser.add_argument("--device", help="cpu or cuda, whatever the study says")
    parser.add_argument("--dry-run", action="store_true", help="count the cells and stop")


def _run_study(settings: "StudySettings", options: argparse.Namespace) -> int:
    from nas.running import config, pool
    from simulate import experiments, report, study

    config.bounded("--workers", options.workers, 1, 1024)
    if options.device is not None:
        settings = replace(settings, machine=replace(settings.machine, world="torch", device=options.device))
    settings.machine.check()
    cells = study.cells(settings)
    if options.dry_run:
        print(f"{len(cells)} cells, {sum(map(study.work, cells)):,} replicate-steps")
        return 0

    if options.scheduler is not None:
        pool.answers(options.scheduler)

    def executor() -> contextlib.AbstractContextManager[Executor]:
        if options.scheduler is not None:
            return pool.cluster(options.scheduler, pool.DEATHS)
        return pool.workers(options.workers, threads=1)

    stop = program.Stop()
    folder = experiments.study_in(options.runs, settings, cells, executor, stopped=stop)
    if folder is None:
        return stop.said(experiments.study_folder(options.runs, settings))
    print(report.text(study.read(folder)))
    print(f"report: {folder / 'report.html'}")
    return 0


def _add_settings(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "settings",
        help="every setting of a cell and of a study, with its default and meaning",
        epilog="example: %(prog)s",
    )
    parser.set_defaults(run_command=_settings)


def _settings(options: argparse.Namespace) -> int:
    from nas.running import meanings
    from simulate.run import Machine, Setting
    from simulate.study import StudySettings

    print(meanings.text("", "a cell: [base], [grid] and [[cases]] of a study, --set of compare", Setting))
    print(f"\n{meanings.text('', 'a study', StudySettings)}")
    print(f"\n{meanings.text('machine', 'where a study computes', Machine)}")
    return 0


def _add_plot(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "plot",
        help="draw the figures of a run folder, of a study or the toy, as SVG and PNG",
        epilog="example: %(prog)s runs/first/DIGEST-s0 --to figure --only loss,time",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument(
        "--to", type=Path, metavar="STEM", help="write STEM-FIGURE.svg, .png, and the numbers, STEM.json"
    )
    parser.add_argument("--only", metavar="A,B", help="some of a study's figures (default: all)")
    parser.set_defaults(run_command=_plot)


def _plot(options: argparse.Namespace) -> int:
    from simulate import report

    for file in report.draw(options.run, options.to, options.only.split(",") if options.only is not None else ()):
        print(file)
    return 0


def _add_report(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="write one self-contained page about a study's run folder",
        epilog="example: %(prog)s runs/first/DIGEST-s0",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.set_defaults(run_command=_report)


def _report(options: argparse.Namespace) -> int:
    from simulate import report

    print(report.write(options.run))
    return 0


# ------------------------------------------------------------------ moments, searchers


def _add_moments(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "moments",
        help="measured bias and variance beside theory's exact ones",
        epilog="example: %(prog)s advantage reinforce --landscape trap --draws 20000",
    )
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="default: all, and a deliberately wrong one")
    parser.add_argument(
        "--landscape", default="quadratic", help="one of theory's, or your own package.module:name (default: quadratic)"
    )
    parser.add_argument("--draws", type=int, default=100_000, metavar="N", help="gradients a method (default: 100000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run_command=_moments)


def _moments(options: argparse.Namespace) -> int:
    from nas import methods
    from nas.running import config
    from simulate import moments

    config.bounded("--draws", options.draws, 100, 100_000_000)
    known = [method for method in methods.METHODS.values() if method.estimator is not None]
    chosen = [methods.find(name, landscape=True) for name in options.methods] or [*known, moments.WRONG]
    head = (
        f"{'method':<31}{'bias':>9}{'measured':>10}{'variance':>11}{'measured':>11}{'z mean':>9}{'z var':>8}  verdict"
    )
    verdicts: dict[str, bool] = {}
    for method in chosen:
        beside = moments.compare(method, options.landscape, options.draws, options.seed)
        if not verdicts:  # not before too few draws were refused
            print(head)
        verdicts[method.name] = beside.agrees
        print(
            f"{method.name:<31}{beside.bias_norm:>9.4f}{beside.measured_bias_norm:>10.4f}{beside.variance:>11.4f}"
            f"{beside.measured_variance:>11.4f}{beside.worst:>9.2f}{beside.variance_z:>8.2f}  "
            f"{'agrees' if beside.agrees else 'differs'}"
        )
    print(
        f"n = {options.draws} draws each; agrees: |z| below its bound at level {moments.LEVEL:g}, corrected for entries"
    )
    expected = {name: name != moments.WRONG.name for name in verdicts}
    return 0 if verdicts == expected else 1


def _add_searchers(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "searchers",
        help="random search, evolution, LSTM controller, PNAS on NAS-Bench-201's table",
        epilog="example: %(prog)s --repeats 100",
    )
    parser.add_argument("--budget", type=int, metavar="N", help="architectures; default: where random search has 93.70")
    parser.add_argument("--repeats", type=int, default=500, metavar="N", help="runs of each searcher (default: 500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder (else ADVANTAGE_NAS_DATA, ./data, cache)")
    parser.add_argument("--to", type=Path, metavar="STEM", help="write STEM.svg, .png and the numbers, STEM.json")
    parser.set_defaults(run_command=_searchers)


def _searchers(options: argparse.Namespace) -> int:
    from nas.running import config, files
    from simulate import searchers

    config.bounded("--repeats", options.repeats, 2, 1_000_000)
    if options.budget is not None:
        config.bounded("--budget", options.budget, 2, 1_000_000)
    if options.to is not None:
        files.check_target(options.to.with_suffix(".json"))
    table = searchers.cube(options.data)
    matched = searchers.matched_budget(table, searchers.PUBLISHED["random"][0])
    budget = matched if options.budget is None else options.budget
    print(f"{options.repeats} runs of {budget} architectures each; sees {searchers.SEEN}, judged by {searchers.JUDGED}")
    reached = {
        name: search(table, budget, options.repeats, options.seed) for name, search in searchers.SEARCHERS.items()
    }
    for name, accuracy in reached.items():
        known = searchers.PUBLISHED.get(name)
        beside = f"; published {known[0]:.2f} ± {known[1]:.2f} (NASWOT, Table 2a)" if known else ""
        print(f"{name:<12}{accuracy[:, -1].mean():.2f} ± {accuracy[:, -1].std(ddof=1):.2f}{beside}")
    print(f"best of the table: {table.judged.max():.2f}")
    if options.to is not None:
        from nas.judging import style
        from nas.running import runs
        from simulate import plot

        style.save(plot.searchers_figure(reached, searchers.PUBLISHED), options.to)
        ends = {name: accuracy[:, -1] for name, accuracy in reached.items()}
        numbers = {
            "made": runs.about_this_program(),
            "runs": options.repeats,
            "budget": budget,
            "searchers": {name: {"mean": end.mean(), "deviation": end.std(ddof=1)} for name, end in ends.items()},
            "published": searchers.PUBLISHED,
        }
        runs.write_atomically(options.to.with_suffix(".json"), json.dumps(numbers, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
