"""The top of every program: one line and a status for whatever happens, and a stop that is asked for."""

import argparse
import io
import os
import shlex
import signal
import subprocess
import sys
import tomllib
import types
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from nas.__main__ import parser as nas
from nas.running import plugins, program, runs
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["do"], "python -m test do: "),
        (["do", "--named", "refused"], "python -m test do: the rule\n"),
        (["do", "--named", "failed"], ""),
        (["--version"], "python -m test: "),
    ],
)
def test_a_full_disk_on_standard_output_is_one_line(words: list[str], says: str, buffered: str) -> None:
    """Buffered, Python writes at its end, and would say so itself, in two lines and with a status of its own."""
    environment = {**os.environ, "PYTHONUNBUFFERED": buffered}

    def answer(*words: str, to: str) -> subprocess.CompletedProcess[str]:
        with open(to, "w") as output:
            command = [sys.executable, "-c", SHOWS, *words]
            return subprocess.run(
                command, stdout=output, stderr=subprocess.PIPE, text=True, env=environment, check=False
            )

    lost = answer(*words, to="/dev/full")
    assert lost.returncode == (3 if "failed" in words and not buffered else 2)
    if lost.returncode == 2:
        assert lost.stderr.startswith("python -m test do: " if buffered and words[0] == "do" else says)
        assert lost.stderr.count("\n") == 1
    else:
        assert lost.stderr == ""  # the command has said its own
    taken = answer(*words, to=os.devnull)
    assert taken.returncode == {"refused": 2, "failed": 3}.get(words[-1], 0)  # control: a file that takes all


SHOWS = """
import sys
from nas.running import program

def show(options):
    print("shown")
    if options.named == "refused":
        raise ValueError("the rule")
    return 3 if options.named == "failed" else 0

def add(commands):
    made = commands.add_parser("do")
    made.add_argument("--named", default="")
    made.set_defaults(run_command=show)

sys.exit(program.run(program.parser("test", None, [add]), sys.argv[1:]))
"""


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


# ------------------------------------------------------------------ what every program can be asked

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = {"nas": nas, "theory": theory, "simulate": simulate}


def commands_of(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = [action for action in made._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(commands.choices)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_version_is_that_of_pyproject(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        PROGRAMS[name]().parse_args(["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert left.value.code == 0
    assert capsys.readouterr().out == f"{project['name']} {project['version']}\n"


def test_without_an_installation_there_is_no_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "version", raiser(metadata.PackageNotFoundError("x")))
    with pytest.raises(SystemExit) as left:
        nas().parse_args(["--version"])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "python -m nas: advantage-nas-toolkit is not installed, so it has no version: pip install .\n"
    )


def raiser(error: Exception) -> Callable[..., str]:
    def fail(*words: object) -> str:
        raise error

    return fail


def example_of(command: argparse.ArgumentParser) -> list[str]:
    """The words of the example at the end of a command's help, without the program's own."""
    line = command.format_help().rstrip().splitlines()[-1]
    assert line.startswith(f"example: {command.prog}"), line
    return shlex.split(line.removeprefix(f"example: {command.prog}"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_of_every_command_says_what_it_does_and_ends_with_an_example(name: str) -> None:
    for word, command in commands_of(PROGRAMS[name]()).items():
        assert command.description, word
        assert PROGRAMS[name]().parse_args([word, *example_of(command)]).command == word


def test_control_an_example_that_is_not_understood_and_none_are_seen() -> None:
    stale = argparse.ArgumentParser("python -m nas audit", epilog="example: %(prog)s RUN --sample 3,5")
    with pytest.raises(SystemExit):
        nas().parse_args(["audit", *example_of(stale)])
    with pytest.raises(AssertionError):
        example_of(argparse.ArgumentParser("python -m nas audit"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_called_what_it_was_called_by(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"/somewhere/bin/advantage-{name}"])
    assert PROGRAMS[name]().prog == f"advantage-{name}"
    assert example_of(next(iter(commands_of(PROGRAMS[name]()).values()))) is not None
    monkeypatch.setattr(sys, "argv", ["/somewhere/nas/__main__.py"])
    assert PROGRAMS[name]().prog == f"python -m {name}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_has_a_script(name: str) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    called = metadata.EntryPoint(f"advantage-{name}", scripts[f"advantage-{name}"], "console_scripts").load()
    assert called.__module__ == f"{name}.__main__"
    assert scripts.keys() == {f"advantage-{name}" for name in PROGRAMS}


def test_a_script_finds_modules_of_the_working_folder_too(tmp_path: Path) -> None:
    """`python -m` puts the working folder on the path by itself; a script has its own folder there."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "advantage-nas").write_text(
        f"import sys\nsys.path.insert(1, {str(ROOT)!r})\nfrom nas.__main__ import main\nsys.exit(main())\n"
    )
    (tmp_path / "mine.py").write_text("def estimator(probabilities, gates, loss):\n    return 0 * gates\n")
    words = ["search", "digits", "--dry-run", "--method"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for method, status, says in (("mine:estimator", 0, 'method = "mine:estimator"'), ("yours:estimator", 2, "yours")):
        done = subprocess.run(
            [sys.executable, str(tmp_path / "bin" / "advantage-nas"), *words, method],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        assert says in done.stdout + done.stderr
    assert done.stderr.startswith("advantage-nas search: ")


# ------------------------------------------------------------------ completion


def completion(name: str, shell: str) -> object:
    with pytest.raises(SystemExit) as left:
        PROGRAMS[name]().parse_args(["--print-completion", shell])
    return left.value.code


def test_completion_without_shtab_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert completion("nas", "bash") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "python -m nas: --print-completion needs shtab: pip install shtab\n"


def test_shtab_is_asked_for_the_script_and_told_what_is_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def complete(parser: argparse.ArgumentParser, shell: str) -> str:
        actions = [action for command in commands_of(parser).values() for action in command._actions]
        files = {action.dest for action in actions if getattr(action, "complete", None) == "a file"}
        return f"{parser.prog} {shell} {'run' in files} {'seed' in files}"

    stand_in = types.ModuleType("shtab")
    stand_in.FILE, stand_in.complete = "a file", complete  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shtab", stand_in)
    assert completion("nas", "zsh") == 0
    assert capsys.readouterr().out == "advantage-nas zsh True False\n"


@pytest.mark.parametrize("name", PROGRAMS)
def test_bash_completes_commands_and_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="the extra `completion` is not installed")
    assert completion(name, "bash") == 0
    made = capsys.readouterr().out
    word, command = next(iter(commands_of(PROGRAMS[name]()).items()))
    option = max(command._option_string_actions, key=len)

    def completed(*words: str) -> list[str]:
        script = (
            f"{made}\nCOMP_WORDS=({shlex.join([f'advantage-{name}', *words])}); COMP_CWORD={len(words)}\n"
            f'_shtab_advantage_{name}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'
        )
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert word in completed(word[:3])
    assert option in completed(word, option[:4])
    assert completed("zzz") == []


# ------------------------------------------------------------------ systems without POSIX


def test_elsewhere_than_on_posix_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert run(raising(AssertionError("it was run"))) == 2
    assert capsys.readouterr().err == (
        "python -m test do: this toolkit runs on Linux and macOS: it locks run folders by POSIX's fcntl; "
        "on Windows use WSL\n"
    )
    with pytest.raises(runs.RunError, match="cannot lock the run folder"), runs.open_run(tmp_path / "r", {}):
        pass
    assert not (tmp_path / "r").exists()
