"""What does a name of the form ``package.module:name`` mean? The one place that imports what a user names."""

import importlib
from typing import Any


def is_own(name: str) -> bool:
    """Whether `name` has the form of a user's own, ``package.module:name``."""
    return ":" in name


def load(name: str, what: str) -> Any:
    """The object that ``package.module:name`` names.

    Args: what, the kind of thing that is asked for ("method", "landscape", "task"), for the error's line.
    Raises: ValueError in one line: what cannot be loaded, and why.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # TypeError: a name relative to nothing
        raise ValueError(f"cannot load {what} {name!r}: {error}") from error
