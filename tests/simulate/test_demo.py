"""The demo: one page of both uses, finished parts are not run again, and a stopped one goes on."""

import json
from pathlib import Path

import pytest

from nas.running import runs
from simulate import __main__ as program
from simulate import demo
from simulate.toy import NetworkSettings, ToySettings
from tests import browser

TOY = ToySettings(trials=2, iterations=4, methods=("advantage", "gdas"), network=NetworkSettings(3, 3, 10))


def tiny(folder: Path) -> dict[str, list[str]]:
    text = folder / "text"
    text.write_text("one two three two one four\n" * 800)
    sets = ["units=6", "batch=20", "window=8", "final_epochs=1", f"text=['{text}']"]
    digits = ["search.epochs=3", "search.warmup_epochs=1", "network.final_epochs=1", "network.channels=2"]
    return {"ptb": ["search.epochs=2", *(f"network.{setting}" for setting in sets)], "digits": digits}


def test_one_page_of_both_and_nothing_twice(tmp_path: Path) -> None:
    out, sets, said = tmp_path / "demo", tiny(tmp_path), list[str]()
    assert demo.demo(out, stopped=lambda: True, toy=TOY, sets=sets, tell=said.append) is None
    assert not (out / "index.html").exists()
    assert said[0].startswith("running 2 trials in")
    assert demo.demo(out, toy=TOY, sets=sets, tell=said.append) == out / "index.html"
    assert [line.split()[0] for line in said if line.startswith(("running", "resuming"))] == ["running", "resuming"]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # the toy, and of each search the cell and how the probabilities moved
    assert page.index("The found cell reads") < page.index("A search chooses") < page.index("<svg")
    assert "(n = 6 cells, 95 % t interval); means of 2 trainings" in page
    assert browser.CHROMIUM is None or browser.complaints(out / "index.html") == []
    (search,) = (out / "runs" / "ptb").iterdir()
    models = {row["model"] for row in json.loads((search / "evaluation.json").read_text())["rows"]}
    assert len(models) > 1  # what it must beat stands beside it
    for words in ("AdvantageNAS", runs.result(search)["architecture"], "1 thread on", *models):
        assert words in page
    before = {path: path.stat().st_mtime_ns for path in out.rglob("result.json")}
    assert len(before) >= 2
    assert demo.demo(out, toy=TOY, sets=sets, tell=said.append) == out / "index.html"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("result.json")} == before


def test_the_command_says_that_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "demo", lambda out, stopped: None)
    assert program.main(["demo", "--out", str(tmp_path)]) == 143
    assert f"stopped; the same command goes on from here: {tmp_path}" in capsys.readouterr().err
    monkeypatch.setattr(demo, "demo", lambda out, stopped: out / "index.html")
    assert program.main(["demo", "--out", str(tmp_path)]) == 0
