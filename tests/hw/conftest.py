"""Fixtures of the tests of hardware."""

from pathlib import Path

import pytest
from tiny_liberty import LIBERTY


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "a library; with 'odd' name.lib"
    path.write_text(LIBERTY)
    return path
