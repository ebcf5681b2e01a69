"""Run folders: nothing lost, nothing half written, nothing executed."""

import json
import os
import pickle
import signal
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tensorboardX.proto.event_pb2 import Event, SessionLog

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


# ------------------------------------------------------------------ damage is noticed


def begun(folder: Path) -> None:
    with runs.open_run(folder, Settings()) as run:
        for step in (1, 2):
            run.record({"step": step, "loss": 1 / step})
        run.checkpoint({"x": torch.arange(4.0), "n": torch.tensor([], dtype=torch.bool)}, {"step": 2, "seconds": 0.5})
        run.record({"step": 3, "loss": 0.0})


def go_on(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    with runs.open_run(folder, Settings()) as run:
        return run.restore()


def test_every_damaged_byte_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    begun(tmp_path)
    file = tmp_path / runs.CHECKPOINT
    whole, (tensors, about) = file.read_bytes(), runs.read_checkpoint(file)
    for place in range(len(whole)):
        for change in (1, 128):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
            try:
                other, said = runs.read_checkpoint(file)
            except RunError:
                continue
            # Blanks that fill up the header mean nothing: whatever is still read is the same.
            assert said == about
            assert all(torch.equal(tensor, other[name]) for name, tensor in tensors.items())
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(RunError):
            runs.read_checkpoint(file)


@pytest.mark.parametrize("place", [0, 10, 25, -1])
def test_a_changed_record_is_noticed_before_anything_goes_on(place: int, tmp_path: Path) -> None:
    begun(tmp_path)
    metrics = tmp_path / runs.METRICS
    kept = runs.read_checkpoint(tmp_path / runs.CHECKPOINT)[1]["metrics_bytes"]
    content = bytearray(metrics.read_bytes())
    content[place if place >= 0 else kept + place] ^= 1
    metrics.write_bytes(content)
    with pytest.raises(RunError, match="its records are not those"):
        go_on(tmp_path)
    assert metrics.read_bytes() == content  # nothing was cut off
    content[place if place >= 0 else kept + place] ^= 1
    content[kept + 1] ^= 1  # control: after the checkpoint nothing counts
    metrics.write_bytes(content)
    assert go_on(tmp_path)[1]["step"] == 2
    assert metrics.stat().st_size == kept


def test_a_checkpoint_of_an_older_version_loads_and_this_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path)
    file = tmp_path / runs.CHECKPOINT
    tensors, about = runs.read_checkpoint(file)
    del about["metrics_sha256"]
    file.write_bytes(save(tensors, {"about": json.dumps(about)}))
    assert go_on(tmp_path)[0]["x"].tolist() == [0, 1, 2, 3]
    assert "of an older version: it has no digest" in capsys.readouterr().err
    metrics = tmp_path / runs.METRICS
    metrics.write_bytes(b"{" + metrics.read_bytes()[:-1])
    with pytest.raises(RunError, match="is damaged"):  # of its records at least the form is known
        go_on(tmp_path)


DEEP = "[" * 100_000  # Python 3.13 reads JSON some 10,000 brackets deep, older ones 1,000


@pytest.mark.parametrize("about", ['{"metrics_bytes": -1}', '{"metrics_bytes": "x"}', "{}", "null", "5", DEEP, "{"])
def test_facts_of_another_form_are_one_line(about: str, tmp_path: Path) -> None:
    file = tmp_path / runs.CHECKPOINT
    file.write_bytes(save({"x": torch.zeros(1)}, {"about": about}))
    with pytest.raises(RunError, match=r"checkpoint .* (is damaged|cannot be read)") as caught:
        runs.read_checkpoint(file)
    assert "\n" not in str(caught.value)
    assert ("it is nested too deeply" in str(caught.value)) == (about == DEEP)


@pytest.mark.parametrize("harm", ["delete", "shorten", "lengthen", "replace"])
def test_records_that_change_while_a_run_goes_on_are_noticed(harm: str, tmp_path: Path) -> None:
    metrics = tmp_path / runs.METRICS
    with runs.open_run(tmp_path, Settings()) as run:
        run.record({"step": 1})
        run.checkpoint({}, {"step": 1})
        if harm == "delete":
            metrics.unlink()
        elif harm == "shorten":
            os.truncate(metrics, 4)
        elif harm == "lengthen":
            metrics.write_text(metrics.read_text() + "x")
        else:
            metrics.write_text('{"step": 2}\n')
        if harm != "replace":  # of the same length: seen where the whole is read
            with pytest.raises(RunError, match="was changed while this run went on"):
                run.record({"step": 2})
            with pytest.raises(RunError, match="was changed while this run went on"):
                run.checkpoint({}, {"step": 2})
        with pytest.raises(RunError, match="was changed while this run went on"):
            run.finish({})
    assert not (tmp_path / runs.RESULT).exists()


