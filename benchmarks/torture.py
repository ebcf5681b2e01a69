"""Is anything lost when a run is killed, damaged or out of room? Prints tries, clean and faults of each class.

    python benchmarks/torture.py --seconds 60 --seed 0

Everything that writes (a search on text, its evaluation, audit and page, a comparison, a study, the toy, a download) is
ended at random moments and at random writes, then begun again and compared with what was left alone; files of a run
folder are damaged at random places; many processes start one run; files may not grow beyond a limit; the clock is set
back. Clean is: the same bits in the end, or one line that says why not. All follows from the seed but where a signal
finds the run. This process imports once and forks for every try; a study's cells run in a thread instead of a worker.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch

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
COMPARED = [*SEARCH, "network.final_epochs=1"]
CELLS = ["edges=2", "candidates=2", "steps=200", "replicates=4", "every=50"]
PATIENCE = 120.0  # seconds after which a try is a fault: it hangs


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
        ["compare", "ptb", "--methods", "advantage", "--seeds", "1", *sets(COMPARED), "--runs", str(root)]
    ),
    "fetch": lambda root: nas(["fetch", "cifar10", "--data", str(root)]),
}
OF_A_SEARCH = ("evaluate", "audit", "report")  # which lies there, finished, before they begin
RUNS = ("search", "toy")  # one run folder, which a second start finds in use, or finished
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 if every try was clean, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="after which no try begins (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="classes, A,B (default: all)")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",") if options.only else list(CLASSES)
    if unknown := [name for name in chosen if name not in CLASSES]:
        parser.error(f"unknown class {unknown[0]!r}; known: {', '.join(CLASSES)}")
    dice, counts = random.Random(options.seed), {name: [0, 0] for name in chosen}
    pool.workers = lambda count, threads=None: ThreadPoolExecutor(1)  # type: ignore[assignment, misc]
    with tempfile.TemporaryDirectory() as place, served():
        whole: dict[str, Any] = {}
        for name in COMMANDS:
            whole[name] = uninterrupted(name, Path(place) / name, whole)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            for name in chosen:
                fault = CLASSES[name](Path(place) / "try", whole, dice)
                shutil.rmtree(Path(place) / "try", ignore_errors=True)
                counts[name][0] += 1
                if fault is not None:
                    counts[name][1] += 1
                    print(f"{name}: {fault}", flush=True)
    print(f"{'class':10}{'tries':>7}{'clean':>7}{'faults':>7}   seed {options.seed}")
    for name, (tries, faults) in counts.items():
        print(f"{name:10}{tries:>7}{tries - faults:>7}{faults:>7}")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest child: {largest:.0f} MiB; commit {runs.about_this_program()['commit']}")
    return int(any(faults for _, faults in counts.values()))


# ------------------------------------------------------------------ one try of each class


def signals(root: Path, whole: dict[str, Any], dice: random.Random) -> str | None:
    """A signal at a random moment, up to three times; then the run must end as if nothing had been."""
    name = dice.choice(list(COMMANDS))
    lay_out(name, root, whole)
    told = []
    for _ in range(dice.randint(1, 3)):
        number, moment = dice.choice(SIGNALS), dice.uniform(0, 1.2) * whole[name]["seconds"]
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


def writes(root: Path, whole: dict[str, Any], dice: random.Random) -> str | None:
    """Death at the n-th sync, rename or truncation; then the run must end as if nothing had been."""
    name, call, n = dice.choice(list(COMMANDS)), dice.choice(("fsync", "replace", "truncate")), dice.randint(1, 12)
    lay_out(name, root, whole)

    def dying(place: Path) -> int:
        left = n
        target: Any = Path if call == "replace" else os
        real = getattr(target, call)

        def deadly(*given: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **more)

        setattr(target, call, deadly)
        return COMMANDS[name](place)

    status, said = fork(dying, root).wait()
    if (fault := unclean(status, said)) is not None:
        return f"{name}, death at {call} {n}: {fault}"
    return ended_the_same(name, root, whole, f"death at {call} {n}")


def damage(root: Path, whole: dict[str, Any], dice: random.Random) -> str | None:
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


def races(root: Path, whole: dict[str, Any], dice: random.Random) -> str | None:
    """Several starts of one run at once: one goes on, the others say that it is in use, or finished."""
    name = dice.choice(RUNS)
    children = [fork(COMMANDS[name], root) for _ in range(dice.randint(2, 4))]
    answers = [child.wait() for child in children]
    done = [status for status, _ in answers if status == 0]
    faults = [unclean(status, said) for status, said in answers]
    if len(done) != 1 or any(faults):
        return f"{name}: {[(status, said[-100:]) for status, said in answers]}"
    return compared(name, root, whole, "a race")


def full(root: Path, whole: dict[str, Any], dice: random.Random) -> str | None:
    """No file may grow beyond a limit: one line; with room again, the run ends as if nothing had been."""
    name, limit = dice.choice([name for name in COMMANDS if name != "study"]), dice.randint(0, 20_000)
    lay_out(name, root, whole)

    def limited(place: Path) -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return COMMANDS[name](place)

    status, said = fork(limited, root).wait()
    if (fault := unclean(status, said)) is not None:
        return f"{name}, files of {limit} bytes: {fault}"
    return ended_the_same(name, root, whole, f"files of {limit} bytes")


def clock(root: Path, whole: dict[str, Any], dice: random.Random) -> str | None:
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


CLASSES = {"signals": signals, "writes": writes, "damage": damage, "races": races, "full": full, "clock": clock}


# ------------------------------------------------------------------ what is compared


def lay_out(name: str, root: Path, whole: dict[str, Any]) -> None:
    """What must be there before a command: the finished search of which some are."""
    if name in OF_A_SEARCH:
        shutil.copytree(whole["search"]["root"], root)


def uninterrupted(name: str, root: Path, whole: dict[str, Any]) -> dict[str, Any]:
    """The run left alone: how long it took, what it left; of a run also a copy killed at its second checkpoint."""
    command = COMMANDS[name]
    lay_out(name, root / "whole", whole)
    begun = time.monotonic()
    status, said = fork(command, root / "whole").wait()
    if status != 0:
        raise RuntimeError(f"the uninterrupted {name} failed: {said}")
    seconds = time.monotonic() - begun

    def stopped(place: Path) -> int:
        kept = runs.Run.checkpoint

        def once(run: runs.Run, *given: Any) -> None:
            again = run.resumed
            kept(run, *given)
            if again:
                os.kill(os.getpid(), signal.SIGKILL)

        runs.Run.checkpoint = once  # type: ignore[method-assign]
        return command(place)

    if name in RUNS:
        fork(stopped, root / "begun").wait()
    return {"seconds": seconds, "left": left_by(root / "whole"), "root": root / "whole", "begun": root / "begun"}


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
        if where.parts[0] == "ptb-final":
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
        return f"a traceback: {said[-500:]}"
    if status not in (0, 2, 130, 128 + signal.SIGTERM, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT):
        return f"exit status {status}: {said[-300:]}"
    return None


class fork:
    """work(root) in a child of this process, which has imported everything; its words go to a file."""

    def __init__(self, work: Callable[[Path], int], root: Path) -> None:
        self.words = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `wait`)
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                os.dup2(self.words.fileno(), 1)
                os.dup2(self.words.fileno(), 2)
                sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), line_buffering=True)
                sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), line_buffering=True)
                torch.set_num_threads(1)
                status = work(root)
            finally:
                sys.stdout.flush()
                os._exit(status)

    def wait(self) -> tuple[int, str]:
        """Its exit status (minus the signal's number, if one ended it) and what it said."""
        end = time.monotonic() + PATIENCE
        while (ended := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.005)
        self.words.seek(0)
        said = self.words.read().decode(errors="replace")
        self.words.close()
        return os.waitstatus_to_exitcode(ended[1]), said


if __name__ == "__main__":
    sys.exit(main())
