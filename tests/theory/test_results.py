"""The numbers of the theory pages: the map's closed form is the engine's, and files are complete."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.methods import METHODS, Method
from theory import exact, repairs, results, sampled
from theory.__main__ import main
from theory.claims import t14_concentration
from theory.claims.t5_taylor_bias import FLIP
from theory.claims.t11_best_baseline import BEST
from theory.landscapes import Bilinear, Landscape, Quadratic, make

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


# ------------------------------------------------------------------ the numbers, said another way

TOYS = 30
SKEWED = np.array([[0.6, 0.4], [0.3, 0.7]])


def test_the_shares_of_the_map_are_counted_network_by_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same thirty networks asked one by one, at the first, a middle and the last curvature and gate size."""
    monkeypatch.setattr(results, "TOYS", ((1, 1),))
    monkeypatch.setattr(results, "SATURATING_SIZES", (4.0,))
    found = results.curvature_map(toys=TOYS)
    shares, saturating = found["shares"]["E = 1, D = 1"], found["saturating"]["edges"]["2"]
    assert (len(found["curvatures"]), len(found["gate_sizes"])) == (27, 27)
    ends = (found["curvatures"][0], found["curvatures"][-1], found["gate_sizes"][0], found["gate_sizes"][-1])
    assert ends == pytest.approx((0.05, 20, 0.05, 5))
    seen = set()
    for row, column in ((0, 0), (13, 13), (20, 13), (13, 20), (26, 26)):
        size, curvature = found["gate_sizes"][column], found["curvatures"][row]
        climbs = unpromised = 0
        for seed in range(TOYS):
            rng = np.random.default_rng([seed, 1, 1])
            p = rng.dirichlet(np.ones(4), 1)
            h, y = size * rng.standard_normal((1, 4, 1)), rng.standard_normal(1)
            there = exact.moments(METHODS["advantage"], Quadratic(h, y, curvature / 2 - 1), p)
            climbs += there.cosine <= 0
            unpromised += there.bias_norm >= np.linalg.norm(there.gradient)
        assert (shares["climbs"][row][column], shares["not_promised"][row][column]) == (
            climbs / TOYS,
            unpromised / TOYS,
        )
        seen.add((climbs, unpromised))
    assert len(seen) > 2  # not all alike
    climbs = unpromised = 0
    for seed in range(TOYS):
        p = np.random.default_rng([seed, 2]).dirichlet(np.ones(4), 2)
        there = exact.moments(METHODS["advantage"], make("saturating", 2, 4, seed, outputs=1, gate_size=4.0), p)
        climbs += there.cosine <= 0
        unpromised += there.bias_norm >= np.linalg.norm(there.gradient)
    assert saturating == {"climbs": [climbs / TOYS], "not_promised": [unpromised / TOYS]}
    assert unpromised > climbs > 0


def test_repairs_are_the_engines_where_it_has_them() -> None:
    land, p = make("saturating", 2, 3, seed=1), np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    found, plain = results._repairs(land, p), exact.moments(METHODS["reinforce"], land, p)
    norm, unit = np.linalg.norm(plain.gradient), float(plain.total_variance)
    named = {
        "REINFORCE, baseline J": "reinforce",
        "first order": "advantage",
        "first order, baseline": "advantage_with_baseline",
        "debiased, even choice": "debiased_advantage",
        "exact advantage": "exact_advantage",
        "exact, baseline": "exact_advantage_with_baseline",
    }
    for name, method in named.items():
        there = exact.moments(METHODS[method], land, p)
        assert found[name] == (
            pytest.approx(there.bias_norm / norm, abs=1e-12),
            pytest.approx(float(there.total_variance) / unit),
        ), name
        assert results.PASSES[name](2) == there.cost.forward + there.cost.backward, name
    for name, rule in repairs.RULES.items():
        bias, variance = repairs.rule_moments(land, p, *rule)
        assert found[name] == (pytest.approx(np.linalg.norm(bias) / norm), pytest.approx(variance / unit)), name


def test_the_choices_of_the_edge_by_their_closed_forms() -> None:
    """One of E edges zeroed: sum R / q - sum R is (sum sqrt R)^2 - sum R at its best, E[(sum |r| sqrt w)^2] - sum R
    where r is known beforehand; what a baseline takes off the exact advantage it takes off here."""
    land, p = make("quadratic", 2, 3, seed=1), np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    found, left = results._repairs(land, p), repairs.residuals(land, p)
    unit = float(exact.moments(METHODS["reinforce"], land, p).total_variance)
    best = float(np.sqrt(left.squares).sum() ** 2 - left.squares.sum()) / unit
    known = float(left.joint - left.squares.sum()) / unit
    base = found["exact advantage"][1]
    assert found["debiased, best choice"] == (0, pytest.approx(base + best))
    assert found["debiased, best given gates"] == (0, pytest.approx(base + known))
    assert found["debiased, best choice, baseline"] == (0, pytest.approx(found["exact, baseline"][1] + best))
    assert found["debiased, even choice"] == (0, pytest.approx(base + float(left.squares.sum()) / unit))


