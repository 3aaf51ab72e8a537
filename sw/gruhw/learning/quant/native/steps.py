"""Running the compiled time steps inside PyTorch."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gruhw.learning.quant.native.build import load_library
from gruhw.learning.quant.native.source import is_member, kept_sources
from gruhw.learning.quant.operators import Layers, function_of
from gruhw.network.fixed import Fixed, FloatArray
from gruhw.network.graph import Function, Graph, Table
from gruhw.network.typed import Typed, tabulate


class _Grid(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_float) for name in ("scale", "unit", "low", "high"))


class _Lookup(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("values", "slopes")),
        *((name, ctypes.c_float) for name in ("scale", "offset")),
    )


@cache
def _network_type(graph: Graph, rounded: bool) -> type[ctypes.Structure]:
    """The C++ ``Network`` of a graph."""
    fields = [
        *(
            (f"o_{node.name}", _Lookup if isinstance(node, Table) else _Grid)
            for node in graph.operators
            if is_member(node, rounded=rounded)
        ),
        *((name, ctypes.c_void_p) for name in ("weights", "transposed", "biases", "initial")),
    ]
    return type("Network", (ctypes.Structure,), {"_fields_": fields})


@lru_cache(maxsize=4096)
def table_values(function: Function, operand: Fixed, result: Fixed) -> FloatArray:
    """A table's real values for the codes of ``operand``, in ascending order."""
    codes = np.sort(operand.codes())
    integers = tabulate(function, operand, result)[codes & ((1 << operand.bits) - 1)]
    found: FloatArray = integers * result.scale
    return found


@lru_cache(maxsize=4096)
def _table_contents(function: Function, operand: Fixed, result: Fixed) -> tuple[Tensor, Tensor]:
    """A table's values and the slopes of its smooth original."""
    with torch.enable_grad():
        at = torch.tensor(np.sort(operand.codes()) * operand.scale, requires_grad=True)
        (slopes,) = torch.autograd.grad(function_of(function)(at).sum(), at)
    return torch.from_numpy(table_values(function, operand, result)).float(), slopes.float()


Results = dict[str, Tensor]
"""What states are, by their names in the graph."""


def lanes_of(graph: Graph, *, rounded: bool) -> int:
    """How many sequences are computed side by side, on this processor."""
    return int(load_library(graph, rounded=rounded).lanes())


def to_blocks(inputs: Tensor, lanes: int) -> Tensor:
    """Sequences [G, N, T, elements] side by side: [G, blocks, T, elements, lanes]."""
    members, count, steps, elements = inputs.shape
    blocks = -(-count // lanes)
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, blocks * lanes - count))
    split = padded.reshape(members, blocks, lanes, steps, elements)
    return split.permute(0, 1, 3, 4, 2).contiguous()


@dataclass(frozen=True)
class CompiledSteps:
    """The compiled time steps of a stage in G networks.

    Parameters
    ----------
    graph
        Its operators and sizes.
    typed
        The types of each network; None if nothing is rounded.
    """

    graph: Graph
    typed: Sequence[Typed] | None

    @property
    def library(self) -> ctypes.CDLL:
        """What was compiled."""
        return load_library(self.graph, rounded=self.typed is not None)

    def networks(self, members: int, **arrays: Tensor | None) -> Any:
        """The array of C++ networks; it must not outlive the tensors, of shape [G, ...]."""
        found = (_network_type(self.graph, self.typed is not None) * members)()
        for member, network in enumerate(found):
            for name, array in arrays.items():
                setattr(network, name, None if array is None else array[member].data_ptr())
        for network, typed in zip(found, self.typed or (), strict=False):
            self._set_types(network, typed)
        return found

    def _set_types(self, network: Any, typed: Typed) -> None:
        for node in self.graph.operators:
            if not is_member(node, rounded=True):
                continue
            to = typed[node.name]
            if isinstance(node, Table):
                operand = typed[node.operand]
                values, slopes = _table_contents(node.function, operand, to)
                entry: Any = _Lookup(
                    values.data_ptr(), slopes.data_ptr(), 2.0**operand.frac, -operand.minimum
                )
            else:
                entry = _Grid(2.0**to.frac, to.scale, to.minimum, to.maximum)
            setattr(network, f"o_{node.name}", entry)

    def __call__(
        self,
        layers: Layers,
        initial: Mapping[str, Tensor],
        blocks: Tensor,
        lengths: Tensor,
        *,
        every: bool,
        carried: Results | None = None,
    ) -> Tensor:
        """What is emitted: [G, blocks, T, units, lanes], or without T that of the last steps.

        Parameters
        ----------
        layers
            Weights [G, units, inputs] and biases [G, 1, units], by linear operator.
        initial
            What states begin with, [G, 1, units]; zero where nothing is given.
        blocks
            See :func:`to_blocks`.
        lengths
            Steps of each sequence, shape [blocks * lanes]; 0 where there is none.
        every
            Whether every step is asked for. What comes after a sequence's end means nothing.
        carried
            What states begin with in each sequence, [G, blocks, units, lanes], by their names;
            afterwards what they are in its end, without a gradient. None if they begin as
            ``initial`` says.
        """
        linears = self.graph.linears
        weights = torch.cat([layers[op.name][0].flatten(1) for op in linears], dim=1)
        biases = torch.cat([layers[op.name][1][:, 0] for op in linears], dim=1)
        start = None
        if initial:
            start = torch.cat([initial[state.name][:, 0] for state in self.graph.states], dim=1)
        kept = None
        if carried:
            # What is emitted, if it is no state, is kept from the first step on only.
            known = [carried[state.name] for state in self.graph.states]
            more = len(kept_sources(self.graph)) - len(known)
            kept = torch.stack([*known, *([torch.zeros_like(known[0])] * more)], dim=2)
        found: Tensor
        ends: Tensor
        found, ends = _Steps.apply(weights, biases, start, blocks, self, lengths, every, kept)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
        if carried is not None:
            carried |= {s.name: ends[:, :, n] for n, s in enumerate(self.graph.states)}
        return found


