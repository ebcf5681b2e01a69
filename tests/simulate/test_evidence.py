"""What is read out of records, on records made by hand."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.running import config
from nas.samples import SAMPLES
from simulate import evidence, plot, prices, report, study
from simulate.prices import Price
from simulate.run import Machine, Setting
from simulate.study import Cell


def cell(setting: Setting | None = None, **values: Any) -> Cell:
    """Four replicates, recorded at steps 0, 10, 20."""
    return Cell(setting or Setting(replicates=4), np.array([0, 10, 20]), {k: np.array(v) for k, v in values.items()})


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


def test_no_rise_is_not_certainty() -> None:
    none, some = (cell(rises=[[0] * 4, [0] * 4, counts]) for counts in ([0, 0, 0, 0], [1000, 0, 0, 0]))
    assert (evidence.rises(none).value, evidence.rises(none).lower) == (0, 0)
    assert 0.3 < evidence.rises(none).upper < 0.6  # Wilson, 0 of 4: z^2 / (4 + z^2) = 0.49
    assert evidence.rises(some).value == 0.25


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
