"""One time step of a GRU, and its classifier head, as a graph of typed operators.

The cell is PyTorch's (reset gate applied after the recurrent product)::

    r  = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    z  = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))
    h' = (1 - z) * n + z * h

Nodes are frozen, stand in topological order, name their operands, and carry the
fixed-point type of their result. Interpreters (PyTorch, NumPy, Amaranth, schedule)
dispatch on the node's class, live outside this module, and never write into a graph.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

import numpy as np

from gruhw.fixed import Fixed, IntArray, quantise
from gruhw.fractions import Fractions
from gruhw.genome import LEGAL_BITS, LINEAR, Genes, Sizes, homogeneous
from gruhw.values import instance, truth

Function: TypeAlias = Literal["sigmoid", "tanh"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An operator: its unique name and the type of each element of its result."""

    name: str
    type: Fixed

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the nodes whose results it reads in the same time step."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Node):
    """The input vector of a time step, of ``size`` elements."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Node):
    """What ``source`` computed in the step before; zero in the first step of a sequence."""

    source: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Node):
    """``weight @ operand + bias``, exact in ``accumulator``, then requantised to ``type``.

    The result is exact where ``type`` equals ``accumulator``, which it always does in the head.
    """

    operand: str
    weight: Fixed
    accumulator: Fixed
    inputs: int
    outputs: int

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Node):
    """``left + right``, aligned to the finer scale, then requantised."""

    left: str
    right: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiply(Node):
    """``left * right``, then requantised."""

    left: str
    right: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.left, self.right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complement(Node):
    """``1 - operand`` for an unsigned operand with ``frac = bits``, then requantised."""

    operand: str

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Node):
    """A function tabulated over every code of its operand: round half up, saturate."""

    operand: str
    function: Function

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.operand,)

    def values(self, operand: Fixed) -> IntArray:
        """The result for each code of ``operand``, indexed by two's-complement code."""
        real = operand.codes() * operand.scale
        with np.errstate(over="ignore"):  # the reciprocal of infinity is the right zero
            exact = np.tanh(real) if self.function == "tanh" else 1.0 / (1.0 + np.exp(-real))
        return quantise(exact, self.type)


