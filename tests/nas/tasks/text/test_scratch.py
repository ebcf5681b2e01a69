"""Training from scratch: the protocol is the same for all, resumes bit for bit, and counts parameters right."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.__main__ import main
from nas.data.ptb import Corpus
from nas.judging import evaluate
from nas.running import runs
from nas.running.runs import Diverged
from nas.spaces import recurrent
from nas.tasks.task import Request
from nas.tasks.text import network as ptb
from nas.tasks.text import scratch as scratch_text
from nas.tasks.text.lstm import LSTM, LSTMModel, lstm_units
from nas.tasks.text.network import Settings
from nas.tasks.text.scratch import CellModel, Final

FIXED = "|tanh~0|+|relu~0|zero~1|+|identity~0|sigmoid~1|tanh~2|"
SETTINGS = Settings(units=8, batch=5, window=6, dropout=0.1, rate=20.0, clip=0.5)
EPOCHS = 3


def corpus() -> Corpus:
    """A text with something to learn: the next letter mostly follows the last."""
    generator = torch.Generator().manual_seed(0)
    steps = (torch.rand(900, generator=generator) < 0.2).long() * 3 + 1
    words = steps.cumsum(0) % 9
    return Corpus("letters", tuple("abcdefghi"), words[:600], words[600:750], words[750:])


CORPUS = corpus()


def final(architecture: str, seed: int = 0, settings: Settings = SETTINGS) -> Final:
    return Final(architecture, settings, EPOCHS, seed, settings.units, CORPUS.digest)


def train(folder: Path, wanted: Final, stopped: Callable[[], bool] = lambda: False) -> Any:
    return scratch_text.train_once(folder, wanted, CORPUS, "cpu", stopped)


def run_in(root: Path) -> Path:
    """The one training under a root."""
    (folder,) = root.glob("*/*-s*")
    return folder


@pytest.mark.parametrize("architecture", [FIXED, LSTM, "|tanh~0|+|relu~0|+|tanh~2|"])
def test_training_learns_and_validates_every_epoch(tmp_path: Path, architecture: str) -> None:
    row = train(tmp_path / "run", final(architecture))
    records = runs.records(run_in(tmp_path / "run"))
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert records[-1]["validation"] == row["validation"]
    assert row["test"] < 8  # better than guessing among the nine letters
    assert json.loads((run_in(tmp_path / "run") / "result.json").read_text()) == row


@pytest.mark.parametrize("architecture", [FIXED, LSTM])
@pytest.mark.parametrize("stop_at", [1, 20, 45])
def test_stopped_anywhere_and_resumed_ends_bit_identical(tmp_path: Path, architecture: str, stop_at: int) -> None:
    wanted = final(architecture)
    whole = train(tmp_path / "whole", wanted)
    steps = itertools.count(1)
    assert train(tmp_path / "parts", wanted, lambda: next(steps) == stop_at) is None
    parts = train(tmp_path / "parts", wanted)
    assert {**whole, "seconds": 0} == {**parts, "seconds": 0}
    a, b = (runs.read_checkpoint(run_in(tmp_path / name) / "checkpoint.safetensors")[0] for name in ("whole", "parts"))
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name
    assert records_of(tmp_path / "whole") == records_of(tmp_path / "parts")


def records_of(folder: Path) -> list[dict[str, Any]]:
    return [{**record, "seconds": 0} for record in runs.records(run_in(folder))]


def test_control_another_seed_ends_elsewhere(tmp_path: Path) -> None:
    assert train(tmp_path / "a", final(FIXED, 0))["test"] != train(tmp_path / "b", final(FIXED, 1))["test"]


def test_a_training_is_never_done_twice(tmp_path: Path) -> None:
    first = scratch_text.train_once(tmp_path, final(FIXED), CORPUS, "cpu")
    assert scratch_text.train_once(tmp_path, final(FIXED), CORPUS, "cpu", lambda: True) == first


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    """Weights scaled to 1e38 overflow in the first products."""
    wanted = final("|relu~0|+|relu~0|relu~1|+|relu~0|relu~1|relu~2|", settings=replace(SETTINGS, rate=1e38, clip=1e3))
    with pytest.raises(Diverged, match=r"not finite at step 2; lower the learning rate"):
        train(tmp_path / "run", wanted)
    assert not (run_in(tmp_path / "run") / "result.json").exists()


def test_parameters_by_hand() -> None:
    """V = 9, H = 8: embedding 72, output 72, bias 9; cell 2 x 8 x 16 and six edges of 2 x 64, less one unused."""
    assert scratch_text.parameters_of(CellModel(FIXED, 8), CORPUS) == 72 + 72 + 9 + 256 + 6 * 128 - 64
    own = sum(weight.numel() for weight in torch.nn.LSTM(8, 8).parameters())
    assert scratch_text.parameters_of(LSTMModel(8), CORPUS) == 72 + 72 + 9 + own


def test_an_lstm_of_the_same_size_is_nearest() -> None:
    for vocabulary, parameters in ((10_000, 7_450_000), (9, 1109), (1600, 274_000)):
        units = lstm_units(parameters, vocabulary)
        near = (units - 1, units, units + 1)
        sizes = {n: abs((2 * vocabulary + 8) * n + vocabulary + 8 * n * n - parameters) for n in near}
        assert min(sizes, key=sizes.__getitem__) == units


def test_the_lstm_is_torchs(tmp_path: Path) -> None:
    """The same outputs as torch.nn.LSTM with these weights."""
    model = LSTMModel(8)
    module = torch.nn.LSTM(8, 8)
    weights = {name: weight.detach() for name, weight in module.named_parameters()}
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == model.shapes()
    x = torch.randn(6, 5, 8, generator=torch.Generator().manual_seed(0))
    y, _, _ = model.core.forward(weights, x, model.core.start(5, x), record=False)
    torch.testing.assert_close(y, module(x)[0].detach())


def test_random_cells_are_uniform_and_named_by_their_seed() -> None:
    """n = 2,000 cells: each of 5 operations on 6 edges within 5 standard deviations, sqrt(2000 x 4) / 5, of 400."""
    counts = dict.fromkeys(("identity", "tanh", "sigmoid", "relu", "zero"), 0)
    cells = [scratch_text.random_cell(SETTINGS, seed) for seed in range(2000)]
    for cell in cells:
        for name in counts:
            counts[name] += cell.count(name)
    spread = (12_000 * 0.2 * 0.8) ** 0.5
    assert all(abs(count - 2400) < 5 * spread for count in counts.values())
    assert scratch_text.random_cell(SETTINGS, 3) == cells[3]
    single = scratch_text.random_cell(replace(SETTINGS, nodes=8, derive="single"), 0)
    assert single.count("~") == 8
    assert "zero" not in single


def test_derivations() -> None:
    result = {"architecture": FIXED, "probabilities": [[0.1, 0.2, 0.1, 0.1, 0.5]] * 5 + [[0.3, 0.2, 0.2, 0.2, 0.1]]}
    assert scratch_text.derived(SETTINGS, result) == FIXED
    assert scratch_text.derived(replace(SETTINGS, derive="single"), result) == "|tanh~0|+|tanh~0|+|identity~2|"


QUICK = ["units=6", "batch=20", "window=8", "final_epochs=1", "least=60"]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    sets = [part for setting in QUICK for part in ("--set", f"network.{setting}")]
    command = ["search", "ptb", "--preset", "quick", "--runs", str(root), "--set", "search.epochs=1", *sets]
    assert main(command) == 0
    (folder,) = (root / "ptb").iterdir()
    return folder


def test_search_then_evaluate(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(searched), "--seeds", "2", "--randoms", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["found", "2"], ["random", "1"], ["lstm", "2"]]
    rows = json.loads((searched / "evaluation.json").read_text())["rows"]
    sizes = {row["model"]: row["parameters"] for row in rows}
    assert abs(sizes["lstm"] - sizes["found"]) < 0.1 * sizes["found"]  # whole units: 6 of them here
    assert all(1 < row["test"] < 400 for row in rows)


def test_eight_nodes_with_one_predecessor_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Searched with all 36 edges, evaluated and compared with 8 of them; the audit and the drawing see all."""
    text = tmp_path / "text"
    text.write_text("one two three two one four\n" * 250)
    sets = ["search.epochs=1", *(f"network.{s}" for s in ("units=6", "batch=10", "window=6", "final_epochs=1"))]
    sets += ["network.nodes=8", "network.derive=single"]
    command = ["search", "ptb", "--preset", "quick", "--runs", str(tmp_path / "runs"), "--text", str(text)]
    assert main([*command, *(part for setting in sets for part in ("--set", setting))]) == 0
    (folder,) = (tmp_path / "runs" / "ptb").iterdir()
    assert len(json.loads((folder / "result.json").read_text())["choices"]) == 36
    assert main(["evaluate", str(folder)]) == 0
    rows = json.loads((folder / "evaluation.json").read_text())["rows"]
    found, random, lstm = rows
    assert [row["model"] for row in rows] == ["found", "random", "lstm"]
    for row in (found, random):
        edges, _ = recurrent.parse(row["architecture"])
        assert [target for _, target in edges] == list(range(1, 9))
    assert abs(lstm["parameters"] - found["parameters"]) < 0.1 * found["parameters"]
    assert main(["audit", str(folder), "--samples", "3", "--along", "1"]) == 0
    audited = json.loads((folder / "audit.json").read_text())
    assert sum(part["n"] for part in audited["operations"].values()) == 3 * 36
    assert audited["all"]["n"] == 3 * 36 - audited["operations"]["zero"]["n"]
    assert audited["t5"]["predicted"]["error"] < 0.1 * audited["t5"]["measured"]
    assert main(["draw", str(folder)]) == 0
    assert "mean update" in capsys.readouterr().out
    sets.append(f"network.text=['{text}']")
    compared = ["compare", "ptb", "--seeds", "2", "--methods", "random", "--runs", str(tmp_path / "compared")]
    assert main([*compared, *(part for setting in sets for part in ("--set", setting))]) == 0
    of_random = [
        json.loads(path.read_text()) for path in (tmp_path / "compared" / "compare" / "ptb-cpu-1").glob("*/result.json")
    ]
    derived = {scratch_text.derived(Settings(nodes=8, derive="single"), result) for result in of_random}
    assert len(derived) == 2  # what two random searches stand for is not one constant cell


def test_an_evaluation_that_cannot_be_is_refused(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    assert main(["evaluate", str(searched), "--seeds", "0"]) == 2
    assert "seeds must be at least 1, not 0" in capsys.readouterr().err
    (tmp_path / "config.toml").write_text((searched / "config.toml").read_text())
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "is not finished" in capsys.readouterr().err


def test_another_text_is_refused(searched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptb, "corpus_of", lambda *_: CORPUS)
    with pytest.raises(ValueError, match="searched on another text than letters"):
        evaluate.evaluate(searched, Request())
