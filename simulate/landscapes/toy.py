"""How is the toy regression a landscape? On a fixed set of inputs, its convolutions done beforehand."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.arrays import namespace
from nas.objective import Gradients
from theory.landscapes import Landscape, Quadratic, Truth
from theory.streams import stream


@dataclass(frozen=True, eq=False)
class Toy(Landscape):
    """The loss of `simulate.regression` on B inputs.

    channels (E, K, 16 B), what each filter makes of the inputs; readout (E, 16 B), the weight of each position in the
    output; hard, the quadratic landscape that the loss is for one-hot gates, where it knows J; teacher, its optimum.
    """

    channels: Any
    readout: Any
    hard: Quadratic
    teacher: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.hard.shape

    @property
    def closed_form(self) -> bool:
        return True

    def loss(self, gates: Any) -> Any:
        return self._run(gates)[0]

    def slopes(self, gates: Any) -> Any:
        return self.gradients(gates, 1).gate_gradient

    def gradients(self, gates: Any, runs: Any) -> Gradients[Any]:
        loss, error, hidden = self._run(gates)
        size = error.shape[-1]
        upstream = namespace(gates).concatenate([error * (2 / size)] * (self.readout.shape[-1] // size), axis=-1)
        slope = upstream * self.readout[:, None] * (1 - hidden * hidden)  # dL / d(output of edge e), (E, N, 16 B)
        by_path = namespace(gates).moveaxis(slope @ self.channels.swapaxes(-1, -2), 0, 1).reshape(gates.shape)
        outputs = namespace(gates).moveaxis(slope.sum(axis=-1), 0, 1).reshape(gates.shape[:-1])
        return Gradients(loss, by_path * runs, outputs)

    def expected(self, probabilities: Any) -> Any:
        return self.hard.expected(probabilities)

    def expected_gradient(self, probabilities: Any) -> Any:
        return self.hard.expected_gradient(probabilities)

    def extremes(self, most: int) -> Truth | None:
        """The teacher's loss is zero; the largest loss is nan above `most` architectures."""
        known = self.hard.extremes(most)
        return Truth(self.teacher, 0.0, math.nan if known is None else known.max_loss)

    def _run(self, gates: Any) -> tuple[Any, Any, Any]:
        """Loss (...,), error (N, B) and tanh outputs (E, N, 16 B) of N = ... evaluations."""
        xp = namespace(gates)
        flat = gates.reshape(-1, self.edges, self.candidates)
        hidden = xp.tanh(xp.moveaxis(flat, 0, 1) @ self.channels)
        read = (hidden * self.readout[:, None]).sum(axis=0)
        error = read.reshape(flat.shape[0], -1, self.hard.target.shape[0]).sum(axis=1) - self.hard.target
        return (error * error).mean(axis=-1).reshape(gates.shape[:-2]), error, hidden


def toy(edges: int, candidates: int, seed: int, *, inputs: int = 20) -> Toy:
    """The toy regression on `inputs` random inputs, its teacher at random."""
    if inputs < 1:
        raise ValueError(f"toy needs at least one input, not {inputs}")
    from simulate import regression

    random = stream(seed, "toy")
    filters, readout, teacher = regression.weights(random, edges, candidates)
    channels = filters @ regression.random_patches(random, inputs)  # (E, K, 16 B), batch last
    spread = np.repeat(readout, inputs, axis=-1) / edges
    outputs = (np.tanh(channels) * spread[:, None]).reshape(edges, candidates, -1, inputs).sum(axis=2)
    target = outputs[np.arange(edges), teacher].sum(axis=0)
    hard = Quadratic(outputs, target, 0.0)
    return Toy(channels, spread, hard, tuple(int(k) for k in teacher), name="toy")
