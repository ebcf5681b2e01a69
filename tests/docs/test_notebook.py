"""A page's notebook holds its blocks and its prose, in order, and runs from top to bottom."""

import importlib.util
import json
import re
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")


def loaded() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("notebook", ROOT / "docs" / "site" / "notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


notebook = loaded()


def cells(kind: str) -> list[str]:
    return [
        "".join(cell["source"])
        for cell in json.loads(notebook.converted(TUTORIAL))["cells"]
        if cell["cell_type"] == kind
    ]


def test_its_code_is_the_page_s() -> None:
    blocks = re.findall(r"^```python\n(.*?)\n```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    assert cells("code") == blocks


def test_its_prose_is_the_page_s_without_links_that_lead_nowhere() -> None:
    prose = "\n".join(cells("markdown"))
    headings = re.findall(r"^#+ .*$", TUTORIAL, re.MULTILINE)
    assert re.findall(r"^#+ .*$", prose, re.MULTILINE) == headings
    assert "](" in TUTORIAL
    assert "](" not in prose
    assert "what is known by measurement" in prose  # the words of a link stay


def test_a_link_to_the_web_and_a_block_in_another_language_stay() -> None:
    page = "See [a paper](https://arxiv.org/abs/2012.06138) and [a page](other.md).\n\n```sh\nmake demo\n```\n"
    (cell,) = json.loads(notebook.converted(page))["cells"]
    text = "".join(cell["source"])
    assert "[a paper](https://arxiv.org/abs/2012.06138) and a page." in text
    assert "```sh\nmake demo\n```" in text


def test_the_format_is_jupyter_s() -> None:
    nbformat = pytest.importorskip("nbformat", reason="the extra `notebook` is not installed")
    nbformat.validate(nbformat.reads(notebook.converted(TUTORIAL), as_version=4))


def test_it_runs_and_keeps_what_it_prints() -> None:
    pytest.importorskip("ipykernel", reason="the extra `notebook` is not installed")
    pytest.importorskip("nbclient", reason="the extra `notebook` is not installed")
    made = json.loads(notebook.executed(notebook.converted(TUTORIAL), ROOT))
    printed = [part["text"] for cell in made["cells"] for part in cell.get("outputs", []) if "text" in part]
    assert any("the found one is number" in "".join(text) for text in printed)
    assert all(cell["execution_count"] for cell in made["cells"] if cell["cell_type"] == "code")


def test_control_a_broken_one_does_not_run() -> None:
    pytest.importorskip("ipykernel", reason="the extra `notebook` is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the extra `notebook` is not installed")
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        notebook.executed(notebook.converted("```python\nassert False\n```\n"), ROOT)
