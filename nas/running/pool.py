"""How is work done side by side? In processes that share the machine, and stop and end with their parent."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context, parent_process
from typing import Any

import torch
from tqdm import tqdm

from nas.running.processes import take_device


def side_by_side(work: Callable[..., Any], asked: Any, items: Sequence[tuple[Any, ...]]) -> list[Any] | None:
    """work(asked, *item) of all items, `asked.jobs` of them at once, each in a process of its own if they are several.

    Args: asked, a dataclass with `jobs`, `device` and `stopped`, a function; a worker's own `stopped` is its parent's.
    Returns: what work returned, or None if one was stopped and returned None itself.
    """
    if asked.jobs == 1:
        found = []
        for item in items:
            found.append(work(asked, *item))
            if found[-1] is None:
                return None
        return found
    context = get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(asked.jobs, context, _begin, (stop, replace(asked, stopped=_told))) as pool:
        futures = [pool.submit(work, replace(asked, stopped=_told), *item) for item in items]
        try:
            with tqdm(total=len(futures), disable=None, unit=work.__name__.strip("_")) as bar:
                running = set(futures)
                while running and not asked.stopped():
                    done, running = wait(running, timeout=0.5, return_when=FIRST_EXCEPTION)
                    bar.update(len(done))
                    for one in done:
                        one.result()  # what went wrong in one ends all
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    found = [None if one.cancelled() else one.result() for one in futures]
    return None if None in found else found


_stop: list[Any] = []  # in a worker: the event that tells it to stop


def _told() -> bool:
    return bool(_stop[0].is_set())


def _begin(stop: Any, asked: Any) -> None:
    """What a worker does first: listen to its parent alone, end with it, take its share of the machine, be quiet."""

    def follow() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
        os._exit(1)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=follow, daemon=True).start()
    torch.set_num_threads(max(1, torch.get_num_threads() // asked.jobs))
    take_device(asked.device)
    os.environ["TQDM_DISABLE"] = "1"
    _stop.append(stop)
