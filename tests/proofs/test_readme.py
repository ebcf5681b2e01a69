"""Does everything that proofs/README.md and docs/proofs.md name exist, and say what they say it says?"""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "proofs" / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "proofs.md").read_text(encoding="utf-8")
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "proofs" / "coq").glob("*.v")}
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines() if line.startswith("| T")]


def _attribute(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_table_names_every_main_theorem_and_no_other(check: ModuleType) -> None:
    assert check.differences(check.table(README), SOURCES) == []
    assert {row[0] for row in ROWS} == {f"T{number}" for number in (*range(1, 14), 16, 17)}


def test_control_a_missing_row_is_found(check: ModuleType) -> None:
    shorter = "\n".join(line for line in README.splitlines() if "T1_monotone" not in line)
    assert check.differences(check.table(shorter), SOURCES) == ["Monotone.T1_monotone is not in the table of README.md"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1].strip("`"))
def test_the_python_names_of_a_row_exist(row: list[str]) -> None:
    assert len(row) == 6
    _attribute(row[3].strip("`"))
    assert callable(_attribute(row[4].strip("`")))
    assert row[4].startswith(f"`theory.claims.{row[0].lower()}_")


def test_control_a_name_that_does_not_exist_is_found() -> None:
    with pytest.raises(AttributeError):
        _attribute("nas.estimators.advantages")


def test_every_file_opens_with_its_statement_in_words() -> None:
    for name, text in SOURCES.items():
        assert re.match(r"\(\*{10,}\)\n\(\* .*?In words\.", text, re.DOTALL), name


def test_every_file_is_in_the_project() -> None:
    project = (ROOT / "proofs" / "coq" / "_CoqProject").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)\.v$", project, re.MULTILINE)) == set(SOURCES)


def _excerpts(page: str) -> list[str]:
    return re.findall(r"^```coq\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def _lost(page: str) -> list[str]:
    return [excerpt for excerpt in _excerpts(page) if not any(excerpt in text for text in SOURCES.values())]


def test_the_coq_blocks_of_the_page_are_the_development_word_for_word() -> None:
    assert len(_excerpts(PAGE)) >= 8
    assert _lost(PAGE) == []


def test_control_a_changed_excerpt_is_found() -> None:
    assert len(_lost(PAGE.replace("T1_improvement", "T1_improved"))) == 1
