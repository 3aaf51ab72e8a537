"""Several quantised networks computed at once: one module, and the types of each member.

Members are the first dimension of everything. They may share their weights, which are then
rounded to each member's widths.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gruhw.learning.quant.functional import Grid, fake_quantise
from gruhw.learning.quant.native.steps import table_values
from gruhw.learning.quant.network import TrainedNetworks
from gruhw.learning.quant.operators import Constants, Lookup, quantised
from gruhw.learning.quant.stages import StageTensors, Streams
from gruhw.network.architecture import Architecture, Stage
from gruhw.network.fixed import Fixed, FloatArray, quantise
from gruhw.network.genes import Genes
from gruhw.network.graph import INPUT, Add, Linear, Multiply, Node, Table
from gruhw.network.model import Model
from gruhw.network.normalisation import Normalisation
from gruhw.network.parameters import BIAS_BITS
from gruhw.network.typed import Typed

SINGLE_PRECISION_BITS = 25
"""Signed integers of this width are exact in float32."""

Types = tuple[Typed, ...]
"""The types of every stage of a network: see :meth:`gruhw.network.model.Model.typed`."""


class Population(TrainedNetworks):
    """G quantised networks, whose every operator rounds as the hardware does.

    Forward passes are exact: every value is an integer times a power of two that the chosen
    floating-point format represents (double precision where single does not suffice).

    Parameters
    ----------
    network
        What they compute.
    models
        Initial weights: one model for each member, or one that all members share.
    """

    rounded: ClassVar[bool] = True

    def __init__(self, network: Architecture, models: Sequence[Model]) -> None:
        super().__init__(
            network,
            {n: _stacked([model.weights[n] for model in models]) for n in network.layer_shapes},
            {n: _stacked([model.biases[n] for model in models]) for n in network.layer_shapes},
            {n: _stacked([model.initial[n] for model in models]) for n in network.initial_shapes},
        )
        self.span = models[0].span
        self.normalisation: Normalisation = models[0].normalisation
        self.members: tuple[Types, ...] = ()
        self.compute_type = torch.float32

    def assign(self, members: Sequence[Types], *, exact: bool = True) -> None:
        """Give every member the types of its stages, as :meth:`.Model.typed` does.

        Without ``exact``, single precision is used even where it does not hold every sum.
        """
        self.members = tuple(members)
        self.compute_type = self.exact_type() if exact else torch.float32
        self._parts = [
            _Quantised(stage, typed, self.compute_type)
            for stage, *typed in zip(self.network.stages, *self.members, strict=True)
        ]

    @property
    def input_types(self) -> list[Fixed]:
        """The type of each member's input."""
        return [types[0][INPUT] for types in self.members]

    def exact_type(self) -> torch.dtype:
        """The precision that holds every sum of every member, with the biases that it has now."""
        largest = {n: bias.detach().abs().amax(1).tolist() for n, bias in self.biases.items()}
        widest = max(
            widest_result(
                typed,
                {
                    name: rows[member if len(rows) > 1 else 0]
                    for name, rows in stage.of_layers(largest).items()
                },
            )
            for member, types in enumerate(self.members)
            for stage, typed in zip(self.network.stages, types, strict=True)
        )
        return torch.float64 if widest > SINGLE_PRECISION_BITS else torch.float32

    def tensors(self) -> list[StageTensors]:
        """Every stage with its parameters as they are rounded now."""
        layers = {name: (self.weights[name], self.biases[name]) for name in self.weights}
        return [
            part.tensors(part.stage.of_layers(layers), self.states_of(part.stage))
            for part in self._parts
        ]

    def forward(
        self, inputs: Tensor, lengths: Tensor | None = None, streams: Streams | None = None
    ) -> Tensor:
        """What the head gives after the last step of every sequence, shape [G, N, outputs].

        At every step, it is of shape [G, N, T, outputs], and zero past a sequence's end.

        Parameters
        ----------
        inputs
            Each member's input on its grid, shape [G, N, T, inputs], as :meth:`on_grids` gives.
        lengths
            Steps of each sequence, shape [N], 1 to T; all T if absent.
        streams
            Where states that are carried on come from: see :meth:`outputs`.
        """
        return self.outputs(self.tensors(), inputs.to(self.compute_type), lengths, streams)

    def member_model(self, member: int, start: Model) -> Model:
        """The weights of a member, and what does not change of the model it started from.

        What they were trained on since, who trained them must say. Initial states may be beyond
        the range of some widths: see :func:`states_in_range`.
        """
        weights, biases, initial = self.arrays(member)
        return replace(start, trained_on=None, weights=weights, biases=biases, initial=initial)

    def on_grids(self, raw: np.ndarray) -> Tensor:
        """Raw samples, shape [N, T, inputs], on each member's input grid: [G, N, T, inputs]."""
        values = self.normalisation(raw)
        kinds = self.input_types
        on_grid = {
            kind: torch.from_numpy((quantise(values, kind) * kind.scale).astype(np.float32))
            for kind in set(kinds)
        }
        return torch.stack([on_grid[kind] for kind in kinds])


