"""`python -m nas COMMAND`: search, and what is done with a finished search."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas import tasks
from nas.running import program

if TYPE_CHECKING:
    from nas.tasks.task import Experiment


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 2 refused (one line says why), 143 stopped by SIGTERM or 130 by Ctrl-C."""
    return program.run(parser(), arguments)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    return program.parser(
        "nas",
        __doc__,
        (
            _add_search,
            _add_derive,
            _add_settings,
            _add_evaluate,
            _add_compare,
            _add_sweep,
            _add_audit,
            _add_table,
            _add_draw,
            _add_report,
            _add_watch,
            _add_export,
            _add_fetch,
        ),
    )


# ------------------------------------------------------------------ search


def _add_search(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "search",
        help="search an architecture with a weight-sharing parent network",
        epilog="every setting, with its default and meaning: python -m nas settings TASK\n\n"
        "example: %(prog)s digits --preset quick --method reinforce --set search.rate=1e-2",
    )
    _add_task(parser, usual_preset="small")
    parser.add_argument("--method", help="short for --set search.method=NAME; package.module:name for your own")
    _add_text(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved settings and stop")
    _add_trackers(parser)
    add_machine(parser)
    parser.set_defaults(run_command=_search)


def _search(options: argparse.Namespace) -> int:
    from nas.progress import nearly_even
    from nas.running import config, plugins, processes, runs, warmup
    from nas.running.searching import search_in
    from nas.settings import build_method
    from nas.tasks import experiments

    sets = [f"search.method={options.method}"] if options.method is not None else []
    experiment = _experiment(options, sets)
    build_method(experiment.search)  # an unknown method is refused before any data is read
    if options.dry_run:
        print(config.dump(experiment), end="")
        return 0
    folder = runs.folder_of(options.runs, tasks.find(options.task).name, experiment, options.seed)
    begun = warmup.folder_of(options.runs, experiment, options.seed)
    result, trackers = None, _trackers(options)
    with processes.joined(options.device) as device:
        stop = program.Stop()  # not before: while others are waited for, a signal ends this process
        network = experiments.build(experiment, options.data, device, options.seed)
        tell = print if processes.rank() == 0 else lambda line: None
        tell(network.about)
        stopped = processes.agreed(stop, device)
        if begun is not None:
            tell(f"going on from the warm-up {begun}")
        if begun is None or warmup.warm_up(begun, experiment, network, options.seed, device, stopped):
            with processes.open_run(folder, experiment, device, trackers) as run:
                tell(f"{'resuming' if run.resumed else 'searching in'} {folder}")
                result = search_in(run, network, experiment.search, options.seed, stopped, begun)
        if processes.rank() > 0:
            return 0
    if result is None:
        return stop.said(folder)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in result["figures"].items())
    ended = f", ended by search.{result['ended']} at step {result['steps']}" if "ended" in result else ""
    print(f"found {result['architecture']} in {result['seconds']} s ({figures}){ended}")
    if experiment.search.derive == "argmax" and nearly_even(result["probabilities"]):
        print(
            f"its policy is still nearly even: evaluate it beside random cells, or raise search.rate (it was "
            f"{experiment.search.rate:g}) or search.epochs ({experiment.search.epochs})"
        )
    allow = "".join(f" --allow {module}" for module in plugins.allowed())  # of the user's own, which the run names
    print(f"evaluate it: python -m nas evaluate {folder}{allow}")
    return 0


# ------------------------------------------------------------------ derive


