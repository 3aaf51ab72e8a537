"""The fixed-point types of a stage: of every result, every weight and every accumulator.

Structure and types are apart: a graph says what is computed, and one of these at which widths.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.values import instance, truth
from gruhw.network.architecture import Stage
from gruhw.network.fixed import Fixed, IntArray, quantise
from gruhw.network.fractions import Fractions
from gruhw.network.genes import Genes
from gruhw.network.graph import INPUT, Function, Graph, Table


@dataclass(frozen=True)
class Typed:
    """The graph of a stage with a type for everything; indexing gives that of a node's result.

    Parameters
    ----------
    graph
        Its time step.
    types
        Of every node's result, by name. An exact one has the type of its accumulator.
    weights, accumulators
        Of every linear operator, by name.
    """

    graph: Graph
    types: Mapping[str, Fixed]
    weights: Mapping[str, Fixed]
    accumulators: Mapping[str, Fixed]

    def __post_init__(self) -> None:
        for name in ("types", "weights", "accumulators"):
            object.__setattr__(self, name, FrozenMapping(getattr(self, name)))

    def __getitem__(self, name: str) -> Fixed:
        return self.types[name]

    @property
    def emitted(self) -> Fixed:
        """The type of what the stage emits."""
        return self.types[self.graph.emits]

    def table_values(self, node: Table) -> IntArray:
        """The contents of a table, indexed by its operand's two's-complement code."""
        return tabulate(node.function, self[node.operand], self[node.name])

    def with_accumulators(self, accumulators: Mapping[str, Fixed]) -> "Typed":
        """The same with the accumulators of the named linear operators replaced.

        Results that are exact stay so; the others keep their types, which genes have chosen, also
        where one is the type of its accumulator.
        """
        exact = [node.name for node in self.graph.linears if node.rule == "exact"]
        return replace(
            self,
            types={**self.types, **{n: accumulators[n] for n in exact if n in accumulators}},
            accumulators={**self.accumulators, **accumulators},
        )


def tabulate(function: Function, operand: Fixed, result: Fixed) -> IntArray:
    """The result of a function for each code of ``operand``, by two's-complement code."""
    real = operand.codes() * operand.scale
    with np.errstate(over="ignore"):  # the reciprocal of infinity is the right zero
        exact = np.tanh(real) if function == "tanh" else 1.0 / (1.0 + np.exp(-real))
    return quantise(exact, result)


def type_stages(
    genes: Genes, fractions: Mapping[str, int], *, input_signed: bool
) -> tuple[Typed, ...]:
    """The types of every stage of a network.

    Parameters
    ----------
    genes
        The width of every result and weight.
    fractions
        Fraction bits of every calibrated tensor, by the names of files. Those of
        :class:`gruhw.network.fractions.Fractions` know for which widths they were chosen.
    input_signed
        Whether input elements are two's complement.

    Returns
    -------
    tuple
        With accumulators that hold any weights of the given widths;
        :func:`gruhw.network.parameters.fit_accumulators` narrows them to actual weights.

    Raises
    ------
    InputError
        If a fraction is missing, out of range, or was chosen for another width.
    """
    network, fractions = instance("genes", genes, Genes).network, Fractions.of(fractions)
    fractions.check({gene.name: genes[gene.name] for gene in network.calibrated})
    kind = Fixed(genes[INPUT], fractions[INPUT], truth("input_signed", input_signed))
    found: dict[str, Typed] = {}
    for stage in network.stages:
        source = kind if stage.source is None else found[stage.source].emitted
        found[stage.name] = _type_stage(stage, source, genes, fractions)
    return tuple(found.values())


def _type_stage(stage: Stage, source: Fixed, genes: Genes, fractions: Fractions) -> Typed:
    graph, types = stage.graph, {INPUT: source}
    for node in graph.operators:
        if node.rule != "exact":
            name = stage.spell(node.name)
            types[node.name] = _result_type(node.rule, genes[name], fractions.get(name, 0))
    types |= {state.name: types[state.source] for state in graph.states}
    weights, accumulators = {}, {}
    for node in graph.linears:
        name = f"{stage.spell(node.name)}.weight"
        weights[node.name] = Fixed(genes[name], fractions[name])
        accumulators[node.name] = worst_case_accumulator(
            types[node.operand], weights[node.name], node.inputs
        )
        if node.rule == "exact":
            types[node.name] = accumulators[node.name]
    ordered = {node.name: types[node.name] for node in graph}
    return Typed(graph, ordered, weights, accumulators)


def _result_type(rule: str, bits: int, frac: int) -> Fixed:
    """The type of a result: see :data:`gruhw.network.graph.Rule`."""
    if rule == "unit":
        return Fixed(bits, bits, signed=False)
    if rule == "symmetric":
        return Fixed(bits, bits - 1)
    return Fixed(bits, frac, signed=rule != "rectified")


@lru_cache(maxsize=1 << 14)
def worst_case_accumulator(operand: Fixed, weight: Fixed, inputs: int) -> Fixed:
    """The accumulator of ``inputs`` products, and a bias as large as all of them together."""
    product = operand.product(weight)
    total = 2 * inputs * product.minimum, 2 * inputs * product.maximum
    return Fixed.spanning(total, product.frac)
