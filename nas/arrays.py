"""Which operations may an estimator use, and on what arrays does it then run?

An estimator is a rational function of its inputs: ``+ - * /``, indexing, ``.shape`` and
``.sum(axis=, keepdims=)``. Whatever offers these is an `Array`: a NumPy array of floats, of
`fractions.Fraction` or of SymPy symbols (``dtype=object``), and a torch tensor. Everything
transcendental (softmax, logarithms, noise, ranking) lives in `nas.policy` and `nas.methods` and
finds its functions through `namespace`.
"""

import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class Array(Protocol):
    """What NumPy arrays (float or object) and torch tensors have in common here."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def sum(self) -> Callable[..., Any]: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __truediv__(self, other: Any, /) -> Any: ...


A = TypeVar("A", bound=Array)


def expand(values: Any, axes: int) -> Any:
    """Append `axes` axes of length one, so that per-architecture or per-edge numbers meet (..., E, K).

    A plain number (also a `Fraction` or a symbol) broadcasts as it is.
    """
    return values[(..., *(None,) * axes)] if hasattr(values, "shape") else values


def namespace(array: Array) -> Any:
    """The module, numpy or torch, that holds the functions for `array`.

    Both accept the NumPy spellings ``axis=`` and ``keepdims=``; torch is never imported here: a tensor
    can only come from a program that has imported it.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    import numpy

    return numpy
