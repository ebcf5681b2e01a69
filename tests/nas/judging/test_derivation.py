"""A finished search that is read out in another way stands for what the search itself would have stood for."""

import json
from pathlib import Path

import pytest

from nas.__main__ import main
from nas.judging import derivation
from nas.running import plugins, runs

OWN = "tests.nas.tasks.own_task:TASK"
plugins.allow("tests.nas.tasks.own_task")  # as --allow does, for run folders of this file that are read again
SHORT = ("search.epochs=6", "search.warmup_epochs=2", "search.rate=0.05", "search.record_every=10")


def searched(root: Path, *sets: str, seed: int = 0) -> Path:
    words = [word for setting in (*SHORT, *sets) for word in ("--set", setting)]
    assert main(["search", OWN, *words, "--runs", str(root), "--seed", str(seed)]) == 0
    (folder,) = (root / "sensors").iterdir()
    return folder


def read_out(folder: Path, how: str) -> dict[str, object]:
    assert main(["derive", str(folder), how]) == 0
    content: dict[str, object] = json.loads(derivation.file_of(folder, how).read_text())
    return content


def test_it_is_what_the_search_would_have_said(tmp_path: Path) -> None:
    plain = searched(tmp_path / "plain")
    before = {file.name: file.read_bytes() for file in plain.iterdir()}
    ranking = json.loads(json.dumps(runs.result(searched(tmp_path / "own", "search.derive=ranked:30"))["ranking"]))
    found = read_out(plain, "ranked:30")
    assert found["ranking"] == ranking
    assert found["architecture"] == ranking[0][0]
    assert len(ranking) > 3
    assert found["figures"]["loss"] == ranking[0][1]  # type: ignore[index]
    assert {file.name: file.read_bytes() for file in plain.iterdir() if file.name in before} == before
    other = read_out(searched(tmp_path / "other", seed=1), "ranked:30")  # control: other weights, other losses
    assert other["ranking"] != ranking


def test_a_climb_is_read_out_as_the_search_would_have_made_it(tmp_path: Path) -> None:
    own = runs.result(searched(tmp_path / "own", "search.derive=climbed:30"))
    found = read_out(searched(tmp_path / "plain"), "climbed:30")
    assert found["ranking"] == json.loads(json.dumps(own["ranking"]))
    assert found["architecture"] == own["architecture"]


def test_the_argmax_is_that_of_the_result(tmp_path: Path) -> None:
    folder = searched(tmp_path, "search.derive=best_seen")
    records = runs.records(folder)
    assert read_out(folder, "argmax")["architecture"] == records[-1]["architecture"]
    assert read_out(folder, "best_seen")["architecture"] == records[-1]["best_seen"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("best_seen", "this search kept no best one"),
        ("climbed:0", "derive must be argmax, best_seen, ranked:N, tuned:N:M:E or climbed:N"),
        ("ranked:0", "derive must be argmax, best_seen, ranked:N, tuned:N:M:E or climbed:N"),
        ("best", "derive must be argmax, best_seen, ranked:N, tuned:N:M:E or climbed:N"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, how: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = searched(tmp_path)
    capsys.readouterr()
    assert main(["derive", str(folder), how]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not list(folder.glob("derived-*"))


def test_an_unfinished_search_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = searched(tmp_path)
    (folder / runs.RESULT).unlink()
    assert main(["derive", str(folder), "argmax"]) == 2
    assert "is not finished" in capsys.readouterr().err
