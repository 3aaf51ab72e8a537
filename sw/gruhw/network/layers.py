"""Layers: what each computes in a time step, and how users write it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

from gruhw.basics.strict import MAXIMUM_SIZE
from gruhw.basics.values import instance, whole
from gruhw.errors import InputError
from gruhw.network.cells import DENSE, cell_of, cells
from gruhw.network.graph import INPUT, Graph
from gruhw.network.step import Step

HEAD = "head"
"""The last stage of a network, and its only operator."""

Activation: TypeAlias = Literal["relu", "tanh"]

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
"""What may follow the product of a dense layer."""


@dataclass(frozen=True)
class Layer:
    """A layer: what it computes, and how many units it has.

    Parameters
    ----------
    cell
        The name of a cell, or :data:`DENSE`.
    units
        Elements of its result.
    activation
        Of a dense layer: what follows the product; None if nothing does.

    Raises
    ------
    InputError
        If there is no such cell or activation, or ``units`` is out of range.
    """

    cell: str
    units: int
    activation: Activation | None = None

    def __post_init__(self) -> None:
        if self.cell != DENSE:
            known = [*cells(), DENSE]
            if self.cell not in known:
                raise InputError(f"layer must be one of {', '.join(known)}, not {self.cell!r}")
            if self.activation is not None:
                raise InputError(
                    f"layer {self.cell} must have no activation of its own, not {self.activation!r}"
                )
        elif self.activation not in (None, *ACTIVATIONS):
            raise InputError(
                f"activation of layer {DENSE} must be {' or '.join(ACTIVATIONS)}, or absent, "
                f"not {self.activation!r}"
            )
        units = whole(self.units)
        if units is None or not 1 <= units <= MAXIMUM_SIZE:
            raise InputError(
                f"units of layer {self.cell} must be 1 to {MAXIMUM_SIZE}, not {self.units!r}"
            )
        object.__setattr__(self, "units", units)

    @classmethod
    def parse(cls, text: str) -> "Layer":
        """A layer as users give it: ``gru:32``, ``dense:16``, ``dense:16:relu``.

        Raises
        ------
        InputError
            If ``text`` is none.
        """
        cell, colon, rest = instance("layer", text, str).partition(":")
        units, also, activation = rest.partition(":")
        if not colon or not units.isascii() or not units.isdigit() or (also and not activation):
            raise InputError(
                f"layer must be CELL:UNITS or {DENSE}:UNITS:{'|'.join(ACTIVATIONS)}, as gru:32, "
                f"not {text!r}"
            )
        return cls(cell, int(units), activation or None)  # type: ignore[arg-type]  # checked there

    def __str__(self) -> str:
        parts = [self.cell, str(self.units), *([self.activation] if self.activation else [])]
        return ":".join(parts)

    def graph(self, inputs: int) -> Graph:
        """Its time step for input vectors of so many elements."""
        return _layer_graph(self, inputs, None if self.cell == DENSE else cell_of(self.cell).graph)


@lru_cache(maxsize=1 << 10)
def _layer_graph(
    layer: Layer, inputs: int, cell_graph: Callable[[int, int], Graph] | None
) -> Graph:
    """The graph of a layer: that of a cell, or of a dense layer if there is none."""
    if cell_graph is not None:
        found = cell_graph(inputs, layer.units)
        _check_cell(layer, inputs, found)
        return found
    step = Step(inputs, layer.units)
    product = step.linear("W", rule="rectified" if layer.activation == "relu" else "calibrated")
    return step.graph(step.tanh("tanh", product) if layer.activation == "tanh" else product)


def _check_cell(layer: Layer, inputs: int, graph: Any) -> None:
    """Raise :class:`InputError` unless a cell, a user's perhaps, gave what was asked for."""
    if not isinstance(graph, Graph):
        raise InputError(f"cell {layer.cell} must give a Graph, not {type(graph).__name__}")
    if (graph.input.size, graph.units) != (inputs, layer.units):
        raise InputError(
            f"cell {layer.cell} must have {inputs} inputs and {layer.units} units, "
            f"not {graph.input.size} and {graph.units}"
        )
    if not graph.states or not any(node.operand == INPUT for node in graph.linears):
        raise InputError(
            f"cell {layer.cell} must have a state, and a linear operator that reads its input"
        )
    if any(node.name == HEAD for node in graph):
        raise InputError(f"cell {layer.cell} must have no node named {HEAD}")
    if any(node.rule == "exact" for node in graph.operators):
        raise InputError(f"cell {layer.cell} must have no exact operator, which only the head is")
    linears = [node.name for node in graph.linears]
    for name in cell_of(layer.cell).initial_biases:
        if name not in linears:
            raise InputError(
                f"initial biases of cell {layer.cell} must be of {', '.join(linears)}, not {name!r}"
            )
