"""Your own estimator: a plain function of arrays, judged in exact fractions and used in a search.

The parameters' names say what a step must measure (`nas.methods.method_of`). This one damps AdvantageNAS's credit: its
variance falls, and it is biased. Both are summed exactly over all architectures; then it searches like any method.


    python examples/own_estimator.py

    advantage  bias 0.000  variance 0.174
    damped     bias 0.248  variance 0.084
    a search with damped: layer=seen
"""

from fractions import Fraction

import numpy as np
import torch
from torch import nn

import nas
from nas.methods import method_of
from theory.exact import moments
from theory.landscapes import make


def damped(probabilities, gates, gate_gradient):
    """credit / (1 + credit^2), charged to the score. Rational, so it runs on fractions too."""
    credit = (gates * gate_gradient).sum(axis=-1)[..., None]
    return credit / (1 + credit * credit) * (gates - probabilities)


# Judged: every architecture of a landscape, in exact fractions.
landscape = make("additive", edges=2, candidates=2, seed=1, exact=True)
policy = np.array([[Fraction(1, 2), Fraction(1, 2)], [Fraction(1, 4), Fraction(3, 4)]])
for method in (nas.METHODS["advantage"], method_of(damped, "damped")):
    found = moments(method, landscape, policy)
    print(f"{method.name:<10} bias {found.bias_norm:.3f}  variance {float(found.total_variance):.3f}")

# Used: which of two layers shows the network its input?
torch.manual_seed(0)
inputs = torch.randn(200, 3)
batches = nas.Batches(inputs, (inputs[:, 0] > 0).long(), size=20)
layer = nas.Edge([nn.Identity(), nn.Threshold(9.0, 0.0)], name="layer")
model = nas.EdgeNetwork(nn.Sequential(layer, nn.Linear(3, 2)))
space = model.space("example", ["seen", "hidden"])
network = nas.Supernet(space, model, nn.functional.cross_entropy, batches, batches, batches)
print("a search with damped:", nas.search(network, damped, epochs=8).architecture)
