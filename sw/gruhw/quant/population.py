"""Several quantised GRUs computed at once: one module, and a genome for each member.

Members are the first dimension of everything. They may share their weights, which are then
rounded to each member's widths.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from gruhw.fixed import Fixed, quantise
from gruhw.genome import Sizes, homogeneous
from gruhw.graph import Add, Graph, Linear, Multiply, Node, Table, build_graph, calibrated_tensors
from gruhw.model import LAYERS, Model, Normalisation
from gruhw.parameters import BIAS_BITS
from gruhw.quant.functional import Grid, fake_quantise
from gruhw.quant.native import CompiledSteps
from gruhw.quant.native.build import load_library
from gruhw.quant.native.steps import table_values
from gruhw.quant.operators import Constants, Layers, Lookup, quantised

SINGLE_PRECISION_BITS = 25
"""Signed integers of this width are exact in float32."""

MERGED_BIASES = ("W_hr", "W_hz")
"""Layers whose biases have the same effect as those of the input's layers: where they are zero
they stay so in training, because the hardware then needs none."""


@cache
def structure_of(sizes: Sizes) -> Graph:
    """The operators of a network of these sizes, with types that mean nothing."""
    genes = homogeneous(8)
    fractions = dict.fromkeys(calibrated_tensors(genes), 0)
    graph = build_graph(sizes, genes, fractions, input_signed=True)
    # The compiler cannot look into cached properties before they are cached.
    for name in ("input", "state", "operators", "feedforward"):
        getattr(graph, name)
    return graph


def compile_for(sizes: Sizes) -> None:
    """Compile the time steps of networks of these sizes, unless the cache has them compiled.

    Raises
    ------
    InputError
        If the cache cannot be written.
    ToolError
        If there is no C++ compiler, or it fails.
    """
    load_library(structure_of(sizes))


def step_results(
    structure: Graph, known: Mapping[str, Tensor], constants: Constants
) -> dict[str, Tensor]:
    """The result of every node in one time step, from those already ``known``."""
    results = dict(known)
    for node in structure.operators:
        if node.name not in results:
            operands = [results[name] for name in node.operands]
            results[node.name] = quantised(node, operands, constants)
    return results


class Population(nn.Module):
    """G quantised GRUs with classifier heads, whose every operator rounds as the hardware does.

    Forward passes are exact: every value is an integer times a power of two that the chosen
    floating-point format represents (double precision where single does not suffice).

    Parameters
    ----------
    sizes
        Input, hidden and class counts.
    models
        Initial weights: one model for each member, or one that all members share.
    """

    def __init__(self, sizes: Sizes, models: Sequence[Model]) -> None:
        super().__init__()
        self.sizes = sizes
        self.structure = structure_of(sizes)
        self.normalisation: Normalisation = models[0].normalisation
        self.weights = nn.ParameterDict(
            {name: _stacked([model.weights[name] for model in models]) for name in LAYERS}
        )
        self.biases = nn.ParameterDict(
            {name: _stacked([model.biases[name] for model in models]) for name in LAYERS}
        )
        for layer in MERGED_BIASES:
            used = any(np.any(model.biases[layer]) for model in models)
            self.biases[layer].requires_grad_(used)
        self.graphs: tuple[Graph, ...] = ()
        self.compute_type = torch.float32
        self.compiled = False

    def assign(self, graphs: Sequence[Graph], *, exact: bool = True) -> None:
        """Give every member the types of its graph.

        Without ``exact``, single precision is used even where it does not hold every sum.
        """
        self.graphs = tuple(graphs)
        self.compute_type = self.exact_type() if exact else torch.float32
        tables = self.structure.tables
        self._grids = {
            node.name: Grid.of([graph[node.name].type for graph in graphs], self.compute_type)
            for node in self.structure.operators
            if node not in tables
        }
        self._tables = {table.name: self._lookup(table) for table in tables}
        self._layer_grids = {
            op.name: (
                Grid.of([_linear(graph, op.name).weight for graph in graphs], torch.float64),
                Grid.of(
                    [
                        Fixed(BIAS_BITS, _linear(graph, op.name).accumulator.frac)
                        for graph in graphs
                    ],
                    torch.float64,
                ),
            )
            for op in self.structure.linears
        }

    def exact_type(self) -> torch.dtype:
        """The precision that holds every sum of every member, with the biases that it has now."""
        wide = any(
            widest_result(graph, self._largest_biases(member)) > SINGLE_PRECISION_BITS
            for member, graph in enumerate(self.graphs)
        )
        return torch.float64 if wide else torch.float32

    def _largest_biases(self, member: int) -> dict[str, float]:
        """The largest magnitude of each layer's biases in a member."""
        row = member if self.biases["head"].shape[0] > 1 else 0
        return {layer: float(bias[row].detach().abs().max()) for layer, bias in self.biases.items()}

    def _lookup(self, table: Table) -> Lookup:
        operands = [graph[table.operand].type for graph in self.graphs]
        results = [graph[table.name].type for graph in self.graphs]
        parts = [
            table_values(table, operand, result)
            for operand, result in zip(operands, results, strict=True)
        ]
        length = 1 << max(operand.bits for operand in operands)
        values = np.zeros((len(parts), length))
        for row, part in zip(values, parts, strict=True):
            row[: len(part)] = part
        offsets = [member * length - operand.minimum for member, operand in enumerate(operands)]
        return Lookup(
            torch.tensor(values.ravel(), dtype=self.compute_type),
            torch.tensor([2.0**o.frac for o in operands], dtype=self.compute_type)[:, None, None],
            torch.tensor(offsets, dtype=self.compute_type)[:, None, None],
        )

    def constants(self) -> Constants:
        """Fake-quantised weights and biases, grids and tables, by operator."""
        layers: dict[str, tuple[Tensor, Tensor]] = {}
        for name, (weight, bias) in self._layer_grids.items():
            # Rounded in double precision, as the integers of the hardware are.
            layers[name] = (
                fake_quantise(self.weights[name].double(), weight).to(self.compute_type),
                fake_quantise(self.biases[name].double()[:, None], bias).to(self.compute_type),
            )
        return Constants(layers, self._grids, self._tables)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The logits after the last step of every sequence, shape [G, N, classes].

        Parameters
        ----------
        inputs
            Each member's input on its grid, shape [G, N, T, inputs], as :meth:`on_grids` gives.
        lengths
            Steps of each sequence, shape [N], 1 to T; all T if absent.
        """
        constants = self.constants()
        inputs = inputs.to(self.compute_type)
        if self.compiled and self.compute_type == torch.float32:
            compiled = CompiledSteps(self.structure, self.graphs)
            state = compiled(constants.layers, inputs, lengths)
        else:
            for _, after in self.steps(inputs, lengths, constants):
                state = after
        return quantised(self.structure.head, [state], constants)

    def compile_steps(self) -> None:
        """Compute time steps with compiled C++: same results, many times faster.

        Needs a C++ compiler, and a few seconds for sizes that were not compiled before.

        Raises
        ------
        ToolError
            If there is no C++ compiler.
        """
        load_library(self.structure)
        self.compiled = True

    def steps(
        self, inputs: Tensor, lengths: Tensor | None, constants: Constants
    ) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """The result of every node in each time step, and the state after it, by PyTorch alone.

        Shapes are [G, N, elements]; the state of a sequence that has ended stays as it is.
        """
        ahead = self._feedforward(inputs, constants)
        alive = alive_steps(inputs, lengths)
        state = inputs.new_zeros(len(inputs), inputs.shape[1], self.sizes.hidden)
        for step in range(inputs.shape[2]):
            known = {name: values[:, step] for name, values in ahead.items()}
            known[self.structure.state.name] = state
            results = step_results(self.structure, known, constants)
            following = results[self.structure.state.source]
            state = following if alive is None else torch.where(alive[step], following, state)
            yield results, state

    def member_model(self, member: int, start: Model) -> Model:
        """The weights of a member, and what does not change of the model it started from.

        What they were trained on since, who trained them must say.
        """
        return replace(
            start,
            trained_on=None,
            weights={layer: self.weights[layer][member].detach().cpu().numpy() for layer in LAYERS},
            biases={layer: self.biases[layer][member].detach().cpu().numpy() for layer in LAYERS},
        )

    def _feedforward(self, inputs: Tensor, constants: Constants) -> dict[str, Tensor]:
        """What does not depend on the state, for all time steps at once: [G, T, N, elements]."""
        members, count, steps, _ = inputs.shape
        flat = inputs.transpose(1, 2).reshape(members, steps * count, inputs.shape[3])
        ahead = {self.structure.input.name: flat}
        for node in self.structure.operators:
            if node.name in self.structure.feedforward:
                operands = [ahead[name] for name in node.operands]
                ahead[node.name] = quantised(node, operands, constants)
        return {
            name: part.view(members, steps, count, part.shape[2]) for name, part in ahead.items()
        }

    def on_grids(self, raw: np.ndarray) -> Tensor:
        """Raw samples, shape [N, T, inputs], on each member's input grid: [G, N, T, inputs]."""
        values = self.normalisation(raw)
        kinds = [graph.input.type for graph in self.graphs]
        on_grid = {
            kind: torch.from_numpy((quantise(values, kind) * kind.scale).astype(np.float32))
            for kind in set(kinds)
        }
        return torch.stack([on_grid[kind] for kind in kinds])


