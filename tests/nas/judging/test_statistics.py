"""Intervals: by hand, against SciPy's own, and they hold the truth as often as they promise."""

import doctest
import math

import numpy as np
import pytest
from scipy import stats

from nas.judging import statistics
from nas.judging.statistics import (
    Estimate,
    bootstrap,
    difference,
    median_interval,
    quartiles,
    share,
    standard_error,
    t_half_width,
    t_interval,
    wilson_interval,
)

VALUES = np.random.default_rng(1).exponential(size=23)


def test_the_examples_run() -> None:
    tried = doctest.testmod(statistics)
    assert tried.attempted >= 8
    assert tried.failed == 0


def test_students_interval_is_scipys() -> None:
    known = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    mine = t_interval(VALUES)
    assert (mine.lower, mine.upper) == pytest.approx((known.low, known.high), rel=1e-12)
    assert mine.value == VALUES.mean()
    assert t_half_width(VALUES) == pytest.approx((known.high - known.low) / 2)
    normal = 1.959964 * standard_error(VALUES)  # the control: a normal interval of 23 values is narrower
    assert normal < 0.95 * t_half_width(VALUES)


def test_one_value_has_no_bounds_and_none_is_refused() -> None:
    assert t_interval([3.0]) == Estimate(3.0, -math.inf, math.inf, 1)
    for refused in (t_interval, median_interval):
        with pytest.raises(ValueError, match="at least one value"):
            refused([])
    with pytest.raises(ValueError, match="at least 2 values"):
        standard_error([1.0])


def test_welchs_interval_is_scipys() -> None:
    others = VALUES[:4] * 3 + 1
    mine = difference(VALUES, others)
    known = stats.ttest_ind(VALUES, others, equal_var=False).confidence_interval(0.95)
    assert (mine.lower, mine.upper) == pytest.approx((known.low, known.high))
    assert (mine.value, mine.n) == (pytest.approx(VALUES.mean() - others.mean()), 4)
    pooled = stats.ttest_ind(VALUES, others).confidence_interval(0.95)  # the control: as if spreads were equal
    assert (mine.lower, mine.upper) != pytest.approx((pooled.low, pooled.high), rel=1e-3)
    ten = difference(VALUES, others, together=10)
    known = stats.ttest_ind(VALUES, others, equal_var=False).confidence_interval(0.995)
    assert (ten.lower, ten.upper) == pytest.approx((known.low, known.high))


def test_of_twenty_equal_means_all_intervals_hold_together_as_often_as_promised() -> None:
    """400 times: 95 % promised, 0.92 is three standard deviations below; one by one they fail far more often."""
    random = np.random.default_rng(0)
    held = {1: 0, 20: 0}
    for _ in range(400):
        beside, rows = random.normal(size=5), random.normal(size=(20, 5)) * np.arange(1, 21)[:, None]
        for together in held:
            gaps = [difference(row, beside, together) for row in rows]
            held[together] += all(gap.lower <= 0 <= gap.upper for gap in gaps)
    assert held[20] > 0.92 * 400
    assert held[1] < 0.7 * 400


def test_a_difference_without_spread_and_of_one_value() -> None:
    assert difference([2.0, 2.0], [1.0, 1.0]) == Estimate(1.0, 1.0, 1.0, 2)
    assert difference([2.0], [1.0, 3.0]) == Estimate(0.0, -math.inf, math.inf, 1)
    with pytest.raises(ValueError, match="at least one value"):
        difference([], [1.0])


def test_standard_errors_are_of_the_first_axis() -> None:
    table = np.stack([VALUES, 3 * VALUES], axis=1)
    assert standard_error(table) == pytest.approx(stats.sem(table, axis=0))
    assert standard_error(VALUES) == pytest.approx(stats.sem(VALUES))


@pytest.mark.parametrize(("count", "n"), [(8, 10), (1, 30), (0, 12), (12, 12), (250, 500)])
def test_wilsons_interval_is_scipys(count: int, n: int) -> None:
    known = stats.binomtest(count, n).proportion_ci(method="wilson")
    mine = wilson_interval(count, n)
    assert (mine.lower, mine.upper) == pytest.approx((known.low, known.high), abs=1e-12)
    assert (mine.value, mine.n) == (count / n, n)
    other = stats.binomtest(count, n).proportion_ci(method="exact")  # the control: another interval is another
    assert (mine.lower, mine.upper) != pytest.approx((other.low, other.high), abs=1e-3)


def test_wilsons_interval_by_hand_and_of_ties() -> None:
    # 8 of 10: centre (8 + z^2/2) / (10 + z^2), z = 1.96.
    z = 1.959964
    centre = (8 + z * z / 2) / (10 + z * z)
    reach = z / (10 + z * z) * math.sqrt(8 * 2 / 10 + z * z / 4)
    eight = share(np.arange(10) < 8)
    assert (eight.lower, eight.upper) == pytest.approx((centre - reach, centre + reach), abs=1e-5)
    tied = wilson_interval(8.5, 10)
    assert eight.lower < tied.lower < wilson_interval(9, 10).lower
    for count, n in ((11, 10), (-1, 10), (0, 0)):
        with pytest.raises(ValueError, match="a share needs"):
            wilson_interval(count, n)


def test_the_median_of_few_has_no_interval() -> None:
    """The range of n covers the median with 1 - 2^(1 - n): 93.75 % for five, 96.9 % for six."""
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) == Estimate(3.0, -math.inf, math.inf, 5)
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == Estimate(4.0, 1.0, 6.0, 6)
    assert median_interval([1.0, 2.0, math.inf]).value == 2.0


def test_medians_are_held_as_often_as_promised() -> None:
    """1000 samples of 25: at least 95 % promised, 0.93 is three standard deviations below."""
    random = np.random.default_rng(0)
    found = [median_interval(random.exponential(size=25)) for _ in range(1000)]
    assert np.mean([one.lower <= math.log(2) <= one.upper for one in found]) > 0.93
    assert np.mean([one.lower <= 1.0 <= one.upper for one in found]) < 0.9  # the control: the mean is no median


def test_the_bootstrap_is_scipys_percentile_interval() -> None:
    mine = bootstrap(lambda places: float(np.std(VALUES[places])), len(VALUES), np.random.default_rng(7), 500)
    known = stats.bootstrap(
        (VALUES,), np.std, n_resamples=500, method="percentile", vectorized=False, rng=np.random.default_rng(7)
    ).confidence_interval
    assert (mine.lower, mine.upper) == pytest.approx((known.low, known.high), rel=1e-9)
    assert mine.value == float(np.std(VALUES))
    other = bootstrap(lambda places: float(np.std(VALUES[places])), len(VALUES), np.random.default_rng(8), 500)
    assert (other.lower, other.upper) != (mine.lower, mine.upper)  # the control: other resamples


def test_resamples_without_a_value_are_left_out_and_one_case_is_refused() -> None:
    held = bootstrap(lambda places: math.nan if 0 in places else 1.0, 4, np.random.default_rng(0))
    assert (held.lower, held.upper) == (1.0, 1.0)
    assert math.isnan(held.value)
    with pytest.raises(ValueError, match="at least 2 cases, not 1"):
        bootstrap(lambda places: 0.0, 1, np.random.default_rng(0))


def test_quartiles_by_hand_and_along_an_axis() -> None:
    assert quartiles([1.0, 2.0, 3.0, 4.0]).tolist() == [1.75, 2.5, 3.25]
    assert quartiles(np.array([[0.0, 10.0], [4.0, 20.0]]), axis=0).tolist() == [[1.0, 12.5], [2.0, 15.0], [3.0, 17.5]]
