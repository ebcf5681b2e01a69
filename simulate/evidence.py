"""What do a study's records say? Times, commitments, rises and rates, each with an interval.

Intervals are those of `nas.judging.statistics`: Wilson's for shares, Student's for means, order statistics for medians,
and the bootstrap over replicates for fitted exponents. Replicates that never get there count as infinitely late, so a
median can be infinite.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import numpy as np

from nas import methods
from nas.judging.statistics import Estimate, bootstrap, median_interval, share, t_interval
from nas.objective import Gradients
from nas.running import config
from simulate.study import Cell
from theory import exact, landscapes, sampled

WORLD = ("edges", "candidates", "landscape_seed", "options")  # settings that make another landscape of a name
IDENTITY = ("method", "landscape", "seed", "replicates")
Unit = Literal["step", "passes", "seconds"]  # in which cost is counted
SURE = 0.95  # an edge is decided when one operation has this probability


# ------------------------------------------------------------------ of one cell


def time_to_sure(cell: Cell, level: float = SURE) -> Estimate:
    """Median step at which the best architecture has probability `level`; to the grid of recorded steps."""
    reached = cell.values["optimal_probability"] >= level
    first = np.where(reached.any(axis=0), cell.steps[reached.argmax(axis=0)], np.inf)
    return median_interval(first)


def best_found(cell: Cell) -> Estimate:
    """Share of replicates whose most probable architecture is the best one at the end."""
    return share(cell.values["correct"][-1] == 1)


def wrongly_committed(cell: Cell) -> Estimate:
    """Share of replicates decided on every edge at the end, but not for the best architecture."""
    return share((cell.values["surest"][-1] >= SURE) & (cell.values["correct"][-1] < 1))


def fixated(cell: Cell) -> Estimate:
    """Share of replicates decided on every edge at the end, whatever for."""
    return share(cell.values["surest"][-1] >= SURE)


def rises(cell: Cell) -> Estimate:
    """Share of steps that raised J: Wilson's interval over single steps, else that of the mean over replicates.

    If no step did, the interval is that of the share of replicates with a rise, which is not smaller.
    """
    counts = cell.values["rises"][-1]
    if cell.setting.steps == 1 or not counts.any():
        return share(counts > 0)
    rising = t_interval(counts / cell.setting.steps)
    return Estimate(rising.value, max(0.0, rising.lower), rising.upper, rising.n)


def rise_bound(cell: Cell) -> float:
    """Theory's bound on the chance that one step raises J (`theory.sampled`), nan where it does not apply.

    It is about one step from a known policy: the first step of all replicates from the uniform policy, within T8's
    length. Methods with moving averages are left out: theory has them at their expectation, a first step at zero; and a
    user's own, which reading its records does not load.
    """
    setting = cell.setting
    known = methods.known_as(setting.method)
    first = setting.steps == 1 and setting.start == "uniform" and setting.bound == "T8" and setting.rate <= 1
    if not first or setting.landscape not in landscapes.LANDSCAPES or known is None or known.estimator is None:
        return math.nan
    method = replace(known, zero_policy="plain")  # no zero operation there
    if method.averages:
        return math.nan
    size = (setting.edges, setting.candidates)
    landscape = landscapes.make(setting.landscape, *size, setting.landscape_seed, **setting.options)
    moments = exact.moments(method, landscape, np.full(size, 1 / setting.candidates))
    return sampled.failure_bound(moments, setting.samples)


def regret(cell: Cell, best: float) -> Any:
    """J - min L at each record, (P, R)."""
    return cell.values["expected_loss"] - best


def passes(cell: Cell) -> tuple[int, int] | None:
    """Forward and backward passes of one step, all its samples counted; None for a method that is not loaded."""
    setting = cell.setting
    counted = _passes(setting.method, setting.edges, setting.candidates)
    return None if counted is None else (setting.samples * counted[0], setting.samples * counted[1])


def price(cell: Cell, unit: Unit) -> float | None:
    """What one step costs in a unit; None where it is not known."""
    if unit == "step":
        return 1.0
    if unit == "seconds":
        return None if cell.price is None else cell.price.seconds
    counted = passes(cell)
    return None if counted is None else float(sum(counted))


def equal(cells: Sequence[Cell], unit: Unit) -> float | None:
    """What every cell has spent by its end; None where all spend the same, or nobody knows."""
    spent = {cell.setting.steps * known for cell in cells if (known := price(cell, unit)) is not None}
    return min(spent) if len(spent) > 1 else None


def after(cell: Cell, budget: float, unit: Unit) -> Estimate:
    """J when so much was spent, or somewhat less: at the last recorded step that it pays for.

    Raises: ValueError if it is not known what a step costs.
    """
    known = price(cell, unit)
    if known is None:
        raise ValueError(f"what a step of {cell.setting.method} costs in {unit} is not known")
    paid = int((cell.steps * known <= budget).sum())
    return t_interval(cell.values["expected_loss"][paid - 1])


def exponent(cell: Cell, best: float) -> Estimate:
    """Slope of log mean regret over log steps in the second half of the records: -1 is a rate of 1/t.

    Records whose mean regret has fallen below 1e-9 of the first are left out: that is rounding.
    Raises: ValueError with fewer than 4 records in that half.
    """
    values = regret(cell, best)
    rounding = 1e-9 * values[0].mean()
    alive = values.mean(axis=1) > rounding
    last = int(np.argmin(alive)) if not alive.all() else len(alive)
    steps, values = cell.steps[last // 2 : last], values[last // 2 : last]
    if len(steps) < 4:
        raise ValueError("a rate needs at least 7 records above rounding; lower `every`")
    x = np.log(steps) - np.log(steps).mean()

    def slope(columns: Any) -> float:
        y = np.log(np.maximum(values[:, columns].mean(axis=1), rounding))
        return float((x * y).sum() / (x * x).sum())

    return bootstrap(slope, values.shape[1], np.random.default_rng(0))


# ------------------------------------------------------------------ of many


def lowest_loss(cell: Cell) -> float:
    """Median J at the end, infinite where it is not finite: what a best rate is best at."""
    final = float(np.median(cell.values["expected_loss"][-1]))
    return final if math.isfinite(final) else math.inf


def fastest(cell: Cell) -> tuple[float, float]:
    """Median time to 95 %, then the lowest J."""
    return time_to_sure(cell).value, lowest_loss(cell)


def best_rates(cells: Sequence[Cell], cost: Callable[[Cell], Any] = lowest_loss) -> list[Cell]:
    """Of cells that differ in their rate alone, the one of least cost: every method at its own best."""
    groups = by(cells, lambda cell: config.digest(dataclasses.replace(cell.setting, rate=0.0)))
    return [min(group, key=cost) for group in groups.values()]


def world(cell: Cell, cells: Sequence[Cell]) -> str:
    """The landscape's name, with what else of it varies among the cells."""
    told = [f"{name} {getattr(cell.setting, name)}" for name in varying(cells) if name in WORLD]
    return ", ".join([cell.setting.landscape, *told])


def varying(cells: Sequence[Cell]) -> list[str]:
    """Names of the settings, besides method, landscape and what seeds pool, that are not the same in all cells."""
    names = [entry.name for entry in dataclasses.fields(cells[0].setting) if entry.name not in IDENTITY]
    return [name for name in names if len({str(getattr(cell.setting, name)) for cell in cells}) > 1]


def by(cells: Sequence[Cell], key: Callable[[Cell], Any]) -> dict[Any, list[Cell]]:
    """Cells grouped by a key, in the order of first appearance."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(key(cell), []).append(cell)
    return groups


# ------------------------------------------------------------------ helpers


class _Flat:
    """An objective of zeros: what a step asks depends on the method and on E and K alone."""

    zero_operation = None

    def loss(self, gates: Any) -> Any:
        return 0 * gates.sum(axis=-1).sum(axis=-1)

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        return Gradients(self.loss(gates), 0 * gates, 0 * gates.sum(axis=-1))


@cache
def _passes(name: str, edges: int, candidates: int) -> tuple[int, int] | None:
    method = methods.known_as(name)
    if method is None:
        return None
    counted = exact.cost(method, _Flat(), edges, candidates)
    return counted.forward, counted.backward
