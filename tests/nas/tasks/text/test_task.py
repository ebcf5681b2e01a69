"""Both forms of the text network serve every method; an audit asks the sparse one in 32 bits."""

from pathlib import Path

import pytest

from nas import methods
from nas.__main__ import main
from nas.running import runs
from nas.tasks.text import task
from nas.tasks.text.network import Settings

STATIC = Settings(static=True, precision="bfloat16", units=7)


def test_both_forms_serve_every_method() -> None:
    assert all(task.TASK.fits(STATIC, method) for method in methods.METHODS.values())


def test_an_audit_rounds_least() -> None:
    assert task.audited(STATIC) == Settings(units=7)
    assert task.audited(STATIC) != STATIC


def test_the_space_follows_the_settings() -> None:
    assert len(task.space(Settings(nodes=2)).edges) == 3  # 0 -> 1, 0 -> 2, 1 -> 2
    assert task.space(Settings(zero=False)).zero is None
    assert task.space(Settings()).zero == "zero"
    assert {"paper", "quick", "small"} <= task.TASK.known_presets().keys()


TINY = ("search.epochs=1", "network.units=4", "network.batch=10", "network.window=6", "network.final_epochs=1")


def test_a_text_of_ones_own_under_its_own_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same search as `ptb --text`, to the last bit; judged and compared under the name `text`."""
    text = tmp_path / "book.txt"
    text.write_text("one two three two one four\n" * 250)
    sets = [word for setting in TINY for word in ("--set", setting)] + ["--runs", str(tmp_path)]
    results = []
    for name in ("ptb", "text"):
        assert main(["search", name, "--preset", "quick", "--text", str(text), *sets]) == 0
        (folder,) = (tmp_path / name).iterdir()
        results.append({**runs.result(folder), "seconds": 0})
    assert results[0] == results[1]
    assert main(["evaluate", str(folder), "--randoms", "0"]) == 0
    capsys.readouterr()
    compared = ["compare", "text", *sets, "--seeds", "1", "--methods", "random"]
    assert main(compared) == 0  # the preset's embedded text
    assert main([*compared, "--set", f"network.text=['{text}']"]) == 0
    first, second = (line for line in capsys.readouterr().out.splitlines() if "words (train / valid / test)" in line)
    assert first.startswith("embedded text")
    assert second.startswith("book.txt: ")
    assert (tmp_path / "text-final").is_dir()
    assert not (tmp_path / "ptb-final").exists()
    assert main([*compared, "--set", "network.corpus=auto"]) == 2
    assert "which text? add --text FILE" in capsys.readouterr().err


def test_a_price_that_no_operation_has_is_refused_before_a_run_folder_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for setting in (*TINY, "search.warmup_epochs=0") for word in ("--set", setting)]
    words = ["search", "ptb", *sets, "--set", "network.corpus=embedded", "--runs", str(tmp_path / "runs")]
    assert main([*words, "--set", "search.penalty=0.1"]) == 2
    assert "does not say what its operations cost; leave the penalty at 0" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
