"""On a GPU: recorded steps compute what the sparse network computes on the CPU, ask the host nothing, and can resume.

What can run on the CPU too does, so that these tests are tested themselves where there is no GPU.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from nas import objective
from nas.data.cifar import Images
from nas.data.ptb import Corpus
from nas.running import runs
from nas.running.searching import search_in
from nas.search import steps
from nas.settings import SearchSettings
from nas.supernets.supernet import Supernet
from nas.tasks.cifar10 import network as cifar
from nas.tasks.text import network as ptb

no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=no_gpu)]
IMAGES = cifar.Settings(channels=4, cells=2, batch=8, images=64, held_out=16)
TEXT = ptb.Settings(units=6, batch=4, window=3, dropout=0.0, rate=1.0)


@contextmanager
def double_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def images_network(device: str, **changed: object) -> Supernet:
    """Untransformed and in order: minibatches of the CPU's generators are not a GPU's."""
    random = np.random.default_rng(0)
    made_up = Images(random.integers(0, 256, (128, 3, 32, 32), np.uint8), random.integers(0, 10, 128).astype(np.uint8))
    network = cifar.assemble(replace(IMAGES, **changed), made_up, device, 0)  # type: ignore[arg-type]
    for name in ("weights", "architecture"):
        setattr(network, name, replace(getattr(network, name), shuffle=False, transform=None))
    return network


def text_network(device: str, static: bool) -> ptb.TextNetwork:
    words = torch.arange(400) ** 2 % 11
    text = Corpus("letters", tuple("abcdefghijk"), words[:300], words[300:350], words[350:], digest="00")
    return ptb.TextNetwork(replace(TEXT, static=static), text, device, 0, torch.float64)


def cells(count: int, edges: int, candidates: int) -> list[torch.Tensor]:
    drawn = torch.randint(0, candidates, (count, edges), generator=torch.Generator().manual_seed(0))
    return list(functional.one_hot(drawn, candidates).double())


@pytest.mark.parametrize("device", DEVICES)
def test_recorded_steps_on_images_are_the_sparse_ones(device: str) -> None:
    with double_precision():
        sparse, static = images_network("cpu", zero=True), images_network(device, zero=True, static=True)
    for count, gates in enumerate(cells(5, 6, 5)):
        there = gates.to(device)
        losses = sparse.weight_step(gates, count / 10), static.weight_step(there, count / 10)
        torch.testing.assert_close(losses[1].cpu(), losses[0], rtol=0, atol=1e-9)
        one, other = sparse.objective(), static.objective()
        mine, theirs = one.gradients(gates, gates), other.gradients(there, there)
        torch.testing.assert_close(theirs.gate_gradient.cpu(), mine.gate_gradient, rtol=0, atol=1e-8)
        torch.testing.assert_close(theirs.output_gradient.cpu(), mine.output_gradient, rtol=0, atol=1e-8)
        zeroed = objective.zeroed_losses(one, gates), objective.zeroed_losses(other, there)
        torch.testing.assert_close(zeroed[1].cpu(), zeroed[0], rtol=0, atol=1e-9)
        assert (zeroed[0] - mine.loss).abs().max() > 1e-4  # the control: there is something to compare
    for name, tensor in sparse.state().items():
        torch.testing.assert_close(static.state()[name].cpu(), tensor, rtol=0, atol=1e-8, msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_recorded_steps_on_text_are_the_sparse_ones(device: str) -> None:
    sparse, static = text_network("cpu", False), text_network(device, True)
    for count, gates in enumerate(cells(5, 6, 5)):
        there = gates.to(device)
        losses = sparse.weight_step(gates, count / 10), static.weight_step(there, count / 10)
        torch.testing.assert_close(losses[1].cpu(), losses[0], rtol=1e-10, atol=0)
        mine, theirs = sparse.objective().gradients(gates, gates), static.objective().gradients(there, there)
        torch.testing.assert_close(theirs.gate_gradient.cpu(), mine.gate_gradient, rtol=1e-8, atol=1e-11)
    for name, weight in sparse.weights.items():
        torch.testing.assert_close(static.weights[name].cpu(), weight, rtol=1e-8, atol=1e-11, msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_sixteen_bits_on_images_err_little(device: str) -> None:
    with double_precision():
        wide = images_network("cpu")
    narrow = images_network(device, static=True, precision="bfloat16")
    narrow.load(wide.state())
    for gates in cells(5, 6, 4):
        there = gates.to(device, torch.float32)
        mine, theirs = wide.objective().gradients(gates, gates), narrow.objective().gradients(there, there)
        error = theirs.loss.double().cpu() - mine.loss
        assert 0 < abs(float(error)) < 0.02 * float(mine.loss)


@pytest.mark.parametrize("device", DEVICES)
def test_a_search_that_was_stopped_goes_on(device: str, tmp_path: Path) -> None:
    """On the CPU with the same bits; on a GPU kernels may add in another order, so near it."""
    settings = SearchSettings(epochs=2, warmup_epochs=1, rate=0.1, record_every=4)

    def searched(name: str, stop_after: int | None = None, seed: int = 0) -> torch.Tensor | None:
        steps, network = itertools.count(1), images_network(device, static=True)
        with runs.open_run(tmp_path / name, settings) as run:
            if search_in(run, network, settings, seed, lambda: next(steps) == stop_after) is None:
                return None
        return runs.read_checkpoint(tmp_path / name / runs.CHECKPOINT)[0]["logits"]  # type: ignore[no-any-return]

    straight = searched("straight")
    assert searched("stopped", 11) is None
    resumed, other = searched("stopped"), searched("other", seed=1)
    assert straight is not None
    assert resumed is not None
    assert other is not None
    assert torch.equal(straight, resumed) if device == "cpu" else (straight - resumed).abs().max() < 1e-2
    assert (straight - other).abs().max() > 1e-1  # the control


@no_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_search_step_asks_the_host_nothing(precision: str) -> None:
    settings = SearchSettings(epochs=10, warmup_epochs=0)

    def four_steps(network: Supernet) -> None:
        taken = steps(network, settings)
        for count in range(4):
            if count == 2:  # by now all is recorded
                torch.cuda.set_sync_debug_mode("error")
            next(taken)

    try:
        four_steps(images_network("cuda", static=True, precision=precision))
        torch.cuda.set_sync_debug_mode("default")
        with pytest.raises(RuntimeError, match="synchroniz"):  # the control: the sparse form asks
            four_steps(images_network("cuda", precision=precision))
    finally:
        torch.cuda.set_sync_debug_mode("default")
