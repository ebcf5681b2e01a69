"""What does a name of the form ``package.module:name`` mean, and who may ask for it?

The one place that imports what a user names. Importing a module runs it, so a name counts where the user of a program
wrote it: on the command line. From a file that may be a stranger's (a study, the config.toml of a run folder, a cell's
metadata) it loads only if the command line allows its module by name: ``--allow MODULE``. A program of your own says
`allow("module")`. Labels and tables of a run need no module; `is_own` tells their text from a name of ours.
"""

import contextlib
import importlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

FORM = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
SHOWN = 100  # characters of a name that a refusal shows

_allowed: set[str] = set()


def is_own(name: str) -> bool:
    """Whether `name` has the form of a user's own, ``package.module:name``."""
    return ":" in name


def allow(*modules: str) -> None:
    """Let names of these modules be loaded, in this process, whoever wrote them."""
    _allowed.update(modules)


def allowed() -> tuple[str, ...]:
    """The modules that may be loaded here: what a worker is given to `allow`."""
    return tuple(sorted(_allowed))


def may_load(name: str) -> bool:
    """Whether `name` is a user's own and its module is allowed."""
    parts = FORM.fullmatch(name)
    return parts is not None and parts[1] in _allowed


@contextlib.contextmanager
def allowing(modules: Iterable[str]) -> Iterator[None]:
    """Allow these modules too, inside the block."""
    before = set(_allowed)
    allow(*modules)
    try:
        yield
    finally:
        _allowed.intersection_update(before)


def modules_in(words: Iterable[str]) -> list[str]:
    """The modules of every ``package.module:name`` that stands in these words of a command line, alone or in a list."""
    parts = [part for word in words for part in re.split(r"[\s=,+\[\]\"']+", word)]
    return [found[1] for part in parts if (found := FORM.fullmatch(part))]


def load(name: str, what: str, *kinds: type) -> Any:
    """The object that ``package.module:name`` names.

    Args: what, the kind of thing that is asked for ("method", "landscape", "task"), for the error's line; kinds, the
    types of which it must be one, checked before anybody calls it.
    Raises: ValueError in one line: what cannot be loaded, and why, or which option allows it.
    """
    shown = repr(name if len(name) <= SHOWN else name[:SHOWN] + "…")
    if not (parts := FORM.fullmatch(name)):
        raise ValueError(f"cannot load {what} {shown}: write it as package.module:name")
    module = parts[1]
    if module not in _allowed:
        raise ValueError(
            f"cannot load {what} {shown}: a file names it, and loading it runs the module {module}; if you trust it, "
            f"add --allow {module}"
        )
    try:
        found = built_in(name)
    except (Exception, SystemExit) as error:  # whatever a user's module does when it is imported
        raise ValueError(f"cannot load {what} {shown}: {why(error)}") from error
    if kinds and not isinstance(found, kinds):
        wanted = " or ".join(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.") for kind in kinds)
        raise ValueError(f"{shown} is a {type(found).__name__}, not a {wanted}")
    return found


def built_in(name: str) -> Any:
    """The object that a name means which this toolkit itself writes down, and no user or file."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def why(error: BaseException) -> str:
    """One line: a missing name as Python says it, anything else with its type and the place where it happened."""
    said = " ".join(str(error).split())[:300]
    if isinstance(error, ImportError | AttributeError):
        return said
    if isinstance(error, SystemExit):
        return f"it leaves the program (exit status {error.code})"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
