"""One time step of a stage as a graph of operators: what is computed, at no width yet.

Nodes are frozen, stand in topological order and name their operands. Each says by which rule its
result gets a type; :mod:`gruhw.network.typed` applies the rules. Interpreters (PyTorch, C++, NumPy,
Amaranth, schedule, area, proofs) dispatch on the node's class, read names and sizes from the graph,
live outside this module, and never write into a graph.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from gruhw.errors import InputError

Function: TypeAlias = Literal["sigmoid", "tanh"]

Rule: TypeAlias = Literal["calibrated", "rectified", "unit", "symmetric", "exact"]
"""How a result gets its type, of as many bits as its gene says:

=============  ============================================================
``calibrated``  signed, fraction bits chosen on data
``rectified``   unsigned, fraction bits chosen on data: a ReLU costs nothing
``unit``        unsigned, ``frac = bits``: from 0 up to 1
``symmetric``   signed, ``frac = bits - 1``: from -1 up to 1
``exact``       that of the accumulator: the result has no gene
=============  ============================================================
"""

RULES: tuple[Rule, ...] = get_args(Rule)
"""Every rule."""

TABULATED: Mapping[Function, Rule] = {"sigmoid": "unit", "tanh": "symmetric"}
"""The functions of tables, and the rule of the range that each has."""

INPUT = "input"
"""The name of every graph's input."""

RESERVED = (
    *(INPUT, "output", "sequencer", "states", "initial", "datapath"),
    *("x", "length", "logits", "class", "cycle"),
)
"""Names that hardware gives to what surrounds the operators, and files to other arrays."""

