"""Every code block of README and docs runs: Python blocks of a page in one namespace, shell blocks in an empty folder.

A shell block under a comment `<!-- takes: ... -->` is too long for a test; there `python -m nas search` is run with
--dry-run and the others with --help, so that no option in the prose can be stale.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
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
                if "-m" not in words:
                    assert words[0] == "make", f"say how to check this: {command}"
                    assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
                    continue
                words += ["--dry-run"] if words[2:4] == ["nas", "search"] else ["--help"]
            words = [sys.executable if word == "python" else word for word in words]
            done = run(words, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stderr}"


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
