"""Cells trained from scratch on images of one's own: judged on every test image, never twice, never on other images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.images import LabelledImages, split
from nas.spaces import nasbench201
from nas.supernets.alone import Alone
from nas.tasks.images import scratch
from nas.tasks.images.network import Settings
from nas.tasks.images.scratch import Recipe

SETTINGS = Settings(channels=4, cells=1, batch=16, final_epochs=4, augment="none", test=0.3)
CONVOLUTIONS = nasbench201.cell_space(False).write([2] * 6)


def stripes(count: int = 300) -> LabelledImages:
    """Three classes: bright above, below, or nowhere; with noise."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 60, (count, 1, 8, 8), np.uint8)
    labels = np.arange(count) % 3
    pixels[labels == 0, :, :4] += 100
    pixels[labels == 1, :, 4:] += 50
    return LabelledImages(pixels, labels, ("above", "below", "nowhere"), "stripes")


def recipe(images: LabelledImages, seed: int = 0) -> Recipe:
    return Recipe(CONVOLUTIONS, seed, SETTINGS, images.digest)


def test_it_learns_and_says_what_it_is(tmp_path: Path) -> None:
    images = stripes()
    row = scratch.train_once(tmp_path, recipe(images), images, "cpu")
    assert row is not None
    assert row["test"] > 80  # chance is 33 %
    assert row["epochs"] == 4
    # Stem 1·4·9, six convolutions a cell of 4, 8, 16 channels, two residual blocks, all with a scale and a shift.
    convolutions = sum(6 * (9 * width * width + 2 * width) for width in (4, 8, 16))
    blocks = sum(9 * width * 2 * width + 9 * 4 * width * width + 8 * width + 2 * width * width for width in (4, 8))
    assert row["parameters"] == (36 + 8) + convolutions + blocks + 32 + (16 * 3 + 3)


def test_a_training_is_stopped_resumed_and_never_repeated(tmp_path: Path) -> None:
    images, calls = stripes(), iter([False] * 9 + [True])
    assert scratch.train_once(tmp_path / "parts", recipe(images, 1), images, "cpu", lambda: next(calls)) is None
    parts = scratch.train_once(tmp_path / "parts", recipe(images, 1), images, "cpu")
    whole = scratch.train_once(tmp_path / "whole", recipe(images, 1), images, "cpu")
    assert parts is not None
    assert whole is not None
    assert {**parts, "seconds": 0} == {**whole, "seconds": 0}
    again = scratch.train_once(tmp_path / "whole", recipe(images, 1), images, "cpu", lambda: pytest.fail("again"))
    assert again == whole
    images.pixels[0] ^= 1
    assert recipe(images, 1).images != recipe(stripes(), 1).images  # other images, another folder


def test_every_test_image_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    images = stripes()
    monkeypatch.setattr(scratch, "AT_ONCE", 7)  # 90 images: not a whole number of these
    alone = Alone(scratch.build(recipe(images), images, "cpu"))
    found = scratch.accuracy(alone, images, SETTINGS.test, "cpu")
    tests = images.part(split(images.labels, SETTINGS.test)[2])
    alone.network.model.eval()
    with torch.no_grad():
        from nas.supernets.edge import choose

        scores = alone.network.model(torch.from_numpy(tests.pixels), choose(alone.gates, alone.gates))
    right = (scores.argmax(dim=1).numpy() == tests.labels).mean()
    assert found == pytest.approx(100 * right)
    assert len(tests.labels) == 90


def test_a_wrong_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="conv_9x9"):
        Recipe(CONVOLUTIONS.replace("nor_conv_3x3~0", "conv_9x9~0", 1), 0, SETTINGS, "")
