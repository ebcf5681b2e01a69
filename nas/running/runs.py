"""What does a run leave behind, and how is nothing lost or half written?

A run folder `RUNS/NAME/DIGEST-sSEED/` holds `config.toml` (resolved settings), `meta.json` (commit, versions, device
and command of every start), `metrics.jsonl` (one record a line), TensorBoard events, `checkpoint.safetensors` and, last
of all, `result.json`: its presence means finished. Whole files are written aside, synced and renamed; checkpoints hold
arrays and JSON only, so that loading one never executes anything.
"""

import contextlib
import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from nas.running import config

CONFIG, META, METRICS, RESULT = "config.toml", "meta.json", "metrics.jsonl", "result.json"
CHECKPOINT = "checkpoint.safetensors"


class RunError(ValueError):
    """A run folder that cannot be used: unwritable, in use, finished, or damaged. The message is one line."""


class Diverged(RunError):
    """A number that is not finite. The last good checkpoint is kept."""


@dataclass(frozen=True)
class Run:
    """An open run folder. Make one with `open_run`."""

    folder: Path
    events: Any  # a tensorboardX EventsWriter

    @property
    def resumed(self) -> bool:
        """Whether a checkpoint is there to go on from."""
        return (self.folder / CHECKPOINT).exists()

    def record(self, record: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl; TensorBoard gets its numbers and texts at record["step"]."""
        with (self.folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import text

        values = [Summary.Value(tag=name, simple_value=number) for name, number in _numbers(record)]
        for name, part in record.items():
            values += text(name, part).value if isinstance(part, str) else []
        self.events.write_event(Event(wall_time=time.time(), step=record.get("step"), summary=Summary(value=values)))
        self.events.flush()

    def checkpoint(self, tensors: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Save torch tensors and JSON facts, with the length of metrics.jsonl at this moment.

        Raises: Diverged if one holds NaN: what is kept can be gone on from.
        """
        import torch
        from safetensors.torch import save

        flat = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        for name, tensor in flat.items():
            if torch.isnan(tensor).any():
                raise Diverged(f"{self.folder}: {name} is not a number after step {about['step']}; lower its rate")
        about = {**about, "metrics_bytes": self._sync_metrics()}
        write_atomically(self.folder / CHECKPOINT, save(flat, {"about": json.dumps(about)}))

    def restore(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The last checkpoint's tensors and facts; later records are cut off, since they will be made again."""
        tensors, about = read_checkpoint(self.folder / CHECKPOINT)
        metrics, length = self.folder / METRICS, about["metrics_bytes"]
        if length > (metrics.stat().st_size if metrics.exists() else 0):
            raise RunError(f"{metrics} is shorter than when its checkpoint was written: records are lost")
        if metrics.exists():
            os.truncate(metrics, length)
        return tensors, about

    def _sync_metrics(self) -> int:
        """Put the records on the disk, as the checkpoint that counts on them will be; their length in bytes."""
        metrics = self.folder / METRICS
        if not metrics.exists():
            return 0
        with metrics.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json: the run is finished."""
        write_atomically(self.folder / RESULT, json.dumps(result, indent=2) + "\n")


@contextlib.contextmanager
def open_run(folder: Path, settings: Any, device: str = "cpu") -> Iterator[Run]:
    """Create a run folder, or reopen an unfinished one of the same settings, for this process alone.

    device: where the run computes, for meta.json.
    Raises: RunError if the folder cannot be written, holds other settings, is finished, or is in use elsewhere.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise RunError(f"cannot write the run folder {folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(f"{folder} is in use by another process") from error
        if (folder / RESULT).exists():  # another process may have finished it until now
            raise RunError(f"{folder} is finished; choose another --seed, --runs or setting, or delete the folder")
        text = config.dump(settings)
        written = folder / CONFIG
        if written.exists() and written.read_text(encoding="utf-8") != text:
            raise RunError(f"{folder} holds other settings ({written}); choose another folder")
        write_atomically(written, text)
        write_atomically(folder / META, json.dumps([*sessions(folder), about_this_program(device)], indent=2) + "\n")
        if not (folder / CHECKPOINT).exists():  # what an attempt recorded that kept nothing is made again
            (folder / METRICS).unlink(missing_ok=True)
        # Not tensorboardX's SummaryWriter: its thread would tell of a full disk by itself, on many lines.
        from tensorboardX.event_file_writer import EventsWriter

        with contextlib.closing(EventsWriter(str(folder / "events"))) as events:
            yield Run(folder, events)


def folder_of(root: Path, name: str, settings: Any, seed: int) -> Path:
    """RUNS/NAME/DIGEST-sSEED."""
    return root / name / f"{config.digest(settings)}-s{seed}"


def sessions(folder: Path) -> list[dict[str, Any]]:
    """What every start of a run said of itself (`about_this_program`), oldest first; none where that is not known."""
    try:
        found: list[dict[str, Any]] = json.loads((folder / META).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return []
    return found


def records(folder: Path) -> list[dict[str, Any]]:
    """All records of a run, oldest first. Raises: RunError if there are none or a line is damaged."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise RunError(f"no run at {folder}: {error.strerror} ({METRICS})") from error
    try:
        return [json.loads(line) for line in lines]
    except json.JSONDecodeError as error:
        raise RunError(f"{folder / METRICS} is damaged: {error}") from error


def result(folder: Path) -> dict[str, Any]:
    """result.json of a finished run. Raises: RunError if the run is not there, not finished, or damaged."""
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        what = "is not finished" if (folder / CONFIG).exists() else "is not a run folder"
        raise RunError(f"{folder} {what}: it has no {RESULT}") from error
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"cannot read {folder / RESULT}: {error}") from error
    return found


def read_checkpoint(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and facts of a checkpoint. Raises: RunError if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            about = json.loads((opened.metadata() or {})["about"])
            return {name: opened.get_tensor(name) for name in opened.keys()}, about  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise RunError(f"checkpoint {file} cannot be read: {error}") from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file aside, sync it, rename it: readers see the old content or the new, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def about_this_program(device: str = "cpu") -> dict[str, Any]:
    """Commit, versions, machine and command: what a number needs beside it."""
    versions = {name: metadata.version(name) for name in ("numpy", "torch")}
    torch = sys.modules.get("torch")  # what was not loaded did not compute
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "commit": _commit(),
        "python": platform.python_version(),
        **versions,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "device": device if torch is None or device == "cpu" else torch.cuda.get_device_name(device),
        "threads": None if torch is None else torch.get_num_threads(),
    }


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested records, as ("probabilities/0/2", 0.25)."""
    if isinstance(value, int | float):
        yield name, float(value)
    elif isinstance(value, Mapping | list):
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _numbers(inner, f"{name}/{key}" if name else str(key))


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()
