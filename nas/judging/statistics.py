"""How sure is a number? Every interval that this house prints, each with its formula and where it is from.

    t_interval         a mean, of values that scatter like a normal distribution's
    difference         of two such means, alone or one of several that hold together
    wilson_interval    a share of so many trials
    median_interval    a median, of whatever distribution
    bootstrap          any statistic, by drawing the cases again
    quartiles          no interval of an estimate but the spread of the values themselves

All intervals are two-sided, of `LEVEL`. SciPy gives the distributions; where its own intervals refuse what is needed
here (half counts in Wilson's, resamples without a value in the bootstrap) the formula stands here, and the tests hold
it against SciPy's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
LEVEL = 0.95
TAIL = 0.025  # (1 - LEVEL) / 2, without that difference's rounding
RESAMPLES = 400  # of a bootstrap


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, from n values."""

    value: float
    lower: float
    upper: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.lower:.4g}, {self.upper:.4g}]"


# ------------------------------------------------------------------ a mean


def t_interval(values: npt.ArrayLike) -> Estimate:
    """Mean with Student's interval, mean ± t(n - 1) s / sqrt(n); unbounded for one value (Student 1908).

    Args: values (n,). Raises: ValueError for none.

    >>> print(t_interval([2.0, 4.0, 6.0]))  # 4 ± 4.303 · 2 / √3
    4 [-0.9683, 8.968]
    """
    sample = _sample(values)
    middle, reach = float(sample.mean()), t_half_width(sample)
    return Estimate(middle, middle - reach, middle + reach, len(sample))


def t_half_width(values: npt.ArrayLike) -> float:
    """Half the width of `t_interval`: t(n - 1) s / sqrt(n), s with n - 1; infinite for one value.

    >>> round(t_half_width([2.0, 4.0, 6.0]), 4)
    4.9683
    """
    sample = _sample(values)
    n = len(sample)
    return float(stats.t.ppf(1 - TAIL, n - 1)) * float(np.std(sample, ddof=1)) / math.sqrt(n) if n > 1 else math.inf


def difference(values: npt.ArrayLike, others: npt.ArrayLike, together: int = 1) -> Estimate:
    """The mean of `values` less that of `others`, with Welch's interval: spreads may differ (Welch 1947).

    together: so many intervals that all hold at once with `LEVEL` at least, each of 1 - (1 - LEVEL) / together
    (Bonferroni). Args: values (n,), others (m,). n of the result is the smaller one; unbounded where that is one.
    Raises: ValueError for none.

    >>> print(difference([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]))  # 2 ± 3.218 · √(5/3), of 50/17 degrees of freedom
    2 [-2.155, 6.155]
    """
    one, other = _sample(values), _sample(others)
    gap, n = float(one.mean() - other.mean()), min(len(one), len(other))
    if n < 2:
        return Estimate(gap, -math.inf, math.inf, n)
    parts = [(float(part.var(ddof=1)) / len(part), len(part)) for part in (one, other)]
    square = sum(part for part, _ in parts)
    if square == 0:
        return Estimate(gap, gap, gap, n)
    freedom = square**2 / sum(part**2 / (m - 1) for part, m in parts)
    reach = float(stats.t.isf(TAIL / together, freedom)) * math.sqrt(square)
    return Estimate(gap, gap - reach, gap + reach, n)


def standard_error(values: npt.ArrayLike) -> Any:
    """Of the mean over the first axis: s / sqrt(n), s with n - 1.

    Args: values (n, ...), n > 1. Returns: an array (...), or a float of values (n,).

    >>> round(standard_error([2.0, 4.0, 6.0]), 4)  # 2 / √3
    1.1547
    """
    sample = np.asarray(values, dtype=float)
    if sample.ndim == 0 or len(sample) < 2:
        raise ValueError("a standard error needs at least 2 values")
    errors = sample.std(axis=0, ddof=1) / math.sqrt(len(sample))
    return float(errors) if sample.ndim == 1 else errors


# ------------------------------------------------------------------ a share


