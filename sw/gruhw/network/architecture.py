"""What a network computes, at no width yet: its layers, and the stages that they become.

A *stage* turns a sequence of vectors into another one, a time step after the other. Each layer is
a stage, and so is the head, which reads the last vector of the last layer.
"""

from collections.abc import Mapping, Sequence
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

from gruhw.basics.strict import Size, Strict
from gruhw.errors import InputError
from gruhw.network.cells import DENSE as DENSE
from gruhw.network.cells import OWN_CELLS
from gruhw.network.graph import INPUT, Graph
from gruhw.network.layers import ACTIVATIONS as ACTIVATIONS
from gruhw.network.layers import HEAD as HEAD
from gruhw.network.layers import Layer as Layer
from gruhw.network.step import Step

Initial: TypeAlias = Literal["zero", "constant", "carry"]

INITIALS: tuple[Initial, ...] = get_args(Initial)
"""What states begin a sequence with: zero, a trained constant for each unit, or what the sequence
before left. The first of all begins with zero then."""

CARRY: Initial = "carry"
"""The last of these."""

Value = TypeVar("Value")

Kind: TypeAlias = Literal["result", "weight"]
"""What a gene is the width of."""


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
        return self.initial == CARRY

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
