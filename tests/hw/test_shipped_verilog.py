"""The Verilog of every shipped design is, byte for byte, what it was when it was shipped."""

import json

import pytest
from shipped_verilog import EXPECTED, GENOMES, found

HASHES = json.loads(EXPECTED.read_text())


def test_every_design_has_an_entry_and_every_entry_a_design() -> None:
    assert len(GENOMES) >= 15
    assert HASHES.keys() == GENOMES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("folder", GENOMES)
def test_the_same_bytes(folder: str) -> None:
    assert found(folder) == HASHES.get(folder)
