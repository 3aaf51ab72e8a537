"""Designs of any network with random weights, and tasks for them: nothing is trained."""

from pathlib import Path
from typing import Any

import numpy as np

from gruhw.design import save_design
from gruhw.learning.tasks import task_for
from gruhw.network.architecture import Architecture
from gruhw.network.fractions import Fractions
from gruhw.network.genes import Genes, homogeneous
from gruhw.network.genome import Folding, Genome
from gruhw.network.model import Model, Normalisation

STEPS = 5
BITS = 5
TRAIN, TEST = 30, 12


def random_model(genes: Genes, trained_on: str | None = None) -> Model:
    """Random weights, and fraction bits with which every tensor spans -1 to 1."""
    rng, network = np.random.default_rng(3), genes.network
    widths = {gene.name: genes[gene.name] for gene in network.calibrated}
    return Model(
        network,
        {name: rng.normal(0, 0.5, shape) for name, shape in network.layer_shapes.items()},
        {name: rng.normal(0, 0.2, shape[0]) for name, shape in network.layer_shapes.items()},
        Fractions({name: bits - 1 for name, bits in widths.items()}, widths),
        True,
        Normalisation.identity(network.inputs),
        trained_on,
        {name: rng.uniform(-0.5, 0.5, shape) for name, shape in network.initial_shapes.items()},
    )


def write_task(path: Path, inputs: int, *, classes: int = 0, values: int = 0) -> None:
    """Write a task of random sequences of 1 to 5 steps, with ``classes`` or with ``values``."""
    rng = np.random.default_rng(4)
    arrays: dict[str, Any] = {"target": np.array("values")} if values else {}
    for part, count in (("train", TRAIN), ("test", TEST)):
        y = rng.normal(size=(count, values)) if values else np.arange(count) % classes
        arrays |= {
            f"x_{part}": rng.normal(size=(count, STEPS, inputs)).astype(np.float32),
            f"y_{part}": y,
            f"length_{part}": rng.integers(1, STEPS + 1, count),
        }
    np.savez(path, allow_pickle=False, **arrays)


def write_design(folder: Path, network: Architecture, task: str, **fields: Any) -> Path:
    """Write a design for the task in the file ``task``; the path of its genome.

    ``fields`` are those of its genome: ``pe``, ``output`` and so on.
    """
    genes = homogeneous(network, BITS)
    if "pe" in fields:
        fields["folding"] = Folding.checked(fields.pop("pe"), network)
    genome = Genome(network=network, genes=genes, task=task, **fields)
    data = task_for(task, network).load()
    save_design(folder, genome, random_model(genes, data.train.fingerprint), data.test)
    return folder / "genome.json"
