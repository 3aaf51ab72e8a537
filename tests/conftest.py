"""Settings of all tests, and fixtures of several kinds of them."""

import signal
from types import SimpleNamespace

import pytest
from hypothesis import settings

from gruhw_hw.pdk import SG13G2
from gruhw_hw.synthesis import library_of

# A deadline for single examples would be a timing assertion.
settings.register_profile("gruhw", settings.default, deadline=None)
settings.load_profile("gruhw")

# Where the tests are started in the background of a shell, interrupts are ignored, also by the
# processes that they start; some tests interrupt themselves or others.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def pinned_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash of the pinned library: estimates need nothing more of it, and it may not be here."""
    pinned = SimpleNamespace(sha256=SG13G2.sha256)
    monkeypatch.setattr(
        "gruhw_hw.area.calibration.library_of",
        lambda target, path: pinned if target.liberty else library_of(target, path),
    )
