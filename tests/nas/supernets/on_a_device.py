"""Does a step of the static forms ask the host anything, or mix devices? Found out without a GPU.

PyTorch can pretend a device: tensors that have a shape, a type and a device but no numbers. Whoever reads one on the
host, or adds it to a tensor of the host, is refused, as a recorded CUDA graph would be, or would wait, on a real one.
Speed and numbers say nothing here; the tests of the fixed graph and of the text network compare the numbers on the CPU.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
)
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

from nas import methods, objective, optimisers, step
from nas.data.cifar import Images
from nas.data.ptb import Corpus
from nas.search import steps
from nas.settings import SearchSettings, build_method
from nas.supernets.parent import ParentNetwork
from nas.supernets.recorded import Recorder, Work
from nas.tasks.cells import cell as convolutional
from nas.tasks.cifar10 import network as cifar
from nas.tasks.cifar10.task import TASK
from nas.tasks.text import cell as recurrent
from nas.tasks.text import network as ptb

DEVICE = "pretended:0"
SPARSE = [name for name, method in methods.METHODS.items() if TASK.fits(cifar.Settings(static=True), method)]
CACHED = (recurrent._sources, convolutional.window_pixels, convolutional._pool_weight, convolutional._ones)


@pytest.fixture(scope="module")
def pretended() -> None:
    """Makes the device known to PyTorch, once a process."""
    register = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if register is None:
        pytest.skip(f"PyTorch {torch.__version__} cannot pretend a device")
    register("pretended")


@pytest.fixture
def host_is_away(pretended: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Inside, tensors have no numbers, and what would be recorded is watched."""
    monkeypatch.setattr(torch, "Generator", NoGenerator)
    monkeypatch.setattr(torch, "tensor", without_numbers(torch.tensor))
    monkeypatch.setattr(nn.Module, "to", moved)
    monkeypatch.setattr(Recorder, "replayed", watched)
    for function in CACHED:
        function.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield
    for function in CACHED:
        function.cache_clear()


def images_network(static: bool = True, **settings: Any) -> ParentNetwork:
    random = np.random.default_rng(0)
    images = Images(random.integers(0, 256, (32, 3, 32, 32), np.uint8), random.integers(0, 10, 32).astype(np.uint8))
    chosen = cifar.Settings(channels=2, cells=1, batch=4, images=16, held_out=8, static=static, **settings)
    return cifar.assemble(chosen, images, DEVICE, 0)


def text_network(static: bool = True, **settings: Any) -> ParentNetwork:
    words = (torch.empty(count, dtype=torch.int64) for count in (300, 40, 50))
    text = Corpus("letters", tuple("abcdefghijk"), *words, digest="00")
    return ptb.TextNetwork(ptb.Settings(units=6, batch=4, window=3, static=static, **settings), text, DEVICE, 0)


def search_steps(network: ParentNetwork, count: int = 2, **settings: Any) -> Tensor:
    """The logits after so many steps of the search, each of the weights and of the architecture."""
    chosen = SearchSettings(epochs=10, warmup_epochs=0, **settings)
    *_, last = itertools.islice(steps(network, chosen), count)
    step.architecture(build_method(chosen), last.state)
    return last.state.logits  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SPARSE)
def test_no_method_asks_the_host_on_images(host_is_away: None, name: str) -> None:
    assert str(search_steps(images_network(zero=True), method=name).device) == DEVICE


@pytest.mark.parametrize("name", ["advantage", "proxyless", "parsec"])
def test_no_method_asks_the_host_on_text(host_is_away: None, name: str) -> None:
    assert str(search_steps(text_network(), method=name).device) == DEVICE


@pytest.mark.parametrize("name", sorted(optimisers.OPTIMISERS))
def test_no_optimiser_asks_the_host(host_is_away: None, name: str) -> None:
    assert str(search_steps(images_network(), optimiser=name).device) == DEVICE


@pytest.mark.parametrize("build", [images_network, text_network])
def test_sixteen_bits_stay_on_the_device(host_is_away: None, build: Callable[..., ParentNetwork]) -> None:
    assert search_steps(build(precision="bfloat16")).dtype == torch.float32


@pytest.mark.parametrize("build", [images_network, text_network])
def test_control_the_sparse_form_asks_the_host_which_operation_runs(
    host_is_away: None, build: Callable[..., ParentNetwork]
) -> None:
    with pytest.raises(DataDependentOutputException):
        search_steps(build(static=False))


def test_control_gates_on_the_host_are_refused(host_is_away: None) -> None:
    problem, gates = images_network().objective(), torch.zeros(6, 4)
    with pytest.raises(FakeTensorDeviceMismatchError):
        objective.zeroed_losses(problem, gates)


def test_control_a_copy_from_the_host_is_seen_in_a_recording(host_is_away: None) -> None:
    work = watched(Recorder(DEVICE, ()), "work", lambda x: (x + torch.zeros(2).to(DEVICE),))
    with pytest.raises(CopyError):
        work(torch.zeros(2, device=DEVICE))


# ------------------------------------------------------------------ how a device is pretended


class CopyError(RuntimeError):
    """A recording copies from the host, which a CUDA graph cannot."""


class NoGenerator:
    """In the place of `torch.Generator`, which does not know the pretended device: without numbers, none is needed."""

    def __init__(self, device: Any = "cpu") -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        """Nothing: torch draws without a generator."""


class NoCopies(TorchDispatchMode):
    """Refuses copies from the host to the device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if "copy" in str(function):
            devices = {part.device.type for part in (*args, found) if isinstance(part, Tensor)}
            if {"cpu", "pretended"} <= devices:
                raise CopyError(str(function))
        return found


def watched(recorder: Recorder, name: str, work: Work) -> Work:
    """`Recorder.replayed` as on a GPU: run once to warm up, recorded, when nothing may come from the host; replayed."""
    recordings: dict[str, Any] = recorder.recordings

    def replay(*inputs: Tensor) -> tuple[Tensor, ...]:
        if name not in recordings:
            work(*inputs)
            with NoCopies():
                recordings[name] = work(*inputs)
        return tuple(output.clone() for output in recordings[name])

    return replay


def without_numbers(tensor: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`torch.tensor`, which would give a pretended tensor numbers, and move them to a device that has none."""

    def make(data: Any, dtype: torch.dtype | None = None, device: Any = "cpu") -> Tensor:
        like = tensor(data, dtype=dtype)
        return torch.empty(like.shape, dtype=like.dtype, device=device)

    return make


def moved(module: nn.Module, device: str) -> nn.Module:
    """`Module.to` for tensors without numbers: fresh parameters in the place of the old ones."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(parameter.detach().to(device))
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(device)
    return module
