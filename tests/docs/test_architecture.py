"""ARCHITECTURE.md names files and functions that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def missing(page: str) -> list[str]:
    """Files that a page names and that are not there, and names that are not in the file named with them."""
    named = re.findall(r"`((?:nas|theory|simulate|tests|docs|proofs)/[\w/.]*)[`:]", page)
    gone = [path for path in named if not (ROOT / path).exists()]
    for path, name in re.findall(r"`((?:nas|theory|simulate)/[\w/]*\.py): (\w+)", page):
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""
        if not re.search(rf"^\s*(def|class) {name}\b|^{name}\b", text, re.MULTILINE):
            gone.append(f"{path}: {name}")
    return gone


def test_what_the_page_names_is_there() -> None:
    assert missing(PAGE) == []
    assert len(re.findall(r"`[\w/]+\.py: \w+", PAGE)) >= 8


def test_control_what_has_moved_is_seen() -> None:
    moved = PAGE.replace("nas/optimisers.py: adam", "nas/optimisers.py: atom").replace("nas/samples.py", "nas/draws.py")
    assert missing(moved) == ["nas/draws.py", "nas/draws.py", "nas/draws.py: ONE_HOT", "nas/optimisers.py: atom"]
