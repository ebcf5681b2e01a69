"""How are CIFAR-10's and CIFAR-100's published files read, and are they the published ones?

Reads what the authors publish (Krizhevsky 2009): the binary version, the Python version, or either archive as
downloaded. The Python version is a pickle; it is *parsed*, by an interpreter of the few instructions such a file needs,
and nothing in it is ever called. Which files there are, with their checksums, say nas/data/cifar10.py and
nas/data/cifar100.py.
"""

import hashlib
import pickletools
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data import places
from nas.data.places import DataError, Source

Bytes = npt.NDArray[np.uint8]

IMAGE_BYTES, TRAIN, TEST = 3 * 32 * 32, 50_000, 10_000
MOST = 192 << 20  # bytes of a published file: CIFAR-100 has all its training images in one, of 155 MB


@dataclass(frozen=True)
class Images:
    """pixels (N, 3, 32, 32) uint8, red, green, blue; labels (N,) uint8, the number of the class."""

    pixels: Bytes
    labels: Bytes

    def part(self, start: int, end: int) -> "Images":
        """Images start to end, in the published order."""
        return Images(self.pixels[start:end], self.labels[start:end])


@dataclass(frozen=True)
class Edition:
    """A published version: its folder and archive, its files with their checksums in order, how one file is read."""

    folder: str
    archive: str
    algorithm: str
    digests: dict[str, str]
    read: Callable[[bytes, str], Images]

    def named(self, path: Path) -> bool:
        """Whether a folder or an archive of this name is this version."""
        return path.name in (self.folder, self.archive)


def source(what: str, url: str, md5: str, binary: Edition, python: Edition) -> Source:
    """Where a data set is looked for, best first, and where its binary version is downloaded."""
    return Source(
        what,
        (binary.folder, python.folder, binary.archive, python.archive),
        f"get {binary.archive} from www.cs.toronto.edu/~kriz/cifar.html",
        url,
        md5,
        binary.archive,
    )


def load(published: Source, editions: tuple[Edition, Edition], data: Path | None = None) -> tuple[Images, Images]:
    """The 50,000 training and 10,000 test images in the published order, from where `nas.data.places` finds them.

    Raises: DataError in one line if they are missing, incomplete, or not the published bytes.
    """
    path = places.find(published, data)
    (edition,) = (edition for edition in editions if edition.named(path))
    contents = _archive(path, edition, published) if path.name == edition.archive else _folder(path, edition)
    parts = []
    for name, digest in edition.digests.items():
        actual = hashlib.new(edition.algorithm, contents[name]).hexdigest()
        if actual != digest:
            raise DataError(
                f"{name} in {path} is damaged or another version: {edition.algorithm} is {actual}, not {digest}; "
                f"{published.obtain}"
            )
        parts.append(edition.read(contents.pop(name), f"{name} in {path}"))
    both = Images(np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts]))
    return both.part(0, TRAIN), both.part(TRAIN, TRAIN + TEST)


def read_binary(content: bytes, name: str, classes: int, label_bytes: int = 1) -> Images:
    """One file of the binary version: label bytes, of which the last counts, and 3,072 pixel bytes an image.

    CIFAR-10 has one label byte; CIFAR-100 two, the superclass ("coarse") before the class ("fine"). Raises: DataError.
    """
    rows, width = np.frombuffer(content, np.uint8), label_bytes + IMAGE_BYTES
    if len(rows) == 0 or len(rows) % width:
        raise DataError(f"{name}: {len(rows)} bytes is no whole number of images of {width}")
    images = rows.reshape(-1, width)
    return _checked(images[:, label_bytes:], images[:, label_bytes - 1], name, classes)


def read_pickle(content: bytes, name: str, classes: int, key: str = "labels") -> Images:
    """One file of the Python version: a pickled dictionary with `data` (N, 3072) and its labels under `key`.

    Raises: DataError.
    """
    try:
        batch = _parse(content)
        data, labels = batch["data"], batch[key]
        if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 256 for label in labels):
            raise DataError(f"{name} is not a CIFAR batch: its labels are no list of small numbers")
        return _checked(data, np.array(labels, np.uint8), name, classes)
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, UnicodeError) as error:
        raise DataError(f"{name} is not a CIFAR batch: {str(error)[:200]}") from error


# ------------------------------------------------------------------ folders and archives


def _folder(path: Path, edition: Edition) -> dict[str, bytes]:
    return {name: places.read(path / name, tuple(edition.digests)) for name in edition.digests}


