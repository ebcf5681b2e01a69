"""Examples on the disk are those in memory, read when asked for and no sooner, and told apart by their digest."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import nas
from nas import Batches, Stored
from nas.data.places import DataError
from nas.supernets import fingerprint

ROWS = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
TARGETS = torch.arange(40) % 2


def saved(folder: Path, rows: Any = ROWS) -> Path:
    np.save(folder / "x.npy", rows)
    return folder / "x.npy"


def noisy(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return inputs + torch.rand(inputs.shape, generator=generator)


@pytest.mark.parametrize("shuffle", [True, False])
def test_minibatches_are_those_of_a_tensor(tmp_path: Path, shuffle: bool) -> None:
    stored = Stored.mapped(saved(tmp_path))
    one, two = (Batches(x, TARGETS, 6, 3, noisy, shuffle) for x in (stored, torch.from_numpy(ROWS)))
    for position in (0, 11, 5, 7):
        for found, expected in zip(one.at(position), two.at(position), strict=True):
            assert torch.equal(found, expected)
    other = Batches(stored, TARGETS, 6, 4, noisy, shuffle)
    assert not torch.equal(one.at(0)[0], other.at(0)[0])  # the control: another seed


def test_only_what_is_asked_for_is_read() -> None:
    asked: list[list[int]] = []

    def read(numbers: Any) -> Any:
        asked.append(numbers.tolist())
        return ROWS[numbers]

    stored = Stored(read, ROWS.shape, "rows")
    batches = Batches(stored.part(np.array([9, 8, 7, 6])), TARGETS[:4], 2, shuffle=False)
    fingerprint.of_batches(batches)
    assert asked == []
    assert torch.equal(batches.at(1)[0], torch.from_numpy(ROWS[[7, 6]]))
    assert asked == [[7, 6]]
    assert (len(stored), stored.shape, stored.part(np.array([1, 2])).shape) == (40, (40, 3), (2, 3))
    assert (stored.part(np.arange(9, 19)).part(np.array([3, 0]))[:] == ROWS[[12, 9]]).all()


def search(inputs: Any) -> nas.Found:
    torch.manual_seed(0)
    model = nas.EdgeNetwork(nn.Sequential(nas.Edge([nn.Linear(3, 4), nn.Linear(3, 4)]), nn.ReLU(), nn.Linear(4, 2)))
    batches = Batches(inputs, TARGETS, 10)
    network = nas.Supernet(model.space("two"), model, functional.cross_entropy, batches, batches, batches)
    return nas.search(network, epochs=4, seed=1)


def test_a_search_has_the_same_bits(tmp_path: Path) -> None:
    told = [
        [{**record, "seconds": 0} for record in search(inputs).records]
        for inputs in (torch.from_numpy(ROWS), Stored.mapped(saved(tmp_path)), torch.from_numpy(ROWS + 1))
    ]
    assert told[0] == told[1]
    assert told[0] != told[2]  # the control


def test_content_and_choice_are_in_the_fingerprint(tmp_path: Path) -> None:
    def of(stored: Stored) -> str:
        return fingerprint.of_batches(Batches(stored, TARGETS[: len(stored)], 5))

    first = Stored.mapped(saved(tmp_path))
    moved = tmp_path / "elsewhere.npy"
    moved.write_bytes(saved(tmp_path).read_bytes())
    changed = ROWS.copy()
    changed[39, 2] += 1
    assert of(first) == of(Stored.mapped(moved))
    assert len({of(first), of(Stored.mapped(saved(tmp_path, changed)))}) == 2
    parts = [of(first.part(np.arange(start, start + 20))) for start in (0, 1, 0)]
    assert parts[0] == parts[2] != parts[1]


@pytest.mark.parametrize("content", [b"", b"no array", b"PK\x03\x04", pickle.dumps([1]), None])
def test_what_cannot_be_mapped_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x.npy"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy is damaged or no \.npy file: .*numpy\.save$") as caught:
        Stored.mapped(file)
    assert "\n" not in str(caught.value)


def test_objects_numbers_and_archives_are_not_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=ROWS)
    for file in (saved(tmp_path, np.array([None, 1], dtype=object)), tmp_path / "x.npz"):
        with pytest.raises(DataError, match=r"no \.npy file"):
            Stored.mapped(file)
    with pytest.raises(DataError, match="an axis of examples"):
        Stored.mapped(saved(tmp_path, np.float32(3)))


def test_what_is_read_must_be_what_was_said() -> None:
    stored = Stored(lambda numbers: ROWS[numbers, :2], ROWS.shape, "rows")
    with pytest.raises(DataError, match=r"2 examples of rows were read as \(2, 2\), not as \(2, 3\); did their files"):
        stored.at(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="40 stored examples have 39 targets; give one each"):
        Batches(stored, TARGETS[:39], 5)