def test_passes_by_hand() -> None:
    """Six edges: a forward and a backward pass for each node of a rule on each edge, and one of each that all share."""
    by_hand = {
        "REINFORCE, baseline J": 1, "first order": 2, "first order, baseline": 2, "debiased, even choice": 3,
        "debiased, best choice": 3, "debiased, best given gates": 3, "debiased, best choice, baseline": 3,
        "midpoint": 12, "trapezoid": 2 + 12, "Gauss, 2 nodes": 24, "Gauss, 3 nodes": 36, "exact advantage": 7,
        "exact, baseline": 7,
    }  # fmt: skip
    assert {name: passes(6) for name, passes in results.PASSES.items()} == by_hand


def test_the_table_of_repairs_is_made_of_them() -> None:
    """Two networks a row: quartiles of two numbers are a quarter, a half and three quarters of the way between them."""
    numbers = results.repair_table(toys=2, edges=2, candidates=2)
    assert set(numbers["landscapes"]) == {
        f"{kind}, gate size {size}" for kind in ("quadratic", "saturating") for size in (0.25, 0.5, 1.0)
    }
    half = np.full((2, 2), 0.5)
    rows = [results._repairs(make("saturating", 2, 2, seed, gate_size=0.25), half) for seed in range(2)]
    for name, shown in numbers["landscapes"]["saturating, gate size 0.25"].items():
        passes = results.PASSES[name](2)
        assert shown["passes"] == passes
        for field, values in (
            ("relative_bias", [row[name][0] for row in rows]),
            ("variance_over_reinforce", [row[name][1] for row in rows]),
            ("variance_times_passes", [row[name][1] * passes for row in rows]),
        ):
            low, high = sorted(values)
            assert shown[field] == pytest.approx([low + part * (high - low) for part in (0.25, 0.5, 0.75)]), field


