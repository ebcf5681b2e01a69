"""How does a gradient move the logits?

`adam`, `sgd`, `natural` (theorem T1's step, in probabilities), `asng` (a natural step that finds its own length) and
`exponentiated` (theorem T9's). Each is an `Optimiser`: moments in, moments out, no hidden state. Rates arrive with each
step, so schedules live with the loop.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas import policy
from nas.arrays import namespace

Moments = dict[str, Any]


@dataclass(frozen=True)
class Optimiser:
    """update(logits, gradient, moments, rate, step) -> (logits, moments); step counts from 1; moments start at zero.

    elementwise: whether each number moves by its own gradient alone, so that weights can be moved like logits.
    """

    name: str
    update: Callable[[Any, Any, Moments, Any, Any], tuple[Any, Moments]]
    moments: tuple[str, ...] = ()
    elementwise: bool = False

    def start(self, logits: Any) -> Moments:
        """Zero moments for logits (..., E, K)."""
        return {name: namespace(logits).zeros_like(logits) for name in self.moments}


def adam(beta1: float = 0.5, beta2: float = 0.999, epsilon: float = 1e-8, decay: float = 0.0) -> Optimiser:
    """Adam (Kingma & Ba 2015) with L2 decay added to the gradient, as the paper's searches use it."""

    def update(logits: Any, gradient: Any, moments: Moments, rate: Any, step: Any) -> tuple[Any, Moments]:
        gradient = gradient + decay * logits if decay else gradient
        first = beta1 * moments["first"] + (1 - beta1) * gradient
        second = beta2 * moments["second"] + (1 - beta2) * gradient * gradient
        scale = (second / (1 - beta2**step)) ** 0.5 + epsilon
        return logits - rate / (1 - beta1**step) * first / scale, {"first": first, "second": second}

    return Optimiser("adam", update, ("first", "second"), elementwise=True)


def sgd(decay: float = 0.0) -> Optimiser:
    """Plain gradient descent on the logits (theorems T8, T10 for decay = 0)."""

    def update(logits: Any, gradient: Any, moments: Moments, rate: Any, step: Any) -> tuple[Any, Moments]:
        gradient = gradient + decay * logits if decay else gradient
        return logits - rate * gradient, moments

    return Optimiser("sgd", update, elementwise=True)


def natural() -> Optimiser:
    """Natural-gradient step in probabilities, p' = p - rate * gradient (T1), shortened to stay on the simplex.

    With the exact gradient and rate <= 1 / (max L - J) nothing is shortened. With sampled gradients a step that would
    leave the simplex stops at its face; an operation whose probability reached zero never returns.
    """

    def update(logits: Any, gradient: Any, moments: Moments, rate: Any, step: Any) -> tuple[Any, Moments]:
        xp = namespace(logits)
        probabilities = policy.softmax(logits)
        longest = policy.simplex_step(probabilities, gradient)
        length = xp.where(longest < rate, longest, rate)[..., None, None]
        moved = policy.natural_step(probabilities, gradient, length)
        positive = moved > 0
        return xp.where(positive, xp.log(xp.where(positive, moved, xp.ones_like(moved))), -xp.inf), moments

    return Optimiser("natural", update)


def asng(threshold: float = 1.5) -> Optimiser:
    """Adaptive stochastic natural gradient (Akimoto et al. 2019): natural steps of Fisher length rate / Delta.

    Delta follows the signal: steps grow while the accumulated whitened steps, `path`, are longer than a random walk's
    times `threshold` (in squares), and shrink otherwise. The published rate is 1. Only the gradient's direction counts:
    with the leave-one-out gradient of two samples this is ASNG-NAS, whose utilities are their ranks, but for one bound.
    No probability falls below 1 / (E (K - 1)), at which one edge a sample explores; where that is more than half of the
    uniform probability, in the smallest games, that half is the floor. The bound: a step beyond one above the floor
    counts as one, which the published code does not do. A gradient of zero changes nothing.
    """

    def update(logits: Any, gradient: Any, moments: Moments, rate: Any, step: Any) -> tuple[Any, Moments]:
        xp = namespace(logits)
        edges, candidates = logits.shape[-2:]
        freedom = max(edges * (candidates - 1), 1)
        probabilities = policy.softmax(logits)
        whitened = gradient / probabilities**0.5
        fisher = (whitened * whitened).sum(axis=-1).sum(axis=-1)[..., None, None] ** 0.5
        moving = fisher > 0
        per_length = 1 / xp.where(moving, fisher, xp.ones_like(fisher))

        length = xp.clip(rate * xp.exp(-moments["log_delta"]), 0.0, freedom**0.5)
        moved = policy.natural_step(probabilities, gradient, length * per_length)
        share = length / freedom**0.5
        path = (1 - share) * moments["path"] + (share * (2 - share)) ** 0.5 * whitened * per_length
        weight = (1 - share) ** 2 * moments["weight"] + share * (2 - share)
        energy = (path * path).sum(axis=-1).sum(axis=-1)[..., None, None]
        log_delta = moments["log_delta"] + share * (weight - energy / threshold)

        floor = min(1 / freedom, 1 / (2 * candidates))
        excess = xp.clip(moved - floor, 0.0, 1.0)
        kept = floor + excess * (1 - candidates * floor) / excess.sum(axis=-1, keepdims=True)
        adapted = {"path": path, "weight": weight, "log_delta": log_delta}
        after = {name: xp.where(moving, value, moments[name]) for name, value in adapted.items()}
        return xp.where(moving, xp.log(kept), logits), after

    return Optimiser("asng", update, ("path", "weight", "log_delta"))


def exponentiated() -> Optimiser:
    """Exponentiated gradient, p' ~ p exp(-rate Q) with gradient = p (Q - J) (T9; GAEA for dense gradients)."""

    def update(logits: Any, gradient: Any, moments: Moments, rate: Any, step: Any) -> tuple[Any, Moments]:
        xp = namespace(logits)
        probabilities = policy.softmax(logits)
        positive = probabilities > 0
        advantages = gradient / xp.where(positive, probabilities, xp.ones_like(probabilities))
        return xp.where(positive, logits - rate * advantages, logits), moments

    return Optimiser("exponentiated", update)


OPTIMISERS: dict[str, Callable[..., Optimiser]] = {
    "adam": adam,
    "sgd": sgd,
    "natural": natural,
    "asng": asng,
    "exponentiated": exponentiated,
}


def build(name: str, beta1: float = 0.5, beta2: float = 0.999, decay: float = 0.0) -> Optimiser:
    """The optimiser called `name`. beta1, beta2 are Adam's, decay is Adam's and SGD's; the others take none of them.

    Raises: ValueError with the known names.
    """
    if name not in OPTIMISERS:
        raise ValueError(f"unknown optimiser {name!r}; known: {', '.join(OPTIMISERS)}")
    make = OPTIMISERS[name]
    settings = {"beta1": beta1, "beta2": beta2, "decay": decay}
    own = inspect.signature(make).parameters
    return make(**{setting: value for setting, value in settings.items() if setting in own})


def clip_norm(gradient: Any, largest: float) -> Any:
    """Scale gradients (..., E, K) so that the norm over (E, K) is at most `largest`."""
    return gradient * clip_scale((gradient * gradient).sum(axis=-1).sum(axis=-1)[..., None, None] ** 0.5, largest)


def clip_scale(norm: Any, largest: float) -> Any:
    """What makes of a gradient of this norm (...,) one of norm `largest` at most: largest / norm, or one."""
    return largest / namespace(norm).clip(norm, largest, None)
