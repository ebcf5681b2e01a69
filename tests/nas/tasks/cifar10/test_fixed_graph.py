"""The network of one static graph computes what the sparse network computes, step for step, in double precision."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from nas import objective
from nas.data.cifar import Images
from nas.supernets.supernet import Supernet
from nas.tasks.cifar10.fixed_graph import FixedGraphSupernet
from nas.tasks.cifar10.network import Settings, assemble


def made_up() -> Images:
    random = np.random.default_rng(0)
    return Images(random.integers(0, 256, (64, 3, 32, 32), np.uint8), random.integers(0, 10, 64).astype(np.uint8))


def pair(zero: bool = True) -> tuple[Supernet, FixedGraphSupernet]:
    settings = Settings(channels=2, cells=2, zero=zero, batch=8, images=32, held_out=16)
    networks = []
    for static in (False, True):
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            network = assemble(
                settings if not static else Settings(**{**vars(settings), "static": True}), made_up(), "cpu", 0
            )
        finally:
            torch.set_default_dtype(before)
        networks.append(network)
    sparse, fixed = networks
    assert isinstance(fixed, FixedGraphSupernet)
    return sparse, fixed


def cells(count: int, candidates: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, candidates, (count, 6), generator=generator)
    return list(functional.one_hot(drawn, candidates).double())


def test_losses_and_gate_gradients_are_equal() -> None:
    sparse, fixed = pair()
    effects = []
    for gates in cells(12):
        one, other = sparse.objective(), fixed.objective()
        mine, theirs = one.gradients(gates, gates), other.gradients(gates, gates)
        torch.testing.assert_close(mine.loss, theirs.loss, rtol=0, atol=1e-12)
        torch.testing.assert_close(mine.gate_gradient, theirs.gate_gradient, rtol=0, atol=1e-11)
        torch.testing.assert_close(mine.output_gradient, theirs.output_gradient, rtol=0, atol=1e-11)
        zeroed = [objective.zeroed_losses(asked, gates) for asked in (one, other)]
        torch.testing.assert_close(*zeroed, rtol=0, atol=1e-12)
        effects.append(float((zeroed[0] - mine.loss).abs().max()))
    assert max(effects) > 1e-3  # the control: zeroing an edge does change the loss


def test_weight_steps_are_equal_and_idle_operations_stay() -> None:
    sparse, fixed = pair()
    for count, gates in enumerate(cells(6)):
        losses = [network.weight_step(gates, count / 10) for network in (sparse, fixed)]
        torch.testing.assert_close(*losses, rtol=0, atol=1e-11)
    theirs = fixed.state()
    for name, tensor in sparse.state().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-10, msg=name)


def test_a_state_moves_between_the_two() -> None:
    sparse, fixed = pair()
    gates = cells(1)[0]
    sparse.weight_step(gates, 0.0)
    fixed.load(sparse.state())
    losses = [network.weight_step(gates, 0.0) for network in (sparse, fixed)]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-11)


def test_several_paths_are_refused() -> None:
    _, fixed = pair()
    gates = cells(1)[0]
    with pytest.raises(ValueError, match="one operation an edge"):
        fixed.weight_step(torch.ones_like(gates), 0.0)
    with pytest.raises(ValueError, match="one operation an edge"):
        fixed.objective().gradients(gates, torch.ones_like(gates))
    with pytest.raises(ValueError, match="needs affine = false"):
        Settings(static=True, affine=True)
