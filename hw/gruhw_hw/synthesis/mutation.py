"""Faults in a generated design: which there are, a design that holds them all, and proofs.

Yosys' ``mutate`` chooses and makes faults of logic: a bit of a cell's port is inverted (``inv``),
stuck (``const0``, ``const1``), or inverted while another bit of the same port is 0 or 1
(``cnot0``, ``cnot1``). Faults of contents are ours: a bit of a word in ROM is flipped.

A design that holds many faults is compiled once. The argument ``+mutant=N`` of a simulation
switches fault ``N`` on; without it, none is on.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from gruhw.errors import InputError
from gruhw_hw.synthesis.yosys import run_yosys

WIDTH = 16
"""Bits of the signal that selects a fault."""

SELECTOR = "gruhw_mutant"
"""The module that gives the number of the fault that is on."""

_BLACK_BOX = f"(* blackbox *) module {SELECTOR}(output [{WIDTH - 1}:0] mutant); endmodule\n"

_SELECTOR = f"""
module {SELECTOR}(output reg [{WIDTH - 1}:0] mutant);
  initial if (!$value$plusargs("mutant=%d", mutant)) mutant = 0;
endmodule
"""

_CLOCKS = frozenset({"CLK", "clk"})
"""A fault of a clock would move all registers behind it out of the simulation's clock edge."""

_READ_PORT = frozenset({"ADDR", "DATA"})
"""What a read port has, as Amaranth writes it: the register behind it is a cell of its own."""

_SURPLUS = 2
"""How many more faults are asked of Yosys than are wanted: some are left out."""


@dataclass(frozen=True)
class CellFault:
    """A fault of a bit of a cell's port.

    Parameters
    ----------
    module, cell, port, bit
        Where it is.
    mode
        What it does: see the module's documentation.
    control
        For ``cnot0`` and ``cnot1``, the bit of the port that must be 0 or 1.
    """

    module: str
    cell: str
    port: str
    bit: int
    mode: str
    control: int | None = None

    @property
    def place(self) -> str:
        """Where it is, in a few words."""
        control = "" if self.control is None else f" if bit {self.control}"
        return f"{self.cell} {self.port}[{self.bit}]{control}"

    @property
    def command(self) -> str:
        """The command that puts it into a design that Yosys has read."""
        control = "" if self.control is None else f" -ctrlbit {self.control}"
        return (
            f"mutate -mode {self.mode} -module {self.module} -cell {self.cell}"
            f" -port {self.port} -portbit {self.bit}{control}"
        )


@dataclass(frozen=True)
class ContentFault:
    """A flipped bit of a word in ROM."""

    module: str
    memory: str
    word: int
    bit: int
    mode: str = "flip"

    @property
    def place(self) -> str:
        """Where it is, in a few words."""
        return f"{self.memory}[{self.word}] bit {self.bit}"


Fault: TypeAlias = CellFault | ContentFault


@dataclass(frozen=True)
class _Word:
    """A line of Verilog that fills a word of a memory."""

    module: str
    memory: str
    number: int
    bits: int
    value: int
    line: str

    @property
    def place(self) -> tuple[str, str, int]:
        """Which word it is."""
        return self.module, self.memory, self.number

    def flipped(self, bit: int) -> str:
        """The assignment with one bit flipped."""
        target = self.line[: self.line.index("=")].strip()
        return f"{target} = {self.bits}'h{self.value ^ (1 << bit):x};"


def cell_faults(verilog: str, top: str, count: int, seed: int) -> list[CellFault]:
    """Faults of logic, as evenly spread as Yosys' ``mutate -list`` spreads them.

    It goes for lines of the text, wires and bits that have none yet, and in turn for a wire,
    bit, cell or line of the whole design and of a module chosen at random: small modules get
    their share. Left out are faults of clocks; the outputs of registers, where ``mutate`` would
    take away initial values, and which have their faults at the data input a cycle earlier; and
    the constants that fill memories, which :func:`content_faults` covers.

    Raises
    ------
    InputError
        If there are fewer than ``count``.
    ToolError
        If Yosys fails.
    """
    chosen = f"t:* t:$meminit* %d t:{SELECTOR} %d"
    listing = f"mutate -list {_SURPLUS * count} -seed {seed} -o faults.txt {chosen}"
    run = run_yosys([*reading(top), listing], yosys_inputs(verilog, top), ["faults.txt"])
    found = [_parse(line) for line in run.outputs["faults.txt"].decode().splitlines()]
    faults = [fault for fault in found if _is_usable(fault)][:count]
    if len(faults) < count:
        raise InputError(f"faults must be at most {len(faults)} in this design, not {count}")
    return faults


def content_faults(verilog: str, count: int, seed: int) -> list[ContentFault]:
    """Flipped bits in memories that are never written: from each memory as many, at random."""
    random = Random(seed)
    memories: dict[tuple[str, str], list[_Word]] = {}
    for word in _words(verilog):
        memories.setdefault((word.module, word.memory), []).append(word)
    pools = [_shuffled(random, words) for words in memories.values()]
    if count > (total := sum(map(len, pools))):
        raise InputError(f"faults of contents must be at most {total}, not {count}")
    faults: list[ContentFault] = []
    while len(faults) < count:
        faults += [pool.pop() for pool in pools if pool][: count - len(faults)]
    return faults