def _archive(path: Path, edition: Edition, published: Source) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                folder, _, name = member.name.removeprefix("./").partition("/")
                if folder == edition.folder and name in edition.digests and member.isfile():
                    if member.size > MOST:
                        raise DataError(f"{path} is damaged: its {name} is larger than any batch; {published.obtain}")
                    file = archive.extractfile(member)
                    contents[name] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error, struct.error, TypeError) as error:  # TypeError: 3 bytes
        raise DataError(f"{path} is damaged: {error}; {published.obtain}") from error
    missing = [name for name in edition.digests if name not in contents]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; {published.obtain}")
    return contents


def _checked(pixels: Bytes, labels: Bytes, name: str, classes: int) -> Images:
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), IMAGE_BYTES):
        raise DataError(f"{name}: pixels are {pixels.dtype} {pixels.shape}, not uint8 ({len(labels)}, {IMAGE_BYTES})")
    if len(labels) and labels.max() >= classes:
        raise DataError(f"{name}: label {labels.max()} is above {classes - 1}")
    return Images(pixels.reshape(-1, 3, 32, 32), labels)


# ------------------------------------------------------------------ pickles, read without running them


def _parse(content: bytes) -> Any:
    """The value of a pickle of dictionaries, lists, texts, numbers and uint8 arrays. Raises: ValueError otherwise."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(content):
        name = opcode.name
        if name in ("PROTO", "FRAME"):
            continue
        if name == "STOP":
            return stack.pop()
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            stack[-size:] = [tuple(stack[-size:])]
        elif name in ("TUPLE", "APPENDS", "SETITEMS"):
            items = _since_mark(stack)
            _collect(name, stack, items)
        elif name in ("APPEND", "SETITEM"):
            size = 1 if name == "APPEND" else 2
            items = stack[-size:]
            del stack[-size:]
            _collect(name + "S", stack, items)
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name == "STACK_GLOBAL":
            module, attribute = stack.pop(-2), stack.pop()
            stack.append(_known(f"{module} {attribute}"))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_reduced(function, arguments))
        elif name == "BUILD":
            state = stack.pop()
            stack[-1] = _built(stack[-1], state, memo)
        else:
            raise ValueError(f"it holds the pickle instruction {name}, which such a file does not need")
    raise ValueError("it ends early")


class _Mark:
    """Where a group of items starts on the stack."""


@dataclass(frozen=True)
class _Global:
    """A name that a pickle would import. Here it is only a name."""

    name: str


@dataclass(frozen=True)
class _Unbuilt:
    """An array or dtype before its state is known."""

    kind: str
    detail: str = ""


NUMBERS = frozenset(("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINFLOAT"))
TEXTS = frozenset(("BINSTRING", "SHORT_BINSTRING", "STRING", "BINUNICODE", "SHORT_BINUNICODE", "UNICODE"))
LITERALS = NUMBERS | TEXTS | frozenset(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"))
CONSTANTS: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "MARK": _Mark,
}
NAMES = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
}


def _known(name: str) -> _Global:
    if name not in NAMES:
        raise ValueError(f"it names {name[:100]!r}, which such a file does not need")
    return _Global(NAMES[name])


def _since_mark(stack: list[Any]) -> list[Any]:
    mark = max(place for place, value in enumerate(stack) if isinstance(value, _Mark))
    items = stack[mark + 1 :]
    del stack[mark:]
    return items


def _collect(name: str, stack: list[Any], items: list[Any]) -> None:
    if name == "TUPLE":
        stack.append(tuple(items))
    elif name == "APPENDS" and isinstance(stack[-1], list):
        stack[-1].extend(items)
    elif name == "SETITEMS" and isinstance(stack[-1], dict):
        stack[-1].update(zip(map(_text, items[::2]), items[1::2], strict=True))
    else:
        raise ValueError(f"{name} on a {type(stack[-1]).__name__}")


def _reduced(function: Any, arguments: Any) -> Any:
    if function == _Global("array"):
        return _Unbuilt("array")
    if function == _Global("dtype"):
        return _Unbuilt("dtype", _text(arguments[0]))
    if function == _Global("encode"):  # how Python 3 writes bytes in protocol 2
        return str(arguments[0]).encode("latin-1")
    called = function.name if isinstance(function, _Global) else f"a {type(function).__name__}"
    raise ValueError(f"it calls {called}, which such a file does not need")


def _built(target: Any, state: Any, memo: dict[int, Any]) -> Any:
    if not isinstance(target, _Unbuilt):
        raise ValueError(f"state for a {type(target).__name__}")
    if target.kind == "dtype":
        return target
    _, shape, dtype, fortran, raw = state
    if dtype != _Unbuilt("dtype", "u1"):
        raise ValueError("an array of something else than bytes")
    content = raw.encode("latin-1") if isinstance(raw, str) else raw
    built = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
    memo.update({key: built for key, value in memo.items() if value is target})
    return built


def _text(value: Any) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
