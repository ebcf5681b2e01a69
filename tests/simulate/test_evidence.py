"""What is read out of records, on records made by hand."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.judging.statistics import bootstrap
from nas.methods import METHODS
from nas.running import config
from nas.samples import SAMPLES
from simulate import evidence, plot, prices, report, study
from simulate.prices import Price
from simulate.run import Machine, Setting
from simulate.study import Cell
from theory import exact, landscapes


def cell(setting: Setting | None = None, **values: Any) -> Cell:
    """Four replicates, recorded at steps 0, 10, 20."""
    return Cell(setting or Setting(replicates=4), np.array([0, 10, 20]), {k: np.array(v) for k, v in values.items()})


MACHINE = Machine(world="numpy", dtype="float64")

# The first is sure at once, the second from step 10 on, the third at the end, the fourth never.
LEARNT = cell(
    optimal_probability=[[0.95, 0.1, 0.1, 0.1], [1.0, 0.96, 0.9, 0.2], [1.0, 1.0, 0.97, 0.94]],
    surest=[[0.3] * 4, [0.5] * 4, [0.95, 0.96, 0.99, 0.94]],
    correct=[[0.0] * 4, [0.5] * 4, [1.0, 0.75, 1.0, 0.5]],
    expected_loss=[[3.0] * 4, [2.0] * 4, [1.0, 2.0, 2.0, 9.0]],
)


def test_times_and_shares_by_hand() -> None:
    assert evidence.time_to_sure(LEARNT).value == 20  # of 0, 10, 20 and never, the upper of the middle two
    assert evidence.time_to_sure(LEARNT, level=2.0).value == math.inf
    assert evidence.best_found(LEARNT).value == 2 / 4
    assert evidence.fixated(LEARNT).value == 3 / 4
    assert evidence.wrongly_committed(LEARNT).value == 1 / 4  # the second: sure, and one edge in four is wrong
    assert evidence.lowest_loss(LEARNT) == 2
    assert evidence.time_to_sure(LEARNT, level=0.97).value == 20  # of 10, 20, 20 and never
    assert evidence.fastest(LEARNT) == (20, 2)


def test_who_is_sure_for_what() -> None:
    """0.95 is sure, 0.94 is not; the first of the two that are sure is wrong."""
    found = cell(surest=[[0.95, 0.96, 0.94, 0.94]], correct=[[0.5, 1.0, 0.5, 0.5]])
    assert evidence.wrongly_committed(found).value == 1 / 4
    assert evidence.fixated(found).value == 2 / 4
    assert evidence.best_found(found).value == 1 / 4


def test_the_lowest_loss_is_of_the_end_and_of_no_use_where_it_is_not_a_number() -> None:
    assert evidence.lowest_loss(cell(expected_loss=[[1.0] * 4, [2.0] * 4, [3.0, 4.0, 6.0, 9.0]])) == 5
    assert evidence.lowest_loss(cell(expected_loss=[[1.0] * 4, [2.0] * 4, [math.nan] * 4])) == math.inf


def test_a_rate_of_decay_by_hand() -> None:
    """A regret of c / t^2 is a line of slope -2, whatever c; what fell below 1e-9 of the first is rounding."""
    steps = np.arange(1, 9)
    losses = 5 + np.array([1.0, 3.0]) / steps[:, None] ** 2.0

    def recorded(number: int, more: Any = ()) -> Cell:
        rows = [*losses[:number], *more]
        return Cell(Setting(replicates=2), np.arange(1, len(rows) + 1), {"expected_loss": np.array(rows)})

    found = evidence.exponent(recorded(8), 5.0)
    assert (found.value, found.lower, found.upper) == pytest.approx((-2, -2, -2))
    gone = evidence.exponent(recorded(8, [[5.0, 5.0]] * 6), 5.0)
    assert gone.value == pytest.approx(-2)
    with pytest.raises(ValueError, match="at least 7 records above rounding"):
        evidence.exponent(recorded(6), 5.0)
    with pytest.raises(ValueError, match="at least 7 records above rounding"):
        evidence.exponent(recorded(6, [[5.0, 5.0]] * 6), 5.0)


def test_a_rate_is_found_again() -> None:
    steps = np.arange(0, 410, 10)
    values = {"expected_loss": 3 + 5.0 / np.maximum(steps, 1)[:, None] ** 1.5 * np.ones((1, 8))}
    cell = Cell(Setting(), steps, values)
    assert evidence.exponent(cell, 3.0).value == pytest.approx(-1.5)
    assert abs(evidence.exponent(cell, 2.9).value) < 1


def test_a_geometric_fall_is_steeper_than_any_power_and_rounding_is_no_rate() -> None:
    steps = np.arange(0, 410, 10)
    cell = Cell(Setting(), steps, {"expected_loss": 0.8 ** steps[:, None] * np.ones((1, 8))})
    # 0.8^t is below 1e-9 from t = 93 on; in the second half above that, t = 50 to 90, the slope is t ln 0.8, -11 to -20
    assert -20 < evidence.exponent(cell, 0.0).value < -11
    with pytest.raises(ValueError, match="at least 7 records above rounding"):
        evidence.exponent(Cell(Setting(), steps, {"expected_loss": np.zeros((41, 8)) + (steps < 20)[:, None]}), 0.0)


def test_half_of_what_is_above_rounding_makes_the_rate() -> None:
    """4 / t at t = 1 to 7, then a record of a billionth of the first: four of seven are enough. Best is 0."""
    falling = 4 / np.arange(1.0, 8)
    steps = np.arange(1, 9)

    def of(losses: Any) -> Any:
        return evidence.exponent(
            Cell(Setting(), steps[: len(losses)], {"expected_loss": np.array([losses] * 2).T}), 0.0
        )

    assert of([*falling, 1e-9 * 4]).value == pytest.approx(-1)
    assert of(falling).value == pytest.approx(-1)
    assert of([*falling, 1.001e-9 * 4]).value < -10  # control: a little more counts
    flat = of([4.0, 3.0, 2.0, 1.0, *[1.5e-9 * 4] * 4])
    assert flat.value == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="above rounding"):
        of(falling[:6])


def test_the_interval_of_a_rate_is_that_of_its_replicates() -> None:
    """The slope by numpy's least squares, of the same resamples of replicates every time."""
    steps = np.arange(0, 100, 10)
    losses = np.random.default_rng(1).uniform(1, 2, size=(10, 6)) / (1 + steps[:, None])

    def slope(columns: Any) -> float:
        return float(np.polyfit(np.log(steps[5:]), np.log(losses[5:, columns].mean(axis=1)), 1)[0])

    found = evidence.exponent(Cell(Setting(), steps, {"expected_loss": losses}), 0.0)
    expected = bootstrap(slope, 6, np.random.default_rng(0))
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(expected))
    assert found.lower < found.value < found.upper


