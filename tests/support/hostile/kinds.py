"""The kinds of files that gruhw reads: what may be wrong with each, and which commands read it."""

from collections.abc import Mapping
from dataclasses import dataclass

from gruhw.learning.tasks.spoken_digits import ARCHIVE as SPOKEN_DIGITS
from hostile.archives import NPZ
from hostile.damage import CONTENTS, NO_FILES, Mutation
from hostile.libraries import ARCHIVE, LIBERTY, VERILOG
from hostile.models import SAFETENSORS
from hostile.stores import CHECKPOINT, SQLITE
from hostile.values import JSON
from hostile.world import DEEP, DESIGN, SEARCH, SMALL, TASK, VALUES

Command = tuple[str, ...]

UNCHANGED: Mapping[str, Mutation] = {"a hostile name": lambda random, path: None}


@dataclass(frozen=True)
class Kind:
    """A kind of files.

    Parameters
    ----------
    name
        For people.
    file
        The one that is damaged; may hold a wildcard.
    mutations
        What may be wrong with it.
    commands
        What may read it.
    needs
        The files and folders of the world that these commands read.
    weight
        How often it comes up.
    pin
        The field of the genome whose SHA-256 is made right again, so that the contents are read.
    pinned
        Whether a file with another SHA-256 must be refused.
    compiled
        Whether the world must have compiled simulations.
    renamed
        Whether the file, or its folder, gets a hostile name.
    """

    name: str
    file: str
    mutations: Mapping[str, Mutation]
    commands: tuple[Command, ...]
    needs: tuple[str, ...]
    weight: float
    pin: str | None = None
    pinned: bool = False
    compiled: bool = False
    renamed: bool = False


DESIGN_FILES = ("design", TASK)
DEEP_FILES = ("deep", VALUES)
SEARCH_FILES = (TASK, "search", "cache/gruhw/native")
TRAINING_FILES = (TASK, "interrupted", "cache/gruhw/native")
SIMULATION_FILES = (*DESIGN_FILES, "cache/gruhw/simulation")

EVALUATE: Command = ("evaluate", "--genome", DESIGN)
GENERATE: Command = ("generate", "--genome", DESIGN, "--json", "out.json", "--out")
TRAIN: Command = ("train", "--task", TASK, "--float-epochs", "0", "--epochs", "0", "--out")
TINY: Command = ("--hidden", "2")
SYNTH: Command = ("synth", "--genome", DESIGN, "--target", "asic", "--liberty", "cells.lib")
EVALUATE_DEEP: Command = ("evaluate", "--genome", DEEP)
GENERATE_DEEP: Command = ("generate", "--genome", DEEP, "--out", "out")
# Ends, in status 2, as soon as all is read: a design is not generated where it lies.
READ_DEEP: Command = ("generate", "--genome", DEEP, "--out", "deep")
READ: Command = ("generate", "--genome", DESIGN, "--out", "design")
SIMULATE: Command = ("simulate", "--genome", DESIGN, "--samples", "1", "--simulator")
VERIFY: Command = ("verify", "--genome", DESIGN, "--samples", "1", "--jobs", "1")
RESUME: Command = ("search", "--resume", "--out", "search", "--workers", "1")
# Ends, in status 2, as soon as the first candidates are evaluated: none is so small.
PREPARE: Command = ("search", "--task", TASK, *SEARCH, *SMALL, "--select", "budget=1", "--out")
# Ends, in status 2, as soon as the calibration is read: where it should write, there is a file.
CALIBRATED: Command = ("search", "--task", TASK, "--out", TASK, "--objective", "luts")

