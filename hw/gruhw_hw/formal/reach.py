"""Which values the operators of a network can have at all, found by going through them."""

from collections.abc import Mapping
from math import prod
from typing import TypeAlias

import numpy as np

from gruhw.fixed import IntArray, requantise
from gruhw.graph import Graph, Input, Linear, Node
from gruhw.model import Network
from gruhw.reference import evaluate

MOST_COMBINATIONS = 1 << 24
"""Of the operands of an operator: with more, its result is taken to have any value."""

_Values: TypeAlias = Mapping[int | None, IntArray]
"""What a result can be, for each value of the result that several others read; or, under
``None``, whatever that is."""


def possible_operands(network: Network) -> dict[str, IntArray]:
    """All that the operands of elementwise operators can be, whatever the inputs.

    Sums of products are taken to have any value between their extremes. Operators that read
    parts of the same result, the update gate, are looked at together for each of its values. The
    state begins with zero, and steps are taken until it has no new values.

    Returns
    -------
    dict
        By operator, the combinations of its operands, shape [combinations, operands]. An
        operator with too many to go through is left out.
    """
    source = network.graph.state.source
    state = np.zeros(1, dtype=np.int64)
    while True:
        results, operands = _step(network, state)
        following = np.union1d(state, np.concatenate([*results[source].values()]))
        if len(following) == len(state):
            return operands
        state = following


def _step(network: Network, state: IntArray) -> tuple[dict[str, _Values], dict[str, IntArray]]:
    """What every result can be in a time step, and the operands; from what the state can be."""
    graph = network.graph
    shared = _shared(graph)
    results: dict[str, _Values] = {graph.state.name: {None: state}}
    operands: dict[str, IntArray] = {}
    for node in graph.operators:
        if isinstance(node, Linear):
            results[node.name] = {None: _sums(node, network, state)}
            continue
        choices = _choices(node, results)
        if sum(prod(map(len, each)) for each in choices.values()) > MOST_COMBINATIONS:
            results[node.name] = {None: np.sort(node.type.codes())}
            continue
        read = {
            condition: np.stack([axis.ravel() for axis in np.meshgrid(*each)], axis=1)
            for condition, each in choices.items()
        }
        found = {
            condition: np.unique(evaluate(node, graph, [*combinations.T], network.parameters))
            for condition, combinations in read.items()
        }
        operands[node.name] = np.unique(np.concatenate([*read.values()]), axis=0)
        if node.name == shared:
            found = {int(value): np.array([value]) for value in np.concatenate([*found.values()])}
        results[node.name] = found
    return results, operands


def _shared(graph: Graph) -> str:
    """The result of a step that several of its operators read."""
    names = [name for node in graph.operators for name in node.operands]
    return next(node.name for node in graph.operators if names.count(node.name) > 1)


def _choices(node: Node, results: Mapping[str, _Values]) -> dict[int | None, list[IntArray]]:
    """The values of each operand, for each value of the shared result."""
    read = [results[name] for name in node.operands]
    known = {key for values in read for key in values if key is not None}
    conditions: set[int | None] = {*known} or {None}
    return {
        key: [values[key] if key in values else values[None] for values in read]
        for key in conditions
    }


def _sums(node: Linear, network: Network, state: IntArray) -> IntArray:
    """Every result between the extremes."""
    weights, biases = network.parameters.weights[node.name], network.parameters.biases[node.name]
    operand = network.graph[node.operand]
    values = operand.type.codes() if isinstance(operand, Input) else state
    products = weights[..., None] * np.array([values.min(), values.max()])
    sums = biases + np.stack([products.min(-1).sum(1), products.max(-1).sum(1)])
    results = requantise(sums, node.accumulator.frac, node.type)
    return np.arange(results.min(), results.max() + 1)
