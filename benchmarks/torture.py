"""Is anything lost when a run is killed, damaged or out of room? Prints tries, kills and faults of each class.

    python benchmarks/torture.py --kills 1000 --inputs 1000000 --seed 0

Everything that writes (a search on text, its evaluation, audit and page, a comparison, a study, the toy, a download) is
ended at random moments and at random writes, then begun again and compared with what was left alone; so are one process
of two that search as one, and a comparison with its workers by Ctrl-C. Files of a run folder are damaged at random
places; many processes start one run; files may not grow beyond a limit; the clock is set back. All that reads is given
damaged files and words (benchmarks/inputs.py). Clean is: the same bits in the end, or one line that says why not, and
never more than a GiB. All follows from the seed but where a signal finds the run. This process imports once and forks
for every try, `--jobs` of them side by side; a study's cells run in a thread instead of a worker.
"""

import argparse
import contextlib
import fcntl
import hashlib
import io
import json
import math
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import inputs
from nas.__main__ import main as nas
from nas.data import cifar10
from nas.data.places import Source
from nas.running import pool, runs
from simulate import study
from simulate.__main__ import main as simulate

SEARCH = ["network.corpus=embedded", "network.units=6", "network.batch=400", "network.window=16", "network.least=60"]
SEARCH += ["network.threads=1", "network.precision=float32", "search.epochs=2", "search.warmup_epochs=1"]
JUDGED = ["--randoms", "1", "--epochs", "1"]
TOY = ["trials=2", "iterations=30", "block=1", "network.edges=2", "network.candidates=2", "network.batch=4"]
CELLS = ["edges=2", "candidates=2", "steps=200", "replicates=4", "every=50"]
SHARED = ["network.channels=2", "network.cells=1", "network.batch=4", "network.held_out=8", "network.augment=none"]
SHARED += ["search.epochs=4", "search.warmup_epochs=1", "network.final_epochs=1"]
PATIENCE = 120.0  # seconds after which a try is a fault: it hangs
MOST = 1 << 30  # bytes of memory of a process
BATCH = 2000  # inputs of one process


def sets(settings: list[str]) -> list[str]:
    return [word for text in settings for word in ("--set", text)]


def of_run(command: str, *words: str) -> Callable[[Path], int]:
    """A command on the one search that lies under the root."""
    return lambda root: nas([command, str(next((root / "ptb").iterdir())), *words])


COMMANDS: dict[str, Callable[[Path], int]] = {
    "search": lambda root: nas(["search", "ptb", *sets(SEARCH), "--runs", str(root)]),
    "toy": lambda root: simulate(["run", "toy", "--methods", "advantage", *sets(TOY), "--runs", str(root)]),
    "study": lambda root: simulate(
        ["compare", "xor", "advantage", "reinforce", *sets(CELLS), "--workers", "1", "--runs", str(root)]
    ),
    "evaluate": of_run("evaluate", *JUDGED),
    "audit": of_run("audit", "--samples", "4", "--along", "1", "--methods", "reinforce"),
    "report": of_run("report"),
    "compare": lambda root: nas(
        ["compare", "images", "--methods", "advantage", "--seeds", "1", *sets(SHARED), "--runs", str(root)]
    ),
    "fetch": lambda root: nas(["fetch", "cifar10", "--data", str(root)]),
}
OF_A_SEARCH = ("evaluate", "audit", "report")  # which lies there, finished, before they begin
RUNS = ("search", "toy")  # one run folder, which a second start finds in use, or finished
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)
REAL_WORKERS = pool.workers


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 if every try was clean, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills", type=int, default=40, help="tries that kill; a tenth of each other class (default: 40)"
    )
    parser.add_argument("--inputs", type=int, default=20_000, help="damaged files and words (default: 20000)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which no try begins (default: none)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="tries side by side (default: one a core)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="classes, A,B (default: all)")
    parser.add_argument("--of", help="commands, A,B (default: all)")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",") if options.only else [*CLASSES, "inputs"]
    commands = options.of.split(",") if options.of else list(COMMANDS)
    for kind, words, known in (("class", chosen, [*CLASSES, "inputs"]), ("command", commands, list(COMMANDS))):
        if unknown := [word for word in words if word not in known]:
            parser.error(f"unknown {kind} {unknown[0]!r}; known: {', '.join(known)}")
    begun = time.monotonic()
    pool.workers = lambda count, threads=None: ThreadPoolExecutor(1)  # type: ignore[assignment, misc]
    with tempfile.TemporaryDirectory(dir=inputs.in_memory()) as place, served():
        whole = baselines(Path(place), chosen, commands)
        prepared = time.monotonic() - begun
        units = plan(chosen, options.kills, options.inputs)
        end = begun + options.seconds
        counts = side_by_side(units, options, Path(place), whole, commands, end)
    print(f"{'class':10}{'tries':>9}{'kills':>7}{'clean':>9}{'faults':>7}{'s a try':>9}   seed {options.seed}")
    for name in chosen:
        own = counts.get(name, Count())
        each = own.seconds / max(1, own.tries)
        print(f"{name:10}{own.tries:>9}{own.kills:>7}{own.tries - own.faults:>9}{own.faults:>7}{each:>9.2g}")
    took, largest = time.monotonic() - begun, max((own.largest for own in counts.values()), default=0)
    print(
        f"largest process: {largest >> 20} MiB; {took:.0f} s, {prepared:.0f} of them for what was left alone, "
        f"{options.jobs} side by side; torch {torch.__version__}; commit {runs.about_this_program()['commit']}"
    )
    return int(any(own.faults for own in counts.values()))


