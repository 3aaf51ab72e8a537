"""Netlists that can be simulated: the cells that synthesis chose, and what each of them does."""

from collections.abc import Sequence

from gruhw.basics.files import PathLike
from gruhw.basics.values import instance, truth
from gruhw.errors import InputError
from gruhw_hw.identifiers import check_top
from gruhw_hw.pdk import Liberty
from gruhw_hw.synthesis.flow import check_target, library_blamed
from gruhw_hw.synthesis.targets import LIBRARY_FILE, TARGETS, Target, library_of
from gruhw_hw.synthesis.yosys import run_yosys, yosys_share


def netlist(
    verilog: str,
    top: str,
    target: str,
    *,
    liberty: PathLike | None = None,
    dsp: bool = False,
    flatten: bool = False,
    keep: Sequence[tuple[str, str]] = (),
) -> str:
    """The netlist of a design as Verilog, with models of its cells.

    Parameters
    ----------
    verilog
        The design's text.
    top
        The name of its top module.
    target
        A name of :data:`TARGETS` whose cells have models.
    liberty
        For ``asic``, the standard-cell library; IHP SG13G2 by default.
    dsp
        Whether multiplier blocks may be used.
    flatten
        Whether its modules become one before they are mapped; otherwise they are kept apart.
    keep
        Signals that synthesis must not remove, as module, without ``TOP.``, and name.

    Raises
    ------
    InputError
        If there is no such target or no models of its cells, ``top`` is no plain Verilog name,
        or the library is wrong or given for a target that takes none, or Yosys cannot map to it.
    ToolError
        If Yosys fails, or the default library cannot be downloaded.
    """
    chosen = check_target(target)
    if not chosen.has_models:
        known = [name for name, found in TARGETS.items() if found.has_models]
        raise InputError(f"target of a netlist must be one of {', '.join(known)}, not {target!r}")
    check_top(top)
    verilog, dsp = instance("verilog", verilog, str), truth("dsp", dsp)
    library = library_of(chosen, liberty)
    with library_blamed(liberty, verilog, top):
        run = run_yosys(
            [
                "read_verilog design.v",
                f"hierarchy -check -top {top}",
                *(f"setattr -set keep 1 {top}.{module}/w:{signal}" for module, signal in keep),
                *chosen.commands(top, flatten=flatten, dsp=dsp),
                "write_verilog -noattr netlist.v",
            ],
            {"design.v": verilog.encode()}
            | ({} if library is None else {LIBRARY_FILE: library.data}),
            ["netlist.v"],
        )
        models = _cell_models(chosen) if library is None else _library_models(library)
    return "\n".join((models, run.outputs["netlist.v"].decode()))


def _cell_models(target: Target) -> str:
    """The simulation models that come with Yosys."""
    text = (yosys_share() / target.models).read_text(encoding="utf-8")
    return "\n".join([*(f"`define {name}" for name in target.model_defines), text])


def _library_models(library: Liberty) -> str:
    """What the library's functions say that its cells do.

    Flip-flops begin with one: silicon begins with anything, an unknown value would spread through
    gates further than in any chip, and zero would hide most that depends on it.
    """
    run = run_yosys(
        [
            f"read_liberty -ignore_miss_func {LIBRARY_FILE}",
            "opt_clean -purge =*",  # one name for each register, which then has the value
            "setundef -init -one =*",
            "write_verilog -noattr models.v",
        ],
        {LIBRARY_FILE: library.data},
        ["models.v"],
    )
    return run.outputs["models.v"].decode()