def test_no_rise_is_not_certainty() -> None:
    none, some = (cell(rises=[[0] * 4, [0] * 4, counts]) for counts in ([0, 0, 0, 0], [1000, 0, 0, 0]))
    assert (evidence.rises(none).value, evidence.rises(none).lower) == (0, 0)
    assert 0.3 < evidence.rises(none).upper < 0.6  # Wilson, 0 of 4: z^2 / (4 + z^2) = 0.49
    assert evidence.rises(some).value == 0.25


def test_the_share_of_steps_that_rose_by_hand() -> None:
    """Shares 1/2, 1/4, 1/4 and 0: standard error sqrt(1/24) / 2, t(3) = 3.1824. Of one step each, Wilson's interval."""
    found = evidence.rises(cell(Setting(steps=1000, replicates=4), rises=[[9] * 4, [9] * 4, [500, 250, 250, 0]]))
    assert found.value == 0.25
    assert found.lower == 0  # -0.07
    assert found.upper == pytest.approx(0.25 + 3.1824 * math.sqrt(1 / 24) / 2, rel=1e-4)
    narrow = evidence.rises(cell(Setting(steps=1000, replicates=4), rises=[[500, 500, 500, 501]]))
    assert narrow.lower == pytest.approx(0.50025 - 3.1824 * 0.00025, rel=1e-4)
    single = evidence.rises(cell(Setting(steps=1, replicates=4), rises=[[1, 0, 0, 0]]))
    z = 1.959964
    assert single.value == 0.25
    middle, reach = 1 + z * z / 2, z * math.sqrt(3 / 4 + z * z / 4)
    assert (single.lower, single.upper) == pytest.approx(
        ((middle - reach) / (4 + z * z), (middle + reach) / (4 + z * z))
    )


