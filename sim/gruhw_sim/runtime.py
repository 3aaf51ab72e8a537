"""Verilator's own objects, which are the same for every design: a cache keeps them.

To compile them takes longer than a small design.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gruhw.basics.compiled import is_whole, keep


@dataclass(frozen=True)
class Runtime:
    """Objects that were compiled with the same options.

    Parameters
    ----------
    cache
        The folder that keeps them.
    names
        The files.
    """

    cache: Path
    names: Sequence[str]

    def fetch(self, folder: Path) -> None:
        """Copy them into the new ``folder``; without one of them, there will be none."""
        if self._is_whole():
            folder.mkdir()
            for name in self.names:
                shutil.copy(self.cache / name, folder)

    def keep(self, folder: Path) -> None:
        """Keep those in ``folder``, where they have been compiled."""
        if not self._is_whole():
            for name in self.names:
                keep(folder / name, self.cache)

    def _is_whole(self) -> bool:
        return all(is_whole(self.cache / name) for name in self.names)
