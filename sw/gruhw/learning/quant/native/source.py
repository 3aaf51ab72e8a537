"""A stage's graph as C++: its time steps, forwards and backwards.

Each class of node says what it computes for one unit of as many sequences as a vector holds, and
what of its gradient belongs to its operands. Everything else is the same for every graph.

All names of nodes get a prefix, so that none means something in C++.
"""

from collections.abc import Sequence
from functools import singledispatch
from importlib.resources import files

from gruhw.learning.quant.operators import RANGES
from gruhw.network.graph import (
    Add,
    Complement,
    Function,
    Graph,
    Linear,
    Multiply,
    Node,
    State,
    Table,
)

FUNCTIONS: dict[Function, str] = {"sigmoid": "Sigmoid", "tanh": "Tanh"}
"""The C++ of functions that are not tabulated."""


@singledispatch
def exact_value(node: Node) -> str:
    """A C++ expression of the exact result of ``node``, before it is rounded."""
    raise TypeError(f"no C++ meaning for {type(node).__name__}")


@exact_value.register
def _(node: Linear) -> str:
    return f"sums[LINEAR_{node.name} * UNITS + unit]"


@exact_value.register
def _(node: Add) -> str:
    return f"v_{node.left} + v_{node.right}"


@exact_value.register
def _(node: Multiply) -> str:
    return f"v_{node.left} * v_{node.right}"


@exact_value.register
def _(node: Complement) -> str:
    return f"1.0f - v_{node.operand}"


@exact_value.register
def _(node: Table) -> str:
    return f"operand_of(v_{node.operand}, m.o_{node.name})"


@singledispatch
def gradients(node: Node) -> tuple[str, ...]:
    """C++ statements that add ``g``, the gradient of the exact result, to the operands'."""
    raise TypeError(f"no C++ gradient for {type(node).__name__}")


@gradients.register
def _(node: Linear) -> tuple[str, ...]:
    return (f"sums[LINEAR_{node.name} * UNITS + unit] = g;",)


@gradients.register
def _(node: Add) -> tuple[str, ...]:
    return (f"g_{node.left} += g;", f"g_{node.right} += g;")


@gradients.register
def _(node: Multiply) -> tuple[str, ...]:
    return (f"g_{node.left} += g * v_{node.right};", f"g_{node.right} += g * v_{node.left};")


@gradients.register
def _(node: Complement) -> tuple[str, ...]:
    return (f"g_{node.operand} -= g;",)


@gradients.register
def _(node: Table) -> tuple[str, ...]:
    return (f"g_{node.operand} += g * slope_of(e_{node.name}, m.o_{node.name});",)


def kept_sources(graph: Graph) -> tuple[str, ...]:
    """The operators whose results live from step to step: those of the states, in their order.

    What is emitted is the last of them, unless it is a state's already.
    """
    sources = tuple(state.source for state in graph.states)
    return sources if graph.emits in sources else (*sources, graph.emits)


def is_member(node: Node, *, rounded: bool) -> bool:
    """Whether a network's C++ object has a field for ``node``; else its class says it all."""
    return rounded and node.rule != "exact"


def cpp_source(graph: Graph, *, rounded: bool) -> str:
    """The C++ text of a stage's time steps, forwards and backwards.

    ``graph`` gives sizes and operators; types, weights and tables are arguments. Without rounding,
    results are real numbers within the ranges of their rules.
    """
    replacements = {
        "SIZES": _sizes(graph),
        "MEMBERS": [_member(node, rounded) for node in graph.operators],
        "PRODUCTS": [
            f"add_product<UNITS, {node.inputs}>(sums + LINEAR_{node.name} * UNITS, "
            f"m.weights + AT_{node.name}, {_vector(graph, node)});"
            for node in graph.linears
        ],
        "FORWARD": [
            *(
                f"const Vector v_{state.name} = before[STATE_{state.name} * UNITS + unit];"
                for state in graph.states
            ),
            *_forward(graph.operators),
        ],
        "RESULTS": [
            f"after[{place} * UNITS + unit] = alive ? v_{name} : before[{place} * UNITS + unit];"
            for place, name in enumerate(kept_sources(graph))
        ],
        "GRADIENTS": [f"Vector g_{node.name}{{}};" for node in graph],
        "BACKWARD": [
            *(
                f"g_{name} += alive ? after[{place} * UNITS + unit] : Vector{{}};"
                for place, name in enumerate(kept_sources(graph))
            ),
            *_backward(graph.operators),
        ],
        "STATE_GRADIENTS": _state_gradients(graph),
        "TRANSPOSED": [
            _transposed(node, f"through + STATE_{node.operand} * UNITS")
            for node in graph.linears
            if _reads_state(graph, node)
        ],
        "INPUT_GRADIENT": [
            _transposed(node, "to") for node in graph.linears if not _reads_state(graph, node)
        ],
        "OUTER": [_outer(graph, node) for node in graph.linears],
    }
    text = files(__package__).joinpath("steps.cpp").read_text()
    for name, lines in replacements.items():
        text = text.replace(f"// {name}\n", "".join(f"{line}\n" for line in lines))
    return files(__package__).joinpath("runtime.h").read_text() + text