def test_the_first_step_rises_no_more_often_than_theorys_bound_and_the_bound_says_where_it_applies() -> None:
    one = Setting(
        "exact_advantage", "quadratic", edges=3, candidates=3, optimiser="sgd", bound="T8", rate=1.0, samples=16,
        steps=1, every=1, replicates=500, watch=True,
    )  # fmt: skip
    for method in ("exact_advantage", "reinforce_without_baseline"):
        bounds = []
        for samples in (16, 64):
            setting = dataclasses.replace(one, method=method, samples=samples)
            cell = Cell(setting, *vars(study.simulate(setting, MACHINE)).values())
            bounds.append(evidence.rise_bound(cell))
            assert evidence.rises(cell).lower <= bounds[-1]
        assert bounds[0] == pytest.approx(4 * bounds[1]) or bounds[0] == 1
    assert bounds[1] < 1
    rugged = Cell(dataclasses.replace(one, landscape="nk", samples=10**6), np.array([0, 1]), {})
    assert 0 < evidence.rise_bound(rugged) < 1  # theory enumerates what simulate runs
    # Control: the bound of 64 samples is broken by single ones.
    alone = dataclasses.replace(one, method="reinforce_without_baseline", samples=1, landscape="quadratic")
    assert evidence.rises(Cell(alone, *vars(study.simulate(alone, MACHINE)).values())).lower > 0.05
    for other in (
        {"steps": 2}, {"start": "random"}, {"rate": 1.5}, {"bound": "none"}, {"landscape": "noisy"},
        {"method": "reinforce"}, {"method": "random", "samples": 1}, {"method": "nobody:knows"},
    ):  # fmt: skip
        assert np.isnan(evidence.rise_bound(Cell(dataclasses.replace(one, **other), np.array([0, 1]), {})))  # type: ignore[arg-type]


def test_the_bound_on_a_rise_by_hand() -> None:
    """Losses -1, -1/2 at p = 1/2: |grad J|^2 = 1/32, the variance (1 + 1/4) / 4 - 1/32 = 9/32; of 36 samples 9/36."""
    one = Setting(
        "reinforce_without_baseline", "bandit", edges=1, candidates=2, options={"gap": 0.5}, optimiser="sgd",
        bound="T8", rate=1.0, samples=36, steps=1,
    )  # fmt: skip
    assert evidence.rise_bound(Cell(one, np.array([0, 1]), {})) == pytest.approx(9 / 36)


def test_every_method_at_its_own_best_rate_and_nothing_else_is_mixed() -> None:
    settings = [
        Setting(replicates=4, rate=rate, method=method, edges=edges)
        for rate in (0.1, 0.2)
        for method in ("advantage", "reinforce")
        for edges in (2, 3)
    ]
    cells = [cell(s, expected_loss=np.full((3, 4), s.rate if s.method == "advantage" else -s.rate)) for s in settings]
    best = [one.setting for one in evidence.best_rates(cells)]
    assert {(s.method, s.edges, s.rate) for s in best} == {
        ("advantage", 2, 0.1),
        ("advantage", 3, 0.1),
        ("reinforce", 2, 0.2),
        ("reinforce", 3, 0.2),
    }
    assert evidence.world(cells[0], cells) == "quadratic, edges 2"
    assert plot.remark(cells[0], cells) == " (0.1)"
    assert plot.remark(cells[0], cells, but="rate") == ""


@pytest.mark.parametrize(
    ("method", "samples", "expected"),
    [
        ("reinforce", 1, (1, 0)),
        ("advantage", 1, (1, 1)),
        ("advantage", 3, (3, 3)),
        ("parsec", 1, (SAMPLES, 0)),
        ("exact_advantage", 1, (1 + 5, 0)),  # the loss, and that with each edge zeroed
        ("nobody:knows", 1, None),
    ],
)
def test_what_a_step_asks(method: str, samples: int, expected: tuple[int, int] | None) -> None:
    assert evidence.passes(cell(Setting(method=method, samples=samples, edges=5, candidates=3))) == expected


def test_a_step_asks_as_often_whatever_the_landscape() -> None:
    """Every method that draws from rows of logits, on one of zeros and on one of theory's."""
    landscape, found = landscapes.make("quadratic", 3, 2), {}
    for name, method in METHODS.items():
        try:
            setting = Setting(method=name, edges=3, candidates=2)
        except ValueError:  # it searches networks
            continue
        found[name] = evidence.passes(cell(setting))
        counted = exact.cost(method, landscape, 3, 2)
        assert found[name] == (counted.forward, counted.backward), name
    assert len(found) > 20
    assert len(set(found.values())) > 4


