"""The integer reference: exact NumPy integers of every operator, and the cycle of each output."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gruhw.basics.arrays import shaped
from gruhw.basics.values import instance
from gruhw.errors import InputError
from gruhw.network.bound import BoundStage, Network
from gruhw.network.encoding import Saturation, codes_and_lengths, rounded
from gruhw.network.figures import Figure, figure_of
from gruhw.network.fixed import IntArray, requantise
from gruhw.network.graph import INPUT, Add, Complement, Linear, Multiply, Node, Table
from gruhw.network.normalisation import learnt
from gruhw.network.parameters import Parameters
from gruhw.network.planning import schedule_of
from gruhw.network.sequences import Split
from gruhw.network.typed import Typed

DOUBLE_PRECISION_BITS = 54
"""Signed integers of this width are exact in float64, whose matrix product is fast."""

BATCH = 500
"""Sequences that :func:`classify` computes at a time."""


@singledispatch
def evaluate(
    node: Node, typed: Typed, operands: Sequence[IntArray], parameters: Parameters
) -> IntArray:
    """The integers of ``node`` from those of its operands; shapes [..., elements]."""
    raise TypeError(f"no integer meaning for {type(node).__name__}")


@evaluate.register
def _(node: Linear, typed: Typed, operands: Sequence[IntArray], parameters: Parameters) -> IntArray:
    weight, bias = parameters.weights[node.name], parameters.biases[node.name]
    if typed.accumulators[node.name].bits <= DOUBLE_PRECISION_BITS:
        product = operands[0].astype(np.float64) @ weight.T.astype(np.float64)
        total = product.astype(np.int64) + bias
    else:
        total = operands[0] @ weight.T + bias
    return requantise(total, typed.accumulators[node.name].frac, typed[node.name])


@evaluate.register
def _(node: Add, typed: Typed, operands: Sequence[IntArray], parameters: Parameters) -> IntArray:
    kinds = [typed[name] for name in node.operands]
    finest = max(kind.frac for kind in kinds)
    left, right = (
        values << (finest - kind.frac) for values, kind in zip(operands, kinds, strict=True)
    )
    return requantise(left + right, finest, typed[node.name])


@evaluate.register
def _(
    node: Multiply, typed: Typed, operands: Sequence[IntArray], parameters: Parameters
) -> IntArray:
    frac = sum(typed[name].frac for name in node.operands)
    return requantise(operands[0] * operands[1], frac, typed[node.name])


@evaluate.register
def _(
    node: Complement, typed: Typed, operands: Sequence[IntArray], parameters: Parameters
) -> IntArray:
    one = 1 << typed[node.operand].frac
    return requantise(one - operands[0], typed[node.operand].frac, typed[node.name])


@evaluate.register
def _(node: Table, typed: Typed, operands: Sequence[IntArray], parameters: Parameters) -> IntArray:
    codes = operands[0] & ((1 << typed[node.operand].bits) - 1)
    looked_up: IntArray = typed.table_values(node)[codes]
    return looked_up


@dataclass(frozen=True)
class Reference:
    """What the hardware must produce for a batch of sequences.

    Parameters
    ----------
    operators
        The integers of every operator of a layer, by the names of files, shape [N, T, units]. Zero
        where nothing is computed: past a sequence's end, and behind the last recurrent layer
        before it.
    logits
        What the head gives, shape [N, outputs]; at every step [N, T, outputs], zero past the end.
    classes
        What they stand for: see :func:`classes_of`. Shape [N], or [N, T].
    cycles
        See :meth:`gruhw.network.schedule.Schedule.state_cycles`; shape [N, T].
    output_cycles
        The cycle in which the accelerator offers each output element, if no stream stalls, in
        the order of the stream: shape [N, elements]; -1 past a sequence's last.
    """

    operators: Mapping[str, IntArray]
    logits: IntArray
    classes: IntArray
    cycles: IntArray
    output_cycles: IntArray


Results = dict[str, IntArray]
"""The integers of every node of a stage, by its name in the graph, shape [N, elements]."""


class _Step(NamedTuple):
    """A time step of all stages that compute every one.

    ``results`` are those of each stage, of which what a sequence that has ended has means nothing.
    ``emitted`` is what the last stage gave, in a sequence that has ended in its last step.
    """

    results: dict[str, Results]
    emitted: IntArray


def stage_results(bound: BoundStage, known: Mapping[str, IntArray]) -> Results:
    """All results of a stage in a time step, from its input and its states."""
    results = dict(known)
    for node in bound.graph.operators:
        operands = [results[name] for name in node.operands]
        results[node.name] = evaluate(node, bound.typed, operands, bound.parameters)
    return results


def initial_states(bound: BoundStage, count: int) -> Results:
    """What the states of a stage begin with, in so many sequences."""
    return {
        state.name: np.tile(
            bound.parameters.initial.get(state.name, np.zeros(state.size, dtype=np.int64)),
            (count, 1),
        )
        for state in bound.graph.states
    }


def _parts(network: Network, count: int, most: int) -> Iterator[tuple[slice, dict[str, Results]]]:
    """Sequences that are computed together, ``most`` at a time; and the states before and after.

    Where states are carried on, one sequence comes after the other, and finds the states of the one
    before.
    """
    states: dict[str, Results] = {}
    size = 1 if network.architecture.carries else most
    for start in range(0, count, size):
        part = slice(start, min(start + size, count))
        if not (states and network.architecture.carries):
            states = {
                bound.name: initial_states(bound, part.stop - start) for bound in _stepping(network)
            }
        yield part, states


def _time_steps(
    network: Network,
    vectors: Iterable[IntArray],
    lengths: IntArray,
    states: dict[str, Results],
) -> Iterator[_Step]:
    """Compute one time step after the other, up to the end of the longest sequence.

    Parameters
    ----------
    vectors
        The input integers of each step, shape [N, inputs].
    lengths
        Steps of each sequence, shape [N].
    states
        Those of every stage before the first step; afterwards those after the last.
    """
    stages = _stepping(network)
    emitted = np.zeros((len(lengths), stages[-1].graph.units), dtype=np.int64)
    for step, vector in zip(range(lengths.max(initial=0)), vectors, strict=False):
        results: dict[str, Results] = {}
        alive = (step < lengths)[:, None]
        for bound in stages:
            found = stage_results(bound, {INPUT: vector, **states[bound.name]})
            states[bound.name] = {
                state.name: np.where(alive, found[state.source], found[state.name])
                for state in bound.graph.states
            }
            vector, results[bound.name] = found[bound.graph.emits], found
        emitted = np.where(alive, vector, emitted)
        yield _Step(results, emitted)


def _stepping(network: Network) -> list[BoundStage]:
    """The stages that compute every time step."""
    every = network.architecture.stepping(network.genome.output)
    return [bound for bound, steps in zip(network.stages, every, strict=True) if steps]


def _at_the_end(network: Network, emitted: IntArray) -> dict[str, Results]:
    """What the other stages compute of the last step's results, shape [N, units]."""
    results: dict[str, Results] = {}
    for bound in network.stages[len(_stepping(network)) :]:
        results[bound.name] = stage_results(bound, {INPUT: emitted})
        emitted = results[bound.name][bound.graph.emits]
    return results


