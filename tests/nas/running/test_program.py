"""The top of every program: one line and a status for whatever happens, and a stop that is asked for."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.__main__ import parser as nas
from nas.running import plugins, program
from simulate.__main__ import parser as simulate
from theory.__main__ import parser as theory


def run(command: Callable[[argparse.Namespace], int], *words: str) -> int:
    def add(commands: program.Commands) -> None:
        made = commands.add_parser("do")
        made.add_argument("--named", default="")
        made.add_argument("--path", type=Path)
        made.set_defaults(run_command=command)

    return program.run(program.parser("test", None, [add]), ["do", *words])


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def command(options: argparse.Namespace) -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (ValueError("the rule"), 2, "python -m test do: the rule\n"),
        (ValueError("on two\nlines"), 2, "python -m test do: on two lines\n"),
        (OSError(28, "No space left on device", "runs/x"), 2, "No space left on device: 'runs/x'\n"),
        (MemoryError(), 2, "no memory is left"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "no memory is left"),
        (KeyboardInterrupt(), 130, "python -m test do: interrupted\n"),
        (ValueError("long " * 100_000), 2, "long long"),
    ],
)
def test_what_is_expected_is_one_line(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error)) == status
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert len(said) < 1100


@pytest.mark.parametrize("error", [RuntimeError("a fault\nof this program"), RecursionError(), SystemExit(0)])
def test_what_nobody_expected_keeps_its_traceback(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(raising(error)) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    (kept,) = tmp_path.iterdir()
    assert f"(traceback: {kept})" in said
    assert "in command\n    raise error" in kept.read_text()
    with pytest.raises(type(error)):
        run(raising(error), "--debug")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    assert run(raising(error)) == 1
    assert "not kept" in capsys.readouterr().err


def test_what_a_command_line_allows_ends_with_it() -> None:
    def command(options: argparse.Namespace) -> int:
        seen.append(plugins.allowed())
        return 0

    seen: list[tuple[str, ...]] = []
    before = plugins.allowed()  # by other tests of this process
    run(command, "--named", "a=mine.x:y", "--path", "os:dup2", "--allow", "theirs")
    run(command)
    assert [set(some) - set(before) for some in seen] == [{"mine.x", "theirs"}, set()]


@pytest.mark.parametrize("made", [nas(), theory(), simulate()])
def test_every_command_of_every_program_has_the_same_two_options(made: argparse.ArgumentParser) -> None:
    (commands,) = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    assert len(commands.choices) >= 3
    for command in commands.choices.values():
        assert {"--allow", "--debug"} <= set(command._option_string_actions)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_a_second_ctrl_c_interrupts(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(n) for n in program.STOPPING]

    def command(options: argparse.Namespace) -> int:
        stop = program.Stop()
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        if options.named:
            os.kill(os.getpid(), signal.SIGINT)
        return stop.said("runs/x")

    assert run(command) == 128 + number
    assert capsys.readouterr().err == "stopped; the same command goes on from here: runs/x\n"
    assert run(command, "--named", "twice") == 130
    assert "interrupted" in capsys.readouterr().err
    assert [signal.getsignal(n) for n in program.STOPPING] == before


def test_a_terminal_that_cannot_show_a_character_shows_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(options: argparse.Namespace) -> int:
        print("1 ± 2 …")
        return 0

    raw = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        assert run(command) == 0
        sys.stdout.flush()
        sys.stdout.detach()  # type: ignore[attr-defined]
    assert raw.getvalue() == b"1 ? 2 ?\n"


@pytest.mark.parametrize("words", [["--named", ""], ["--named="], ["--path", ""]])
def test_an_empty_word_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What a shell makes of "$METHOD" where METHOD is not set."""
    assert run(lambda options: 0, *words) == 2
    said = capsys.readouterr().err
    assert said == f"python -m test do: an empty word stands after {words[0].rstrip('=')}; {LEAVE}\n"
    assert run(lambda options: 0, "--named", "x=") == 0  # control: a part of a word may be empty


LEAVE = "leave both out, or write what was meant"


def test_a_data_folder_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = str(tmp_path / "nowhere")
    words = ["search", "ptb", "--set", "network.corpus=embedded", "--dry-run", "--data"]  # embedded: it is not asked
    assert program.run(nas(), [*words, nowhere]) == 2
    assert f"--data {nowhere}: there is no such folder" in capsys.readouterr().err
    assert program.run(nas(), [*words, str(tmp_path)]) == 0
