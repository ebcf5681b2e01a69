"""CIFAR-10 and CIFAR-100 are read from every published form, byte for byte, and no pickle is ever executed."""

import hashlib
import os
import pickle
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import __main__ as program
from nas.data import cifar, cifar10, cifar100
from nas.data.cifar import Bytes, Edition, Images
from nas.data.places import DataError

# The layouts are written down here once more, from the published descriptions, with images of both data sets.

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)
CLASSES = {"cifar10": np.arange(20, dtype=np.uint8) % 10, "cifar100": np.arange(99, 79, -1, dtype=np.uint8)}
SETS = {"cifar10": cifar10, "cifar100": cifar100}
KEYS = {"cifar10": "labels", "cifar100": "fine_labels"}


def _binary(name: str) -> bytes:
    """<label><3,072 pixels> an image, or <coarse label><fine label><3,072 pixels>."""
    columns = [CLASSES[name][:, None], PIXELS.reshape(20, -1)]
    if name == "cifar100":
        columns.insert(0, CLASSES[name][:, None] // 5)
    return np.concatenate(columns, axis=1).tobytes()


def _batch(name: str) -> dict[str, Any]:
    labels = CLASSES[name].tolist()
    batch = {"batch_label": "training batch 1 of 1", KEYS[name]: labels, "data": PIXELS.reshape(20, -1)}
    if name == "cifar100":
        batch["coarse_labels"] = [label // 5 for label in labels]
    return {**batch, "filenames": [f"image_{k}.png" for k in range(20)]}


def _python_2(name: str) -> bytes:
    """The instructions of the published files: Python 2's protocol 2, byte strings throughout (from the format)."""

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )

    batch = _batch(name)
    data: Bytes = batch["data"]
    array: bytes = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85" + text(b"b") + b"\x87Rq\x07"
        b"(K\x01" + b"M" + len(data).to_bytes(2, "little") + b"M" + data.shape[1].to_bytes(2, "little") + b"\x86"
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89" + text(data.tobytes()) + b"tb"
    )
    kept = [(key, batch[key]) for key in (KEYS[name], "coarse_labels") if key in batch]
    lists = b"".join(
        text(key.encode()) + b"](" + b"".join(b"K" + bytes([label]) for label in values) + b"e" for key, values in kept
    )
    return b"\x80\x02}q\x01(" + text(b"data") + array + lists + b"u."


def _read(name: str, content: bytes) -> Images:
    found: Images = SETS[name].PYTHON.read(content, "batch")
    return found


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_protocol_gives_the_same_images(name: str, protocol: int) -> None:
    found = _read(name, pickle.dumps(_batch(name), protocol))
    assert np.array_equal(found.pixels, PIXELS)
    assert np.array_equal(found.labels, CLASSES[name])


@pytest.mark.parametrize("name", SETS)
def test_the_instructions_of_the_published_files(name: str) -> None:
    content = _python_2(name)
    oracle = pickle.loads(content, encoding="latin-1")  # the hand-written bytes are a real pickle
    assert np.array_equal(oracle["data"], _batch(name)["data"])
    found = _read(name, content)
    assert np.array_equal(found.pixels, PIXELS)
    assert np.array_equal(found.labels, CLASSES[name])


