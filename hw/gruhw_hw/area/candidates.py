"""Measures of many candidates that share a model, as a search meets them.

What an operator takes follows from few widths: its own, and what the registers before it hold. So
most operators of a candidate are those of earlier ones. Only the others are measured, and neither
types nor weights are made for the rest.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter

from gruhw.basics.values import instance
from gruhw.errors import InputError
from gruhw.network.architecture import HEAD, Architecture, Stage
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.genes import SEARCHED_BITS, Genes, homogeneous
from gruhw.network.genome import Genome, Output
from gruhw.network.graph import INPUT, Input, Linear, Multiply, State
from gruhw.network.model import Model
from gruhw.network.parameters import Parameters, fit_accumulators, quantise_parameters
from gruhw.network.planning import plan
from gruhw.network.schedule import Core, Scheduled
from gruhw.network.typed import Typed
from gruhw_hw.area.control import carrying_registers, control_cycles
from gruhw_hw.area.measure import Measures, between, buffer_parts, control_part, operator_parts
from gruhw_hw.area.terms import Needs, needs
from gruhw_hw.area.whole import WHOLE, short_paths

INTERVAL = "interval of all"
"""The value of a candidate that stands for the cycles of a time step, which all cores share."""


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
    """A candidate of which something is not known: its model, and the types of its stages."""

    genome: Genome
    model: Model
    typed: Mapping[str, Typed]

    def plan(self) -> tuple[Core, ...]:
        """The cores."""
        return plan(self.genome, [*self.typed.values()]).cores


class Candidates:
    """Takes the measures of candidates.

    The parts of a candidate are found step by step. A step is known by some values: widths and
    lanes to begin with, and what earlier steps add, such as a number for the type of a result.

    Parameters
    ----------
    model_of
        Their model with the fraction bits of some genes: its weights are always the same, and a
        tensor's fraction bits depend on that tensor's width alone.
    network, output
        Those of all candidates.
    """

    def __init__(
        self, model_of: Callable[[Genes], Model], network: Architecture, output: Output = "class"
    ) -> None:
        self._model_of, self._output = model_of, output
        self._architecture = instance("network", network, Architecture)
        self._stages = {stage.name: stage for stage in network.stages}
        self._fractions: dict[tuple[str, int], int] = {}
        self._accumulators: dict[tuple[str, Fixed, Fixed], Fixed] = {}
        self._numbers: dict[Hashable, int] = {}
        self._results: dict[int, tuple[Fixed, Fixed]] = {}
        self._cores: dict[int, Core] = {}
        self._widths = itemgetter(*network.gene_names)
        self._lanes: dict[Hashable, tuple[int, ...]] = {}
        names = (*network.gene_names, *map(_lanes, self._stages))
        self._places = {name: place for place, name in enumerate(names)}
        self._values = len(self._places)
        self._steps: list[_Step] = []
        usual = homogeneous(network, SEARCHED_BITS[-1])
        cores = self._network(Genome(network=network, genes=usual, output=output)).plan()
        self._plan(cores)
        self._constant = (WHOLE, *between(cores))

    def measure(self, genome: Genome) -> Measures:
        """Take the measures of a candidate, which are those of the network that it becomes.

        Raises
        ------
        InputError
            If network or output are not those of all candidates, or the fraction bits of a tensor
            do not depend on its width alone.
        """
        if (genome.network, genome.output) != (self._architecture, self._output):
            raise InputError(
                f"candidates must have {self._architecture} and output {self._output}, "
                f"not {genome.network} and {genome.output}"
            )
        pe = genome.folding.pe
        lanes = self._lanes.get(pe)
        if lanes is None:
            lanes = self._lanes[pe] = genome.folding.lanes(self._architecture)
        values: list[int] = [*self._widths(genome.genes), *lanes]
        parts: list[Needs] = [*self._constant]
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

    def _plan(self, cores: tuple[Core, ...]) -> None:
        """Plan the steps, in the order of :func:`gruhw_hw.area.measure.measure`'s parts."""
        for index, core in enumerate(cores):
            self._plan_cycles(index, core)
        intervals = [_interval(core.name) for core in cores]
        self._add(intervals, [INTERVAL], partial(self._take_interval, intervals))
        sender = ""
        for core in cores:
            for position, scheduled in enumerate(core.operators):
                self._plan_operator(core, position, scheduled)
            sender = self._plan_surroundings(core, sender)

    def _plan_cycles(self, index: int, core: Core) -> None:
        products = (node for node in core.typed.graph.operators if isinstance(node, Multiply))
        lefts = {node.left for node in products}
        needed = [_lanes(core.name), *([_lanes(HEAD)] if core.head else [])]
        needed += [self._gene(core.name, name) for name in sorted(lefts)]
        given = [_serial(core.name), _cycles(core.name), _interval(core.name)]
        given += [_registers(core.name, name) for name in carrying_registers(core)]
        self._add(needed, given, partial(self._take_cycles, index))

    def _plan_operator(self, core: Core, position: int, scheduled: Scheduled) -> None:
        node, stage = scheduled.node, _stage_of(core, scheduled.typed)
        needed = [] if node.rule == "exact" else [self._gene(stage, node.name)]
        for name in node.operands:
            computed = scheduled.typed.graph[name].operands
            needed.append(_result(stage, name) if computed else self._gene(stage, name))
        if isinstance(node, Linear):
            needed += [f"{self._stages[stage].spell(node.name)}.weight", _lanes(stage)]
        if isinstance(node, Multiply):
            needed.append(_serial(core.name))
        if _registers(stage, node.name) in self._places:
            needed.append(_registers(stage, node.name))
        take = partial(self._take_operator, core.name, stage, position)
        self._add(needed, [_result(stage, node.name)], take)

    def _plan_surroundings(self, core: Core, sender: str) -> str:
        """Buffers and control; returns the value of what the core sends."""
        needed = [sender or self._gene(core.name, INPUT)]
        for state in core.typed.graph.states:
            needed += [self._gene(core.name, state.source), _result(core.name, state.source)]
        self._add(needed, [], partial(self._take_buffers, core.name, sender))
        typed, name = core.emitted
        sent = _result(_stage_of(core, typed), name)
        self._add([_cycles(core.name), INTERVAL, sent], [], partial(self._take_control, core.name))
        return sent

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

    def _gene(self, stage: str, name: str) -> str:
        """The gene of what a node gives, which another operator may have computed."""
        of = self._stages[stage]
        found = of.graph[name]
        if isinstance(found, State):
            return of.spell(found.source)
        if isinstance(found, Input):
            source = of.source
            return INPUT if source is None else self._gene(source, self._stages[source].graph.emits)
        return of.spell(name)

    def _network(self, genome: Genome) -> _Network:
        genes = genome.genes
        model = self._model_of(genes)
        for gene in self._architecture.calibrated:
            name, bits = gene.name, genes[gene.name]
            found = model.fractions[name]
            if (known := self._fractions.setdefault((name, bits), found)) != found:
                raise InputError(
                    f"fraction bits of {name} at {bits} bits must be the same for all candidates, "
                    f"not {known} and {found}"
                )
        typed = zip(self._stages.values(), model.typed(genes), strict=True)
        fitted = {stage.name: self._fitted(stage, types, model) for stage, types in typed}
        return _Network(genome, model, fitted)

    def _fitted(self, stage: Stage, typed: Typed, model: Model) -> Typed:
        """The types with accumulators fitted where they are the types of results."""
        found = {}
        for node in stage.graph.linears:
            if node.rule == "exact":
                key = stage.spell(node.name), typed[node.operand], typed.weights[node.name]
                if key not in self._accumulators:
                    parameters = _parameters(stage, typed, node, model)
                    fitted = fit_accumulators(typed, parameters)
                    self._accumulators[key] = fitted.accumulators[node.name]
                found[node.name] = self._accumulators[key]
        return typed.with_accumulators(found) if found else typed

    def _take_cycles(self, index: int, network: _Network, values: list[int]) -> _Found:
        core = network.plan()[index]
        cycles = self._number((core.name, core.serial_products, control_cycles(core)))
        self._cores[cycles] = core
        registers = carrying_registers(core).values()
        return _Found((), (core.serial_products, cycles, core.least_interval, *registers))

    def _like(self, name: str, values: list[int]) -> Core:
        """The core of a stage in some candidate, with the cycles of this one, but other types."""
        return self._cores[values[self._places[_cycles(name)]]]

    def _core(self, name: str, network: _Network, values: list[int]) -> Core:
        """The core of a stage."""
        core = self._like(name, values)
        head = core.head and network.typed[HEAD]
        interval = values[self._places[INTERVAL]]
        return replace(core, typed=network.typed[name], head=head, step_interval=interval)

    def _take_interval(self, intervals: list[str], network: _Network, values: list[int]) -> _Found:
        return _Found((), (max(values[self._places[name]] for name in intervals),))

    def _take_operator(
        self, name: str, stage: str, position: int, network: _Network, values: list[int]
    ) -> _Found:
        """The operator at a position of the core ``name``; it is one of ``stage``."""
        typed = network.typed[stage]
        scheduled = replace(self._like(name, values).operators[position], typed=typed)
        node = scheduled.node
        parameters = Parameters({}, {})
        if isinstance(node, Linear):
            parameters = _parameters(self._stages[stage], typed, node, network.model)
        read = {operand: self._held(stage, typed, operand, values) for operand in node.operands}
        operator = needs(node, scheduled, read, parameters)
        place = self._places.get(_registers(stage, node.name))
        registers = 0 if place is None else values[place]
        number = self._number((scheduled.result, operator.held))
        self._results[number] = scheduled.result, operator.held
        return _Found(tuple(operator_parts(operator, registers)), (number,))

    def _take_buffers(self, core: str, sender: str, network: _Network, values: list[int]) -> _Found:
        """The buffers of a core; ``sender`` stands for what it is sent, empty for the input."""
        typed, stage = network.typed[core], self._stages[core]
        entering = self._results[values[self._places[sender]]][1] if sender else typed[INPUT]
        held = {
            state.source: self._held(core, typed, state.source, values)
            for state in typed.graph.states
        }
        initial = _initial(stage, typed, network.model)
        found = buffer_parts(self._core(core, network, values), entering, held, initial)
        return _Found(tuple(found))

    def _take_control(self, name: str, network: _Network, values: list[int]) -> _Found:
        core = self._core(name, network, values)
        typed, emitted = core.emitted
        held = self._held(_stage_of(core, typed), typed, emitted, values)
        return _Found((control_part(core, held),))

    def _held(self, stage: str, typed: Typed, name: str, values: list[int]) -> Fixed:
        """What the registers of an operator's result hold; of others, their type."""
        if not typed.graph[name].operands:
            return typed[name]
        return self._results[values[self._places[_result(stage, name)]]][1]

    def _number(self, thing: Hashable) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))