KINDS = (
    Kind(
        "genome", DESIGN, CONTENTS | NO_FILES | JSON,
        (*(6 * (EVALUATE,)), (*GENERATE, "out"), (*TRAIN, "out", "--genome", DESIGN)),
        DESIGN_FILES, 20,
    ),
    Kind(
        "genome, for a search", DESIGN, CONTENTS | NO_FILES | JSON,
        ((*PREPARE, "interrupted", "--start", DESIGN), (*PREPARE, "out", "--model", DESIGN)),
        ("design", *TRAINING_FILES), 2,
    ),
    Kind(
        "model", "design/model.safetensors", CONTENTS | SAFETENSORS,
        (*(7 * (EVALUATE,)), (*GENERATE, "out")), DESIGN_FILES, 14, pin="model",
    ),
    Kind(
        "model, pinned", "design/model.safetensors", CONTENTS | NO_FILES | SAFETENSORS,
        (EVALUATE, (*GENERATE, "out")), DESIGN_FILES, 4, pinned=True,
    ),
    Kind(
        "samples", "design/samples.npz", CONTENTS | NPZ,
        (*(4 * (READ,)), (*GENERATE, "out")), DESIGN_FILES, 8, pin="samples",
    ),
    Kind(
        "samples, pinned", "design/samples.npz", CONTENTS | NO_FILES | NPZ,
        (READ, READ, (*GENERATE, "out")), DESIGN_FILES, 3, pinned=True,
    ),
    Kind(
        "task", TASK, CONTENTS | NO_FILES | NPZ,
        (EVALUATE, (*EVALUATE, "--task", TASK, "--split", "train"), (*TRAIN, "out", *TINY)),
        DESIGN_FILES, 16,
    ),
    Kind(
        "data", TASK, CONTENTS | NO_FILES | NPZ,
        (*(4 * ((*READ, "--data", TASK),)), (*GENERATE, "out", "--data", TASK)),
        DESIGN_FILES, 6,
    ),
    Kind(
        "genome of several layers", DEEP, CONTENTS | NO_FILES | JSON,
        (*(6 * (EVALUATE_DEEP,)), GENERATE_DEEP), DEEP_FILES, 12,
    ),
    Kind(
        "model of several layers", "deep/model.safetensors", CONTENTS | SAFETENSORS,
        (*(6 * (EVALUATE_DEEP,)), GENERATE_DEEP), DEEP_FILES, 6, pin="model",
    ),
    Kind(
        "samples of values", "deep/samples.npz", CONTENTS | NPZ, (READ_DEEP,), DEEP_FILES, 3,
        pin="samples",
    ),
    Kind(
        "task of values", VALUES, CONTENTS | NO_FILES | NPZ,
        (EVALUATE_DEEP, (*EVALUATE_DEEP, "--split", "train")), DEEP_FILES, 8,
    ),
    Kind(
        "Liberty", "cells.lib", CONTENTS | NO_FILES | LIBERTY, (SYNTH,),
        (*DESIGN_FILES, "cells.lib"), 1,
    ),
    Kind(
        "memory of a search", "search/search.sqlite", CONTENTS | NO_FILES | SQLITE, (RESUME,),
        SEARCH_FILES, 9,
    ),
    Kind(
        "shared weights", "search/shared.safetensors", CONTENTS | NO_FILES | SAFETENSORS, (RESUME,),
        SEARCH_FILES, 3,
    ),
    Kind(
        "fraction bits", "search/fractions.json", CONTENTS | NO_FILES | JSON, (RESUME,),
        SEARCH_FILES, 3,
    ),
    Kind(
        "float weights", "interrupted/float.safetensors", CONTENTS | NO_FILES | SAFETENSORS,
        ((*PREPARE, "interrupted"),), TRAINING_FILES, 3,
    ),
    Kind(
        "checkpoint", "interrupted/shared.checkpoint", CONTENTS | NO_FILES | CHECKPOINT,
        ((*PREPARE, "interrupted"),), TRAINING_FILES, 5,
    ),
    Kind(
        "calibration", "cache/gruhw/area-ice40.json", CONTENTS | NO_FILES | JSON, (CALIBRATED,),
        (TASK, "cache/gruhw/area-ice40.json"), 5,
    ),
    Kind(
        "published archive", f"data/{SPOKEN_DIGITS}", CONTENTS | NO_FILES | ARCHIVE,
        ((*EVALUATE, "--task", "spoken-digits"),), (*DESIGN_FILES, "data"), 4, pinned=True,
    ),
    Kind(
        "pinned data", "data/mnist.npz", CONTENTS | NO_FILES,
        ((*EVALUATE, "--task", "mnist-rows"),), (*DESIGN_FILES, "data"), 2, pinned=True,
    ),
    Kind(
        "place of results", "other.json", NO_FILES,
        (
            ("tasks", "--json", "other.json"),
            ("tasks", "--json", "other.json/a.json"),
            (*GENERATE, "other.json"),
            (*TRAIN, "other.json", *TINY),
            (*PREPARE, "other.json"),
        ),
        (*DESIGN_FILES, "other.json"), 2,
    ),
    Kind(
        "name of a design", DESIGN, UNCHANGED,
        (*(3 * (EVALUATE,)), (*GENERATE, "out"), (*TRAIN, "out", "--genome", DESIGN)),
        DESIGN_FILES, 2,
        renamed=True,
    ),
    Kind(
        "name of a model", "design/model.safetensors", UNCHANGED,
        (*(3 * (EVALUATE,)), (*GENERATE, "out")), DESIGN_FILES, 1, renamed=True,
    ),
    Kind(
        "name of a task", TASK, UNCHANGED,
        (
            EVALUATE,
            (*EVALUATE, "--task", TASK),
            (*TRAIN, "out", *TINY),
            (*READ, "--data", TASK),
            (*PREPARE, "interrupted"),
        ),
        (*DESIGN_FILES, *TRAINING_FILES), 2, renamed=True,
    ),
    Kind(
        "name of a result", "results/old.json", UNCHANGED,
        (
            ("tasks", "--json", "results/old.json"),
            (*GENERATE, "results/x"),
            (*TRAIN, "results/x", *TINY),
            (*PREPARE, "results/x"),
        ),
        (*DESIGN_FILES, "results"), 1, renamed=True,
    ),
    Kind(
        "compiled time steps", "cache/gruhw/native/*.so", CONTENTS | NO_FILES, (RESUME,),
        SEARCH_FILES, 0.3,
    ),
    Kind(
        "Icarus program", "cache/gruhw/simulation/*/sim.vvp", CONTENTS | NO_FILES,
        ((*SIMULATE, "icarus"),), SIMULATION_FILES, 0.4, compiled=True,
    ),
    Kind(
        "Verilator program", "cache/gruhw/simulation/*/gruhw", CONTENTS | NO_FILES,
        ((*SIMULATE, "verilator"),), SIMULATION_FILES, 0.1, compiled=True,
    ),
    Kind(
        "Verilator runtime", "cache/gruhw/simulation/runtime-*/*.o", CONTENTS | NO_FILES,
        ((*SIMULATE, "verilator", "--pe", "2"),), SIMULATION_FILES, 0.05, compiled=True,
    ),
    Kind(
        "harness", "cache/gruhw/simulation/harness-*/harness", CONTENTS | NO_FILES, (VERIFY,),
        SIMULATION_FILES, 0.1, compiled=True,
    ),
    Kind(
        "harness runtime", "cache/gruhw/simulation/harness-runtime-*/*.o", CONTENTS | NO_FILES,
        ((*VERIFY, "--pe", "2"),), SIMULATION_FILES, 0.05, compiled=True,
    ),
    # What is wrong inside of Verilog is the simulator's to say, with status 1.
    Kind(
        "Verilog", "gruhw.v", NO_FILES | VERILOG, ((*VERIFY, "--verilog", "gruhw.v"),),
        (*SIMULATION_FILES, "gruhw.v"), 0.3, compiled=True,
    ),
)  # fmt: skip
"""Every kind of files that commands read."""
