"""The integer reference: exact NumPy integers of every operator, and the cycle of each output."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch

import numpy as np
from numpy.typing import ArrayLike

from gruhw.arrays import shaped
from gruhw.encoding import Saturation, codes_and_lengths, rounded
from gruhw.fixed import IntArray, requantise
from gruhw.graph import Add, Complement, Graph, Linear, Multiply, Node, Table
from gruhw.model import Network
from gruhw.parameters import Parameters
from gruhw.schedule import Schedule
from gruhw.tasks.data import Split
from gruhw.values import instance

DOUBLE_PRECISION_BITS = 54
"""Signed integers of this width are exact in float64, whose matrix product is fast."""

BATCH = 500
"""Sequences that :func:`classify` computes at a time."""


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


def _time_steps(
    network: Network, vectors: Iterable[IntArray], lengths: IntArray
) -> Iterator[tuple[dict[str, IntArray], IntArray]]:
    """Compute one time step after the other, up to the end of the longest sequence.

    Parameters
    ----------
    vectors
        The input integers of each step, shape [N, inputs].
    lengths
        Steps of each sequence, shape [N].

    Yields
    ------
    dict
        The integers of every node by name, shape [N, elements]. What a sequence that has ended
        has there means nothing.
    array
        The state after the step, shape [N, elements]: the last one of a sequence that has ended.
    """
    graph = network.graph
    state = np.zeros((len(lengths), graph.state.size), dtype=np.int64)
    for step, vector in zip(range(lengths.max(initial=0)), vectors, strict=False):
        results = {graph.input.name: vector, graph.state.name: state}
        for node in graph.operators:
            operands = [results[name] for name in node.operands]
            results[node.name] = evaluate(node, graph, operands, network.parameters)
        state = np.where((step < lengths)[:, None], results[graph.state.source], state)
        yield results, state


def run_reference(
    network: Network, inputs: ArrayLike, lengths: ArrayLike | None = None
) -> Reference:
    """Compute a batch of sequences exactly as the hardware does.

    Parameters
    ----------
    inputs
        Integers of the input type, shape [N, T, inputs].
    lengths
        Steps of each sequence, 1 to T, shape [N]; all T if absent.

    Raises
    ------
    InputError
        If they are no integers of the input's type, or shapes or lengths are out of range.
    """
    graph = instance("network", network, Network).graph
    codes, lengths = codes_and_lengths(inputs, lengths, graph.input.type, graph.input.size)
    count, steps, _ = codes.shape
    trace = {
        node.name: np.zeros((count, steps, graph.state.size), dtype=np.int64)
        for node in graph.operators
    }
    for step, (results, _) in enumerate(_time_steps(network, codes.swapaxes(0, 1), lengths)):
        alive = step < lengths
        for name, recorded in trace.items():
            recorded[alive, step] = results[name][alive]
    final = trace[graph.state.source][np.arange(count), lengths - 1]
    logits = evaluate(graph.head, graph, [final], network.parameters)
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


def classify(network: Network, split: Split) -> IntArray:
    """The class that the hardware finds for each sequence of raw numbers, shape [N].

    Beside the result, memory grows neither with sequences nor with steps: :data:`BATCH` sequences
    are computed at a time, a step's numbers become integers when it is their turn, and of what the
    operators compute only the state is kept. :func:`run_reference` keeps everything.

    Raises
    ------
    InputError
        If the sequences have other elements than the network takes.
    """
    graph = instance("network", network, Network).graph
    kind, split = graph.input.type, instance("split", split, Split)
    x = shaped("inputs", split.x, ("sequences", "steps", graph.input.size))
    lengths = split.lengths
    classes = np.empty(len(x), dtype=np.int64)
    saturation = Saturation()

    def encoded(part: slice) -> Iterator[IntArray]:
        for step, raw in enumerate(x[part].swapaxes(0, 1)):
            codes, saturated = rounded(network.normalisation, kind, raw)
            saturation.note(saturated[step < lengths[part]])
            yield codes

    for start in range(0, len(classes), BATCH):
        part = slice(start, start + BATCH)
        [(_, state)] = deque(_time_steps(network, encoded(part), lengths[part]), maxlen=1)
        classes[part] = evaluate(graph.head, graph, [state], network.parameters).argmax(axis=1)
    saturation.warn(kind)
    return classes
