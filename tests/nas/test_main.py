"""Bad input to a search is answered in one line and exit status 2, and leaves nothing behind; a stopped one goes on."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nas.__main__ import main
from nas.data.places import VARIABLE
from nas.running import runs
from nas.tasks import experiments

TINY = ["network.units=6", "network.batch=20", "network.window=8", "network.least=60", "search.epochs=1"]
SEARCH = ["search", "ptb", *(word for setting in TINY for word in ("--set", setting))]


def test_a_full_device_is_one_line_and_other_errors_are_not_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (RuntimeError("CUDA out of memory. Tried to allocate 9 GiB.\nMore lines."), MemoryError()):
        monkeypatch.setattr(experiments, "load", raising(error))
        assert main(SEARCH) == 2
        said = capsys.readouterr().err
        assert "no memory is left; ask for a smaller network or batch" in said
        assert said.count("\n") == 1
    monkeypatch.setattr(experiments, "load", raising(RuntimeError("a fault of this program")))
    with pytest.raises(RuntimeError, match="a fault of this program"):
        main([*SEARCH, "--debug"])


def raising(error: Exception) -> Callable[..., None]:
    def refuse(*arguments: object) -> None:
        raise error

    return refuse


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method", "nope"], "unknown method 'nope'; known: advantage, "),
        (["--method", "no.module:name"], "no.module"),
        (["--set", "network.unitz=3"], "unknown setting network.'unitz'; known: "),
        (["--set", "network.units=many"], "setting network.units: Expected `int`, got `str`"),
        (["--set", "search.epochs=0"], "epochs"),
        (["--set", "search.clip=-1"], "setting search: clip must be positive"),
        (["--set", "network.threads=-1"], "threads must be at least 0, not -1"),
        (["--set", "network.dropout=0.999"], "dropout <= 0.99"),
        (["--set", "task=cifar10"], "setting task: it is the command's word, 'ptb', and cannot be 'cifar10'"),
        (["--device", "gpu"], "device 'gpu' cannot be used here"),
        (["--config", "none.toml"], "none.toml"),
        (["--seed", "-1"], "--seed must not be negative and below 2^32, not -1"),
        (["--seed", str(2**64)], "below 2^32, not 18446744073709551616"),
        (["--set", "network.corpus=ptb"], "ptb.train.txt"),
        (["--text", "none.txt"], "none.txt"),
        (["--runs", "taken"], "cannot write the run folder taken/ptb/"),
    ],
)
def test_one_line_and_nothing_written(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "taken").write_text("a file where the run folder should go")
    assert main([*SEARCH, *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("python -m nas search: ")
    assert says in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.parametrize("method", ["proxyless", "darts", "muprop"])
def test_what_the_static_form_cannot_do_is_said_before_anything_is_read(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "cifar10", "--set", "network.static=true", "--runs", str(tmp_path), "--data", str(tmp_path)]
    assert main([*words, "--method", method]) == 2
    assert (
        f"method {method} asks more than the network answers with network.static=true; set network.static=false"
        in capsys.readouterr().err
    )
    assert main([*words, "--method", "quadrature_advantage"]) == 2
    assert "CIFAR-10 not found" in capsys.readouterr().err  # the control: this one it can


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--device", "cuda", "--runs", str(tmp_path)]) == 2
    assert "device 'cuda' cannot be used here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text("the cat\n")
    words = [*SEARCH, "--set", "network.corpus=ptb", "--data", str(tmp_path), "--runs", str(tmp_path / "runs")]
    assert main(words) == 2
    assert "ptb.train.txt" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_good_search_runs_once_and_a_finished_folder_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SEARCH, "--runs", str(tmp_path)]
    assert main(words) == 0
    (result,) = tmp_path.rglob("result.json")
    before = result.read_bytes()
    assert main(words) == 2
    assert "is finished; choose another --seed" in capsys.readouterr().err
    assert result.read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"), [((), True), (("search.rate=0.5",), False), (("search.method=random",), False)]
)
def test_a_policy_that_is_still_even_is_said(
    more: tuple[str, ...], said: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the rate is so low that no logit moved, the cell may be any."""
    sets = [word for setting in ("search.rate=1e-6", *more) for word in ("--set", setting)]
    assert main([*SEARCH, *sets, "--runs", str(tmp_path)]) == 0
    line = "its policy is still nearly even: evaluate it beside random cells, or raise search.rate (it was 1e-06)"
    assert (f"{line} or search.epochs (" in capsys.readouterr().out) == said


def test_a_loss_that_is_not_finite_stops_the_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--set", "network.rate=1e9", "--runs", str(tmp_path)]) == 2
    assert "the loss is not finite at step " in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


