"""What does a run meet of a landscape? Its loss on this minibatch, at this moment: here stand noise and state.

An `Environment` holds a `theory.landscapes.Landscape` and nothing that it does not need: most are still and noiseless.
`Noisy` disturbs every minibatch, `Drifting` remembers what was visited.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from nas.arrays import namespace
from nas.objective import Objective
from theory.landscapes import UNKNOWN, Affine, Bilinear, Enumerated, Landscape, Truth

SUMMED = 1 << 20  # architectures that a simulation sums over before it starts
Visits = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Environment:
    """A still and noiseless landscape; what has noise or state overrides some of this.

    landscape: the loss without noise, after all drift: the derived architecture is judged by it. It knows J in closed
    form, or by the losses of all architectures.
    """

    landscape: Landscape

    @classmethod
    def of(cls, name: str, landscape: Any) -> "Environment":
        """The environment of a landscape, its losses summed up where J has no closed form.

        Raises: ValueError for what is no landscape, or where there are more than `SUMMED` architectures to sum over.
        """
        if not isinstance(landscape, Landscape):
            raise ValueError(
                f"landscape {name!r} is a {type(landscape).__name__}, neither a theory.landscapes.Landscape "
                "nor a simulate.landscapes.Environment"
            )
        if landscape.closed_form:
            return cls(landscape)
        try:
            return cls(Enumerated.of(landscape, SUMMED))
        except ValueError as error:
            raise ValueError(f"landscape {name!r}: {error}") from error

    @property
    def noise(self) -> int:
        """Uniforms that one minibatch consumes."""
        return 0

    def start(self, logits: Any) -> Visits:
        """State before the first step, for logits (R, E, K); arrays with R first, or nothing."""
        return {}

    def minibatch(self, visits: Visits, noise: Any) -> Objective[Any]:
        """The loss on one minibatch, noise (R, `noise`) uniform on [0, 1)."""
        return self.now(visits)

    def visit(self, visits: Visits, gates: Any) -> Visits:
        """The state after a step that ran `gates` (R, E, K)."""
        return visits

    def now(self, visits: Visits) -> Landscape:
        """The loss at this moment without noise: J and its gradient are its own."""
        return self.landscape

    @cached_property
    def truth(self) -> Truth:
        """Optimum, smallest and largest loss of `landscape`; unknown where more than `SUMMED` would be summed over."""
        known = self.landscape.extremes(SUMMED) or UNKNOWN
        return known if self.landscape.one_best else replace(known, optimum=None)

    def placed(self, convert: Callable[[Any], Any]) -> Self:
        """The same with every parameter array converted: to another world, type or device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: convert(v) for name, v in values.items() if isinstance(v, np.ndarray)}
        return replace(self, **moved, landscape=self.landscape.placed(convert))


@dataclass(frozen=True, eq=False)
class Noisy(Environment):
    """The landscape plus sum_e <a_e, size t>, t a fresh Student-t(2) number for each operation: infinite variance."""

    size: float

    @property
    def noise(self) -> int:
        return self.landscape.edges * self.landscape.candidates

    def minibatch(self, visits: Visits, noise: Any) -> Objective[Any]:
        inside = noise.reshape(-1, *self.landscape.shape) * (1 - 2.0**-23) + 2.0**-24
        disturbance = self.size * (2 * inside - 1) / (2 * inside * (1 - inside)) ** 0.5  # inverse CDF of t(2)
        return _Disturbed(self.landscape, disturbance)


@dataclass(frozen=True, eq=False)
class _Disturbed(Affine):
    base: Landscape
    disturbance: Any  # (R, E, K)

    @property
    def shape(self) -> tuple[int, int]:
        return self.base.shape

    def loss(self, gates: Any) -> Any:
        return self.base.loss(gates) + (gates * _aligned(self.disturbance, gates)).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return self.base.slopes(gates) + _aligned(self.disturbance, gates)


@dataclass(frozen=True, eq=False)
class Drifting(Environment):
    """sum_e <a_e, l_e>, l = final + (initial - final) exp(-visits / pace): an operation's loss falls as it is visited.

    landscape is that of the final losses; initial (E, K).
    """

    landscape: Bilinear
    initial: Any
    pace: float

    def start(self, logits: Any) -> Visits:
        return {"visits": 0 * logits}

    def visit(self, visits: Visits, gates: Any) -> Visits:
        return {"visits": visits["visits"] + gates}

    def now(self, visits: Visits) -> Landscape:
        seen, final = visits["visits"], self.landscape.unary
        return _Moment(final + (self.initial - final) * namespace(seen).exp(-seen / self.pace))


@dataclass(frozen=True, eq=False)
class _Moment(Affine):
    losses: Any  # (R, E, K)

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.losses.shape[-2:])

    def loss(self, gates: Any) -> Any:
        return (gates * _aligned(self.losses, gates)).sum(axis=-1).sum(axis=-1)

    def slopes(self, gates: Any) -> Any:
        return _aligned(self.losses, gates) + 0 * gates


def _aligned(values: Any, gates: Any) -> Any:
    """(R, E, K) beside gates (R, ..., E, K)."""
    rows, edges, candidates = values.shape
    return values.reshape(rows, *(1,) * (gates.ndim - 3), edges, candidates)
