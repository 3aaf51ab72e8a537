"""The designs that come with gruhw: each has all that it is generated from, offline."""

from pathlib import Path

import numpy as np
import pytest
from command_line import REPOSITORY, CommandLine

from gruhw.design import VECTORS, Design

TASKS = sorted(path.parent for path in REPOSITORY.glob("designs/*/genome.json"))


@pytest.mark.parametrize("folder", TASKS, ids=lambda folder: str(folder.name))
def test_a_task_s_designs_have_the_same_samples_and_need_no_data(folder: Path) -> None:
    large, small, eight = (
        Design.load(folder / name / "genome.json").samples() for name in (".", "small", "8-bit")
    )
    # Simulations may want more of a design; of 8 bits, only what its folder covers is kept.
    assert len(large) == len(small) > len(eight) == VECTORS
    for samples in (small, eight):
        for name in ("x", "y", "lengths"):
            assert np.array_equal(getattr(samples, name), getattr(large, name)[: len(samples)])


def test_8_bits_are_generated_offline(gruhw: CommandLine, tmp_path: Path) -> None:
    genome = REPOSITORY / "designs" / "mnist-1d" / "8-bit" / "genome.json"
    gruhw.succeeds("generate", "--genome", genome, "--out", "it")
    with np.load(tmp_path / "it" / "vectors.npz", allow_pickle=False) as vectors:
        assert len(vectors["x"]) == VECTORS
    assert (tmp_path / "it" / "samples.npz").exists()
