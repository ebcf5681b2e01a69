"""Can every page be read once? Bounds on its paragraphs, table cells and sentences, and on README as one screen.

Counted are the words that a reader sees: a link counts by its text, a formula by its parts between spaces. Code blocks
are not prose. What stands in brackets, as n and spread of a number do, is counted apart from its sentence.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "proofs/README.md")
PAGES = sorted([*(ROOT / name for name in TOP), *(ROOT / "docs").rglob("*.md")])
LIMITS = {"paragraph": 90, "cell": 30, "sentence": 38}  # words
README_LINES, README_WORDS = 80, 500

CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)]*\)")
TAG = re.compile(r"</?[a-z][^>]*>")
BRACKET = re.compile(r"\(([^()]*)\)")
ITEM = re.compile(r"\s*(?:[-*]|\d+\.)\s+")
CELLS = re.compile(r"(?<!\\)\|")
END = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!et al)(?<!\bcf)[.!?][*_\"]*\s+(?=[^a-z])")  # of a sentence


def words(text: str) -> int:
    """How many words a reader sees: what stands between spaces and holds a letter or a digit."""
    return sum(any(sign.isalnum() for sign in part) for part in text.split())


def seen(text: str) -> str:
    """A page's prose as it is shown: links by their text, no tags, comments or code blocks."""
    return TAG.sub("\n", LINK.sub(r"\1", COMMENT.sub("", CODE.sub("\n\n", text))))


def parts(text: str) -> Iterator[tuple[str, str]]:
    """The paragraphs and table cells of a page, in order; an item of a list is a paragraph of its own."""
    for block in re.split(r"\n\s*\n", seen(text)):
        paragraph = ""
        for line in block.splitlines():
            table, heading, item = line.lstrip().startswith("|"), line.startswith("#"), ITEM.match(line)
            if (table or heading or item) and paragraph:
                yield "paragraph", paragraph
                paragraph = ""
            if table:
                yield from (("cell", cell) for cell in CELLS.split(line.strip())[1:-1])
            elif not heading:
                paragraph += " " + line
        yield "paragraph", paragraph


def sentences(part: str) -> Iterator[str]:
    """The sentences of a paragraph or cell without their brackets, and what stood in the brackets."""
    asides = BRACKET.findall(part)
    for text in (BRACKET.sub("", part), *asides):
        yield from END.split(text)


def too_long(text: str) -> list[str]:
    """What exceeds a limit: its kind, its number of words, and how it begins."""
    measured = [
        one for kind, part in parts(text) for one in ((kind, part), *(("sentence", s) for s in sentences(part)))
    ]
    return [
        f"{kind} of {words(part)} words (at most {LIMITS[kind]}): {part.strip()[:80]}"
        for kind, part in measured
        if words(part) > LIMITS[kind]
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_can_be_read_once(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


def test_readme_is_one_screen() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= README_LINES
    assert words(seen(text)) <= README_WORDS


def test_control_each_limit_is_kept_and_one_word_more_is_found() -> None:
    short = " ".join(["word"] * (LIMITS["sentence"] // 2)) + ". "
    for kind, make in {
        "sentence": lambda n: "So " + "word " * (n - 1) + "here.",
        "cell": lambda n: "| a |\n| --- |\n| " + "Word. " * n + "|",
        "paragraph": lambda n: ("Word. " * n) + "\n\n" + short,
    }.items():
        limit = LIMITS[kind]
        assert not too_long(make(limit - 1)), kind
        found = too_long(make(limit + 1))
        assert len(found) == 1, kind
        assert found[0].startswith(kind)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("See [the page](a/long/address.md#with-an-anchor) now.", 4),
        ("![A picture](p.png)", 2),
        ("```sh\nnot counted at all\n```\nThree words here.", 3),
        ("<!-- takes: minutes -->\n<details><summary>n, device</summary>\n\nTwo words.\n</details>", 4),
        ("x = y − 2 · z", 4),
    ],
)
def test_words_are_those_that_a_reader_sees(text: str, count: int) -> None:
    assert words(seen(text)) == count


def test_a_list_s_items_are_counted_apart_and_a_wrapped_line_is_not() -> None:
    text = "Before:\n\n- one two\n  three\n- four\n\nAfter\nthat.\n"
    assert [" ".join(part.split()) for _, part in parts(text) if part.strip()] == [
        "Before:",
        "- one two three",
        "- four",
        "After that.",
    ]


def test_a_bracket_is_no_part_of_its_sentence_and_can_be_too_long_itself() -> None:
    aside = "word " * LIMITS["sentence"]
    assert not too_long(f"It is so ({aside}).")
    assert len(too_long(f"It is so ({aside} more).")) == 1
