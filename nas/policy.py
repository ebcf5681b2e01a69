"""How is an architecture drawn, and what can be said of the distribution it is drawn from?

The policy is a product of E categoricals with K operations each: logits (..., E, K), probabilities the softmax of
each row. All functions take NumPy arrays or torch tensors. Randomness is an argument: the same uniforms give the
same architectures in both.
"""

import math
from typing import Any

from nas.arrays import A, namespace

# ------------------------------------------------------------------ drawing


def softmax(logits: A) -> A:
    """Probabilities (..., E, K) of logits (..., E, K). Exact zeros for logits of -inf; at least one must be finite."""
    xp = namespace(logits)
    weights = xp.exp(logits - xp.amax(logits, axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def draw(probabilities: A, uniforms: A) -> A:
    """One-hot gates by inverse CDF: one uniform an edge.

    Args: probabilities (..., E, K), rows not necessarily normalised; uniforms in [0, 1), (..., E).
    Returns: gates (..., E, K). An operation of probability zero is never drawn, whatever the rounding.
    """
    xp = namespace(probabilities)
    cumulative = xp.cumsum(probabilities, axis=-1)
    total = cumulative[..., -1:]
    level = xp.minimum(uniforms[..., None] * total, xp.nextafter(total, xp.zeros_like(total)))
    passed = _as(level >= cumulative, probabilities)
    start = xp.ones_like(passed[..., :1])
    return xp.concatenate((start, passed[..., :-1]), axis=-1) - passed


def draw_pair(probabilities: A, uniforms: A) -> tuple[A, A]:
    """Two different operations an edge, drawn without replacement in proportion to their probabilities.

    Args: probabilities (..., E, K), K >= 2; uniforms (..., E, 2).
    Returns: two one-hot arrays (..., E, K), in the order drawn; where one operation has all the probability, the second
    is drawn evenly from the others. Raises: ValueError for K < 2.
    """
    if probabilities.shape[-1] < 2:
        raise ValueError("two paths need at least 2 candidate operations an edge")
    first = draw(probabilities, uniforms[..., 0])
    rest = probabilities * (1 - first)
    rest = namespace(rest).where(rest.sum(axis=-1, keepdims=True) > 0, rest, 1 - first)
    return first, draw(rest, uniforms[..., 1])


def gumbel_softmax(logits: A, uniforms: A, temperature: Any) -> A:
    """Relaxed sample z = softmax((logits + G) / temperature), G = -log(-log u) (Jang et al. 2017).

    Args: logits (..., E, K); uniforms (..., E, K), kept inside (0, 1) to the type's smallest step; temperature > 0.
    """
    return softmax((logits + gumbel(uniforms)) / temperature)


def gumbel(uniforms: A) -> A:
    """Gumbel noise -log(-log u), finite at both ends: u is kept inside (0, 1) to the type's smallest step."""
    xp = namespace(uniforms)
    tiny = xp.finfo(uniforms.dtype).tiny  # type: ignore[attr-defined]
    noise: A = -xp.log(-xp.log(uniforms + tiny) + tiny)
    return noise


def perturbed_given(probabilities: A, gates: A, uniforms: A) -> A:
    """log p + Gumbel noise, given which operation of each edge has the largest: that of `gates`.

    With G the noise and i the operation: G_i for i itself, because the largest of all is a Gumbel variable whatever i
    is, and -log(exp(-G_k) / p_k + exp(-G_i)) for k != i (Maddison et al. 2014; Paulus et al. 2021, eq. 4).

    Args: probabilities, one-hot gates (broadcasting), uniforms (..., E, K). Returns: (..., E, K), -inf where p is zero.
    """
    xp = namespace(probabilities)
    noise: Any = gumbel(uniforms)
    top = (gates * noise).sum(axis=-1, keepdims=True)
    below = -xp.logaddexp(-noise - logits(probabilities), -top)
    return xp.where(gates > 0, top, below)  # type: ignore[operator]


def draw_another(probabilities: A, gates: A, uniforms: A) -> A:
    """A second architecture in proportion to its probability, without the first: one edge after the other.

    Given that no edge before differed, edge e keeps its operation a_e with weight p_e(a_e) miss_e+1 and takes another
    with weight p_ek; miss_e is the probability that some edge from e on differs. Later edges are then free.

    Args: probabilities, one-hot gates (..., E, K); uniforms (..., E). Returns: gates (..., E, K), those given where no
    other architecture has a positive probability.
    """
    xp = namespace(probabilities)
    kept = (probabilities * gates).sum(axis=-1)
    others = (probabilities * (1 - gates)).sum(axis=-1)
    misses = [xp.zeros_like(kept[..., 0])]
    for edge in range(gates.shape[-2] - 1, 0, -1):
        misses.insert(0, others[..., edge] + kept[..., edge] * misses[0])
    same, drawn = xp.ones_like(kept[..., 0]), []
    for edge, miss in enumerate(misses):
        p, a = probabilities[..., edge, :], gates[..., edge, :]
        apart = p * (1 - a) + a * p * miss[..., None]
        apart = xp.where(apart.sum(axis=-1, keepdims=True) > 0, apart, a)
        drawn.append(draw(xp.where(same[..., None] > 0, apart, p), uniforms[..., edge]))
        same = same * (drawn[-1] * a).sum(axis=-1)
    return xp.stack(drawn, axis=-2)


def logits(probabilities: Any) -> Any:
    """Logits of a policy, (..., E, K), which `softmax` takes back: its logarithms, -inf for a probability of zero."""
    xp = namespace(probabilities)
    positive = probabilities > 0
    return xp.where(positive, xp.log(xp.where(positive, probabilities, 1.0)), -xp.inf)


def one_hot_argmax(values: A) -> A:
    """One-hot gates (..., E, K) of the largest entry of each row, the first one on ties."""
    xp = namespace(values)
    best = xp.argmax(values, axis=-1, keepdims=True)
    return _as(best == positions(values), values)


def choices(gates: A) -> A:
    """Integer operation of each edge, (..., E), from one-hot gates (..., E, K)."""
    return namespace(gates).argmax(gates, axis=-1)


def gates_of(choice: A, candidates: int, like: A) -> A:
    """One-hot gates (..., E, K) of integer operations (..., E), in the type and on the device of `like`."""
    return _as(choice[..., None] == positions(like[..., :1, :candidates]), like)


def positions(values: Any) -> Any:
    """Integers 0..K-1 along the last axis, in the shape and on the device of `values`."""
    xp = namespace(values)
    return xp.cumsum(xp.ones_like(values, dtype=xp.int64), axis=-1) - 1


# ------------------------------------------------------------------ quantities


def log_probability(probabilities: A, gates: A) -> A:
    """log P(a), (...,), of one-hot gates (..., E, K); -inf where a gate has probability zero."""
    xp = namespace(probabilities)
    return xp.log((probabilities * gates).sum(axis=-1)).sum(axis=-1)


def entropy(probabilities: A) -> A:
    """Entropy of each edge in nats, (..., E), with 0 ln 0 = 0."""
    return -_x_log_y(probabilities, probabilities).sum(axis=-1)


def kl(probabilities: A, other: A) -> A:
    """KL(p || other) of each edge in nats, (..., E), with 0 ln 0 = 0 and +inf where p > 0 = other."""
    difference = _x_log_y(probabilities, probabilities) - _x_log_y(probabilities, other)
    return difference.sum(axis=-1)


# ------------------------------------------------------------------ the step of theorem T1


def natural_step(probabilities: A, gradient: A, step: Any) -> A:
    """p' = p - step * gradient, the natural-gradient step in probabilities (T1). Rational: exact on exact input.

    Args: probabilities, gradient (..., E, K), rows of the gradient summing to zero; step a number or (..., 1, 1).
    Returns: (..., E, K): off the simplex if step exceeds `simplex_step`.
    """
    return probabilities - step * gradient


def admissible_step(max_loss: Any, expected_loss: Any) -> Any:
    """The largest step for which T1 promises E[L] not to rise, for any number of edges: 1 / (max L - J).

    Infinite where max L = J, as plain numbers or float arrays: then every architecture that can be drawn has the
    same loss. Raises: ZeroDivisionError there for arrays of fractions.
    """
    if hasattr(max_loss, "shape") or hasattr(expected_loss, "shape"):
        return 1 / (max_loss - expected_loss)
    return 1 / (max_loss - expected_loss) if max_loss > expected_loss else math.inf


def simplex_step(probabilities: A, gradient: A) -> A:
    """The largest step that keeps p - step * gradient non-negative, (...,); +inf if nothing decreases.

    Larger than `admissible_step` in general, and not enough for monotone improvement (theorem T3).
    """
    xp = namespace(probabilities)
    falls = gradient > 0  # type: ignore[operator]
    ratio = xp.where(falls, probabilities / xp.where(falls, gradient, xp.ones_like(gradient)), math.inf)
    return xp.amin(xp.amin(ratio, axis=-1), axis=-1)


# ------------------------------------------------------------------ helpers


def _x_log_y(x: A, y: A) -> A:
    xp = namespace(x)
    positive = x > 0  # type: ignore[operator]
    return xp.where(positive, x * xp.log(xp.where(positive, y, xp.ones_like(x))), xp.zeros_like(x))


def _as(mask: Any, like: Any) -> Any:
    return mask.astype(like.dtype) if hasattr(mask, "astype") else mask.to(like.dtype)
