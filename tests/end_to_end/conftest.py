"""Every test here runs commands: none may need the network, or anything of the user's."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_input import Refused
from command_line import DESIGN, CommandLine, contents
from tiny_task import write_tiny_task
from toy_search import prepare_toy

# Settings of the user's that would change what is printed or found.
UNWANTED = ("GRUHW_DATA", "GRUHW_PDK", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@pytest.fixture(scope="module", autouse=True)
def own_surroundings() -> Iterator[None]:
    """No settings of the user's, and no way out: downloads go to a proxy that nobody serves.

    For a module at a time: tests elsewhere may want the user's settings.
    """
    patch = pytest.MonkeyPatch()
    for name in UNWANTED:
        patch.delenv(name, raising=False)
    # Networks this small train slower on many threads than on one.
    patch.setenv("OMP_NUM_THREADS", "1")
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        patch.setenv(name, "http://127.0.0.1:9")
    patch.delenv("no_proxy", raising=False)
    patch.delenv("NO_PROXY", raising=False)
    yield
    patch.undo()


@pytest.fixture
def gruhw(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys)


@pytest.fixture
def refused(gruhw: CommandLine, tmp_path: Path) -> Refused:
    """Runs a command that must fail with exactly this line, and change no file.

    The test's folder holds a copy of the design, and a regular file.
    """
    shutil.copytree(DESIGN.parent, tmp_path / "design")
    (tmp_path / "file").write_text("a regular file")

    def check(line: str, *arguments: str | Path, status: int = 2) -> None:
        before = contents(tmp_path)
        result = gruhw(*arguments)
        assert (result.status, result.out, result.err) == (status, "", f"gruhw: {line}\n")
        assert contents(tmp_path) == before

    return check


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Searches evaluate by a formula; the test's folder holds the file of a task."""
    monkeypatch.setattr("gruhw.cli.search._preparation", lambda: prepare_toy)
    write_tiny_task(tmp_path / "task.npz")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of a small search's time."""
    for name in ("draw_front", "draw_genomes"):
        monkeypatch.setattr(f"gruhw.search.results.{name}", lambda result: b"")
