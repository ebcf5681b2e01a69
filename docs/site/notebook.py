"""How does a page become a notebook? Its Python blocks are code cells, all between them is prose, in the page's order.

    python docs/site/notebook.py docs/tutorial.md tutorial.ipynb --execute

The page is the one source: nothing is kept by hand, and a notebook is made when it is wanted, with its outputs if it is
executed (the extra `notebook`). Links to other pages do not lead on from a notebook, so they become plain words.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
PAGE_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:)[^)]*\)")


def converted(markdown: str) -> str:
    """A page in Markdown as a notebook of Jupyter's format 4.5, without outputs.

    >>> [cell["cell_type"] for cell in json.loads(converted("# Title\\n\\n```python\\n1 + 1\\n```\\n"))["cells"]]
    ['markdown', 'code']
    """
    cells = [{"id": f"cell-{place}", **cell} for place, cell in enumerate(_cells(markdown))]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def executed(text: str, folder: Path) -> str:
    """A notebook with the outputs of its cells, run from top to bottom in `folder`.

    Raises: nbclient's CellExecutionError for a cell that fails; ImportError without the extra `notebook`.
    """
    import nbclient
    import nbformat

    document = nbformat.reads(text, as_version=4)
    nbclient.NotebookClient(document, kernel_name="python3").execute(cwd=str(folder))
    return str(nbformat.writes(document)) + "\n"


def beside(page: str) -> str:
    """The name of a page's notebook, `tutorial.ipynb` of `tutorial.md`."""
    return f"{page.removesuffix('.md')}.ipynb"


def _cells(markdown: str) -> Iterator[dict[str, Any]]:
    for place, part in enumerate(BLOCK.split(markdown)):  # prose and code in turn
        text = part if place % 2 else PAGE_LINK.sub(r"\1", COMMENT.sub("", part))
        if not text.strip():
            continue
        cell: dict[str, Any] = {"metadata": {}, "source": text.strip("\n").splitlines(keepends=True)}
        if place % 2:
            yield {"cell_type": "code", **cell, "execution_count": None, "outputs": []}
        else:
            yield {"cell_type": "markdown", **cell}


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["--execute"]):
        sys.exit("usage: python docs/site/notebook.py PAGE.md NOTEBOOK.ipynb [--execute]")
    made = converted(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if sys.argv[3:]:
        made = executed(made, Path(__file__).resolve().parents[2])  # where `nas` and `simulate` are imported from
    Path(sys.argv[2]).write_text(made, encoding="utf-8")
