"""How is work done side by side? In processes that listen to their parent alone, end with it, and share the machine.

`workers` are processes of this machine and `cluster` those of a Dask scheduler, both as executors of
`concurrent.futures`; `side_by_side` does a list of works on either, and each of them can be told to stop.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nas.running import config, plugins

DEATHS = 3  # times that work may lose its workers before it gives up
KILLED = "KilledWorker"  # what Dask raises for a work whose workers died again and again


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C, which any thread of this process may hear, counts after the block."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if heard:
            signal.raise_signal(signal.SIGINT)


class _Worker(SpawnProcess):
    """A process that does not hear SIGTERM, which is what an executor ends the others with when one has died."""

    def start(self) -> None:
        """With signals held back: what Ctrl-C sends to the group must not meet it before it can ignore them."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def terminate(self) -> None:
        """End it all the same."""
        self.kill()


class _Workers(SpawnContext):
    """Where an executor takes its processes from. A fork would copy this process's locks, and a GPU's state."""

    Process = _Worker


SPAWN = _Workers()


class _Pool(ProcessPoolExecutor):
    """Starts its processes when it is given work. One that Ctrl-C made it forget would find its locks gone."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """As ever."""
        with _uninterrupted():
            return super().submit(fn, *args, **kwargs)


@contextmanager
def workers(
    count: int, threads: int | None = None, begin: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> Iterator[Executor]:
    """`count` processes of this machine, for the time of a `with` block.

    Signals from the terminal or to the process group reach this process, not them. They end when it does, even if it
    is killed, and at once if the block raises; else they finish what they were given. They draw no progress bars.

    Args: threads of torch in each (None: torch is not touched); begin, called in each with `given` before any work.
    """
    end, hold = SPAWN.Pipe(duplex=False)  # `hold` stays here alone: its end is the workers' sign to end
    first = (end, threads, begin, given, plugins.allowed(), sys.orig_argv)
    with end, hold, _Pool(count, SPAWN, _begin, first) as executor:
        try:
            yield executor
        except BaseException:
            hold.close()
            executor.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def cluster(address: str, retries: int) -> Iterator[Executor]:
    """The workers of a Dask scheduler, through its `concurrent.futures` interface.

    A work whose worker died is begun again on another, three times (Dask's own `allowed-failures`).
    Args: address, as tcp://host:8786; retries of a work that raises.
    Raises: ValueError if Dask is not installed or nobody answers at the address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("--scheduler needs Dask: pip install 'distributed>=2024.1'") from error
    try:
        client: Any = Client(address, timeout="10s")  # type: ignore[no-untyped-call, unused-ignore]
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {address}: {error}") from error
    with client, client.get_executor(pure=False, retries=retries) as executor:
        try:
            yield executor
        except BaseException:
            executor.shutdown(wait=False)  # what runs there is given up
            raise


def answers(address: str) -> None:
    """Raises: ValueError in one line if no Dask scheduler answers there, to be known before anything is written."""
    with cluster(address, 0):
        pass


def one_place(jobs: int, scheduler: str | None) -> None:
    """Raises: ValueError in one line for a number of jobs that cannot be, or for several jobs and a scheduler."""
    config.bounded("jobs", jobs, 1, 1024)
    if scheduler is not None and jobs != 1:
        raise ValueError(f"{jobs} jobs are processes of this machine, a scheduler has workers: ask for one of them")


def lost(error: BaseException) -> bool:
    """Whether an error means that workers died, here or on a cluster, and not that work went wrong."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == KILLED


def _nothing(asked: Any, *item: Any) -> Sequence[Path]:
    return ()


def side_by_side(
    work: Callable[..., Any],
    asked: Any,
    items: Sequence[tuple[Any, ...]],
    needs: Callable[..., Sequence[Path]] = _nothing,
) -> list[Any] | None:
    """work(asked, *item) of all items: `asked.jobs` of them at once, each in a process of its own if they are several.

    Args: asked, a dataclass with `jobs`, `device` and `stopped`, a function; a worker's own `stopped` is its parent's.
    With an address as `asked.scheduler` they go to the workers of a cluster instead (`nas.running.elsewhere`): then
    needs(asked, *item) tells which finished run folders an item reads.
    Where a worker is killed, what is not finished is begun again, at most `DEATHS` times.
    Returns: what work returned, or None if one was stopped and returned None itself.
    """
    if asked.jobs == 1 and asked.scheduler is None:
        results = []
        for item in items:
            results.append(work(asked, *item))
            if results[-1] is None:
                return None
        return results
    found: dict[int, Any] = {}
    deaths = 0
    with tqdm(total=len(items), disable=None, unit=work.__name__.strip("_")) as bar:
        while len(found) < len(items) and not asked.stopped():
            try:
                _in_one_pool(work, asked, items, needs, found, bar)
            except Exception as error:
                if not lost(error):
                    raise
                deaths += 1
                if deaths > DEATHS:
                    raise ValueError(
                        f"workers died {deaths} times; what is finished is kept, and the same command goes on"
                    ) from error
                bar.write(f"a worker died; {len(found)} of {len(items)} are finished, the others go on", sys.stderr)
    results = [found.get(number) for number in range(len(items))]
    return None if None in results else results


def _in_one_pool(
    work: Callable[..., Any],
    asked: Any,
    items: Sequence[tuple[Any, ...]],
    needs: Callable[..., Sequence[Path]],
    found: dict[int, Any],
    bar: Any,
) -> None:
    """Do what is not in `found` yet, on one pool; what was stopped is there as None.

    Raises: what went wrong in one, which ends all; what `lost` knows if a worker was killed.
    """
    with _here(work, asked) if asked.scheduler is None else _there(work, asked, needs) as (submit, received, end):
        left = [number for number in range(len(items)) if number not in found]
        numbers: dict[Future[Any], int] = {}
        try:
            for number in left:
                numbers[submit(items[number])] = number
            running = set(numbers)
            while running and not asked.stopped():
                done, running = wait_for(running, timeout=0.5, return_when=FIRST_EXCEPTION)
                for one in done:
                    found[numbers[one]] = received(one.result())
                    bar.update()
        finally:
            end()  # they write their checkpoints, also after an error or Ctrl-C
        for one in running:
            found[numbers[one]] = None if one.cancelled() else received(one.result())


# How to give out an item, what to make of the answer, and how to end all.
_Ways = tuple[Callable[[tuple[Any, ...]], "Future[Any]"], Callable[[Any], Any], Callable[[], None]]


@contextmanager
def _there(work: Callable[..., Any], asked: Any, needs: Callable[..., Sequence[Path]]) -> Iterator[_Ways]:
    """On the workers of a cluster."""
    from nas.running import elsewhere

    with cluster(asked.scheduler, retries=0) as executor:
        yield elsewhere.given(executor, work, asked, needs)


@contextmanager
def _here(work: Callable[..., Any], asked: Any) -> Iterator[_Ways]:
    """On processes of this machine."""
    import torch

    stop, share = SPAWN.Event(), max(1, torch.get_num_threads() // asked.jobs)
    with workers(asked.jobs, share, _listen, (stop, asked.device)) as executor:
        told = replace(asked, stopped=_told)

        def submit(item: tuple[Any, ...]) -> "Future[Any]":
            return executor.submit(work, told, *item)

        def end() -> None:
            stop.set()
            executor.shutdown(cancel_futures=True)

        yield submit, _as_it_is, end


def _as_it_is(answer: Any) -> Any:
    return answer


# ------------------------------------------------------------------ in a worker


def _begin(
    end: Connection,
    threads: int | None,
    begin: Callable[..., None] | None,
    given: tuple[Any, ...],
    allowed: tuple[str, ...],
    command: list[str],
) -> None:
    """What a worker does first.

    allowed: modules of the user's own that it may load, as its parent may; command: its parent's, which its runs name.
    """
    plugins.allow(*allowed)
    sys.orig_argv = command
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(end,), daemon=True).start()
    sys.stderr = _NoTerminal(os.fdopen(os.dup(2), "wb"), errors="backslashreplace", line_buffering=True)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    if begin is not None:
        begin(*given)


def _end_with_parent(end: Connection) -> None:
    try:
        end.recv()  # nothing is ever sent
    except (EOFError, OSError):
        os._exit(1)


class _NoTerminal(io.TextIOWrapper):
    """Standard error as a file: what goes wrong is told, but no progress bar is drawn over those of the parent."""

    def isatty(self) -> bool:
        """Never; what draws bars asks."""
        return False


_stop: list[Any] = []  # the event that tells a worker to stop


def _listen(stop: Any, device: str) -> None:
    from nas.running.processes import take_device

    _stop.append(stop)
    take_device(device)


def _told() -> bool:
    return bool(_stop[0].is_set())
