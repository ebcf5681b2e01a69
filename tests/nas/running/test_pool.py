"""Workers: they end with their parent, killed or interrupted, hear no signal of its terminal, and draw no bars."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import pytest

from nas.running import pool, runs

ROOT = Path(__file__).resolve().parents[3]
SLEEPERS = """
import os, signal, sys, time
from nas.running.pool import workers

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test that runs in the background was told to ignore it

def nap(seconds):
    print(os.getpid(), flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    with workers(2) as executor:
        for nap_of in [executor.submit(nap, 600) for _ in range(2)]:
            nap_of.result()
"""


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    """SIGINT goes to the whole group, as Ctrl-C does: the workers do not hear it, the parent ends them."""
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        napping = [int(parent.stdout.readline()) for _ in range(2)]
        assert not any(map(gone, napping))
        os.killpg(parent.pid, number) if number == signal.SIGINT else parent.send_signal(number)
        said = parent.communicate(timeout=120)[1]
    wait_for(lambda: all(map(gone, napping)))
    assert said.count("KeyboardInterrupt") == (number == signal.SIGINT)  # the parent's own alone


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3])
def test_ctrl_c_while_workers_start_is_heard_by_their_parent_alone(moment: float, tmp_path: Path) -> None:
    """They import for a while before they can say that they ignore it."""
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS.replace("with workers(2) as executor:", BEGUN))
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begun\n"
        time.sleep(moment)
        os.killpg(parent.pid, signal.SIGINT)
        said = parent.communicate(timeout=120)[1]
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1, said


BEGUN = """with workers(2) as executor:
        executor.submit(int)  # starts them
        print("begun", flush=True)"""


def deaf() -> bool:
    return all(signal.getsignal(number) is signal.SIG_IGN for number in (signal.SIGINT, signal.SIGTERM))


def threads() -> int:
    import torch

    return torch.get_num_threads()


def command() -> str:
    """What a run that a worker begins names as its command."""
    return str(runs.about_this_program()["command"])


def sees_torch() -> bool:
    return "torch" in sys.modules


def test_what_a_worker_begins_with() -> None:
    with pool.workers(1, threads=1) as executor:
        assert executor.submit(deaf).result()
        assert executor.submit(threads).result() == 1
        assert executor.submit(command).result() == runs.about_this_program()["command"]
    with pool.workers(1) as executor:
        assert not executor.submit(sees_torch).result()  # what does not need it does not wait for it
    assert not deaf()


def test_an_error_in_the_block_is_heard_and_ends_what_runs() -> None:
    napping: list[int] = []
    with pytest.raises(ZeroDivisionError):
        err_beside_a_nap(napping)
    assert napping
    wait_for(lambda: gone(napping[0]))


def err_beside_a_nap(napping: list[int]) -> None:
    with pool.workers(1) as executor:
        napping.append(executor.submit(os.getpid).result())
        executor.submit(time.sleep, 600)
        raise ZeroDivisionError


BAR = """
import sys
from nas.running.pool import workers
from tqdm import tqdm

def work(name):
    for _ in tqdm(range(3), disable=None, desc=name):
        pass
    print("a word of the " + name, file=sys.stderr)

if __name__ == "__main__":
    with workers(1) as executor:
        executor.submit(work, "worker").result()
    work("parent")
"""


def test_a_worker_draws_no_bar_on_a_terminal_but_its_words_are_heard(tmp_path: Path) -> None:
    (tmp_path / "bar.py").write_text(BAR)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(tmp_path / "bar.py")], stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = read_all(ours)
    assert process.returncode == 0, said
    assert "a word of the worker" in said
    assert "worker: " not in said
    assert "parent: " in said  # the control: the same bar where there is a terminal


def read_all(terminal: int) -> str:
    content = b""
    while select.select([terminal], [], [], 120)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # how a terminal says that it was left
            break
        content += part
    os.close(terminal)
    return content.decode()


@dataclass(frozen=True)
class Asked:
    """Like a comparison."""

    jobs: int
    stopped: Callable[[], bool]
    device: str = "cpu"
    scheduler: str | None = None


def never() -> bool:
    return False


def always() -> bool:
    return True


def square(asked: Asked, number: int) -> int | None:
    return None if asked.stopped() else number**2


@pytest.mark.parametrize("jobs", [1, 2])
def test_side_by_side_keeps_the_order_and_tells_that_it_was_stopped(jobs: int) -> None:
    items = [(number,) for number in range(5)]
    assert pool.side_by_side(square, Asked(jobs, never), items) == [0, 1, 4, 9, 16]
    assert pool.side_by_side(square, Asked(jobs, always), items) is None
    with pytest.raises(TypeError):
        pool.side_by_side(square, Asked(jobs, never), [("a word",)])


class Mortal(Executor):
    """Does its work here and at once, but breaks at its n-th, like a pool whose worker was killed."""

    def __init__(self, breaks_at: int) -> None:
        self.left = breaks_at

    def submit(self, function: Callable[..., Any], /, *given: Any, **more: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.left -= 1
        if self.left == 0:
            future.set_exception(BrokenExecutor("a worker was killed"))
        else:
            future.set_result(function(*given, **more))
        return future


@pytest.mark.parametrize("deaths", [1, pool.DEATHS, pool.DEATHS + 1])
def test_work_whose_worker_was_killed_is_begun_again(
    deaths: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = 0

    @contextlib.contextmanager
    def workers(*given: Any) -> Iterator[Executor]:
        nonlocal pools
        pools += 1
        yield Mortal(1 if pools <= deaths else -1)

    monkeypatch.setattr(pool, "workers", workers)
    monkeypatch.setattr(pool, "_told", never)
    items = [(number,) for number in range(5)]
    if deaths > pool.DEATHS:
        with pytest.raises(ValueError, match="workers died 4 times; what is finished is kept, and the same command"):
            pool.side_by_side(square, Asked(2, never), items)
        return
    assert pool.side_by_side(square, Asked(2, never), items) == [0, 1, 4, 9, 16]
    assert pools == deaths + 1
    assert capsys.readouterr().err.count("a worker died; ") == deaths


def test_a_worker_is_started_with_signals_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else Ctrl-C, which goes to the whole group, meets it while it imports: a traceback of every worker."""
    held: list[set[int]] = []
    monkeypatch.setattr(SpawnProcess, "start", lambda self: held.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    pool.SPAWN.Process(target=never).start()
    assert {signal.SIGINT, signal.SIGTERM} <= held[0]
    assert not {signal.SIGINT, signal.SIGTERM} & signal.pthread_sigmask(signal.SIG_BLOCK, ())