class _Quantised:
    """A stage with the types that it has in each of G networks.

    Parameters
    ----------
    stage, typed
        The stage, and its types.
    dtype
        The floating-point format of results.
    """

    def __init__(self, stage: Stage, typed: Sequence[Typed], dtype: torch.dtype) -> None:
        self.stage, self._typed, self._dtype = stage, typed, dtype
        graph = stage.graph
        self._grids = {
            node.name: Grid.of([types[node.name] for types in typed], dtype)
            for node in graph.operators
            if node.rule != "exact" and not isinstance(node, Table)
        }
        self._tables = {table.name: self._lookup(table) for table in graph.tables}
        self._layers = {
            op.name: (
                Grid.of([types.weights[op.name] for types in typed], torch.float64),
                Grid.of(
                    [Fixed(BIAS_BITS, types.accumulators[op.name].frac) for types in typed],
                    torch.float64,
                ),
            )
            for op in graph.linears
        }
        self._states = {
            state.name: Grid.of([types[state.name] for types in typed], torch.float64)
            for state in graph.states
        }

    def _lookup(self, table: Table) -> Lookup:
        operands = [types[table.operand] for types in self._typed]
        results = [types[table.name] for types in self._typed]
        parts = [
            table_values(table.function, operand, result)
            for operand, result in zip(operands, results, strict=True)
        ]
        length = 1 << max(operand.bits for operand in operands)
        values = np.zeros((len(parts), length))
        for row, part in zip(values, parts, strict=True):
            row[: len(part)] = part
        offsets = [member * length - operand.minimum for member, operand in enumerate(operands)]
        return Lookup(
            torch.tensor(values.ravel(), dtype=self._dtype),
            torch.tensor([2.0**o.frac for o in operands], dtype=self._dtype)[:, None, None],
            torch.tensor(offsets, dtype=self._dtype)[:, None, None],
        )

    def tensors(
        self, layers: Mapping[str, tuple[Tensor, Tensor]], states: Mapping[str, Tensor]
    ) -> StageTensors:
        """The stage with parameters on their grids, out of those of shape [G, ...]."""

        def on_grid(values: Tensor, grid: Grid) -> Tensor:
            # Rounded in double precision, as the integers of the hardware are.
            return fake_quantise(values.double(), grid).to(self._dtype)

        rounded = {
            name: (
                on_grid(layers[name][0], weight),
                on_grid(layers[name][1][:, None], bias),
            )
            for name, (weight, bias) in self._layers.items()
        }
        initial = {name: on_grid(v[:, None], self._states[name]) for name, v in states.items()}
        constants = Constants(rounded, self._grids, self._tables)
        compute = partial(quantised, constants=constants)
        return StageTensors(self.stage, rounded, initial, compute, self._typed)


def _stacked(arrays: Sequence[FloatArray]) -> Tensor:
    return torch.tensor(np.stack(arrays), dtype=torch.float32)


def widest_result(typed: Typed, largest_biases: Mapping[str, float]) -> int:
    """The width of the widest exact result of a stage, with the half that rounding adds.

    ``largest_biases`` are the largest magnitudes of each linear operator's, by its name there.
    """

    def signed_bits(kind: Fixed) -> int:
        return kind.bits if kind.signed else kind.bits + 1

    def exact_bits(node: Node) -> int:
        if isinstance(node, Linear):
            accumulator = typed.accumulators[node.name]
            bias = int(
                quantise(np.array(largest_biases[node.name]), Fixed(BIAS_BITS, accumulator.frac))
            )
            return 1 + max(accumulator.bits, Fixed.spanning([bias], 0).bits)
        if isinstance(node, Multiply):
            return 1 + signed_bits(typed[node.left].product(typed[node.right]))
        if isinstance(node, Add):
            finest = max(typed[name].frac for name in node.operands)
            return 2 + max(
                signed_bits(typed[name]) + finest - typed[name].frac for name in node.operands
            )
        return 2 + typed[node.name].bits

    return max(exact_bits(node) for node in typed.graph)


def states_in_range(model: Model, genes: Genes) -> Model:
    """The same model, with initial states that the types of ``genes`` hold.

    Those beyond the range of a type become its ends, as in training, where they are rounded.
    """
    if not model.initial:
        return model
    initial = dict(model.initial)
    for stage, typed in zip(model.network.stages, model.typed(genes), strict=True):
        for state in stage.graph.states:
            name, kind = stage.spell(state.name), typed[state.name]
            ends = kind.minimum * kind.scale, kind.maximum * kind.scale
            initial[name] = np.clip(initial[name], *ends)
    return replace(model, initial=initial)
