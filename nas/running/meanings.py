"""What does every setting mean, and what is it by default?

The one source is the dataclass that holds the settings: types and defaults are its fields', meanings the list in its
docstring, one item a field or several that belong together:

    - rate, decay: what they do.

`python -m nas settings`, `python -m simulate settings` and the site's reference are made from it.
"""

import dataclasses
import inspect
import re
import shutil
import textwrap
import types
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from nas.running.config import NONE

ITEM = re.compile(r"- (\w+(?:, \w+)*): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One setting. kind: its type in words, such as "number or none"; default: as `--set` takes it, if it has one."""

    name: str
    kind: str
    default: str | None
    meaning: str


def rows(settings: type, section: str = "") -> list[Row]:
    """Every setting of a dataclass, its name under `section`; without a meaning where the docstring has none."""
    said, hints = meanings(settings), get_type_hints(settings)
    before = f"{section}." if section else ""
    return [
        Row(before + field.name, words(hints[field.name]), _default(field), said.get(field.name, ""))
        for field in dataclasses.fields(settings)
    ]


def unsaid(settings: type) -> list[str]:
    """Fields of which the docstring's list says nothing, and names in it that are no field."""
    return sorted(meanings(settings).keys() ^ {field.name for field in dataclasses.fields(settings)})


def meanings(settings: type) -> dict[str, str]:
    """Field -> what the list in a dataclass's docstring says of it."""
    items = [" ".join(item.split()) for item in re.findall(r"^- .*(?:\n  .*)*", _docstring(settings), re.MULTILINE)]
    found = [match for item in items if (match := ITEM.fullmatch(item))]
    return {name: match[2] for match in found for name in match[1].split(", ")}


def head(settings: type) -> str:
    """What a dataclass's docstring says before its list."""
    return _docstring(settings).partition("\n- ")[0].strip()


def text(section: str, about: str, settings: type) -> str:
    """All settings of a dataclass for a terminal: name, default, values, meaning."""
    width = min(shutil.get_terminal_size().columns, 110)
    lines = [f"{section or settings.__name__}: {about}"]
    for row in rows(settings, section):
        default = "" if row.default is None else f" = {row.default}"
        lines += textwrap.wrap(
            f"{row.name}{default}   ({row.kind})", width, initial_indent="  ", subsequent_indent="    "
        )
        lines += textwrap.wrap(row.meaning, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines)


def words(kind: Any) -> str:
    """A type for people: its choices, "number", "text", "list of …", "… or none"."""
    inner = [words(part) for part in get_args(kind)] if get_origin(kind) is not Literal else []
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(inner)
    if get_origin(kind) in (tuple, list):
        return f"list of {inner[0]}"
    if get_origin(kind) is dict:
        return f"table of {inner[1]}"
    if dataclasses.is_dataclass(kind):
        return "table"
    return NAMES.get(kind, getattr(kind, "__name__", str(kind)))


NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true | false",
    type(None): NONE,
    Any: "anything",
}


# ------------------------------------------------------------------ helpers


def _docstring(settings: type) -> str:
    return inspect.getdoc(settings) or ""


def _default(field: dataclasses.Field[Any]) -> str | None:
    made = field.default
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        if dataclasses.is_dataclass(made):
            return None
    if made is dataclasses.MISSING:
        return None
    if isinstance(made, bool) or made is None:
        return {True: "true", False: "false", None: NONE}[made]
    return str(list(made)) if isinstance(made, tuple) else str(made)
