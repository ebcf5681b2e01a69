"""The live view: it shows what is recorded, follows the run, and answers nobody but this machine's browser."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from nas.__main__ import main
from nas.judging import watch
from nas.running import runs
from nas.spaces import recurrent
from nas.tasks import experiments
from tests import browser

SPACE = recurrent.cell_space()


def told(step: int) -> dict[str, Any]:
    even = [[1 / SPACE.shape[1]] * SPACE.shape[1]] * SPACE.shape[0]
    facts = {"step": step, "epoch": step / 10, "seconds": 1.0, "weight_loss": 3.0, "architecture_loss": 3.1}
    return {**facts, "entropy": 9.0, "probabilities": even, "architecture": SPACE.write([0] * 6)}


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run folder of a search that has begun and recorded nothing."""
    folder = tmp_path / "run"
    with runs.open_run(folder, experiments.load("ptb", "small")):
        pass
    return folder


@pytest.fixture
def port(begun: Path) -> Iterator[int]:
    serving = watch.server(begun)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving.server_address[1]
    serving.shutdown()
    serving.server_close()
    thread.join()


def get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    connection = HTTPConnection(watch.HOST, port, timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    text = answer.read().decode("utf-8")
    connection.close()
    return answer.status, text


def record(folder: Path, step: int) -> None:
    with runs.open_run(folder, experiments.load("ptb", "small")) as run:
        run.record(told(step))


def test_the_page_follows_the_run(begun: Path, port: int) -> None:
    status, first = get(port, "/")
    assert status == 200
    assert "Waiting: " in first
    assert "<svg" not in first
    record(begun, 10)
    _, version = get(port, "/version")
    _, second = get(port, "/")
    assert f'data-version="{version}"' in second  # so the page that is shown does not load again
    assert f'data-version="{version}"' not in first  # and the one before does
    assert second.count("<svg") == 3
    assert "for 10 steps" in second
    record(begun, 20)
    assert "for 20 steps" in get(port, "/")[1]


@pytest.mark.skipif(browser.CHROMIUM is None, reason=browser.WHY_NOT)
def test_a_browser_follows_by_itself_and_complains_of_nothing(begun: Path, port: int) -> None:
    with browser.tab() as seen:
        seen.open(f"http://{watch.HOST}:{port}/", browser.PHONE)
        assert "Waiting: " in seen.ask("document.body.textContent")
        before = seen.loaded
        record(begun, 10)
        seen.wait(before)
        assert "for 10 steps" in seen.ask("document.body.textContent")
        assert seen.errors == []
    assert browser.complaints(f"http://{watch.HOST}:{port}/") == []


def test_what_has_not_changed_is_not_drawn_again(begun: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    record(begun, 10)
    before = get(port, "/")[1]
    monkeypatch.setattr(watch.report, "parts", lambda folder: pytest.fail("drawn again"))
    assert get(port, "/")[1] == before


def test_a_half_written_line_is_waited_for(begun: Path, port: int) -> None:
    record(begun, 10)
    metrics = begun / runs.METRICS
    whole = metrics.read_text(encoding="utf-8")
    metrics.write_text(whole + whole[:40], encoding="utf-8")
    assert "Waiting: " in get(port, "/")[1]
    metrics.write_text(whole, encoding="utf-8")
    assert "for 10 steps" in get(port, "/")[1]


def test_only_this_machine_s_own_browser_is_answered(begun: Path, port: int) -> None:
    assert get(port, "/version", "localhost:1")[0] == 200
    assert get(port, "/version", "elsewhere.example:80")[0] == 403
    assert get(port, "/config.toml")[0] == 404
    assert get(port, "/../run/config.toml")[0] == 404
    with watch.server(begun) as other:
        assert other.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_or_none_is_refused(begun: Path, port: int) -> None:
    for wrong in (port, 70_000):
        with pytest.raises(ValueError, match=f"cannot listen at 127.0.0.1:{wrong}.*--port 0"):
            watch.server(begun, wrong)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path)]) == 2
    assert "cannot read settings" in capsys.readouterr().err


def test_the_command_says_where_and_ends_at_ctrl_c(
    begun: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.ThreadingHTTPServer, "serve_forever", interrupted)
    assert main(["watch", str(begun)]) == 0
    assert "http://127.0.0.1:" in capsys.readouterr().out