@pytest.mark.parametrize("content", ["[{]", "{}", "null", "5", '["x"]', DEEP, "\xff", "[1" + "0" * 5000 + "]"])
def test_a_damaged_meta_is_kept_aside(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begun(tmp_path)
    for name in ("meta.json.damaged", "meta.json.damaged-2"):
        (tmp_path / runs.META).write_text(content, encoding="latin-1")
        with pytest.raises(RunError, match=r"meta\.json is damaged") as caught:
            runs.sessions(tmp_path)
        assert ("it is nested too deeply" in str(caught.value)) == (content == DEEP)
        go_on(tmp_path)
        assert f"it is kept as {name}" in capsys.readouterr().err
        assert (tmp_path / name).read_text(encoding="latin-1") == content
    assert len(runs.sessions(tmp_path)) == 1


def test_what_killed_processes_left_half_written_is_removed(tmp_path: Path) -> None:
    begun(tmp_path)
    (tmp_path / "cells").mkdir()
    stale = [f".{runs.CHECKPOINT}.123.part", ".result.json.9.part", "cells/.a.parquet.77.part", ".audit.json.5.part"]
    for name in [*stale, ".evaluation.json.5.part", "my.part"]:
        (tmp_path / name).write_text("x")
    os.utime(tmp_path / stale[-1], (0, 0))
    go_on(tmp_path)
    assert not any((tmp_path / name).exists() for name in stale)
    assert (tmp_path / ".evaluation.json.5.part").exists()  # another process may be writing it
    assert (tmp_path / "my.part").exists()


def test_a_rename_is_put_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is synced after the rename: else a power cut may undo it."""
    done: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        real_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    runs.write_atomically(tmp_path / "x", "content")
    assert done == ["file", "rename", "folder"]


def test_other_circumstances_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path)
    go_on(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("WORLD_SIZE", "2")
    go_on(tmp_path)
    assert "goes on under other circumstances (processes 1 -> 2)" in capsys.readouterr().err
    assert [session["processes"] for session in runs.sessions(tmp_path)] == [1, 1, 2]


# ------------------------------------------------------------------ TensorBoard


def points(folder: Path) -> list[int]:
    """Steps as TensorBoard shows them: a session's start throws away what earlier files have from its step on."""
    shown: list[int] = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            if event.session_log.status == SessionLog.START:
                shown = [step for step in shown if step < event.step]
            shown += [event.step] if event.summary.value else []
    return shown


def test_tensorboard_never_runs_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1.75e9)  # all starts within one second
    with runs.open_run(tmp_path, Settings()) as run:
        run.record({"step": 1})  # nothing is kept: made again
    with runs.open_run(tmp_path, Settings()) as run:
        for step in (1, 2):
            run.record({"step": step})
        run.checkpoint({}, {"step": 2})
        run.record({"step": 3})
    with runs.open_run(tmp_path, Settings()) as run:
        run.restore()
        for step in (3, 4):
            run.record({"step": step})
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 3
    assert points(tmp_path) == [1, 2, 3, 4]


# ------------------------------------------------------------------ folders of the version before


def test_a_folder_of_the_version_before_goes_on(tmp_path: Path) -> None:
    """As version 0.1.0 wrote it: no digests, no number of processes."""
    (tmp_path / runs.CONFIG).write_text("rate = 0.1\n")
    (tmp_path / runs.META).write_text('[{"command": "x", "threads": 1}]\n')
    line = '{"step": 1}\n'
    (tmp_path / runs.METRICS).write_text(line + '{"st')
    content = save({"x": torch.arange(2)}, {"about": json.dumps({"step": 1, "metrics_bytes": len(line)})})
    (tmp_path / runs.CHECKPOINT).write_bytes(content)
    with runs.open_run(tmp_path, Settings()) as run:
        assert run.restore()[0]["x"].tolist() == [0, 1]
        run.record({"step": 2})
        run.finish({})
    assert runs.records(tmp_path) == [{"step": 1}, {"step": 2}]
    assert len(runs.sessions(tmp_path)) == 2


# ------------------------------------------------------------------ clocks, threads, folders


