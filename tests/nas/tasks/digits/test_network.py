"""The parent network on digits: its three parts share no image, its credit is right, its settings are checked."""

import pytest
import torch

from nas.spaces import nasbench201
from nas.supernets.supernet import NetworkObjective
from nas.tasks.digits.network import THIRD, Settings, build, thirds


def test_weights_architecture_and_test_share_no_image() -> None:
    parts = [part.inputs for part in thirds(50, "cpu", 0)]
    assert [len(part) for part in parts] == [THIRD] * 3
    assert len(torch.cat(parts).flatten(1).unique(dim=0)) == 3 * THIRD


def test_gate_gradients_equal_differences_in_double_precision() -> None:
    network = build(Settings(channels=3, batch=20), None, "cpu", 0)
    network.model.double()
    inputs, targets = network.architecture.at(0)
    problem = NetworkObjective(network.model, network.loss, inputs.double(), targets)
    gates = torch.rand(network.space.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1
    found = problem.gradients(gates, torch.ones_like(gates)).gate_gradient
    for edge, operation in ((0, 1), (3, 2), (5, 0), (5, 3)):
        step = torch.zeros_like(gates)
        step[edge, operation] = 1e-6
        slope = (problem.loss(gates + step) - problem.loss(gates - step)) / 2e-6
        assert float(found[edge, operation]) == pytest.approx(float(slope), abs=1e-6)
    assert not torch.allclose(found, found.flip(-1), atol=1e-6)  # control: the operations have slopes of their own


def test_ranking_on_images_that_architecture_steps_see_is_refused() -> None:
    assert not build(Settings(), None, "cpu", 0).held_out_unseen


def test_the_zero_operation_is_in_the_space_when_asked() -> None:
    assert build(Settings(zero=True), None, "cpu", 0).space.operations == nasbench201.OPERATIONS
    assert "none" not in build(Settings(), None, "cpu", 0).space.operations


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"channels": 0}, "channels must be at least 1, not 0"),
        ({"batch": THIRD + 1}, f"batch <= {THIRD}"),
        ({"rate": float("inf")}, "need 0 < rate"),
        ({"clip": 0.0}, "clip must be positive, or none"),
    ],
)
def test_bad_settings_are_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Settings(**changed)  # type: ignore[arg-type]
