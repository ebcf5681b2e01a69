"""What does a run leave behind, and how is nothing lost or half written?

A run folder `RUNS/NAME/DIGEST-sSEED/` holds `config.toml` (resolved settings), `meta.json` (commit, versions, device
and command of every start), `metrics.jsonl` (one record a line), TensorBoard events, `checkpoint.safetensors` and, last
of all, `result.json`: its presence means finished. Whole files are written aside, synced and renamed; checkpoints hold
arrays and JSON only, so that loading one never executes anything. A checkpoint carries the digest of its tensors and
facts, and that of the records that were kept by then: a run goes on from what was written, or says what is damaged.
"""

import contextlib
import hashlib
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

from nas.running import config, files
from nas.running.files import FileError
from nas.running.files import write_atomically as write_atomically

CONFIG, META, METRICS, RESULT = "config.toml", "meta.json", "metrics.jsonl", "result.json"
CHECKPOINT = "checkpoint.safetensors"
EVENTS = "events.out.tfevents"  # and the second, the machine and the number of a start
OWN = (CONFIG, META, METRICS, RESULT, CHECKPOINT)
MATTERS = ("processes", "device", "threads", "machine", "torch", "numpy")  # to the last digits of what is computed


class RunError(FileError):
    """A run folder that cannot be used: unwritable, in use, finished, or damaged. The message is one line."""


class Diverged(RunError):
    """A number that is not finite. The last good checkpoint is kept."""


class Metrics:
    """metrics.jsonl as this process left it: its length and digest, so that what others do to it is noticed."""

    def __init__(self, file: Path) -> None:
        self.file, self.length, self.hash = file, 0, hashlib.sha256()

    def take(self, length: int | None = None, digest: str | None = None) -> list[dict[str, Any]]:
        """Go on after the first `length` bytes, or all; what follows is cut off. Returns: their last record, if any.

        Raises: RunError if they are not there, or not those of the digest; without one, if a line is no record.
        """
        content = _read(self.file, files.LARGE) if self.file.exists() else b""
        kept = content if length is None else content[:length]
        if length is not None and len(kept) < length:
            raise RunError(f"{self.file} is shorter than when its checkpoint was written: records are lost")
        if digest is not None and hashlib.sha256(kept).hexdigest() != digest:
            raise RunError(f"{self.file} is damaged: its records are not those that its checkpoint counts on")
        lines = kept.splitlines()
        checked = lines if digest is None and length is not None else lines[-1:]
        found = [_parsed(line, self.file) for line in checked] if length is not None else []
        if len(kept) < len(content):
            os.truncate(self.file, len(kept))
        self.length, self.hash = len(kept), hashlib.sha256(kept)
        return found[-1:]

    def append(self, line: str) -> None:
        """Add one line. Raises: RunError if the file is not as it was left."""
        self.check()
        content = line.encode()
        with files.naming(self.file), self.file.open("ab") as file:
            file.write(content)
        self.length += len(content)
        self.hash.update(content)

    def kept(self) -> dict[str, Any]:
        """Put the records on the disk, as the checkpoint that counts on them will be; their length and digest."""
        self.check()
        if self.length:
            with files.naming(self.file), self.file.open("ab") as file:
                os.fsync(file.fileno())
        return {"metrics_bytes": self.length, "metrics_sha256": self.hash.hexdigest()}

    def check(self, content: bool = False) -> None:
        """Raises: RunError if the file is longer or shorter than it was left, or, if asked, holds something else."""
        there = self.file.stat().st_size if self.file.exists() else 0
        same = there == self.length
        if same and content and self.length:
            same = hashlib.sha256(_read(self.file, files.LARGE)).digest() == self.hash.digest()
        if not same:
            raise RunError(
                f"{self.file} was changed while this run went on: {self.length} bytes were written, {there} are there; "
                "start it again: it goes on from its checkpoint if the records until then are whole"
            )


