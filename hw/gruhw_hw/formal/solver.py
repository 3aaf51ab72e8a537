"""Properties of hardware, and their proof by temporal induction with the solver in Yosys."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, Shape, Signal, Value, ValueCastable

from gruhw.errors import ToolError
from gruhw_hw.synthesis.yosys import run_yosys

FURTHER = 4
"""Cycles that are searched beyond the depth of a proof that fails: a counterexample that begins
at power-on says more than one that begins anywhere."""

CASE = "case"
"""The signal of a property that runs through its cases."""


@dataclass
class Property:
    """Something that must hold in every cycle, whatever the inputs.

    Parameters
    ----------
    name
        Of the operator or stream that it belongs to.
    claim
        What holds, in a few words.
    depth
        The most cycles over which the induction may have to look back.
    cases
        Values of the signal :data:`CASE`, each proved for itself; together they must be
        everything there is. Without any, there is one proof.
    memories
        Whether it speaks of words of memories, which become registers then. If not, only what it
        depends on does.

    Attributes
    ----------
    module
        Has the hardware as its submodule ``dut``, and the model it is compared with.
    """

    name: str
    claim: str
    depth: int = 1
    cases: Sequence[int] = ()
    memories: bool = True
    module: Module = field(default_factory=Module)
    inputs: list[Signal] = field(default_factory=list)
    probes: dict[str, Signal] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)

    def input(self, shape: Shape | range | int, name: str) -> Signal:
        """A signal that may take any value in any cycle."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def drive(self, *ports: Signal) -> None:
        """Give ports of the hardware any values in any cycle."""
        for port in ports:
            self.module.d.comb += port.eq(self.input(port.shape(), f"{port.name}_any"))

    def probe(self, path: str, shape: Shape | range | int) -> Signal:
        """A signal inside the hardware, by its path below ``dut``."""
        if path not in self.probes:
            name = "probe_" + re.sub(r"\W", "_", path)
            self.probes[path] = self.input(shape, name)
        return self.probes[path]

    def free(self, path: str) -> None:
        """Let a signal inside the hardware take any value, instead of what drives it."""
        self.cut.append(path)

    def holds(self, condition: Value | ValueCastable) -> None:
        """Claim that ``condition`` is true in every cycle."""
        self.module.d.comb += Assert(condition)

    def given(self, condition: Value | ValueCastable) -> None:
        """Consider only cycles in which ``condition`` is true, and those before."""
        self.module.d.comb += Assume(condition)


@dataclass(frozen=True)
class Outcome:
    """What became of a property.

    Parameters
    ----------
    name, claim
        As of the property.
    cases
        Proofs that were needed.
    seconds
        Time that they took.
    failure
        Empty if it is proved; otherwise why not, in one line.
    counterexample
        The signals' values over time, as the solver printed them; empty if there is none.
    """

    name: str
    claim: str
    cases: int
    seconds: float
    failure: str = ""
    counterexample: str = ""

    @property
    def proved(self) -> bool:
        """Whether the property holds in all cases."""
        return not self.failure


@dataclass(frozen=True)
class Problem:
    """A property as the solver gets it: the hardware in RTLIL, and commands for Yosys."""

    name: str
    claim: str
    design: str
    commands: Sequence[str]
    logs: Mapping[str, str]


def problem(claim: Property) -> Problem:
    """What the solver is asked, which names a log for each case."""
    text = rtlil.convert(claim.module, name="top", ports=claim.inputs, emit_src=False)
    cases = {f"{number}.log": f"-set {CASE} {case}" for number, case in enumerate(claim.cases)}
    cases = cases or {"0.log": ""}
    steps = f"-tempinduct -maxsteps {claim.depth + FURTHER}"
    options = f"{steps} -prove-asserts -set-assumes -show-public top"
    solve = [f"tee -q -o {log} sat {case} {options}" for log, case in cases.items()]
    return Problem(claim.name, claim.claim, text, [*_prepare(claim), *solve], cases)


def prove(asked: Problem) -> Outcome:
    """Prove a property, or find out that it does not hold.

    Registers begin with their power-on values, resets may come in any cycle, and all inputs
    are free. Both parts of the induction are done by Yosys's ``sat``: that the property holds
    in the first cycles, and that it holds in a cycle if it held in the ones before.

    Raises
    ------
    ToolError
        If Yosys fails otherwise than by a proof that does not succeed.
    """
    started = time.monotonic()
    run = run_yosys(asked.commands, {"top.il": asked.design.encode()}, list(asked.logs))
    found = Outcome(asked.name, asked.claim, len(asked.logs), time.monotonic() - started)
    for name, case in asked.logs.items():
        log = run.outputs[name].decode("utf-8", "replace")
        if (problem_found := failure(log)) is not None:
            where = f", with {case.removeprefix('-set ')}" if case else ""
            return replace(found, failure=problem_found + where, counterexample=_model(log))
    return found


def _prepare(claim: Property) -> list[str]:
    """The commands that make one flat netlist, with the probes connected."""
    # Nothing is optimised before the probes are there: what only they read would be removed.
    flat = ["read_rtlil top.il", "hierarchy -top top", "proc", "flatten", "memory_collect"]
    words = ["memory_map"]
    connected = [
        f"connect -nounset -set {signal.name} dut.{path}" for path, signal in claim.probes.items()
    ]
    cut = [f"cutpoint w:dut.{path}" for path in claim.cut]
    probed = ["cd top", *cut, *connected, "cd ..", "chformal -lower"]
    if claim.memories:
        return [*flat, *words, *probed, "opt -fast"]
    return [*flat, *probed, "opt_clean -purge", *words, "opt -fast"]


def failure(log: str) -> str | None:
    """Why a proof failed; None if it did not."""
    if "Induction step proven: SUCCESS!" in log:
        return None
    if "model found for base case: FAIL!" in log:
        return "does not hold"
    if "Reached maximum number of time steps" in log or "SAT solver: TIMEOUT" in log:
        return "could not be proved"
    raise ToolError("Yosys: sat must end with a proof or a counterexample")


def _model(log: str) -> str:
    """The last model in what the solver printed, without what is the same in every one."""
    start = log.rfind("Time Signal Name")
    if start < 0:
        return ""
    lines = log[start:].splitlines()
    end = next((row for row, line in enumerate(lines) if not line.strip()), len(lines))
    return "\n".join(line.rstrip() for line in lines[:end])
