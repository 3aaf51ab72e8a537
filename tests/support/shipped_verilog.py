"""The Verilog of every shipped design, as SHA-256 values: what may not change by mistake.

As a program of its own it writes them anew, for a change of the hardware that is meant.
"""

import json
from pathlib import Path

from gruhw.basics.files import sha256, write_atomic
from gruhw.design import Design
from gruhw_hw.top import generate_verilog

REPOSITORY = Path(__file__).parents[2]
GENOMES = {
    str(path.parent.relative_to(REPOSITORY)): path
    for path in sorted(REPOSITORY.glob("designs/**/genome.json"))
}
"""The genome of every shipped design, by its folder."""

EXPECTED = REPOSITORY / "tests" / "data" / "shipped_verilog.json"


def found(folder: str) -> str:
    """The hash of a design's Verilog, generated now."""
    return sha256(generate_verilog(Design.load(GENOMES[folder]).network).verilog.encode())


if __name__ == "__main__":
    hashes = {folder: found(folder) for folder in GENOMES}
    write_atomic(EXPECTED, json.dumps(hashes, indent=2) + "\n")