def _shuffled(random: Random, words: Sequence[_Word]) -> list[ContentFault]:
    faults = [
        ContentFault(word.module, word.memory, word.number, bit)
        for word in words
        for bit in range(word.bits)
    ]
    random.shuffle(faults)
    return faults


def with_faults(verilog: str, top: str, faults: Sequence[Fault]) -> str:
    """The design with all faults in it, of which ``+mutant=N`` selects the one at ``N`` - 1.

    Modules, and the names inside them that were not made by Yosys, stay as they are.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    if len(faults) >= 1 << WIDTH:
        raise InputError(f"faults must be fewer than {1 << WIDTH}, not {len(faults)}")
    commands = [
        f"{fault.command} -ctrl mutant {WIDTH} {number}"
        for number, fault in enumerate(faults, start=1)
        if isinstance(fault, CellFault)
    ]
    run = run_yosys(
        # In a file: so many commands are too long for a command line.
        [*reading(top), "script apply.ys", "write_verilog -noattr mutated.v"],
        yosys_inputs(verilog, top) | {"apply.ys": "\n".join(commands).encode()},
        ["mutated.v"],
    )
    text = run.outputs["mutated.v"].decode()
    words = {word.place: word for word in _words(text)}
    more: dict[tuple[str, str], list[str]] = {}
    for number, fault in enumerate(faults, start=1):
        if isinstance(fault, ContentFault):
            word = words[fault.module, fault.memory, fault.word]
            # "$test$plusargs" takes the beginning of an argument: numbers need one length.
            switch = f'if ($test$plusargs("{plusarg(number)[1:]}")) {word.flipped(fault.bit)}'
            more.setdefault((fault.module, word.line), []).append(switch)
    lines = [
        f"{line}\n{''.join(f'    {switch}{chr(10)}' for switch in more[module, line])}"
        if (module, line) in more
        else f"{line}\n"
        for module, line in _lines(text)
    ]
    return "".join([*lines, _SELECTOR])


def with_content(verilog: str, fault: ContentFault) -> str:
    """The design with a fault of contents in it."""
    place = (fault.module, fault.memory, fault.word)
    word = next(found for found in _words(verilog) if found.place == place)
    lines = _lines(verilog)
    return "".join(
        f"{word.flipped(fault.bit) if found == (word.module, word.line) else found[1]}\n"
        for found in lines
    )


def modules_of_weights(verilog: str) -> list[str]:
    """The modules with weights in ROM."""
    return sorted({word.module for word in _words(verilog) if word.memory == "weights"})


def plusarg(number: int) -> str:
    """The simulation's argument that switches a fault on."""
    return f"+mutant={number:0{len(str(1 << WIDTH))}}"


def reading(top: str, file: str = "design.v") -> list[str]:
    """Commands that read a design and give its cells the same names every time.

    Memories stay memories. What is computed twice is merged, and bits that nothing reads are
    removed, as any synthesis does: faults there would be none.
    """
    return [
        "read_verilog selector.v",
        f"read_verilog {file}",
        f"hierarchy -check -top {top}",
        "proc",
        "opt_expr",
        "opt_merge",
        "wreduce",
        "opt_clean",
    ]


def yosys_inputs(verilog: str, top: str) -> dict[str, bytes]:
    """The files that :func:`reading` reads: the design with a wire that ``mutate -ctrl`` finds."""
    header = re.compile(rf"(module {top}\([^;]*\);)")
    wire = f"(* keep *) wire [{WIDTH - 1}:0] mutant;"
    selector = rf"\1 {wire} (* keep *) {SELECTOR} mutant_selector(.mutant(mutant));"
    text, found = header.subn(selector, verilog, count=1)
    if not found:
        raise InputError(f"module {top} is required, but missing")
    return {"selector.v": _BLACK_BOX.encode(), "design.v": text.encode()}


def _parse(line: str) -> CellFault:
    """A line of what ``mutate -list`` writes."""
    _, *words = line.split()
    options = dict(zip(words[::2], words[1::2], strict=True))
    control = options.get("-ctrlbit")
    return CellFault(
        module=options["-module"],
        cell=options["-cell"],
        port=options["-port"],
        bit=int(options["-portbit"]),
        mode=options["-mode"],
        control=None if control is None else int(control),
    )


def _is_usable(fault: CellFault) -> bool:
    kind = fault.cell.split("$")[1] if fault.cell.startswith("$") else ""
    if fault.port in _CLOCKS or (kind == "procdff" and fault.port == "Q"):
        return False
    return kind != "memrd" or fault.port in _READ_PORT


def _lines(verilog: str) -> Iterator[tuple[str, str]]:
    """Every line with the name of the module it stands in."""
    module = ""
    for line in verilog.splitlines():
        if match := re.match(r"module \\?([^ (]+)", line):
            module = match[1]
        yield module, line


def _words(verilog: str) -> Iterator[_Word]:
    """The words of all memories that nothing writes to."""
    fill = re.compile(r"\s*\\?(\w+) ?\[(\d+)\] = (\d+)'h([0-9a-f]+);")
    write = re.compile(r"\s*\\?(\w+) ?\[.*\] <= ")
    written, words = set(), []
    for module, line in _lines(verilog):
        if match := fill.fullmatch(line):
            memory, number, bits, value = match.groups()
            words.append(_Word(module, memory, int(number), int(bits), int(value, 16), line))
        elif match := write.match(line):
            written.add((module, match[1]))
    return (word for word in words if (word.module, word.memory) not in written)
