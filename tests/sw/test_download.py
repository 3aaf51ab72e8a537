"""Files with a pinned hash: where they are looked for, and what is said when they are wrong."""

import fcntl
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gruhw.basics.cache import cache_folder
from gruhw.basics.download import PinnedFile, fetch, fetch_checked
from gruhw.errors import InputError, ToolError

CONTENTS = b"what the file must hold" * 9000
PIN = hashlib.sha256(CONTENTS).hexdigest()
WRONG = hashlib.sha256(b"something else").hexdigest()
VARIABLE = "GRUHW_DATA"


class Server:
    """A web server on this machine that counts what it was asked for.

    ``/short`` closes the connection after 1000 bytes, ``/slow`` stalls after 1000 bytes until
    :attr:`go_on` is set. ``/file`` serves ranges, ``/whole`` ignores that it is asked for one.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        self.stalled = threading.Event()
        self.go_on = threading.Event()
        server = self
        wrong = b"something else"
        pages: Mapping[str, bytes] = {"/file": CONTENTS, "/whole": CONTENTS, "/wrong": wrong}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                server.ranges.append(self.headers["Range"])
                if self.path in ("/short", "/slow"):
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(CONTENTS)))
                    self.end_headers()
                    self.wfile.write(CONTENTS[:1000])
                    if self.path == "/slow":
                        server.stalled.set()
                        server.go_on.wait(30)
                        self.wfile.write(CONTENTS[1000:])
                elif self.path not in pages:
                    self.send_error(404)
                elif self.headers["Range"] is None or self.path == "/whole":
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.write(pages[self.path])
                else:
                    self.send_rest(pages[self.path])

            def send_rest(self, page: bytes) -> None:
                start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                if start >= len(page):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(page) - 1}/{len(page)}")
                self.send_header("Content-Length", str(len(page) - start))
                self.end_headers()
                self.wfile.write(page[start:])

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has there
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.go_on.set()
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def get(*urls: str) -> tuple[Path, bytes]:
    return fetch(PinnedFile("name.bin", urls, PIN), folder_variable=VARIABLE, timeout=60)


def test_downloads_once_into_the_cache(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert get(f"{server.base}/file") == (cache_folder() / "name.bin", CONTENTS)
    assert server.asked == ["/file"]
    assert [file.name for file in cache_folder().iterdir()] == ["name.bin"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def part() -> Path:
    cache_folder().mkdir(parents=True, exist_ok=True)
    return cache_folder() / "name.bin.part"


def check_complete() -> None:
    assert [file.name for file in cache_folder().iterdir()] == ["name.bin"]
    assert (cache_folder() / "name.bin").read_bytes() == CONTENTS


def test_goes_on_to_the_next_mirror(server: Server) -> None:
    urls = [f"{server.base}/{page}" for page in ("missing", "wrong", "short", "file")]
    assert get(*urls)[1] == CONTENTS
    assert server.asked == ["/missing", "/wrong", "/short", "/file"]
    # What the third one sent need not be sent again.
    assert server.ranges == [None, None, None, "bytes=1000-"]
    check_complete()


def test_a_cut_connection_is_resumed(server: Server) -> None:
    with pytest.raises(ToolError) as raised:
        get(f"{server.base}/short")
    assert str(raised.value) == (
        f"name.bin: cannot be downloaded from {server.base}/short (connection closed after 1000 "
        f"of {len(CONTENTS)} bytes); to work offline, put it into a folder and name that in "
        f"GRUHW_DATA"
    )
    assert part().read_bytes() == CONTENTS[:1000]
    assert get(f"{server.base}/file") == (cache_folder() / "name.bin", CONTENTS)
    assert server.ranges == [None, "bytes=1000-"]
    check_complete()


def test_a_server_without_ranges_starts_anew(server: Server) -> None:
    part().write_bytes(CONTENTS[:1000])
    assert get(f"{server.base}/whole")[1] == CONTENTS
    assert server.ranges == ["bytes=1000-"]
    check_complete()


@pytest.mark.parametrize(
    ("left", "ranges"),
    [
        pytest.param(b"?" * 1000, ["bytes=1000-", None], id="other_contents"),
        pytest.param(CONTENTS + b"?", [f"bytes={len(CONTENTS) + 1}-", None], id="too_long"),
        pytest.param(CONTENTS, [], id="complete"),
        pytest.param(b"", [None], id="empty"),
    ],
)
def test_what_an_earlier_download_left(
    left: bytes, ranges: list[str | None], server: Server
) -> None:
    part().write_bytes(left)
    assert get(f"{server.base}/file")[1] == CONTENTS
    assert server.ranges == ranges
    check_complete()


def test_nothing_is_left_of_wrong_contents(server: Server) -> None:
    part().write_bytes(b"?" * 1000)
    with pytest.raises(ToolError, match="SHA-256 must be"):
        get(f"{server.base}/wrong")
    # That server has no byte 1000, and then serves something else.
    assert server.ranges == ["bytes=1000-", None]
    assert list(cache_folder().iterdir()) == []


def test_interrupting_keeps_what_arrived(server: Server) -> None:
    def interrupt() -> None:
        server.stalled.wait(30)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        get(f"{server.base}/slow")
    assert CONTENTS.startswith(part().read_bytes())
    assert get(f"{server.base}/file")[1] == CONTENTS
    check_complete()


def test_two_processes_fetch_one_file(server: Server) -> None:
    script = (
        "import sys\n"
        "from gruhw.basics.download import PinnedFile, fetch\n"
        "data = fetch(PinnedFile('name.bin', (sys.argv[1],), sys.argv[2]))[1]\n"
        "print(len(data))\n"
    )
    command = [sys.executable, "-c", script, f"{server.base}/slow", PIN]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    assert server.stalled.wait(60)
    time.sleep(1)
    server.go_on.set()
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, b"%d\n" % len(CONTENTS))
    assert server.asked == ["/slow"]
    check_complete()


def test_the_one_waited_for_fails(server: Server) -> None:
    found: list[bytes] = []
    with part().open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: found.append(get(f"{server.base}/file")[1]))
        thread.start()
        time.sleep(0.5)
        assert server.asked == []
        part().unlink()
    thread.join(30)
    assert found == [CONTENTS]
    check_complete()


def test_contents_that_are_pinned_otherwise(server: Server) -> None:
    def check(path: Path, data: bytes) -> None:
        if not data.startswith(b"what"):
            raise InputError(f"{path}: must begin with what")

    for _ in range(2):
        assert fetch_checked("name.bin", (f"{server.base}/file",), check)[1] == CONTENTS
    assert server.asked == ["/file"]
    with pytest.raises(ToolError) as raised:
        fetch_checked("other.bin", (f"{server.base}/wrong",), check)
    assert str(raised.value) == (
        f"other.bin: cannot be downloaded from {server.base}/wrong (must begin with what)"
    )
    (cache_folder() / "name.bin").write_bytes(b"?")
    with pytest.raises(InputError) as refused:
        fetch_checked("name.bin", (), check)
    assert str(refused.value) == f"{cache_folder() / 'name.bin'}: must begin with what"


def test_a_bar_is_shown_on_a_terminal(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    part().write_bytes(CONTENTS[:1000])
    get(f"{server.base}/file")
    assert "name.bin" in capsys.readouterr().err


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
        fetch(PinnedFile("name.bin", tuple(urls), PIN))
    assert str(raised.value) == (
        f"name.bin: cannot be downloaded from {urls[0]} (HTTP status 404), "
        f"{urls[1]} (SHA-256 must be {PIN}, not {WRONG}), "
        f"{urls[2]} (connection closed after 1000 of {len(CONTENTS)} bytes)"
    )
    assert [file.name for file in cache_folder().iterdir()] == ["name.bin.part"]
    assert part().read_bytes() == CONTENTS[:1000]


def test_an_unwritable_cache_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    message = f"{tmp_path / 'file' / 'gruhw'}: cannot be written: not a directory"
    message += ": let XDG_CACHE_HOME name another folder"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        get(f"{server.base}/file")


def test_a_full_disk_is_named(server: Server) -> None:
    """Also where what little has arrived is written at the end, when the file is closed."""
    script = (
        "import resource, sys\n"
        "from gruhw.basics.download import PinnedFile, fetch\n"
        "from gruhw.errors import InputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try:\n"
        "    fetch(PinnedFile('name.bin', (sys.argv[1],), sys.argv[2]))\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", script, f"{server.base}/short", PIN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"{part()}: cannot be written: file too large\n", done.stderr


def test_a_relative_cache_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "gruhw"
