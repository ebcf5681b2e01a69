"""The toy experiment: what it records, that it resumes, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas import methods
from nas.judging.colours import of_method
from nas.running import runs
from simulate import __main__ as program
from simulate import report, toy
from simulate.toy import NetworkSettings, ToySettings
from tests import browser

SMALL = NetworkSettings(edges=3, candidates=4, batch=5)


def settings(**changes: object) -> ToySettings:
    return ToySettings(**{"trials": 4, "iterations": 30, "network": SMALL, "block": 2, **changes})  # type: ignore[arg-type]


def run(folder: Path, chosen: ToySettings, seed: int = 0) -> dict[str, toy.Curves]:
    with runs.open_run(folder, chosen) as opened:
        opened.finish(toy.run_toy(chosen, opened, seed))
    return toy.curves(runs.records(folder))


def test_results_do_not_depend_on_the_block_or_on_the_other_methods(tmp_path: Path) -> None:
    whole = run(tmp_path / "a", settings(block=4))
    split = run(tmp_path / "b", settings(block=1))
    alone = run(tmp_path / "c", settings(methods=("advantage",)))
    other = run(tmp_path / "d", settings(methods=("advantage",)), seed=1)
    for name, curve in whole.items():
        np.testing.assert_allclose(split[name].loss, curve.loss, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(alone["advantage"].loss, whole["advantage"].loss, rtol=1e-4, atol=1e-9)
    assert not np.allclose(other["advantage"].loss, whole["advantage"].loss, rtol=1e-4)


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole", settings())
    monkeypatch.setattr(runs.Run, "record", _dies_after(runs.Run.record, 40))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", settings())
    monkeypatch.undo()
    assert len(runs.records(tmp_path / "killed")) == 40
    assert not (tmp_path / "killed" / runs.RESULT).exists()
    resumed = run(tmp_path / "killed", settings())
    for name, curve in whole.items():
        assert np.array_equal(curve.loss, resumed[name].loss)


def test_advantage_finds_the_teacher_and_a_policy_that_never_moves_does_not(tmp_path: Path) -> None:
    chosen = settings(
        iterations=400, methods=("advantage", "darts"), method=toy.MethodSettings(rate=3e-3), record_every=100
    )
    still = settings(iterations=400, methods=("advantage",), method=toy.MethodSettings(rate=0.0), record_every=100)
    found, unmoved = run(tmp_path / "a", chosen), run(tmp_path / "b", still)
    assert found["advantage"].teacher_edges[:, -1].mean() >= 2.5
    assert unmoved["advantage"].teacher_edges[:, -1].mean() < 2


def test_the_command_writes_a_whole_run_folder_and_refuses_it_the_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["run", "toy", "--trials", "2", "--iterations", "10", "--runs", str(tmp_path), "--methods", "darts,gdas"]
    command += ["--set", "network.edges=2", "--set", "network.candidates=3"]
    assert program.main(command) == 0
    (folder,) = (tmp_path / "toy").iterdir()
    for name in (runs.CONFIG, runs.META, runs.METRICS, runs.RESULT, "toy.svg", "toy.png"):
        assert (folder / name).stat().st_size > 0
    result = json.loads((folder / runs.RESULT).read_text())
    assert set(result["methods"]) == {"darts", "gdas"}
    assert "DARTS" in (folder / "toy.svg").read_text()
    assert program.main(["plot", str(folder), "--to", str(tmp_path / "again")]) == 0
    assert set(json.loads((tmp_path / "again.json").read_text())["methods"]) == {"darts", "gdas"}
    assert "DARTS" in (tmp_path / "again.svg").read_text()
    assert program.main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert page.index("has the lowest loss over the first 600 iterations") < page.index("<svg")
    assert browser.CHROMIUM is None or browser.complaints(folder / "report.html") == []
    assert "n = 2 trials, 10 iterations, seed 0. Made by: " in page
    assert page.count("<svg") == 1
    capsys.readouterr()
    assert program.main(command) == 2
    assert "is finished" in capsys.readouterr().err


def test_who_is_lower_is_counted_over_paired_trials_and_in_equal_time() -> None:
    points = np.array([0, 300, 600, 900])
    ours = np.array([[2.0, 1.0, 0.0, 9.0]] * 4)
    theirs = np.array([[2.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 9.0], [2.0, 2.0, 2.0, 2.0], [2.0, 1.0, 0.0, 0.0]])
    flat = np.zeros((4, 4))
    made = {
        "advantage": toy.Curves(points, np.array([0.0, 1.0, 2.0, 3.0]), ours, flat, flat),
        "reinforce": toy.Curves(points, np.array([0.0, 2.0, 4.0, 6.0]), theirs, flat, flat),
    }
    found = toy.beside(made, "reinforce")
    # Means to 600: ours 1; theirs 2, 2/3, 2, 1: two wins, a loss, a tie. Theirs reach 300 in our 2 s: 3/2, 1, 2, 3/2.
    assert found["lower_at_equal_iterations"]["share"] == 2.5 / 4
    assert found["lower_at_equal_seconds"]["share"] == 3.5 / 4
    assert found["lower_at_equal_iterations"]["verdict"] == "undecided"
    swapped = toy.beside({"advantage": made["reinforce"], "reinforce": made["advantage"]}, "reinforce")
    assert swapped["lower_at_equal_iterations"]["share"] == 1.5 / 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "advantag"], "unknown method 'advantag'; known: advantage, "),
        (["--methods", "simulate.toy:SHOWN"], "'simulate.toy:SHOWN' is a int, not a nas.methods.Method"),
        (["--set", "method.lrr=1"], "unknown setting method.'lrr'; known: beta1"),
        (["--set", "trials=ten"], "setting trials: Expected `int`, got `str`"),
        (["--trials", "0"], "trials must be at least 1, not 0"),
        (["--device", "cuda:9"], "device 'cuda:9' cannot be used here"),
        (["--config", "nowhere.toml"], "cannot read settings nowhere.toml"),
    ],
)
def test_bad_input_gets_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert program.main(["run", "toy", "--runs", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_and_an_unknown_experiment_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert program.main(["run", "toy", "--runs", str(tmp_path / "file")]) == 2
    assert program.main(["run", "toyy"]) == 2
    said = capsys.readouterr().err
    assert "cannot write the run folder" in said
    assert "unknown experiment 'toyy'" in said


def test_a_method_has_one_colour_and_a_users_own_gets_one_too() -> None:
    assert of_method("advantage") != of_method("reinforce")
    assert of_method("mine:method").startswith("#")
    assert methods.label("mine:method") == "mine:method"


def _dies_after(record: object, count: int) -> object:
    seen = 0

    def dying(self: runs.Run, values: dict[str, object]) -> None:
        nonlocal seen
        if seen == count:
            raise KeyboardInterrupt
        seen += 1
        record(self, values)  # type: ignore[operator]

    return dying


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("method.beta1=1", "need 0 <= beta1, beta2 < 1, not 1.0"),
        ("method.beta2=-0.1", "need 0 <= beta1, beta2 < 1"),
        ("method.rate=nan", "rate must be finite"),
        ("method.start=inf", "start finite"),
        ("method.horizon=0", "horizon must be at least 1, not 0"),
        ("network.edges=0", "edges must be at least 1, not 0"),
        ("network.batch=100000", "batch must be at most 65536, not 100000"),
        ("methods=['advantage', 'darts', 'advantage']", "setting methods names advantage twice"),
    ],
)
def test_senseless_settings_are_refused(setting: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["run", "toy", "--set", setting, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_a_stopped_run_keeps_its_blocks_and_goes_on(tmp_path: Path) -> None:
    whole, asked = run(tmp_path / "whole", settings()), 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked == 40  # in the second block of 31

    with runs.open_run(tmp_path / "stopped", settings()) as opened:
        assert toy.run_toy(settings(), opened, 0, stopped=stopped) is None
    assert runs.read_checkpoint(tmp_path / "stopped" / runs.CHECKPOINT)[1]["trials"] == 2
    resumed = run(tmp_path / "stopped", settings())
    for name, curve in whole.items():
        assert np.array_equal(curve.loss, resumed[name].loss)


def test_the_page_s_verdict_says_who_is_first_and_where_advantage_stands() -> None:
    def row(median: float) -> dict[str, dict[str, float]]:
        return {"loss100_mean_to_600": {"median": median, "lower": median - 0.1, "upper": median + 0.1}}

    losses = {"darts": row(0.5), "advantage": row(0.7), "gdas": row(0.9)}
    said = report.toy_verdict({"trials": 4, "methods": losses})
    assert said.startswith(
        "Of 3 methods DARTS has the lowest loss over the first 600 iterations, and AdvantageNAS is number 2"
    )
    assert "0.5 [0.4, 0.6] and 0.7 [0.6, 0.8], median and quartiles of n = 4 trials." in said
    first = report.toy_verdict({"trials": 4, "methods": {**losses, "advantage": row(0.2)}})
    assert first.startswith("Of 3 methods AdvantageNAS has the lowest")
    assert "number" not in first
