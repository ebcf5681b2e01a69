"""The page: complete, self-contained, escaped."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from nas.judging import page
from tests import browser

asks_a_browser = pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.WHY_NOT)


def drawing() -> Figure:
    figure = Figure()
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_a_page_refers_to_no_other_file_and_escapes_text() -> None:
    made = page.page(
        "a < b",
        page.heading("Figures & tables"),
        page.paragraph("run `make demo` <now>"),
        page.figure(drawing(), "n = 3"),
        page.figure(drawing(), "again"),
        page.table([{"method": "<b>", "loss": 0.123456}, {"method": "x", "loss": 2.0}]),
    )
    assert "a &lt; b" in made
    assert "<code>make demo</code> &lt;now&gt;" in made
    assert "<td>&lt;b&gt;</td><td>0.1235</td>" in made
    assert not re.search(r'(src|href)="(?!#)', made)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', made))
    defined = set(re.findall(r'id="([^"]+)"', made))
    assert {name for pair in used for name in pair if name} <= defined


def test_equal_figures_make_equal_text_and_an_empty_table_says_so() -> None:
    assert "no rows" in page.table([])
    assert page.figure("<svg id='x'></svg>", "c") == page.figure("<svg id='x'></svg>", "c")


WIDE = [{"method": name, **{f"a column {k}": size * k for k in range(1, 15)}} for name, size in (("b", 2), ("a", 9.5))]
PARTS = (page.paragraph("`" + 40 * "python-m-nas-search" + "`"), page.figure(drawing(), "n = 3"), page.table(WIDE))


@pytest.fixture(scope="module")
def seen() -> Iterator[browser.Tab]:
    with browser.tab() as opened:
        yield opened


@asks_a_browser
def test_a_browser_has_no_complaint(tmp_path: Path, seen: browser.Tab) -> None:
    file = tmp_path / "page.html"
    file.write_text(page.page("A page", *PARTS), encoding="utf-8")
    assert browser.seen_in(seen, file) == []


@asks_a_browser
@pytest.mark.parametrize(
    ("part", "instead", "complaint"),
    [
        ("<h1>", "<div style='width:600px'>wide</div><h1>", "390 px: div: wide"),
        ("<h1>", "<pre style='overflow-x:auto;white-space:pre'>" + 99 * "long " + "</pre><h1>", "390 px: pre: long"),
        ("<h1>", "<script>nowhere()</script><h1>", "Uncaught"),
        ("<h1>", "<script>console.error('no')</script><h1>", "error: "),
        ("@media(prefers-color-scheme:dark)", "@media print", "dark: text on its ground"),
        ("--text:#1a1a1a", "--text:#aaa", "light: text on its ground"),
        ("<svg ", "<svg style='width:90px' ", "a figure is 90 px wide, naturally"),
        ("th.tabIndex=0;", "", "keyboard: no column's head can be reached"),
        ("e.key==='Enter'", "e.key==='q'", "keyboard: Enter and the space bar do not sort"),
        ("e.key===' '", "e.key==='q'", "keyboard: Enter and the space bar do not sort"),
    ],
)
def test_control_a_browser_sees_what_is_wrong(
    tmp_path: Path, seen: browser.Tab, part: str, instead: str, complaint: str
) -> None:
    file, made = tmp_path / "page.html", page.page("A page", *PARTS)
    assert part in made
    file.write_text(made.replace(part, instead), encoding="utf-8")
    assert any(complaint in one for one in browser.seen_in(seen, file))


@asks_a_browser
def test_numbers_sort_as_numbers_and_words_come_after_them(tmp_path: Path, seen: browser.Tab) -> None:
    file = tmp_path / "page.html"
    rows = [{"steps": steps} for steps in ("never", "9 [8, 10]", "10", "1e+03 [1e+03, 2e+03]", "always")]
    file.write_text(page.page("A page", page.table(rows)), encoding="utf-8")
    seen.open(file, browser.DESK)
    seen.press("Tab")
    seen.press("Enter")
    assert seen.ask(browser.COLUMN) == ["never", "always", "1e+03 [1e+03, 2e+03]", "10", "9 [8, 10]"]
    seen.press("Enter")
    assert seen.ask(browser.COLUMN) == ["9 [8, 10]", "10", "1e+03 [1e+03, 2e+03]", "always", "never"]
    assert seen.ask("document.querySelector('th').getAttribute('aria-sort')") == "ascending"
