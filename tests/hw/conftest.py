"""Fixtures of the tests of hardware."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_liberty import LIBERTY

from gruhw_hw.pdk import SG13G2
from gruhw_hw.synthesis import library_of


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "a library; with 'odd' name.lib"
    path.write_text(LIBERTY)
    return path


@pytest.fixture
def pinned_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of the pinned library: estimates need nothing more of it, and it may not be here."""
    pinned = SimpleNamespace(sha256=SG13G2.sha256)
    monkeypatch.setattr(
        "gruhw_hw.area.calibration.library_of",
        lambda target, path: pinned if target.liberty else library_of(target, path),
    )
