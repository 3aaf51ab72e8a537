"""The integer reference: exact NumPy integers of every operator, and the cycle of each output."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from gruhw.errors import InputError
from gruhw.fixed import Fixed, IntArray, requantise
from gruhw.graph import Add, Complement, Graph, Linear, Multiply, Node, Table
from gruhw.model import Network
from gruhw.parameters import Parameters
from gruhw.schedule import Schedule

DOUBLE_PRECISION_BITS = 54
"""Signed integers of this width are exact in float64, whose matrix product is fast."""

BATCH = 2000
"""Sequences that are computed at a time."""


@singledispatch
def evaluate(
    node: Node, graph: Graph, operands: Sequence[IntArray], parameters: Parameters
) -> IntArray:
    """The integers of ``node`` from those of its operands; shapes [..., elements]."""
    raise TypeError(f"no integer meaning for {type(node).__name__}")


@evaluate.register
def _(node: Linear, graph: Graph, operands: Sequence[IntArray], parameters: Parameters) -> IntArray:
    weight, bias = parameters.weights[node.name], parameters.biases[node.name]
    if node.accumulator.bits <= DOUBLE_PRECISION_BITS:
        product = operands[0].astype(np.float64) @ weight.T.astype(np.float64)
        total = product.astype(np.int64) + bias
    else:
        total = operands[0] @ weight.T + bias
    return requantise(total, node.accumulator.frac, node.type)


@evaluate.register
def _(node: Add, graph: Graph, operands: Sequence[IntArray], parameters: Parameters) -> IntArray:
    kinds = [graph[name].type for name in node.operands]
    finest = max(kind.frac for kind in kinds)
    left, right = (
        values << (finest - kind.frac) for values, kind in zip(operands, kinds, strict=True)
    )
    return requantise(left + right, finest, node.type)


@evaluate.register
def _(
    node: Multiply, graph: Graph, operands: Sequence[IntArray], parameters: Parameters
) -> IntArray:
    frac = sum(graph[name].type.frac for name in node.operands)
    return requantise(operands[0] * operands[1], frac, node.type)


@evaluate.register
def _(
    node: Complement, graph: Graph, operands: Sequence[IntArray], parameters: Parameters
) -> IntArray:
    one = 1 << graph[node.operand].type.frac
    return requantise(one - operands[0], graph[node.operand].type.frac, node.type)


@evaluate.register
def _(node: Table, graph: Graph, operands: Sequence[IntArray], parameters: Parameters) -> IntArray:
    codes = operands[0] & ((1 << graph[node.operand].type.bits) - 1)
    looked_up: IntArray = graph.table_values(node)[codes]
    return looked_up


@dataclass(frozen=True)
class Reference:
    """What the hardware must produce for a batch of sequences.

    Parameters
    ----------
    operators
        Each operator's integers by name, shape [N, T, elements]; zero past a sequence's end.
    logits
        Shape [N, classes].
    classes
        The index of the largest logit, the lowest among equals. Shape [N].
    cycles
        The cycle in which the last state of each step stands in its register, shape [N, T]; -1
        past a sequence's end. See :mod:`gruhw.schedule` for where cycles start.
    output_cycles
        The cycle in which the accelerator offers each output element, if no stream stalls, in
        the order of the stream: shape [N, elements]; -1 past a sequence's last.
    """

    operators: dict[str, IntArray]
    logits: IntArray
    classes: IntArray
    cycles: IntArray
    output_cycles: IntArray


def check_inputs(inputs: IntArray, lengths: IntArray, kind: Fixed, size: int) -> None:
    """Raise :class:`InputError` unless the cell can take ``inputs`` and ``lengths``."""
    if inputs.ndim != 3 or inputs.shape[2] != size:
        raise InputError(
            f"shape of the inputs must be [sequences, steps, {size}], not {list(inputs.shape)}"
        )
    if lengths.shape != inputs.shape[:1]:
        raise InputError(
            f"shape of the lengths must be [{inputs.shape[0]}], not {list(lengths.shape)}"
        )
    for values, name, low, high in (
        (inputs, "inputs", kind.minimum, kind.maximum),
        (lengths, "lengths", 1, inputs.shape[1]),
    ):
        if values.size and (values.min() < low or values.max() > high):
            outside = values[(values < low) | (values > high)].flat[0]
            raise InputError(f"{name} must be {low} to {high}, not {outside}")


def run_reference(network: Network, inputs: IntArray, lengths: IntArray) -> Reference:
    """Compute a batch of sequences exactly as the hardware does.

    Parameters
    ----------
    inputs
        Integers of the input type, shape [N, T, inputs].
    lengths
        Steps of each sequence, 1 to T, shape [N].

    Raises
    ------
    InputError
        If shapes or values are out of range.
    """
    graph, parameters = network.graph, network.parameters
    check_inputs(inputs, lengths, graph.input.type, graph.input.size)
    count, steps, _ = inputs.shape
    trace = {
        node.name: np.zeros((count, steps, graph.state.size), dtype=np.int64)
        for node in graph.operators
    }
    state = np.zeros((count, graph.state.size), dtype=np.int64)
    for step in range(steps):
        alive = step < lengths
        results = {graph.input.name: inputs[:, step], graph.state.name: state}
        for node in graph.operators:
            operands = [results[name] for name in node.operands]
            results[node.name] = evaluate(node, graph, operands, parameters)
            trace[node.name][alive, step] = results[node.name][alive]
        state = np.where(alive[:, None], results[graph.state.source], state)
    logits = evaluate(graph.head, graph, [state], parameters)
    schedule = Schedule(graph, network.genome.folding, network.genome.output)
    cycles = np.full((count, steps), -1, dtype=np.int64)
    predicted = schedule.state_cycles(lengths)
    cycles[:, : predicted.shape[1]] = predicted
    offered = {int(length): schedule.output_cycles(int(length)) for length in set(lengths)}
    elements = max(map(len, offered.values()), default=0)
    output_cycles = np.full((count, elements), -1, dtype=np.int64)
    for length, due in offered.items():
        output_cycles[lengths == length, : len(due)] = due
    return Reference(trace, logits, logits.argmax(axis=1), cycles, output_cycles)


def classify(network: Network, inputs: IntArray, lengths: IntArray) -> IntArray:
    """The class of each sequence, shape [N]: :func:`run_reference` in memory-friendly batches."""
    parts = [
        run_reference(
            network, inputs[start : start + BATCH], lengths[start : start + BATCH]
        ).classes
        for start in range(0, len(inputs), BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
