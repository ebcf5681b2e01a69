"""The page: complete, self-contained, escaped."""

import re

from matplotlib.figure import Figure

from nas.judging import page


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
