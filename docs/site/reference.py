"""What can be called, asked and set? Reference pages in Markdown, made from the code whenever the site is built.

The public names of nas, theory and simulate with their docstrings; every command and option from the parsers; every
setting from the dataclasses. Docstrings follow the house's form (CONTRIBUTING.md): sections are `Args:` and the like at
the beginning of a line, equations are indented, examples are doctests.
"""

import argparse
import dataclasses
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

PACKAGES = ("nas", "theory", "simulate")
SECTION = re.compile(r"^(Args|Returns|Raises|Yields): ?")


def pages() -> dict[str, str]:
    """The reference: place in the site -> Markdown. Raises: ValueError naming every public name without a docstring."""
    if missing := [f"{package}.{name}" for package in PACKAGES for name in undocumented(package)]:
        raise ValueError(f"public names without a docstring: {', '.join(missing)}")
    made = {f"reference/{package}.md": interface(package) for package in PACKAGES}
    return made | {"reference/commands.md": commands(), "reference/settings.md": settings()}


# ------------------------------------------------------------------ public names


def interface(package: str) -> str:
    """The page of a package's public names."""
    module = importlib.import_module(package)
    head = f"# {package}: public names\n\n```text\n{inspect.getdoc(module)}\n```\n"
    return head + "".join(entry(package, name, public(module, name)) for name in sorted(module.__all__, key=str.lower))


def public(module: Any, name: str) -> Any:
    """What a public name stands for; a module that is called like a function stands for its function."""
    found = getattr(module, name)
    return getattr(found, name) if isinstance(found, types.ModuleType) else found


def entry(package: str, name: str, found: Any) -> str:
    """One public name: signature, docstring, and the documented methods of a class."""
    lines = [f"\n## `{package}.{name}`\n"]
    if callable(found):
        lines.append(f"```python\n{signature(name, found)}\n```\n")
    lines.append(prose(own_docstring(package, name, found)))
    for method, function in methods(found):
        lines.append(f"\n**`{method}`**\n\n```python\n{signature(method, function)}\n```\n")
        lines.append(prose(inspect.getdoc(function) or ""))
    return "\n".join(lines) + "\n"


def methods(found: Any) -> Iterator[tuple[str, Any]]:
    """Public functions that a class defines itself and documents."""
    if inspect.isclass(found):
        for name, value in vars(found).items():
            function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
                yield name, function


def undocumented(package: str) -> list[str]:
    """Public names that say nothing of themselves."""
    module = importlib.import_module(package)
    return [name for name in module.__all__ if not own_docstring(package, name, public(module, name)).strip()]


def own_docstring(package: str, name: str, found: Any) -> str:
    """The docstring of a function or class; of a value, the line on it in its package's head."""
    if inspect.isclass(found) or inspect.isroutine(found):
        text = "" if inspect.isclass(found) and found.__doc__ is None else inspect.getdoc(found) or ""
        made = dataclasses.is_dataclass(found) and text.startswith(f"{found.__name__}(")  # by @dataclass itself
        return "" if made else text
    head = inspect.getdoc(importlib.import_module(package)) or ""
    said = [line.strip() for line in head.splitlines() if re.search(rf"\b{name}\b", line) and ">>>" not in line]
    return f"A {type(found).__name__}. Of the package's head: {' '.join(said)}" if said else ""


def signature(name: str, found: Any) -> str:
    """`def name(…) -> …`, one parameter a line where it is long."""
    try:
        signed = inspect.signature(found)
    except ValueError:
        return name
    kind = "class" if inspect.isclass(found) else "def"
    text = f"{kind} {name}{signed}"
    if len(text) <= 100:
        return readable(text)
    given = ",\n    ".join(str(parameter) for parameter in signed.parameters.values())
    back = "" if signed.return_annotation is inspect.Signature.empty else f" -> {annotation(signed.return_annotation)}"
    return readable(f"{kind} {name}(\n    {given},\n){back}")


def annotation(kind: Any) -> str:
    return kind if isinstance(kind, str) else inspect.formatannotation(kind)


def readable(text: str) -> str:
    """Types without the folders that they come from, defaults without addresses."""
    text = re.sub(r"\b(?:[a-z_]+\w*\.)+(?=[A-Z]\w)|~(?=[A-Z])", "", text)
    return re.sub(r"<(?:function|class|factory)[^>]*>+", "…", text)


