"""T15: what is left of monotone improvement while the weights train? The decreases fit into how cells drift apart.

Between architecture steps the weights move, so the loss of an architecture changes from L_t to L_{t+1}; let D_t =
L_{t+1} - L_t, osc D = max D - min D over the architectures, and d_t = J_t(p_t) - J_t(p_{t+1}) what the architecture
step t gains at the weights it was taken at. Then, exactly,

    sum_t d_t = J_0(p_0) - J_T(p_T) + sum_t E_{p_{t+1}}[D_t],                                                   (1)

and with the excess X_t = J_t(p_t) - min L_t >= 0 over the best architecture of the moment

    sum_t d_t <= X_0 - X_T + sum_t osc D_t.                                                                    (2)

(min L_{t+1} >= min L_t + D_t at the best architecture of t + 1.) What weight training does to all architectures alike
costs nothing; only how differently it treats them does. Once sum osc D exceeds the gains that steps bring, monotone
improvement says nothing. The gradient moves by at most

    ||grad J_{t+1} - grad J_t|| <= osc D_t / (2 sqrt 2)      at any one policy,                                  (3)

since grad = E[(D - c)(a - p)] and Var <v, a> <= ||v||^2 / 2; with T10, a step along a gradient that is one weight step
old still improves where ||grad J_{t+1}|| is more than that. (1) and (2) are telescoping sums, as in online
optimisation with a drifting comparator; what is said here is that the right measure of drift is the oscillation, not
the size.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from nas import policy
from theory import architectures, symbols
from theory.cases import Case
from theory.claim import Checker, Claim, Control, named
from theory.landscapes import Landscape

NEGLIGIBLE = Fraction(1, 10**9)  # a room of floats that may be the rounding of none, in loss units


@dataclass(frozen=True)
class Drift:
    """Of one interval, in loss units: D's mean over the architectures that were looked at, and max D - min D."""

    common: Any
    apart: Any


def drifts(losses: Any) -> list[Drift]:
    """From losses (T + 1, n) of n architectures at T + 1 moments, on the same minibatches: the drift of each interval.

    Of a sample of architectures `apart` is a lower bound of osc D. Raises: ValueError for another shape.
    """
    if np.ndim(losses) != 2 or len(losses) < 2:
        raise ValueError(f"drift is between rows of losses, two moments or more, not in the shape {np.shape(losses)}")
    changes = losses[1:] - losses[:-1]
    return [Drift(change.sum() / len(change), change.max() - change.min()) for change in changes]


@dataclass(frozen=True)
class Run:
    """Losses (T + 1, n) of all n architectures, gates (n, E, K), policies (T + 1 of (E, K)) and probabilities P(a)."""

    losses: Any
    gates: Any
    policies: list[Any]
    chances: list[Any]

    def loss(self, t: int, s: int) -> Any:
        """J_t(p_s)."""
        return (self.chances[s] * self.losses[t]).sum()

    def gradient(self, t: int, s: int) -> Any:
        """grad J_t at p_s, (E, K)."""
        weight = self.chances[s] * self.losses[t]
        return (weight[:, None, None] * self.gates).sum(axis=0) - weight.sum() * self.policies[s]