def _add_derive(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "derive",
        help="what a finished search stands for when it is read out in another way",
        epilog="example: %(prog)s runs/ptb/DIGEST-s0 ranked:100",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a finished search")
    parser.add_argument(
        "how",
        metavar="HOW",
        help="argmax, best_seen (of a search with search.derive=best_seen), ranked:N (the best of N drawn cells), "
        "tuned:N:M:E (M of them train E epochs alone) or climbed:N (from the argmax edge by edge, N cells at most)",
    )
    add_machine(parser)
    parser.set_defaults(run_command=_derive)


def _derive(options: argparse.Namespace) -> int:
    from nas.judging import derivation

    stop = program.Stop()
    read_out = derivation.derived(options.run, options.how, options.data, options.device, stop)
    if read_out is None:
        return stop.said(options.run)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in read_out["figures"].items())
    print(f"{options.how} is {read_out['architecture']} ({figures}), in {read_out['seconds']} s")
    print(derivation.file_of(options.run, options.how))
    return 0


# ------------------------------------------------------------------ settings


def _add_settings(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "settings",
        help="every setting of a search and its network, with its default and meaning",
        epilog="example: %(prog)s cifar10",
    )
    parser.add_argument("task", nargs="?", metavar="TASK", help=f"{tasks.KNOWN} (default: all of the toolkit's)")
    parser.set_defaults(run_command=_settings)


def _settings(options: argparse.Namespace) -> int:
    from nas.running import meanings
    from nas.settings import SearchSettings

    named = [options.task] if options.task is not None else list(tasks.BUILT_IN)
    chosen = {name: tasks.find(name).settings for name in named}
    print(meanings.text("search", "of every search", SearchSettings))
    for name, kind in chosen.items():
        print(f"\n{meanings.text('network', f'of the task {name}', kind)}")
    task = options.task or "TASK"
    for name in named:
        print(f"\npresets of the task {name}: {', '.join(tasks.find(name).known_presets()) or 'none'}", end="")
    print(
        f"\none of them: --set search.rate=1e-3. All, as a preset resolves them: python -m nas search {task} --dry-run"
    )
    return 0


# ------------------------------------------------------------------ evaluate


