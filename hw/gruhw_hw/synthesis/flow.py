"""From Verilog to a report: one flattened run for the total, one hierarchical for the parts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gruhw.basics.files import PathLike
from gruhw.basics.values import instance, truth
from gruhw.errors import InputError
from gruhw_hw.identifiers import check_top
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis.hierarchy import (
    Hierarchy,
    cells_by_operator,
    inclusive_cells,
    named_operators,
)
from gruhw_hw.synthesis.report import SynthesisReport
from gruhw_hw.synthesis.resources import Resources, count_resources
from gruhw_hw.synthesis.targets import (
    LIBRARY_FILE,
    SCOPES,
    TARGETS,
    Target,
    liberty_cells,
    library_of,
)
from gruhw_hw.synthesis.yosys import (
    YosysError,
    parse_stat,
    run_yosys,
    tool_versions,
    warnings,
)


def synthesise(
    verilog: str,
    top: str,
    target: str,
    *,
    liberty: PathLike | None = None,
    by_operator: bool = True,
    dsp: bool = False,
    operators: Mapping[str, str] | None = None,
) -> SynthesisReport:
    """Synthesise a design with Yosys and count what it needs.

    Parameters
    ----------
    verilog
        The design's text.
    top
        The name of its top module.
    target
        A name of :data:`TARGETS`.
    liberty
        For ``asic``, the standard-cell library; IHP SG13G2 by default.
    by_operator
        Whether to attribute resources to operators too, which takes a second run.
    dsp
        Whether multiplier blocks may be used. Without them, area shows every bit of width.
    operators
        Their modules, and what each is called: see
        :func:`gruhw_hw.synthesis.hierarchy.operator_modules`. If absent, names of modules say it.

    Raises
    ------
    InputError
        If there is no such target, ``top`` is no plain Verilog name, or the library is wrong
        or given for a target that takes none, or Yosys cannot map to it.
    ToolError
        If Yosys fails, or the default library cannot be downloaded.
    """
    chosen = check_target(target)
    check_top(top)
    verilog, dsp = instance("verilog", verilog, str), truth("dsp", dsp)
    library = library_of(chosen, liberty)
    cells = chosen.cells if library is None else (*SCOPES, *liberty_cells(library))

    with library_blamed(liberty, verilog, top):
        hierarchy, warned = _run(verilog, top, chosen, library, flatten=True, dsp=dsp)
    total = count_resources(inclusive_cells(hierarchy, top), cells)
    rows: dict[str, Resources] = {}
    if by_operator:
        with library_blamed(liberty, verilog, top):
            hierarchy, _ = _run(verilog, top, chosen, library, flatten=False, dsp=dsp)
        if operators is None:
            operators = named_operators(hierarchy, top)
        attributed = cells_by_operator(hierarchy, top, operators)
        rows = {name: count_resources(found, cells) for name, found in attributed.items()}
    tools = dict(tool_versions())
    if library is not None:
        tools |= {"library": library.name, "library_sha256": library.sha256}
    return SynthesisReport(target, total, rows, tools, warned, dsp=dsp)


def check_target(name: str) -> Target:
    """The target of this name; an :class:`InputError` if there is none."""
    if instance("target", name, str) not in TARGETS:
        raise InputError(f"target must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name]


@contextmanager
def library_blamed(liberty: PathLike | None, verilog: str, top: str) -> Iterator[None]:
    """Report failures of Yosys as faults of the user's library, if there is one.

    Whether Yosys and ABC can map a design to a library is known only when they do.

    Raises
    ------
    InputError
        If Yosys fails with the library at ``liberty``, but not without it.
    """
    try:
        yield
    except YosysError as error:
        if liberty is None:
            raise
        commands = ["read_verilog design.v", f"hierarchy -check -top {top}"]
        run_yosys(commands, {"design.v": verilog.encode()}, [])
        raise InputError(
            f"{liberty}: must be a library that Yosys can map to, but: {error}"
        ) from error


def _run(
    verilog: str, top: str, target: Target, library: Liberty | None, *, flatten: bool, dsp: bool
) -> tuple[Hierarchy, tuple[str, ...]]:
    """The cells of each module after synthesis, and the warnings about the Verilog."""
    run = run_yosys(
        [
            # Without -q, which would keep errors from us too.
            "tee -o read.log read_verilog design.v",
            f"tee -o hierarchy.log hierarchy -check -top {top}",
            *target.commands(top, flatten=flatten, dsp=dsp),
            "tee -q -o stat.json stat -json",
        ],
        {"design.v": verilog.encode()} | ({} if library is None else {LIBRARY_FILE: library.data}),
        ["read.log", "hierarchy.log", "stat.json"],
    )
    logs = (run.outputs["read.log"] + run.outputs["hierarchy.log"]).decode("utf-8", "replace")
    return parse_stat(run.outputs["stat.json"]), warnings(logs)
