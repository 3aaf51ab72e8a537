"""What goes into a search and what comes out of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from gruhw.basics.frozen import FrozenMapping
from gruhw.network.model import Model
from gruhw.search.descent import NARROWED
from gruhw.search.front import Candidate, Number, Reference, Selection, non_dominated
from gruhw.search.objectives import Cost
from gruhw.search.space import SearchSpace

BASELINE_BITS = 8
"""The width of the homogeneous genome that others are compared with."""


@dataclass(frozen=True)
class Settings:
    """How to search; with the task, all that the result depends on.

    Parameters
    ----------
    population, generations
        Of the evolution; see :func:`gruhw.search.evolve.evolve`.
    finalists
        How many genomes are fine-tuned besides plain ones, homogeneous ones and those that rules
        select: half of them members of the evolution's front, half of them wider ones.
    seed
        Of every random choice.
    narrowed
        See :func:`gruhw.search.descent.descend`.
    selection
        Which genome becomes ``best.json``.
    """

    population: int
    generations: int
    finalists: int
    seed: int = 1
    narrowed: float = NARROWED
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True)
class Progress:
    """Where a search stands, for people who wait.

    Parameters
    ----------
    phase
        What is being done.
    generation, generations
        The one at work, and the last; None outside the evolution.
    evaluated
        Candidates evaluated since this process began.
    rate
        Of these, how many a second; None until that is known.
    gain
        The front's hypervolume in units of that of the homogeneous genomes.
    best
        The cheapest candidate so far that is as accurate as 8 bits.
    left
        Seconds until the phase ends, if it goes on like this; None if unknown.
    finished
        Whether the generation is complete.
    """

    phase: str
    generation: int | None = None
    generations: int | None = None
    evaluated: int = 0
    rate: float | None = None
    gain: float = 0.0
    best: Candidate | None = None
    left: float | None = None
    finished: bool = False


def baseline_bits(space: SearchSpace) -> int:
    """The baseline's width: 8, or the widest of a space that does not go so far."""
    return BASELINE_BITS if BASELINE_BITS in space.widths else max(space.widths)


Tell: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True)
class Member:
    """A candidate of the result.

    Parameters
    ----------
    candidate
        Its figures: after fine-tuning, if there was any, and with the costs that synthesis found.
    shared
        Its figures in the evolution, with shared weights.
    model
        Its own trained model; None without fine-tuning.
    estimated
        What was estimated of the costs that synthesis found since, by name.
    homogeneous
        The width that all its free genes have; None if they differ.
    """

    candidate: Candidate
    shared: Candidate
    model: Model | None = None
    estimated: Mapping[str, Number] = field(default_factory=dict)
    homogeneous: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "estimated", FrozenMapping(self.estimated))


def front_of(members: Sequence[Member]) -> list[Member]:
    """The members that no other dominates: see :func:`gruhw.search.front.non_dominated`."""
    by_text = {member.candidate.text: member for member in members}
    return [by_text[c.text] for c in non_dominated([member.candidate for member in members])]


@dataclass(frozen=True)
class Step:
    """How good the front was after a generation; figures as in :class:`Progress`."""

    generation: int
    evaluations: int
    gain: float


@dataclass(frozen=True)
class Result:
    """What a search found.

    Parameters
    ----------
    space, settings
        What was searched, and how.
    costs
        What was minimised besides the loss.
    front
        The members that no other dominates, by ascending first cost; see :func:`front_of`.
    baseline
        The homogeneous genomes, the narrowest first.
    selected
        The member that the selection took.
    evaluated
        Every candidate of the evolution, with its shared accuracy.
    history
        The gain after every generation.
    reference
        What the final front's hypervolume is measured from: the homogeneous genomes after
        fine-tuning, if there was any.
    fine_tuned
        Whether accuracies of ``front`` and ``baseline`` are those after fine-tuning.
    validation_seen
        As of :class:`gruhw.search.evaluation.Prepared`.
    """

    space: SearchSpace
    settings: Settings
    costs: tuple[Cost, ...]
    front: tuple[Member, ...]
    baseline: tuple[Member, ...]
    selected: Member
    evaluated: tuple[Candidate, ...]
    history: tuple[Step, ...]
    reference: Reference
    fine_tuned: bool
    validation_seen: bool

    @property
    def gain(self) -> float:
        """The final front's hypervolume in units of that of the final homogeneous genomes."""
        return self.reference.gain([member.candidate for member in self.front])

    @property
    def eight(self) -> Member:
        """The baseline that the selected genome is compared with."""
        return next(m for m in self.baseline if m.homogeneous == baseline_bits(self.space))