def test_a_cheap_method_has_taken_more_steps_at_equal_passes() -> None:
    """20 steps of 1 + 0 passes pay for 10 of 1 + 1, and for three of 6 + 0."""
    losses = [[8.0, 8, 8, 8], [4.0, 4, 4, 4], [2.0, 2, 2, 2]]
    cheap, credit, dear = (
        cell(Setting(method=name, steps=20, replicates=4, edges=5, candidates=3), expected_loss=losses)
        for name in ("reinforce", "advantage", "exact_advantage")
    )
    assert [evidence.after(one, 20, "passes").value for one in (cheap, credit, dear)] == [2, 4, 8]
    assert [evidence.after(one, 320, "passes").value for one in (cheap, credit, dear)] == [2, 2, 2]
    unknown = cell(Setting(method="nobody:knows"), expected_loss=losses)
    for unit in ("passes", "seconds"):
        with pytest.raises(ValueError, match=f"what a step of nobody:knows costs in {unit} is not known"):
            evidence.after(unknown, 20, unit)


def test_equal_costs_are_of_the_cheapest_of_two_and_there_is_none_of_one() -> None:
    cheap, dear = (
        cell(Setting(method=m, steps=20), expected_loss=[[8.0], [4.0], [2.0]]) for m in ("reinforce", "advantage")
    )
    assert evidence.price(cheap, "step") == evidence.price(dear, "step") == 1
    assert evidence.equal([cheap, dear], "passes") == 20
    assert evidence.equal([cheap, dear], "step") is None
    assert evidence.equal([dear], "passes") is None
    assert evidence.after(cheap, 10, "step").value == 4
    assert evidence.world(cheap, [cheap]) == "quadratic"


def test_seconds_are_steps_times_what_was_measured() -> None:
    """A second pays for 20 steps of 50 ms, 10 of 100 ms, and one of 1 s: before its first record."""
    losses = [[8.0, 8, 8, 8], [4.0, 4, 4, 4], [2.0, 2, 2, 2]]
    plain = cell(Setting(steps=20, replicates=4), expected_loss=losses)
    fast, middle, slow = (dataclasses.replace(plain, price=priced(plain.setting, s)) for s in (0.05, 0.1, 1.0))
    assert evidence.equal([fast, middle, slow], "seconds") == 1.0
    assert [evidence.after(one, 1.0, "seconds").value for one in (fast, middle, slow)] == [2, 4, 8]
    assert evidence.equal([fast, fast], "seconds") is None
    assert evidence.equal([fast, plain], "seconds") is None  # control: of one alone it is not known


def priced(setting: Setting, seconds: float) -> Price:
    return Price(*prices.key_of(setting), seconds, 0.9 * seconds, 1.1 * seconds, 15, "some CPU")


def test_a_report_compares_at_equal_passes() -> None:
    machine = Machine(world="numpy", dtype="float64")
    settings = [Setting(method=m, steps=40, every=4, replicates=5) for m in ("reinforce", "advantage")]
    cells = [Cell(s, *dataclasses.astuple(study.simulate(s, machine))) for s in settings]
    cheap, credit = sorted(report.rows(cells), key=lambda row: row["passes a step"])
    assert (cheap["passes a step"], credit["passes a step"]) == ("1 + 0", "1 + 1")
    assert cheap["J at 40 passes"] == cheap["J at the end"]
    assert credit["J at 40 passes"] != credit["J at the end"]
    make, _ = report.figures(cells)["passes"]
    lines = {line.get_label(): line.get_xdata() for line in make().axes[0].lines}
    assert sorted(int(x[-1]) for x in lines.values()) == [40, 80]
    alike = report.rows(cells[:1] * 2)  # the control: nothing to compare
    assert not any(name.startswith("J at 40") for name in alike[0])
    assert "passes" not in report.figures(cells[:1])


