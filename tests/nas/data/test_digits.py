"""The digits are all there, once each, shuffled in one fixed order; without scikit-learn one line says so."""

import sys

import pytest
import torch
from sklearn.datasets import load_digits

from nas.data import digits
from nas.data.places import DataError


def test_all_images_once_in_a_fixed_order() -> None:
    pixels, labels = digits.load()
    assert pixels.shape == (1797, 1, 8, 8)
    assert (float(pixels.min()), float(pixels.max())) == (0.0, 1.0)
    again, _ = digits.load()
    assert torch.equal(pixels, again)
    there = {
        (tuple((16 * image).int().flatten().tolist()), int(label)) for image, label in zip(pixels, labels, strict=True)
    }
    known, numbers = load_digits(return_X_y=True)
    assert there == {(tuple(int(v) for v in image), int(label)) for image, label in zip(known, numbers, strict=True)}
    assert not torch.equal(labels, torch.from_numpy(numbers))


def test_without_the_package_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'scikit-learn>=1\.5'"):
        digits.load()
