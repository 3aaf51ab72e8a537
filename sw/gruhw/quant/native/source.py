"""The graph as C++: one time step of a quantised network, forwards and backwards.

Each class of node says what it computes for one hidden unit of as many sequences as a vector
holds, and what of its gradient belongs to its operands. Everything else is the same for every
graph.
"""

from collections.abc import Sequence
from functools import singledispatch
from importlib.resources import files

from gruhw.graph import Add, Complement, Graph, Linear, Multiply, Node, Table


@singledispatch
def exact_value(node: Node) -> str:
    """A C++ expression of the exact result of ``node``, before it is rounded."""
    raise TypeError(f"no C++ meaning for {type(node).__name__}")


@exact_value.register
def _(node: Linear) -> str:
    return f"sums[LINEAR_{node.name} * HIDDEN + unit]"


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
    return f"index_of(v_{node.operand}, m.{node.name})"


@singledispatch
def gradients(node: Node) -> tuple[str, ...]:
    """C++ statements that add ``g``, the gradient of the exact result, to the operands'."""
    raise TypeError(f"no C++ gradient for {type(node).__name__}")


@gradients.register
def _(node: Linear) -> tuple[str, ...]:
    return (f"sums[LINEAR_{node.name} * HIDDEN + unit] = g;",)


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
    return (f"g_{node.operand} += g * look_up(m.{node.name}.slopes, e_{node.name});",)


def step_linears(structure: Graph) -> tuple[Linear, ...]:
    """The linear operators of a time step, those of the input and those of the state."""
    return tuple(node for node in structure.operators if isinstance(node, Linear))


def _forward(nodes: Sequence[Node]) -> list[str]:
    lines = []
    for node in nodes:
        if isinstance(node, Table):
            lines.append(f"const Codes e_{node.name} = {exact_value(node)};")
            lines.append(
                f"const Vector v_{node.name} = look_up(m.{node.name}.values, e_{node.name});"
            )
        else:
            lines.append(f"const Vector e_{node.name} = {exact_value(node)};")
            lines.append(f"const Vector v_{node.name} = round_to(e_{node.name}, m.{node.name});")
    return lines


def _backward(nodes: Sequence[Node]) -> list[str]:
    lines = []
    for node in reversed(nodes):
        gradient = f"g_{node.name}"
        if not isinstance(node, Table):
            gradient = f"inside({gradient}, e_{node.name}, m.{node.name})"
        lines.append(f"{{ const Vector g = {gradient}; {' '.join(gradients(node))} }}")
    return lines


def cpp_source(structure: Graph) -> str:
    """The C++ text of a network's time steps, forwards and backwards.

    ``structure`` gives sizes and operators; types, weights and tables are arguments.
    """
    linears = step_linears(structure)
    state = structure.state
    of_state = [node for node in linears if node.operand == state.name]
    of_input = [node for node in linears if node.operand != state.name]
    nodes = structure.operators
    members = [f"{'Lookup' if isinstance(node, Table) else 'Grid'} {node.name};" for node in nodes]
    offsets, place = [], 0
    for node in linears:
        offsets.append(f"constexpr int AT_{node.name} = {place};")
        place += node.outputs * node.inputs

    def products(chosen: Sequence[Linear], operand: str) -> list[str]:
        return [
            f"add_product<HIDDEN, {node.inputs}>(sums + LINEAR_{node.name} * HIDDEN, "
            f"m.weights + AT_{node.name}, {operand});"
            for node in chosen
        ]

    text = files(__package__).joinpath("steps.cpp").read_text()
    replacements = {
        "SIZES": [
            f"constexpr int INPUTS = {structure.input.size};",
            f"constexpr int HIDDEN = {state.size};",
            f"constexpr int LINEARS = {len(linears)};",
            f"constexpr int WEIGHTS = {place};",
            *(f"constexpr int LINEAR_{node.name} = {i};" for i, node in enumerate(linears)),
            *offsets,
        ],
        "MEMBERS": members,
        "PRODUCTS": [*products(of_input, "x"), *products(of_state, "before")],
        "FORWARD": [f"const Vector v_{state.name} = before[unit];", *_forward(nodes)],
        "RESULT": [f"const Vector following = v_{state.source};"],
        "GRADIENTS": [f"Vector g_{node.name}{{}};" for node in (structure.input, state, *nodes)],
        "BACKWARD": [f"g_{state.source} = alive ? after[unit] : Vector{{}};", *_backward(nodes)],
        "STATE_GRADIENT": [f"through[unit] = g_{state.name};"],
        "TRANSPOSED": [
            f"add_product<HIDDEN, HIDDEN>(through, m.transposed + AT_{node.name}, "
            f"sums + LINEAR_{node.name} * HIDDEN);"
            for node in of_state
        ],
        "OUTER": [
            f"add_outer<HIDDEN, {node.inputs}>(weight_gradient + AT_{node.name}, "
            f"tape + LINEAR_{node.name} * HIDDEN, LINEARS * HIDDEN, "
            f"{'states, HIDDEN' if node in of_state else 'x, INPUTS'}, steps);"
            for node in linears
        ],
    }
    for name, lines in replacements.items():
        text = text.replace(f"// {name}\n", "\n".join(lines) + "\n")
    runtime = files(__package__).joinpath("runtime.h").read_text()
    return runtime + text
