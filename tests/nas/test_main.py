"""Bad input to a search is answered in one line and exit status 2, and leaves nothing behind."""

from pathlib import Path

import pytest
import torch

from nas.__main__ import main
from nas.data.places import VARIABLE

TINY = ["network.units=6", "network.batch=20", "network.window=8", "network.least=60", "search.epochs=1"]
SEARCH = ["search", "ptb", *(word for setting in TINY for word in ("--set", setting))]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--method", "nope"], "unknown method 'nope'; known: advantage, "),
        (["--method", "no.module:name"], "no.module"),
        (["--set", "network.unitz=3"], "unknown setting network.'unitz'; known: "),
        (["--set", "network.units=many"], "setting network.units: Expected `int`, got `str`"),
        (["--set", "search.epochs=0"], "epochs"),
        (["--config", "none.toml"], "none.toml"),
        (["--seed", "-1"], "--seed must not be negative, not -1"),
        (["--set", "network.corpus=ptb"], "ptb.train.txt"),
        (["--text", "none.txt"], "none.txt"),
        (["--runs", "taken"], "cannot write the run folder taken/ptb/"),
    ],
)
def test_one_line_and_nothing_written(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "taken").write_text("a file where the run folder should go")
    assert main([*SEARCH, *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("python -m nas search: ")
    assert says in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--device", "cuda", "--runs", str(tmp_path)]) == 2
    assert "has no usable CUDA device; use --device cpu" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ptb.{part}.txt").write_text("the cat\n")
    words = [*SEARCH, "--set", "network.corpus=ptb", "--data", str(tmp_path), "--runs", str(tmp_path / "runs")]
    assert main(words) == 2
    assert "ptb.train.txt" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_good_search_runs_once_and_a_finished_folder_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SEARCH, "--runs", str(tmp_path)]
    assert main(words) == 0
    (result,) = tmp_path.rglob("result.json")
    before = result.read_bytes()
    assert main(words) == 2
    assert "is finished; choose another --seed" in capsys.readouterr().err
    assert result.read_bytes() == before


def test_a_loss_that_is_not_finite_stops_the_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SEARCH, "--set", "network.rate=1e9", "--runs", str(tmp_path)]) == 2
    assert "the loss is not finite at step " in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))
