"""How does `python -m PROGRAM COMMAND` read its commands, stop when asked, and say in one line what it cannot do?

Installed, PROGRAM is also the script `advantage-PROGRAM`. Every program has `--version` and `--print-completion`; every
command of every program also takes `--allow MODULE` (`nas.running.plugins`) and `--debug`.
"""

import argparse
import itertools
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata, util
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from nas.front_door import DISTRIBUTION
from nas.running import plugins

# What an adder adds its command to; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

STOPPING = (signal.SIGTERM, signal.SIGINT)
LONGEST = 1000  # characters of a line that says what is wrong
SHELLS = ("bash", "zsh", "tcsh")


def parser(name: str, about: str | None, adders: Iterable[Callable[[Commands], None]]) -> argparse.ArgumentParser:
    """The parser of `python -m NAME`, or of the script `advantage-NAME` where that was called.

    adders: each adds one command, with a default `run_command` that takes the options and returns the exit status.
    """
    script = f"advantage-{name}"
    called = script if Path(sys.argv[0]).name == script else f"python -m {name}"
    made = argparse.ArgumentParser(prog=called, description=about)
    made.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    made.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        const=script,
        help=f"print what makes a shell complete the words of {script}, and stop",
    )
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in adders:
        add(commands)
    helps = {choice.dest: choice.help for choice in commands._choices_actions}
    for word, command in commands.choices.items():
        command.description = helps.get(word)
        command.formatter_class = argparse.RawDescriptionHelpFormatter  # an example that is wrapped cannot be copied
        command.add_argument(
            "--allow", action="append", default=[], metavar="MODULE", help="a module of yours that files may name"
        )
        command.add_argument("--debug", action="store_true", help="let an error end in its traceback")
    return made


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse `arguments` and run the command they name; a device or a seed that cannot be is refused before.

    Returns: its exit status; 2 for what was refused, found no memory or could not be shown on standard output (one line
    says why), 1 for what nobody expected (one line says where its traceback is kept), 130 for Ctrl-C.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}
    _degrade_output()
    named = parser.prog
    try:
        try:
            options = parser.parse_args(arguments)
        except SystemExit:  # after its help, its version or what it refuses
            if lost := _lost():
                return _say(named, lost, 2)
            raise
        except OSError as error:
            return _refuse(named, error)
        named = f"{parser.prog} {options.command}"
        if util.find_spec("fcntl") is None:
            return _say(named, NEEDS_POSIX, 2)
        command: Callable[[argparse.Namespace], int] = options.run_command
        try:
            with plugins.allowing([*options.allow, *_named_in(options)]):
                _check_words(sys.argv[1:] if arguments is None else arguments)
                _find_own_modules()
                _check_machine(options)
                status = command(options)
                return _say(named, lost, 2) if (lost := _lost()) and not status else status
        except (Exception, SystemExit) as error:  # the one place that turns an error into a line
            if options.debug:
                raise
            return _refuse(named, error)
    except KeyboardInterrupt:
        return _say(named, "interrupted", 130)
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


class Stop:
    """Whether to stop: from now on the first SIGTERM or Ctrl-C only asks to; a second Ctrl-C interrupts as usual."""

    def __init__(self) -> None:
        self.number = 0
        for number in STOPPING:
            signal.signal(number, self._ask)

    def __call__(self) -> bool:
        return self.number > 0

    def said(self, where: object = None) -> int:
        """Say how to go on, in one line; the exit status: 128 + the signal's number."""
        print(f"stopped; the same command goes on from here{f': {where}' if where else ''}", file=sys.stderr)
        return 128 + (self.number or signal.SIGTERM)  # of several processes another one may have been asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        signal.signal(signal.SIGINT, signal.default_int_handler)


# ------------------------------------------------------------------ what every program can be asked