def prose(docstring: str) -> str:
    """A docstring as Markdown: sections in bold, examples as code, an indented equation a paragraph of its own."""
    lines, inside = list[str](), False
    for line in docstring.splitlines():
        example = line.startswith((">>>", "...")) or (inside and line.strip() != "")
        if example != inside:
            lines.append("```pycon" if example else "```")
            inside = example
        indented = line.startswith("    ") and lines and not lines[-1].startswith("    ") and not inside
        lines += [""] if indented else []
        lines.append(line if inside else SECTION.sub(r"\n**\1.** ", line))
    return "\n".join([*lines, *(["```"] if inside else [])])


# ------------------------------------------------------------------ commands


def commands() -> str:
    """Every command of the three programs with every option."""
    lines = ["# Commands\n", "Every command and option, made from the programs' own parsers.\n"]
    for package in PACKAGES:
        program = importlib.import_module(f"{package}.__main__").parser()
        lines.append(f"## python -m {package}\n\nInstalled, also `advantage-{package}`. Beside its commands:\n")
        lines.append("| argument | default | meaning |\n| --- | --- | --- |")
        lines += [row(action) for action in program._actions if action.option_strings and action.dest != "help"]
        lines.append("")
        for name, parser, help_text in subcommands(program):
            lines.append(f"### {package} {name}\n\n{help_text or parser.description or ''}\n")
            lines += [f"```text\n{parser.epilog % {'prog': parser.prog}}\n```\n"] if parser.epilog else []
            lines.append("| argument | default | meaning |\n| --- | --- | --- |")
            lines += [row(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
            lines.append("")
    return "\n".join(lines)


def subcommands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str | None]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield name, inner, helps.get(name)


def row(action: argparse.Action) -> str:
    """A line of the table of one command."""
    value = action.metavar or ("" if action.nargs == 0 else action.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    words = ", ".join(action.option_strings) + (f" {value}" if value else "") if action.option_strings else value
    choices = f" (one of {', '.join(map(str, action.choices))})" if action.choices else ""
    default = (
        "" if action.default in (None, False, argparse.SUPPRESS) or action.default == [] else f"`{action.default}`"
    )
    help_text = (action.help or "") % {"default": action.default, "prog": ""} if action.help else ""
    return f"| `{cell(words.strip())}` | {cell(default)} | {cell(help_text + choices)} |"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# ------------------------------------------------------------------ settings


def settings() -> str:
    """Every setting: name, default, values and meaning, in the words of its dataclass."""
    from nas import SearchSettings, tasks
    from simulate.run import Machine, Setting
    from simulate.study import StudySettings

    lines = [
        "# Settings\n",
        "Every setting, made from the dataclasses that hold them. `--set search.rate=0.1` sets one. The same on a "
        "terminal: `python -m nas settings`, `python -m simulate settings`.\n",
    ]
    lines += table("search", "of every search", SearchSettings)
    for name in tasks.BUILT_IN:
        lines += table("network", f"of the task {name}", tasks.find(name).settings)
    lines += table("", "one cell of a simulation: `[base]` and `[grid]` of a study, `--set` of compare", Setting)
    lines += table("", "a study", StudySettings)
    lines += table("machine", "where a study computes", Machine)
    return "\n".join(lines)


def table(section: str, about: str, kind: type) -> list[str]:
    """The settings of one dataclass. Raises: ValueError naming those of which its docstring says nothing."""
    from nas.running import meanings

    if unsaid := meanings.unsaid(kind):
        raise ValueError(f"settings of {kind.__module__}.{kind.__name__} without a meaning: {', '.join(unsaid)}")
    lines = [f"## {section or kind.__name__}: {about}\n", prose(meanings.head(kind)), ""]
    lines.append("| setting | default | values | meaning |\n| --- | --- | --- | --- |")
    for row in meanings.rows(kind, section):
        default = "" if row.default is None else f"`{row.default}`" if row.default else "empty"
        lines.append(f"| `{row.name}` | {cell(default)} | {cell(row.kind)} | {cell(row.meaning)} |")
    return [*lines, ""]