def _add_evaluate(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="judge what a finished search found, beside what it must beat",
        epilog="example: %(prog)s runs/ptb/DIGEST-s0 --seeds 3 --randoms 3",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a finished search")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each model that is trained (default: 1)")
    parser.add_argument("--randoms", type=int, default=1, help="random architectures beside it (default: 1)")
    parser.add_argument("--epochs", type=int, help="of each training from scratch (default: the task's)")
    parser.add_argument("--train", action="store_true", help="cifar10, cifar100: train too, beside the table")
    add_machine(parser)
    parser.set_defaults(run_command=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    from nas.judging import evaluate
    from nas.tasks.task import Request

    stop = program.Stop()
    request = Request(
        options.seeds,
        options.randoms,
        options.train,
        options.epochs,
        options.data,
        options.device,
        stop,
    )
    rows = evaluate.evaluate(options.run, request)
    if rows is None:
        return stop.said(options.run)
    print(evaluate.table(rows))
    return 0


# ------------------------------------------------------------------ compare


def _add_compare(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "compare",
        help="methods and seeds at equal search time, random search among them",
        epilog="example: %(prog)s cifar10 --methods advantage,gdas --seeds 3 --jobs 2",
    )
    _add_task(parser, usual_preset="quick")
    parser.add_argument(
        "--methods",
        metavar="A,B,…",
        help="default: those of the paper that run sparsely; A+rate=0.1+… searches with settings of its own",
    )
    parser.add_argument("--seeds", type=int, default=3, help="of each method (default: 3)")
    _add_places(parser)
    _add_text(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    _add_trackers(parser)
    add_machine(parser)
    parser.set_defaults(run_command=_compare)


def _compare(options: argparse.Namespace) -> int:
    from nas.judging import compare
    from nas.tasks.task import Comparison

    experiment = _experiment(options)
    named = tuple(options.methods.split(",")) if options.methods else compare.METHODS
    stop = program.Stop()
    machine = (options.data, options.device, stop, options.jobs, options.scheduler, _trackers(options))
    compared = compare.compare(Comparison(experiment, named, options.seeds, options.runs, *machine))
    if compared is None:
        return stop.said()
    print(compare.table(compared))
    return 0


# ------------------------------------------------------------------ sweep


def _add_sweep(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "sweep",
        help="search with every combination of a file's settings and seeds, and say which did best",
        epilog="example: %(prog)s rates.toml --jobs 2",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="TOML: task, seeds, [base], [grid], [[cases]]")
    _add_places(parser)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where run folders go (default: runs)")
    parser.add_argument("--dry-run", action="store_true", help="print the searches and stop")
    _add_trackers(parser)
    add_machine(parser)
    parser.set_defaults(run_command=_sweep)


def _sweep(options: argparse.Namespace) -> int:
    from nas.judging import sweep

    settings, cells = sweep.load(options.file)
    stop = program.Stop()
    machine = (options.data, options.device, stop, options.jobs, options.scheduler, _trackers(options))
    asked = sweep.Sweep(settings, cells, options.runs, *machine)
    if options.dry_run:
        for cell, one in zip(cells, asked.searches(), strict=False):  # those of the first seed
            print(asked.root / one.folder, sweep.set_as(cell.varied))
        return 0
    answer = sweep.sweep(asked)
    if answer is None:
        return stop.said()
    print(sweep.table(answer))
    return 0


# ------------------------------------------------------------------ audit


def _add_audit(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "audit",
        help="first-order credit against really zeroed edges, on a run's network",
        epilog="example: %(prog)s runs/cifar10/DIGEST-s0 --samples 64",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a search, finished or not")
    parser.add_argument("--samples", type=int, default=64, help="architectures that are measured (default: 64)")
    parser.add_argument("--along", type=int, default=16, help="of these, followed along every gate (default: 16)")
    parser.add_argument(
        "--methods", metavar="A,B,…", help="measured beside, or none (default: those that run sparsely)"
    )
    parser.add_argument("--seed", type=int, default=0)
    add_machine(parser)
    parser.set_defaults(run_command=_audit)


def _audit(options: argparse.Namespace) -> int:
    from nas.judging import audit

    along = min(options.along, options.samples)
    beside = audit.BESIDE if options.methods is None else tuple(options.methods.split(","))
    beside = () if beside == ("none",) else beside
    audited = audit.audit(options.run, options.data, options.device, options.samples, along, options.seed, beside)
    print(audit.report(audited))
    return 0


# ------------------------------------------------------------------ table


def _add_table(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "table",
        help="what the NAS-Bench-201 table says",
        epilog="example: %(prog)s best",
    )
    parser.add_argument("question", metavar="ARCH|INDEX|best|stats", help="a cell, the best cells, or all of them")
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder")
    parser.set_defaults(run_command=_table)


def _table(options: argparse.Namespace) -> int:
    from nas.data import nasbench201
    from nas.judging import table

    print(table.answer(nasbench201.load(options.data), options.question))
    return 0


# ------------------------------------------------------------------ draw


def _add_draw(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "draw",
        help="the cell of a run, and how its probabilities moved, as SVG and PNG",
        epilog="example: %(prog)s runs/digits/DIGEST-s0",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a search, finished or not")
    parser.set_defaults(run_command=_draw)


def _draw(options: argparse.Namespace) -> int:
    from nas.judging import figures

    for path in figures.draw(options.run):
        print(path)
    return 0


# ------------------------------------------------------------------ export


def _add_export(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="what a search found as a PyTorch module, ONNX, JSON or a Graphviz drawing",
        epilog="example: %(prog)s runs/ptb/DIGEST-s0 --to cell.py",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a finished search")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="FILE.py, .onnx, .json or .dot")
    parser.add_argument(
        "--weights", type=Path, metavar="RUN", help="weights of this search or training, beside FILE.py or in FILE.onnx"
    )
    _add_data(parser)
    parser.set_defaults(run_command=_export)


def _export(options: argparse.Namespace) -> int:
    from nas.judging import export

    for path in export.export(options.run, options.to, options.weights, options.data):
        print(path)
    return 0


# ------------------------------------------------------------------ report


def _add_report(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="one page of a run: verdict, cell, curves, judgement, audit, commands",
        epilog="example: %(prog)s runs/digits/DIGEST-s0",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a search, finished or not")
    parser.set_defaults(run_command=_report)


def _report(options: argparse.Namespace) -> int:
    from nas.judging import report

    print(report.write(options.run))
    return 0


# ------------------------------------------------------------------ watch


def _add_watch(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "watch",
        help="the report of a running search in the browser, as it goes on",
        epilog="example: %(prog)s runs/ptb/RUN --port 8000",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of a search that has begun")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="at 127.0.0.1 (default: one that is free)")
    parser.set_defaults(run_command=_watch)


def _watch(options: argparse.Namespace) -> int:
    from nas.judging import watch

    with watch.server(options.run, options.port) as server:
        print(f"http://{watch.HOST}:{server.server_address[1]}/  (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:  # the one way to end it
            return 0
    return 0


# ------------------------------------------------------------------ fetch


def _add_fetch(commands: program.Commands) -> None:
    parser = commands.add_parser(
        "fetch",
        help="download a data set that is published freely; goes on where it stopped",
        epilog="example: %(prog)s cifar10",
    )
    parser.add_argument("source", choices=("cifar10", "cifar100"))
    parser.add_argument("--data", type=Path, dest="target", metavar="DIR", help="where to (default: the user's cache)")
    parser.set_defaults(run_command=_fetch)


def _fetch(options: argparse.Namespace) -> int:
    from nas.data import cifar10, cifar100, places

    sources = {"cifar10": cifar10.SOURCE, "cifar100": cifar100.SOURCE}
    print(places.download(sources[options.source], options.target or places.user_cache()))
    return 0


# ------------------------------------------------------------------ shared by commands


def _add_task(parser: argparse.ArgumentParser, usual_preset: str) -> None:
    """The task that is searched, and its settings."""
    parser.add_argument("task", metavar="TASK", help=tasks.KNOWN)
    named = "; ".join(f"{task}: {', '.join(names)}" for task, names in tasks.presets().items())
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"of the task ({named}); default: {usual_preset}, or none where the task has no such preset",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML settings over the preset's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, e.g. search.rate=1e-3"
    )
    parser.set_defaults(usual_preset=usual_preset)


def _add_text(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--text",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="text: your own UTF-8 text, one file or three (train, valid, test)",
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Where several searches are done."""
    parser.add_argument("--jobs", type=int, default=1, help="searches side by side (default: 1)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on a Dask cluster instead, e.g. tcp://host:8786")


def _add_trackers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tracker",
        action="append",
        default=[],
        metavar="NAME",
        help="tell mlflow or wandb, too, what is recorded; package.module:function for your own",
    )


def _trackers(options: argparse.Namespace) -> tuple[str, ...]:
    """The trackers that were asked for, each known to be there."""
    if options.tracker:
        from nas.running import trackers

        for name in options.tracker:
            trackers.find(name)
    return tuple(options.tracker)


def _experiment(options: argparse.Namespace, sets: Sequence[str] = ()) -> "Experiment[Any]":
    """The experiment that the options of `_add_task` and `_add_text` ask for; `sets` come last."""
    from nas.tasks import experiments

    sets = [*options.set, *sets]
    if options.text:
        files = [str(file.resolve()) for file in options.text]
        sets.append(f"network.text={json.dumps(files, ensure_ascii=False)}")
    return experiments.load(options.task, options.preset, options.config, sets, options.usual_preset)


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Options that say where data is and where to compute."""
    _add_data(parser)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="data folder (else ADVANTAGE_NAS_DATA, ./data, user cache)"
    )


if __name__ == "__main__":
    sys.exit(main())