class _Version(argparse.Action):
    """Print the version of the installed toolkit: pyproject.toml's."""

    def __call__(self, parser: argparse.ArgumentParser, *words: object) -> None:
        try:
            print(DISTRIBUTION, metadata.version(DISTRIBUTION))
        except metadata.PackageNotFoundError:
            parser.exit(_say(parser.prog, f"{DISTRIBUTION} is not installed, so it has no version: pip install .", 2))
        parser.exit(0)


class _PrintCompletion(argparse.Action):
    """Print the completion of a program's words for a shell, made by shtab from its parser. const: the script."""

    def __call__(self, parser: argparse.ArgumentParser, options: object, shell: Any, *words: object) -> None:
        try:
            import shtab
        except ImportError:
            parser.exit(_say(parser.prog, "--print-completion needs shtab: pip install shtab", 2))
        parser.prog = self.const
        for one in (parser, *_commands_of(parser)):
            for action in one._actions:
                if action.type is Path:
                    action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell))
        parser.exit(0)


def _commands_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [command for group in groups for command in group.choices.values()]


# ------------------------------------------------------------------ helpers

NEEDS_POSIX = "this toolkit runs on Linux and macOS: it locks run folders by POSIX's fcntl; on Windows use WSL"


def _find_own_modules() -> None:
    """A user's own modules lie in the working folder. `python -m` looks there by itself, a script does not."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append("")


def _named_in(options: argparse.Namespace) -> list[str]:
    """The modules that the user named in this command. Paths are not words: a stranger may have named a file."""
    values = [value if isinstance(value, list) else [value] for value in vars(options).values()]
    return plugins.modules_in(word for words in values for word in words if isinstance(word, str))


def _check_words(words: Sequence[str]) -> None:
    """An empty word means nothing to any command: it is what a shell makes of a variable that is not set."""
    for before, word in itertools.pairwise(("", *words)):
        option, equals, value = word.partition("=")
        if not word or (option.startswith("--") and equals and not value):
            after = option or before
            raise ValueError(f"an empty word stands after {after}; leave both out, or write what was meant")


def _check_machine(options: argparse.Namespace) -> None:
    if not 0 <= (seed := getattr(options, "seed", 0)) < 2**32:
        raise ValueError(f"--seed must not be negative and below 2^32, not {shortened(str(seed))}")
    if (data := getattr(options, "data", None)) is not None and not data.exists():
        raise ValueError(f"--data {data}: there is no such folder")
    if (device := getattr(options, "device", None)) not in (None, "cpu"):
        from nas.running.processes import own_device, take_device

        take_device(own_device(device))


def _refuse(command: str, error: BaseException) -> int:
    _lost()
    if isinstance(error, OSError):
        path = f": {error.filename}" if error.filename and str(error.filename) not in str(error) else ""
        return _say(command, f"{error}{path}", 2)
    if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
        return _say(command, str(error), 2)
    if isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY):
        return _say(command, "no memory is left; ask for a smaller network or batch", 2)
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _say(command, f"unexpected: {shortened(what, 300)} (traceback: {_kept(error)})", 1)


def _lost() -> str:
    """Why standard output does not take what is still to be written, which is then dropped; empty where it does."""
    if sys.stdout is None:  # it was closed before: nobody wants to read
        return ""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries once more at its end
        return f"standard output: {error.strerror}"
    return ""


NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # RuntimeErrors of PyTorch's allocators


def _kept(error: BaseException) -> str:
    """Keep the traceback, which a bug report needs, in a file of its own; where."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="advantage-nas-", suffix=".traceback.txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as full:
        return f"not kept, {full.strerror}; run it again with --debug"
    return name


def _say(command: str, what: str, status: int) -> int:
    print(f"{command}: {shortened(what)}", file=sys.stderr)
    return status


def shortened(text: str, most: int = LONGEST) -> str:
    """`text` on one line, its middle left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most // 2]} … {line[-most // 2 :]}"


def _degrade_output() -> None:
    """Where the terminal cannot show a character (±, …), show another rather than lose the result."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors == "strict":
            reconfigure(errors="replace")
