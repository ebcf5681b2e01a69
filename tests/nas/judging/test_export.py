"""What is taken away: the exported module answers as the network does, in an interpreter that has no toolkit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nas.__main__ import main
from nas.data.cifar import Images
from nas.data.ptb import Corpus
from nas.judging.export import export, onnx
from nas.running import runs
from nas.running.searching import search_in
from nas.settings import SearchSettings
from nas.spaces import nasbench201, recurrent
from nas.supernets.edge import choose
from nas.tasks.cells.cell import Norm
from nas.tasks.cells.network import CellNetwork
from nas.tasks.cifar10 import export as of_images
from nas.tasks.cifar10.network import KIND, assemble
from nas.tasks.cifar10.network import Settings as ImageSettings
from nas.tasks.task import Experiment
from nas.tasks.text import export as of_text
from nas.tasks.text import language_model as language
from nas.tasks.text import scratch as scratch_text
from nas.tasks.text.network import Settings as TextSettings
from nas.tasks.text.network import TextNetwork

SEARCH = SearchSettings(method="random", epochs=2, warmup_epochs=1)
IMAGE_SETTINGS = ImageSettings(channels=4, cells=2, batch=4, images=8, held_out=4, zero=True)
TEXT_SETTINGS = TextSettings(units=6, batch=4, window=5, nodes=3)

ASK = """
import sys
for toolkit in ("nas", "theory", "simulate"):
    sys.modules[toolkit] = None  # whatever is installed: an import of it fails
