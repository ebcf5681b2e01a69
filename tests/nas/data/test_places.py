"""Data is found where it was said to be, or refused in one line that helps."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nas import __main__ as program
from nas.data import cifar10, cifar100, places
from nas.data.places import DataError, Source

CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT).hexdigest()
SOURCE = Source("the letters", ("letters", "letters.gz"), "get them from the alphabet")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(places.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, beside, named = tmp_path / "cache" / "advantage-nas", Path("data"), tmp_path / "named"
    for folder in (cache, beside, named):
        folder.mkdir(parents=True)
        (folder / "letters.gz").touch()
    assert places.find(SOURCE) == beside / "letters.gz"
    monkeypatch.setenv(places.VARIABLE, str(named))
    assert places.find(SOURCE) == named / "letters.gz"
    (named / "letters.gz").unlink()
    (beside / "letters.gz").unlink()
    assert places.find(SOURCE) == cache / "letters.gz"
    with pytest.raises(DataError):  # --data is an answer, not a hint: nothing else is looked at
        places.find(SOURCE, named)


def test_the_first_name_wins_and_a_place_may_be_the_file_itself(tmp_path: Path) -> None:
    (tmp_path / "letters.gz").touch()
    assert places.find(SOURCE, tmp_path / "letters.gz") == tmp_path / "letters.gz"
    (tmp_path / "letters").mkdir()
    assert places.find(SOURCE, tmp_path) == tmp_path / "letters"
    assert places.find(SOURCE, tmp_path / "letters") == tmp_path / "letters"


def test_missing_data_says_what_where_and_how(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        places.find(SOURCE)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("the letters", "letters or letters.gz", "data", str(tmp_path / "cache"), "the alphabet", "--data"):
        assert part in message


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "letters"
    file.write_bytes(CONTENT)
    places.verify(file, MD5, "md5")
    file.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DataError, match=f"md5 is [0-9a-f]+, not {MD5}"):
        places.verify(file, MD5, "md5")
    with pytest.raises(DataError, match=r"cannot read .*none: No such file"):
        places.verify(tmp_path / "none", MD5, "md5")


# ------------------------------------------------------------------ downloads


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `breaks_after` closes the connection that many bytes into an answer; `asked` keeps the ranges."""

    breaks_after: int | None = None
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    def source(self, md5: str = MD5) -> Source:
        url = f"http://127.0.0.1:{self.server_address[1]}/letters.gz"
        return Source("the letters", ("letters.gz",), "get them", url, md5, "letters.gz")


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.breaks_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 1_500_000
    with pytest.raises(DataError, match="1500000 of 5120000 bytes"):
        places.download(server.source(), tmp_path)
    assert not (tmp_path / "letters.gz").exists()
    server.breaks_after = None
    file = places.download(server.source(), tmp_path)
    assert file.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1500000-"]
    assert places.download(server.source(), tmp_path) == file
    assert len(server.asked) == 2, "a complete file is not fetched again"


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "letters.gz.part").write_bytes(CONTENT[:100])
    server.ranges = False
    assert places.download(server.source(), tmp_path).read_bytes() == CONTENT


def test_a_complete_part_needs_no_more_bytes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "letters.gz.part").write_bytes(CONTENT)
    assert places.download(server.source(), tmp_path).read_bytes() == CONTENT


def test_wrong_content_is_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="md5 is"):
        places.download(server.source(md5="0" * 32), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_server_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"download of http://127\.0\.0\.1:1/x into .* stopped: .*refused"):
        places.download(Source("x", ("x",), "get it", "http://127.0.0.1:1/x", MD5, "x"), tmp_path)
    with pytest.raises(DataError, match="no direct download; get them from the alphabet"):
        places.download(SOURCE, tmp_path)


def test_an_answer_that_is_not_http_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(DataError, match=r"download of .*/x into .* stopped: .*nonsense"):
            places.download(Source("x", ("x",), "get it", url, MD5, "x"), tmp_path)
        thread.join()


def test_the_command_fetches_where_it_is_told(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cifar10, "SOURCE", SOURCE)
    monkeypatch.setattr(cifar100, "SOURCE", server.source())
    assert program.main(["fetch", "cifar100", "--data", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "letters.gz").read_bytes() == CONTENT
    monkeypatch.setattr(cifar10, "SOURCE", server.source())
    assert program.main(["fetch", "cifar10", "--data", str(tmp_path / "there")]) == 0
    assert (tmp_path / "there" / "letters.gz").read_bytes() == CONTENT
    monkeypatch.setattr(cifar10, "SOURCE", SOURCE)
    assert program.main(["fetch", "cifar10"]) == 2
    assert "no direct download" in capsys.readouterr().err
