"""A design to spoil, in the working directory of a test, and commands that take it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from command_line import DESIGN

GENOME = Path("design/genome.json")
MODEL = Path("design/model.safetensors")
SIZES = json.loads(DESIGN.read_text())["sizes"]
HIDDEN, INPUTS, CLASSES = SIZES["hidden"], SIZES["input"], SIZES["classes"]

Refused: TypeAlias = Callable[..., None]
"""What the fixture ``refused`` is."""


def edit(**fields: Any) -> None:
    """Change fields of the genome; ``genes__add_r`` is the field ``add_r`` of ``genes``."""
    genome = json.loads(GENOME.read_text())
    for path, value in fields.items():
        place = genome
        *parents, last = path.split("__")
        for name in parents:
            place = place[name]
        place[last] = value
    GENOME.write_text(json.dumps(genome))


def generate(*more: str | Path) -> tuple[str | Path, ...]:
    return ("generate", "--genome", GENOME, "--out", "out", *more)


def save(path: str, **arrays: Any) -> None:
    np.savez(path, **arrays)
