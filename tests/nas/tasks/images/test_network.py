"""The parent network on images of one's own: it has their size, colours, classes and mean, and its credit is right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.images import LabelledImages, split
from nas.data.places import DataError
from nas.spaces import nasbench201
from nas.supernets.edge import choose
from nas.supernets.supernet import NetworkObjective
from nas.tasks.images import network as own
from nas.tasks.images.network import Settings, assemble, kind_of

SMALL = Settings(channels=3, cells=1, batch=8, held_out=20, test=0.25)


def made_up(shape: tuple[int, ...] = (60, 3, 8, 12), classes: int = 4) -> LabelledImages:
    random = np.random.default_rng(0)
    labels = np.arange(shape[0]) % classes
    return LabelledImages(random.integers(0, 256, shape, np.uint8), labels, tuple("abcdefghij"[:classes]), "made up")


@pytest.mark.parametrize(("shape", "classes"), [((60, 1, 8, 8), 2), ((60, 3, 12, 4), 7)])
def test_any_size_and_number_of_classes(shape: tuple[int, ...], classes: int) -> None:
    network = assemble(SMALL, made_up(shape, classes), "cpu", 0)
    gates = torch.eye(4)[[0, 1, 2, 3, 1, 2]]
    scores = network.model(network.weights.at(0)[0], choose(gates, gates))
    assert scores.shape == (8, classes)
    assert network.validate(gates).keys() == {"loss", "accuracy"}
    assert torch.isfinite(network.weight_step(gates, 0.0))


def test_weights_architecture_and_test_share_no_image() -> None:
    images = made_up()
    network = assemble(SMALL, images, "cpu", 0)
    tests = torch.from_numpy(images.part(split(images.labels, 0.25)[2]).pixels)
    parts = [network.weights.inputs, network.architecture.inputs, tests]
    assert [len(part) for part in parts] == [22, 22, 16]
    assert len(torch.cat(parts).flatten(1).unique(dim=0)) == 60
    assert torch.equal(network.held_out.inputs, parts[1][:20])
    assert not network.held_out_unseen


def test_unseen_images_are_kept_from_architecture_steps_and_may_rank() -> None:
    images = made_up()
    usual, kept = (assemble(replace(SMALL, unseen=unseen), images, "cpu", 0) for unseen in (0, 6))
    assert (usual.held_out_unseen, kept.held_out_unseen) == (False, True)
    assert torch.equal(usual.weights.inputs, kept.weights.inputs)
    assert torch.equal(torch.cat((kept.architecture.inputs, kept.held_out.inputs)), usual.architecture.inputs)
    assert (len(kept.held_out.targets), kept.held_out.size) == (6, 6)
    assert len(torch.cat((kept.architecture.inputs, kept.held_out.inputs)).flatten(1).unique(dim=0)) == 22
    with pytest.raises(DataError, match=r"22 images for the architecture.*unseen must be at most 14, not 15"):
        assemble(replace(SMALL, unseen=15), images, "cpu", 0)
    assert assemble(replace(SMALL, unseen=14), images, "cpu", 0).architecture.steps == 1
    with pytest.raises(ValueError, match="unseen must be at least 0"):
        replace(SMALL, unseen=-1)


def test_mean_and_deviation_are_those_of_all_but_the_test() -> None:
    images = made_up()
    weights, architecture, tests = split(images.labels, SMALL.test)
    kind = kind_of(images, SMALL)
    seen = images.pixels[np.concatenate((weights, architecture))].astype(float)
    assert kind.mean == pytest.approx(seen.mean(axis=(0, 2, 3)), abs=1e-4)
    assert kind.deviation == pytest.approx(seen.std(axis=(0, 2, 3)), abs=1e-4)
    images.pixels[tests] = 0
    assert kind_of(images, SMALL) == kind
    images.pixels[weights] = 0  # the control
    assert kind_of(images, SMALL) != kind
    images.pixels[:] = 7
    assert kind_of(images, SMALL).deviation == (1.0, 1.0, 1.0)


def test_gate_gradients_equal_differences_in_double_precision() -> None:
    network = assemble(SMALL, made_up(), "cpu", 0)
    network.model.double()
    inputs, targets = network.architecture.at(0)
    problem = NetworkObjective(network.model, network.loss, inputs, targets)
    gates = torch.rand(network.space.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    found = problem.gradients(gates, torch.ones_like(gates)).gate_gradient
    for edge, operation in ((0, 1), (3, 2), (5, 3)):
        step = torch.zeros_like(gates)
        step[edge, operation] = 1e-6
        slope = (problem.loss(gates + step) - problem.loss(gates - step)) / 2e-6
        assert float(found[edge, operation]) == pytest.approx(float(slope), abs=1e-6)
    assert not torch.allclose(found, found.flip(-1), atol=1e-6)  # control: the operations have slopes of their own


def test_augmentation_is_what_the_setting_says() -> None:
    images = made_up((60, 3, 16, 16))
    seen = {}
    for augment in ("none", "crop", "crop and flip"):
        network = assemble(replace(SMALL, augment=augment), images, "cpu", 0)  # type: ignore[arg-type]
        inputs, _ = network.weights.at(0)
        whole = network.weights.inputs
        border = torch.nn.functional.pad(whole, (2, 2, 2, 2))
        windows = border.unfold(2, 16, 1).unfold(3, 16, 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        known = {part.numpy().tobytes() for part in windows.contiguous()}
        seen[augment] = sum(image.contiguous().numpy().tobytes() in known for image in inputs)
        exact = {part.numpy().tobytes() for part in whole}
        assert (sum(image.contiguous().numpy().tobytes() in exact for image in inputs) == 8) == (augment == "none")
    assert seen["crop"] == 8
    assert seen["crop and flip"] < 8


def test_a_resume_with_other_images_is_seen() -> None:
    images = made_up()
    before = assemble(SMALL, images, "cpu", 0).fingerprint()
    assert assemble(SMALL, made_up(), "cpu", 0).fingerprint() == before
    images.pixels[split(images.labels, SMALL.test)[1][3], 0, 0, 0] ^= 1
    now = assemble(SMALL, images, "cpu", 0).fingerprint()
    assert {name for name in before if now[name] != before[name]} <= {"architecture data", "held-out data"}
    assert now != before


def test_the_space_follows_the_settings() -> None:
    assert own.space(Settings(zero=True)).operations == nasbench201.OPERATIONS
    assert own.space(Settings()).zero is None


def test_too_few_images_for_a_minibatch() -> None:
    with pytest.raises(
        DataError, match=r"made up has 22 images for a half, fewer than network\.batch=23; set a smaller"
    ):
        assemble(replace(SMALL, batch=23), made_up(), "cpu", 0)
    assert assemble(replace(SMALL, batch=22), made_up(), "cpu", 0).steps_per_epoch == 1


def test_images_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"which images\? add --set network\.path=FOLDER"):
        own.build(Settings(), None, "cpu", 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 30}, "size must be a multiple of 4, or 0"),
        ({"size": 2000}, "size must be at most 1024"),
        ({"test": 1.0}, "need 0 < test < 1"),
        ({"channels": 0}, "channels must be at least 1"),
        ({"batch": 1}, "batch must be at least 2"),
        ({"rate": float("nan")}, "need 0 < rate"),
        ({"clip": -1.0}, "clip must be positive, or none"),
    ],
)
def test_bad_settings_are_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**changed)  # type: ignore[arg-type]
