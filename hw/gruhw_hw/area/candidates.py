"""Measures of many candidates that share a model, as a search meets them.

What an operator takes follows from few widths: its own, and what the registers before it hold. So
most operators of a candidate are those of earlier ones. Only the others are measured, and neither
the graph nor the weights are made for the rest.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter

from gruhw.errors import InputError
from gruhw.fixed import Fixed
from gruhw.genome import GENES, SEARCHED_BITS, Folding, Genes, Genome, Output, Sizes, homogeneous
from gruhw.graph import Graph, Linear, Multiply, Node, calibrated_tensors
from gruhw.model import Model
from gruhw.parameters import Parameters, fit_accumulators, quantise_parameters
from gruhw.schedule import Schedule
from gruhw_hw.area.control import carrying_registers, control_cycles
from gruhw_hw.area.measure import Measures, buffers_part, control_part, operator_parts
from gruhw_hw.area.terms import Needs, needs
from gruhw_hw.area.whole import WHOLE, short_paths

PE, SERIAL, SCHEDULE = "pe", "serial", "schedule"
"""Values of a candidate besides its widths: the folding; whether products are computed bit by bit;
a number for the cycles of everything."""

_widths = itemgetter(*GENES)


@dataclass(frozen=True)
class _Found:
    """Parts of a candidate, and more of its values, which follow from the same."""

    parts: tuple[Needs, ...]
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Step:
    """What is looked up by some values of a candidate, or taken from its network."""

    key: Callable[[list[int]], Hashable]
    take: Callable[["_Network", list[int]], _Found]
    known: dict[Hashable, _Found] = field(default_factory=dict)


@dataclass(frozen=True)
class _Network:
    """A candidate of which something is not known: its graph, of which the head is fitted."""

    model: Model
    schedule: Schedule

    @property
    def graph(self) -> Graph:
        return self.schedule.graph


class Candidates:
    """Takes the measures of candidates.

    The parts of a candidate are found step by step. A step is known by some values: widths and the
    folding to begin with, and what earlier steps add, such as a number for the type of a result.

    Parameters
    ----------
    model_of
        Their model with the fraction bits of some genes: its weights are always the same, and a
        tensor's fraction bits depend on that tensor's width alone.
    sizes, output
        Those of all candidates.
    """

    def __init__(
        self, model_of: Callable[[Genes], Model], sizes: Sizes, output: Output = "class"
    ) -> None:
        self._model_of, self._sizes, self._output = model_of, sizes, output
        self._fractions: dict[tuple[str, int], int] = {}
        self._heads: dict[tuple[int, int], Fixed] = {}
        self._numbers: dict[Hashable, int] = {}
        self._results: dict[int, tuple[Fixed, Fixed]] = {}
        self._places = {name: place for place, name in enumerate((*GENES, PE))}
        self._values = len(self._places)
        self._steps: list[_Step] = []
        usual = Genome(sizes=sizes, genes=homogeneous(SEARCHED_BITS[-1]), output=output)
        self._plan(self._network(usual).graph)

    def measure(self, genome: Genome) -> Measures:
        """Take the measures of a candidate, which are those of the network that it becomes.

        Raises
        ------
        InputError
            If sizes or output are not those of all candidates, or the fraction bits of a tensor do
            not depend on its width alone.
        """
        if (genome.sizes, genome.output) != (self._sizes, self._output):
            raise InputError(
                f"candidates must have sizes {self._sizes} and output {self._output}, "
                f"not {genome.sizes} and {genome.output}"
            )
        values: list[int] = [*_widths(genome.genes), genome.folding.pe]
        parts: list[Needs] = [WHOLE]
        network = None
        for step in self._steps:
            key = step.key(values)
            found = step.known.get(key)
            if found is None:
                network = network or self._network(genome)
                found = step.known[key] = step.take(network, values)
            parts += found.parts
            values += found.values
        return Measures((*parts, *short_paths(parts)))

    def _plan(self, graph: Graph) -> None:
        """Plan the steps, in the order of :func:`gruhw_hw.area.measure.measure`'s parts."""
        self._places[_result(graph.input.name)] = self._places[graph.input.name]
        self._places[_result(graph.state.name)] = self._places[graph.state.source]
        schedule = Schedule(graph, Folding(), self._output)
        carried = carrying_registers(schedule)
        lefts = {node.left for node in graph.operators if isinstance(node, Multiply)}
        needed = [PE, *sorted(lefts)]
        self._add(needed, [SERIAL, SCHEDULE, *map(_registers, carried)], self._take_schedule)
        for node in (*graph.operators, *([graph.head] if schedule.head else [])):
            needed = [name for name in (node.name, f"{node.name}.weight") if name in GENES]
            needed += map(_result, node.operands)
            needed += [PE] if isinstance(node, Linear) else []
            needed += [SERIAL] if isinstance(node, Multiply) else []
            needed += [_registers(node.name)] if node.name in carried else []
            self._add(needed, [_result(node.name)], partial(self._take_operator, node.name))
        state = [_result(graph.state.name), _result(graph.state.source)]
        self._add([_result(graph.input.name), *state], [], self._take_buffers)
        emitted = [_result(graph.head.name)] if schedule.head else state
        self._add([SCHEDULE, *emitted], [], self._take_control)

    def _add(
        self,
        needed: Iterable[str],
        given: Iterable[str],
        take: Callable[[_Network, list[int]], _Found],
    ) -> None:
        """Add a step: the names of the values that it needs, and of those that it gives."""
        self._steps.append(_Step(itemgetter(*map(self._places.__getitem__, needed)), take))
        for name in given:
            self._places[name] = self._values
            self._values += 1

    def _network(self, genome: Genome) -> _Network:
        genes = genome.genes
        model = self._model_of(genes)
        for name, bits in calibrated_tensors(genes).items():
            found = model.fractions[name]
            if (known := self._fractions.setdefault((name, bits), found)) != found:
                raise InputError(
                    f"fraction bits of {name} at {bits} bits must be the same for all candidates, "
                    f"not {known} and {found}"
                )
        graph = model.graph(genes)
        widths = graph.head.weight.bits, graph.state.type.bits
        if widths not in self._heads:
            fitted = fit_accumulators(graph, _parameters(graph.head, model))
            self._heads[widths] = fitted.head.accumulator
        graph = graph.with_accumulators({graph.head.name: self._heads[widths]})
        return _Network(model, Schedule(graph, genome.folding, self._output))

    def _take_schedule(self, network: _Network, values: list[int]) -> _Found:
        schedule = network.schedule
        cycles = self._number(control_cycles(schedule))
        registers = carrying_registers(schedule).values()
        return _Found((), (schedule.serial_products, cycles, *registers))

    def _take_operator(self, name: str, network: _Network, values: list[int]) -> _Found:
        node = network.graph[name]
        read = {operand: self._held(operand, network, values) for operand in node.operands}
        parameters = _parameters(node, network.model)
        operator = needs(node, read, network.schedule, parameters)
        place = self._places.get(_registers(name))
        registers = 0 if place is None else values[place]
        number = self._number((node.type, operator.held))
        self._results[number] = node.type, operator.held
        return _Found(tuple(operator_parts(operator, registers)), (number,))

    def _take_buffers(self, network: _Network, values: list[int]) -> _Found:
        return _Found((buffers_part(network.graph, self._held_state(network, values)),))

    def _take_control(self, network: _Network, values: list[int]) -> _Found:
        return _Found((control_part(network.schedule, self._held_state(network, values)),))

    def _held_state(self, network: _Network, values: list[int]) -> Fixed:
        return self._held(network.graph.state.source, network, values)

    def _held(self, name: str, network: _Network, values: list[int]) -> Fixed:
        """What the registers of a node's result hold."""
        node = network.graph[name]
        return self._results[values[self._places[_result(name)]]][1] if node.operands else node.type

    def _number(self, thing: Hashable) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))


def _result(name: str) -> str:
    """The value that stands for the type of a node's result and for what its registers hold."""
    return f"result of {name}"


def _registers(name: str) -> str:
    """The value that says how many registers carry each bit of a node's result on."""
    return f"registers of {name}"


def _parameters(node: Node, model: Model) -> Parameters:
    """The weights and biases of an operator, if it has some."""
    linears = [node] if isinstance(node, Linear) else []
    return quantise_parameters(linears, model.weights, model.biases)
