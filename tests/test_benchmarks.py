"""Every benchmark starts as its first lines say, from this checkout; what it measures is its own business."""

import collections
import importlib.util
import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from nas.data.places import VARIABLE
from nas.running import runs
from nas.settings import SearchSettings

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_it_starts(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script), "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert f"python benchmarks/{script.name}" in script.read_text(encoding="utf-8")


def test_none_hides_a_package() -> None:
    """Python looks beside the script first: benchmarks/theory.py would be what `import theory` finds there."""
    names = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert not names & {"nas", "simulate", "theory", *sys.stdlib_module_names}


def test_make_bench_runs_what_needs_no_run_of_yours() -> None:
    """All but the scripts that cannot start without a run, a comparison or a card."""
    told = subprocess.run(["make", "-n", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    run = set(re.findall(r"benchmarks/(\w+)\.py", told))
    needs = re.compile(r'add_argument\("\w+", .*metavar="(RUN|JSON)"|look_up\(__doc__')
    asking = {file.stem for file in ROOT.glob("benchmarks/*.py") if needs.search(file.read_text())}
    assert {"cifar_found", "cifar_budget", "cifar_readouts", "cifar_precision"} <= asking
    assert run == {file.stem for file in ROOT.glob("benchmarks/*.py")} - asking - {"gpu"}


@pytest.fixture
def data() -> Path:
    """Where CIFAR-10 and the table are."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    return Path(folder)


def loaded(name: str) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_of_some_ranked_cells_against_all_subsets() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]  # best ranked first
    expected = loaded("cifar_ranked").first_of(np.array(values))
    for m in range(1, 6):
        firsts = [values[min(places)] for places in itertools.combinations(range(5), m)]
        assert expected[m - 1] == pytest.approx(sum(firsts) / len(firsts), rel=1e-12)
    assert expected[0] == pytest.approx(3.0)  # a random one
    assert expected[4] == pytest.approx(5.0)  # control: not their maximum by chance, for the ranking may be wrong
    assert loaded("cifar_ranked").first_of(np.array(values[::-1]))[4] == pytest.approx(3.0)


def test_when_a_first_call_pays_by_hand() -> None:
    pays_after = loaded("cifar_step").pays_after
    # 9 s longer than usual, plain 1 s longer than plain's usual 2 s: 8 s to win back at 1 s a step
    assert pays_after(10.0, 1.0, 3.0, 2.0) == "8"
    assert pays_after(10.5, 1.0, 3.0, 2.0) == "9"
    assert pays_after(1.0, 1.0, 3.0, 2.0) == "0"
    assert pays_after(10.0, 2.0, 3.0, 2.0) == "never"


def test_the_power_of_growth_by_hand() -> None:
    power_of = loaded("cifar_step").power_of
    assert power_of((1, 4, 16), (3.0, 24.0, 192.0)) == pytest.approx(1.5)  # eight times for four times the size
    assert power_of((2, 4), (5.0, 5.0)) == pytest.approx(0.0)


@pytest.mark.parametrize("operations", [1, 2, 4])
def test_growing_operations_run(operations: int) -> None:
    """As many convolutions' weights move as the chosen and the following operations have."""
    benchmark = loaded("cifar_step")
    network = benchmark.ours("float32", 4, 1, "cpu", channels=4, operations=operations)
    chosen = [2] * 6  # 3 × 3, then pooling, skip, 1 × 1
    assert [sum(row) for row in network.running(chosen).tolist()] == [operations] * 6
    moved = len(network.supernet.reached(network.running(chosen)))
    alone = len(network.supernet.reached(network.gates(chosen)))
    assert moved - alone == (18 if operations == 4 else 0)  # the six 1 × 1 of three cells


# ------------------------------------------------------------------ torture.py and inputs.py


def test_every_command_survives_a_kill_at_a_write() -> None:
    """Each is killed once, begun again and compared with what was left alone; some inputs beside."""
    command = [
        sys.executable,
        "benchmarks/torture.py",
        "--only",
        "writes,inputs",
        "--of",
        "audit,evaluate,report,fetch",
    ]
    command += ["--kills", "4", "--inputs", "200", "--jobs", "1", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["writes"][:3] == ["4", "4", "4"]  # tries, kills, clean
    assert [rows["inputs"][column] for column in (0, 2)] == ["200", "200"]


@pytest.mark.slow
def test_groups_survive_a_kill() -> None:
    """A rank of torchrun is killed, a comparison with its workers hears Ctrl-C."""
    command = [sys.executable, "benchmarks/torture.py", "--jobs", "1", "--only", "ranks,group", "--kills", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert [int(rows[name][0]) for name in ("ranks", "group")] == [1, 1]
    assert int(rows["ranks"][1]) >= 1


def test_control_torture_sees_other_bits_tracebacks_and_what_is_left_half_written(tmp_path: Path) -> None:
    torture = loaded("torture")
    for name, number in (("whole", 1.0), ("same", 1.0), ("other", 1.0 + 2**-23)):
        with runs.open_run(tmp_path / name / "r", SearchSettings()) as run:
            run.record({"step": 1, "seconds": len(name)})
            run.checkpoint({"x": torch.tensor([number])}, {"step": 1})
    whole = {"search": {"left": torture.left_by(tmp_path / "whole")}}
    assert torture.compared("search", tmp_path / "same", whole, "a kill") is None
    assert "other bits after a kill: ['r tensor x']" in torture.compared("search", tmp_path / "other", whole, "a kill")
    (tmp_path / "same" / "r" / f".{runs.RESULT}.7.part").touch()
    assert "left half written" in torture.compared("search", tmp_path / "same", whole, "a kill")
    assert torture.unclean(0, "a line\n") is None
    assert "a traceback" in torture.unclean(0, "Traceback (most recent call last)")
    assert "exit status 70" in torture.unclean(70, "")
    assert "more than a line" in torture.unclean(2, "python -m nas search: a\npython -m nas search: b\n")


def test_torture_plans_what_it_is_asked_for() -> None:
    torture = loaded("torture")
    units = torture.plan([*torture.CLASSES, "inputs"], 1000, 10**6)
    counted = collections.Counter(name for name, _ in units)
    assert counted == {
        "signals": 500, "writes": 400, "ranks": 50, "group": 50, "inputs": 500,
        "damage": 100, "races": 100, "full": 100, "clock": 100,
    }  # fmt: skip
    assert len(set(units)) == len(units)
    assert {name for name, _ in units[:60]} == counted.keys()  # mixed
    assert torture.plan(["writes"], 3, 0) == [("writes", 0), ("writes", 1), ("writes", 2)]


# ------------------------------------------------------------------ gpu.py, which runs the others


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/gpu.py, as on a machine with a GPU, with three short steps: one is well, one fails, one never ends."""
    module = loaded("gpu")
    steps = {
        "well": '-c \'print(6 * 7); open("{out}/well.txt", "a").write("once ")\'',
        "fails": "-c 'raise SystemExit(3)'",
        "endless": "-c 'import signal, sys; signal.signal(15, lambda *_: sys.exit(print(9 * 9))); signal.pause()'",
    }
    monkeypatch.setattr(module, "STEPS", steps)
    monkeypatch.setattr(module, "machine", lambda: {"device": "pretended"})
    return module


def test_gpu_reports_what_ran_and_repeats_only_what_did_not(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path), "--minutes", "0.02"])
        assert gpu.main() == 1
    report = (tmp_path / "report.md").read_text()
    assert "## well: ended well" in report
    assert "## fails: exit status 3" in report
    assert "## endless: stopped at its time's end" in report
    assert report.count("device pretended") == 3
    assert "\n42\n" in report
    assert "\n81\n" in report  # it was asked to stop, and could say what it had
    assert (tmp_path / "well.txt").read_text() == "once "
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path), "--only", "well"])
    assert gpu.main() == 0  # control: what ended well alone


def test_gpu_without_one_is_a_line(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "machine", lambda: None)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--out", str(tmp_path / "gpu")])
    assert gpu.main() == 2
    assert "no GPU here" in capsys.readouterr().err
    assert not (tmp_path / "gpu").exists()


def test_every_command_of_gpu_is_understood() -> None:
    dry = [sys.executable, "benchmarks/gpu.py", "--dry-run", "--out", "gpu"]
    said = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(said) == 8
    for line in said:
        words = shlex.split(line)
        assert words[0] == "python"
        if words[1:4] == ["-m", "pytest", "-q"]:
            assert all((ROOT / word).exists() for word in words if word.endswith(".py"))
        elif words[1] == "-m":
            from nas.__main__ import parser

            assert parser().parse_args(words[3:]).device == "cuda"
        else:
            helped = subprocess.run([sys.executable, words[1], "--help"], cwd=ROOT, capture_output=True, text=True)
            assert helped.returncode == 0
            assert all(word in helped.stdout for word in words if word.startswith("--"))


def test_tau_of_candidates_is_high_where_a_low_loss_means_a_good_cell() -> None:
    class Known:
        """Cells are their own index; their accuracy is ten times that."""

        def find(self, cell: str) -> int:
            return int(cell)

        def column(self, name: str) -> "np.ndarray":
            return 10.0 * np.arange(4)

    ranking = [("0", 0.1), ("1", 0.2), ("2", 0.3), ("3", 0.4)]  # the worst has the lowest loss of the shared weights
    tuned = [("3", 0.1), ("2", 0.2), ("1", 0.3)]  # trained alone, the best has
    told = loaded("cifar_ranked").of_tuned({"ranking": ranking, "tuned": tuned}, Known())
    assert told["test"] == [30.0, 20.0, 10.0]
    assert (told["tau_before"], told["tau_after"]) == (-1.0, 1.0)
    assert loaded("cifar_ranked").of_tuned({"ranking": ranking}, Known()) is None


def test_found_cells_stand_beside_the_first_row_seed_by_seed() -> None:
    found = loaded("cifar_found")

    def cell(method: str, way: str, seed: int, test: float, settings: str = "") -> object:
        return found.Cell(method, way, seed, settings, "cell", 0.5, 10.0 * seed, dict.fromkeys(found.TESTS, test))

    better = [cell("advantage", "climbed:80", seed, 90.0 + seed) for seed in (1, 2, 3)]
    worse = [cell("random", "argmax", seed, 80.0 + 2 * seed) for seed in (3, 2)]
    first, second = found.rows([*worse, *better])
    assert (first["method"], first["mean"], first["std"], first["seconds"]) == ("advantage", 92.0, 1.0, 20.0)
    assert first["beside_first"] is None
    assert second["tests"] == {2: 84.0, 3: 86.0}
    assert second["beside_first"]["value"] == (84 - 92 + 86 - 93) / 2  # of seeds 2 and 3, which both have
    assert second["beside_first"]["n"] == 2
    assert first["others"] == {"cifar100_test": 92.0, "imagenet16_120_test": 92.0}
    faster = cell("advantage", "climbed:80", 1, 50.0, "rate=0.005")
    assert [found.name_of(one) for one in found.rows([*better, faster])] == [
        "AdvantageNAS, climbed:80",
        "AdvantageNAS, rate=0.005, climbed:80",
    ]


def test_a_search_that_is_named_twice_is_refused() -> None:
    found = loaded("cifar_found")
    cell = found.Cell("advantage", "argmax", 1, "", "cell", 0.5, 10.0, dict.fromkeys(found.TESTS, 90.0))
    with pytest.raises(ValueError, match="two runs of advantage with seed 1 and the same settings"):
        found.rows([cell, cell])


@pytest.mark.parametrize("script", ["cifar_budget", "cifar_found", "cifar_ranked"])
def test_what_is_no_search_is_one_line(script: str, tmp_path: Path, data: Path) -> None:
    words = [str(tmp_path / "nothing"), "--to", str(tmp_path / "out"), "--data", str(data)]
    done = subprocess.run([sys.executable, f"benchmarks/{script}.py", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is not a run folder" in done.stderr
    assert not list(tmp_path.iterdir())


def test_found_searches_are_told_apart_by_what_not_all_share(tmp_path: Path) -> None:
    text = '[network]\ncells = 1\n\n[search]\nmethod = "{}"\nrate = {}\n{}derive = "argmax"\n'
    for name, given in {
        "a": ("advantage", 0.1, ""),
        "b": ("random", 0.2, ""),
        "c": ("gdas", 0.1, "until = 3.0\n"),
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / runs.CONFIG).write_text(text.format(*given))
    told = loaded("cifar_found").settings_apart([tmp_path / name for name in "abc"])
    assert list(told.values()) == ["rate=0.1", "rate=0.2", "rate=0.1, until=3.0"]
    assert set(loaded("cifar_found").settings_apart([tmp_path / "a"]).values()) == {""}


def budget_cells(found: ModuleType, method: str, tests: dict[int, float]) -> dict[int, object]:
    way = "best_seen" if method == "random" else "argmax"
    return {
        seed: found.Cell(method, way, seed, "", "cell", 0.5, 60.0 + seed, dict.fromkeys(found.TESTS, value))
        for seed, value in tests.items()
    }


def test_a_budget_is_compared_seed_by_seed_after_the_same_warm_up() -> None:
    """By hand: 3, 1 and 2 points above random search, so 2 with a t-interval of 4.303 / sqrt(3)."""
    found, budget = loaded("cifar_found"), loaded("cifar_budget")
    cells = {
        "random": budget_cells(found, "random", {0: 90.0, 1: 91.0, 2: 89.0, 3: 10.0}),
        "advantage": budget_cells(found, "advantage", {2: 91.0, 0: 93.0, 1: 92.0}),
        "gdas": budget_cells(found, "gdas", {0: 93.0}),
    }
    assert sorted(cells, key=budget.place) == ["advantage", "gdas", "random"]
    row, own, single = (budget.row(5, name, cells) for name in ("advantage", "random", "gdas"))
    assert (row["mean"], row["std"], row["seconds"], row["warmup_epochs"]) == (92.0, 1.0, 61.0, 5)
    assert list(row["tests"]) == [0, 1, 2]
    assert set(row["beside"]) == {"random"}  # one seed is no interval
    gap = row["beside"]["random"]
    assert gap["value"] == pytest.approx(2.0)
    assert gap["upper"] - gap["value"] == pytest.approx(4.3027 / 3**0.5, abs=1e-3)
    assert own["beside"]["advantage"]["value"] == pytest.approx(-2.0)
    assert single["half_width"] is None
    later = {name: {**one, "warmup_epochs": 9} for name, one in (("random", own), ("advantage", row))}
    later["advantage"]["tests"] = {0: 93.0, 1: 90.0, 2: 91.0, 3: 12.0}  # 3, -1, 2 and, where row has none, 2 above
    none = {**row, "warmup_epochs": 0, "tests": {0: 0.0, 1: 0.0}}
    over = budget.over_warm_ups([none, row, own, *later.values()])
    assert set(over) == {"advantage"}
    assert over["advantage"]["value"] == pytest.approx((3 + 0 + 2 + 2) / 4)
    summary = {"rows": [row, own], "over_warm_ups": over, "references": {"another": 93.0, budget.BEST: 94.0}}
    _, first, second, _, others, beside, _, _, mean = budget.as_text(summary).splitlines()
    assert mean.startswith("AdvantageNAS      +1.75 [")
    assert first.split()[:6] == ["5", "AdvantageNAS", "61", "92.00", "±", "1.00"]
    assert "+2.00 [-0.48, +4.48]" in first
    assert second.split()[:5] == ["5", "Random", "search", "62", "70.00"]
    assert others.split() == ["warm-up", "beside", "Random", "search"]
    assert beside.split(maxsplit=1)[1].startswith("+2.00 [-0.48, +4.48]")
    (axes,) = budget.figure(summary).axes
    assert [line.get_text() for line in axes.get_legend().get_texts()] == ["AdvantageNAS", "Random search", "another"]
    assert axes.lines[0].get_ydata() == [2.0]  # below the best cell


def test_a_ranking_that_is_the_tables_own_has_tau_one(data: Path) -> None:
    """A low loss beside a high accuracy is agreement."""
    from nas.data import nasbench201

    found, table = loaded("cifar_found"), nasbench201.load(data)
    cells = sorted(table.architectures[::3000], key=lambda cell: -found.tests_of(table, cell)[found.JUDGED])
    for order, tau in ((cells, 1.0), (cells[::-1], -1.0)):
        ranking = [(cell, 0.1 * place) for place, cell in enumerate(order)]
        assert found.ranked(ranking, table)["tau"] == pytest.approx(tau)


def test_a_found_search_is_read_out_in_every_way_that_it_was(tmp_path: Path, data: Path) -> None:
    """Its own way, its argmax and what `derive` wrote; of random search, which has no policy, no argmax."""
    from nas.__main__ import main
    from nas.data import nasbench201

    found, table, cells = loaded("cifar_found"), nasbench201.load(data), {}
    small = ("network.unseen=256", "search.epochs=2", "search.warmup_epochs=1", "search.derive=climbed:4")
    sets = [word for setting in small for word in ("--set", setting)]
    search = ["search", "cifar10", "--preset", "quick"]
    assert main([*search, *sets[:-2], "--method", "random", "--runs", str(tmp_path)]) == 0
    (alone,) = found.cells_of(next((tmp_path / "cifar10").iterdir()), table)
    assert alone.way == "best_seen"
    for method in ("advantage", "random"):
        root = str(tmp_path / method)
        assert main([*search, *sets, "--method", method, "--runs", root]) == 0
        (folder,) = (tmp_path / method / "cifar10").iterdir()
        assert main(["derive", str(folder), "ranked:3"]) == 0
        cells[method] = {one.way: one for one in found.cells_of(folder, table)}
    assert set(cells["advantage"]) == {"climbed:4", "argmax", "ranked:3"}
    assert set(cells["random"]) == {"climbed:4", "ranked:3"}
    ways = cells["advantage"]
    assert ways["argmax"].seconds < ways["climbed:4"].seconds  # which judged four cells more
    assert (ways["climbed:4"].judged, ways["argmax"].judged) == (4, None)
    result = runs.result(folder)
    assert cells["random"]["climbed:4"].architecture == result["architecture"]
    index = table.find(result["architecture"])
    assert cells["random"]["climbed:4"].tests["cifar100_test"] == table.column("cifar100_test")[index]
