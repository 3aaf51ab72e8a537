"""What synthesis found for calibration, kept in the cache as soon as it is known.

A calibration that was killed goes on where it was, and new terms are fitted without synthesis.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gruhw.basics.cache import cache_folder
from gruhw.basics.files import MALFORMED, read_bytes, sha256, write_atomic
from gruhw.errors import InputError
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis import run_yosys
from gruhw_hw.synthesis.hierarchy import Hierarchy
from gruhw_hw.synthesis.yosys import parse_stat

STAT = "stat.json"

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many steps of how many are done."""


@dataclass(frozen=True)
class Tools:
    """What a calibration synthesises with.

    Parameters
    ----------
    versions
        Of the tools, and of what else decides what they find.
    library
        The standard-cell library, for targets that have one.
    """

    versions: Mapping[str, str]
    library: Liberty | None = None


def synthesised(
    commands: Sequence[str], files: Mapping[str, bytes], tools: Mapping[str, str]
) -> Hierarchy:
    """The cells of each module after some Yosys commands, which are run only once.

    Parameters
    ----------
    commands
        One Yosys command each.
    files
        The contents of the files that the commands read, by name.
    tools
        The versions of the tools.

    Raises
    ------
    InputError
        If the file that keeps the cells is damaged, or cannot be read or written.
    ToolError
        If Yosys fails.
    """
    asked = {
        "commands": list(commands),
        "files": {name: sha256(data) for name, data in files.items()},
        "tools": dict(tools),
    }
    path = cache_folder() / "area" / f"{sha256(json.dumps(asked, sort_keys=True).encode())}.json"
    if not path.exists():
        run = run_yosys([*commands, f"tee -q -o {STAT} stat -json"], files, [STAT])
        write_atomic(path, run.outputs[STAT])
    try:
        return parse_stat(read_bytes(path))
    except MALFORMED as error:
        raise InputError(
            f"{path}: must be what Yosys counted; delete it to have it counted anew: {error!r}"
        ) from error
