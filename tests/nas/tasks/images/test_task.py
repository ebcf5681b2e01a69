"""The task `images` in every verb, on a folder made here: search, evaluate, compare, audit, draw, export."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from nas import methods, tasks
from nas.__main__ import main
from nas.running import runs
from nas.supernets.edge import choose
from nas.tasks import experiments
from nas.tasks.images import task
from nas.tasks.images.network import Settings

SETS = [
    *("search.epochs=3", "search.warmup_epochs=1", "network.channels=2", "network.cells=1", "network.batch=4"),
    *("network.final_epochs=1", "network.size=8"),
]


def photos(root: Path) -> Path:
    """Two classes of 14 colour pictures, 9 × 10 pixels."""
    random = np.random.default_rng(0)
    for name in ("left", "right"):
        (root / name).mkdir(parents=True)
        for n in range(14):
            pixels = random.integers(0, 90, (9, 10, 3), np.uint8)
            pixels[:, slice(0, 5) if name == "left" else slice(5, 10)] += 120
            Image.fromarray(pixels).save(root / name / f"{n:02}.png")
    return root


def words(root: Path, *more: str) -> list[str]:
    return [word for setting in [*SETS, *more] for word in ("--set", setting)] + ["--runs", str(root / "runs")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    photos(root / "photos")
    assert main(["search", "images", *words(root, f"network.path={root / 'photos'}")]) == 0
    (folder,) = (root / "runs" / "images").iterdir()
    return folder


def test_it_is_found_by_its_name_and_serves_every_method() -> None:
    assert tasks.find("images") is task.TASK
    assert all(task.TASK.fits(Settings(), method) for method in methods.METHODS.values())
    for preset in ("small", "quick"):
        experiment = experiments.load("images", preset)
        assert 0 < experiment.search.warmup_epochs < experiment.search.epochs


def test_evaluate_draw_and_audit(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--randoms", "2", "--epochs", "2"]) == 0
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["found", "random", "random"]
    assert [row["epochs"] for row in rows] == [2, 2, 2]
    assert rows[0]["architecture"] == runs.result(run)["architecture"]
    assert main(["draw", str(run)]) == 0
    assert main(["audit", str(run), "--samples", "2", "--along", "0"]) == 0
    assert "2 classes" not in capsys.readouterr().err


def test_images_on_the_disk_are_searched_and_judged_with_the_same_bits(run: Path, tmp_path: Path) -> None:
    path = run.parents[2] / "photos"
    assert main(["search", "images", *words(tmp_path, f"network.path={path}", "network.disk=true")]) == 0
    (left,) = (tmp_path / "runs" / "images").iterdir()
    told = [[{**record, "seconds": 0} for record in runs.records(folder)] for folder in (run, left)]
    assert told[0] == told[1]
    tests = []
    for folder in (run, left):
        assert main(["evaluate", str(folder), "--randoms", "1", "--epochs", "1"]) == 0
        tests.append([row["test"] for row in json.loads((folder / "evaluation.json").read_text())["rows"]])
    assert tests[0] == tests[1]


def test_a_ranking_needs_unseen_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos(tmp_path / "photos")
    asked = words(tmp_path, f"network.path={tmp_path / 'photos'}", "search.derive=ranked:5")
    assert main(["search", "images", *asked]) == 2
    assert "ranks on data that no architecture step saw" in capsys.readouterr().err
    assert main(["search", "images", *asked, "--set", "network.unseen=4"]) == 0
    (result,) = tmp_path.rglob("result.json")
    ranking = json.loads(result.read_text())["ranking"]
    assert [loss for _, loss in ranking] == sorted(loss for _, loss in ranking)


def test_compare(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = run.parents[2]
    asked = words(root, f"network.path={root / 'photos'}")
    assert main(["compare", "images", *asked, "--seeds", "1", "--methods", "advantage"]) == 0
    printed = capsys.readouterr().out
    assert "28 colour images of 8 × 8 in 2 classes; 2 channels, 1 cells a stage" in printed
    compared = json.loads((root / "runs" / "images-comparison.json").read_text())
    assert compared["methods"].keys() == {"advantage", "random"}
    assert len(compared["references"]["random cells"]["values"]) == 1


def test_export_finds_images_that_have_moved(run: Path, tmp_path: Path) -> None:
    """By --data, as every other verb does; without it the line names that way out, and nothing is written."""
    place = Path(experiments.reload(run).network.path)
    assert place.is_absolute()
    moved, to = tmp_path / "elsewhere" / place.name, tmp_path / "found.py"
    moved.parent.mkdir()
    place.rename(moved)
    try:
        assert main(["export", str(run), "--to", str(to)]) == 2
        assert not to.exists()
        assert main(["export", str(run), "--to", str(to), "--data", str(moved.parent)]) == 0
    finally:
        moved.rename(place)
    assert "CLASSES = ('left', 'right')" in to.read_text()


def test_export(run: Path, tmp_path: Path) -> None:
    """The module answers as the network does, knows the classes, and needs no toolkit."""
    to = tmp_path / "exported.py"
    assert main(["export", str(run), "--to", str(to), "--weights", str(run)]) == 0
    for form in ("json", "dot"):
        assert main(["export", str(run), "--to", str(tmp_path / f"cell.{form}")]) == 0
    experiment, result = experiments.reload(run), runs.result(run)
    network = task.TASK.build(experiment.network, None, "cpu", result["seed"])
    tensors, _ = runs.read_checkpoint(run / runs.CHECKPOINT)
    network.load({name.removeprefix("network/"): t for name, t in tensors.items() if name.startswith("network/")})
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ask = (
        "import sys\nsys.modules['nas'] = None\nimport torch, exported\nfrom safetensors.torch import save_file\n"
        "pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))\n"
        "assert exported.CLASSES == ('left', 'right')\n"
        "save_file({'answer': exported.load('exported.safetensors')(pixels).detach()}, 'answer.safetensors')\n"
    )
    said = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    gates = torch.eye(4)[result["choices"]]
    network.model.eval()  # type: ignore[attr-defined]
    with torch.no_grad():
        expected = network.model(pixels, choose(gates, gates))  # type: ignore[attr-defined]
        other = network.model(pixels, choose(gates.roll(1, 1), gates.roll(1, 1)))  # type: ignore[attr-defined]
    found = load_file(tmp_path / "answer.safetensors")["answer"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (found - other).abs().max() > 1e-3  # the control: another cell answers otherwise


def test_other_images_are_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A search that is gone on with, and one that is judged, on images that have changed since."""
    pictures = photos(tmp_path / "photos")
    asked = ["search", "images", *words(tmp_path, f"network.path={pictures}")]
    assert main(asked) == 0
    (folder,) = (tmp_path / "runs" / "images").iterdir()
    (folder / runs.RESULT).unlink()
    picture = pictures / "left" / "03.png"
    before = picture.read_bytes()
    Image.new("RGB", (9, 10)).save(picture)
    capsys.readouterr()
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert "was begun with another " in said
    assert " data: " in said
    assert said.count("\n") == 1
    picture.write_bytes(before)
    assert main(asked) == 0  # the control
    Image.new("RGB", (9, 10)).save(picture)
    capsys.readouterr()
    assert main(["evaluate", str(folder)]) == 2
    assert "was begun with another " in capsys.readouterr().err


def test_what_cannot_be_searched_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, says in (
        ([], "which images? add --set network.path=FOLDER"),
        ([f"network.path={tmp_path / 'none'}"], "not found: looked for"),
        ([f"network.path={tmp_path}"], "has no class folder"),
    ):
        assert main(["search", "images", *words(tmp_path / "x", *more)]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert said.count("\n") == 1
    assert not (tmp_path / "x").exists()