def run(problem: Landscape, p: Any, share: Any) -> Run:
    """Two of T1's steps, `share` of the longest, while the losses move: some towards those of others, all by 3."""
    edges, candidates = p.shape
    every = architectures.choices(edges, candidates)
    gates = architectures.one_hot(every, candidates, p.dtype == object)
    first = problem.loss(gates)
    second = first + share * (np.roll(first, 1) - first) + 3
    losses = np.stack([first, second, second - share * np.roll(first, len(first) // 2)])
    policies, chances = [p], [architectures.probability(p, every)]
    for t in range(2):
        found = Run(losses, gates, policies, chances)
        longest = losses[t].max() - found.loss(t, t)
        step = (
            share / longest if longest > NEGLIGIBLE else share
        )  # shorter than T1's longest where all losses are equal
        moved = policy.natural_step(policies[t], found.gradient(t, t), step)
        policies, chances = [*policies, moved], [*chances, architectures.probability(moved, every)]
    return Run(losses, gates, policies, chances)


def slack(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    """The room in (1), (2), (3) and in T1's promise that no step raises the loss that it was taken on."""
    found = run(problem, p, share)
    gains = [found.loss(t, t) - found.loss(t, t + 1) for t in range(2)]
    changes = found.losses[1:] - found.losses[:-1]
    identity = found.loss(0, 0) - found.loss(2, 2) + sum((found.chances[t + 1] * changes[t]).sum() for t in range(2))
    rooms = min(*gains, -abs(sum(gains) - identity), _room(found, 1), *_gradient_rooms(found, 8)) / _unit(found)
    return min(rooms, *(the_named_step(found, t, share) for t in range(2)), the_named_drift(problem, found, share))


def the_named_step(found: Run, t: int, share: Any) -> Any:
    """`named`: (max L - J) (p' - p) = -share grad J, in units of the losses; where all agree nothing moves."""
    losses, p = found.losses[t], found.policies[t]
    room, spread = losses.max() - found.loss(t, t), losses.max() - losses.min()
    if room <= (0 if p.dtype == object else NEGLIGIBLE):
        room, share = 0 * room, 0 * share
    unit = spread if spread > NEGLIGIBLE else 1 + 0 * spread
    return named((found.policies[t + 1] - p) * room / unit, -share * found.gradient(t, t) / unit)


def the_named_drift(problem: Landscape, found: Run, share: Any) -> Any:
    """`named`: how far the losses move together and apart, from where they began; at rest (2), (3) say little."""
    first = problem.loss(found.gates)
    ahead = share * (np.concatenate([first[-1:], first[:-1]]) - first)
    back = -share * np.concatenate([first[len(first) - len(first) // 2 :], first[: len(first) - len(first) // 2]])
    size = 1 + abs(first).max()
    wanted = [value for d in (ahead + 3, back) for value in (d.sum() / len(d), d.max() - d.min())]
    moved = [value for drift in drifts(found.losses) for value in (drift.common, drift.apart)]
    return named(np.array(moved) / size, np.array(wanted) / size)


def _unit(found: Run) -> Any:
    return (1 + abs(found.losses).max()) ** 2


def _room(found: Run, share: Any) -> Any:
    """X_0 - X_T + share sum osc D - sum d."""
    gains = [found.loss(t, t) - found.loss(t, t + 1) for t in range(2)]
    excess = [found.loss(t, t) - found.losses[t].min() for t in (0, 2)]
    return excess[0] - excess[1] + share * sum(drift.apart for drift in drifts(found.losses)) - sum(gains)


def _gradient_rooms(found: Run, divisor: Any) -> list[Any]:
    """osc^2 / divisor - ||grad J_{t+1} - grad J_t||^2 at p_t; (3) has 8."""
    rooms = []
    for t, drift in enumerate(drifts(found.losses)):
        moved = found.gradient(t + 1, t) - found.gradient(t, t)
        rooms.append(drift.apart**2 / divisor - (moved * moved).sum())
    return rooms


def _control(share: Any) -> Checker:
    def checker(problem: Landscape, p: Any, part: Any, direction: Any) -> Any:
        found = run(problem, p, part)
        return _room(found, share) / _unit(found)

    return checker


def _nine(problem: Landscape, p: Any, share: Any, direction: Any) -> Any:
    found = run(problem, p, share)
    return min(_gradient_rooms(found, 9)) / _unit(found)


SWAPPED = Case("table", np.array([0, 1, 0]), np.array([[1, 1]]), Fraction(1), np.zeros((1, 2), dtype=int))
APART = Case(
    "table", np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]]), np.array([[1, 1], [1, 7]]), Fraction(1), np.zeros((2, 2))
)


def symbolic() -> list[Any]:
    """(1) for two steps of one edge, any losses and policies; and ||E[(D - c)(a - p)]||^2 = osc^2 / 8 at p = 1/2."""
    losses, p = symbols.symbols("L", 3, 2), symbols.symbols("p", 3)
    policies = [np.array([q, 1 - q], dtype=object) for q in p]

    def mean(t: int, s: int) -> Any:
        return (policies[s] * losses[t]).sum()

    gains = sum(mean(t, t) - mean(t, t + 1) for t in range(2))
    drift = sum((policies[t + 1] * (losses[t + 1] - losses[t])).sum() for t in range(2))
    change = losses[1] - losses[0]
    half = np.full(2, sympy.Rational(1, 2))
    moved = [half[k] * (change[k] - (half * change).sum()) for k in range(2)]
    return symbols.reduced(
        [
            gains - (mean(0, 0) - mean(2, 2) + drift),
            sum(entry**2 for entry in moved) - (change[0] - change[1]) ** 2 / 8,
        ]
    )


CLAIM = Claim(
    "T15",
    "moving weights",
    "sum_t d_t = J_0(p_0) - J_T(p_T) + sum_t E_{p_{t+1}}[D_t] <= J_0 - min L_0 + sum_t osc D_t, where d_t is what "
    "step t gains at the weights it was taken at, D_t = L_{t+1} - L_t, osc D = max D - min D; ||grad J_{t+1} - grad "
    "J_t|| <= osc D_t / (2 sqrt 2)",
    "any losses, any policies, any steps; osc over all architectures (over some of them it is a lower bound)",
    "osc D; 1 / (2 sqrt 2), attained by one fair binary edge",
    slack,
    (
        Control("the gains never exceed the first excess, however the weights move", _control(0)),
        Control("half the oscillation pays for the gains", _control(Fraction(1, 2)), example=APART),
        Control("the gradient moves by at most osc D / 3", _nine, example=SWAPPED),
    ),
    "the identity for two steps of one edge, any losses and policies; osc^2 / 8 at a fair binary edge",
    symbolic,
)
