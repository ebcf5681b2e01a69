"""Texts: the published counts, any text of one's own, and one clear line for each way that a text can be wrong."""

import gzip
import math
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import places, ptb
from nas.data.places import DataError
from nas.tasks.text.network import Settings, corpus_of

HERE = os.environ.get(places.VARIABLE)
with_data = pytest.mark.skipif(
    HERE is None or not ptb.at_hand(Path(HERE)), reason=f"Penn Treebank is not in {places.VARIABLE}"
)


@with_data
def test_penn_treebank_has_the_published_counts() -> None:
    """Mikolov et al. (2010): 929,589 / 73,760 / 82,430 tokens with <eos>, vocabulary 10,000."""
    corpus = ptb.penn_treebank(Path(str(HERE)))
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [929_589, 73_760, 82_430]
    assert len(corpus.words) == ptb.WORDS
    assert int((corpus.train == 0).sum()) == 42_068  # sentences
    first = [corpus.words[number] for number in corpus.valid[:6]]
    assert first == ["consumers", "may", "want", "to", "move", "their"]


@with_data
def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    for part in ptb.PARTS:
        source = places.find(ptb.SOURCES[part], Path(str(HERE)))
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(content)
    broken = tmp_path / places.find(ptb.SOURCES["valid"], tmp_path).name
    whole = broken.read_bytes()
    text = gzip.decompress(whole) if broken.suffix == ".gz" else whole
    broken.unlink()
    (tmp_path / "ptb.valid.txt").write_bytes(text.replace(b"consumers", b"consumer", 1))
    with pytest.raises(DataError, match=r"ptb\.valid\.txt is damaged or another version: md5"):
        ptb.penn_treebank(tmp_path)
    (tmp_path / "ptb.valid.txt").unlink()
    (tmp_path / "ptb.valid.txt.gz").write_bytes(gzip.compress(text)[:5000])
    with pytest.raises(DataError, match=r"ptb\.valid\.txt\.gz is damaged"):
        ptb.penn_treebank(tmp_path)
    (tmp_path / "ptb.valid.txt.gz").unlink()
    with pytest.raises(DataError, match=r"valid text .* not found: looked for ptb\.valid\.txt or"):
        ptb.penn_treebank(tmp_path)


