"""Many searches: each in its folder, once, whoever else is at it, and on a cluster the same ones as here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.__main__ import main
from nas.judging import compare, searches, sweep
from nas.judging.sweep import Sweep
from nas.running import elsewhere, runs
from nas.tasks import experiments
from nas.tasks.task import Comparison

SWEEP = """
task = "digits"
name = "rates"
[base]
network.channels = 2
search.epochs = 3
search.warmup_epochs = 1
search.warmup = "shared"
[grid]
search.rate = [0.01, 0.1]
"""


def asked(folder: Path) -> Sweep:
    folder.mkdir()
    (folder / "rates.toml").write_text(SWEEP)
    return Sweep(*sweep.load(folder / "rates.toml"), folder / "runs")


def told(answer: dict[str, Any] | None) -> list[Any]:
    """What a sweep says, but for times and places."""
    assert answer is not None
    return [[row[name] for name in ("varied", "n", "figures", "entropy", "architectures")] for row in answer["rows"]]


@pytest.mark.parametrize("common", [True, False])
def test_a_sweep_says_the_same_on_a_cluster(common: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers; without a common disk run folders come back, and what is finished here is not sent there again."""
    distributed = pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    if not common:
        monkeypatch.setattr(elsewhere, "_sees", lambda root, mark: False)
    here, there = asked(tmp_path / "here"), asked(tmp_path / "there")
    alone = sweep.sweep(here)
    quick = {"n_workers": 2, "threads_per_worker": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(protocol="tcp", **quick) as cluster:
        there = replace(there, scheduler=cluster.scheduler_address)
        assert told(sweep.sweep(there)) == told(alone)
        assert len(list((there.root / "digits").iterdir())) == 2
        assert len(list((there.root / "warmup").iterdir())) == 1
        monkeypatch.setattr(searches, "search_in", lambda *_: pytest.fail("searched again"))
        assert told(sweep.sweep(there)) == told(alone)


def test_longer_warm_ups_wait_for_the_shorter_ones_though_workers_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[list[tuple[int, int]]] = []

    def together(work: Any, asked: Any, items: Any, *needs: Any) -> list[bool] | None:
        if work is not searches._warm_up:
            return None
        begun.append([(one.experiment.search.warmup_epochs, one.seed) for (one,) in items])
        return [True for _ in items]

    monkeypatch.setattr(searches, "side_by_side", together)
    lengths = "search.warmup_epochs = [2, 1]\n"
    text = SWEEP.replace("search.warmup_epochs = 1\n", "").replace("search.rate = [0.01, 0.1]\n", lengths)
    (tmp_path / "lengths.toml").write_text(text.replace("[base]", "seeds = 2\n[base]"))
    assert sweep.sweep(Sweep(*sweep.load(tmp_path / "lengths.toml"), tmp_path / "runs", jobs=2)) is None
    assert begun == [[(1, 0), (1, 1)], [(2, 0), (2, 1)]]


def test_a_scheduler_is_asked_for_as_by_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed", reason="the optional group `cluster` is not installed")
    file, root = tmp_path / "rates.toml", tmp_path / "runs"
    file.write_text(SWEEP)
    for command in (["sweep", str(file)], ["compare", "digits"]):
        assert main([*command, "--runs", str(root), "--scheduler", "nonsense"]) == 2
        assert "no Dask scheduler answers at nonsense" in capsys.readouterr().err
        assert main([*command, "--runs", str(root), "--scheduler", "tcp://a:1", "--jobs", "2"]) == 2
        assert "2 jobs are processes of this machine, a scheduler has workers" in capsys.readouterr().err
    assert not root.exists()


def test_a_search_that_another_program_has_finished_is_not_searched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two comparisons on one root: what the other is at is refused in one line, what it has finished is taken."""
    comparison = Comparison(experiments.load("ptb", "quick", None, ["search.epochs=2"]), ("advantage",), 1, tmp_path)
    monkeypatch.setattr(experiments, "build", lambda *_: None)
    (one,) = compare._searches(comparison, ["advantage"])
    folder = tmp_path / one.folder
    with (
        runs.open_run(folder, one.experiment),
        pytest.raises(runs.RunError, match="is in use by another process"),
    ):
        searches.search(comparison, one)

    def finished_meanwhile(*given: object) -> None:
        (folder / runs.RESULT).write_text("{}")
        raise runs.RunError("is finished")

    monkeypatch.setattr(searches, "search_in", finished_meanwhile)
    assert searches.search(comparison, one) == folder
