"""The table of systems in docs/notation.md: what it names is there, and what is there it names."""

import re
from pathlib import Path

from nas import optimisers
from nas.methods import ASIDE, METHODS
from simulate.searchers import SEARCHERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "notation.md").read_text(encoding="utf-8")
HEAD = "## Systems, and where they live here"
OPTIMISERS = ("adam", "sgd", "natural", "asng", "exponentiated")


def rows(page: str) -> list[list[str]]:
    """System, where it is, what differs or why it is not here."""
    lines = [line for line in page[page.index(HEAD) :].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def wrong(page: str) -> list[str]:
    """Names that are nowhere, methods of others that the table forgets, systems without a place or a reason."""
    known = {*METHODS, *ASIDE, *SEARCHERS, *OPTIMISERS, "simulate searchers"}
    found, named = [], set[str]()
    for system, here, differs in rows(page):
        names = set(re.findall(r"`([^`]+)`", here))
        found += [f"{system}: {name}" for name in sorted(names - known)]
        named |= names
        if not names and not (here == "not here" and differs):
            found.append(f"{system}: no place and no reason")
    return found + [name for name in (*METHODS, *ASIDE) if name not in named]


def test_the_table_is_true_and_whole() -> None:
    assert wrong(PAGE) == []
    assert len(rows(PAGE)) > 25
    assert all(optimisers.build(name, 0.5, 0.9, 0.0).name == name for name in OPTIMISERS)
    systems = " ".join(system for system, _, _ in rows(PAGE))
    for name in ("ENAS", "NASNet", "PNAS", "DARTS", "SNAS", "FBNet", "GAEA", "DrNAS", "PC-DARTS", "RELAX", "Konda"):
        assert name in systems, name


def test_control_each_fault_is_seen() -> None:
    assert wrong(PAGE.replace("| `gdas` |", "| `gdass` |")) == ["GDAS (Dong & Yang 2019): gdass", "gdas"]
    (gone,) = [line for line in PAGE.splitlines() if line.startswith("| PARSEC")]
    assert wrong(PAGE.replace(gone + "\n", "")) == ["parsec"]
    assert any("no place and no reason" in fault for fault in wrong(PAGE.replace("| not here |", "| |", 1)))
