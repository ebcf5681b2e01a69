"""The house: imported from this checkout, ground floor first, nothing drags in what it must not."""

import ast
from pathlib import Path

import pytest

import nas
import simulate
import theory

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"nas": set(), "theory": {"nas"}, "simulate": {"nas", "theory"}}


@pytest.mark.parametrize("package", [nas, theory, simulate])
def test_the_generic_names_are_ours(package: object) -> None:
    found = Path(package.__file__).resolve()  # type: ignore[attr-defined]
    assert found.is_relative_to(ROOT), f"{found} shadows this checkout: another package has the same name"


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("floor", MAY_IMPORT)
def test_floors_import_only_what_lies_below(floor: str) -> None:
    others = {"nas", "theory", "simulate"} - {floor} - MAY_IMPORT[floor]
    for file in (ROOT / floor).rglob("*.py"):
        assert not imported(file) & others, file


def test_control_an_import_upwards_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text("def late():\n    from simulate.page import page\n    import theory.exact\n")
    assert imported(file) == {"simulate", "theory"}


def test_pickle_is_never_loaded() -> None:
    for floor in MAY_IMPORT:
        for file in (ROOT / floor).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "pickle.load" not in text, file
            assert "torch.load(" not in text, file
