"""Which values the operators of a network can have at all, found by going through them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gruhw.network.bound import BoundStage, Network
from gruhw.network.fixed import IntArray, requantise
from gruhw.network.graph import INPUT, Graph, Linear, Node
from gruhw.network.reference import evaluate

MOST_COMBINATIONS = 1 << 24
"""Of the operands of an operator: with more, its result is taken to have any value."""

_Values: TypeAlias = Mapping[int | None, IntArray]
"""What a result can be, for each value of one result that several others read; or, under
``None``, whatever that is."""

_Known: TypeAlias = Mapping[str, IntArray]
"""What the input of a stage and its states can be, in any order."""


@dataclass(frozen=True)
class _Step:
    """What is possible in a time step.

    Parameters
    ----------
    results
        What every result can be.
    operands
        The combinations of each elementwise operator's operands, shape [combinations, operands].
    """

    results: Mapping[str, IntArray]
    operands: Mapping[str, IntArray]


def possible_operands(network: Network) -> dict[str, IntArray]:
    """All that the operands of elementwise operators can be, whatever the inputs.

    Sums of products are taken to have any value between their extremes. Operators that read parts
    of the same result, as of an update gate, are looked at together for each of its values. States
    begin as they do in hardware, and steps are taken until none of them has a new value; which
    values several states have at the same time is not followed. A layer reads what the one before
    it can emit. (The head has no such operators.)

    Returns
    -------
    dict
        By operator, as files call it, the combinations of its operands, shape [combinations,
        operands]. An operator with too many to go through is left out.
    """
    found: dict[str, IntArray] = {}
    emitted: dict[str | None, IntArray] = {None: np.sort(network.input_type.codes())}
    for bound in network.layers:
        step = _fixed_point(bound, emitted[bound.stage.source])
        emitted[bound.name] = step.results[bound.graph.emits]
        for name, combinations in step.operands.items():
            found[bound.stage.spell(name)] = combinations
    return found


def _fixed_point(bound: BoundStage, inputs: IntArray) -> _Step:
    """What is possible once the states of a stage can have no value that they could not before."""
    states = bound.graph.states
    known = {INPUT: inputs} | {
        state.name: np.unique(bound.parameters.initial.get(state.name, np.zeros(1, np.int64)))
        for state in states
    }
    while True:
        step = _possible(bound, known)
        following = known | {
            state.name: np.union1d(known[state.name], step.results[state.source])
            for state in states
        }
        if all(len(following[name]) == len(values) for name, values in known.items()):
            return step
        known = following


def _possible(bound: BoundStage, known: _Known) -> _Step:
    """What is possible in a time step: what no way of looking at it excludes.

    Each way follows one result that several operators read. All of them hold, so that only what
    they have in common is possible.
    """
    shared = _shared(bound.graph) or [None]
    ways = [_step(bound, known, name) for name in shared]
    operators = [node.name for node in bound.graph.operators]
    results = {name: _common([way.results[name] for way in ways]) for name in operators}
    operands = {}
    for name in operators:
        found = [way.operands[name] for way in ways if name in way.operands]
        if found:
            operands[name] = _common_rows(found)
    return _Step(results, operands)


def _shared(graph: Graph) -> list[str | None]:
    """The results and states that elementwise operators read more than once."""
    read = [
        name for node in graph.operators if not isinstance(node, Linear) for name in node.operands
    ]
    return [name for name in dict.fromkeys(read) if read.count(name) > 1]


def _common(sets: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """What all of them have; each has everything once."""
    first, *others = sets
    for other in others:
        first = np.intersect1d(first, other, assume_unique=True)
    return first


def _common_rows(sets: list[IntArray]) -> IntArray:
    """The rows that all of them have."""
    _, columns = sets[0].shape
    row = np.dtype([(f"operand_{number}", np.int64) for number in range(columns)])
    found = _common([np.ascontiguousarray(rows).view(row).ravel() for rows in sets])
    return found.view(np.int64).reshape(-1, columns)


def _step(bound: BoundStage, known: _Known, shared: str | None) -> _Step:
    """What is possible in a time step, for each value of ``shared`` by itself."""
    graph, typed = bound.graph, bound.typed
    results: dict[str, _Values] = {
        state.name: _split({None: known[state.name]}, state.name == shared)
        for state in graph.states
    }
    operands: dict[str, IntArray] = {}
    for node in graph.operators:
        if isinstance(node, Linear):
            found: _Values = {None: _sums(node, bound, known[node.operand])}
        else:
            choices = _choices(node, results)
            if sum(prod(map(len, each)) for each in choices.values()) > MOST_COMBINATIONS:
                found = {None: np.sort(typed[node.name].codes())}
            else:
                read = {
                    condition: np.stack([axis.ravel() for axis in np.meshgrid(*each)], axis=1)
                    for condition, each in choices.items()
                }
                found = {
                    condition: np.unique(evaluate(node, typed, [*combinations.T], bound.parameters))
                    for condition, combinations in read.items()
                }
                operands[node.name] = np.unique(np.concatenate([*read.values()]), axis=0)
        results[node.name] = _split(found, node.name == shared)
    return _Step(
        {node.name: _all(results[node.name]) for node in graph.operators},
        operands,
    )


def _split(values: _Values, by_value: bool) -> _Values:
    """The same, for each value of its own if so wanted."""
    if not by_value:
        return values
    return {int(value): np.array([value]) for value in _all(values)}


def _all(values: _Values) -> IntArray:
    """Every value, whatever the condition."""
    return np.unique(np.concatenate([*values.values()]))


def _choices(node: Node, results: Mapping[str, _Values]) -> dict[int | None, list[IntArray]]:
    """The values of each operand, for each value of the shared result."""
    read = [results[name] for name in node.operands]
    known = {key for values in read for key in values if key is not None}
    conditions: set[int | None] = {*known} or {None}
    return {
        key: [values[key] if key in values else values[None] for values in read]
        for key in conditions
    }


def _sums(node: Linear, bound: BoundStage, values: IntArray) -> IntArray:
    """Every result between the extremes, whichever of the ``values`` the operands have."""
    weights, biases = bound.parameters.weights[node.name], bound.parameters.biases[node.name]
    products = weights[..., None] * np.array([values.min(), values.max()])
    sums = biases + np.stack([products.min(-1).sum(1), products.max(-1).sum(1)])
    results = requantise(sums, bound.typed.accumulators[node.name].frac, bound.typed[node.name])
    return np.arange(results.min(), results.max() + 1)
