"""A sweep searches every cell with every seed in the folder of that search, once, and its table says what they said."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from nas.__main__ import main
from nas.judging import searches, sweep
from nas.judging.sweep import Sweep, SweepSettings, cells
from nas.running import runs
from nas.running.runs import Diverged

OWN = "tests.nas.tasks.own_task:TASK"
ALLOW = ["--allow", "tests.nas.tasks.own_task"]
SWEEP = f"""
task = "{OWN}"
name = "rates"
about = "Which rate?"
seeds = 2
[base]
search.epochs = 3
search.warmup_epochs = 1
network.examples = 60
[grid]
search.rate = [0.001, 0.1]
search.method = ["advantage", "reinforce"]
"""


def written(folder: Path, text: str = SWEEP) -> Path:
    file = folder / "rates.toml"
    file.write_text(text)
    return file


def command(file: Path, *more: str) -> list[str]:
    return ["sweep", str(file), "--runs", str(file.parent / "runs"), *ALLOW, *more]


def times(root: Path) -> list[int]:
    return sorted(result.stat().st_mtime_ns for result in root.rglob(runs.RESULT))


def test_cells_are_base_times_cases_times_grid() -> None:
    asked = SweepSettings(
        task="digits",
        base={"search": {"epochs": 8, "warmup_epochs": 2}},
        grid={"network": {"batch": [8, 16]}},
        cases=[{"search": {"optimiser": "sgd", "rate": 0.5}}, {"search": {"rate": 0.25}}],
    )
    found = [
        (c.experiment.search.optimiser, c.experiment.search.rate, c.experiment.network.batch) for c in cells(asked)
    ]
    assert found == [("sgd", 0.5, 8), ("sgd", 0.5, 16), ("adam", 0.25, 8), ("adam", 0.25, 16)]
    assert {cell.experiment.search.epochs for cell in cells(asked)} == {8}
    assert list(cells(asked)[0].varied) == ["search.optimiser", "search.rate", "network.batch"]
    assert [cell.varied for cell in cells(SweepSettings(task="digits"))] == [{}]
    preset = cells(SweepSettings(task="digits", preset="quick"))[0].experiment
    assert preset != cells(SweepSettings(task="digits"))[0].experiment  # the control: it is not left out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seeds = 2", "seeds = 0"), "seeds must be at least 1, not 0"),
        (("seeds = 2", "seed = 2"), "unknown setting 'seed'; known: about, base"),
        (('name = "rates"', 'name = "a/b"'), "'a/b' must be letters, digits and underscores"),
        (("search.epochs", "search.epoch"), "unknown setting search.'epoch'; known: "),
        (("search.rate = [0.001, 0.1]", "search.rate = 0.1"), "grid.search.rate must be a list of values, not 0.1"),
        (("search.rate = [0.001, 0.1]", "search.rate = []"), "grid.search.rate must be a list of values, not []"),
        (("search.rate = [0.001, 0.1]", "search.epochs = [3]"), "search.epochs is in the grid and in base or cases"),
        (("[0.001, 0.1]", "[0.1, 0.1]"), "two cells are the same search: search.rate=0.1, search.method=advantage"),
        (("[0.001, 0.1]", "[0.1, -1.0]"), "rate and decay must be finite and not negative"),
        (('"reinforce"', '"reenforce"'), "unknown method 'reenforce'; known: "),
        (('"reinforce"', '"darts"'), "asks more than the network answers with network.one_path=true"),
        (("seeds = 2", "seeds = 9_999"), "39,996 searches are more than 10,000: split the sweep"),
        (("[grid]", "[grids]"), "unknown setting 'grids'"),
        (("[base]", "[base"), "not valid TOML"),
        ((f'"{OWN}"', '"digit"'), "unknown task 'digit'"),
        ((f'"{OWN}"', '"other.module:TASK"'), "if you trust it, add --allow other.module"),
    ],
)
def test_a_wrong_file_is_one_line(
    change: tuple[str, str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert change[0] in SWEEP
    file = written(tmp_path, SWEEP.replace(*change, 1))
    assert main(command(file)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"sweep {file}" in said or "TOML" in said
    assert says in said
    assert not (tmp_path / "runs").exists()


def test_every_search_lies_where_search_puts_it_and_is_never_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path)
    sets = ["search.epochs=3", "search.warmup_epochs=1", "network.examples=60", "search.rate=0.1"]
    words = [word for setting in sets for word in ("--set", setting)]
    assert main(["search", OWN, *words, "--method", "reinforce", "--runs", str(tmp_path / "runs")]) == 0
    before = times(tmp_path)
    assert main(command(file, "--dry-run")) == 0
    assert len(capsys.readouterr().out.splitlines()[-4:]) == 4
    assert times(tmp_path) == before
    assert main(command(file)) == 0
    said = capsys.readouterr().out
    assert len(times(tmp_path)) == 8  # 2 rates, 2 methods, 2 seeds; one of them was there
    assert before[0] in times(tmp_path)
    first = times(tmp_path)
    assert main(command(file)) == 0
    assert times(tmp_path) == first
    assert capsys.readouterr().out == said
    rows = json.loads((tmp_path / "runs" / "rates-sweep.json").read_text())["rows"]
    for row in rows:
        losses = [runs.result(Path(run))["figures"]["loss"] for run in row["runs"]]
        assert len(losses) == row["n"] == 2
        assert row["figures"]["loss"]["mean"] == pytest.approx(fmean(losses))
        assert row["figures"]["loss"]["std"] == pytest.approx(stdev(losses))
        settings = [(Path(run) / "config.toml").read_text() for run in row["runs"]]
        assert all(f"rate = {row['varied']['search.rate']}" in text for text in settings)
    best = min(rows, key=lambda row: row["figures"]["loss"]["mean"])
    lines = said.splitlines()
    assert lines[0] == "Which rate?"
    assert lines[3].split()[:2] == [str(best["varied"][name]) for name in ("search.rate", "search.method")]
    assert lines[-1] == f"python -m nas evaluate {best['runs'][0]} --allow tests.nas.tasks.own_task"


def asked(root: Path, text: str = SWEEP) -> Sweep:
    settings, found = sweep.load(written(root, text))
    return Sweep(settings, found, root / "runs")


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.running.plugins._allowed", {"tests.nas.tasks.own_task"})


def without_times(answer: dict[str, Any] | None) -> list[dict[str, Any]]:
    assert answer is not None
    return [
        {name: row[name] for name in ("varied", "n", "figures", "entropy", "architectures")} for row in answer["rows"]
    ]


def test_stopped_and_side_by_side_it_says_the_same(tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    one.mkdir()
    two.mkdir()
    whole = asked(one)
    asks = itertools.count()
    assert sweep.sweep(replace(whole, stopped=lambda: next(asks) >= 10)) is None  # in the middle of a search
    assert len(times(one)) < 8
    assert not (one / "runs" / "rates-sweep.json").exists()
    assert without_times(sweep.sweep(whole)) == without_times(sweep.sweep(replace(asked(two), jobs=2)))


def test_a_search_that_diverges_is_a_row_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = searches.search_in

    def diverges(run: Any, network: Any, settings: Any, *more: Any) -> Any:
        if settings.rate == 0.001:
            raise Diverged("the loss is not finite at step 7")
        return real(run, network, settings, *more)

    monkeypatch.setattr(searches, "search_in", diverges)
    answer = sweep.sweep(asked(tmp_path))
    assert answer is not None
    assert [row["n"] for row in answer["rows"]] == [0, 0, 2, 2]
    assert answer["rows"][0]["diverged"] == ["the loss is not finite at step 7"] * 2
    lines = sweep.table(answer).splitlines()
    assert [line.split()[-1] for line in lines[3:7]] == ["0", "0", "2", "2"]  # last, whatever they found

    def wrong(*_: Any) -> Any:
        raise ValueError("something else")

    monkeypatch.setattr(searches, "search_in", wrong)
    with pytest.raises(ValueError, match="something else"):  # the control: it does end all
        sweep.sweep(replace(asked(tmp_path), root=tmp_path / "other"))


def test_all_diverged_is_said(tmp_path: Path) -> None:
    row = {"varied": {"search.rate": 9.0}, "n": 0, "seconds": None, "figures": {}, "entropy": None}
    row |= {"architectures": [], "diverged": ["the loss is not finite at step 7"], "runs": []}
    said = sweep.table({"name": "rates", "about": "", "rows": [row]}).splitlines()
    assert said[0] == "rates"
    assert said[-1] == "the loss is not finite at step 7"


def test_one_warm_up_serves_all_cells_that_share_it(tmp_path: Path) -> None:
    text = SWEEP.replace("[grid]", 'search.warmup = "shared"\n[grid]').replace("seeds = 2", "seeds = 1")
    answer = sweep.sweep(asked(tmp_path, text))
    assert answer is not None
    assert len(list((tmp_path / "runs" / "warmup").iterdir())) == 1
    told = [runs.result(Path(row["runs"][0]))["forked_from"]["run"] for row in answer["rows"]]
    assert len(told) == 4
    assert len(set(told)) == 1


def test_the_files_of_the_how_to_page_are_sweeps(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "howto" / "sweeps.md"
    whole, cases = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "whole.toml").write_text(whole)
    assert len(sweep.load(tmp_path / "whole.toml")[1]) == 6
    (tmp_path / "cases.toml").write_text(f'task = "digits"\n{cases}')
    assert len(sweep.load(tmp_path / "cases.toml")[1]) == 2
