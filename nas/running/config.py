"""How do settings reach a program? Frozen dataclasses with the paper's defaults, one TOML file, `--set a.b=value`.

Later sources win: defaults, preset, file, `--set`. An unknown key, a wrong type and a value out of range are refused
with their path before anything is written.
"""

import dataclasses
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import tomli_w

from nas.running import files

S = TypeVar("S")

NONE = "none"  # TOML has no word for it
LATER = "later"  # mark of a field that is not written at its default


def later(default: Any) -> Any:
    """A dataclass field that came after run folders had been made: at its default it is not written.

    So the settings that were possible before keep their digest, and their folders their names.
    """
    return dataclasses.field(default=default, metadata={LATER: True})


def load(
    settings: type[S],
    file: Path | Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    base: Mapping[str, Any] | None = None,
) -> S:
    """Settings of the dataclass type `settings`.

    Args: file, a TOML file, or the nested values of one; sets, texts "section.key=value" with a TOML value (a bare
    word is taken as a string); base, nested values below the file's, such as a preset. "none" is None where a setting
    can be None.
    Raises: ValueError, one line: which setting, what is wrong, what is known.
    """
    values: dict[str, Any] = _copy(base or {})
    if file is not None:
        _merge(values, read_toml(file) if isinstance(file, Path) else file)
    for text in sets:
        _merge(values, _parse_set(text))
    _refuse_unknown(settings, values, "")
    try:
        return msgspec.convert(_with_none(settings, values), settings, strict=True)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`").lstrip(".")
        known = _choices(settings, where) or _hint(values, where)
        raise ValueError(f"setting {where}: {message}{known}" if where else f"settings: {message}") from error


def dump(settings: Any) -> str:
    """The resolved settings as TOML, None as "none"; `load` reads them back unchanged."""
    return tomli_w.dumps(written(settings))


def written(settings: Any) -> dict[str, Any]:
    """The resolved settings as nested values, as `dump` writes them."""
    values: dict[str, Any] = _without_none(_written(settings))
    return values


def digest(settings: Any) -> str:
    """Ten hexadecimal digits that name these settings."""
    return hashlib.sha256(dump(settings).encode()).hexdigest()[:10]


def read_toml(file: Path) -> dict[str, Any]:
    """Parse a TOML file. Raises: ValueError saying which file and what is wrong with it."""
    try:
        text = files.read_text(file)
    except files.FileError as error:
        raise ValueError(str(error).replace("cannot read", "cannot read settings", 1)) from error
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(f"settings {file} are nested too deeply") from error
    except ValueError as error:  # TOML's own, and a number of too many digits
        raise ValueError(f"settings {file} are not valid TOML: {error}") from error


def within(settings: Any, **bounds: tuple[float, float]) -> None:
    """Refuse a setting outside its bounds, both included: name=(least, most).

    Raises: ValueError: the setting's name, the rule and the value.
    """
    for name, (least, most) in bounds.items():
        bounded(name, getattr(settings, name), least, most)


def bounded(name: str, value: float, least: float, most: float) -> None:
    """Refuse one number outside its bounds, both included. Raises: ValueError: its name, the rule and the value."""
    if not least <= value <= most:
        shown = "a larger number" if abs(value) >= 1e30 else f"{value}"
        rule = f"at most {most}" if value > most else f"at least {least}"
        raise ValueError(f"{name} must be {rule}, not {shown}")


def fits(what: str, needed: float) -> None:
    """Refuse what needs more bytes than this machine has. Raises: ValueError with both, in GiB."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ValueError(
            f"{what} take at least {needed / 2**30:,.0f} GiB; this machine has {there / 2**30:,.0f}: ask for less"
        )


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested tables by whole names.

    >>> flat({"search": {"rate": 0.1}, "network": {"batch": 8}})
    {'search.rate': 0.1, 'network.batch': 8}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`flat` undone."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        *tables, last = name.split(".")
        into = found
        for one in tables:
            into = into.setdefault(one, {})
        into[last] = value
    return found


# ------------------------------------------------------------------ helpers


def _parse_set(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not all(part.isidentifier() for part in key.split(".")):
        raise ValueError(f"--set {text!r}: write it as section.key=value")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except RecursionError as error:
        raise ValueError(f"--set {key}: its value is nested too deeply") from error
    except ValueError:
        parsed = value
    for part in reversed(key.split(".")):
        parsed = {part: parsed}
    return dict(parsed)


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = _copy(value)


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _refuse_unknown(kind: Any, values: Any, path: str) -> None:
    origin = get_origin(kind) or kind
    if not dataclasses.is_dataclass(origin) or not isinstance(values, Mapping):
        return
    hints = _field_types(kind)
    for key, value in values.items():
        if key not in hints:
            raise ValueError(f"unknown setting {path}{key!r}; known: {', '.join(sorted(hints))}")
        _refuse_unknown(hints[key], value, f"{path}{key}.")


def _choices(kind: Any, path: str) -> str:
    for key in path.split("."):
        kind = _field_types(kind).get(key) if dataclasses.is_dataclass(get_origin(kind) or kind) else None
    return f"; known: {', '.join(map(str, get_args(kind)))}" if get_origin(kind) is Literal else ""


def _hint(values: Any, path: str) -> str:
    """A number that TOML does not take for one: .001, +.5, 1e-3 with a comma, ..."""
    for key in path.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    if isinstance(values, str) and re.fullmatch(r"[+-]?(\.\d+|\d+\.)(e[+-]?\d+)?", values, re.IGNORECASE):
        return f"; write {values} as {float(values)!r}"
    return ""


def _field_types(kind: Any) -> dict[str, Any]:
    origin = get_origin(kind) or kind
    arguments = dict(zip(getattr(origin, "__parameters__", ()), getattr(kind, "__args__", ()), strict=False))
    hints = get_type_hints(origin)
    return {field.name: arguments.get(hints[field.name], hints[field.name]) for field in dataclasses.fields(origin)}


def _written(settings: Any) -> Any:
    """Nested dictionaries of a dataclass, less what came later and says nothing new."""
    if not dataclasses.is_dataclass(settings):
        return settings
    values = {field: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    return {f.name: _written(v) for f, v in values.items() if not (f.metadata.get(LATER) and v == f.default)}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    return NONE if value is None else value


def _with_none(kind: Any, value: Any) -> Any:
    if value == NONE and type(None) in get_args(kind):
        return None
    if not isinstance(value, Mapping) or not dataclasses.is_dataclass(get_origin(kind) or kind):
        return value
    hints = _field_types(kind)
    return {key: _with_none(hints[key], inner) for key, inner in value.items()}
