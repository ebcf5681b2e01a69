"""Several processes stop at the same step, and leave one run folder as one process does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from nas.data.places import VARIABLE
from nas.running import processes

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _stopping(number: int, port: int, folder: str) -> None:
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    asked = 0

    def signalled() -> bool:
        return number == 1 and asked > 3  # only one process hears of it

    with processes.joined("cpu") as device:
        stopped = processes.agreed(signalled, device)
        while not stopped():
            asked += 1
        Path(folder, str(number)).write_text(f"{asked} {processes.rank()} {processes.count()}")


def test_all_stop_at_the_same_step(tmp_path: Path) -> None:
    spawn(_stopping, args=(free_port(), str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    first, second = ((tmp_path / name).read_text().split() for name in "01")
    assert first == [str(processes.BETWEEN - 1), "0", "2"]
    assert second == [str(processes.BETWEEN - 1), "1", "2"]


def test_control_alone_one_stops_when_it_hears() -> None:
    answers = iter([False, True])
    stopped = processes.agreed(lambda: next(answers), "cpu")
    assert [stopped(), stopped()] == [False, True]
    assert processes.count() == 1
    with processes.joined("cpu") as device:
        assert device == "cpu"


def test_each_of_several_processes_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """None touches another's, not even to ask whether it is there."""
    assert processes.own_device("cuda") == "cuda"
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [processes.own_device(device) for device in ("cuda", "cuda:0", "cpu")] == ["cuda:3", "cuda:3", "cpu"]


def test_averages_alone_are_the_numbers_themselves() -> None:
    one = torch.arange(3.0)
    assert processes.average([one])[0] is one


def test_torchrun_leaves_one_run_folder(tmp_path: Path) -> None:
    if not (Path(os.environ.get(VARIABLE, "-")) / "cifar-10-batches-bin").exists():
        pytest.skip(f"{VARIABLE} names no folder with cifar-10-batches-bin")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--master-port", str(free_port()), "-m", "nas"]
    sets = ["network.images=128", "network.held_out=64", "search.epochs=2", "search.warmup_epochs=1"]
    search = ["search", "cifar10", "--preset", "quick", "--runs", str(tmp_path)]
    search += [word for setting in sets for word in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *search], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("searching in") == 1
    (folder,) = (tmp_path / "cifar10").iterdir()
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert json.loads((folder / "result.json").read_text())["steps"] == 4
    text = [*torchrun[:-2], "--max-restarts", "0", "-m", "nas", "search", "ptb", "--runs", str(tmp_path)]
    refused = subprocess.run(text, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "search on text with one" in refused.stderr


def test_sigterm_ends_a_process_that_waits_for_another(tmp_path: Path) -> None:
    """It has written nothing yet, and the call in which it waits hears no Python."""
    port = free_port()
    alone = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    search = [sys.executable, "-m", "nas", "search", "digits", "--preset", "quick", "--runs", str(tmp_path / "runs")]
    with subprocess.Popen(search, env={**os.environ, **alone, "PYTHONPATH": str(ROOT)}) as waiting:
        try:
            while waiting.poll() is None:  # until the place where they meet is open
                with socket.socket() as other:
                    if other.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            waiting.terminate()
            assert waiting.wait(timeout=30) == -signal.SIGTERM
        finally:
            waiting.kill()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("device", "made_current"), [("cuda", []), ("cuda:1", [1])])
def test_a_gpu_is_made_current_if_it_is_named_by_its_number(
    device: str, made_current: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With torch's own `set_device`, which takes no device without a number, down to the driver."""
    found: list[int] = []
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: None)  # this machine need not have it
    monkeypatch.setattr(torch._C, "_cuda_setDevice", found.append, raising=False)
    processes.take_device(device)
    assert found == made_current


def test_a_device_that_is_not_there_is_refused() -> None:
    for device in ("gpu", "cuda:99", "meta"):
        with pytest.raises(ValueError, match=f"device '{device}' cannot be used here .*; use cpu"):
            processes.take_device(device)
