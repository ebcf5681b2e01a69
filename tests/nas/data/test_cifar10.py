"""CIFAR-10 as published: counts, means, order; a flipped bit and a missing file are refused."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from nas.data import cifar10
from nas.data.cifar10 import BINARY
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
