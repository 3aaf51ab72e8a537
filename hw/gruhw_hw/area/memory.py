"""The memories of an accelerator: their sizes, and the block RAMs that weights take."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from math import log2
from typing import TypeAlias

import numpy as np
from amaranth.utils import ceil_log2

from gruhw.fixed import Fixed, IntArray
from gruhw.graph import Function, Graph, Linear
from gruhw.model import Network
from gruhw.schedule import Phase, Schedule

BLOCK_SHAPES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "xc7": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
"""Words and bits a word of a block RAM, in each of its shapes."""


BLOCK_COST: Mapping[str, int] = {"ice40": 64, "ecp5": 128, "xc7": 129}
"""What Yosys takes a block RAM for, in register bits, when it chooses what a memory becomes."""

CHECK_COST = 15
"""What is added for the logic of a read that may meet a write."""

ROM_COST = 1 / 16
"""What Yosys takes a bit of a ROM for, in register bits, if it became logic."""

LUT_MEMORY: Mapping[str, tuple[int, int, int]] = {"ecp5": (16, 4, 4), "xc7": (32, 6, 8)}
"""Words, bits and cost in register bits of a memory out of LUTs."""


@dataclass(frozen=True)
class Rom:
    """A memory of weights: its words, and bits a word, padding included.

    ``changing`` are the bits of a word that are not the same in all words: synthesis keeps those.
    ``information`` is what it holds at least, in bits, if every bit of a weight were drawn by
    itself: about what it takes as logic, where there are no block RAMs.
    """

    words: int
    bits: int
    changing: int
    information: int

    @property
    def size(self) -> int:
        """All its bits."""
        return self.words * self.bits

    def block_rams(self, target: str) -> int:
        """The block RAMs that it fills."""
        return block_rams(target, self.words, self.changing)

    @classmethod
    def of(cls, weights: IntArray, weight_bits: int, phase: Phase) -> "Rom":
        """The memory of the integer ``weights`` of a linear operator."""
        codes = weights & ((1 << weight_bits) - 1)
        counts = np.bincount(codes.ravel(), minlength=1 << weight_bits)
        ones = counts @ _code_bits(weight_bits) / weights.size
        entropy = sum(-share * log2(share) for p in ones.tolist() for share in (p, 1 - p) if share)
        changing = _padded(codes, phase)
        changing = np.bitwise_or.reduce(changing) & ~np.bitwise_and.reduce(changing)
        return cls(
            phase.groups * phase.terms,
            phase.lanes * weight_bits,
            int(np.bitwise_count(changing).sum()),
            round(weights.size * entropy),
        )


def _padded(codes: IntArray, phase: Phase) -> IntArray:
    """What stands in a memory of weights: shape [words, lanes]."""
    outputs, inputs = codes.shape
    found = np.zeros((phase.groups * phase.lanes, phase.terms), dtype=np.int64)
    found[:outputs, :inputs] = codes
    lanes = found.reshape(phase.groups, phase.lanes, phase.terms)
    return lanes.transpose(0, 2, 1).reshape(-1, phase.lanes)


@lru_cache
def _code_bits(bits: int) -> IntArray:
    """The bits of every code, shape [2**bits, bits]."""
    return (np.arange(1 << bits)[:, None] >> np.arange(bits)) & 1


@dataclass(frozen=True)
class SharedDecoding:
    """What a memory of weights, whose ``information`` is as in :class:`Rom`, shares with others.

    It holds nothing. But where memories are logic, beside each other, they have some of their
    decoding in common.
    """

    information: int

    @property
    def size(self) -> int:
        """The bits that come on top of those of each memory."""
        return 0


@dataclass(frozen=True)
class Buffer:
    """A memory with one write port: its words, bits a word, and read ports.

    ``held`` are the bits of a word that differ from each other and from zero. ``checked`` if what
    is read while it is written matters, which block RAMs need logic for.
    """

    words: int
    bits: int
    held: int
    reads: int = 1
    checked: bool = False

    @property
    def size(self) -> int:
        """All its bits."""
        return self.words * self.bits


@dataclass(frozen=True)
class TableRom:
    """The ROM of a table: its function, the type of its operand, and bits a word.

    ``held`` is the type of what the operand's registers hold: the part of the ROM that is read.
    """

    function: Function
    operand: Fixed
    held: Fixed
    bits: int

    @property
    def size(self) -> int:
        """All its bits, those that are never read included."""
        return self.bits << self.operand.bits


Memory: TypeAlias = Rom | SharedDecoding | Buffer | TableRom
"""A memory, whose area depends on what a target makes of it."""


@singledispatch
def memory_terms(memory: Memory, target: str) -> Mapping[str, float]:
    """The terms of a memory for a target."""
    raise TypeError(f"no area for {type(memory).__name__}")


USUAL_RANGES: Mapping[Function, tuple[int, int]] = {"sigmoid": (2, 3), "tanh": (1, 3)}
"""The bits before the point, sign included, that operands of a table usually have: first, last."""


@memory_terms.register
def _(table: TableRom, target: str) -> Mapping[str, float]:
    """A table is a block RAM if it is large, and otherwise logic."""
    bits, words = table.bits, 1 << table.operand.bits
    cost = BLOCK_COST.get(target, 0) * block_rams(target, words, bits)
    operand = table.operand if 0 < cost < ROM_COST * words * bits else table.held
    low, high = USUAL_RANGES[table.function]
    whole = min(max(operand.bits - operand.frac, low), high)
    return {
        "table": 1,
        "table bit": bits,
        f"table {operand.bits}": 1,
        f"table {operand.bits} bit": bits,
        f"table {table.function} {operand.bits} {whole} {bits}": 1,
    }


def vector_buffers(graph: Graph, state: Fixed) -> tuple[Buffer, ...]:
    """The buffers of input and state: two banks, each with a power of two of words.

    ``state`` is the type of what the registers of a new state's element hold.
    """
    element = graph.input.type.bits
    reads = 1 + sum(
        graph.state.name in node.operands
        for node in graph.operators
        if not isinstance(node, Linear)
    )
    return (
        Buffer(2 << ceil_log2(graph.input.size), element, element),
        Buffer(2 << ceil_log2(graph.state.size), graph.state.type.bits, state.bits, reads),
    )


def output_buffer(schedule: Schedule, output: Fixed, state: Fixed) -> Buffer:
    """The buffer of output elements, of the type ``output``; ``state`` as in the other buffers."""
    equal = 0 if schedule.head else schedule.graph.state.type.bits - state.bits
    emitted = output.bits + 1
    return Buffer(schedule.output_depth - 1, emitted, emitted - equal, checked=True)


@memory_terms.register
def _(buffer: Buffer, target: str) -> Mapping[str, float]:
    """What Yosys makes of a buffer decides its terms."""
    words, bits, reads = buffer.words, buffer.bits, buffer.reads
    if words == 0:
        return {}
    blocks = block_rams(target, words, bits) * reads
    costs = {"registers": words * bits}
    if target in BLOCK_COST:
        costs["blocks"] = BLOCK_COST[target] * blocks + CHECK_COST * buffer.checked
    cells = 0
    if target in LUT_MEMORY:
        depth, width, cost = LUT_MEMORY[target]
        cells = -(-words // depth) * -(-bits // width) * reads
        costs["luts"] = cost * cells
    kind = min(costs, key=lambda name: (costs[name], name == "blocks", name == "luts"))
    if kind == "registers":  # Memories keep their width; of equal registers one remains.
        bits = buffer.held
    address = ceil_log2(words)
    found = {kind: 1.0, f"{kind} port": reads, f"{kind} port bit": reads * bits}
    found |= {f"{kind} bit": words * bits, f"{kind} word": words}
    found[f"{kind} deep {address}"] = reads * bits
    found[f"{kind} port deep {address}"] = reads
    found["blocks of buffers"] = blocks if kind == "blocks" else 0
    found["cells of buffers"] = cells if kind == "luts" else 0
    return found


def schedule_of(network: Network) -> Schedule:
    """The schedule of a network."""
    return Schedule(network.graph, network.genome.folding, network.genome.output)


def layout(target: str, words: int, bits: int) -> tuple[int, int]:
    """The block RAMs of a memory, and the banks that its words are divided into.

    Yosys puts the banks of a deep memory side by side, and chooses between their words with logic.
    """
    options = (
        (-(-banks * bits // width), banks)
        for depth, width in BLOCK_SHAPES.get(target, ())
        for banks in (-(-words // depth),)
    )
    return min(options, default=(0, 1))


def block_rams(target: str, words: int, bits: int) -> int:
    """The block RAMs of a memory with one read port; none where a target has no block RAMs."""
    return layout(target, words, bits)[0]


@memory_terms.register
def _(rom: Rom, target: str) -> Mapping[str, float]:
    """A ROM of weights has some logic beside its block RAMs, or is logic if there are none."""
    bits = rom.bits
    if target not in BLOCK_SHAPES:
        information = rom.information
        return {
            "rom": 1,
            "rom column": bits,
            "rom word": rom.words,
            "rom bit": rom.words * bits,
            "rom information": information,
            # Of a function with N bits, N / log2(N) gates (Lupanov, 1958).
            "rom logic": information / log2(max(2, information)),
            f"rom deep {ceil_log2(rom.words)}": information,
        }
    bits = rom.changing
    _, banks = layout(target, rom.words, bits)
    if banks <= 1:
        return {}
    return {"bank select": ceil_log2(banks), f"banks {banks}": bits, "bank bit": bits * banks}


@memory_terms.register
def _(shared: SharedDecoding, target: str) -> Mapping[str, float]:
    return {} if target in BLOCK_SHAPES else {"whole rom information": shared.information}
