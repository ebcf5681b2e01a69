"""Which landscapes does the simulator know by name? Those of `theory.landscapes`, and what theory cannot enumerate.

`make` knows them by name: all of `theory.landscapes.names()`, the same objects, and

    noisy     additive plus a Student-t(2) disturbance of every operation, fresh each step: infinite variance
    drifting  additive, but an operation's loss falls as it is visited: the first ones tried look good (co-training)
    toy       the toy regression of Sato et al. (2021) on `inputs` fixed inputs: tanh cells against a random teacher

or a user's own, ``package.module:name`` (`theory.landscapes.own`; a function there may also return an `Environment`).
"""

from collections.abc import Callable
from typing import Any

from nas.running import plugins
from simulate.landscapes.environment import Drifting, Environment, Noisy
from simulate.landscapes.toy import toy
from theory import landscapes
from theory.landscapes import Bilinear, named, own
from theory.streams import stream


def make(
    name: str, edges: int | None = None, candidates: int | None = None, seed: int = 0, **options: Any
) -> Environment:
    """The environment of the landscape called `name`, parameters NumPy float64; arguments as `theory.landscapes.make`.

    Raises: ValueError in one line for an unknown name, option or size.
    """
    if plugins.is_own(name):
        built = own.build(name, edges, candidates, seed, False, options)
        if isinstance(built, Environment) and not built.landscape.closed_form:
            raise ValueError(f"landscape {name!r} does not know J: build it on theory.landscapes.Enumerated.of(...)")
        return built if isinstance(built, Environment) else Environment.of(name, built)
    if name not in OWN:
        named.check(name, {**landscapes.LANDSCAPES, **OWN}, options)
        return Environment.of(name, landscapes.make(name, edges, candidates, seed, **options))
    named.check(name, OWN, options)
    built = OWN[name](*named.size_of(name, edges, candidates), seed, **options)
    return built if isinstance(built, Environment) else Environment.of(name, built)


def names() -> tuple[str, ...]:
    """All landscapes that `make` knows by name."""
    return (*landscapes.names(), *OWN)


def _noisy(edges: int, candidates: int, seed: int, *, size: float = 0.5) -> Environment:
    unary = stream(seed, "noisy").standard_normal((edges, candidates))
    return Noisy(Bilinear(unary, name="noisy"), size)


def _drifting(edges: int, candidates: int, seed: int, *, pace: float = 100.0, head_start: float = 1.0) -> Environment:
    random = stream(seed, "drifting")
    final = random.standard_normal((edges, candidates))
    initial = final + head_start * (1 + random.random((edges, candidates)))
    return Drifting(Bilinear(final, name="drifting"), initial, pace)


OWN: dict[str, Callable[..., Any]] = {"noisy": _noisy, "drifting": _drifting, "toy": toy}
