"""Settings of all tests, and fixtures of several kinds of them."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import effort
import pytest
from hypothesis import settings
from traps import TRAP
from webassembly import link_webassembly

from gruhw_hw.pdk import SG13G2
from gruhw_hw.synthesis import library_of
from gruhw_sim.simulators import probe

settings.load_profile(effort.USUAL)

# Where the tests are started in the background of a shell, interrupts are ignored, also by the
# processes that they start; some tests interrupt themselves or others.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Icarus Verilog where that is absent: it is no part of a bare machine."""
    if missing := probe("icarus").missing:
        skip = pytest.mark.skip(reason=f"Icarus Verilog is absent: {', '.join(missing)}")
        for item in items:
            if item.get_closest_marker("icarus"):
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the tests' own, for all processes: what is compiled once need not be again.

    Tests neither find what a user's cache holds nor write to it. No tool could take the path
    unquoted.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    cache = folder / TRAP
    cache.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        yield cache


@pytest.fixture
def fresh_cache(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A test's own cache, empty but for WebAssembly that Amaranth's Yosys compiles for long."""
    cache = tmp_path / "cache"
    link_webassembly(own_cache, cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


@pytest.fixture(scope="session")
def builds(own_cache: Path) -> Path:
    """Where the cache has compiled simulations."""
    return own_cache / "gruhw" / "simulation"


@pytest.fixture
def pinned_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of the pinned library: estimates need nothing more of it, and it may not be here."""
    pinned = SimpleNamespace(sha256=SG13G2.sha256)
    monkeypatch.setattr(
        "gruhw_hw.area.calibration.library_of",
        lambda target, path: pinned if target.liberty else library_of(target, path),
    )
