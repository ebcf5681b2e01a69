"""How can a later edge know what the earlier ones chose? An LSTM reads the choices and writes the next edge's logits.

The controller of Zoph & Le (2017) and NASNet, trained on shared weights as in ENAS (Pham et al. 2018). Edge by edge it
is a categorical given the edges before, P(a) = prod_e p_e(a_e | a_1 .. a_e-1), and no product of E categoricals. Its
parameters are the logits (E, K), each edge's own bias, and the weights. Of a sample, `probabilities` are the
conditional ones, so that any estimator that charges credit to the score a_e - p_e runs unchanged; `pull_back` takes
what it returns through the LSTM. Which baselines it may subtract: docs/theory.md. Forward and backward are written out
here, for NumPy and torch alike and for many replicates at once.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from nas import policy
from nas.arrays import expand, namespace
from nas.samples import Draw, Keeps, Sample, edge_noise

UNITS = 64  # of the LSTM's one layer (ENAS's published code)
REACH, TEMPERATURE = 2.5, 5.0  # an edge's logits are REACH tanh(readout / TEMPERATURE): no choice is ever certain
FIRST = 0.1  # weights start uniform in (-FIRST, FIRST)

Weights = dict[str, Any]


# ------------------------------------------------------------------ forward


class _Turn(NamedTuple):
    """One edge's turn, each (..., 1, n): what went in, the LSTM's gates, its cell before and after, what came out."""

    inputs: Any
    keep: Any
    write: Any
    show: Any
    new: Any
    before: Any
    cell: Any
    hidden: Any
    squashed: Any


def _unroll(
    logits: Any, weights: Weights, choose: Callable[[int, Any], Any]
) -> tuple[list[_Turn], list[Any], list[Any]]:
    """The turns, the probabilities and the gates (..., 1, K) of each edge; choose(edge, probabilities) -> gates."""
    xp = namespace(logits)
    given = weights["start"][..., None, :] + xp.zeros_like(logits[..., :1, :1])
    hidden = cell = xp.zeros_like(given)
    turns: list[_Turn] = []
    probabilities: list[Any] = []
    gates: list[Any] = []
    for edge in range(logits.shape[-2]):
        inputs = xp.concatenate((given, hidden), axis=-1)
        keep, write, show, new = _quarters(inputs @ weights["recurrent"] + weights["bias"][..., None, :])
        keep, write, show, new = _sigmoid(keep), _sigmoid(write), _sigmoid(show), xp.tanh(new)
        before, cell = cell, keep * cell + write * new
        hidden = show * xp.tanh(cell)
        squashed = xp.tanh((logits[..., edge : edge + 1, :] + hidden @ weights["readout"]) / TEMPERATURE)
        turns.append(_Turn(inputs, keep, write, show, new, before, cell, hidden, squashed))
        probabilities.append(policy.softmax(REACH * squashed))
        gates.append(choose(edge, probabilities[-1]))
        given = gates[-1] @ weights["embedding"]
    return turns, probabilities, gates


def _sample(logits: Any, uniforms: Any, temperature: Any, weights: Weights) -> Sample:
    def drawn(edge: int, probabilities: Any) -> Any:
        return policy.draw(probabilities, uniforms[..., edge : edge + 1])

    return _of(logits, weights, drawn)


def given(logits: Any, weights: Weights, gates: Any) -> Sample:
    """The sample as if gates (..., E, K) had been drawn: their conditional probabilities and ln P(a)."""
    return _of(logits, weights, _these(gates))


def _of(logits: Any, weights: Weights, choose: Callable[[int, Any], Any]) -> Sample:
    _, probabilities, gates = _unroll(logits, weights, choose)
    p, a = (namespace(logits).concatenate(parts, axis=-2) for parts in (probabilities, gates))
    return Sample(p, a, a, log_probability=policy.log_probability(p, a))


def _these(gates: Any) -> Callable[[int, Any], Any]:
    def choose(edge: int, probabilities: Any) -> Any:
        return gates[..., edge : edge + 1, :] + 0 * probabilities

    return choose


def surest(logits: Any, weights: Weights) -> Any:
    """Probabilities (..., E, K) of each edge where every edge before it took its most probable operation."""
    return namespace(logits).concatenate(_unroll(logits, weights, _most_probable)[1], axis=-2)


def _most_probable(edge: int, probabilities: Any) -> Any:
    return policy.one_hot_argmax(probabilities)


# ------------------------------------------------------------------ backward


def pull_back(logits: Any, weights: Weights, sample: Sample, gradient: Any) -> tuple[Any, Weights]:
    """What a gradient of the conditional logits is to the parameters: backpropagation through the turns.

    Args: logits, and gradient of the softmax's arguments given the sample's gates, (..., E, K); weights with the same
    leading axes. Returns: the gradients of logits and weights, in their shapes.
    """
    xp, zero = namespace(logits), namespace(gradient).zeros_like(gradient[..., 0, 0])
    turns, _, gates = _unroll(logits, weights, _these(sample.gates))
    own = shapes(logits.shape[-1])
    total = {name: xp.zeros_like(array) + expand(zero, len(own[name])) for name, array in weights.items()}
    rows: list[Any] = []
    to_hidden = to_cell = xp.zeros_like(turns[0].hidden)
    for edge, turn in reversed([*enumerate(turns)]):
        row = gradient[..., edge : edge + 1, :] * (REACH / TEMPERATURE) * (1 - turn.squashed * turn.squashed)
        rows.insert(0, row)
        total["readout"] = total["readout"] + _outer(turn.hidden, row)
        to_hidden = to_hidden + row @ _transposed(weights["readout"])
        shown = xp.tanh(turn.cell)
        to_cell = to_cell + to_hidden * turn.show * (1 - shown * shown)
        to_gates = xp.concatenate(
            (
                to_cell * turn.before * turn.keep * (1 - turn.keep),
                to_cell * turn.new * turn.write * (1 - turn.write),
                to_hidden * shown * turn.show * (1 - turn.show),
                to_cell * turn.write * (1 - turn.new * turn.new),
            ),
            axis=-1,
        )
        to_cell = to_cell * turn.keep
        total["recurrent"] = total["recurrent"] + _outer(turn.inputs, to_gates)
        total["bias"] = total["bias"] + to_gates[..., 0, :]
        to_inputs = to_gates @ _transposed(weights["recurrent"])
        to_given, to_hidden = to_inputs[..., : to_hidden.shape[-1]], to_inputs[..., to_hidden.shape[-1] :]
        if edge:
            total["embedding"] = total["embedding"] + _outer(gates[edge - 1], to_given)
        else:
            total["start"] = total["start"] + to_given[..., 0, :]
    return xp.concatenate(rows, axis=-2), total


# ------------------------------------------------------------------ the weights


def shapes(candidates: int) -> dict[str, tuple[int, ...]]:
    """Trailing shapes of the weights: what the first edge is given, an operation's embedding, the LSTM, the readout."""
    return {
        "start": (UNITS,),
        "embedding": (candidates, UNITS),
        "recurrent": (2 * UNITS, 4 * UNITS),
        "bias": (4 * UNITS,),
        "readout": (UNITS, candidates),
    }


