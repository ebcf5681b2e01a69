"""At which points, and with which weights, is an integral over [0, 1] summed? The one home of the rules."""

from typing import NamedTuple


class Rule(NamedTuple):
    """The integral over [0, 1] is about sum_i weights_i f(nodes_i)."""

    nodes: tuple[float, ...]
    weights: tuple[float, ...]


END = Rule((1.0,), (1.0,))  # first order: the slope where one stands
TRAPEZOID = Rule((0.0, 1.0), (0.5, 0.5))
GAUSS_1 = Rule((0.5,), (1.0,))  # the midpoint; n nodes of Gauss and Legendre are exact up to degree 2 n - 1
GAUSS_2 = Rule((0.5 - 3**0.5 / 6, 0.5 + 3**0.5 / 6), (0.5, 0.5))
GAUSS_3 = Rule((0.5 - 0.15**0.5, 0.5, 0.5 + 0.15**0.5), (5 / 18, 8 / 18, 5 / 18))
