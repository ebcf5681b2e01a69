"""How does the site show what lies outside docs/? MkDocs calls these functions; nothing is fetched, nothing committed.

README, CONTRIBUTING, ARCHITECTURE and CHANGELOG become pages. So does every source file that a page links to, and the
reference, which is made from the code. Links keep the form in which they work in a checkout, and are turned here.
"""

import ast
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "site")]
import notebook  # noqa: E402  (found through the line above, as MkDocs loads this file alone)
import reference  # noqa: E402

TOP = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "explain/architecture.md",
    "CONTRIBUTING.md": "reference/contributing.md",
    "CHANGELOG.md": "reference/changelog.md",
}
NOTEBOOKS = ("tutorial.md",)
SHIM = "https://unpkg.com/iframe-worker/shim"
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    for uri, text in pages().items():
        hidden = InclusionLevel.NOT_IN_NAV if uri.startswith("source/") else InclusionLevel.INCLUDED
        files.append(File.generated(config, uri, content=text, inclusion=hidden))
    for uri in NOTEBOOKS:
        text = (ROOT / "docs" / uri).read_text(encoding="utf-8")
        files.append(File.generated(config, notebook.beside(uri), content=notebook.converted(text)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn the links of a checkout into the site's."""
    uri = page.file.src_uri
    if uri in NOTEBOOKS:
        title, _, rest = markdown.partition("\n")
        markdown = f"{title}\n\n[This page as a notebook]({notebook.beside(uri)})\n{rest}"
    return turned(markdown.replace("<details>", '<details markdown="1">'), uri, origin(uri))


def on_post_page(output: str, page: Any, config: Any) -> str:
    """The theme's help for searching pages that are read from the disk comes with the site, not from the network."""
    here = os.path.relpath("worker.js", Path(page.file.dest_uri).parent)
    return output.replace(SHIM, here)


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The same for 404.html, which is no page."""
    return output_content.replace(SHIM, "worker.js")


def on_post_build(config: Any) -> None:
    """Add that help."""
    shutil.copy(ROOT / "docs" / "site" / "worker.js", config["site_dir"])


# ------------------------------------------------------------------ pages


def pages() -> dict[str, str]:
    """Every page that is not in docs/: place in the site -> Markdown."""
    made = {TOP[name]: (ROOT / name).read_text(encoding="utf-8") for name in TOP if (ROOT / name).exists()}
    made |= reference.pages()
    written = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md")}
    top = {name: (ROOT / name).read_text(encoding="utf-8") for name in TOP if (ROOT / name).exists()}
    for name, text in {**written, **top}.items():
        for match in LINK.finditer(text):
            target = (ROOT / name).parent / match[1]
            if shown_as_source(target):
                made[source_uri(target)] = source(target.resolve())
    return made


def origin(uri: str) -> str:
    """Where in the repository a page of the site was written."""
    return next((name for name, page in TOP.items() if page == uri), f"docs/{uri}")


def turned(markdown: str, uri: str, written: str) -> str:
    """The Markdown of page `uri`, written in the repository as `written`, with links that hold in the site."""

    def turn(match: re.Match[str]) -> str:
        target = (ROOT / written).parent / match[1]
        if "://" in match[1] or not target.exists():
            return match[0]  # MkDocs says so if it leads nowhere
        path = Path(os.path.relpath(target.resolve(), ROOT)).as_posix()
        there = TOP.get(path) or (source_uri(target) if shown_as_source(target) else path.removeprefix("docs/"))
        return os.path.relpath(there, Path(uri).parent) + (match[2] or "")

    return LINK.sub(turn, markdown)


# ------------------------------------------------------------------ source files


def shown_as_source(target: Path) -> bool:
    """Whether a link leads to a file or folder of the repository that is no page of its own."""
    if not target.exists():
        return False
    path = Path(os.path.relpath(target.resolve(), ROOT))
    return path.parts[0] not in ("docs", "..") and path.as_posix() not in TOP


def source_uri(target: Path) -> str:
    """The page that shows a source file or a folder."""
    path = os.path.relpath(target.resolve(), ROOT)
    return f"source/{path}/index.md" if target.is_dir() else f"source/{path}" + ("" if path.endswith(".md") else ".md")


def source(path: Path) -> str:
    """A page of one file's text, or of what a folder's files are for."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_dir():
        lines = [f"| `{file.name}` | {about(file)} |" for file in sorted(path.glob("*.py")) if file.stem != "__init__"]
        return f"# {name}/\n\n{about(path / '__init__.py')}\n\n| file | question |\n| --- | --- |\n" + "\n".join(lines)
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return re.sub(r"\[([^\]]*)\]\((?!http|#)[^)]*\)", r"\1", text)  # its links lead on into the repository
    return f"# {name}\n\n````{ {'.py': 'python', '.v': 'coq'}.get(path.suffix, 'text') }\n{text}````\n"


def about(file: Path) -> str:
    """The first line of a module's head."""
    head = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.exists() else None
    return (head or "").split("\n")[0].replace("|", "\\|")
