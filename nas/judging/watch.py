"""How does a search stand now? Its report in the browser, on this machine only, which follows the run as it goes on.

The page asks every few seconds whether the run folder has anything new, and loads again if so. It is drawn from
metrics.jsonl and what else is in the folder; the search itself is not touched, and may not even have begun to record.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from nas.judging import page, report
from nas.running import runs
from nas.tasks import experiments

HOST = "127.0.0.1"  # nobody else's browser reaches it
WATCHED = (runs.METRICS, runs.RESULT, "evaluation.json", "audit.json")
FOLLOW = """
const seen=document.currentScript.dataset.version;
setInterval(()=>fetch('version').then(answer=>answer.text()).then(now=>{if(now!==seen)location.reload()})
.catch(()=>{document.title='ended'}),5000)
"""


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the run's page at 127.0.0.1, ready for `serve_forever`; port 0 is one of the system's choice.

    Raises: ValueError in one line if there is no run, or the port cannot be had.
    """
    experiments.reload(folder)  # refuses what is no run
    pages = Pages(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0]
            if host not in (HOST, "localhost"):  # a page from elsewhere that gave its name our address
                self.send_error(403)
            elif self.path == "/":
                self._answer(pages.newest(), "text/html")
            elif self.path == "/version":
                self._answer(version(folder), "text/plain")
            elif self.path == "/favicon.ico":  # every browser asks, and complains if it is refused
                self.send_response(204)
                self.end_headers()
            else:
                self.send_error(404)

        def _answer(self, text: str, kind: str) -> None:
            content = text.encode("utf-8")
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: a line every five seconds would hide the address."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise ValueError(f"cannot listen at {HOST}:{port} ({error}); --port 0 takes one that is free") from error


def version(folder: Path) -> str:
    """What tells two states of a run folder apart: sizes and times of the files that the page is drawn from."""
    states = [file.stat() for name in WATCHED if (file := folder / name).exists()]
    return " ".join(f"{state.st_size}-{state.st_mtime_ns}" for state in states)


class Pages:
    """The page of a run folder, drawn once a state; figures are drawn by one thread at a time, as Matplotlib asks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lock = folder, threading.Lock()
        self.drawn: tuple[str, str] | None = None

    def newest(self) -> str:
        """The page of the folder as it is, or of what it waits for: a first record, a line's second half."""
        with self.lock:
            now = version(self.folder)
            if self.drawn is None or self.drawn[0] != now:
                try:
                    title, parts = report.parts(self.folder)
                except ValueError as error:  # nothing recorded yet, or caught in the middle of a write
                    title, parts = f"A search: {self.folder.name}", [page.paragraph(f"Waiting: {error}.")]
                follow = f'<script data-version="{now}">{FOLLOW}</script>'
                self.drawn = now, page.page(title, *parts, follow)
            return self.drawn[1]