class Malicious:
    """What a hostile pickle does: its reduction calls a function of its choice."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps({**_batch("cifar10"), "extra": Malicious(tmp_path / "made")}, protocol)
    with pytest.raises(DataError, match="does not need"):
        _read("cifar10", content)
    assert not (tmp_path / "made").exists()
    pickle.loads(content)  # the control: it does run where pickles are executed
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02",
        b"not a pickle",
        pickle.dumps([1], 2),
        pickle.dumps({"data": 1, "labels": [1]}, 2),
        b"\x80\x02e.",
    ],
)
def test_what_is_no_batch_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="batch"):
        _read("cifar10", content)


@pytest.mark.parametrize(("name", "label_bytes", "largest"), [("cifar10", 1, 9), ("cifar100", 2, 99)])
def test_wrong_sizes_and_labels_are_refused(name: str, label_bytes: int, largest: int) -> None:
    published = SETS[name]
    with pytest.raises(DataError, match=f"3072 bytes is no whole number of images of {3072 + label_bytes}"):
        published.BINARY.read(bytes(3072), "file")
    within, above = (bytes([label] * label_bytes) + bytes(3072) for label in (largest, largest + 1))
    assert published.BINARY.read(within, "file").labels.tolist() == [largest]
    with pytest.raises(DataError, match=f"label {largest + 1} is above {largest}"):
        published.BINARY.read(above, "file")
    with pytest.raises(DataError, match="not uint8"):
        _read(name, pickle.dumps({**_batch(name), KEYS[name]: [1]}, 2))


def test_the_fine_label_counts_and_not_the_coarse_one() -> None:
    """Two images by hand: bytes 0 and 1 are the superclass and the class, then red, green and blue planes."""
    content = bytes([7, 42]) + bytes([1]) * 1024 + bytes([2]) * 1024 + bytes([3]) * 1024
    content += bytes([0, 3]) + bytes(range(256)) * 12
    found = cifar100.BINARY.read(content, "file")
    assert found.labels.tolist() == [42, 3]
    assert found.pixels[0, :, 5, 9].tolist() == [1, 2, 3]
    assert found.pixels[1, 0, 1, 2] == 34  # a row of 32, then two pixels
    with pytest.raises(DataError, match="no whole number"):
        cifar10.BINARY.read(content, "file")  # the control: with one label byte the rows do not end


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("version", ["BINARY", "PYTHON"])
def test_both_versions_through_folder_and_archive(
    name: str, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same images in either version give the same arrays (small stand-ins with their own checksums)."""
    published = SETS[name]
    edition: Edition = getattr(published, version)
    content = _binary(name) if version == "BINARY" else _python_2(name)
    digest = hashlib.new(edition.algorithm, content).hexdigest()
    monkeypatch.setattr(published, version, replace(edition, digests=dict.fromkeys(edition.digests, digest)))
    files = len(edition.digests)
    monkeypatch.setattr(cifar, "TRAIN", 20 * (files - 1))  # the last file is the test's
    folder = tmp_path / edition.folder
    folder.mkdir()
    for file_name in edition.digests:
        (folder / file_name).write_bytes(content)
    from_folder = published.load(tmp_path)
    with tarfile.open(tmp_path / "made", mode="w:gz") as file:
        file.add(folder, edition.folder)
    shutil.rmtree(folder)
    (tmp_path / "made").rename(tmp_path / edition.archive)
    for train, test in (from_folder, published.load(tmp_path)):
        assert np.array_equal(train.pixels, np.concatenate([PIXELS] * (files - 1)))
        assert np.array_equal(test.pixels, PIXELS)
        assert np.array_equal(test.labels, CLASSES[name])
    (tmp_path / edition.archive).unlink()
    folder.mkdir()
    for file_name in edition.digests:
        (folder / file_name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=f"is damaged or another version: {edition.algorithm} is .*; get {name[:5]}-"):
        published.load(tmp_path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A folder that a server on this machine hands out; its address stands in the file `address`."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        (folder / "address").write_text(f"http://127.0.0.1:{server.server_address[1]}")
        yield folder
        server.shutdown()


@pytest.mark.parametrize("name", SETS)
def test_what_is_fetched_is_what_is_read(
    name: str, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the published address, exchanged for one of this machine, to images: by the archive's sum, then its files'.

    The archive and each file have sums of their own: a byte that is changed in either is refused, in one line.
    """
    published, content = SETS[name], _binary(name)
    edition: Edition = published.BINARY
    for file_name in edition.digests:
        (served / edition.folder).mkdir(exist_ok=True)
        (served / edition.folder / file_name).write_bytes(content)
    archive = served / edition.archive
    with tarfile.open(archive, mode="w:gz") as file:
        file.add(served / edition.folder, edition.folder)
    address, sum_of = (served / "address").read_text(), hashlib.md5(archive.read_bytes()).hexdigest()
    assert published.SOURCE.url == f"https://www.cs.toronto.edu/~kriz/{edition.archive}"
    source = replace(published.SOURCE, url=f"{address}/{edition.archive}")
    monkeypatch.setattr(published, "SOURCE", source)
    fetch, data = ["fetch", name, "--data"], tmp_path / "data"
    assert program.main([*fetch, str(data)]) == 2  # what is served here is not what is published
    assert f"not {source.md5}" in capsys.readouterr().err
    assert not list(data.iterdir())

    monkeypatch.setattr(published, "SOURCE", replace(source, md5=sum_of))
    assert program.main([*fetch, str(data)]) == 0
    assert capsys.readouterr().out.strip() == str(data / edition.archive)
    with pytest.raises(DataError, match=f"{edition.algorithm} is .*, not {next(iter(edition.digests.values()))}"):
        published.load(data)  # the archive is the one that was asked for, its files are not the published ones
    digest = hashlib.new(edition.algorithm, content).hexdigest()
    monkeypatch.setattr(published, "BINARY", replace(edition, digests=dict.fromkeys(edition.digests, digest)))
    monkeypatch.setattr(cifar, "TRAIN", 20 * (len(edition.digests) - 1))
    train, test = published.load(data)
    assert np.array_equal(test.pixels, PIXELS)
    assert np.array_equal(test.labels, CLASSES[name])
    assert len(train.labels) == 20 * (len(edition.digests) - 1)


def test_the_two_data_sets_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """A folder with one of them is none of the other, by name and by checksum."""
    (tmp_path / "cifar-100-binary").mkdir()
    with pytest.raises(DataError, match="CIFAR-10 not found"):
        cifar10.load(tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*train\.bin: No such file.*needed: train\.bin, test\.bin"):
        cifar100.load(tmp_path)
    editions = [edition for each in SETS.values() for edition in (each.BINARY, each.PYTHON)]
    sums = [digest for edition in editions for digest in edition.digests.values()]
    assert len(set(sums)) == len(sums) == 16
    digits = [{len(digest) for digest in edition.digests.values()} for edition in editions]
    assert digits == [{64}, {32}, {64}, {32}]  # of sha256 and of md5