# Names of values, beside the genes. Those of genes have no space.


def _lanes(stage: str) -> str:
    """The lanes of a stage's phase."""
    return f"lanes of {stage}"


def _serial(stage: str) -> str:
    """Whether a stage's products are computed bit by bit."""
    return f"serial {stage}"


def _cycles(stage: str) -> str:
    """A number for the cycles of everything in the core of a stage, if it were alone."""
    return f"cycles of {stage}"


def _interval(stage: str) -> str:
    """The cycles of a time step in the core of a stage, if it were alone."""
    return f"interval of {stage}"


def _result(stage: str, name: str) -> str:
    """A number for the type of a result and for what its registers hold."""
    return f"result of {stage} {name}"


def _registers(stage: str, name: str) -> str:
    """How many registers carry each bit of a result on."""
    return f"registers of {stage} {name}"


def _stage_of(core: Core, typed: Typed) -> str:
    """The stage that some types of a core belong to."""
    return HEAD if typed is core.head else core.name


def _parameters(stage: Stage, typed: Typed, node: Linear, model: Model) -> Parameters:
    """The integers of one linear operator."""
    weights, biases = stage.of_layers(model.weights), stage.of_layers(model.biases)
    return quantise_parameters(typed, [node], weights, biases)


def _initial(stage: Stage, typed: Typed, model: Model) -> Mapping[str, IntArray]:
    """The integers that the states of a stage begin with, if those are no zeros."""
    spelled = {state.name: stage.spell(state.name) for state in stage.graph.states}
    initial = {name: model.initial[of] for name, of in spelled.items() if of in model.initial}
    return quantise_parameters(typed, (), {}, {}, initial).initial
