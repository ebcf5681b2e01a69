"""Your own landscape: a loss of gates and its gradient, summed exactly by theory, searched by 1,000 replicates at once.

Two edges have operations of outputs 1/5, 1/2 and 9/10, which should add up to 1. The loss is curved, so first-order
credit is biased (theorem T5), and its searches end elsewhere; debiased credit, for one forward pass more, is unbiased.

    python examples/own_landscape.py

    advantage           bias 133/900  found 0.1351 on average, the best in 0 %
    debiased_advantage  bias 0  found 0.0065 on average, the best in 81 %
"""

from fractions import Fraction

import numpy as np

import nas
import theory
from nas.objective import Gradients
from nas.optimisers import adam
from nas.step import architecture, noise_shape


class Balance:
    """(sum of the chosen outputs - 1)^2 of gates (..., E, K), an `nas.objective.Objective`."""

    zero_operation = None

    def __init__(self, outputs):
        self.outputs = np.array(outputs)

    def loss(self, gates):
        return self._excess(gates) ** 2

    def gradients(self, gates, runs):
        slope = 2 * self._excess(gates)[..., None]
        return Gradients(self.loss(gates), slope[..., None] * self.outputs * runs, slope + 0 * gates[..., 0])

    def _excess(self, gates):
        return (gates * self.outputs).sum(axis=-1).sum(axis=-1) - 1


exact, floats = Balance([Fraction(1, 5), Fraction(1, 2), Fraction(9, 10)]), Balance([0.2, 0.5, 0.9])
even = np.full((2, 3), Fraction(1, 3))
random = np.random.default_rng(0)
for name in ("advantage", "debiased_advantage"):
    method, optimiser = nas.find_method(name), adam()
    bias = abs(theory.moments(method, exact, even).bias).max()
    state = nas.start(method, optimiser, np.zeros((1000, 2, 3)))
    for _ in range(500):
        uniforms = random.random((1000, *noise_shape(method, 2, 3)))
        state, _ = nas.architecture_step(method, optimiser, state, floats, uniforms, rate=0.05)
    found = floats.loss(architecture(method, state))
    best = (found < 1e-12).mean()
    print(f"{name:<19} bias {bias}  found {found.mean():.4f} on average, the best in {best:.0%}".replace("%", " %"))
