"""The search space: which genes move, between which widths, and how candidates vary."""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from gruhw.basics.values import instance, whole
from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.genes import LEGAL_BITS, SEARCHED_BITS, Preset
from gruhw.network.genome import OUTPUTS, Folding, Genome, Output

Vector: TypeAlias = tuple[int, ...]
"""A candidate: the widths of the preset's free genes, then ``pe`` if that is searched too."""

MUTATIONS = 2.0
"""Genes that a mutation changes, on average."""

RESET_PROBABILITY = 0.2
"""How often a mutated gene takes any value, instead of the next one up or down."""

NARROW = 3
"""Widths of weights, from the narrowest on, for which plain candidates are made."""

MORE_STATE = 4
"""Bits by which narrow states of a plain candidate are wider than its weights: with 2 that cost
`activity` a point."""

KEEP_PROBABILITY = 0.5
"""How often a gene of a random candidate has its candidate's base width."""


@dataclass(frozen=True)
class SearchSpace:
    """All candidates of a search.

    Parameters
    ----------
    preset
        Says which genes of which network are free.
    task
        What genomes name as their task.
    output
        What the accelerator's output stream carries.
    widths
        The widths that free genes take, ascending.
    pe
        The foldings that are tried, ascending: a gene if there are several. Each is one number for
        all layers.

    Raises
    ------
    InputError
        If something is of another type, a folding or the output does not suit the network, or there
        is no width or no folding, or one appears twice.
    """

    preset: Preset
    task: str | None = None
    output: Output = "class"
    widths: tuple[int, ...] = tuple(SEARCHED_BITS)
    pe: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        instance("preset", self.preset, Preset)
        if self.task is not None:
            instance("task", self.task, str)
        if self.output not in OUTPUTS:
            raise InputError(f"output must be one of {', '.join(OUTPUTS)}, not {self.output!r}")
        for name in ("widths", "pe"):
            object.__setattr__(self, name, _ascending(name, getattr(self, name)))
        low, high = LEGAL_BITS[0], LEGAL_BITS[-1]
        for bits in self.widths:
            if bits not in LEGAL_BITS:
                raise InputError(f"widths must be {low} to {high} bits, not {bits}")
        for pe in self.pe:
            Folding.checked(pe, self.network)
        _ = self.described  # a genome of the preset is checked as all genomes are

    @property
    def network(self) -> Architecture:
        """What all candidates compute."""
        return self.preset.network

    @property
    def described(self) -> dict[str, Any]:
        """The fields with which a genome's file says what the network is."""
        content = self.genome(self.homogeneous(self.widths[0])[0]).model_dump(mode="json")
        return {name: content[name] for name in ("sizes", "network") if name in content}

    @cached_property
    def _weights(self) -> frozenset[str]:
        """The genes that are widths of weights."""
        return frozenset(gene.name for gene in self.network.genes if gene.kind == "weight")

    @cached_property
    def _states(self) -> frozenset[str]:
        """The genes that are widths of states which linear operators read."""
        return frozenset(
            stage.spell(state.source)
            for stage in self.network.stages
            for state in stage.graph.states
            if any(linear.operand == state.name for linear in stage.graph.linears)
        )

    @cached_property
    def choices(self) -> tuple[tuple[int, ...], ...]:
        """What each element of a vector may be, ascending."""
        folding = (self.pe,) if len(self.pe) > 1 else ()
        return (*(self.widths for _ in self.preset.free), *folding)

    @property
    def size(self) -> int:
        """How many candidates there are."""
        return math.prod(len(choice) for choice in self.choices)

    def genome(self, vector: Vector) -> Genome:
        """The candidate as a genome."""
        free = len(self.preset.free)
        genes = self.preset.genes(dict(zip(self.preset.free, vector[:free], strict=True)))
        (pe,) = vector[free:] or self.pe
        return Genome(
            task=self.task,
            network=self.network,
            genes=genes,
            folding=Folding(pe=pe),
            output=self.output,
        )

    def vector(self, genome: Genome) -> Vector:
        """The vector of a genome, whose layers may have other numbers of units.

        Raises
        ------
        InputError
            If the genome is no candidate of this space.
        """
        if genome.network.gene_names != self.network.gene_names:
            raise InputError(
                f"a genome to start from must have the genes of {self.network}, "
                f"not of {genome.network}"
            )
        found = tuple(genome.genes[name] for name in self.preset.free)
        if len(self.pe) > 1:
            if genome.folding.pe not in self.pe:
                raise InputError(
                    f"pe of a genome to start from must be one of {', '.join(map(str, self.pe))}, "
                    f"not {genome.folding.pe}"
                )
            found = (*found, genome.folding.pe)
        inside = all(value in choice for value, choice in zip(found, self.choices, strict=True))
        if not inside or self.genome(found).genes != genome.genes:
            low, high = self.widths[0], self.widths[-1]
            raise InputError(
                f"a genome to start from must have the genes of preset {self.preset.name}, "
                f"{low} to {high} bits, not {genome.genes}"
            )
        return found

    def homogeneous(self, bits: int) -> list[Vector]:
        """``bits`` for every free gene, once for each folding."""
        widths = (bits,) * len(self.preset.free)
        return [(*widths, pe) for pe in self.pe] if len(self.pe) > 1 else [widths]

    def baselines(self) -> list[Vector]:
        """The homogeneous candidates, from the narrowest to the widest."""
        return [vector for bits in self.widths for vector in self.homogeneous(bits)]

    def every(self) -> Iterator[Vector]:
        """Every candidate: for spaces that are small enough."""
        return itertools.product(*self.choices)

    def draw(self, generator: random.Random) -> Vector:
        """A candidate near a homogeneous one: half of its genes lie up to two widths off."""
        base = generator.choice(self.widths)

        def width() -> int:
            if generator.random() < KEEP_PROBABILITY:
                return base
            place = self.widths.index(base) + generator.choice((-2, -1, 1, 2))
            return self.widths[min(max(place, 0), len(self.widths) - 1)]

        free = len(self.preset.free)
        folding = (generator.choice(choice) for choice in self.choices[free:])
        return (*(width() for _ in range(free)), *folding)

    def narrowed(self, vector: Vector) -> list[Vector]:
        """What ``vector`` becomes if one of its genes has the next smaller width, for each gene."""
        return [
            (*vector[:gene], self.widths[self.widths.index(bits) - 1], *vector[gene + 1 :])
            for gene, bits in enumerate(vector[: len(self.preset.free)])
            if bits > self.widths[0]
        ]

    def widened(self, vector: Vector, *, weights: bool) -> Vector:
        """``vector`` with the next larger width for every result, and for ``weights`` if asked."""
        wider = {self.widths[-1]: self.widths[-1], **dict(itertools.pairwise(self.widths))}
        free = len(self.preset.free)
        widths = (
            wider[bits] if weights or name not in self._weights else bits
            for name, bits in zip(self.preset.free, vector[:free], strict=True)
        )
        return (*widths, *vector[free:])

    def narrow_operands(self) -> list[Vector]:
        """The widest results with narrow weights, and with narrow or wide states.

        Weights and states are the operands of most products. Two candidates for each of the
        :data:`NARROW` narrowest weights: with states :data:`MORE_STATE` bits wider than them, and
        the widest.
        """
        found = []
        last = len(self.widths) - 1
        for place, bits in enumerate(self.widths[:-1][:NARROW]):
            for state in (self.widths[min(place + MORE_STATE, last)], self.widths[-1]):
                narrow = dict.fromkeys(self._weights, bits) | dict.fromkeys(self._states, state)
                widths = (narrow.get(name, self.widths[-1]) for name in self.preset.free)
                found.append((*widths, *(self.pe[:1] if len(self.pe) > 1 else ())))
        return list(dict.fromkeys(found))

    def mutate(self, vector: Vector, generator: random.Random) -> Vector:
        """A neighbour: a few genes one width up or down, now and then any other width."""
        changed = list(vector)
        places = range(len(vector))
        chosen = [place for place in places if generator.random() * len(vector) < MUTATIONS]
        if not chosen:
            chosen = [generator.choice(places)]
        for index in chosen:
            choice = self.choices[index]
            others = [value for value in choice if value != vector[index]]
            if not others:
                continue
            if generator.random() >= RESET_PROBABILITY:
                place = choice.index(vector[index])
                others = [choice[i] for i in (place - 1, place + 1) if 0 <= i < len(choice)]
            changed[index] = generator.choice(others)
        return tuple(changed)

    def cross(self, left: Vector, right: Vector, generator: random.Random) -> Vector:
        """A child, each gene of which comes from either parent (uniform crossover)."""
        pairs = zip(left, right, strict=True)
        return tuple(b if generator.random() < 0.5 else a for a, b in pairs)


def _ascending(name: str, values: Any) -> tuple[int, ...]:
    """``values`` as numbers; :class:`InputError` unless they ascend, and there is one at least."""
    several = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    found = tuple(map(whole, values)) if several else ()
    numbers = tuple(number for number in found if number is not None)
    if not numbers or len(numbers) < len(found) or list(numbers) != sorted(set(numbers)):
        shown = ",".join(map(str, values)) if several else values
        raise InputError(f"{name} must be ascending numbers, each once, not '{shown}'")
    return numbers
