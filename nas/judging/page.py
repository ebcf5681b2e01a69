"""How do results become one self-contained page? SVG figures and sortable tables in one HTML file, fit for a phone."""

import html
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from nas.judging import style

STYLE = """
:root{color-scheme:light dark;--text:#1a1a1a;--ground:#fff;--quiet:#555;--line:#ddd;--code:#f3f3f3}
@media(prefers-color-scheme:dark){:root{--text:#e6e6e6;--ground:#16181c;--quiet:#a5abb3;--line:#3a3f46;--code:#262a30}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:var(--text);
background:var(--ground);overflow-wrap:anywhere}
h1{line-height:1.2}figure{margin:1rem 0}
svg{max-width:100%;height:auto;background:#fff}figcaption,.note{color:var(--quiet);font-size:.9rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{cursor:pointer}code{background:var(--code);padding:.1rem .3rem}
pre{overflow-x:auto;background:var(--code);padding:.6rem}
"""
SORT = """
for(const th of document.querySelectorAll('th')){
th.tabIndex=0;th.onkeydown=e=>{if(e.key==='Enter'||e.key===' '){e.preventDefault();th.click()}};
th.onclick=()=>{const t=th.closest('table'),i=th.cellIndex,b=t.tBodies[0];
const d=th.dataset.down=th.dataset.down==='1'?'':'1';
for(const o of t.tHead.rows[0].cells)o.removeAttribute('aria-sort');
th.setAttribute('aria-sort',d?'descending':'ascending');
const v=r=>{const s=r.cells[i].textContent,n=parseFloat(s);return isNaN(n)?s:n};
const c=(x,y)=>typeof x!==typeof y?(typeof x==='number'?-1:1):x<y?-1:x>y?1:0;
b.append(...[...b.rows].sort((p,q)=>c(v(p),v(q))*(d?-1:1)))}}
"""


def page(title: str, *parts: str) -> str:
    """A whole HTML document from a title and parts made by the functions below. Refers to no other file."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>{''.join(parts)}<script>{SORT}</script></body></html>\n"
    )


def heading(text: str) -> str:
    """A section heading."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """A paragraph of plain text; `words in backticks` become code."""
    return "<p>" + re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)) + "</p>"


def figure(drawn: Figure | str, caption: str) -> str:
    """A figure with its caption: n, interval, seed and the command that makes it again belong there.

    drawn: a matplotlib figure, or SVG text. Identifiers inside the SVG are made unique to it.
    """
    svg = drawn if isinstance(drawn, str) else style.svg(drawn)
    svg = svg[svg.index("<svg") :]
    prefix = f"f{zlib.crc32(svg.encode())}-"
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\1{prefix}", svg)
    return f'<figure><div class="scroll">{svg}</div><figcaption>{html.escape(caption)}</figcaption></figure>'


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table, one column a key of the first row; a click, or Enter, on a column's head sorts. Floats show 4 digits."""
    if not rows:
        return "<p class='note'>no rows</p>"
    columns = list(rows[0])
    head = "".join(f'<th scope="col">{html.escape(str(column))}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row[column])}</td>" for column in columns) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))