@dataclass(frozen=True)
class Run:
    """An open run folder. Make one with `open_run`."""

    folder: Path
    events: Any = None  # a tensorboardX EventsWriter
    metrics: Any = None  # Metrics
    trackers: tuple[Any, ...] = ()  # nas.running.trackers.Hook, told what was written

    @property
    def resumed(self) -> bool:
        """Whether a checkpoint is there to go on from."""
        return (self.folder / CHECKPOINT).exists()

    def record(self, record: Mapping[str, Any]) -> None:
        """Append one record to metrics.jsonl; TensorBoard gets its numbers and texts at record["step"].

        Raises: RunError if metrics.jsonl is not as the last record left it.
        """
        self.metrics.append(json.dumps(record) + "\n")
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary
        from tensorboardX.summary import text

        values = [Summary.Value(tag=name, simple_value=number) for name, number in numbers(record)]
        for name, part in record.items():
            values += text(name, part).value if isinstance(part, str) else []
        event = Event(wall_time=time.time(), step=record.get("step"), summary=Summary(value=values))
        try:
            self.events.write_event(event)
            self.events.flush()
        except OSError as error:  # a full disk; the writer does not say which file
            error.filename = error.filename or str(self.folder / EVENTS)
            raise
        for tracker in self.trackers:
            tracker.record(record)

    def checkpoint(self, tensors: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        """Save torch tensors and JSON facts, with length and digest of metrics.jsonl at this moment.

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
        said = json.dumps({**about, **self.metrics.kept()})
        content = save(flat, {"about": said, "sha256": _digest(flat, said)})
        write_atomically(self.folder / CHECKPOINT, content)

    def restore(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The last checkpoint's tensors and facts; later records are cut off, since they will be made again.

        Raises: RunError if the checkpoint or the records that it counts on are damaged.
        """
        tensors, about = read_checkpoint(self.folder / CHECKPOINT)
        length, digest = about["metrics_bytes"], about.get("metrics_sha256")
        if digest is None:
            say(f"{self.folder / CHECKPOINT} is of an older version: it has no digest, so damage may go unnoticed")
        last = self.metrics.take(length, digest)
        step = last[0].get("step") if last else None
        _begin_session(self.events, step + 1 if isinstance(step, int) else 0)
        return tensors, about

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json: the run is finished. Raises: RunError if the records are not those that were written."""
        self.metrics.check(content=True)
        write_atomically(self.folder / RESULT, json.dumps(result, indent=2) + "\n")
        for tracker in self.trackers:
            tracker.finish(result)


@contextlib.contextmanager
def open_run(folder: Path, settings: Any, device: str = "cpu") -> Iterator[Run]:
    """Create a run folder, or reopen an unfinished one of the same settings, for this process alone.

    device: where the run computes, for meta.json.
    Raises: RunError if the folder cannot be written, holds other settings, is finished, or is in use elsewhere, or if
    this system has no POSIX locks.
    """
    try:
        import fcntl
    except ImportError as error:  # on Windows
        raise RunError(f"cannot lock the run folder {folder}: that takes POSIX's fcntl (Linux, macOS)") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.sync_folder(folder.parent)
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
        text, written = config.dump(settings), folder / CONFIG
        if not written.exists():
            write_atomically(written, text)
        elif _read(written).decode("utf-8", errors="replace") != text:
            raise RunError(f"{folder} holds other settings ({written}), or it is damaged; choose another folder")
        files.sweep(folder, OWN)
        files.sweep(folder / "cells", ("",))
        before, now = _sessions_or_aside(folder), about_this_program(device)
        resumed = (folder / CHECKPOINT).exists()
        if resumed and before:
            _say_what_changed(folder, before[-1], now)
        write_atomically(folder / META, json.dumps([*before, now], indent=2) + "\n")
        metrics = Metrics(folder / METRICS)
        if resumed:
            metrics.take()
        else:  # what an attempt recorded that kept nothing is made again
            metrics.file.unlink(missing_ok=True)
        earlier = any(folder.glob(f"{EVENTS}.*"))
        with _events(folder, len(before)) as events:
            if earlier and not resumed:
                _begin_session(events, 0)
            yield Run(folder, events, metrics)


@contextlib.contextmanager
def _events(folder: Path, number: int) -> Iterator[Any]:
    """TensorBoard's events of a run's start `number`. The same error at the end does not hide one on the way."""
    from tensorboardX.event_file_writer import EventsWriter

    # Not tensorboardX's SummaryWriter: its thread would tell of a full disk by itself, on many lines.
    # Named by the start's number too: two starts within a second are two files.
    earlier = {path.name for path in folder.glob(f"{EVENTS}.*")}
    newest = max((name.split(".")[3] for name in earlier), default="")
    events = EventsWriter(str(folder / "events"), f".{number:04d}")
    for own in folder.glob(f"{EVENTS}.*"):
        *first, stamp, rest = own.name.split(".", 4)
        if own.name not in earlier and stamp < newest:  # the clock was set back, and files are read by their names
            own.rename(own.with_name(".".join((*first, newest, rest))))
    try:
        yield events
    except BaseException:
        with contextlib.suppress(OSError):
            events.close()
        raise
    events.close()


def folder_of(root: Path, name: str, settings: Any, seed: int) -> Path:
    """RUNS/NAME/DIGEST-sSEED."""
    return root / name / f"{config.digest(settings)}-s{seed}"


def sessions(folder: Path) -> list[dict[str, Any]]:
    """What every start of a run said of itself (`about_this_program`), oldest first; none where that is not known.

    Raises: RunError if meta.json is damaged.
    """
    if not (folder / META).exists():
        return []
    with _as_run_error():
        return files.read_json(folder / META, list[dict[str, Any]])


def records(folder: Path) -> list[dict[str, Any]]:
    """All records of a run, oldest first. Raises: RunError if there are none or a line is damaged."""
    if not (folder / METRICS).exists():
        raise RunError(f"no run at {folder}: it has no {METRICS}")
    return [_parsed(line, folder / METRICS) for line in _read(folder / METRICS, files.LARGE).splitlines()]


def result(folder: Path) -> dict[str, Any]:
    """result.json of a finished run. Raises: RunError if the run is not there, not finished, or damaged."""
    if not (folder / RESULT).exists():
        what = "is not finished" if (folder / CONFIG).exists() else "is not a run folder"
        raise RunError(f"{folder} {what}: it has no {RESULT}")
    with _as_run_error():
        return files.read_json(folder / RESULT, dict[str, Any])


def read_checkpoint(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and facts of a checkpoint. Raises: RunError if it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as opened:
            said = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        about = files.parse_json(said["about"], dict[str, Any], "what it says of itself")
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise RunError(f"checkpoint {file} cannot be read: {error}") from error
    if "sha256" in said and said["sha256"] != _digest(tensors, said["about"]):
        raise RunError(
            f"checkpoint {file} is damaged: its digest is not that of what it holds; go back to a copy of it"
        )
    if type(length := about.get("metrics_bytes")) is not int or length < 0:
        raise RunError(f"checkpoint {file} is damaged: it says that {METRICS} had {str(length)[:40]} bytes")
    return tensors, about


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
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "device": device if torch is None or device == "cpu" else torch.cuda.get_device_name(device),
        "threads": None if torch is None else torch.get_num_threads(),
    }


def say(line: str) -> None:
    """Tell the user something that is no result and no error."""
    print(line, file=sys.stderr)


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number in nested records, as ("probabilities/0/2", 0.25)."""
    if isinstance(value, int | float):
        yield name, float(value)
    elif isinstance(value, Mapping | list):
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from numbers(inner, f"{name}/{key}" if name else str(key))


# ------------------------------------------------------------------ helpers


@contextlib.contextmanager
def _as_run_error() -> Iterator[None]:
    try:
        yield
    except FileError as error:
        raise RunError(str(error)) from error


def _read(file: Path, most: int = files.SMALL) -> bytes:
    with _as_run_error():
        return files.read_bytes(file, most)


def _parsed(line: bytes, file: Path) -> dict[str, Any]:
    with _as_run_error():
        return files.parse_json(line, dict[str, Any], file)


def _digest(tensors: Mapping[str, Any], about: str) -> str:
    """SHA-256 of names, types, shapes and contents of tensors, and of the facts' text."""
    import torch

    found = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _sessions_or_aside(folder: Path) -> list[dict[str, Any]]:
    """The earlier starts; a meta.json that cannot be read is kept aside, and said."""
    try:
        return sessions(folder)
    except RunError as error:
        names = (f"{META}.damaged", *(f"{META}.damaged-{number}" for number in range(2, 1000)))
        aside = next(folder / name for name in names if not (folder / name).exists())
        (folder / META).rename(aside)
        say(f"{error}; it is kept as {aside.name}, and this start is the first in a new one")
        return []


def _say_what_changed(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    apart = [
        f"{name} {before[name]} -> {now[name]}" for name in MATTERS if name in before and before[name] != now[name]
    ]
    if apart:
        say(
            f"{folder} goes on under other circumstances ({', '.join(apart)}): what is kept is exact, what follows may "
            "differ from a run that never stopped"
        )


def _begin_session(events: Any, step: int) -> None:
    """Tell TensorBoard that what earlier files have from this step on is made again."""
    if events is None:
        return
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    events.write_event(Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START)))
    events.flush()


def _commit() -> str | None:
    root = Path(__file__).resolve().parents[1]
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()