def weight_noise(edges: int, candidates: int) -> int:
    """How many weights there are."""
    return sum(math.prod(shape) for shape in shapes(candidates).values())


def weights_of(logits: Any, uniforms: Any) -> Weights:
    """The first weights, of uniforms (..., n) in [0, 1)."""
    lead, done = logits.shape[:-2], 0
    weights: Weights = {}
    for name, shape in shapes(logits.shape[-1]).items():
        size = math.prod(shape)
        part = uniforms[..., done : done + size].reshape(*lead, *shape)
        weights[name] = FIRST * (2 * part - 1)
        done += size
    return weights


# ------------------------------------------------------------------ helpers


def _sigmoid(values: Any) -> Any:
    return (namespace(values).tanh(values / 2) + 1) / 2


def _quarters(values: Any) -> tuple[Any, Any, Any, Any]:
    n = values.shape[-1] // 4
    return values[..., :n], values[..., n : 2 * n], values[..., 2 * n : 3 * n], values[..., 3 * n :]


def _transposed(matrix: Any) -> Any:
    return matrix.swapaxes(-1, -2)


def _outer(column: Any, row: Any) -> Any:
    """(..., 1, n) and (..., 1, m) -> (..., n, m)."""
    return _transposed(column) @ row


CONTROLLER = Draw(
    _sample,
    edge_noise,
    surest,
    gives=("log_probability",),
    keeps=Keeps(weights_of, weight_noise, pull_back=pull_back),
)
