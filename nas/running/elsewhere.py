"""How does work get to other machines, and its run folders back?

What `nas.running.pool.side_by_side` gives to the workers of a Dask cluster, one work a worker. A worker that sees the
run folders of who asks, on a common disk, works in them: when it is killed or stopped, the next one goes on from the
last checkpoint. One that does not see them is sent the finished runs that its work needs, works in a folder of its own,
and sends back the runs that it finished; what was not finished there begins again.
"""

import contextlib
import fcntl
import functools
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas.running import files, plugins, processes, runs

ATTENTION = 1.0  # seconds between two questions whether to stop: each is one to the scheduler
PATIENCE = 120.0  # seconds that workers have to stop and to write their checkpoints
MARK = ".disk"
Packed = dict[str, bytes]  # files by their paths below the root


def given(
    executor: Executor, work: Callable[..., Any], asked: Any, needs: Callable[..., Sequence[Path]]
) -> tuple[Callable[[tuple[Any, ...]], "Future[Any]"], Callable[[Any], Any], Callable[[], None]]:
    """How to give one item to the cluster, what to make of the answer, and how to end all of them.

    Args: executor, that of `nas.running.pool.cluster`; asked, a dataclass with `root`, `data`, `device` and `stopped`;
    needs, tells which finished run folders under the root the work on an item reads.
    """
    root = asked.root.resolve()
    data = None if asked.data is None else asked.data.resolve()
    there = replace(asked, root=root, data=data, stopped=bool)  # never; a worker asks in its own way
    given_out: list[Future[Any]] = []
    mark = _marked(root)
    stop = _dask().Event(f"stop-{uuid.uuid4()}")

    @functools.cache
    def sent(folder: Path) -> Any:  # kept by a worker, once for all items that need it
        return _dask().get_client().scatter(packed([folder], root), hash=False)

    def submit(item: tuple[Any, ...]) -> "Future[Any]":
        needed = [sent(folder.resolve()) for folder in needs(asked, *item)]
        future = executor.submit(one, work, there, item, mark, stop.name, plugins.allowed(), sys.orig_argv, *needed)
        given_out.append(future)
        return future

    def end() -> None:
        stop.set()
        wait(given_out, PATIENCE)
        executor.shutdown(wait=False)

    def received(answer: tuple[Any, Packed]) -> Any:
        found, content = answer
        unpack(content, asked.root)
        return asked.root / found.relative_to(root) if isinstance(found, Path) else found

    return submit, received, end


def _marked(root: Path) -> str:
    """What a file under the root says, which is there from now on: who reads the same there has the same disk."""
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), (root / MARK).open("x") as file:
        file.write(str(uuid.uuid4()))
    return files.read_text(root / MARK)


# ------------------------------------------------------------------ in a worker


def one(
    work: Callable[..., Any],
    asked: Any,
    item: tuple[Any, ...],
    mark: str,
    stop: str,
    allowed: tuple[str, ...],
    command: list[str],
    *needed: Packed,
) -> tuple[Any, Packed]:
    """work(asked, *item), and the run folders that it finished if they lie where who asks does not see them.

    Raises: ValueError if the worker does several works at once, in threads that would disturb each other.
    """
    worker = _dask().get_worker()
    if (threads := worker.state.nthreads) != 1:
        raise ValueError(
            f"worker {worker.address} has {threads} threads; start workers with `dask worker --nthreads 1`"
        )
    stopped = _unwanted(worker, stop)
    if stopped():
        return None, {}
    plugins.allow(*allowed)
    sys.orig_argv = command  # which the runs name
    processes.take_device(asked.device)
    if _sees(asked.root, mark):
        return work(replace(asked, stopped=stopped), *item), {}
    with tempfile.TemporaryDirectory(prefix="advantage-nas-") as place:
        own = Path(place).resolve()
        for content in needed:
            unpack(content, own)
        before = _finished(own)
        found = work(replace(asked, root=own, stopped=stopped), *item)
        content = packed([folder for folder in _finished(own) if folder not in before], own)
        for name in content:
            if Path(name).name == runs.RESULT:  # it may name the warm-up that it went on from
                content[name] = content[name].replace(_in_json(own), _in_json(asked.root))
    return asked.root / found.relative_to(own) if isinstance(found, Path) else found, content


def _sees(root: Path, mark: str) -> bool:
    file = root / MARK
    return file.exists() and files.read_text(file) == mark


def _dask() -> Any:
    import distributed

    return distributed


def _in_json(path: Path) -> bytes:
    return json.dumps(str(path))[1:-1].encode()


def _unwanted(worker: Any, stop: str) -> Callable[[], bool]:
    """Whether to stop: who asked said so, or is gone, so that the scheduler has cancelled this work."""
    key, event = worker.get_current_task(), _dask().Event(stop, client=_dask().get_client())
    asked_at, answer = -ATTENTION, False

    def stopped() -> bool:
        nonlocal asked_at, answer
        if not answer and time.monotonic() - asked_at >= ATTENTION:
            task = worker.state.tasks.get(key)
            try:
                answer = task is None or task.state == "cancelled" or bool(event.is_set())
            except (OSError, RuntimeError, AttributeError):  # the scheduler is gone, or the way to it was just closed
                answer = True
            asked_at = time.monotonic()
        return answer

    return stopped


# ------------------------------------------------------------------ run folders as messages


def packed(folders: Sequence[Path], root: Path) -> Packed:
    """The files of finished run folders, result.json the last of each."""
    content: Packed = {}
    for folder in folders:
        own = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
        for file in sorted(own, key=lambda file: file.name == runs.RESULT):
            content[file.relative_to(root).as_posix()] = files.read_bytes(file, files.LARGE)
    return content


def unpack(content: Mapping[str, bytes], root: Path) -> None:
    """Write run folders under the root; one that is finished there already stays as it is.

    Raises: RunError if one is in use.
    """
    by_folder: dict[Path, dict[str, bytes]] = {}
    for name, part in content.items():
        by_folder.setdefault((root / name).parent, {})[Path(name).name] = part
    for folder, parts in by_folder.items():
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise runs.RunError(f"{folder} is in use by another process") from error
            if (folder / runs.RESULT).exists():
                continue
            for stale in folder.iterdir():
                if stale.is_file() and stale.name != ".lock":
                    os.unlink(stale)
            for name, part in parts.items():
                files.write_atomically(folder / name, part)


def _finished(root: Path) -> list[Path]:
    return sorted(file.parent for file in root.rglob(runs.RESULT))