# ------------------------------------------------------------------ processes that are stopped, and a disk that is full

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def long_search(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A search of some seconds: four epochs on 40,000 words."""
    words = torch.randint(50, (40_000,), generator=torch.Generator().manual_seed(0)).tolist()
    text = tmp_path_factory.mktemp("text") / "text.txt"
    text.write_text(
        "\n".join(" ".join(f"w{word}" for word in words[line : line + 20]) for line in range(0, 40_000, 20))
    )
    sets = ["network.precision=float32", "network.threads=1", "search.epochs=4"]
    return [*SEARCH, "--text", str(text), *(word for setting in sets for word in ("--set", setting))]


def start(words: list[str], limit: int | None = None) -> subprocess.Popen[str]:
    """A search in a process of its own, which may write no file longer than `limit` bytes."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nas", *words]
    return subprocess.Popen(
        command, env=environment, preexec_fn=limited, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def tensors_of(root: Path) -> dict[str, torch.Tensor]:
    (file,) = root.rglob(runs.CHECKPOINT)
    return runs.read_checkpoint(file)[0]


@pytest.fixture(scope="module")
def straight(long_search: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("straight")
    assert main([*long_search, "--runs", str(root)]) == 0
    return root


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_stopped_goes_on_bit_for_bit(
    number: signal.Signals, long_search: list[str], straight: Path, tmp_path: Path
) -> None:
    words = [*long_search, "--runs", str(tmp_path)]
    process = start(words)
    while not list(tmp_path.rglob(runs.CHECKPOINT)):
        assert process.poll() is None
        time.sleep(0.01)
    assert main(words) == 2  # one process a run folder
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == (128 + number if number == signal.SIGTERM else -number)
    assert ("the same command goes on from here" in said) == (number == signal.SIGTERM)
    assert not list(tmp_path.rglob(runs.RESULT))
    assert not equal(tmp_path, straight)  # control: it was not at its end
    assert main(words) == 0
    assert equal(tmp_path, straight)
    assert records_of(tmp_path) == records_of(straight)


def test_a_full_disk_is_one_line_and_nothing_is_lost(long_search: list[str], straight: Path, tmp_path: Path) -> None:
    words = [*long_search, "--runs", str(tmp_path)]
    process = start(words, limit=4096)  # the settings fit, a checkpoint does not
    _, said = process.communicate()
    assert process.returncode == 2
    assert said.startswith("python -m nas search: [Errno 27] File too large: '")
    assert re.search(rf"/({re.escape(runs.CHECKPOINT)}|{re.escape(runs.METRICS)}|events[^/]*)'\n$", said), said
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part" or path.name == runs.CHECKPOINT]
    assert main(words) == 0  # there is room again
    assert equal(tmp_path, straight)
    assert records_of(tmp_path) == records_of(straight)


def equal(one: Path, other: Path) -> bool:
    """Whether two searches left the same bits."""
    (a, _), (b, _) = (runs.read_checkpoint(next(root.rglob(runs.CHECKPOINT))) for root in (one, other))
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def records_of(root: Path) -> list[dict[str, object]]:
    (folder,) = (root / "ptb").iterdir()
    return [{**record, "seconds": 0} for record in runs.records(folder)]


@pytest.mark.parametrize("words", [["audit"], ["evaluate"], ["derive", "argmax"], ["report"], ["draw"]])
def test_a_folder_that_cannot_be_written_is_known_before_anything_is_computed(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a finished run whose checkpoint, if it were read, would be found to be none."""
    command, *more = words
    with runs.open_run(tmp_path, experiments.load("ptb", "small")) as run:
        run.record({"step": 1})
    (tmp_path / runs.RESULT).write_text('{"seed": 0}')
    (tmp_path / runs.CHECKPOINT).write_bytes(b"")

    def read_only(*given: object, **named: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    assert main([command, str(tmp_path), *more]) == 2
    assert capsys.readouterr().err == f"python -m nas {command}: cannot write into {tmp_path}: Read-only file system\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["search", "ptb", "--method", "", "--dry-run"], "an empty word stands after --method"),
        (["search", "ptb", "--set", "network.nodes=100000", "--dry-run"], "nodes must be at most 64, not 100000"),
        (["search", "ptb", "--config", "task.toml", "--dry-run"], "setting task: Expected `str`, got `array`"),
        (["draw", "."], ". is not a search run: its config.toml names no task"),
        (["compare", "ptb", "--seeds", "0"], "seeds must be at least 1, not 0"),
        (["compare", "ptb", "--jobs", "100000"], "jobs must be at most 1024, not 100000"),
        (["compare", "ptb", "--methods", ""], "an empty word stands after --methods"),
        (["evaluate", ".", "--randoms", "-1"], "randoms must be at least 0, not -1"),
        (["evaluate", ".", "--epochs", "0"], "epochs must be at least 1, not 0"),
        (["audit", ".", "--samples", "1"], "need samples >= 2"),
        (["audit", ".", "--along", "-1"], "0 <= along <= samples"),
        (["search", "ptb", "--device", "meta"], "device 'meta' cannot be used here"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("task.toml", "config.toml"):
        (tmp_path / name).write_text("task = []")
    assert main(words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 2