class _Steps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        biases: Tensor,
        initial: Tensor | None,
        blocks: Tensor,
        compiled: CompiledSteps,
        lengths: Tensor,
        every: bool,
        carried: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        graph = compiled.graph
        members, count, steps, _, lanes = blocks.shape
        units, sources = graph.units, kept_sources(graph)
        training = any(ctx.needs_input_grad)
        tape = None
        if training:
            tape = torch.empty(members, count, steps, len(graph.linears), units, lanes)
        whole = training or every
        places = steps + 1 if whole else 2
        kept = torch.empty(members, count, places, len(sources), units, lanes)
        if carried is not None:
            kept[:, :, 0] = carried
        weights, biases = weights.contiguous(), biases.contiguous()
        initial = None if initial is None else initial.contiguous()
        ends = np.cumsum([op.outputs * op.inputs for op in graph.linears]).tolist()
        transposed = torch.cat(
            [
                weights[:, end - op.outputs * op.inputs : end]
                .view(members, op.outputs, op.inputs)
                .mT.flatten(1)
                for op, end in zip(graph.linears, ends, strict=True)
            ],
            dim=1,
        )
        arrays = {
            "weights": weights,
            "transposed": transposed,
            "biases": biases,
            "initial": initial,
        }
        blocks, strides = _strided(blocks)
        compiled.library.forward(
            members,
            count,
            steps,
            int(whole),
            int(carried is not None),
            _pointer(blocks),
            strides,
            _pointer(lengths),
            compiled.networks(members, **arrays),
            _pointer(tape),
            _pointer(kept),
        )
        if tape is not None:
            ctx.compiled, ctx.every, ctx.done = compiled, every, False
            ctx.save_for_backward(blocks, lengths, tape, kept, *arrays.values())
        ends = kept[:, :, steps if whole else steps % 2].clone()
        ctx.mark_non_differentiable(ends)
        place = sources.index(graph.emits)
        return kept[:, :, 1:, place] if every else ends[:, :, place].clone(), ends

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.done:  # the tape is written over on the way back
            raise RuntimeError("gradients of compiled time steps can be computed only once")
        ctx.done = True
        blocks, lengths, tape, kept, weights, transposed, biases, initial = ctx.saved_tensors
        given, (blocks, strides) = gradients[0].contiguous(), _strided(blocks)
        weight_gradient, bias_gradient = torch.zeros_like(weights), torch.zeros_like(biases)
        initial_gradient = None if initial is None else torch.zeros_like(initial)
        input_gradient = None
        if ctx.needs_input_grad[3]:
            input_gradient = torch.empty(blocks.shape)
        ctx.compiled.library.backward(
            *blocks.shape[:3],
            int(ctx.every),
            _pointer(blocks),
            strides,
            _pointer(lengths),
            ctx.compiled.networks(
                len(blocks), weights=weights, transposed=transposed, biases=biases, initial=initial
            ),
            _pointer(tape),
            _pointer(kept),
            _pointer(given),
            _pointer(weight_gradient),
            _pointer(bias_gradient),
            _pointer(initial_gradient),
            _pointer(input_gradient),
        )
        found = weight_gradient, bias_gradient, initial_gradient, input_gradient
        return *found, None, None, None, None


def _strided(blocks: Tensor) -> tuple[Tensor, Any]:
    """Blocks whose elements and lanes are in one piece, and the strides before, in vectors."""
    elements, lanes = blocks.shape[-2:]
    if blocks.stride()[-2:] != (lanes, 1) or elements * lanes == 0:
        blocks = blocks.contiguous()
    return blocks, (ctypes.c_int64 * 3)(*(stride // lanes for stride in blocks.stride()[:3]))


def _pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())
