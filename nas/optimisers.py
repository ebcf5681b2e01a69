"""How does a gradient move the logits?

`adam`, `sgd`, `natural` (theorem T1's step, in probabilities) and `exponentiated` (theorem T9's). Each is an
`Optimiser`: moments in, moments out, no hidden state. Rates arrive with each step, so schedules live with the loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas import policy
from nas.arrays import namespace

Moments = dict[str, Any]


@dataclass(frozen=True)
class Optimiser:
    """update(logits, gradient, moments, rate, step) -> (logits, moments); step counts from 1; moments start at zero."""

    name: str
    update: Callable[[Any, Any, Moments, Any, Any], tuple[Any, Moments]]
    moments: tuple[str, ...] = ()

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

    return Optimiser("adam", update, ("first", "second"))


def sgd(momentum: float = 0.0, decay: float = 0.0) -> Optimiser:
    """Plain gradient descent on the logits (theorems T8, T10 for momentum = decay = 0)."""

    def update(logits: Any, gradient: Any, moments: Moments, rate: Any, step: Any) -> tuple[Any, Moments]:
        gradient = gradient + decay * logits if decay else gradient
        if not momentum:
            return logits - rate * gradient, moments
        velocity = momentum * moments["velocity"] + gradient
        return logits - rate * velocity, {"velocity": velocity}

    return Optimiser("sgd", update, ("velocity",) if momentum else ())


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
    "exponentiated": exponentiated,
}


def clip_norm(gradient: Any, largest: float) -> Any:
    """Scale gradients (..., E, K) so that the norm over (E, K) is at most `largest`."""
    xp = namespace(gradient)
    norm = (gradient * gradient).sum(axis=-1).sum(axis=-1)[..., None, None] ** 0.5
    return gradient * xp.where(norm > largest, largest / xp.where(norm > 0, norm, xp.ones_like(norm)), 1.0)
