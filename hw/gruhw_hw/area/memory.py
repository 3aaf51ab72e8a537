"""The memories of an accelerator: their sizes, and the block RAMs that weights take."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log2

import numpy as np
from amaranth.utils import ceil_log2

from gruhw.fixed import Fixed, IntArray
from gruhw.graph import Function, Graph, Linear, Table
from gruhw.model import Network
from gruhw.parameters import Parameters
from gruhw.schedule import Phase, Schedule
from gruhw_hw.datapath import output_type

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

    ``information`` is what it holds at least, in bits, if every bit of a weight were drawn by
    itself: about what it takes as logic, where there are no block RAMs.
    """

    words: int
    bits: int
    information: int

    @classmethod
    def of(cls, weights: IntArray, weight_bits: int, phase: Phase) -> "Rom":
        """The memory of the integer ``weights`` of a linear operator."""
        codes = np.bincount(weights.ravel() & ((1 << weight_bits) - 1), minlength=1 << weight_bits)
        ones = codes @ _code_bits(weight_bits) / weights.size
        entropy = sum(-share * log2(share) for p in ones.tolist() for share in (p, 1 - p) if share)
        return cls(
            phase.groups * phase.terms, phase.lanes * weight_bits, round(weights.size * entropy)
        )


@lru_cache
def _code_bits(bits: int) -> IntArray:
    """The bits of every code, shape [2**bits, bits]."""
    return (np.arange(1 << bits)[:, None] >> np.arange(bits)) & 1


@dataclass(frozen=True)
class Buffer:
    """A memory with one write port: its words, bits a word, and read ports.

    ``checked`` if what is read while it is written matters, which block RAMs need logic for.
    """

    words: int
    bits: int
    reads: int = 1
    checked: bool = False


@dataclass(frozen=True)
class TableRom:
    """The ROM of a table: its function, the type of its operand, and bits a word.

    ``held`` is the type of what the operand's registers hold: the part of the ROM that is read.
    """

    function: Function
    operand: Fixed
    held: Fixed
    bits: int


USUAL_RANGES: Mapping[Function, tuple[int, int]] = {"sigmoid": (2, 3), "tanh": (1, 3)}
"""The bits before the point, sign included, that operands of a table usually have: first, last."""


@lru_cache(maxsize=1 << 16)
def table_terms(target: str, table: TableRom) -> Mapping[str, float]:
    """The terms of a table, which is a block RAM if it is large, and otherwise logic."""
    bits, words = table.bits, 1 << table.operand.bits
    cost = BLOCK_COST.get(target, 0) * weight_blocks(target, words, bits)
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


def table_roms(graph: Graph, read: Mapping[str, Fixed]) -> tuple[TableRom, ...]:
    """The ROMs of all tables, whose operands have what is ``read`` in their registers."""
    return tuple(
        TableRom(node.function, graph[node.operand].type, read[node.operand], node.type.bits)
        for node in graph.tables
    )


def buffers(schedule: Schedule, output: Fixed) -> tuple[Buffer, ...]:
    """The buffers of input, state and output; two banks, each with a power of two of words."""
    graph = schedule.graph
    reads = 1 + sum(
        graph.state.name in node.operands
        for node in graph.operators
        if not isinstance(node, Linear)
    )
    return (
        Buffer(2 << ceil_log2(graph.input.size), graph.input.type.bits),
        Buffer(2 << ceil_log2(graph.state.size), graph.state.type.bits, reads),
        Buffer(schedule.output_depth - 1, output.bits + 1, checked=True),
    )


@lru_cache(maxsize=1 << 14)
def buffer_terms(target: str, buffer: Buffer) -> Mapping[str, float]:
    """The terms of a buffer, which depend on what Yosys makes of it."""
    words, bits, reads = buffer.words, buffer.bits, buffer.reads
    if words == 0:
        return {}
    blocks = weight_blocks(target, words, bits) * reads
    costs = {"registers": words * bits}
    if target in BLOCK_COST:
        costs["blocks"] = BLOCK_COST[target] * blocks + CHECK_COST * buffer.checked
    cells = 0
    if target in LUT_MEMORY:
        depth, width, cost = LUT_MEMORY[target]
        cells = -(-words // depth) * -(-bits // width) * reads
        costs["luts"] = cost * cells
    kind = min(costs, key=lambda name: (costs[name], name == "blocks", name == "luts"))
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


def linear_operators(schedule: Schedule) -> Iterator[Linear]:
    """The linear operators that become hardware: the head only if there is one."""
    for node in schedule.graph.linears:
        if node.name != schedule.graph.head.name or schedule.head:
            yield node


def weight_roms(schedule: Schedule, parameters: Parameters) -> tuple[Rom, ...]:
    """The memory of each linear operator's weights."""
    return tuple(
        Rom.of(parameters.weights[node.name], node.weight.bits, schedule.phase_of(node))
        for node in linear_operators(schedule)
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


def weight_blocks(target: str, words: int, bits: int) -> int:
    """The block RAMs of a weight ROM; none where a target has no block RAMs."""
    return layout(target, words, bits)[0]


@lru_cache(maxsize=1 << 14)
def rom_terms(target: str, rom: Rom) -> Mapping[str, float]:
    """The terms of a weight ROM beside its block RAMs, or of its logic where there are none."""
    bits = rom.bits
    if target not in BLOCK_SHAPES:
        found = {"rom": 1, "rom column": bits, "rom word": rom.words, "rom bit": rom.words * bits}
        address = f"rom deep {ceil_log2(rom.words)}"
        return {**found, "rom information": rom.information, address: rom.information}
    _, banks = layout(target, rom.words, bits)
    if banks == 1:
        return {}
    return {"bank select": ceil_log2(banks), f"banks {banks}": bits, "bank bit": bits * banks}


def memory_bits(network: Network) -> int:
    """The bits of all memories of a network's accelerator.

    ROMs of weights with their padding, of biases and of tables; the buffers of input, state and
    output. Two-bank buffers count twice, and each bank has a power of two of elements.
    """
    schedule = schedule_of(network)
    graph, bits = network.graph, 0
    for rom in weight_roms(schedule, network.parameters):
        bits += rom.words * rom.bits
    for linear in linear_operators(schedule):
        biases = network.parameters.biases[linear.name]
        if (biases != biases[0]).any():
            bits += linear.outputs * Fixed.spanning((int(biases.min()), int(biases.max())), 0).bits
    for node in graph.operators:
        if isinstance(node, Table):
            bits += node.type.bits << graph[node.operand].type.bits
    return bits + sum(
        buffer.words * buffer.bits for buffer in buffers(schedule, output_type(network))
    )
