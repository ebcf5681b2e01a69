"""How is a file read without trust, and written without loss?

What is read has a largest size, and whatever is wrong with it is one line that names the file. Whole files are written
aside, synced and renamed, and then their folder is synced: after a power cut there is the old content or the new.
"""

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

K = TypeVar("K")

SMALL = 16 << 20  # bytes of settings and facts
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
