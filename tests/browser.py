"""What does a reader's browser say of a page? Its widths, errors, colours and keys, asked of a headless Chromium.

The browser is spoken to through its debugging pipe, with the standard library alone. Where none is installed, CHROMIUM
is None: tests of `tests/nas/judging/test_page.py` are then skipped, and say why.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
WHY_NOT = f"no browser is installed (looked for {', '.join(NAMES)})"
PHONE, DESK = 390, 1280  # pixels
PATIENCE = 120  # seconds for one answer, on a busy machine
READABLE = 4.5  # contrast of text, as WCAG 2 asks of AA

SCROLLS = """(() => {
  const told = e => e.tagName.toLowerCase() + ': ' + e.textContent.slice(0, 40);
  const wide = [];
  if (document.scrollingElement.scrollWidth > innerWidth) wide.push('the page');
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('.scroll table')) continue;  // a wide table may scroll in its frame
    const scrolls = ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.scrollWidth > e.clientWidth + 1;
    if (scrolls && !e.querySelector('table')) wide.push(told(e));
    if (!e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 1) wide.push(told(e));
  }
  return wide})()"""
FIGURES = """[...document.querySelectorAll('figure svg')].map(svg => {
  const shown = svg.getBoundingClientRect().width, natural = svg.width.baseVal.value;
  return [shown, Math.min(natural, svg.parentElement.clientWidth)]})"""
COLOURS = """(() => { const of = getComputedStyle(document.body); return [of.color, of.backgroundColor] })()"""
COLUMN = """[...document.querySelectorAll('table')[0].tBodies[0].rows].map(row => row.cells[0].textContent)"""
FOCUSED = """document.activeElement.tagName + ' ' + document.activeElement.cellIndex"""


@dataclass
class Tab:
    """One page in a browser: `ask` evaluates script in it, `errors` holds what it complained of."""

    sends: int
    hears: int
    session: str | None = None
    errors: list[str] = field(default_factory=list)
    loaded: int = 0
    heard: bytes = b""
    last: int = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result; what else is heard until then is noted."""
        self.last += 1
        number = self.last
        message = {"id": number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.sends, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, page: Path | str, width: int, scheme: str = "light") -> None:
        """Load a page from the disk, or from an address, in a window of this width, light or dark."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        before = self.loaded
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait(before)

    def wait(self, before: int) -> None:
        """Wait until more pages than `before` have been loaded."""
        while self.loaded == before:
            self._next()

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self.heard:
            ready, _, _ = select.select([self.hears], [], [], max(0.0, until - time.monotonic()))
            part = os.read(self.hears, 1 << 16) if ready else b""
            if not part:
                raise RuntimeError("the browser ended" if ready else f"the browser was silent for {PATIENCE} s")
            self.heard += part
        text, _, self.heard = self.heard.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        about = told.get("params", {})
        match told.get("method"):
            case "Page.loadEventFired":
                self.loaded += 1
            case "Runtime.exceptionThrown":
                self.errors.append(about["exceptionDetails"]["text"])
            case "Runtime.consoleAPICalled" if about["type"] in ("error", "warning", "assert"):
                self.errors.append(f"{about['type']}: {about['args']}")
            case "Log.entryAdded" if about["entry"]["level"] in ("error", "warning"):
                self.errors.append(about["entry"]["text"])
        return told


@contextmanager
def tab() -> Iterator[Tab]:
    """A headless browser with one empty page. It ends with the block, and leaves no process and no profile."""
    if CHROMIUM is None:
        raise RuntimeError(WHY_NOT)
    reads, sends = os.pipe()
    hears, writes = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        words = [CHROMIUM, *flags, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        shell = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", *words]  # the pipes' ends must be 3 and 4
        process = subprocess.Popen(
            shell,
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(reads)
        os.close(writes)
        try:
            page = Tab(sends, hears)
            target = page.call("Target.createTarget", url="about:blank")["targetId"]
            page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                page.call(f"{domain}.enable")
            yield page
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(sends)
            os.close(hears)


def complaints(page: Path | str) -> list[str]:
    """What `seen_in` a browser of its own is wrong with a page of results, in words; empty if nothing is."""
    with tab() as seen:
        return seen_in(seen, page)


def seen_in(seen: Tab, page: Path | str) -> list[str]:
    """All that is wrong with a page of results.

    Sideways scrolling on a phone and a desk, figures not at their natural size, text that cannot be read in light or
    dark, a first table that keys do not sort, and whatever the browser itself complained of.
    """
    found = []
    seen.errors.clear()
    for width, scheme in ((PHONE, "dark"), (DESK, "light")):
        seen.open(page, width, scheme)
        found += [f"{width} px: {what} scrolls sideways or sticks out" for what in seen.ask(SCROLLS)]
        text, ground = (luminance(colour) for colour in seen.ask(COLOURS))
        contrast = (max(text, ground) + 0.05) / (min(text, ground) + 0.05)
        if contrast < READABLE or (ground > text) != (scheme == "light"):
            found.append(f"{scheme}: text on its ground has contrast {contrast:.2g}")
        for shown, natural in seen.ask(FIGURES):
            if abs(shown - natural) > 1:
                found.append(f"{width} px: a figure is {shown:.0f} px wide, naturally {natural:.0f}")
    if seen.ask("document.querySelectorAll('table').length"):
        found += unsorted(seen)
    return found + seen.errors


def unsorted(seen: Tab) -> list[str]:
    """What keeps the first table of the open page from being sorted by the keyboard alone."""
    for _ in range(50):
        seen.press("Tab")
        if seen.ask(FOCUSED) == "TH 0":
            break
    else:
        return ["keyboard: no column's head can be reached"]
    before, orders = seen.ask(COLUMN), []
    for key in ("Enter", " "):
        seen.press(key)
        orders.append(seen.ask(COLUMN))
    if any(sorted(order) != sorted(before) for order in orders):
        return ["keyboard: sorting lost a row"]
    if len(set(before)) > 1 and orders[0] == orders[1]:
        return ["keyboard: Enter and the space bar do not sort"]
    return []


def luminance(colour: str) -> float:
    """Relative luminance of a CSS colour, rgb(…) or rgba(…), as WCAG 2 defines it.

    >>> [round(luminance(colour), 3) for colour in ("rgb(0, 0, 0)", "rgb(255, 255, 255)")]
    [0.0, 1.0]
    """
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
