"""Every test here runs commands: none may need the network, or anything of the user's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import CommandLine

# Settings of the user's that would change what is printed or found.
UNWANTED = ("GRUHW_DATA", "GRUHW_PDK", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, and no way out: downloads go to a proxy that nobody serves."""
    cache = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    for name in UNWANTED:
        patch.delenv(name, raising=False)
    patch.setenv("XDG_CACHE_HOME", str(cache))
    # Networks this small train slower on many threads than on one.
    patch.setenv("OMP_NUM_THREADS", "1")
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        patch.setenv(name, "http://127.0.0.1:9")
    patch.delenv("no_proxy", raising=False)
    patch.delenv("NO_PROXY", raising=False)
    yield cache
    patch.undo()


@pytest.fixture
def gruhw(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """The command line, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys)
