"""Each rule integrates t^d over [0, 1] exactly up to its degree, and no further."""

import pytest

from nas import quadrature
from nas.quadrature import Rule


@pytest.mark.parametrize(
    ("rule", "degree"),
    [
        (quadrature.END, 0),
        (quadrature.TRAPEZOID, 1),
        (quadrature.GAUSS_1, 1),
        (quadrature.GAUSS_2, 3),
        (quadrature.GAUSS_3, 5),
    ],
)
def test_the_degree_of_a_rule(rule: Rule, degree: int) -> None:
    def error(power: int) -> float:
        return abs(sum(w * t**power for t, w in zip(rule.nodes, rule.weights, strict=True)) - 1 / (power + 1))

    assert max(error(power) for power in range(degree + 1)) < 1e-15
    assert error(degree + 1) > 1e-4  # the control: one degree more
