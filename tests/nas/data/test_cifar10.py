"""CIFAR-10 is read from every published form, byte for byte, and no pickle is ever executed."""

import hashlib
import io
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.data import cifar10
from nas.data.cifar10 import BINARY, PYTHON, Bytes, Edition, Images
from nas.data.places import VARIABLE, DataError


@pytest.fixture(scope="session")
def folder() -> Path:
    found = Path(os.environ.get(VARIABLE, "-")) / "cifar-10-batches-bin"
    if not found.exists():
        pytest.skip(f"{VARIABLE} names no folder with cifar-10-batches-bin")
    return found


def test_the_real_images(folder: Path) -> None:
    train, test = cifar10.load(folder)
    assert train.pixels.shape == (50_000, 3, 32, 32)
    assert test.pixels.shape == (10_000, 3, 32, 32)
    assert np.bincount(train.labels).tolist() == [5_000] * 10
    assert np.bincount(test.labels).tolist() == [1_000] * 10
    # Channel means as widely published: 0.4914, 0.4822, 0.4465 of 255.
    assert (train.pixels.mean(axis=(0, 2, 3)) / 255).round(4).tolist() == [0.4914, 0.4822, 0.4465]
    assert [cifar10.CLASSES[k] for k in train.labels[:4]] == ["frog", "truck", "truck", "deer"]


def test_a_flipped_bit_and_a_missing_file_are_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    copy.mkdir()
    for name in BINARY.digests:
        os.symlink(folder / name, copy / name)
    (copy / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"cannot read .*data_batch_3\.bin: No such file.*needed: data_batch_1\.bin"):
        cifar10.load(tmp_path)
    content = bytearray((folder / "data_batch_3.bin").read_bytes())
    content[12_345] ^= 1
    (copy / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_3\.bin in .* is damaged or another version: sha256 is"):
        cifar10.load(copy)


def test_the_archive_as_downloaded(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=0) as file:
        file.add(folder, "cifar-10-batches-bin")
    train, test = cifar10.load(tmp_path)
    again, _ = cifar10.load(folder)
    assert np.array_equal(train.pixels, again.pixels)
    assert len(test.labels) == 10_000
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        cifar10.load(tmp_path)


# ------------------------------------------------------------------ the Python version, on made-up images

IMAGES = Images(
    np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8),
    np.arange(20, dtype=np.uint8) % 10,
)


def _batch() -> dict[str, Any]:
    return {
        "batch_label": "training batch 1 of 5",
        "labels": IMAGES.labels.tolist(),
        "data": IMAGES.pixels.reshape(20, -1),
        "filenames": [f"image_{k}.png" for k in range(20)],
    }


def _python_2(batch: dict[str, Any]) -> bytes:
    """The instructions of the published files: Python 2's protocol 2, byte strings throughout (from the format)."""

    def text(value: bytes) -> bytes:
        return (
            b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + len(value).to_bytes(4, "little") + value
        )

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
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in batch["labels"]) + b"e"
    return b"\x80\x02}q\x01(" + text(b"data") + array + text(b"labels") + labels + b"u."


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_protocol_gives_the_same_images(protocol: int) -> None:
    found = cifar10.read_pickle(pickle.dumps(_batch(), protocol), "batch")
    assert np.array_equal(found.pixels, IMAGES.pixels)
    assert np.array_equal(found.labels, IMAGES.labels)


def test_the_instructions_of_the_published_files() -> None:
    content = _python_2(_batch())
    oracle = pickle.loads(content, encoding="latin-1")  # the hand-written bytes are a real pickle
    assert np.array_equal(oracle["data"], _batch()["data"])
    found = cifar10.read_pickle(content, "batch")
    assert np.array_equal(found.pixels, IMAGES.pixels)
    assert np.array_equal(found.labels, IMAGES.labels)


class Malicious:
    """What a hostile pickle does: its reduction calls a function of its choice."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_not_run(protocol: int, tmp_path: Path) -> None:
    content = pickle.dumps({**_batch(), "extra": Malicious(tmp_path / "made")}, protocol)
    with pytest.raises(DataError, match="does not need"):
        cifar10.read_pickle(content, "batch")
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
        cifar10.read_pickle(content, "batch")


def test_wrong_sizes_and_labels_are_refused() -> None:
    with pytest.raises(DataError, match="no whole number of images"):
        cifar10.read_binary(bytes(3072), "file")
    with pytest.raises(DataError, match="label 10 is above 9"):
        cifar10.read_binary(bytes([10]) + bytes(3072), "file")
    with pytest.raises(DataError, match="not uint8"):
        cifar10.read_pickle(pickle.dumps({**_batch(), "labels": [1]}, 2), "batch")


def test_both_versions_through_folder_and_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images in either version give the same arrays (small stand-ins with their own checksums)."""
    binary = np.concatenate([IMAGES.labels[:, None], IMAGES.pixels.reshape(20, -1)], axis=1).tobytes()
    for edition, content in ((BINARY, binary), (PYTHON, _python_2(_batch()))):
        digest = hashlib.new(edition.algorithm, content).hexdigest()
        small = Edition(edition.folder, edition.algorithm, dict.fromkeys(edition.digests, digest), edition.read)
        monkeypatch.setattr(cifar10, "BINARY" if edition is BINARY else "PYTHON", small)
        folder = tmp_path / edition.folder
        folder.mkdir()
        for name in edition.digests:
            (folder / name).write_bytes(content)
        from_folder = cifar10.load(tmp_path)[0]
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as file:
            file.add(folder, edition.folder)
        shutil.rmtree(folder)
        name = "cifar-10-binary.tar.gz" if edition is BINARY else "cifar-10-python.tar.gz"
        (tmp_path / name).write_bytes(archive.getvalue())
        from_archive = cifar10.load(tmp_path)[0]
        (tmp_path / name).unlink()
        for found in (from_folder, from_archive):
            assert np.array_equal(found.pixels, np.concatenate([IMAGES.pixels] * 6))
