"""Sequences that go where real ones seldom do: to the ends of ranges, and into saturation."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gruhw.network.bound import BoundStage, Network
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.graph import INPUT, Table
from gruhw.network.reference import Reference, evaluate, initial_states, run_reference

STEPS = 6
"""The longest of them: a state is anywhere after a few steps."""

CANDIDATES = 512
"""Among how many they are chosen."""

DECISION_WEIGHT = 8
"""How many results a bit that decides between classes is worth: results are many, and a sequence
has hundreds of them, but takes few decisions, of which most are clear."""


def extreme_sequences(
    network: Network, inputs: IntArray, lengths: IntArray, count: int, seed: int
) -> tuple[IntArray, IntArray]:
    """The sequences given, and ``count`` more behind them that reach what they do not.

    Candidates of 1 to :data:`STEPS` random steps are chosen one by one, each for the results of
    operators, saturation at either end, classes, and bits of logits that decide between classes,
    that no sequence before it has. The first has a single step.

    Parameters
    ----------
    inputs, lengths
        Real sequences: integers of the input type, shape [N, T, inputs]; and their steps, [N].
    count
        How many to add.
    seed
        Of the candidates.

    Returns
    -------
    inputs, lengths
        Of all sequences, the real ones first; shapes [N + count, ...] and [N + count].
    """
    if not count:
        return inputs, lengths
    rng = np.random.default_rng(seed)
    more, more_lengths = _candidates(network, rng)
    missing = ~_reached(network, inputs, lengths).any(axis=0)
    reached = _reached(network, more, more_lengths)
    chosen: list[int] = []
    for _ in range(count):
        gains = (reached & missing).sum(axis=1)
        if not chosen:
            gains[more_lengths > 1] = -1
        chosen.append(int(gains.argmax()))
        missing &= ~reached[chosen[-1]]
    steps = max(inputs.shape[1], STEPS)
    parts = [
        np.pad(part, [(0, 0), (0, steps - part.shape[1]), (0, 0)])
        for part in (inputs, more[chosen])
    ]
    return np.concatenate(parts), np.concatenate([lengths, more_lengths[chosen]])


def _candidates(network: Network, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """A quarter is uniform; in the others, each step drives a sum of products to an end.

    It is a sum of the first stage. What it emits drives the stages behind it.
    """
    kind, size, first = network.input_type, network.architecture.inputs, network.stages[0]
    uniform = rng.integers(kind.minimum, kind.maximum + 1, (CANDIDATES, STEPS, size))
    rows = np.concatenate(
        [
            first.parameters.weights[node.name]
            for node in first.graph.linears
            if node.operand == INPUT
        ]
    )
    picked = rows[rng.integers(len(rows), size=(CANDIDATES, STEPS))]
    towards = picked * rng.choice([-1, 1], (CANDIDATES, STEPS, 1))
    ends = np.where(towards > 0, kind.maximum, np.where(towards < 0, kind.minimum, uniform))
    plain = np.arange(CANDIDATES)[:, None, None] < CANDIDATES // 4
    return np.where(plain, uniform, ends), rng.integers(1, STEPS + 1, CANDIDATES)


def _reached(network: Network, inputs: IntArray, lengths: IntArray) -> NDArray[np.bool_]:
    """Which results of which operator, and which decisions, each sequence has: shape [N, all].

    A result beyond an end of its type, before it is saturated, is one of its own.
    """
    network = _without_carrying(network)
    reference = run_reference(network, inputs, lengths)
    every = network.architecture.stepping(network.genome.output)
    emitted, columns = inputs, []
    for bound, steps in zip(network.layers, every, strict=False):
        columns += _reached_by(bound, emitted, lengths, reference, every_step=steps)
        emitted = reference.operators[bound.stage.spell(bound.graph.emits)]
    if network.genome.output == "class":
        columns += _decided_by(network, reference, lengths)
    return np.concatenate(columns, axis=1)


def _without_carrying(network: Network) -> Network:
    """The same network, whose sequences are independent of each other.

    Where states are carried on, what a sequence reaches depends on all before it. Candidates are
    chosen for what they reach after a reset.
    """
    architecture = network.architecture
    if not architecture.carries:
        return network
    alone = architecture.model_copy(update={"initial": "zero"})
    changed = network.genome.model_copy(update={"network": alone})
    return replace(network, genome=changed)


def _decided_by(
    network: Network, reference: Reference, lengths: IntArray
) -> list[NDArray[np.bool_]]:
    """Which classes each sequence has, and which bits decide in it: shapes [N, all]."""
    outputs, bits = network.architecture.outputs, network.head.typed.emitted.bits
    logits, classes = reference.logits, reference.classes
    if not network.architecture.every_step:
        logits, classes = logits[:, None], classes[:, None]
    # Past a sequence's end, its first step stands instead.
    step = np.arange(classes.shape[1])
    step = np.where(step < lengths[:, None], step, 0)
    logits = np.take_along_axis(logits, step[..., None], axis=1)
    classes = np.take_along_axis(classes, step, axis=1)
    decisive = _decisive_bits(logits.reshape(-1, outputs), classes.ravel(), bits)
    of_sequences = decisive.reshape(*classes.shape, -1).any(axis=1)
    return [_marks(classes, outputs), np.repeat(of_sequences, DECISION_WEIGHT, axis=1)]


def _reached_by(
    bound: BoundStage,
    inputs: IntArray,
    lengths: IntArray,
    reference: Reference,
    *,
    every_step: bool,
) -> list[NDArray[np.bool_]]:
    """Which results of every operator of a stage each sequence has: shapes [N, results].

    Parameters
    ----------
    inputs
        What it reads, shape [N, T, inputs].
    every_step
        Whether it computes every time step, or the last one of a sequence alone.
    """
    graph, typed, parameters = bound.graph, bound.typed, bound.parameters
    spell, found = bound.stage.spell, reference.operators
    values = {INPUT: inputs} | {node.name: found[spell(node.name)] for node in graph.operators}
    initial = initial_states(bound, len(inputs))
    for state in graph.states:
        before = values[state.source][:, :-1]
        values[state.name] = np.concatenate([initial[state.name][:, None], before], axis=1)
    step, ends = np.arange(inputs.shape[1]), lengths[:, None]
    computed = (step < ends if every_step else step == ends - 1)[..., None]
    # Steps in which nothing is computed count as one in which something is.
    usual = np.zeros_like(ends) if every_step else ends - 1
    columns = []
    for node in graph.operators:
        results, kind = values[node.name], typed[node.name]
        if not isinstance(node, Table):
            wide = replace(typed, types={**typed.types, node.name: Fixed(63, kind.frac)})
            operands = [values[name] for name in node.operands]
            results = evaluate(node, wide, operands, parameters)
        places = np.clip(results, kind.minimum - 1, kind.maximum + 1) - kind.minimum + 1
        instead = np.take_along_axis(places, usual[..., None], axis=1)
        columns.append(_marks(np.where(computed, places, instead), 2 + (1 << kind.bits)))
    return columns


def _decisive_bits(logits: IntArray, classes: IntArray, bits: int) -> NDArray[np.bool_]:
    """Which bits change the class if they flip, where the hardware compares two logits.

    It compares each logit with the largest before it. Of these comparisons, two are looked at:
    that which the class itself wins, and that which its strongest follower loses. Bits of either
    side count apart.

    Parameters
    ----------
    logits
        Shape [N, classes].
    classes
        The index of the largest, shape [N].
    bits
        Of a logit.

    Returns
    -------
    Array of shape [N, 4 * bits].
    """
    half = 1 << (bits - 1)
    masks = 1 << np.arange(bits)

    def flipped(values: IntArray) -> IntArray:
        wrapped: IntArray = ((values ^ masks) + half) % (2 * half) - half
        return wrapped

    numbers = np.arange(logits.shape[1])
    winner = np.take_along_axis(logits, classes[:, None], axis=1)
    before = np.where(numbers < classes[:, None], logits, -half).max(axis=1, keepdims=True)
    behind = np.where(numbers > classes[:, None], logits, -half).max(axis=1, keepdims=True)
    precedes, follows = classes[:, None] > 0, classes[:, None] < logits.shape[1] - 1
    return np.concatenate(
        [
            follows & (behind > flipped(winner)),
            follows & (flipped(behind) > winner),
            precedes & (before >= flipped(winner)),
            precedes & (flipped(before) >= winner),
        ],
        axis=1,
    )


def _marks(values: IntArray, size: int) -> NDArray[np.bool_]:
    """Which of ``size`` values each row has."""
    rows = values.reshape(len(values), -1)
    marks = np.zeros((len(rows), size), dtype=np.bool_)
    marks[np.arange(len(rows))[:, None], rows] = True
    return marks
