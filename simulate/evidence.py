"""What do a study's records say? Times, commitments, rises and rates, each with an interval.

Intervals are 95 %: Wilson's for shares, order statistics for medians, and the bootstrap over replicates for fitted
exponents. Replicates that never get there count as infinitely late, so a median can be infinite.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from nas.running import config
from simulate.run import find, without_zero_rule
from simulate.study import Cell
from theory import exact, landscapes, sampled

WORLD = ("edges", "candidates", "landscape_seed", "options")  # settings that make another landscape of a name
IDENTITY = ("method", "landscape", "seed", "replicates")
RESAMPLES = 400  # of the bootstrap
SURE = 0.95  # an edge is decided when one operation has this probability


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, from n replicates."""

    value: float
    lower: float
    upper: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.lower:.4g}, {self.upper:.4g}]"


def share(hits: Any) -> Estimate:
    """Share of true entries, with Wilson's interval."""
    return share_of(float(np.sum(hits)), len(hits))


def share_of(count: float, n: int) -> Estimate:
    """count / n with Wilson's interval; halves may be counted."""
    z = float(stats.norm.isf(0.025))
    centre, scale = count / n + z * z / (2 * n), 1 + z * z / n
    reach = z * math.sqrt(count / n * (1 - count / n) / n + z * z / (4 * n * n))
    low, high = (centre - reach) / scale, (centre + reach) / scale
    return Estimate(count / n, low if count > 0 else 0.0, high if count < n else 1.0, n)


def median(values: Any) -> Estimate:
    """Median, with the interval between the order statistics that hold it with at least 95 %; unbounded for n < 6."""
    ordered, n = np.sort(values), len(values)
    reach = int(stats.binom.ppf(0.025, n, 0.5))
    low, high = (float(ordered[reach - 1]), float(ordered[n - reach])) if reach else (-math.inf, math.inf)
    return Estimate(float(np.quantile(ordered, 0.5, method="higher")), low, high, n)


def mean(values: Any) -> Estimate:
    """Mean, with the normal interval of its standard error."""
    n, middle = len(values), float(np.mean(values))
    reach = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    return Estimate(middle, middle - reach, middle + reach, n)


# ------------------------------------------------------------------ of one cell


def time_to_sure(cell: Cell, level: float = SURE) -> Estimate:
    """Median step at which the best architecture has probability `level`; to the grid of recorded steps."""
    reached = cell.values["optimal_probability"] >= level
    first = np.where(reached.any(axis=0), cell.steps[reached.argmax(axis=0)], np.inf)
    return median(first)


def found(cell: Cell) -> Estimate:
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
    found = mean(counts / cell.setting.steps)
    return Estimate(found.value, max(0.0, found.lower), found.upper, found.n)


def rise_bound(cell: Cell) -> float:
    """Theory's bound on the chance that one step raises J (`theory.sampled`), nan where it does not apply.

    It is about one step from a known policy: the first step of all replicates from the uniform policy, within T8's
    length. Methods with moving averages are left out: theory has them at their expectation, a first step at zero.
    """
    setting = cell.setting
    method = without_zero_rule(find(setting.method))
    first = setting.steps == 1 and setting.start == "uniform" and setting.bound == "T8" and setting.rate <= 1
    if not first or setting.landscape not in landscapes.LANDSCAPES or method.averages or method.estimate is None:
        return math.nan
    size = (setting.edges, setting.candidates)
    landscape = landscapes.make(setting.landscape, *size, setting.landscape_seed, **setting.options)
    moments = exact.moments(method, landscape, np.full(size, 1 / setting.candidates))
    return sampled.failure_bound(moments, setting.samples)


def regret(cell: Cell, best: float) -> Any:
    """J - min L at each record, (P, R)."""
    return cell.values["expected_loss"] - best


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
        raise ValueError("a rate needs at least 8 records above rounding; lower `every`")
    if steps[0] == 0:
        steps, values = steps[1:], values[1:]
    x = np.log(steps) - np.log(steps).mean()

    def slope(columns: Any) -> float:
        y = np.log(np.maximum(values[:, columns].mean(axis=1), rounding))
        return float((x * y).sum() / (x * x).sum())

    n = values.shape[1]
    random = np.random.default_rng(0)
    slopes = [slope(random.integers(n, size=n)) for _ in range(RESAMPLES)]
    low, high = np.quantile(slopes, (0.025, 0.975))
    return Estimate(slope(np.arange(n)), float(low), float(high), n)


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