def wilson_interval(count: float, n: int) -> Estimate:
    """The share count / n with Wilson's score interval; a tie may count half.

    The shares q with |count / n - q| <= z sqrt(q (1 - q) / n) (Wilson 1927). SciPy's takes whole counts only.
    Raises: ValueError unless 0 <= count <= n and n > 0.

    >>> print(wilson_interval(8, 10))
    0.8 [0.4902, 0.9433]
    """
    if not 0 <= count <= n or n < 1:
        raise ValueError(f"a share needs 0 <= count <= n and n > 0, not {count} of {n}")
    z = float(stats.norm.isf(TAIL))
    centre, scale = count / n + z * z / (2 * n), 1 + z * z / n
    reach = z * math.sqrt(count / n * (1 - count / n) / n + z * z / (4 * n * n))
    low, high = (centre - reach) / scale, (centre + reach) / scale
    return Estimate(count / n, low if count > 0 else 0.0, high if count < n else 1.0, n)


def share(hits: npt.ArrayLike) -> Estimate:
    """The share of true entries, with `wilson_interval`.

    >>> print(share([True, True, False, True]))
    0.75 [0.3006, 0.9544]
    """
    entries = np.asarray(hits)
    return wilson_interval(float(entries.sum()), entries.size)


# ------------------------------------------------------------------ a median and other statistics


def median_interval(values: npt.ArrayLike) -> Estimate:
    """Median with the interval between two order statistics that holds it with at least `LEVEL`, whatever the law.

    The number of values below the median is binomial(n, 1/2): the interval goes from the r-th smallest to the r-th
    largest, r the largest with P(fewer than r below) <= `TAIL` (David & Nagaraja 2003, section 7.1). Unbounded for
    n < 6. Of an even number the upper middle value is the median, so that it is one of the values; they may be inf.
    Raises: ValueError for none.

    >>> print(median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    4 [1, 6]
    """
    ordered = np.sort(_sample(values))
    n = len(ordered)
    reach = int(stats.binom.ppf(TAIL, n, 0.5))
    low, high = (float(ordered[reach - 1]), float(ordered[n - reach])) if reach else (-math.inf, math.inf)
    return Estimate(float(np.quantile(ordered, 0.5, method="higher")), low, high, n)


def bootstrap(
    statistic: Callable[[npt.NDArray[np.int64]], float],
    n: int,
    random: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Estimate:
    """A statistic of n cases with its percentile interval over resamples of them (Efron & Tibshirani 1993, ch. 13).

    Args: statistic, of the places (n,) of cases, with repetitions: it looks the cases up itself, so that they may be
    rows of several arrays; random, the source of the resamples. Resamples without a value (nan) are left out.
    Raises: ValueError for fewer than 2 cases.

    >>> cases = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    >>> print(bootstrap(lambda places: cases[places].mean(), 5, np.random.default_rng(0)))
    4 [2, 7]
    """
    if n < 2:
        raise ValueError(f"a bootstrap needs at least 2 cases, not {n}")
    drawn = [statistic(random.integers(n, size=n)) for _ in range(resamples)]
    low, high = np.nanquantile(drawn, (TAIL, 1 - TAIL))
    return Estimate(float(statistic(np.arange(n))), float(low), float(high), n)


def quartiles(values: npt.ArrayLike, axis: int | None = None) -> npt.NDArray[np.floating[Any]]:
    """Lower quartile, median and upper quartile, (3, ...), by linear interpolation between order statistics.

    Half of the values lie between the outer two: the spread of values, not the uncertainty of their median. That is
    definition 7 of Hyndman & Fan (1996), NumPy's own.

    >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0]).tolist()
    [2.0, 3.0, 4.0]
    """
    parts: npt.NDArray[np.floating[Any]] = np.quantile(np.asarray(values), (0.25, 0.5, 0.75), axis=axis)
    return parts


def _sample(values: npt.ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or len(sample) == 0:
        raise ValueError(f"an interval needs at least one value, (n,), not the shape {sample.shape}")
    return sample
