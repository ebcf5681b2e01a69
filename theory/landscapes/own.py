"""How does a user's landscape come in? As ``package.module:name``, in one of three forms, the same for every program.

- a `theory.landscapes.Landscape`, built already;
- a function (edges, candidates, seed, **options) that returns one;
- a function of gates (..., E, K) -> loss (...,), in torch or in operators alone, which accepts mixtures of operations.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from nas.running import plugins
from theory.landscapes.kinds import Function, Landscape

SIZE = (6, 4)  # edges and candidates where none are asked for


def build(name: str, edges: int | None, candidates: int | None, seed: int, exact: bool, options: dict[str, Any]) -> Any:
    """What the user's name stands for: a Landscape, or whatever else the user's function returned.

    Raises: ValueError in one line: what cannot be loaded or called, or has another size.
    """
    found = plugins.load(name, "landscape")
    size = (SIZE[0] if edges is None else edges, SIZE[1] if candidates is None else candidates)
    if min(size) < 1:
        raise ValueError(f"a landscape needs at least one edge and one candidate, not {size[0]} x {size[1]}")
    if not callable(found) or isinstance(found, Landscape):
        if options:
            raise ValueError(f"landscape {name!r} is built already: it takes no options {', '.join(options)}")
        built = found
    elif _of_gates(name, found):
        built = from_function(functools.partial(found, **options) if options else found, *size)
    else:
        built = _call(name, found, (*size, seed), options)
    if not isinstance(built, Landscape):
        return built
    if built.shape != (edges or built.edges, candidates or built.candidates):
        raise ValueError(
            f"landscape {name!r} has {built.edges} edges and {built.candidates} candidates, not {size[0]} and {size[1]}"
        )
    if exact and not built.exact:
        raise ValueError(f"landscape {name!r} holds floats: it has no exact form")
    return replace(built, name=built.name or name)


def from_function(function: Callable[[Any], Any], edges: int, candidates: int) -> Function:
    """A landscape from a function of torch gates (..., E, K) -> loss (...,), which must accept mixtures of operations.

    Raises: ValueError in one line if it fails on a batch of gates, answers in another shape or has no gradient.
    """
    import torch

    landscape = Function(function, (edges, candidates))
    gates = torch.full((2, 3, edges, candidates), 1 / candidates, dtype=torch.float64)
    what = f"{getattr(function, '__name__', 'the function')} on torch gates {tuple(gates.shape)}"
    try:
        landscape.slopes(gates)
        loss = function(gates)
    except (TypeError, AttributeError, RuntimeError, IndexError, ValueError) as error:
        raise ValueError(f"{what} fails: {str(error).splitlines()[0]}") from error
    if tuple(loss.shape) != (2, 3):
        raise ValueError(f"{what} must return a loss (2, 3), one of each architecture, not {tuple(loss.shape)}")
    return landscape


def _of_gates(name: str, function: Callable[..., Any]) -> bool:
    """Whether it is a function of gates alone, rather than one of edges, candidates and seed."""
    if inspect.isbuiltin(function):
        raise ValueError(f"landscape {name!r} is a function of Python itself, not one of yours")
    parameters = inspect.signature(function).parameters.values()
    needed = [
        p.name for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) in (1, 3):
        return len(needed) == 1
    raise ValueError(
        f"landscape {name!r} takes ({', '.join(needed)}); a landscape is a function of (gates), "
        "or of (edges, candidates, seed) that returns a theory.landscapes.Landscape"
    )


def _call(name: str, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    try:
        inspect.signature(function).bind(*arguments, **options)
    except TypeError as error:
        raise ValueError(f"landscape {name!r}: {error}") from error
    try:
        return function(*arguments, **options)
    except (Exception, SystemExit) as error:  # whatever a user's function does
        raise ValueError(f"landscape {name!r} failed: {plugins.why(error)}") from error