def _no_outputs(network: Network, count: int, steps: int) -> IntArray:
    """Room for what the head gives for so many sequences of so many steps."""
    places = (count, steps) if network.architecture.every_step else (count,)
    return np.zeros((*places, network.architecture.outputs), dtype=np.int64)


def _of_head(network: Network, results: Mapping[str, Results]) -> IntArray:
    """What the head gives, out of the results of all stages that compute when it does."""
    return results[network.head.name][network.head.graph.emits]


def run_reference(
    network: Network, inputs: ArrayLike, lengths: ArrayLike | None = None
) -> Reference:
    """Compute a batch of sequences exactly as the hardware does.

    Parameters
    ----------
    inputs
        Integers of the input type, shape [N, T, inputs]. Where the network carries its states on,
        they are one stream, which begins with the first sequence.
    lengths
        Steps of each sequence, 1 to T, shape [N]; all T if absent.

    Raises
    ------
    InputError
        If they are no integers of the input's type, or shapes or lengths are out of range.
    """
    network = instance("network", network, Network)
    size = network.architecture.inputs
    codes, lengths = codes_and_lengths(inputs, lengths, network.input_type, size)
    count, steps, _ = codes.shape
    names = {
        bound.name: {node.name: bound.stage.spell(node.name) for node in bound.graph.operators}
        for bound in network.layers
    }
    trace = {
        names[bound.name][node.name]: np.zeros((count, steps, node.size), dtype=np.int64)
        for bound in network.layers
        for node in bound.graph.operators
    }
    logits = _no_outputs(network, count, steps)
    last = np.zeros((count, _stepping(network)[-1].graph.units), dtype=np.int64)
    for part, states in _parts(network, count, max(1, count)):
        vectors = codes[part].swapaxes(0, 1)
        steps_of_part = _time_steps(network, vectors, lengths[part], states)
        for step, (results, emitted) in enumerate(steps_of_part):
            alive = step < lengths[part]
            for stage, found in results.items():
                for name, spelled in names.get(stage, {}).items():
                    trace[spelled][part][alive, step] = found[name][alive]
            if network.architecture.every_step:
                logits[part][alive, step] = _of_head(network, results)[alive]
            last[part] = emitted
    ends = _at_the_end(network, last)
    for stage, found in ends.items():
        for name, spelled in names.get(stage, {}).items():
            trace[spelled][np.arange(count), lengths - 1] = found[name]
    if not network.architecture.every_step:
        logits[:] = _of_head(network, ends)
    schedule = schedule_of(network)
    cycles = np.full((count, steps), -1, dtype=np.int64)
    predicted = schedule.state_cycles(lengths)
    cycles[:, : predicted.shape[1]] = predicted
    offered = {int(length): schedule.output_cycles(int(length)) for length in set(lengths)}
    elements = max(map(len, offered.values()), default=0)
    output_cycles = np.full((count, elements), -1, dtype=np.int64)
    for length, due in offered.items():
        output_cycles[lengths == length, : len(due)] = due
    return Reference(trace, logits, classes_of(logits), cycles, output_cycles)


