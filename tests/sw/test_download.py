"""Files with a pinned hash: where they are looked for, and what is said when they are wrong."""

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gruhw.download import cache_folder, fetch
from gruhw.errors import InputError, ToolError

CONTENTS = b"what the file must hold" * 9000
PIN = hashlib.sha256(CONTENTS).hexdigest()
WRONG = hashlib.sha256(b"something else").hexdigest()
VARIABLE = "GRUHW_DATA"


class Server:
    """A web server on this machine that counts what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        server = self
        pages: Mapping[str, bytes] = {"/file": CONTENTS, "/wrong": b"something else"}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.path == "/short":
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(CONTENTS)))
                    self.end_headers()
                    self.wfile.write(CONTENTS[:1000])
                elif self.path in pages:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(pages[self.path])
                else:
                    self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def get(*urls: str) -> tuple[Path, bytes]:
    return fetch("name.bin", urls, PIN, folder_variable=VARIABLE, timeout=5)


def test_downloads_once_into_the_cache(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert get(f"{server.base}/file") == (cache_folder() / "name.bin", CONTENTS)
    assert server.asked == ["/file"]
    assert [file.name for file in cache_folder().iterdir()] == ["name.bin"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_goes_on_to_the_next_mirror(server: Server) -> None:
    urls = [f"{server.base}/{page}" for page in ("missing", "wrong", "short", "file")]
    assert get(*urls)[1] == CONTENTS
    assert server.asked == ["/missing", "/wrong", "/short", "/file"]


def test_the_users_folder_comes_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "name.bin").write_bytes(CONTENTS)
    assert get() == (cache_folder() / "name.bin", CONTENTS)
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    assert get() == (cache_folder() / "name.bin", CONTENTS)
    (folder / "name.bin").write_bytes(CONTENTS)
    assert get() == (folder / "name.bin", CONTENTS)


@pytest.mark.parametrize("where", ["folder", "cache"])
@pytest.mark.parametrize("contents", [b"something else", CONTENTS[:-1]], ids=["wrong", "truncated"])
def test_wrong_contents_are_named(
    where: str, contents: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    folder = tmp_path / "mine" if where == "folder" else cache_folder()
    folder.mkdir(parents=True)
    if where == "folder":
        monkeypatch.setenv(VARIABLE, str(folder))
    file = folder / "name.bin"
    file.write_bytes(contents)
    found = hashlib.sha256(contents).hexdigest()
    with pytest.raises(InputError) as raised:
        get(f"{server.base}/file")
    assert str(raised.value) == f"{file}: SHA-256 must be {PIN}, not {found}"
    assert server.asked == []
    assert file.read_bytes() == contents


def test_the_variable_must_name_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(InputError) as raised:
        get()
    assert str(raised.value) == f"GRUHW_DATA must name a folder, not '{tmp_path / 'absent'}'"


def test_failed_downloads_are_all_named(server: Server) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ToolError) as raised:
        get(f"{server.base}/file", f"{server.base}/other")
    assert str(raised.value) == (
        f"name.bin: cannot be downloaded from {server.base}/file (connection refused), "
        f"{server.base}/other (connection refused); to work offline, put it into a folder and "
        f"name that in GRUHW_DATA"
    )


def test_what_arrived_wrong_is_named_and_not_kept(server: Server) -> None:
    urls = [f"{server.base}/{page}" for page in ("missing", "wrong", "short")]
    with pytest.raises(ToolError) as raised:
        fetch("name.bin", tuple(urls), PIN)
    assert str(raised.value) == (
        f"name.bin: cannot be downloaded from {urls[0]} (HTTP status 404), "
        f"{urls[1]} (SHA-256 must be {PIN}, not {WRONG}), "
        f"{urls[2]} (connection closed after 1000 of {len(CONTENTS)} bytes)"
    )
    assert not cache_folder().exists()


def test_an_unwritable_cache_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    message = f"{tmp_path / 'file' / 'gruhw'}: cannot be written: not a directory"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        get(f"{server.base}/file")


def test_a_relative_cache_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "gruhw"
