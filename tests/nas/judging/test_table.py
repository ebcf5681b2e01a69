"""The table command says what the benchmark published, and its expectation is the enumerated one."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from nas.data import nasbench201
from nas.data.nasbench201 import Table
from nas.data.places import VARIABLE
from nas.judging import table


@pytest.fixture(scope="module")
def real() -> Table:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} is not set")
    return nasbench201.load(Path(folder))


def test_the_expected_choice_of_random_search_by_enumeration() -> None:
    valid, test = np.array([3.0, 1.0, 2.0, 2.0]), np.array([10.0, 20.0, 40.0, 70.0])
    for count in (1, 2, 3):
        total = 0.0
        for drawn in itertools.product(range(4), repeat=count):
            best = [k for k in drawn if valid[k] == valid[list(drawn)].max()]
            total += float(np.mean(test[best]))
        assert table.expected_choice(valid, test, count) == pytest.approx(total / 4**count)


def test_a_cell_by_string_and_by_index(real: Table) -> None:
    text = table.answer(real, "6111")
    assert table.answer(real, real.architectures[6111]) == text
    assert "91.61   94.37" in text
    assert "1 of 15,625" in text


def test_the_best(real: Table) -> None:
    lines = table.answer(real, "best").splitlines()
    assert len(lines) == 6
    assert "cell  6111" in lines[0]
    assert "test 73.51" in lines[3]


def test_stats_by_hand(real: Table) -> None:
    text = table.answer(real, "stats")
    mean = sum(real.column("cifar10_test").tolist()) / 15_625
    assert f"cifar10, all 15,625 cells       {mean:8.2f}" in text


def test_a_wrong_question_is_one_line(real: Table) -> None:
    with pytest.raises(ValueError, match="no cell 15625"):
        table.answer(real, "15625")
    with pytest.raises(ValueError, match="not a NAS-Bench-201 architecture: 'worst'"):
        table.answer(real, "worst")


def test_test_accuracies_of_a_cell_are_its_row(real: Table) -> None:
    told = table.tests_of(real, real.architectures[6111])
    assert set(told) == {"cifar10_test", "cifar100_test", "imagenet16_120_test"}
    assert f"{told['cifar10_test']:.2f}" == "94.37"
    assert all(value == real.column(name)[6111] for name, value in told.items())
    with pytest.raises(ValueError, match="not a NAS-Bench-201 architecture"):
        table.tests_of(real, "no cell")
