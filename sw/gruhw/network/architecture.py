"""What a network computes, at no width yet: its layers, and the stages that they become.

A *stage* turns a sequence of vectors into another one, a time step after the other. Each layer is
a stage, and so is the head, which reads the last vector of the last layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    field_validator,
    model_serializer,
)

from gruhw.basics.strict import MAXIMUM_SIZE, Size, Strict
from gruhw.basics.values import instance, whole
from gruhw.errors import InputError
from gruhw.network.cells import DENSE as DENSE
from gruhw.network.cells import OWN_CELLS, cell_of, cells
from gruhw.network.graph import INPUT, Graph
from gruhw.network.step import Step

HEAD = "head"
"""The last stage, and its only operator."""

Activation: TypeAlias = Literal["relu", "tanh"]

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
"""What may follow the product of a dense layer."""

Initial: TypeAlias = Literal["zero", "constant", "carry"]

INITIALS: tuple[Initial, ...] = get_args(Initial)
"""What states begin a sequence with: zero, a trained constant for each unit, or what the sequence
before left. The first of all begins with zero then."""

Value = TypeVar("Value")

Kind: TypeAlias = Literal["result", "weight"]
"""What a gene is the width of."""


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


@lru_cache(maxsize=1 << 10)
def _head_graph(inputs: int, outputs: int) -> Graph:
    step = Step(inputs, outputs)
    return step.graph(step.linear(HEAD, rule="exact"))


@dataclass(frozen=True)
class Stage:
    """A part of a network with a time step of its own.

    Parameters
    ----------
    name
        ``l0``, ``l1`` and so on for layers; :data:`HEAD`.
    graph
        Its time step.
    source
        The stage whose results it reads; None for the network's input.
    prefix
        What files and Verilog put before the names of its operators.
    """

    name: str
    graph: Graph
    source: str | None
    prefix: str

    def spell(self, operator: str) -> str:
        """The name of a node in files and Verilog."""
        return self.prefix + operator

    def of_layers(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Those of ``values`` that belong to its linear operators, by their names in the graph."""
        return {node.name: values[self.spell(node.name)] for node in self.graph.linears}


class Gene(NamedTuple):
    """Something that has a width: an operator's result or its weights, or the network's input.

    ``name`` is what files call it; ``stage`` is empty for the input.
    """

    name: str
    stage: str
    operator: str
    kind: Kind
    calibrated: bool
    """Whether its fraction bits are chosen on data; they follow from the width otherwise."""


def _layers(value: Any) -> Any:
    """Layers out of text, as files and the command line have them."""
    found = value.split(",") if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not found:
        raise ValueError(f"layers must be a list of at least one, as ['gru:32'], not {value!r}")
    for one in found:
        if not isinstance(one, str | Layer):
            raise ValueError(f"layers must be a list of texts, as ['gru:32'], not of {one!r}")
    try:
        return tuple(Layer.parse(one) if isinstance(one, str) else one for one in found)
    except InputError as error:
        raise ValueError(str(error)) from error


