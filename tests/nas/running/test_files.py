"""What could not be written is known before it is computed; how files are written is tested where runs are."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nas.running import files
from nas.running.files import FileError


def test_a_target_that_cannot_be_written_is_named_and_one_that_can_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.check_target(tmp_path / "new.json")  # control
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    for target, says in (
        (tmp_path, "it is a folder"),
        (tmp_path / "none" / "x", f"no writable folder {tmp_path / 'none'}"),
        (tmp_path / "file" / "x", "no writable folder"),
        (Path("/proc/x"), "cannot write into /proc: "),  # nobody can, root included
    ):
        with pytest.raises(FileError, match=says):
            files.check_target(target)

    def read_only(*given: Any, **more: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(FileError, match=f"cannot write into {tmp_path}: Read-only file system"):
        files.check_folder(tmp_path)


def test_what_killed_processes_left_is_removed_when_it_is_nobodys(tmp_path: Path) -> None:
    old, young, own = (tmp_path / f".{name}.7.part" for name in ("audit.json", "report.html", "result.json"))
    for part in (old, young, own):
        part.write_text("half")
    os.utime(old, (0, 0))
    files.sweep(tmp_path, ("result.json",))
    assert list(tmp_path.iterdir()) == [young]  # another process may be at it
    os.utime(young, (0, 0))
    files.ready(tmp_path)
    assert not list(tmp_path.iterdir())