OF_STATES = ("states", "initial")
"""What hardware puts before the names of states, to name their memories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value of a time step: its unique name, its elements, and the rule of their type."""

    name: str
    size: int
    rule: Rule = "calibrated"

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of the nodes whose results it reads in the same time step."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Node):
    """The input vector of a time step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Node):
    """What ``source`` computed in the step before; in a sequence's first, the initial state.

    Its type is that of ``source``, whatever its own rule says.
    """

    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Node):
    """``weight @ operand + bias``, exact in an accumulator, then requantised.

    Its operand, of ``inputs`` elements, is the input or a state: all their elements are there when
    a time step begins.
    """

    operand: str
    inputs: int

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.operand,)

    @property
    def outputs(self) -> int:
        """How many dot products there are: one for each element of the result."""
        return self.size


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
    """``1 - operand`` for an operand of rule ``unit``, then requantised."""

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


@dataclass(frozen=True)
class Graph:
    """The nodes of one time step in topological order, and the one whose results are emitted.

    Iterating yields the nodes; indexing is by name.

    Raises
    ------
    InputError
        If the nodes are no time step that every interpreter computes: see :meth:`check`.
    """

    nodes: tuple[Node, ...]
    emits: str

    def __post_init__(self) -> None:
        self.check()

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def input(self) -> Input:
        """The node through which a step's input vector enters."""
        (found,) = (node for node in self.nodes if isinstance(node, Input))
        return found

    @cached_property
    def states(self) -> tuple[State, ...]:
        """The nodes that carry results from step to step."""
        return tuple(node for node in self.nodes if isinstance(node, State))

    @cached_property
    def operators(self) -> tuple[Node, ...]:
        """The nodes that compute something."""
        return tuple(node for node in self.nodes if not isinstance(node, Input | State))

    @cached_property
    def linears(self) -> tuple[Linear, ...]:
        """Every linear operator."""
        return tuple(node for node in self.nodes if isinstance(node, Linear))

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Every tabulated operator."""
        return tuple(node for node in self.nodes if isinstance(node, Table))

    @cached_property
    def units(self) -> int:
        """The elements of what is emitted, and so of every operator's result."""
        return self[self.emits].size

    @cached_property
    def feedforward(self) -> frozenset[str]:
        """The nodes that do not depend on a state."""
        found: set[str] = set()
        for node in self.nodes:
            if isinstance(node, Input) or (node.operands and found.issuperset(node.operands)):
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def merged_biases(self) -> Mapping[str, str]:
        """Linear operators whose bias another one can have instead, by name; and that other one.

        They are those whose result only an addition reads that adds it to the other's result.
        """
        found = {}
        for node in self.operators:
            if isinstance(node, Add) and node.left != node.right:
                both = [self[name] for name in node.operands]
                alone = all(self._readers(operand.name) == 1 for operand in both)
                if alone and all(isinstance(operand, Linear) for operand in both):
                    found[node.right] = node.left
        return found

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of what it computes: of the nodes, their order, and what is emitted."""
        described = [[type(node).__name__, asdict(node)] for node in self.nodes]
        content = json.dumps([described, self.emits], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def _readers(self, name: str) -> int:
        """How often the result of a node is read, by a state and by the output too."""
        read = [operand for node in self.nodes for operand in node.operands]
        read += [state.source for state in self.states] + [self.emits]
        return read.count(name)

    def check(self) -> None:
        """Raise :class:`InputError` unless every interpreter can compute these nodes."""
        known: dict[str, Node] = {}
        for node in self.nodes:
            _check_node(node, known)
            known[node.name] = node
        for before in OF_STATES:
            for state in self.states:
                if (taken := f"{before}_{state.name}") in known:
                    raise InputError(
                        f"name of a node must not be {taken}, a memory of state {state.name}"
                    )
        inputs = [node.name for node in self.nodes if isinstance(node, Input)]
        if inputs != [INPUT]:
            raise InputError(f"a graph must have one input, named {INPUT}, not {inputs}")
        if self.emits not in known or not known[self.emits].operands:
            raise InputError(f"what a graph emits must be one of its operators, not {self.emits!r}")
        for node in self.nodes:
            if isinstance(node, Complement):
                _check_complement(node, known)
            if isinstance(node, State):
                _check_state(node, known)
            elif node.operands and node.size != known[self.emits].size:
                raise InputError(
                    f"{node.name} must have {known[self.emits].size} elements like {self.emits}, "
                    f"which is emitted, not {node.size}"
                )


def _check_node(node: Node, known: Mapping[str, Node]) -> None:
    name = node.name
    if re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) is None:
        raise InputError(
            f"name of a node must be letters, digits and underscores, a letter first, not {name!r}"
        )
    if name in known:
        raise InputError(f"name of a node must be unique, but there are two of {name}")
    if name in RESERVED and not isinstance(node, Input):
        raise InputError(f"name of a node must be none of {', '.join(RESERVED)}, not {name!r}")
    if node.rule not in RULES:
        raise InputError(f"rule of {name} must be one of {', '.join(RULES)}, not {node.rule!r}")
    if node.rule == "exact" and not isinstance(node, Linear):
        raise InputError(f"rule of {name} must not be exact, which only linear operators can be")
    for operand in node.operands:
        if operand not in known:
            raise InputError(f"operand of {name} must stand before it, but {operand!r} does not")
        if isinstance(node, Linear):
            _check_vector(node, known[operand])
        elif isinstance(known[operand], Input):
            raise InputError(f"{name} must not read the input, which only linear operators read")
        elif known[operand].size != node.size:
            raise InputError(
                f"{operand} must have {node.size} elements like {name}, which reads it, "
                f"not {known[operand].size}"
            )
    if isinstance(node, Table):
        _check_table(node)


def _check_table(node: Table) -> None:
    if node.function not in TABULATED:
        raise InputError(
            f"function of {node.name} must be {' or '.join(TABULATED)}, not {node.function!r}"
        )
    if node.rule != TABULATED[node.function]:
        raise InputError(
            f"rule of {node.name} must be {TABULATED[node.function]}, the range of its function "
            f"{node.function}, not {node.rule}"
        )


def _check_complement(node: Complement, known: Mapping[str, Node]) -> None:
    """Of a state, the source has the type."""
    operand = known[node.operand]
    kept = known.get(operand.source, operand) if isinstance(operand, State) else operand
    if kept.rule != "unit":
        raise InputError(
            f"operand of {node.name} must be of rule unit, of which 1 - x is one too, "
            f"but {kept.name} is {kept.rule}"
        )


def _check_vector(node: Linear, operand: Node) -> None:
    """A dot product needs all elements at once: of another result, some are computed later."""
    if not isinstance(operand, Input | State):
        raise InputError(
            f"{node.name}, a linear operator, must read the input or a state, not the result of "
            f"{operand.name}"
        )
    if operand.size != node.inputs:
        raise InputError(
            f"{node.name} must take the {operand.size} elements of {operand.name}, "
            f"not {node.inputs}"
        )


def _check_state(node: State, known: Mapping[str, Node]) -> None:
    source = known.get(node.source)
    if source is None or not source.operands:
        raise InputError(f"source of state {node.name} must be an operator, not {node.source!r}")
    if source.size != node.size:
        raise InputError(
            f"state {node.name} must have {source.size} elements like its source {source.name}, "
            f"not {node.size}"
        )
    if source.rule == "exact":
        raise InputError(f"rule of {source.name}, which state {node.name} keeps, must not be exact")