import torch
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)
import exported
network = exported.load("exported.safetensors").double()
answer = network(load_file("asked.safetensors")["asked"])
answer = answer if isinstance(answer, torch.Tensor) else answer[0]
save_file({"answer": answer.detach()}, "answer.safetensors")
"""


def answer_of(folder: Path, asked: Tensor) -> Tensor:
    """What the module exported.py in `folder` answers, with its weights, in a fresh interpreter."""
    save_file({"asked": asked}, folder / "asked.safetensors")
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", ASK]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert told.returncode == 0, told.stderr
    return load_file(folder / "answer.safetensors")["answer"]


def images() -> Images:
    rng = np.random.default_rng(0)
    return Images(rng.integers(0, 256, (16, 3, 8, 8), dtype=np.uint8), rng.integers(0, 10, 16).astype(np.uint8))


def searched_images(folder: Path) -> Any:
    network = assemble(IMAGE_SETTINGS, images(), "cpu", 0)
    with runs.open_run(folder, Experiment(IMAGE_SETTINGS, SEARCH, task="cifar10")) as run:
        search_in(run, network, SEARCH, 0)
    return network


CORPUS = Corpus("letters", tuple("abcdefghi"), *(torch.arange(900).cumsum(0) % 9,) * 3)


def searched_text(folder: Path) -> Any:
    network = TextNetwork(TEXT_SETTINGS, CORPUS, "cpu", 0)
    with runs.open_run(folder, Experiment(TEXT_SETTINGS, SEARCH, task="ptb")) as run:
        search_in(run, network, SEARCH, 0)
    return network


# ------------------------------------------------------------------ the module is the network


def test_a_searched_network_of_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, to = tmp_path / "run", tmp_path / "exported.py"
    network = searched_images(folder)
    assert main(["export", str(folder), "--to", str(to), "--weights", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [str(to), str(to.with_suffix(".safetensors"))]
    choices = torch.tensor(runs.result(folder)["choices"])
    gates = torch.nn.functional.one_hot(choices, 5).double()
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    wide(network.model)
    with torch.no_grad():
        expected = network.model(pixels, choose(gates, gates))
        other = network.model(pixels, choose(gates.roll(1, dims=1), gates.roll(1, dims=1)))
    found = answer_of(tmp_path, pixels)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert (found - other).abs().max() > 1e-3  # the control: another cell answers otherwise


CELLS = (
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
)


@pytest.mark.parametrize("architecture", CELLS)
def test_a_trained_network_of_cells(tmp_path: Path, architecture: str) -> None:
    """Learned scales and running statistics, each somewhere else than at its start."""
    torch.manual_seed(0)
    names = tuple((nasbench201.OPERATIONS[choice],) for choice in nasbench201.read(architecture))
    model = CellNetwork(4, 2, names, Norm(affine=True, statistics="running"), KIND)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape) if "var" in name else 0.2 * torch.randn(tensor.shape))
    run = scratch_run(tmp_path / "trained", {f"model.{n}": t for n, t in model.state_dict().items()}, architecture)
    result = {"architecture": architecture, "choices": list(nasbench201.read(architecture))}
    exported = of_images.export(ImageSettings(cells=2), result, run)
    write(tmp_path, exported)
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    gates = torch.ones(6, 1).double()
    with torch.no_grad():
        expected = wide(model)(pixels, choose(gates, gates))
    torch.testing.assert_close(answer_of(tmp_path, pixels), expected, rtol=0, atol=1e-10)
    other = {"architecture": CELLS[architecture == CELLS[0]], "choices": [0] * 6}
    with pytest.raises(ValueError, match="trained another cell"):
        of_images.export(ImageSettings(cells=2), other, run)
    fresh = of_images.export(ImageSettings(), result, None)
    assert "channels=16, cells=5" in fresh.source
    assert not fresh.tensors


def test_a_searched_recurrent_cell(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    network = searched_text(folder)
    export(folder, tmp_path / "exported.py", folder)
    core = scratch_text.CellModel(runs.result(folder)["architecture"], 6)
    assert_same_text(tmp_path, core, network.weights)


@pytest.mark.parametrize(
    "architecture", ["|tanh~0|+|relu~0|identity~1|+|zero~0|tanh~1|sigmoid~2|", "|tanh~0|+|relu~1|"]
)
def test_a_trained_recurrent_cell(tmp_path: Path, architecture: str) -> None:
    model = scratch_text.CellModel(architecture, 6)
    weights = language.initial({**language.shapes(9, 6), **model.shapes()}, 0, torch.float32, "cpu")
    weights = {name: 4 * weight for name, weight in weights.items()}
    run = scratch_run(tmp_path / "trained", {f"weights.{n}": t for n, t in weights.items()}, architecture)
    _, choices = recurrent.parse(architecture)
    write(tmp_path, of_text.export(TextSettings(), {"architecture": architecture, "choices": choices}, run))
    assert_same_text(tmp_path, model, weights)
    with pytest.raises(ValueError, match="trained another model"):
        of_text.export(TextSettings(), {"architecture": "|tanh~0|"}, run)


def assert_same_text(folder: Path, model: Any, weights: dict[str, Tensor]) -> None:
    words = torch.randint(0, 9, (7, 3))
    wide = {name: weight.double() for name, weight in weights.items()}
    y, _, _ = model.core.forward(wide, wide["embedding"][words], model.core.start(3, wide["output"]), record=False)
    expected = torch.log_softmax(y @ wide["output"].T + wide["bias"], -1)
    found = answer_of(folder, words)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert (found[1:] - found[:-1]).abs().max() > 1e-3  # the control: it depends on the words


def wide(model: CellNetwork) -> CellNetwork:
    """In 64 bits and evaluation, with the pixels' mean and deviation as exact as the exported source writes them."""
    model.double().eval()
    model.image_mean, model.image_deviation = (
        torch.tensor(row, dtype=torch.float64).view(3, 1, 1) for row in (KIND.mean, KIND.deviation)
    )
    return model


def scratch_run(folder: Path, tensors: dict[str, Tensor], architecture: str) -> Path:
    """The folder of a training from scratch, as far as an export reads it."""
    with runs.open_run(folder, SEARCH) as run:
        run.checkpoint(tensors, {"step": 1})
        run.finish({"architecture": architecture})
    return folder


def write(folder: Path, exported: Any) -> None:
    (folder / "exported.py").write_text(exported.source)
    save_file({name: part.contiguous() for name, part in exported.tensors.items()}, folder / "exported.safetensors")


# ------------------------------------------------------------------ ONNX


