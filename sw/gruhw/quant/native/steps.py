"""Running the compiled time steps inside PyTorch."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruhw.fixed import Fixed, FloatArray
from gruhw.graph import Graph, Table
from gruhw.quant.native.build import load_library
from gruhw.quant.native.source import step_linears
from gruhw.quant.operators import Layers, ideal


class _Grid(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_float) for name in ("scale", "unit", "low", "high"))


class _Lookup(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "slopes")),
        *((name, ctypes.c_float) for name in ("scale", "offset")),
    )


@cache
def _network_type(structure: Graph) -> type[ctypes.Structure]:
    """The C++ ``Network`` of a structure."""
    fields = [
        *(
            (node.name, _Lookup if isinstance(node, Table) else _Grid)
            for node in structure.operators
        ),
        *((name, ctypes.c_void_p) for name in ("weights", "transposed", "biases")),
    ]
    return type("Network", (ctypes.Structure,), {"_fields_": fields})


@lru_cache(maxsize=4096)
def table_values(table: Table, operand: Fixed, result: Fixed) -> FloatArray:
    """A table's real values for the codes of ``operand``, in ascending order."""
    retyped = Table(name=table.name, type=result, operand=table.operand, function=table.function)
    codes = np.sort(operand.codes())
    integers = retyped.values(operand)[codes & ((1 << operand.bits) - 1)]
    found: FloatArray = integers * result.scale
    return found


@lru_cache(maxsize=4096)
def _table_contents(table: Table, operand: Fixed, result: Fixed) -> tuple[Tensor, Tensor]:
    """A table's values and the slopes of its smooth original."""
    with torch.enable_grad():
        at = torch.tensor(np.sort(operand.codes()) * operand.scale, requires_grad=True)
        (slopes,) = torch.autograd.grad(ideal(table, [at], {}).sum(), at)
    return torch.from_numpy(table_values(table, operand, result)).float(), slopes.float()


@dataclass(frozen=True)
class CompiledSteps:
    """The compiled time steps of G networks, with their types.

    Parameters
    ----------
    structure
        Their operators and sizes.
    graphs
        The graph of each, for its types.
    """

    structure: Graph
    graphs: Sequence[Graph]

    def networks(self, weights: Tensor, transposed: Tensor, biases: Tensor) -> Any:
        """The array of C++ networks; it must not outlive the tensors."""
        kind = _network_type(self.structure)
        found = (kind * len(self.graphs))()
        for member, graph in enumerate(self.graphs):
            network = found[member]
            for node in self.structure.operators:
                to = graph[node.name].type
                if isinstance(node, Table):
                    operand = graph[node.operand].type
                    values, slopes = _table_contents(node, operand, to)
                    entry: Any = _Lookup(
                        values.data_ptr(), slopes.data_ptr(), 2.0**operand.frac, -operand.minimum
                    )
                else:
                    entry = _Grid(2.0**to.frac, to.scale, to.minimum, to.maximum)
                setattr(network, node.name, entry)
            network.weights = weights[member].data_ptr()
            network.transposed = transposed[member].data_ptr()
            network.biases = biases[member].data_ptr()
        return found

    def __call__(self, layers: Layers, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The state after the last step of every sequence, shape [G, N, hidden].

        Parameters
        ----------
        layers
            Fake-quantised weights [G, hidden, inputs] and biases [G, 1, hidden].
        inputs
            Shape [G, N, T, inputs], on each network's grid.
        lengths
            Steps of each sequence, shape [N]; all T if absent.
        """
        linears = step_linears(self.structure)
        weights = torch.cat([layers[op.name][0].flatten(1) for op in linears], dim=1)
        biases = torch.cat([layers[op.name][1][:, 0] for op in linears], dim=1)
        count, steps = inputs.shape[1:3]
        lanes = load_library(self.structure).lanes()
        missing = -count % lanes
        if lengths is None:
            lengths = torch.full((count,), steps)
        lengths = torch.nn.functional.pad(lengths.int(), (0, missing))
        blocks = (
            torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, missing))
            .reshape(len(inputs), -1, lanes, steps, inputs.shape[3])
            .permute(0, 1, 3, 4, 2)
            .contiguous()
        )
        states: Tensor = _Steps.apply(weights, biases, self, blocks, lengths)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        return states.transpose(2, 3).flatten(1, 2)[:, :count]


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        biases: Tensor,
        compiled: CompiledSteps,
        blocks: Tensor,
        lengths: Tensor,
    ) -> Tensor:
        structure = compiled.structure
        members, count, steps, _, lanes = blocks.shape
        linears, hidden = step_linears(structure), structure.state.size
        training = any(ctx.needs_input_grad)
        tape = torch.empty(members, count, steps, len(linears), hidden, lanes) if training else None
        states = torch.zeros(members, count, steps + 1 if training else 2, hidden, lanes)
        weights, biases = weights.contiguous(), biases.contiguous()
        ends = np.cumsum([op.outputs * op.inputs for op in linears]).tolist()
        transposed = torch.cat(
            [
                weights[:, end - op.outputs * op.inputs : end]
                .view(members, op.outputs, op.inputs)
                .mT.flatten(1)
                for op, end in zip(linears, ends, strict=True)
            ],
            dim=1,
        )
        load_library(structure).forward(
            members,
            count,
            steps,
            _pointer(blocks),
            _pointer(lengths),
            compiled.networks(weights, transposed, biases),
            _pointer(tape),
            _pointer(states),
        )
        if tape is not None:
            ctx.compiled = compiled
            ctx.save_for_backward(blocks, lengths, weights, transposed, biases, tape, states)
        return states[:, :, steps if training else steps % 2].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        blocks, lengths, weights, transposed, biases, tape, states = ctx.saved_tensors
        last = gradients[0].contiguous()
        weight_gradient, bias_gradient = torch.zeros_like(weights), torch.zeros_like(biases)
        load_library(ctx.compiled.structure).backward(
            *blocks.shape[:3],
            _pointer(blocks),
            _pointer(lengths),
            ctx.compiled.networks(weights, transposed, biases),
            _pointer(tape),
            _pointer(states),
            _pointer(last),
            _pointer(weight_gradient),
            _pointer(bias_gradient),
        )
        return weight_gradient, bias_gradient, None, None, None


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