def classes_of(results: NDArray[np.number[Any]]) -> IntArray:
    """The class that results of the head, shape [..., outputs], stand for. Shape [...].

    It is the index of the largest, the lowest among equals. A single logit stands for class 1 where
    it is positive, and for class 0 elsewhere.
    """
    if results.shape[-1] == 1:
        return (results[..., 0] > 0).astype(np.int64)
    found: IntArray = results.argmax(axis=-1)
    return found


def head_results(network: Network, split: Split) -> IntArray:
    """What the head gives for each sequence of raw numbers, shape [N, outputs].

    At every step, it is of shape [N, T, outputs], and zero past a sequence's end.

    Beside the result, memory grows neither with sequences nor with steps: :data:`BATCH` sequences
    are computed at a time, a step's numbers become integers when it is their turn, and of what the
    operators compute only the states are kept. :func:`run_reference` keeps everything.

    Raises
    ------
    InputError
        If the sequences have other elements than the network takes.
    """
    network, split = instance("network", network, Network), instance("split", split, Split)
    kind, size = network.input_type, network.architecture.inputs
    x, lengths = shaped("inputs", split.x, ("sequences", "steps", size)), split.lengths
    found = _no_outputs(network, *x.shape[:2])
    saturation = Saturation()

    def encoded(part: slice) -> Iterator[IntArray]:
        for step, raw in enumerate(x[part].swapaxes(0, 1)):
            codes, saturated = rounded(network.normalisation, kind, raw)
            saturation.note(saturated[step < lengths[part]])
            yield codes

    for part, states in _parts(network, len(found), BATCH):
        steps = _time_steps(network, encoded(part), lengths[part], states)
        _keep_outputs(network, steps, lengths[part], found[part])
    saturation.warn(kind)
    return found


def _keep_outputs(
    network: Network, steps: Iterable[_Step], lengths: IntArray, found: IntArray
) -> None:
    """Write what the head gives for some sequences into ``found``; nothing else is kept."""
    if not network.architecture.every_step:
        [(_, emitted)] = deque(steps, maxlen=1)
        found[:] = _of_head(network, _at_the_end(network, emitted))
        return
    for step, (results, _) in enumerate(steps):
        alive = step < lengths
        found[alive, step] = _of_head(network, results)[alive]


def classify(network: Network, split: Split) -> IntArray:
    """The class that the hardware finds for each sequence of raw numbers, shape [N].

    At every step, it is of shape [N, T].

    Memory and errors are those of :func:`head_results`.
    """
    return classes_of(head_results(network, split))


def measure(network: Network, split: Split) -> Figure:
    """How well the hardware's integers do on sequences of raw numbers.

    Memory and errors are those of :func:`head_results`, and errors of
    :func:`gruhw.network.figures.figure_of`.
    """
    network, split = instance("network", network, Network), instance("split", split, Split)
    if split.of_every_step != network.architecture.every_step:
        every, sequence = "at every step", "of whole sequences"
        given, required = (every, sequence) if split.of_every_step else (sequence, every)
        raise InputError(f"y must be {split.kind} {required}, as the network gives, not {given}")
    if split.of_classes:
        return figure_of(classify(network, split), split)
    values = head_results(network, split) * network.head.typed.emitted.scale
    return figure_of(values, learnt(split, network.span))
