"""Every command works on a task of one's own, and says in one line what a task lacks."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nas import methods, tasks
from nas.__main__ import main
from nas.running import config, plugins
from nas.tasks import experiments
from nas.tasks.task import Task
from tests.nas.tasks import own_task

ROOT = Path(__file__).resolve().parents[3]
OWN, BARE = "tests.nas.tasks.own_task:TASK", "tests.nas.tasks.own_task:BARE"
MODULE = "tests.nas.tasks.own_task"
plugins.allow(MODULE)  # as --allow does, for run folders of this file that are read again
SHORT = ["search.epochs=6", "search.warmup_epochs=2", "search.rate=0.05", "search.record_every=10"]
SETS = [word for setting in SHORT for word in ("--set", setting)]


def program(*words: str) -> subprocess.CompletedProcess[str]:
    """`python -m nas WORDS`, as one types it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "nas", *words], env=environment, capture_output=True, text=True)


def searched(root: Path, task: str) -> Path:
    assert main(["search", task, *SETS, "--runs", str(root)]) == 0
    (folder,) = (root / tasks.find(task).name).iterdir()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search on the own task, by the command."""
    root = tmp_path_factory.mktemp("runs")
    done = program("search", OWN, *SETS, "--runs", str(root))
    assert done.returncode == 0, done.stderr
    assert "200 examples for the weights, 200 for the architecture" in done.stdout
    (folder,) = (root / "sensors").iterdir()
    assert done.stdout.endswith(f"evaluate it: python -m nas evaluate {folder} --allow {MODULE}\n")
    refused = program("draw", str(folder))
    assert refused.returncode == 2
    assert f"if you trust it, add --allow {MODULE}" in refused.stderr
    return folder


def test_a_search_records_the_tasks_name(run: Path) -> None:
    assert config.read_toml(run / "config.toml")["task"] == OWN
    architecture = json.loads((run / "result.json").read_text())["architecture"]
    assert "sensor 2" in architecture  # what the target depends on
    assert experiments.reload(run).network == own_task.Settings()


def test_evaluate(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--seeds", "2"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [["found", "2"], ["random", "1"]]
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    assert rows[0]["test"] > rows[-1]["test"]  # sensor 1 says nothing


def test_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a method that the form as given cannot serve, and two processes that find the task by its name."""
    words = ["compare", OWN, *SETS, "--runs", str(tmp_path), "--seeds", "2", "--jobs", "2", "--methods"]
    assert main([*words, "advantage,darts"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("made up, 200 examples\naccuracy (%)")
    compared = json.loads((tmp_path / "sensors-comparison.json").read_text())
    assert compared["task"] == OWN
    assert compared["methods"].keys() == {"advantage", "darts", "random"}
    assert len(compared["trained"]) == 2
    assert compared["references"]["sensor 1 alone"]["mean"] < compared["methods"]["advantage"]["at_the_end"]["mean"]
    folders = [path.parent for path in (tmp_path / "compare" / "sensors-cpu-2").glob("*/config.toml")]
    forms = {settings.search.method: settings.network.one_path for settings in map(experiments.reload, folders)}
    assert forms == {"advantage": True, "darts": False, "random": True}
    assert {path.suffix for path in tmp_path.glob("sensors-comparison.*")} == {".json", ".svg", ".png"}


def test_a_comparison_from_one_warm_up_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [*SETS, "--set", "search.warmup=shared", "--set", "search.derive=ranked:4"]
    words = ["compare", OWN, *sets, "--runs", str(tmp_path), "--seeds", "2", "--methods", "advantage,reinforce"]
    assert main(words) == 0
    warmups = sorted(str(path) for path in (tmp_path / "compare" / "sensors-cpu-1-warmup").iterdir())
    assert len(warmups) == 2
    results = [json.loads(path.read_text()) for path in (tmp_path / "compare" / "sensors-cpu-1").glob("*/result.json")]
    assert sorted({result["forked_from"]["run"] for result in results}) == warmups
    assert len(results) == 6
    assert all(len(result["ranking"]) >= 1 for result in results)
    compared = json.loads((tmp_path / "sensors-comparison.json").read_text())
    without = compared["after_warm_up"]
    seconds = sum(result["forked_from"]["seconds"] for result in results) / len(results)
    for name, row in compared["methods"].items():
        assert without["methods"][name]["seconds"] == pytest.approx(row["seconds"] - seconds, abs=1e-6)
    assert without["equal_seconds"] < compared["equal_seconds"]


def test_the_command_goes_on_from_a_warm_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method in ("advantage", "gdas"):
        words = ["search", OWN, *SETS, "--method", method, "--set", "search.warmup=shared", "--runs", str(tmp_path)]
        assert main(words) == 0
        assert "going on from the warm-up" in capsys.readouterr().out
    assert len(list((tmp_path / "warmup").iterdir())) == 1
    assert len(list((tmp_path / "sensors").iterdir())) == 2


def test_audit_and_draw(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(run), "--samples", "4", "--along", "2"]) == 0
    assert "sensor 2" in capsys.readouterr().out
    assert json.loads((run / "audit.json").read_text())["all"]["n"] == 8
    assert main(["draw", str(run)]) == 0
    assert "AdvantageNAS, sensors, after 60 steps" in (run / "cell.svg").read_text(encoding="utf-8")


def test_what_a_task_lacks_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = searched(tmp_path, BARE)
    assert main(["draw", str(folder)]) == 0
    assert main(["audit", str(folder), "--samples", "2", "--along", "0"]) == 0
    capsys.readouterr()
    for words, part in (
        (["evaluate", str(folder)], "evaluate"),
        (["compare", BARE, "--runs", str(tmp_path)], "measure"),
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert f"give its Task an `{part}`" in said or f"give its Task a `{part}`" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "compare").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["picture"],
            "unknown task 'picture'; known: ptb, text, cifar10, cifar100, images, digits, or your own as package.",
        ),
        (["no.module:TASK"], "cannot load task 'no.module:TASK': No module named 'no'"),
        (["tests.nas.tasks.own_task:NONE"], "has no attribute 'NONE'"),
        (["tests.nas.tasks.own_task:MEASURE"], "is a Measure, not a nas.tasks.task.Task"),
        ([OWN, "--preset", "small"], "unknown preset 'small' of task sensors; it has none"),
        (["text"], "which text? add --text FILE, or --text TRAIN VALID TEST; network.corpus=embedded tries it"),
        (["text", "--set", "network.corpus=ptb"], "Penn Treebank is the task ptb"),
        (["ptb", "--preset", "huge"], "unknown preset 'huge' of task ptb; known: paper, quick, small"),
        ([OWN, "--set", "network.nodes=3"], "unknown setting network.'nodes'; known: batch, examples"),
        ([OWN, "--set", "network.units=0"], "units must be at least 1, not 0"),
        ([OWN, "--text", "some.txt"], "unknown setting network.'text'"),
        ([OWN, "--method", "darts"], "asks more than the network answers with network.one_path=true; set network.one"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", *words, "--runs", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_name_that_names_no_folder_is_refused() -> None:
    for name in ("", "a/b", "..", ".hidden", "a b", "package.module:TASK"):
        with pytest.raises(ValueError, match="a task's name names a folder"):
            replace(own_task.BARE, name=name)
    assert replace(own_task.BARE, name="my-task_2.1").name == "my-task_2.1"


@pytest.mark.parametrize("name", tasks.BUILT_IN)
def test_tasks_of_this_toolkit_are_whole(name: str) -> None:
    task = tasks.find(name)
    assert isinstance(task, Task)
    assert task.name == name
    assert task.evaluate is not None
    assert task.measure is not None
    assert "quick" in task.known_presets()
    for preset in task.known_presets():
        experiment = experiments.load(name, preset)
        assert task.fits(experiment.network, methods.find("advantage"))
        assert task.space(experiment.network).shape[1] > 1


def test_a_help_text_names_the_tasks_and_loads_no_torch() -> None:
    code = "import sys\nfrom nas.__main__ import main\n"
    code += "try: main(['search', '--help'])\nfinally: print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout
    assert "ptb, text, cifar10, cifar100, images, digits, or your own as package.module:TASK" in " ".join(said.split())
    assert said.endswith("False\n")
    control = code.replace("['search', '--help']", f"['search', '{OWN}', '--dry-run']")
    assert subprocess.run([sys.executable, "-c", control], cwd=ROOT, capture_output=True, text=True).stdout.endswith(
        "True\n"
    )


def test_presets_are_known_without_loading_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks.presets() == {name: list(tasks.find(name).known_presets()) for name in tasks.BUILT_IN}
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, presets in tasks.presets().items():
        assert f"{name}: {', '.join(presets)}" in said
    assert "cifar10: paper," in said  # control: there are some