class Architecture(Strict):
    """What a network computes.

    Parameters
    ----------
    inputs
        Elements of the input vector.
    layers
        From the input on: :class:`Layer`, or text as ``gru:32``.
    outputs
        Elements of what the head computes out of the last result: logits of classes, or values.
    initial
        What states are in the first step of a sequence: see :data:`INITIALS`.
    every_step
        Whether the head computes outputs after every step of a sequence, or after the last alone.

    Raises
    ------
    InputError
        If a layer is none, no layer is recurrent, or a number is out of range.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    inputs: Size
    layers: Annotated[
        tuple[Layer, ...],
        BeforeValidator(_layers),
        PlainSerializer(lambda layers: [str(layer) for layer in layers]),
    ]
    outputs: Size
    initial: Initial = "zero"
    every_step: bool = False

    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self,
            *,
            inputs: int,
            layers: str | Sequence[str | Layer],
            outputs: int,
            initial: Initial = "zero",
            every_step: bool = False,
        ) -> None: ...

    @model_serializer(mode="wrap")
    def _serialise(self, handler: Any) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        # Files that were written before there was a choice stay as they are.
        if not self.every_step:
            del fields["every_step"]
        return fields

    @field_validator("layers")
    @classmethod
    def _validate_layers(cls, layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
        if all(layer.cell == DENSE for layer in layers):
            shown = ", ".join(map(str, layers))
            raise ValueError(f"layers must contain one that is recurrent, as gru:32, not {shown}")
        return layers

    def __str__(self) -> str:
        layers = ", ".join(map(str, self.layers))
        initial = {"zero": "", "carry": ", states carried on"}.get(
            self.initial, f", {self.initial} initial states"
        )
        every = " at every step" if self.every_step else ""
        return f"{self.inputs} inputs, {layers}, {self.outputs} outputs{every}{initial}"

    @property
    def carries(self) -> bool:
        """Whether states go on from sequence to sequence, all of which are one stream."""
        return self.initial == "carry"

    def same_weights(self, other: "Architecture") -> bool:
        """Whether what was trained of one suits the other: when outputs come does not matter."""
        return self == other.model_copy(update={"every_step": self.every_step})

    @cached_property
    def layer_stages(self) -> tuple[Stage, ...]:
        """The layers."""
        alone = len(self.layers) == 1
        sizes = [self.inputs, *(layer.units for layer in self.layers)]
        return tuple(
            Stage(
                name=f"l{index}",
                graph=layer.graph(inputs),
                source=f"l{index - 1}" if index else None,
                prefix="" if alone else f"l{index}.",
            )
            for index, (layer, inputs) in enumerate(zip(self.layers, sizes, strict=False))
        )

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The layers, and the head behind them; each after its source."""
        last = self.layer_stages[-1]
        head = Stage(HEAD, _head_graph(last.graph.units, self.outputs), last.name, "")
        return (*self.layer_stages, head)

    @cached_property
    def recurrent(self) -> tuple[Stage, ...]:
        """The stages up to the last one with a state.

        Those behind them compute a step from nothing but what these emit in it.
        """
        last = max(n for n, stage in enumerate(self.layer_stages) if stage.graph.states)
        return self.layer_stages[: last + 1]

    @cached_property
    def other_cells(self) -> Mapping[str, str]:
        """The fingerprint of the time step of each layer whose cell is not gruhw's own.

        By the names of stages.
        """
        own = {DENSE, *(cell.name for cell in OWN_CELLS)}
        return {
            stage.name: stage.graph.fingerprint
            for layer, stage in zip(self.layers, self.layer_stages, strict=True)
            if layer.cell not in own
        }

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        """Every gene: the input; for each stage its results, then its weights."""
        found = [Gene(INPUT, "", INPUT, "result", calibrated=True)]
        for stage in self.stages:
            for node in stage.graph.operators:
                if node.rule != "exact":
                    chosen = node.rule in ("calibrated", "rectified")
                    name = stage.spell(node.name)
                    found.append(Gene(name, stage.name, node.name, "result", chosen))
            for linear in stage.graph.linears:
                name = f"{stage.spell(linear.name)}.weight"
                found.append(Gene(name, stage.name, linear.name, "weight", calibrated=True))
        return tuple(found)

    @cached_property
    def gene_names(self) -> tuple[str, ...]:
        """Their names, in the same order."""
        return tuple(gene.name for gene in self.genes)

    @cached_property
    def calibrated(self) -> tuple[Gene, ...]:
        """The genes of tensors whose fraction bits calibration chooses: input, weights, results."""
        chosen = [gene for gene in self.genes if gene.calibrated]
        return (
            chosen[0],
            *(gene for gene in chosen if gene.kind == "weight"),
            *(gene for gene in chosen[1:] if gene.kind == "result"),
        )

    @cached_property
    def layer_shapes(self) -> Mapping[str, tuple[int, int]]:
        """The shape of the weights of every linear operator, [outputs, inputs], by its name."""
        return {
            stage.spell(node.name): (node.outputs, node.inputs)
            for stage in self.stages
            for node in stage.graph.linears
        }

    @cached_property
    def merged_biases(self) -> Mapping[str, str]:
        """See :attr:`gruhw.network.graph.Graph.merged_biases`."""
        return {
            stage.spell(name): stage.spell(other)
            for stage in self.stages
            for name, other in stage.graph.merged_biases.items()
        }

    @cached_property
    def initial_shapes(self) -> Mapping[str, tuple[int]]:
        """The shape of every initial state that is a constant, [units], by its name."""
        if self.initial != "constant":
            return {}
        return {
            stage.spell(state.name): (state.size,)
            for stage in self.stages
            for state in stage.graph.states
        }

    def stepping(self, output: str) -> tuple[bool, ...]:
        """Whether each stage computes every time step, or the last one of a sequence alone.

        Nobody reads the results of others: of stages behind the last recurrent one, unless there
        are outputs at every step, or the ``output`` is ``states``.
        """
        always = self.every_step or output == "states"
        layers = [always or stage in self.recurrent for stage in self.layer_stages]
        return (*layers, self.every_step)

    @property
    def most_units(self) -> int:
        """Units of the largest layer."""
        return max(layer.units for layer in self.layers)