def test_a_report_compares_at_equal_seconds() -> None:
    machine = Machine(world="numpy", dtype="float64")
    settings = [Setting(method=m, steps=40, every=4, replicates=5) for m in ("reinforce", "advantage")]
    cells = [Cell(s, *dataclasses.astuple(study.simulate(s, machine))) for s in settings]
    timed = [dataclasses.replace(c, price=priced(c.setting, s)) for c, s in zip(cells, (0.01, 0.04), strict=True)]
    cheap, credit = sorted(report.rows(timed), key=lambda row: row["ms a step, quartiles"])
    assert (cheap["ms a step, quartiles"], credit["ms a step, quartiles"]) == ("10 [9, 11]", "40 [36, 44]")
    assert cheap["J at 0.4 s"] == cheap["J at the end"]
    assert credit["J at 0.4 s"] != credit["J at the end"]
    make, shows = report.figures(timed)["seconds"]
    assert "toy regression" in shows
    assert "some CPU" in shows
    axes = make().axes[0]
    assert sorted(float(line.get_xdata()[-1]) for line in axes.lines) == pytest.approx([0.4, 1.6])
    assert axes.get_xlabel() == "processor seconds of steps"
    assert "seconds" not in report.figures(cells)  # the control: nothing was measured
    assert "ms a step, quartiles" not in report.text(cells)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a grid over seeds and sizes."""
    folder = tmp_path_factory.mktemp("run")
    base = {"steps": 40, "every": 4, "replicates": 5, "landscape": "additive", "start": "random"}
    settings = study.StudySettings(base=base, grid={"seed": [0, 1], "edges": [2, 3], "rate": [0.1, 0.3]})
    (folder / "cells").mkdir()
    for one in study.cells(settings):
        content = study.run_cell(one, Machine(world="numpy", dtype="float64"))
        (folder / "cells" / study.file_name(one)).write_bytes(content)
    (folder / "config.toml").write_text(config.dump(settings))
    (folder / "meta.json").write_text('[{"command": "by hand"}]')
    return folder


def test_seeds_are_pooled(two_seeds: Path) -> None:
    cells = study.read(two_seeds)
    assert len(cells) == 4
    for one in cells:
        assert (one.setting.replicates, sorted(one.seeds)) == (10, [0, 1])
        values = one.values["expected_loss"]
        assert values.shape == (11, 10)
        assert not np.array_equal(values[:, :5], values[:, 5:])  # another seed, other replicates


def test_cells_of_other_sizes_are_not_pooled(tmp_path: Path) -> None:
    """Replicate r is the same in both, so their union would count it twice."""
    (tmp_path / "cells").mkdir()
    for replicates in (3, 5):
        one = Setting(steps=8, every=4, replicates=replicates, landscape="additive")
        content = study.run_cell(one, Machine(world="numpy", dtype="float64"))
        (tmp_path / "cells" / study.file_name(one)).write_bytes(content)
    three, five = sorted(study.read(tmp_path), key=lambda cell: cell.setting.replicates)
    assert (three.setting.replicates, five.setting.replicates) == (3, 5)
    assert np.array_equal(three.values["expected_loss"], five.values["expected_loss"][:, :3])  # the same replicates


def test_a_report_tells_its_cells_apart(two_seeds: Path) -> None:
    rows = report.rows(study.read(two_seeds))
    assert {(row["edges"], row["rate"], row["n"]) for row in rows} == {
        ("2", "0.1", 10), ("2", "0.3", 10), ("3", "0.1", 10), ("3", "0.3", 10),
    }  # fmt: skip
    page = report.write(two_seeds).read_text()
    assert "additive, edges 2" in page
    assert "seeds [0, 1]" in page


def test_a_regret_far_below_the_loss_survives_the_file(tmp_path: Path) -> None:
    """J = 5 + 2^-30: in 32 bits the difference would be gone, or be rounding."""
    setting = Setting(landscape="additive", steps=4, every=2, replicates=2)
    trace = study.simulate(setting, Machine(world="numpy", dtype="float64"))
    exact = dataclasses.replace(trace, values={**trace.values, "expected_loss": np.full((3, 2), 5 + 2.0**-30)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "simulate", lambda *_: exact)
        (tmp_path / "a.parquet").write_bytes(study.run_cell(setting, Machine(world="numpy", dtype="float64")))
    assert evidence.regret(study._read_cell(tmp_path / "a.parquet"), 5.0)[0, 0] == 2.0**-30
    assert float(np.float32(5 + 2.0**-30)) - 5 == 0  # the control