def _linear(graph: Graph, name: str) -> Linear:
    node = graph[name]
    if not isinstance(node, Linear):
        raise TypeError(f"{name} must be a linear operator, not {type(node).__name__}")
    return node


def _stacked(arrays: Sequence[np.ndarray]) -> nn.Parameter:
    return nn.Parameter(torch.tensor(np.stack(arrays), dtype=torch.float32))


def alive_steps(inputs: Tensor, lengths: Tensor | None) -> Tensor | None:
    """Whether each sequence has each step, shape [T, N, 1]; None if all have."""
    if lengths is None:
        return None
    steps = torch.arange(inputs.shape[2], device=inputs.device)
    return (steps[:, None] < lengths[None, :])[:, :, None]


def widest_result(graph: Graph, largest_biases: Mapping[str, float]) -> int:
    """The width of the widest exact result in the graph, before it is requantised."""

    def exact_bits(node: Node) -> int:
        operands = [graph[name].type for name in node.operands]
        if isinstance(node, Linear):
            kind = Fixed(BIAS_BITS, node.accumulator.frac)
            bias = int(quantise(np.array(largest_biases[node.name]), kind))
            return 1 + max(node.accumulator.bits, Fixed.spanning([bias], 0).bits)
        if isinstance(node, Multiply):
            return operands[0].product(operands[1]).bits
        if isinstance(node, Add):
            finest = max(operand.frac for operand in operands)
            return 1 + max(operand.bits + finest - operand.frac for operand in operands)
        return node.type.bits + 1

    return max(exact_bits(node) for node in graph)


def layer_tensors(weights: Mapping[str, np.ndarray], biases: Mapping[str, np.ndarray]) -> Layers:
    """Float parameters in double precision, as :func:`ideal` takes them."""
    return {
        name: (torch.tensor(weights[name]).double(), torch.tensor(biases[name]).double()[None])
        for name in LAYERS
    }
