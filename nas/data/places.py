"""Where is data looked for, is it what was published, and how does it get here when asked for?

What a file contains is the business of the loaders beside this one. They say what it is called, what its checksum is
and where people get it (`Source`); a missing or damaged file is one line that says all of that.
"""

import gzip
import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nas.running.files import LARGE, FileError, read_bytes, sync_folder

VARIABLE = "ADVANTAGE_NAS_DATA"
CHUNK = 1 << 20
MOST = 64 << 20  # bytes that a compressed text or table unpacks to


class DataError(ValueError):
    """Data that is missing or is not what was published. The message is one line: what, where, what to do."""


@dataclass(frozen=True)
class Source:
    """A data set as published.

    what, for people; names, the files or folders that hold it, best first; obtain, how people get it; url, md5 and
    file: the address, checksum and name of the download, where there is a direct one.
    """

    what: str
    names: tuple[str, ...]
    obtain: str
    url: str | None = None
    md5: str | None = None
    file: str | None = None


def folders(data: Path | None = None) -> list[Path]:
    """Where data is looked for: `data` (--data) alone if given; else ADVANTAGE_NAS_DATA, ./data, the cache."""
    if data is not None:
        return [data]
    named = os.environ.get(VARIABLE)
    return [*([Path(named)] if named else []), Path("data"), user_cache()]


def user_cache() -> Path:
    """The user's own data folder, which downloads go to: XDG_CACHE_HOME or ~/.cache, then advantage-nas."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "advantage-nas"


def find(source: Source, data: Path | None = None) -> Path:
    """The first file or folder of `source` that exists: every name in the first place, then in the next.

    A place may also be the file or folder itself. Raises: DataError: which names, which places, how to get it.
    """
    places = folders(data)
    for place in places:
        for name in source.names:
            for path in (place / name, place):
                if path.name == name and path.exists():
                    return path
    looked = ", ".join(str(place) for place in places)
    raise DataError(
        f"{source.what} not found: looked for {' or '.join(source.names)} in {looked}; {source.obtain}; "
        f"then pass --data DIR or set {VARIABLE}"
    )


def verify(path: Path, digest: str, algorithm: str = "sha256") -> None:
    """Refuse a file whose checksum is not the published one. Raises: DataError naming both sums."""
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, algorithm).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if actual != digest:
        raise DataError(f"{path} is damaged or another version: {algorithm} is {actual}, not {digest}; get it again")


def download(source: Source, folder: Path) -> Path:
    """Fetch `source` into `folder`, with progress; an interrupted download goes on where it stopped.

    The file appears under its name only when its checksum is right. Raises: DataError with the address.
    """
    if source.url is None or source.md5 is None or source.file is None:
        raise DataError(f"{source.what} has no direct download; {source.obtain}")
    target, part = folder / source.file, folder / f"{source.file}.part"
    if target.exists():
        verify(target, source.md5, "md5")
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(source.url, part)
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise DataError(f"download of {source.url} into {folder} stopped: {reason}; try again to go on") from error
    try:
        verify(part, source.md5, "md5")
    except DataError:
        part.unlink()  # a wrong start would make every resumed download wrong
        raise
    part.replace(target)
    sync_folder(folder)
    return target


def read(path: Path, names: Sequence[str] = (), most: int = LARGE) -> bytes:
    """The content of a file, of at most so many bytes. Raises: DataError; `names` are what else belongs beside it."""
    try:
        return read_bytes(path, most)
    except FileError as error:
        beside = f" (needed: {', '.join(names)})" if names else ""
        raise DataError(f"{error}{beside}") from error


def unzipped(content: bytes, path: Path, most: int = MOST) -> bytes:
    """What the gzipped content of `path` holds, of at most so many bytes. Raises: DataError."""
    try:
        with gzip.open(io.BytesIO(content)) as file:  # gzip carries a checksum of its content, and checks it
            unpacked: bytes = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}; get it again") from error
    if len(unpacked) > most:
        raise DataError(f"{path} unpacks to more than the {most:,} bytes that it can have; get it again")
    return unpacked


# ------------------------------------------------------------------ helpers


def _fetch(url: str, part: Path) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and done:  # nothing is left to fetch
                return
        raise
    with answer:
        resumed = answer.status == 206
        left = answer.headers.get("Content-Length")
        already = done if resumed else 0
        total = already + int(left) if left is not None else None
        bar = tqdm(total=total, initial=already, unit="B", unit_scale=True, desc=part.stem, disable=None)
        with bar, part.open("ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and part.stat().st_size < total:
        raise OSError(f"{part.stat().st_size} of {total} bytes came")
