"""Run folders: nothing lost, nothing half written, nothing executed."""

import json
import os
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event

from nas.running import runs
from nas.running.runs import RunError


@dataclass(frozen=True)
class Settings:
    rate: float = 0.1


def test_a_run_from_start_to_finish(tmp_path: Path) -> None:
    folder = runs.folder_of(tmp_path, "toy", Settings(), 3)
    assert folder.name.endswith("-s3")
    with runs.open_run(folder, Settings()) as run:
        assert not run.resumed
        run.record({"step": 1})
        run.checkpoint({"x": torch.arange(3)}, {"step": 1})
        run.record({"step": 2})  # after the checkpoint: lost with the process, so made again
    with runs.open_run(folder, Settings()) as run:
        assert run.resumed
        tensors, about = run.restore()
        assert tensors["x"].tolist() == [0, 1, 2]
        assert about["step"] == 1
        assert runs.records(folder) == [{"step": 1}]
        run.finish({"found": "cell"})
    assert json.loads((folder / "result.json").read_text()) == {"found": "cell"}
    sessions = json.loads((folder / "meta.json").read_text())
    assert len(sessions) == 2
    assert all({"commit", "torch", "command", "cores"} <= session.keys() for session in sessions)
    assert list(folder.glob("events.out.tfevents.*"))
    with pytest.raises(RunError, match="is finished"), runs.open_run(folder, Settings()):
        pass


def test_what_an_attempt_recorded_that_kept_nothing_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with runs.open_run(folder, Settings()) as run:
        run.record({"step": 1})
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"st')  # a full disk
    with runs.open_run(folder, Settings()) as run:
        run.record({"step": 1})
        assert runs.records(folder) == [{"step": 1}]
        run.checkpoint({}, {"step": 1})
    with runs.open_run(folder, Settings()) as run:
        run.record({"step": 2})
        assert runs.records(folder) == [{"step": 1}, {"step": 2}]  # what was kept stays


def test_records_that_are_gone_are_missed(tmp_path: Path) -> None:
    with runs.open_run(tmp_path, Settings()) as run:
        run.record({"step": 1})
        run.checkpoint({}, {"step": 1})
    (tmp_path / "metrics.jsonl").write_text("")
    with runs.open_run(tmp_path, Settings()) as run, pytest.raises(RunError, match="records are lost"):
        run.restore()


def test_nothing_that_is_not_a_number_is_kept(tmp_path: Path) -> None:
    with runs.open_run(tmp_path, Settings()) as run:
        run.checkpoint({"x": torch.tensor([1.0, float("inf")]), "n": torch.arange(3)}, {"step": 1})
        with pytest.raises(runs.Diverged, match="x is not a number after step 2"):
            run.checkpoint({"x": torch.tensor([1.0, float("nan")])}, {"step": 2})
    assert runs.read_checkpoint(tmp_path / "checkpoint.safetensors")[1]["step"] == 1


def test_events_are_tensorboards(tmp_path: Path) -> None:
    """Read with the protocol buffers of tensorboardX: one event a record, one scalar a number, texts as texts."""
    record = {"step": 7, "loss": 0.5, "validation": {"accuracy": 20.0}, "probabilities": [[0.25, 0.75]]}
    with runs.open_run(tmp_path, Settings()) as run:
        run.record({**record, "architecture": "a cell"})
    content = next(tmp_path.glob("events.out.tfevents.*")).read_bytes()
    events = []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    first, second = events
    assert first.file_version == "brain.Event:2"
    assert second.step == 7
    *numbers, architecture = second.summary.value
    assert architecture.metadata.plugin_data.plugin_name == "text"
    assert list(architecture.tensor.string_val) == [b"a cell"]
    assert {value.tag: value.simple_value for value in numbers} == {
        "step": 7.0,
        "loss": 0.5,
        "validation/accuracy": 20.0,
        "probabilities/0/0": 0.25,
        "probabilities/0/1": 0.75,
    }


def test_other_settings_and_a_second_process_are_refused(tmp_path: Path) -> None:
    with (
        runs.open_run(tmp_path / "r", Settings()),
        pytest.raises(RunError, match="in use by another process"),
        runs.open_run(tmp_path / "r", Settings()),
    ):
        pass
    with pytest.raises(RunError, match="holds other settings"), runs.open_run(tmp_path / "r", Settings(0.2)):
        pass


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match="cannot write the run folder"),
        runs.open_run(tmp_path / "file" / "r", Settings()),
    ):
        pass


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result.json"
    runs.write_atomically(target, "old")

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        runs.write_atomically(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_checkpoint_never_executes_code(tmp_path: Path) -> None:
    """A pickle where the checkpoint should be is refused as damaged, and its payload does not run."""

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "executed"),)

    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(RunError, match="cannot be read"):
        runs.read_checkpoint(file)
    assert not (tmp_path / "executed").exists()
    pickle.loads(file.read_bytes())  # control: the payload is live for whoever unpickles it
    assert (tmp_path / "executed").exists()


def test_damaged_records_and_missing_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run at"):
        runs.records(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st')
    with pytest.raises(RunError, match=r"metrics.jsonl is damaged"):
        runs.records(tmp_path)
