"""How is a file read without trust, and written without loss?

What is read has a largest size, and whatever is wrong with it is one line that names the file. Whole files are written
aside, synced and renamed, and then their folder is synced: after a power cut there is the old content or the new.
"""

import contextlib
import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

K = TypeVar("K")

SMALL = 16 << 20  # bytes of settings and facts
ABANDONED = 3600.0  # seconds after which a part of a file is nobody's
LARGE = 1 << 30  # bytes of records


class FileError(ValueError):
    """A file that cannot be read, or holds something else. The message is one line that names it."""


def read_bytes(path: Path, most: int = SMALL) -> bytes:
    """The content of a file of at most so many bytes. Raises: FileError."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > most:
        raise FileError(f"cannot read {path}: it has more than the {most:,} bytes that such a file can have")
    return content


def read_text(path: Path, most: int = SMALL) -> str:
    """The text of a UTF-8 file, without a byte-order mark. Raises: FileError."""
    content = read_bytes(path, most)
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError(
            f"{path} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start} (line {line})"
        ) from error


def parse_json(text: str | bytes, kind: type[K], where: object) -> K:
    """A JSON text as a value of `kind`, such as ``dict[str, float]``. Raises: FileError that names `where` it stood."""
    try:
        return msgspec.convert(json.loads(text), kind, strict=True)
    except (ValueError, RecursionError) as error:  # ValueError: JSON, UTF-8, a number's length, or another form
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise FileError(f"{where} is damaged: {reason}") from error


def read_json(path: Path, kind: type[K], most: int = SMALL) -> K:
    """The value of a JSON file, which must be of `kind`. Raises: FileError."""
    return parse_json(read_bytes(path, most), kind, path)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a whole file aside, sync it, rename it: readers see the old content or the new, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with naming(path), aside.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


def check_target(file: Path) -> None:
    """Refuse a file that could not be written, before its content is computed. Raises: FileError that names it."""
    if file.is_dir():
        raise FileError(f"cannot write {file}: it is a folder")
    if not file.parent.is_dir():
        raise FileError(f"cannot write {file}: no writable folder {file.parent}")
    check_folder(file.parent)


def ready(folder: Path) -> None:
    """`check_folder` of a folder of this toolkit's own; what killed processes left there half written is removed."""
    check_folder(folder)
    sweep(folder)


def sweep(folder: Path, own: tuple[str, ...] = ()) -> None:
    """Remove what killed processes left half written.

    own: beginnings of the names of files that nobody else may write now; parts of others stay for `ABANDONED` seconds.
    """
    beginnings = tuple(f".{name}" for name in own)
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):
            if part.name.startswith(beginnings) or time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def check_folder(folder: Path) -> None:
    """Refuse a folder into which nothing can be written, before anything is computed. Raises: FileError."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise FileError(f"cannot write into {folder}: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk: without it a power cut may undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what some network file systems answer: they do not know it
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of writing, such as a full disk, name the file: the system's own do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