def _sizes(graph: Graph) -> list[str]:
    found = {
        "INPUTS": graph.input.size,
        "UNITS": graph.units,
        "STATES": len(graph.states),
        "KEPT": len(kept_sources(graph)),
        "EMITTED": kept_sources(graph).index(graph.emits),
        "LINEARS": len(graph.linears),
    }
    found |= {f"STATE_{state.name}": place for place, state in enumerate(graph.states)}
    weights = 0
    for place, node in enumerate(graph.linears):
        found |= {f"LINEAR_{node.name}": place, f"AT_{node.name}": weights}
        weights += node.outputs * node.inputs
    found["WEIGHTS"] = weights
    return [f"constexpr int {name} = {value};" for name, value in found.items()]


def _member(node: Node, rounded: bool) -> str:
    if is_member(node, rounded=rounded):
        return f"{'Lookup' if isinstance(node, Table) else 'Grid'} o_{node.name};"
    if isinstance(node, Table):
        return f"static constexpr {FUNCTIONS[node.function]} o_{node.name}{{}};"
    if node.rule not in RANGES:
        return f"static constexpr Real o_{node.name}{{}};"
    limits = ", ".join(f"{limit:.1f}f" for limit in RANGES[node.rule])
    limits = limits.replace("inff", "__builtin_inff()")
    return f"static constexpr Limits o_{node.name}{{{limits}}};"


def _reads_state(graph: Graph, node: Linear) -> bool:
    return isinstance(graph[node.operand], State)


def _vector(graph: Graph, node: Linear) -> str:
    """The vector that a linear operator reads in a step."""
    return f"before + STATE_{node.operand} * UNITS" if _reads_state(graph, node) else "x"


def _forward(nodes: Sequence[Node]) -> list[str]:
    lines = []
    for node in nodes:
        name = node.name
        lines.append(f"const auto e_{name} = {exact_value(node)};")
        lines.append(f"const Vector v_{name} = result_of(e_{name}, m.o_{name});")
    return lines


def _backward(nodes: Sequence[Node]) -> list[str]:
    lines = []
    for node in reversed(nodes):
        name = node.name
        gradient = f"gradient_of(g_{name}, e_{name}, m.o_{name})"
        lines.append(f"{{ const Vector g = {gradient}; {' '.join(gradients(node))} }}")
    return lines


def _state_gradients(graph: Graph) -> list[str]:
    """Those of what was kept before a step; nobody reads a result that is kept to be emitted."""
    found = [f"g_{state.name}" for state in graph.states]
    found += ["Vector{}"] * (len(kept_sources(graph)) - len(found))
    return [f"through[{place} * UNITS + unit] = {value};" for place, value in enumerate(found)]


def _transposed(node: Linear, to: str) -> str:
    return (
        f"add_product<{node.inputs}, UNITS>({to}, m.transposed + AT_{node.name}, "
        f"sums + LINEAR_{node.name} * UNITS);"
    )


def _outer(graph: Graph, node: Linear) -> str:
    operand = "x, stride"
    if _reads_state(graph, node):
        operand = f"kept + STATE_{node.operand} * UNITS, KEPT * UNITS"
    return (
        f"add_outer<UNITS, {node.inputs}>(weight_gradient + AT_{node.name}, "
        f"tape + LINEAR_{node.name} * UNITS, LINEARS * UNITS, {operand}, steps);"
    )
