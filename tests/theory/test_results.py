"""The numbers of the theory pages: the map's closed form is the engine's, and files are complete."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.methods import METHODS
from theory import exact, results
from theory.__main__ import main
from theory.landscapes import Quadratic

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("curvature", "size"), [(0.5, 0.3), (2.0, 1.0), (8.0, 2.0)])
def test_the_map_is_what_the_engine_says(curvature: float, size: float) -> None:
    edges, outputs, seed = 2, 4, 7
    a, b, r = results.quadratic_parts(edges, outputs, seed)
    rng = np.random.default_rng([seed, edges, outputs])
    p = rng.dirichlet(np.ones(4), edges)
    h, y = size * rng.standard_normal((edges, 4, outputs)), rng.standard_normal(outputs)
    land = Quadratic(h, y, curvature / 2 - 1)
    found = exact.moments(METHODS["advantage"], land, p)
    np.testing.assert_allclose(found.gradient, size * (curvature * size / 2 * a - 2 * b), atol=1e-10)
    np.testing.assert_allclose(found.bias, size * curvature * size / 2 * r, atol=1e-10)


def test_files_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "TOYS", ((1, 1), (2, 1)))
    monkeypatch.setattr(results, "SATURATING_SIZES", (0.5, 1.0))
    monkeypatch.setattr(results, "curvature_map", lambda whole=results.curvature_map: whole(toys=3))
    assert main(["results", "--out", str(tmp_path), "--only", "map"]) == 0
    content = json.loads((tmp_path / "theory-map.json").read_text())
    assert content["toys"] == 3
    assert content["commit"] is None or content["numpy"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".png", ".svg"}


def test_repairs_have_every_row() -> None:
    from theory.landscapes import make

    found = results._repairs(make("quadratic", 2, 3, seed=1), np.full((2, 3), 1 / 3))
    assert set(found) == set(results.PASSES)
    assert found["first order"][0] > 0.01
    assert found["midpoint"][0] == pytest.approx(0, abs=1e-12)


def test_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "--out", "/nowhere", "--only", "map"]) == 2
    assert "no folder /nowhere" in capsys.readouterr().err


def test_the_page_tells_how_much_variance_credit_has_along_the_flow() -> None:
    """Its ratios to REINFORCE are the ones of the recorded flow, data set by data set."""
    page = " ".join((DOCS / "results" / "theory-variance.md").read_text(encoding="utf-8").split())
    recorded = json.loads((DOCS / "results" / "theory-nasbench201.json").read_text(encoding="utf-8"))["datasets"]
    flows = [recorded[name]["flow"] for name in ("cifar10", "cifar100", "imagenet16_120")]

    def ratios(method: str) -> list[list[float]]:
        return [[row[method] / row["reinforce"] for row in flow] for flow in flows]

    exactly = ratios("exact_advantage")
    more = [sum(ratio > 1 for ratio in flow) for flow in exactly]
    largest = [f"{max(flow):.1f}" for flow in exactly]
    with_baseline = [f"{max(flow):.2f}" for flow in ratios("exact_advantage_with_baseline")]
    assert "at {}, {} and {} of the 36 times".format(*more) in page
    assert "up to {}, {} and {} times as much".format(*largest) in page
    assert "at most {}, {} and {}".format(*with_baseline) in page