@dataclass
class Count:
    """What the tries of one class came to. kills: processes that a signal ended; seconds: of all tries, summed."""

    tries: int = 0
    kills: int = 0
    faults: int = 0
    largest: int = 0
    seconds: float = 0.0


def baselines(place: Path, chosen: list[str], commands: list[str]) -> dict[str, Any]:
    """Every command that is tried, left alone: what it leaves, how long it takes, how often it writes."""
    needed = [*commands, *(name for name in GROUPS if name in chosen)]
    if "full" in chosen or any(name in OF_A_SEARCH for name in needed):
        needed = ["search", *needed]
    if not set(chosen) - {"inputs", *GROUPS}:
        needed = [name for name in needed if name in GROUPS]
    if {"damage", "clock", "races"} & set(chosen):
        needed = [*needed, *RUNS]
    SHARED.append(f"network.path={write_images(place / 'images.npz')}")
    whole: dict[str, Any] = {}
    for name in dict.fromkeys(needed):
        whole[name] = uninterrupted(name, place / name, whole)
    return whole


def plan(chosen: list[str], kills: int, inputs: int) -> list[tuple[str, int]]:
    """(class, number) of every try, all classes mixed, so that a run that ends early has some of each."""
    shares = {name: KILLING[name] for name in chosen if name in KILLING}
    units: list[tuple[float, str, int]] = []
    for name in chosen:
        if name == "inputs":
            count = -(-inputs // BATCH)
        elif name in shares:
            count = max(1, round(kills * shares[name] / sum(shares.values())))
        else:
            count = max(1, kills // 10)
        units += [((number + 0.5) / count, name, number) for number in range(count)]
    return [(name, number) for _, name, number in sorted(units)]


def side_by_side(
    units: list[tuple[str, int]],
    options: argparse.Namespace,
    place: Path,
    whole: dict[str, Any],
    commands: list[str],
    end: float,
) -> dict[str, Count]:
    """Do all tries, in `options.jobs` forks of this process; each writes what it finds as lines of JSON."""
    runners = []
    for runner in range(options.jobs):
        told = place / f"told-{runner}"
        if (process := os.fork()) == 0:
            status = 1
            try:
                with told.open("w") as file:
                    for name, number in units[runner :: options.jobs]:
                        if time.monotonic() < end:
                            root = place / f"try-{runner}"
                            file.write(json.dumps(one(name, number, options, root, whole, commands)) + "\n")
                            file.flush()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        runners.append((process, told))
    counts: dict[str, Count] = {}
    for process, told in runners:
        if os.waitpid(process, 0)[1] != 0:
            raise RuntimeError("a process that tries has failed itself")
        for line in told.read_text().splitlines():
            found = json.loads(line)
            own = counts.setdefault(found.pop("name"), Count())
            for key, value in found.items():
                setattr(own, key, max(own.largest, value) if key == "largest" else getattr(own, key) + value)
    return counts


def one(
    name: str, number: int, options: argparse.Namespace, root: Path, whole: dict[str, Any], commands: list[str]
) -> dict[str, Any]:
    """One try. Says its faults; returns what it came to, in a `Count`'s words."""
    fork.kills = fork.largest = 0
    begun, tries = time.monotonic(), 1
    if name == "inputs":
        tries = min(BATCH, options.inputs - number * BATCH)
        faults = some_inputs(options.seed, number * BATCH, tries)
    else:
        dice = random.Random(f"{options.seed} {name} {number}")
        fault = CLASSES[name](root, whole, dice, commands[number % len(commands)])
        shutil.rmtree(root, ignore_errors=True)
        faults = [] if fault is None else [fault]
    for fault in faults:
        print(f"{name} {number}: {fault}", flush=True)
    seconds = time.monotonic() - begun
    return {
        "name": name,
        "tries": tries,
        "kills": fork.kills,
        "faults": len(faults),
        "largest": fork.largest,
        "seconds": seconds,
    }


def some_inputs(seed: int, first: int, count: int) -> list[str]:
    """Faults of so many inputs, tried in a process of their own."""

    def tried(place: Path) -> int:
        out = sys.stdout
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            for line in inputs.some(seed, first, count, list(inputs.READERS)):
                out.write(line + "\n")
        return 0

    status, said = fork(tried, Path()).wait(patience=count * inputs.PATIENCE)
    return [*said.splitlines(), *([f"exit status {status}"] if status != 0 else [])]


# ------------------------------------------------------------------ one try of each class


def signals(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """A signal at a random moment, up to three times; then the run must end as if nothing had been."""
    lay_out(name, root, whole)
    told = []
    for _ in range(dice.randint(1, 3)):
        number, moment = dice.choice(SIGNALS), dice.uniform(0, 1) * whole[name]["seconds"]
        child = fork(COMMANDS[name], root)
        time.sleep(moment)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)
            if number == signal.SIGSTOP:
                time.sleep(0.05)
                os.kill(child.pid, signal.SIGCONT)
        status, said = child.wait()
        told.append(f"{number.name} after {moment:.2f} s")
        if (fault := unclean(status, said)) is not None:
            return f"{name}, {', '.join(told)}: {fault}"
    return ended_the_same(name, root, whole, ", ".join(told))


def writes(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """Death at one of its writes, before it is done or in its middle; then the run must end as if nothing had been."""
    counted = {call: count for call, count in whole[name]["writes"].items() if count}
    call = dice.choice(sorted(counted))
    n = dice.randint(1, counted[call])
    lay_out(name, root, whole)

    def dying(place: Path) -> int:
        watch_writes(lambda now, number: now == call and number == n)
        return COMMANDS[name](place)

    status, said = fork(dying, root).wait()
    if (fault := unclean(status, said)) is not None:
        return f"{name}, death at {call} {n}: {fault}"
    return ended_the_same(name, root, whole, f"death at {call} {n}")


def ranks(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """One of two processes that search as one is killed: the other ends in one line, and both go on."""
    victim, moment = dice.randrange(2), dice.uniform(0.2, 1) * whole["ranks"]["seconds"]
    pair = two_ranks(root)
    time.sleep(moment)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pair[victim].pid, signal.SIGKILL)
        time.sleep(0.2)
        os.kill(pair[1 - victim].pid, signal.SIGTERM)  # as torchrun does when it notices
    answers = [child.wait() for child in pair]
    after = f"rank {victim} killed after {moment:.2f} s"
    finished = any(root.rglob(runs.RESULT))
    status, said = answers[1 - victim]
    if (fault := unclean(status, said)) is not None:
        return f"{after}: {fault}"
    if not finished:
        for status, said in (child.wait() for child in two_ranks(root)):
            if status != 0:
                return f"resumed after {after}: exit status {status}: {said[-300:]}"
    return compared("ranks", root, whole, after)


def group(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """Ctrl-C, which a comparison's workers hear too: one line, status 130, and the same command goes on."""
    moment = dice.uniform(0.2, 1) * whole["group"]["seconds"]
    child = fork(COMMANDS_OF_GROUPS["group"], root)
    time.sleep(moment)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGINT)
    status, said = child.wait()
    after = f"SIGINT to the group after {moment:.2f} s"
    if (fault := unclean(status, said)) is not None or status not in (0, 130):
        return f"{after}: {fault or f'exit status {status}: {said[-300:]}'}"
    status, said = fork(COMMANDS_OF_GROUPS["group"], root).wait()
    if status != 0:
        return f"resumed after {after}: {said[-300:]}"
    return compared("group", root, whole, after)


def damage(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """A stopped run, some bytes of one of its files changed: it ends the same, or says one line."""
    name = dice.choice(RUNS)
    shutil.copytree(whole[name]["begun"], root)
    (folder,) = [path.parent for path in root.rglob(runs.CONFIG)]
    (found,) = [dice.choice(sorted(path for path in folder.iterdir() if path.is_file() and path.stat().st_size))]
    content = bytearray(found.read_bytes())
    place, kind = dice.randrange(len(content)), dice.choice(("flip", "cut", "zeros", "twice"))
    if kind == "flip":
        content[place] ^= 1 << dice.randrange(8)
    elif kind == "cut":
        del content[place:]
    elif kind == "zeros":
        content[place : place + 64] = bytes(len(content[place : place + 64]))
    else:
        content += content[place:]
    found.write_bytes(content)
    return ended_the_same(name, root, whole, f"{kind} at {place} of {found.name}", may_refuse=True)


def races(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """Several starts of one run at once: one goes on, the others say that it is in use, or finished.

    A second comparison may begin when the first is done, and finds everything there.
    """
    name = dice.choice([*RUNS, *(other for other in ("compare", "study") if other in whole)])
    children = [fork(COMMANDS[name], root) for _ in range(dice.randint(2, 4))]
    answers = [child.wait() for child in children]
    done = [status for status, _ in answers if status == 0]
    faults = [unclean(status, said) for status, said in answers]
    if not done or (len(done) > 1 and name != "compare") or any(faults):
        return f"{name}: {[(status, said[-100:]) for status, said in answers]}"
    return compared(name, root, whole, "a race")


def full(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """No file may grow beyond a limit: one line; with room again, the run ends as if nothing had been."""
    name, limit = "search" if name == "study" else name, dice.randint(0, 20_000)
    lay_out(name, root, whole)

    def limited(place: Path) -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return COMMANDS[name](place)

    status, said = fork(limited, root).wait()
    if (fault := unclean(status, said)) is not None:
        return f"{name}, files of {limit} bytes: {fault}"
    return ended_the_same(name, root, whole, f"files of {limit} bytes")


def clock(root: Path, whole: dict[str, Any], dice: random.Random, name: str) -> str | None:
    """A run that goes on after the clock was set back: the same bits, and TensorBoard reads its starts in order."""
    name, seconds, real = dice.choice(RUNS), dice.uniform(1, 1e7), time.time
    shutil.copytree(whole[name]["begun"], root)

    def earlier(place: Path) -> int:
        time.time = lambda: real() - seconds
        return COMMANDS[name](place)

    status, said = fork(earlier, root).wait()
    after = f"the clock set back by {seconds:.0f} s"
    if status != 0:
        return f"{name}, {after}: {unclean(status, said) or said[-300:]}"
    starts = [file.name[-4:] for file in sorted(root.rglob(f"{runs.EVENTS}.*"))]
    if starts != sorted(starts):
        return f"{name}, {after}: TensorBoard reads the starts as {starts}"
    return compared(name, root, whole, after)


KILLING = {"signals": 0.5, "writes": 0.4, "ranks": 0.05, "group": 0.05}  # shares of --kills
CLASSES = {
    "signals": signals,
    "writes": writes,
    "ranks": ranks,
    "group": group,
    "damage": damage,
    "races": races,
    "full": full,
    "clock": clock,
}


# ------------------------------------------------------------------ several processes


def compared_by_two(root: Path) -> int:
    """A comparison with two workers, real ones, in a process group of its own."""
    os.setsid()
    pool.workers = REAL_WORKERS  # type: ignore[assignment]
    words = ["compare", "images", "--methods", "advantage", "--seeds", "1", "--jobs", "2"]
    return nas([*words, *sets(SHARED), "--runs", str(root)])


GROUPS = ("ranks", "group")
COMMANDS_OF_GROUPS: dict[str, Callable[[Path], int]] = {
    "ranks": lambda root: nas(["search", "images", *sets(SHARED), "--runs", str(root)]),
    "group": compared_by_two,
}


def two_ranks(root: Path) -> "list[fork]":
    """Two processes that search as one, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ranked(number: int) -> Callable[[Path], int]:
        def work(place: Path) -> int:
            os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            return COMMANDS_OF_GROUPS["ranks"](place)

        return work

    return [fork(ranked(number), root) for number in range(2)]


def write_images(file: Path) -> Path:
    """A few images of noise, of two classes. Returns the file."""
    dice = np.random.default_rng(0)
    np.savez(file, x=dice.integers(0, 256, (60, 8, 8), np.uint8), y=np.arange(60) % 2)
    return file


def watch_writes(deadly: Callable[[str, int], bool], told: Path | None = None) -> None:
    """From now on this process counts its writes, and kills itself where it is told to. told: where counts are kept.

    Before a sync, a rename, a removal or a truncation; in the middle of a line that is added to the records.
    """
    counts = dict.fromkeys(("fsync", "replace", "unlink", "truncate", "append"), 0)

    def counted(call: str) -> bool:
        counts[call] += 1
        if told is not None:
            told.write_text(json.dumps(counts))
        return deadly(call, counts[call])

    def watched(call: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def watching(*given: Any, **more: Any) -> Any:
            if counted(call):
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **more)

        return watching

    real_append = runs.Metrics.append

    def append(self: runs.Metrics, line: str) -> None:
        if counted("append"):
            with self.file.open("ab") as file:
                file.write(line.encode()[: len(line) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        real_append(self, line)

    runs.Metrics.append = append  # type: ignore[method-assign]
    for where, call in ((os, "fsync"), (os, "truncate"), (Path, "replace"), (Path, "unlink")):
        setattr(where, call, watched(call, getattr(where, call)))


# ------------------------------------------------------------------ what is compared


def lay_out(name: str, root: Path, whole: dict[str, Any]) -> None:
    """What must be there before a command: the finished search of which some are."""
    if name in OF_A_SEARCH:
        shutil.copytree(whole["search"]["root"], root)


def uninterrupted(name: str, root: Path, whole: dict[str, Any]) -> dict[str, Any]:
    """The run left alone: how long it took, what it left; of a run also a copy killed at its second checkpoint."""
    lay_out(name, root / "whole", whole)
    begun = time.monotonic()
    if name == "ranks":
        answers = [child.wait() for child in two_ranks(root / "whole")]
    else:
        answers = [fork((COMMANDS | COMMANDS_OF_GROUPS)[name], root / "whole").wait()]
    if any(status != 0 for status, _ in answers):
        raise RuntimeError(f"the uninterrupted {name} failed: {answers}")
    seconds = time.monotonic() - begun
    left = {"seconds": seconds, "left": left_by(root / "whole"), "root": root / "whole", "begun": root / "begun"}
    if name in GROUPS:
        return left
    command, told = COMMANDS[name], root / "writes.json"

    def counting(place: Path) -> int:
        watch_writes(lambda call, number: False, told)
        return command(place)

    def stopped(place: Path) -> int:
        kept = runs.Run.checkpoint

        def once(run: runs.Run, *given: Any) -> None:
            again = run.resumed
            kept(run, *given)
            if again:
                os.kill(os.getpid(), signal.SIGKILL)

        runs.Run.checkpoint = once  # type: ignore[method-assign]
        return command(place)

    lay_out(name, root / "counted", whole)
    fork(counting, root / "counted").wait()
    if name in RUNS:
        fork(stopped, root / "begun").wait()
    return {**left, "writes": json.loads(told.read_text())}


def ended_the_same(name: str, root: Path, whole: dict[str, Any], after: str, may_refuse: bool = False) -> str | None:
    """Resume until the run is finished, and compare. Returns: the fault, or None."""
    status, said = fork(COMMANDS[name], root).wait()
    if (fault := unclean(status, said)) is not None:
        return f"{name}, resumed after {after}: {fault}"
    if status == 2 and "is finished" not in said:
        return None if may_refuse else f"{name}, refused after {after}: {said[-300:]}"
    if status not in (0, 2):
        return f"{name}, exit status {status} after {after}: {said[-300:]}"
    return compared(name, root, whole, after)


def compared(name: str, root: Path, whole: dict[str, Any], after: str) -> str | None:
    found = left_by(root)
    if found != whole[name]["left"]:
        apart = [key for key in {*found, *whole[name]["left"]} if found.get(key) != whole[name]["left"].get(key)]
        return f"{name}, other bits after {after}: {apart[:3]}"
    own = tuple(f".{name}." for name in runs.OWN)  # other parts may be another process's, for an hour
    if parts := [path.name for path in root.rglob(".*.part") if path.name.startswith(own)]:
        return f"{name}, left half written after {after}: {parts[0]}"
    return None


def left_by(root: Path) -> dict[str, Any]:
    """All that must be left whatever happens: tensors, records, rows and figures without their times, cells, files.

    What a comparison trains from scratch depends on how long its searches took, and is left out.
    """
    found: dict[str, Any] = {}
    for file in root.rglob(runs.CHECKPOINT):
        where = file.parent.relative_to(root)
        if where.parts[0].endswith("-final"):
            continue
        for name, tensor in runs.read_checkpoint(file)[0].items():
            content = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
            found[f"{where} tensor {name}"] = content
        timed = [{**record, "seconds": 0} for record in runs.records(file.parent)]
        found[f"{where} records"] = json.dumps(timed)
    for file in root.rglob("evaluation.json"):
        found["rows"] = [{**row, "seconds": 0} for row in json.loads(file.read_text())["rows"]]
    for file in root.rglob("audit.json"):
        found["audit"] = {**json.loads(file.read_text()), "about": None, "run": None}
    for file in root.rglob("report.html"):
        if not (file.parent / "cells").exists():  # the page of a study names its command
            found["page"] = file.read_text(encoding="utf-8").replace(str(root), "")
    for file in root.glob(SERVED.file):
        found["download"] = file.read_bytes()
    for folder in root.rglob("cells"):
        for cell in study.read(folder.parent):
            values = np.concatenate([np.ravel(part).astype(np.float64) for part in cell.values.values()])
            found[f"cell {cell.setting}"] = values.tobytes()
    return found


CONTENT = bytes(range(256)) * 4096
SERVED = Source("made up bytes", ("bytes",), "", "", hashlib.md5(CONTENT).hexdigest(), "bytes")


@contextlib.contextmanager
def served() -> Iterator[None]:
    """A process that serves CONTENT slowly, as what `fetch cifar10` asks for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    process = os.fork()
    if process == 0:
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    server.server_close()
    cifar10.SOURCE = replace(SERVED, url=f"http://127.0.0.1:{server.server_address[1]}/bytes")
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


class Slow(BaseHTTPRequestHandler):
    """Answers with what is asked for of CONTENT, in sixteen parts within a third of a second."""

    def do_GET(self) -> None:
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked was killed
            for place in range(start, len(CONTENT), len(CONTENT) // 16):
                self.wfile.write(CONTENT[place : min(place + len(CONTENT) // 16, len(CONTENT))])
                time.sleep(0.02)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def unclean(status: int, said: str) -> str | None:
    """What is wrong with how a process ended: a traceback, more than a line about an error, an unknown end."""
    if "Traceback" in said or "unexpected:" in said:
        return f"a traceback, or worse: {said[-500:]}"
    if status not in (0, 2, 130, 128 + signal.SIGTERM, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        return f"exit status {status}: {said[-300:]}"
    if status == 2 and (lines := [line for line in said.splitlines() if line.startswith("python -m ")]) and lines[1:]:
        return f"more than a line: {lines}"
    return None


class fork:
    """work(root) in a child of this process, which has imported everything; its words go to a pipe, which has room."""

    kills = 0  # processes that a signal ended, since it was set to 0
    largest = 0  # bytes of memory of the largest

    def __init__(self, work: Callable[[Path], int], root: Path) -> None:
        self.words, end = os.pipe2(os.O_NONBLOCK)
        os.set_blocking(end, True)
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, 1 << 20)
        held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until Python itself has taken note of the fork
        self.pid = os.fork()
        if self.pid != 0:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            os.close(end)
        else:
            status = 70
            try:
                os.dup2(end, 1)
                os.dup2(end, 2)
                sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
                sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)
                torch.set_num_threads(1)
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
                status = work(root)
            except KeyboardInterrupt:  # before or after the command itself
                status = 130
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)

    def wait(self, patience: float = PATIENCE) -> tuple[int, str]:
        """Its exit status (minus the signal's number, if one ended it) and what it said, or that it took too much."""
        end = time.monotonic() + patience
        while (ended := os.wait4(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.002)
        content = b""
        with contextlib.suppress(BlockingIOError):  # where a process of its own still lives
            while part := os.read(self.words, 1 << 16):
                content += part
        os.close(self.words)
        said = content.decode(errors="replace")
        status, size = os.waitstatus_to_exitcode(ended[1]), ended[2].ru_maxrss << 10
        if time.monotonic() > end:
            said += f"unexpected: it was not done after {patience:.0f} s"
        if size > MOST:
            said += f"unexpected: it took {size >> 20} MiB"
        fork.kills += status in (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 130, 128 + signal.SIGTERM)
        fork.largest = max(fork.largest, size)
        return status, said


if __name__ == "__main__":
    sys.exit(main())