def test_tensorboard_never_runs_backwards_where_the_clock_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads files in the order of their names, which begin with the second of their start."""
    for start, second in enumerate((1.75e9, 1.74e9, 1.76e9)):
        monkeypatch.setattr("time.time", lambda second=second: second)
        with runs.open_run(tmp_path, Settings()) as run:
            if start:
                run.restore()
            run.record({"step": 2 * start + 1})
            run.checkpoint({}, {"step": 2 * start + 1})
            run.record({"step": 2 * start + 2})
    names = sorted(file.name for file in tmp_path.glob(f"{runs.EVENTS}.*"))
    assert [name[-4:] for name in names] == ["0000", "0001", "0002"]
    assert [name.split(".")[3] for name in names] == ["1750000000", "1750000000", "1760000000"]
    assert points(tmp_path) == [1, 3, 5, 6]


def test_another_number_of_threads_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begun(tmp_path)
    then = runs.sessions(tmp_path)[-1]["threads"]
    monkeypatch.setattr(torch, "get_num_threads", lambda: then + 1)
    go_on(tmp_path)
    said = capsys.readouterr().err
    assert f"(threads {then} -> {then + 1}): what is kept is exact, what follows may differ" in said


@pytest.mark.parametrize("writing", ["record", "checkpoint"])
def test_a_folder_that_becomes_read_only_loses_nothing(
    writing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the file; where it can be written again, the run goes on from its checkpoint."""
    real = Path.open

    def read_only(self: Path, mode: str = "r", *given: object, **more: object) -> object:
        if mode in ("ab", "wb"):
            raise OSError(30, "Read-only file system", str(self))
        return real(self, mode, *given, **more)  # type: ignore[call-overload]

    with runs.open_run(tmp_path, Settings()) as run:
        run.record({"step": 1})
        run.checkpoint({"x": torch.ones(1)}, {"step": 1})
        monkeypatch.setattr(Path, "open", read_only)
        with pytest.raises(OSError, match=f"Read-only file system: '{tmp_path}"):
            run.record({"step": 2}) if writing == "record" else run.checkpoint({"x": torch.zeros(1)}, {"step": 2})
        monkeypatch.undo()
    tensors, about = go_on(tmp_path)
    assert (tensors["x"].tolist(), about["step"]) == ([1.0], 1)


# ------------------------------------------------------------------ TensorBoard's own reader


def shown(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Steps and values of a curve as TensorBoard's own reader has them."""
    name = "tensorboard.backend.event_processing.event_accumulator"
    reader = pytest.importorskip(name, reason="tensorboard is not installed")
    accumulator = reader.EventAccumulator(str(folder), size_guidance={reader.SCALARS: 0})
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def killed_in_a_run(folder: Path, kept: list[int], lost: list[int]) -> None:
    """A process that is killed in the middle of an event, after a checkpoint at the last step that it keeps."""
    if (process := os.fork()) == 0:
        try:
            with runs.open_run(folder, Settings()) as run:
                if run.resumed:
                    run.restore()
                for step in kept:
                    run.record({"step": step, "loss": 1 / step})
                if kept:
                    run.checkpoint({}, {"step": kept[-1]})
                for step in lost:
                    run.record({"step": step, "loss": -1.0})
                newest = max(folder.glob(f"{runs.EVENTS}.*"), key=lambda file: file.name)
                with newest.open("ab") as file:
                    file.write(newest.read_bytes()[-40:-20])
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def test_tensorboards_own_reader_shows_a_killed_run_as_one_that_was_left_alone(tmp_path: Path) -> None:
    """Also a start that kept nothing, one that lost records, and one that was killed before its first."""
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    killed_in_a_run(killed, [], [1])
    killed_in_a_run(killed, [1, 2, 3], [4, 5])
    killed_in_a_run(killed, [], [])
    killed_in_a_run(killed, [4], [])
    for folder in (killed, alone):
        with runs.open_run(folder, Settings()) as run:
            if run.resumed:
                run.restore()
            for step in range(5 if folder == killed else 1, 8):
                run.record({"step": step, "loss": 1 / step})
    assert len(list(killed.glob(f"{runs.EVENTS}.*"))) == 5
    assert [step for step, _ in shown(alone, "loss")] == [1, 2, 3, 4, 5, 6, 7]
    assert shown(killed, "loss") == shown(alone, "loss")


def test_control_without_a_session_s_start_tensorboard_runs_backwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_begin_session", lambda events, step: None)
    killed_in_a_run(tmp_path, [1, 2], [3])
    with runs.open_run(tmp_path, Settings()) as run:
        run.restore()
        run.record({"step": 3, "loss": 1 / 3})
    assert [step for step, _ in shown(tmp_path, "loss")] != [1, 2, 3]