@dataclass(frozen=True)
class Graph:
    """The operators of one time step in topological order, and the head that follows the last.

    Iterating yields the nodes of the step, then the head; indexing is by name.
    """

    step: tuple[Node, ...]
    head: Linear

    def __iter__(self) -> Iterator[Node]:
        yield from self.step
        yield self.head

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self}

    @cached_property
    def input(self) -> Input:
        """The node through which a step's input vector enters."""
        return next(node for node in self.step if isinstance(node, Input))

    @cached_property
    def state(self) -> State:
        """The node that carries the hidden state from step to step."""
        return next(node for node in self.step if isinstance(node, State))

    @cached_property
    def operators(self) -> tuple[Node, ...]:
        """The nodes of a step that compute something."""
        return tuple(node for node in self.step if not isinstance(node, Input | State))

    @cached_property
    def linears(self) -> tuple[Linear, ...]:
        """Every linear operator, the head last."""
        return tuple(node for node in self if isinstance(node, Linear))

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Every tabulated operator."""
        return tuple(node for node in self.step if isinstance(node, Table))

    @cached_property
    def feedforward(self) -> frozenset[str]:
        """The nodes of a step that do not depend on the state."""
        found: set[str] = set()
        for node in self.step:
            if isinstance(node, Input) or (node.operands and found.issuperset(node.operands)):
                found.add(node.name)
        return frozenset(found)

    def table_values(self, table: Table) -> IntArray:
        """The contents of ``table``, indexed by its operand's two's-complement code."""
        return table.values(self[table.operand].type)

    def with_accumulators(self, accumulators: Mapping[str, Fixed]) -> "Graph":
        """The same graph with the accumulators of the named linear operators replaced.

        The head stays exact; the other results keep their types, which genes have chosen, also
        where one is the type of its accumulator.
        """

        def refit(node: Linear) -> Linear:
            found = accumulators.get(node.name)
            return replace(node, accumulator=found) if found else node

        head = refit(self.head)
        return Graph(
            tuple(refit(node) if isinstance(node, Linear) else node for node in self.step),
            replace(head, type=head.accumulator),
        )


def calibrated_tensors(genes: Mapping[str, int]) -> dict[str, int]:
    """The tensors whose fraction bits calibration must choose, with their widths in bits.

    Named ``input``, ``OP`` for an operator's result and ``OP.weight`` for its weights. The
    fraction bits of sigmoid, tanh, ``sub_z`` and the state follow from their widths.
    """
    genes = Genes.of(genes)
    widths = {"input": genes["input"]}
    for op in LINEAR:
        widths[f"{op}.weight"] = genes[f"{op}.weight"]
    widths["head.weight"] = genes["head.weight"]
    for op in (*LINEAR, "add_r", "add_z", "mul_rh", "add_n", "mul_zn", "mul_zh"):
        widths[op] = genes[op]
    return widths


def build_graph(
    sizes: Sizes, genes: Mapping[str, int], fractions: Mapping[str, int], *, input_signed: bool
) -> Graph:
    """The graph of a GRU cell with a classifier head.

    Parameters
    ----------
    sizes
        Input, hidden and class counts.
    genes
        The width of every operator and weight.
    fractions
        Fraction bits of every tensor that :func:`calibrated_tensors` names. Those of
        :class:`gruhw.fractions.Fractions` know for which widths they were chosen.
    input_signed
        Whether input elements are two's complement.

    Returns
    -------
    Graph
        With accumulators that hold any weights of the given widths;
        :func:`gruhw.parameters.fit_accumulators` narrows them to actual weights.

    Raises
    ------
    InputError
        If a fraction is missing, out of range, or was chosen for another width.
    """
    genes, sizes = Genes.of(genes), instance("sizes", sizes, Sizes)
    fractions = Fractions.of(fractions)
    fractions.check(calibrated_tensors(genes))
    input_signed = truth("input_signed", input_signed)

    def calibrated(name: str, *, signed: bool = True) -> Fixed:
        return Fixed(genes[name], fractions[name], signed)

    def unit_interval(name: str) -> Fixed:
        return Fixed(genes[name], genes[name], signed=False)

    def symmetric_unit(name: str) -> Fixed:
        return Fixed(genes[name], genes[name] - 1)

    x = Input(name="input", type=calibrated("input", signed=input_signed), size=sizes.input)
    h = State(name="h", type=symmetric_unit("add_h"), source="add_h", size=sizes.hidden)

    def linear(name: str, operand: Input | State, outputs: int, result: Fixed | None) -> Linear:
        weight = calibrated(f"{name}.weight")
        accumulator = worst_case_accumulator(operand.type, weight, operand.size)
        return Linear(
            name=name,
            type=result or accumulator,
            operand=operand.name,
            weight=weight,
            accumulator=accumulator,
            inputs=operand.size,
            outputs=outputs,
        )

    step: list[Node] = [x, h]
    step += [linear(op, x, sizes.hidden, calibrated(op)) for op in ("W_ir", "W_iz", "W_in")]
    step += [linear(op, h, sizes.hidden, calibrated(op)) for op in ("W_hr", "W_hz", "W_hn")]
    step += [
        Add(name="add_r", type=calibrated("add_r"), left="W_ir", right="W_hr"),
        Add(name="add_z", type=calibrated("add_z"), left="W_iz", right="W_hz"),
        Table(name="sig_r", type=unit_interval("sig_r"), operand="add_r", function="sigmoid"),
        Table(name="sig_z", type=unit_interval("sig_z"), operand="add_z", function="sigmoid"),
        Multiply(name="mul_rh", type=calibrated("mul_rh"), left="sig_r", right="W_hn"),
        Add(name="add_n", type=calibrated("add_n"), left="W_in", right="mul_rh"),
        Table(name="tanh_n", type=symmetric_unit("tanh_n"), operand="add_n", function="tanh"),
        Complement(name="sub_z", type=unit_interval("sub_z"), operand="sig_z"),
        Multiply(name="mul_zn", type=calibrated("mul_zn"), left="sub_z", right="tanh_n"),
        Multiply(name="mul_zh", type=calibrated("mul_zh"), left="sig_z", right="h"),
        Add(name="add_h", type=symmetric_unit("add_h"), left="mul_zn", right="mul_zh"),
    ]
    return Graph(tuple(step), linear("head", h, sizes.classes, None))


TENSORS = tuple(calibrated_tensors(homogeneous(LEGAL_BITS[0])))
"""The names of these tensors."""


@lru_cache(maxsize=1 << 14)
def worst_case_accumulator(operand: Fixed, weight: Fixed, inputs: int) -> Fixed:
    """The accumulator of ``inputs`` products, and a bias as large as all of them together."""
    product = operand.product(weight)
    total = 2 * inputs * product.minimum, 2 * inputs * product.maximum
    return Fixed.spanning(total, product.frac)
