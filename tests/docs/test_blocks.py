"""Every code block of README and docs runs: Python blocks of a page in one namespace, shell blocks in an empty folder.

A shell block under a comment `<!-- takes: ... -->` is too long for a test; there `python -m nas search` is run with
--dry-run and the options of all others are parsed, so that none in the prose can be stale.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TAKES = r"(?P<takes><!-- takes: [^>]*-->\n)?"
BLOCK = re.compile(TAKES + r"^```(?P<language>\w*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
NOT_CODE = {"text", "toml", "coq", "json", "html", ""}


def blocks(page: Path) -> list[re.Match[str]]:
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(page: Path, tmp_path: Path) -> None:
    code = "\n\n".join(m["code"] for m in blocks(page) if m["language"] == "python")
    if not code:
        pytest.skip("no Python block")
    done = run([sys.executable, "-W", "error", "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_shell_blocks_run(page: Path, tmp_path: Path) -> None:
    shell = [m for m in blocks(page) if m["language"] == "sh"]
    if not shell:
        pytest.skip("no shell block")
    for match in shell:
        for command in match["code"].replace("\\\n", " ").splitlines():
            words = shlex.split(command, comments=True)
            if not words:
                continue
            if match["takes"]:
                check_options(command, words)
                if words[2:4] != ["nas", "search"] or "cuda" in words:  # a device that is not here is refused
                    continue
                words += ["--dry-run"]
            words = [sys.executable if word == "python" else word for word in words]
            done = run(words, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stderr}"


def check_options(command: str, words: list[str]) -> None:
    """`make` names a target; of `python -m ...`, perhaps under another program, every option is known."""
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
        return
    place = max(place for place, word in enumerate(words) if word == "-m") + 1
    package = importlib.util.find_spec(f"{words[place]}")
    assert package is not None, command
    module = words[place] if package.submodule_search_locations is None else f"{words[place]}.__main__"
    parser = importlib.import_module(module).parser()
    try:
        parser.parse_args(words[place + 1 :])
    except SystemExit:
        pytest.fail(f"this command is not understood: {command}")


@pytest.mark.parametrize("wrong", ["python -m nas audit RUN --sample 3,5", "python -m theory verfy", "make tests"])
def test_control_a_stale_option_is_found(wrong: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_options(wrong, wrong.split())


def test_every_block_says_what_it_is() -> None:
    for page in PAGES:
        for match in blocks(page):
            assert match["language"] in {"python", "sh"} | NOT_CODE, f"{page.name}: unknown block {match['language']!r}"


def test_control_a_broken_block_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nassert False\n```\n")
    with pytest.raises(AssertionError):
        test_python_blocks_run(page, tmp_path)


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
