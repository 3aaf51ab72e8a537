"""The memories of an accelerator: their sizes, and the block RAMs that weights take."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, singledispatch
from math import log2
from typing import TypeAlias

import numpy as np
from amaranth.utils import ceil_log2

from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.graph import INPUT, Function, Linear, Multiply, State
from gruhw.network.schedule import Core
from gruhw_hw.area.priced import Terms, add_terms, exact, general, specific
from gruhw_hw.core import emitted_type
from gruhw_hw.linear_plan import LinearPlan
from gruhw_hw.state_memory import is_vector

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
    def of(cls, plan: LinearPlan) -> "Rom":
        """The memory of the weights of a linear operator."""
        bits, size = plan.weight.bits, plan.weights.size
        counts = np.bincount((plan.weights & ((1 << bits) - 1)).ravel(), minlength=1 << bits)
        ones = counts @ _code_bits(bits) / size
        entropy = sum(-share * log2(share) for p in ones.tolist() for share in (p, 1 - p) if share)
        words = plan.words
        changing = np.bitwise_or.reduce(words) & ~np.bitwise_and.reduce(words)
        return cls(
            len(words),
            words.shape[1] * bits,
            int(np.bitwise_count(changing).sum()),
            round(size * entropy),
        )


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


BLOCK_ROWS = (16, 32, 64)
"""The rows of constants that are decoded together."""


@dataclass(frozen=True)
class ConstantRom:
    """A memory of a constant for each unit, which becomes logic.

    ``columns`` are the bits of a word that take different values in different words, those that
    are equal or complementary counted once. ``blocks`` are, for each of :data:`BLOCK_ROWS` that is
    shorter than the memory, the different contents of so many rows of these columns: each is
    decoded once. ``reads`` are the read ports.
    """

    words: int
    bits: int
    columns: int
    blocks: tuple[int, ...]
    reads: int = 1

    @property
    def size(self) -> int:
        """All its bits."""
        return self.words * self.bits

    @classmethod
    def of(cls, constants: IntArray, bits: int, reads: int = 1) -> "ConstantRom":
        """The memory of ``constants``, of so many bits each."""
        columns = (constants[:, None] >> np.arange(bits)) & 1
        # A column and its complement are one, too.
        packed = np.packbits((columns ^ columns[0]).T.astype(np.uint8), axis=1)
        length = -(-len(constants) // 64) * 8
        distinct = {column.tobytes().ljust(length, b"\0") for column in packed if column.any()}
        blocks = []
        for rows in BLOCK_ROWS:
            size = rows // 8
            if len(constants) > rows // 2:
                parts = {
                    column[start : start + size]
                    for column in distinct
                    for start in range(0, length, size)
                }
                blocks.append(len(parts - {b"\0" * size, b"\xff" * size}))
        return cls(len(constants), bits, len(distinct), tuple(blocks), reads)


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


Memory: TypeAlias = Rom | SharedDecoding | ConstantRom | Buffer | TableRom
"""A memory, whose area depends on what a target makes of it."""


@singledispatch
def memory_terms(memory: Memory, target: str) -> Terms:
    """The terms of a memory for a target."""
    raise TypeError(f"no area for {type(memory).__name__}")


USUAL_RANGES: Mapping[Function, tuple[int, int]] = {"sigmoid": (2, 3), "tanh": (1, 3)}
"""The bits before the point, sign included, that operands of a table usually have: first, last."""


@memory_terms.register
def _(table: TableRom, target: str) -> Terms:
    """A table is a block RAM if it is large, and otherwise logic."""
    bits, words = table.bits, 1 << table.operand.bits
    cost = BLOCK_COST.get(target, 0) * block_rams(target, words, bits)
    operand = table.operand if 0 < cost < ROM_COST * words * bits else table.held
    low, high = USUAL_RANGES[table.function]
    whole = min(max(operand.bits - operand.frac, low), high)
    found = general({"table": 1, "table bit": bits, f"table {operand.bits} bit": bits})
    return found | exact(
        {
            f"table {operand.bits}": 1,
            f"table {table.function} {operand.bits} {whole} {bits}": 1,
        }
    )


@memory_terms.register
def _(rom: ConstantRom, target: str) -> Terms:
    """Biases, and what states begin with: the terms are named after the former."""
    bits, rows = rom.bits, -(-rom.words // 4)
    found = general({"bias bit": bits, "bias rom": rom.size, "bias column": rom.columns})
    add_terms(found, specific({f"bias rom {rows}": bits}))
    for words in (16, 32):
        beyond = bits * max(0, rom.words - words)
        add_terms(found, general({f"bias rom beyond {words} words": beyond}))
    for size, count in zip(BLOCK_ROWS, rom.blocks, strict=False):
        add_terms(found, general({f"bias block of {size} rows": count}))
    return {term: count * rom.reads for term, count in found.items()}


def input_buffer(core: Core, entering: Fixed) -> Buffer:
    """The buffer of input vectors: two banks, each with a power of two of words.

    ``entering`` is the type of what the registers of an element hold that the core is sent.
    """
    size, bits = core.typed.graph.input.size, core.typed[INPUT].bits
    return Buffer(2 << ceil_log2(size), bits, entering.bits)


def state_buffer(core: Core, state: State, new: Fixed) -> Buffer:
    """The memory of a state: a :class:`gruhw_hw.state_memory.StateMemory`.

    ``new`` is the type of what the registers of a new element hold.
    """
    vector = is_vector(core, state)
    words = (1 + vector) << ceil_log2(state.size)
    return Buffer(words, core.typed[state.name].bits, new.bits, vector + unit_reads(core, state))


def unit_reads(core: Core, state: State, *, product: bool = True) -> int:
    """How often operators read an element of a state, those that multiply vectors aside.

    Products are left out, too, if ``product`` is False.
    """
    return sum(
        node.operands.count(state.name)
        for node in core.typed.graph.operators
        if not isinstance(node, Linear) and (product or not isinstance(node, Multiply))
    )


def output_buffer(core: Core, emitted: Fixed) -> Buffer:
    """The buffer of output elements.

    ``emitted`` is the type of what the registers of an emitted result hold.
    """
    kind = emitted_type(core)
    typed, name = core.emitted
    # An index is as wide as the whole element.
    equal = 0 if core.classifies else typed[name].bits - emitted.bits
    bits = kind.bits + 1
    return Buffer(core.output_depth - 1, bits, bits - equal, checked=True)


@memory_terms.register
def _(buffer: Buffer, target: str) -> Terms:
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
    found = general({kind: 1.0, f"{kind} port": reads, f"{kind} port bit": reads * bits})
    found |= general({f"{kind} bit": words * bits, f"{kind} word": words})
    found |= specific(
        {f"{kind} deep {address}": reads * bits, f"{kind} port deep {address}": reads}
    )
    return found | general(
        {
            "blocks of buffers": blocks if kind == "blocks" else 0,
            "cells of buffers": cells if kind == "luts" else 0,
        }
    )


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
def _(rom: Rom, target: str) -> Terms:
    """A ROM of weights has some logic beside its block RAMs, or is logic if there are none."""
    bits = rom.bits
    if target not in BLOCK_SHAPES:
        information = rom.information
        found = general(
            {
                "rom": 1,
                "rom column": bits,
                "rom word": rom.words,
                "rom bit": rom.words * bits,
                "rom information": information,
                # Of a function with N bits, N / log2(N) gates (Lupanov, 1958).
                "rom logic": information / log2(max(2, information)),
            }
        )
        return found | specific({f"rom deep {ceil_log2(rom.words)}": information})
    bits = rom.changing
    _, banks = layout(target, rom.words, bits)
    if banks <= 1:
        return {}
    found = general({"bank select": ceil_log2(banks), "bank bit": bits * banks})
    return found | specific({f"banks {banks}": bits})


@memory_terms.register
def _(shared: SharedDecoding, target: str) -> Terms:
    if target in BLOCK_SHAPES:
        return {}
    return general({"whole rom information": shared.information})