@pytest.mark.parametrize("architecture", CELLS)
@pytest.mark.parametrize("statistics", ["batch", "running"])
def test_onnx_answers_as_the_module(tmp_path: Path, architecture: str, statistics: Any) -> None:
    """Asked by the NumPy evaluator that comes with onnx, for one image and for three."""
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    names = tuple((nasbench201.OPERATIONS[choice],) for choice in nasbench201.read(architecture))
    model = CellNetwork(4, 1, names, Norm(affine=statistics == "running", statistics=statistics), KIND)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.add_(torch.rand(tensor.shape) if "var" in name else 0.2 * torch.randn(tensor.shape))
    run = scratch_run(tmp_path / "trained", {f"model.{n}": t for n, t in model.state_dict().items()}, architecture)
    result = {"architecture": architecture, "choices": list(nasbench201.read(architecture))}
    (tmp_path / "cell.onnx").write_bytes(onnx(of_images.export(ImageSettings(cells=1), result, run)))
    evaluator = reference.ReferenceEvaluator(str(tmp_path / "cell.onnx"))
    gates = torch.ones(6, 1)
    model.eval()
    for count in (1, 3):
        pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
        (found,) = evaluator.run(None, {"input": pixels.numpy()})
        with torch.no_grad():
            expected = model(pixels, choose(gates, gates)).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * float(abs(expected).max()))
        assert abs(found - expected[:, ::-1]).max() > 1e-2 * abs(expected).max()  # the control


def test_onnx_of_a_loop_or_without_its_packages_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that has no ONNX is refused before anybody is sent to install something for it."""
    text, images = tmp_path / "text", tmp_path / "images"
    searched_text(text)
    searched_images(images)
    monkeypatch.setattr("nas.judging.export.NEEDED", ("json", "no_such_package"))
    loops = "the network of task ptb loops over its input, which ONNX would unroll: export FILE.py"
    lines = {
        (text,): loops,
        (text, "--weights", text): loops,
        (images,): "cell.onnx holds weights: add --weights RUN, of the search or of a training from scratch",
        (images, "--weights", images): "ONNX needs no_such_package: pip install no_such_package",
    }
    for words, line in lines.items():
        assert main(["export", "--to", str(tmp_path / "cell.onnx"), *map(str, words)]) == 2
        assert capsys.readouterr().err == f"python -m nas export: {line}\n"
    assert not (tmp_path / "cell.onnx").exists()


# ------------------------------------------------------------------ the other forms, and what is refused


def test_genotype_and_drawing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    searched_text(folder)
    assert export(folder, tmp_path / "cell.json") == [tmp_path / "cell.json"]
    told, result = json.loads((tmp_path / "cell.json").read_text()), runs.result(folder)
    space = recurrent.cell_space(3, True)
    named = [(edge["source"], edge["target"], edge["operation"]) for edge in told["edges"]]
    expected = zip(space.edges, (space.operations[choice] for choice in result["choices"]), strict=True)
    assert named == [(*edge, name) for edge, name in expected]
    assert told["architecture"] == result["architecture"]
    export(folder, tmp_path / "cell.dot")
    drawn = (tmp_path / "cell.dot").read_text()
    assert drawn.startswith("digraph cell {")
    for source, target, name in named:
        assert f'  {source} -> {target} [label="{name}"];' in drawn


def test_what_cannot_be_exported_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    searched_text(folder)
    lines = {
        ("--to", "cell"): "its ending must be one of .py, .json, .dot, .onnx",
        (
            "--to",
            "cell.json",
            "--weights",
            str(folder),
        ): "--weights belongs to a module, FILE.py or FILE.onnx, not to cell.json",
        ("--to", "cell.py", "--weights", str(tmp_path)): "cannot be read",
    }
    for options, line in lines.items():
        assert main(["export", str(folder), *options]) == 2
        told = capsys.readouterr().err
        assert line in told
        assert told.count("\n") == 1
    assert main(["export", str(tmp_path), "--to", "cell.py"]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    with pytest.raises(ValueError, match="holds no weights of this task"):
        of_images.export(ImageSettings(), {"architecture": CELLS[1], "choices": [0] * 6}, folder)
    assert not Path("cell.py").exists()
