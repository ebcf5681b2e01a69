"""How does `python -m PROGRAM COMMAND` read its commands, and refuse in one line what it cannot do?"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import TypeAlias

# What an adder adds its command to; argparse has no public name for it.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def parser(name: str, about: str | None, adders: Iterable[Callable[[Commands], None]]) -> argparse.ArgumentParser:
    """The parser of `python -m NAME`.

    adders: each adds one command, with a default `run_command` that takes the options and returns the exit status.
    """
    made = argparse.ArgumentParser(prog=f"python -m {name}", description=about)
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in adders:
        add(commands)
    return made


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse `arguments` and run the command they name; a device or a seed that cannot be is refused before.

    Returns: its exit status, 2 for what was refused or found no memory (one line says why), 130 for Ctrl-C.
    """
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run_command
    try:
        _check_machine(options)
        return command(options)
    except (ValueError, OSError) as error:
        print(f"{parser.prog} {options.command}: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:  # PyTorch's own error of a full device is a RuntimeError
        if not isinstance(error, MemoryError) and "out of memory" not in str(error):
            raise
        print(
            f"{parser.prog} {options.command}: no memory is left; ask for a smaller network or batch", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog} {options.command}: interrupted", file=sys.stderr)
        return 130


def stop_on_sigterm() -> Callable[[], bool]:
    """A function that says whether SIGTERM came since: what asks it can end well, and go on another time."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGTERM, ask)
    return lambda: asked


def _check_machine(options: argparse.Namespace) -> None:
    if not 0 <= (seed := getattr(options, "seed", 0)) < 2**32:
        raise ValueError(f"--seed must not be negative and below 2^32, not {seed}")
    if (device := getattr(options, "device", None)) not in (None, "cpu"):
        from nas.running.processes import own_device, take_device

        take_device(own_device(device))
