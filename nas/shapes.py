"""Do the arguments of an estimator fit each other? Refused at the door, before a broadcast makes a number of them.

    @shaped(probabilities="E K", gates="E K", loss="")

says that probabilities and gates are (..., E, K) and the loss is (...): an axis has one size wherever its name stands.
"E/1" may also have size one, or be a plain number, for all edges alike; "2" has that size; an argument without axes of
its own may be a plain number. Leading axes are replicates or samples. Arrays with two named axes or more set them,
broadcasting among each other, and numbers an edge or an architecture must fit into them: a loss (2,) beside one
architecture (E, K) would make two gradients of it, and is refused.

Only shapes are read, never values: nothing is computed, and no GPU is waited for.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
Shape = tuple[int, ...]


def shaped(**shapes: str) -> Callable[[F], F]:
    """Refuse calls whose arguments do not have these axes. The docstring shows them; so does the attribute `shapes`.

    Raises, when called: ValueError in one line that names the function, the argument, its shape and the rule.

    >>> @shaped(probabilities="E K", loss="")
    ... def plain(probabilities, loss):
    ...     return probabilities * loss
    >>> import numpy as np
    >>> plain(np.ones((2, 3)), np.ones(2))
    Traceback (most recent call last):
    ValueError: plain: loss has the shape (2,), it must be (...) with leading axes that fit (), the architectures'
    """

    def decorate(function: F) -> F:
        parameters = inspect.signature(function).parameters
        if unknown := sorted(shapes.keys() - parameters.keys()):
            raise ValueError(f"{function.__name__} has no parameter {unknown[0]!r}")
        arrays = {name for name, axes in shapes.items() if len(axes.split()) > 1 and not axes.startswith("1")}
        rules: tuple[_Rule, ...] = ()
        for place, (name, parameter) in enumerate(parameters.items()):
            if name in shapes:
                axes = tuple(shapes[name].split())
                first = rules[0].axes if rules else axes
                plain = tuple(axis.removesuffix("/1") for axis in axes)
                alike = plain == first[: len(axes)] and not any(map(str.isdigit, first))
                missing = len(first) - len(axes) if alike else None
                rules += (_Rule(place, name, axes, missing, name in (arrays or shapes), parameter.default is None),)

        @functools.wraps(function)
        def checked(*arguments: Any, **named: Any) -> Any:
            if not _alike(rules, arguments, named):
                _check(function.__name__, rules, arguments, named)
            return function(*arguments, **named)

        shown = ", ".join(f"{rule.name} {rule.written}" for rule in rules)
        checked.__doc__ = f"{inspect.getdoc(function) or ''}\n\nShapes: {shown}."
        checked.shapes = shapes  # type: ignore[attr-defined]
        return cast(F, checked)

    return decorate


# ------------------------------------------------------------------ the check


class _Rule(NamedTuple):
    """One argument: its place, its axes, and how many of the first argument's they lack at the end, if they begin so;
    whether it sets the leading axes, whether it may be None.
    """

    place: int
    name: str
    axes: tuple[str, ...]
    missing: int | None
    leads: bool
    optional: bool

    @property
    def written(self) -> str:
        """As in "(..., E, K)"."""
        axes = [axis.replace("/1", " or 1") for axis in self.axes]
        return f"({', '.join(['...', *axes])})"

    @property
    def number(self) -> bool:
        """Whether a plain number will do."""
        return all(axis == "1" or axis.endswith("/1") for axis in self.axes)


def _alike(rules: tuple[_Rule, ...], arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Whether every argument has the first one's shape, but for the last axes that its rule lacks: what steps pass.

    The short way through the door, about a microsecond; what is not alike may still fit.
    """
    ahead, first = len(arguments), None
    for place, name, axes, missing, _, optional in rules:
        value = arguments[place] if place < ahead else named.get(name)
        if value is None and optional:
            continue
        shape = getattr(value, "shape", None)
        if shape is None or missing is None:
            return False
        if first is None:
            first = shape
            if len(first) < len(axes):
                return False
        elif shape != (first[:-missing] if missing else first):
            return False
    return True


def _check(function: str, rules: tuple[_Rule, ...], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    sizes: dict[str, int] = {}
    batch: Shape | None = None
    inside: list[tuple[_Rule, Shape]] = []
    for rule in rules:
        if rule.place < len(arguments):
            value = arguments[rule.place]
        elif rule.name in named:
            value = named[rule.name]
        else:
            continue  # Python itself says what is missing
        shape = getattr(value, "shape", ())
        if not shape:
            if not rule.number or isinstance(value, list | tuple) or value is None:
                _refuse_number(function, rule, value)
            continue
        start = len(shape) - len(rule.axes)
        if start < 0:
            raise ValueError(f"{function}: {rule.name} has the shape {tuple(shape)}, it must be {rule.written}")
        for axis, size in zip(rule.axes, shape[start:], strict=True):
            _check_size(function, rule, shape, axis, size, sizes)
        lead = tuple(shape[:start])
        if not rule.leads:
            inside.append((rule, shape))
        elif batch is None:
            batch = lead
        elif lead != batch:
            batch = _together(function, rule, shape, lead, batch)
    for rule, shape in inside:
        lead = tuple(shape[: len(shape) - len(rule.axes)])
        if lead != batch and batch is not None and _together(function, rule, shape, lead, batch) != batch:
            _refuse_lead(function, rule, shape, batch)


def _check_size(function: str, rule: _Rule, shape: Shape, axis: str, size: int, sizes: dict[str, int]) -> None:
    if axis.endswith("/1"):
        if size == 1:
            return
        axis = axis[:-2]
    expected = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
    if size != expected:
        where = "" if axis.isdigit() else f" with {axis} = {expected} as before"
        raise ValueError(f"{function}: {rule.name} has the shape {tuple(shape)}, it must be {rule.written}{where}")


def _together(function: str, rule: _Rule, shape: Shape, lead: Shape, batch: Shape) -> Shape:
    """The leading axes that two broadcast to."""
    longer, shorter = (lead, batch) if len(lead) > len(batch) else (batch, lead)
    ahead = len(longer) - len(shorter)
    both = list(longer)
    for place, size in enumerate(shorter):
        other = longer[ahead + place]
        if size != other and 1 not in (size, other):
            _refuse_lead(function, rule, shape, batch)
        both[ahead + place] = other if size == 1 else size
    return tuple(both)


def _refuse_lead(function: str, rule: _Rule, shape: Shape, batch: Shape) -> None:
    raise ValueError(
        f"{function}: {rule.name} has the shape {tuple(shape)}, it must be {rule.written} with leading axes that fit "
        f"{batch}, the {'others' if rule.leads else 'architectures'}'"
    )


def _refuse_number(function: str, rule: _Rule, value: Any) -> None:
    if value is None and rule.optional:
        return
    found = "None" if value is None else f"a {type(value).__name__}"
    kind = "a number or an array" if rule.number else "an array"
    raise ValueError(f"{function}: {rule.name} is {found}, it must be {kind} {rule.written}")