def test_without_data_the_embedded_text_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(places.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    corpus = corpus_of(Settings(), None)
    assert "pydoc_data.topics of Python" in str(corpus)
    assert 50_000 < len(corpus.train) < 500_000
    assert 5 < len(corpus.train) / len(corpus.valid) < 15
    assert {"<eos>", "<unk>", "N", "the", "function"} <= set(corpus.words)
    with pytest.raises(DataError, match="Penn Treebank train text"):
        corpus_of(Settings(corpus="ptb"), None)
    with pytest.raises(DataError, match="Penn Treebank train text"):  # --data is an answer, not a hint
        corpus_of(Settings(), tmp_path)


def test_a_text_of_ones_own(tmp_path: Path) -> None:
    """200 lines are cut 160 : 20 : 20; `rare` is seen twice in training, below the least count of 3."""
    lines = [f"the <unk> @-@ word{number % 5}" for number in range(200)]
    lines[3] += " rare rare"
    lines[190] += " unheard"
    file = tmp_path / "own.txt"
    file.write_text("\ufeff" + "\r\n".join(lines))
    corpus = ptb.from_files([str(file)], least=3)
    assert corpus.words[0] == "<eos>"
    assert set(corpus.words) == {"<eos>", "<unk>", "the", "@-@", "word0", "word1", "word2", "word3", "word4"}
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [160 * 5 + 2, 100, 101]
    unknown = corpus.words.index("<unk>")
    assert int((corpus.train == unknown).sum()) == 160 + 2
    assert int((corpus.test == unknown).sum()) == 20 + 1
    three = ptb.from_files([str(file)] * 3)
    assert torch.equal(three.train, three.test)


def test_one_line_of_a_million_words(tmp_path: Path) -> None:
    file = tmp_path / "line.txt"
    file.write_text(" ".join(str(number % 1000) for number in range(10**6)))
    corpus = ptb.from_files([str(file)])
    assert [len(part) for part in (corpus.train, corpus.valid, corpus.test)] == [800_001, 100_001, 100_001]
    assert len(corpus.words) == 1002


def test_memory_is_a_few_bytes_for_each_of_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page on text says: up to 8. Each word held anew would take 64 bytes a word, of 6 bytes here, alone."""
    random = np.random.default_rng(0)
    lines = (" ".join(f"w{n:04}" for n in random.integers(0, 3000, 12)) for _ in range(20_000))
    (tmp_path / "text").write_text("\n".join(lines))
    size = (tmp_path / "text").stat().st_size
    monkeypatch.setattr(
        places, "read", Path.read_bytes
    )  # the bounded one asks for its bound, and touches what it reads
    tracemalloc.start()
    corpus = ptb.from_files([str(tmp_path / "text")])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(corpus.words) > 2900
    assert size < peak < 8 * size


def test_texts_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path) -> None:
    empty, blank, latin, marked, tiny = (tmp_path / name for name in ("empty", "blank", "latin", "marked", "tiny"))
    empty.write_bytes(b"")
    blank.write_bytes(b" \n\t\n\n")
    latin.write_bytes(b"one two\nthree caf\xe9 four\n")
    marked.write_bytes(b"\xef\xbb\xbf" + latin.read_bytes())  # a byte order mark counts
    tiny.write_bytes(b"one")
    for file, reason in (
        (empty, "empty has no words"),
        (blank, "blank has no words"),
        (latin, r"latin is not UTF-8: byte 0xe9 at offset 17 \(line 2\)"),
        (marked, r"marked is not UTF-8: byte 0xe9 at offset 20 \(line 2\)"),
        (tmp_path / "absent", "cannot read .*absent: No such file"),
        (tmp_path, "cannot read .*: Is a directory"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            ptb.from_files([str(file)])
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="one file, or three"):
        ptb.from_files([str(tiny)] * 2)


def test_the_digest_names_the_text() -> None:
    words = torch.arange(10)
    one = ptb.Corpus("a", tuple("abcdefghij"), words, words, words)
    other = ptb.Corpus("a", tuple("abcdefghij"), words, words, words.flip(0))
    assert one.digest == ptb.Corpus("b", tuple("abcdefghij"), words, words, words).digest
    assert one.digest != other.digest
    assert math.log2(16) * len(one.digest) == 64
    with pytest.raises(DataError, match="test part of a has no text"):
        ptb.Corpus("a", tuple("ab"), words, words, words[:1])


def test_a_text_in_which_no_word_is_frequent_enough_is_refused(tmp_path: Path) -> None:
    """All of it would be <unk>, which any network predicts: a perplexity of about 1 for nothing."""
    file = tmp_path / "rare"
    file.write_text("one two <unk> three <unk> four <unk> five " * 2)
    says = "rare: no word of its training part is there 3 times, the most frequent one .*; lower network.least"
    with pytest.raises(DataError, match=says):
        ptb.from_files([str(file)], least=3)
    assert "one" in ptb.from_files([str(file)], least=1).words  # control


def test_a_text_that_has_moved_is_found_in_the_folder_that_is_named(tmp_path: Path) -> None:
    text, moved = tmp_path / "text.txt", tmp_path / "moved"
    text.write_text("one two three\n" * 200)
    settings = Settings(text=(str(text),))
    before = corpus_of(settings, None)
    moved.mkdir()
    text.rename(moved / text.name)
    assert corpus_of(settings, moved).digest == before.digest
    with pytest.raises(DataError, match=f"no text at {text}; if it has moved, name its folder with --data DIR"):
        corpus_of(settings, None)
    with pytest.raises(DataError, match=f"nor under its name in {tmp_path};"):
        corpus_of(settings, tmp_path)
    text.write_text("another one\n" * 200)  # control: where it is named, it is taken
    assert corpus_of(settings, moved).digest != before.digest
