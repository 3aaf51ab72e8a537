"""The command ``gruhw search`` with all that it really trains, on a task learnt in seconds."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import SCRIPT, CommandLine
from killed_search import results
from tiny_task import write_tiny_task

from gruhw.network.bound import load_network
from gruhw.network.genome import Genome

SEARCH = (
    *("search", "--task", "task.npz", "--quick", "--hidden", "2", "--seed", "3"),
    *("--population", "8", "--generations", "2", "--finalists", "4"),
)

MOMENTS = (
    "float training, epoch 2 ", "shared training, epoch 1 ", "shared training, epoch 3 ",
    "generation 0/", "fine-tuned 1 ",
)  # fmt: skip
"""What the search says when it is killed, one after the other."""


def killed_at(moment: str, *arguments: str, cwd: Path) -> None:
    """Run a command, and kill it as soon as a line of standard error begins like ``moment``."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=cwd, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(moment):
            break
    else:
        pytest.fail(f"{moment!r} is not in {said}")
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_in_every_phase_it_ends_with_the_same_files(
    gruhw: CommandLine, tmp_path: Path
) -> None:
    write_tiny_task(tmp_path / "task.npz")
    gruhw.succeeds(*SEARCH, "--out", "whole", "--workers", "1")
    whole = results(tmp_path / "whole")
    assert {"pareto.json", "best.json", "best.safetensors", "shared.safetensors"} <= set(whole)

    begun = False
    for moment in MOMENTS:
        arguments = ("search", "--resume") if begun else SEARCH
        killed_at(moment, *arguments, "--out", "killed", "--workers", "2", cwd=tmp_path)
        begun = True
    gruhw.succeeds("search", "--resume", "--out", "killed", "--workers", "2")
    assert results(tmp_path / "killed") == whole

    best = tmp_path / "killed" / "best.json"
    assert load_network(best).genome == Genome.load(best)
    assert gruhw("evaluate", "--genome", best).status == 0

    with np.load("task.npz") as archive:
        np.savez("task.npz", **{name: archive[name][::-1] for name in archive.files})
    refused = gruhw("search", "--resume", "--out", "killed")
    line = (
        "gruhw: killed/search.sqlite: the training data must be as when the search began, but "
        "changed: put back what was there, or choose another folder with --out\n"
    )
    assert (refused.status, refused.err) == (2, line)
