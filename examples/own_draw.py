"""Draws of one's own: a policy that never forgets an operation, several samples a step, a temperature that falls.

The report card holds each against the gradient of its own J, integrated: what is unbiased has a relative bias near 0.

    python examples/own_draw.py

    floored        relative bias 0.00  passes 1 + 0
    leave_one_out  relative bias 0.00  passes 4 + 0
    cooled         relative bias 0.64  passes 1 + 1
"""

import numpy as np

from nas import estimators, policy
from nas.methods import LOSS_AVERAGE, Method
from nas.samples import GUMBEL_SOFT, Draw, Sample, edge_noise
from nas.schedule import Linear
from theory import card
from theory.landscapes import make

FLOOR, SAMPLES = 0.1, 4


def mixed(logits):  # a tenth of all draws is even, so that no operation's chance falls below 1 / (10 K)
    return (1 - FLOOR) * policy.softmax(logits) + FLOOR / logits.shape[-1]


def one(logits, uniforms, temperature):
    gates = policy.draw(mixed(logits), uniforms)
    return Sample(mixed(logits), gates, gates)


def floored_score(probabilities, gates, loss, baseline):  # (L - b) d log p(a) / d logits, of this policy
    softmax = (probabilities - FLOOR / gates.shape[-1]) / (1 - FLOOR)
    chosen = (1 - FLOOR) * (gates * softmax / probabilities).sum(axis=-1)
    return ((loss - baseline)[..., None] * chosen)[..., None] * (gates - softmax)


def several(logits, uniforms, temperature):  # gates (..., S, E, K)
    gates = policy.draw(policy.softmax(logits)[..., None, :, :], uniforms)
    return Sample(policy.softmax(logits), gates, gates)


def several_noise(edges, candidates):
    return (SAMPLES, edges)


def leave_one_out_score(probabilities, gates, loss):  # each sample's baseline is the mean of the others; loss (..., S)
    credit = (loss - loss.sum(axis=-1, keepdims=True) / SAMPLES) / (SAMPLES - 1)
    return (credit[..., None, None] * (gates - probabilities[..., None, :, :])).sum(axis=-3)


floored = Method("floored", "Floored", floored_score, Draw(one, edge_noise, mixed), LOSS_AVERAGE)
leave_one_out = Method("leave_one_out", "Leave one out", leave_one_out_score, Draw(several, several_noise))
cooled = Method("cooled", "Cooled", estimators.relaxed, GUMBEL_SOFT, temperature=Linear(2, 0.5), propagation="dense")

if __name__ == "__main__":
    for method in (floored, leave_one_out, cooled):
        told = card(method, make("quadratic", 2, 3, seed=1), np.array([[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]]))
        print(f"{method.name:<14} relative bias {told.relative_bias:.2f}  passes {told.forward} + {told.backward}")
