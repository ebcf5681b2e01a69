"""Does every page of results have its form? A verdict with a number first, something to look at, the command, and last
what the numbers rest on, folded away: n, device or source, versions, date.
"""

import re
from pathlib import Path

import pytest

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
PAGES = sorted(RESULTS.glob("*.md"))
NUMBER = re.compile(r"\d|\bzero\b|\bhalf\b|\bnothing\b")
FOLDED = re.compile(r"<details><summary>[^<]*</summary>\n\n(.*?)\n</details>\s*\Z", re.DOTALL)
COMMAND = re.compile(r"^(?:python|make) ", re.MULTILINE)
RESTS_ON = {
    "a device": re.compile(r"cores|CPU|machine"),
    "versions": re.compile(r"torch \d|NumPy \d|any machine"),
    "a date": re.compile(r"20\d\d"),
}
COUNTED = re.compile(r"\bn = |\| n \||n is the number|\d+ (?:replicates|random starts)|[Ee]xact over|are enumerated")


def missing(text: str) -> list[str]:
    """What a page of results lacks."""
    _, verdict, *rest = text.split("\n\n")
    body, folded = "\n\n".join(rest), FOLDED.search(text)
    lacks = []
    if not (verdict.startswith("**") and verdict.endswith("**") and NUMBER.search(verdict)):
        lacks.append("a verdict in bold, with its number")
    if "![" not in body and "\n| ---" not in body:
        lacks.append("a figure or a table")
    if not COMMAND.search(body) and "`python " not in body and "```python" not in body:
        lacks.append("a command")
    if folded is None:
        return [*lacks, "what it rests on, folded away at its end"]
    if not COUNTED.search(text):
        lacks.append("n")
    return lacks + [name for name, pattern in RESTS_ON.items() if not pattern.search(folded[1])]


WHOLE = """# Title

**It is 3.**

| a | b |
| --- | --- |
| 1 | 2 |

```sh
python -m nas
```

<details><summary>n, device, versions</summary>

n = 3, two cores, torch 2.13.0, November 2026.
</details>
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_the_form_of_a_result(page: Path) -> None:
    assert missing(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("part", "instead", "lacks"),
    [
        ("", "", []),
        ("**It is 3.**", "**It is good.**", ["a verdict in bold, with its number"]),
        ("**It is 3.**", "It is 3.", ["a verdict in bold, with its number"]),
        ("| --- | --- |", "", ["a figure or a table"]),
        ("python -m nas", "ls", ["a command"]),
        ("n = 3, ", "", ["n"]),
        ("two cores, ", "", ["a device"]),
        ("torch 2.13.0, ", "", ["versions"]),
        (" 2026", "", ["a date"]),
        ("details>", "section>", ["what it rests on, folded away at its end"]),
    ],
)
def test_control_each_part_is_missed(part: str, instead: str, lacks: list[str]) -> None:
    assert missing(WHOLE.replace(part, instead) if part else WHOLE) == lacks
