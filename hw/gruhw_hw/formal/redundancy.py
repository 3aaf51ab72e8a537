"""Whether a fault can be seen at all: proofs that it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

from gruhw.network.bound import Network
from gruhw.network.graph import Linear
from gruhw_hw.formal.solver import failure
from gruhw_hw.formal.surroundings import SURROUNDINGS, surroundings
from gruhw_hw.identifiers import DATAPATH
from gruhw_hw.placed import placed_operators
from gruhw_hw.synthesis.mutation import (
    CellFault,
    ContentFault,
    Fault,
    modules_of_weights,
    reading,
    with_content,
    yosys_inputs,
)
from gruhw_hw.synthesis.yosys import run_yosys

MOST_CYCLES = 4
"""How many cycles an induction may look back."""

SECONDS = 30
"""How long the solver may think about one question."""


@dataclass(frozen=True)
class _Scope:
    """A part of the design, compared with and without the fault.

    Parameters
    ----------
    name
        What people call it.
    root
        The module that it is.
    outside
        The modules whose instances are not part of it: what goes into them counts as an output,
        and what comes out as an input.
    memories
        Whether memories are part of it; otherwise they are outside like other modules, so that
        what they hold does not matter.
    cycles
        How many an induction may look back.
    around
        More RTLIL, with assumptions.
    spared
        How many rows of registers behind the fault may differ, in the attempts that spare any.
    """

    name: str
    root: str
    outside: Sequence[str]
    memories: bool
    cycles: int = MOST_CYCLES
    around: str = ""
    spared: int = 1


def redundant(verilog: str, top: str, fault: Fault, network: Network | None = None) -> str:
    """In which scope it is proved that a fault cannot be seen: a name, empty if in none.

    The scope with the fault and the one without begin with their power-on values, or zero where
    there is none, and get the same inputs, which are free in every cycle; the claim is that
    their outputs are always equal. Tried are, in this order: the ``module`` of the fault alone;
    if the network of the design is given, an operator in its ``surroundings``
    (:mod:`gruhw_hw.formal.surroundings`); and the whole ``design``, without the other modules
    that hold weights and, for faults of logic, without memories, which take the solver a long
    time. An empty answer says that the outputs can differ, or that no proof was found.

    The induction needs to know how registers compare: it is tried with the claim that all are
    equal, too, and with the claim that all but those are that the fault reaches directly, or
    through others.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    others = [name for name in modules_of_weights(verilog) if name != fault.module]
    module = _Scope("module", fault.module, ["*"], memories=True)
    design = _Scope("design", top, others, memories=isinstance(fault, ContentFault))
    scopes = [module]
    if network and (around := _surroundings(network, verilog, top, fault)):
        scopes.append(around)
    for scope in (*scopes, design):
        for spared in (0, scope.spared):
            if _proved(verilog, top, fault, scope, spared):
                return scope.name
    return ""


def _surroundings(network: Network, verilog: str, top: str, fault: Fault) -> _Scope | None:
    """The scope around the operator that has the fault; None if none has it, or none is known."""
    operators = {f"{top}.{DATAPATH}.{each.path}": each for each in placed_operators(network)}
    contents, placed = isinstance(fault, ContentFault), operators.get(fault.module)
    if placed is None:
        return None
    found = surroundings(network, verilog, placed, fault.module, contents=contents)
    if found is None:
        return None
    return _Scope(
        "surroundings",
        SURROUNDINGS,
        outside=[],
        # The weights themselves matter only if they are what is wrong.
        memories=contents or not isinstance(placed.node, Linear),
        cycles=found.cycles,
        around=found.design,
        spared=found.rows,
    )


def _proved(verilog: str, top: str, fault: Fault, scope: _Scope, spared: int) -> bool:
    """Whether a fault is proved unseen, with so many rows of registers that may differ."""
    inputs = yosys_inputs(verilog, top)
    if isinstance(fault, CellFault):
        # Read once, because the names of cells depend on what was read before.
        marked = [f"setattr -set faulty 1 {fault.module}/c:{fault.cell}"]
        faulty = ["design -load whole", fault.command]
        origin = "a:faulty"
    else:
        marked = []
        inputs["faulty.v"] = with_content(inputs["design.v"].decode(), fault).encode()
        faulty = ["design -reset", *reading(top, "faulty.v")]
        origin = f"c:*{fault.memory}$rdmux*"
    claim = "-set-init-zero -set-assumes -prove trigger 0"
    around = []
    if scope.around:
        inputs["around.il"] = scope.around.encode()
        around = ["read_rtlil around.il", f"proc {scope.root}"]
    commands = [
        *reading(top),
        *marked,
        "design -save whole",
        *around,
        *_part(scope, "gold", [_choose(origin, spared)]),
        *faulty,
        *around,
        *_part(scope, "gate", []),
        "design -reset",
        "design -copy-from gold gold",
        "design -copy-from gate gate",
        "miter -equiv -flatten gold gate miter",
        "hierarchy -top miter",
        # No stronger passes: they would choose undefined bits, differently in the two.
        "opt_expr -keepdc",
        "opt_merge",
        "opt_clean",
        "chformal -lower",
        f"tee -q -o sat.log sat -timeout {SECONDS} -tempinduct -maxsteps {scope.cycles} {claim}",
    ]
    log = run_yosys(commands, inputs, ["sat.log"]).outputs["sat.log"].decode()
    return failure(log) is None


def _choose(origin: str, spared: int) -> str:
    """The command that writes to ``known.txt`` which registers are claimed to be equal.

    All but ``spared`` rows: those that the cells ``origin``, where the fault is, reach with none
    in between, those that these reach, and so on.
    """
    reached = origin
    for row in range(spared):
        start = f"{reached} %co1:+[Q]" if row else origin
        reached = f"{start} %co*:-$dff[Q] t:$dff %i"
    others = f"{reached} %d" if spared else ""
    return f"select -write known.txt t:$dff {others} %co1:+[Q] w:* %i"


def _part(scope: _Scope, name: str, choose: Sequence[str]) -> list[str]:
    """Stash a scope, with the registers named in ``known.txt`` among its outputs."""
    inside = f"{scope.root}/t:$mem_v2 %d" if scope.memories else ""
    return [
        "memory_collect",
        *(f"setattr -mod -set keep_hierarchy 1 {module}" for module in scope.outside),
        f"hierarchy -top {scope.root}",
        "flatten",
        f"expose -evert {scope.root}/c:* {inside}",
        f"hierarchy -purge_lib -top {scope.root}",
        "memory_map",
        # Chosen without the fault: a stuck output reaches nothing any more.
        *choose,
        "select -read known.txt",
        "expose",
        "select -clear",
        "opt_clean",
        f"setattr -mod -unset keep_hierarchy {scope.root}",
        f"rename {scope.root} {name}",
        f"design -stash {name}",
    ]