def test_what_is_said_of_sampled_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 1 / n^2 in place of the sum over multisets: 1/20 is reached at n = 5, 1/1000 at n = 32."""
    asked = []

    def failure_probability(method: Method, land: Landscape, p: Any, samples: int) -> float:
        asked.append((method.name, p.shape[0], samples))
        return samples**-2

    monkeypatch.setattr(sampled, "failure_probability", failure_probability)
    rows = results.sampled_bound()["methods"]
    assert list(rows) == [
        "two binary edges: reinforce", "two binary edges: exact_advantage",
        "two binary edges: exact_advantage_with_baseline", "two binary edges: advantage",
        "T5's flip: exact_advantage", "T5's flip: advantage",
    ]  # fmt: skip
    for name, row in rows.items():
        flip, method = name.startswith("T5's flip"), name.partition(": ")[2]
        counts = [2**k for k in range(8 if flip else 6)]
        assert (row["samples"], row["failure"]) == (counts, [n**-2 for n in counts])
        assert [n for m, edges, n in asked if (m, edges) == (method, 2 - flip)] == counts if flip else [*range(1, 33)]
        assert row["enough_exactly"] == ({"0.05": 8, "0.001": 32} if flip else {"0.05": 5, "0.001": 32})
        place = (FLIP.problem(False), FLIP.policy(False)) if flip else (make("quadratic", 2, 2, seed=4), SKEWED)
        found = exact.moments(METHODS[method], *place)
        law = (*t14_concentration.law(method, *place), found.gradient)
        assert row["bound"] == [sampled.failure_bound(found, n) for n in counts]
        assert row["t14"][1:4] == [t14_concentration.failure_bound(*law, n) for n in counts[1:4]]
        norm = math.sqrt((found.gradient**2).sum())
        assert row["relative_bias"] == pytest.approx(math.sqrt((found.bias**2).sum()) / norm)
        if name == "T5's flip: advantage":  # the mean step climbs: no number is enough
            assert row["enough_for_95"] is None
            assert [*row["enough_by_t14"].values(), *row["enough_by_t14_for_half_the_step"].values()] == [None] * 4
            continue
        for delta in ("0.05", "0.001"):
            n, m = row["enough_by_t14"][delta], row["enough_by_t14_for_half_the_step"][delta]
            if n is not None:
                assert t14_concentration.failure_bound(*law, n) <= float(delta)
                assert t14_concentration.failure_bound(*law, n - 1) > float(delta)
                assert t14_concentration.failure_bound(*law, m, 0.5) <= float(delta)
                assert t14_concentration.failure_bound(*law, m - 1, 0.5) > float(delta)
        if row["enough_for_95"] is not None:
            assert row["enough_for_95"] * 0.05 == pytest.approx(
                float(found.total_variance) / (norm - math.sqrt((found.bias**2).sum())) ** 2
            )


def test_a_table_of_six_edges_and_four_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Additive losses: the flow ends at the best operation of every edge, and its speed is the gradient's norm.

    The losses are E sums of K numbers 0 to 3, each edge's in another order, so that J = 9 at the uniform policy.
    """
    losses = np.array([np.roll(np.arange(4.0), edge) for edge in range(6)])
    real = np.geomspace
    monkeypatch.setattr(results.np, "geomspace", lambda low, high, number: real(low, high / 1e2, 6))
    found = results._one_table(Bilinear(losses))
    assert (found["min_loss"], found["max_loss"], found["expected_loss"]) == (0, 18, pytest.approx(9))
    assert found["largest_step"] == {"T1": pytest.approx(1 / 9)}
    # gradient p (q - J): (x - 3/2) / 4 an edge, squares 5/16; six edges
    assert found["gradient_norm"] == pytest.approx((6 * 5 / 16) ** 0.5)
    assert found["flow_ends_at"] == {"choices": (0, 1, 2, 3, 0, 1), "loss": 0, "better_cells": 0}
    uniform = np.full((6, 4), 0.25)
    assert set(found["uniform"]) == {*results.COMPARED, "advantage", "counterfactual", "best_baseline"}
    plain = exact.moments(METHODS["reinforce"], Bilinear(losses), uniform)
    for name, row in found["uniform"].items():
        method = BEST if name == "best_baseline" else METHODS[name]
        there = exact.moments(method, Bilinear(losses), uniform)
        assert row["total_variance"] == pytest.approx(float(there.total_variance))
        assert row["bias_norm"] == pytest.approx(there.bias_norm, abs=1e-12)
        assert row["edge_variances"] == pytest.approx(there.edge_variances.tolist())
        less = sum(own < other for own, other in zip(there.edge_variances, plain.edge_variances, strict=True))
        assert row["edges_with_less_than_reinforce"] == less
    first, *later = found["flow"]
    assert [row["time"] for row in found["flow"]] == pytest.approx(list(real(1e-2, 1e3, 6)))
    assert first["expected_loss"] == pytest.approx(9 - 1e-2 * 6 * 5 / 16, rel=1e-4)  # -|gradient|^2 a unit of time
    assert first["entropy"] == pytest.approx(6 * np.log(4), rel=1e-4)
    for before, after in zip(found["flow"], later, strict=False):
        assert after["expected_loss"] < before["expected_loss"]
        assert after["entropy"] < before["entropy"]
    for row in found["flow"]:
        for name in results.COMPARED:
            assert row[name] >= row["best_baseline"] - 1e-9
            assert row[f"{name}_bias"] == pytest.approx(0, abs=1e-9)
    assert first["reinforce"] == pytest.approx(float(plain.total_variance), rel=0.02)
    assert first["gradient_norm"] == pytest.approx(found["gradient_norm"], rel=0.02)


def test_only_what_is_asked_for_is_made_and_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = results.repair_table(toys=1, edges=2, candidates=2)
    monkeypatch.setattr(results, "repair_table", lambda: numbers)
    made = [path.name for path in results.make_results(tmp_path, "repairs")]
    assert made == ["theory-repairs.json", "theory-repairs.svg", "theory-repairs.png"]
    assert json.loads((tmp_path / "theory-repairs.json").read_text())["landscapes"] == numbers["landscapes"]
    monkeypatch.setattr(results, "repair_table", lambda: pytest.fail("computed again"))
    drawn = [path.name for path in results.make_results(tmp_path, "repairs", redraw=True)]
    assert drawn == ["theory-repairs.svg", "theory-repairs.png"]
    with pytest.raises(ValueError, match="no numbers to draw"):
        list(results.make_results(tmp_path, "rule", redraw=True))


def test_the_few_counts_are_all_asked() -> None:
    assert results._every_count([1, 2, 4], 32) == list(range(1, 33))
    assert results._every_count([1, 64], 64) == [1, 64]
