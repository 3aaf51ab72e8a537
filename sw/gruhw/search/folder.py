"""The files of a search's folder, besides its memory, and what is left of them after a kill."""

import re
from pathlib import Path

from gruhw.basics.files import output_folder, unfinished

FLOAT_MODEL = "float.safetensors"
"""Holds the float network."""

SHARED_MODEL = "shared.safetensors"
FRACTIONS = "fractions.json"
"""What candidates are made from."""

FRONT = "pareto.json"
FRONT_TABLE = "pareto.csv"
FRONT_PICTURE = "pareto.png"
GENOMES_PICTURE = "genomes.png"
BEST_MODEL = "best.safetensors"
BEST = "best.json"
"""What was found."""

WRITTEN = (
    *(FLOAT_MODEL, SHARED_MODEL, FRACTIONS),
    *(FRONT, FRONT_TABLE, FRONT_PICTURE, GENOMES_PICTURE, BEST_MODEL, BEST),
)
"""What stays in the folder."""

FLOAT_CHECKPOINT = "float.checkpoint"
SHARED_CHECKPOINT = "shared.checkpoint"
FINE_TUNING_CHECKPOINT = "fine-tuning-{}.checkpoint"
"""What trainings go on from; of fine-tuning, there is one for each group of candidates."""

CHECKPOINT = re.compile(r"(float|shared|fine-tuning-[0-9a-f]{16})\.checkpoint")


def remove_leftovers(folder: Path) -> None:
    """Remove what a search needs no more when it has stored all that it found.

    These are its checkpoints, and parts of files that it was writing when it was killed; no other
    file is touched. Nothing else may be at work in the folder: the search's store sees to that.

    Raises
    ------
    InputError
        If one cannot be removed.
    """
    with output_folder(folder):
        for path in filter(Path.is_file, list(folder.iterdir())):
            whole = unfinished(path.name)
            if CHECKPOINT.fullmatch(whole or path.name) or whole in WRITTEN:
                path.unlink()
