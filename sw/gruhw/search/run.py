"""A whole search: evolution, fine-tuning of the front, selection, synthesis of what is reported."""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from gruhw.errors import InputError, naming
from gruhw.network.figures import Figure
from gruhw.network.genome import Genome
from gruhw.search.descent import descend
from gruhw.search.evaluation import (
    Prepared,
    by_widths,
    genome_text,
    stored_figure,
    widths_text,
)
from gruhw.search.evolve import Generation, check_population, evolve
from gruhw.search.finals import Finals
from gruhw.search.front import Candidate, Reference, Selection, non_dominated
from gruhw.search.objectives import Cost
from gruhw.search.pace import Pace
from gruhw.search.result import (
    Member,
    Progress,
    Result,
    Settings,
    Step,
    Tell,
    baseline_bits,
    front_of,
)
from gruhw.search.scores import score_of
from gruhw.search.space import SearchSpace, Vector
from gruhw.search.store import Store
from gruhw.search.workers import Evaluated, Group, Workers

WITHIN_BUDGET = (Fraction(9, 10), Fraction(94, 100), Fraction(97, 100), Fraction(1))
"""Parts of a budget, for the most accurate within each: fine-tuning and synthesis move costs that
are estimated, and who was just within the budget may then be beyond it."""

BEYOND_REACH = 2
"""The evolution finds nothing so many times cheaper than the cheapest candidate it begins with."""


def search(
    prepared: Prepared,
    space: SearchSpace,
    costs: Sequence[Cost],
    settings: Settings,
    store: Store,
    *,
    workers: int = 1,
    seeds: Sequence[Genome] = (),
    tell: Tell = lambda progress: None,
) -> Result:
    """Search, or continue a search that was interrupted.

    What ``store`` holds is not computed again; everything else is stored as soon as it is
    known. The result is the same whether or not the search was interrupted, and for any
    number of workers.

    Parameters
    ----------
    prepared
        The task, and what measures accuracy on it.
    space
        What to search.
    costs
        What to minimise besides the loss; the first decides selections.
    settings
        How to search.
    store
        An open file of this search.
    workers
        Processes that evaluate.
    seeds
        Genomes to begin with, besides the homogeneous ones.
    tell
        Called with the progress.

    Raises
    ------
    InputError
        If ``store`` belongs to another search, ``space`` to another network, or nothing fits the
        selection.
    ToolError
        If storing fails, or a worker or a tool does.
    """
    check_population(settings.population)
    if space.network != prepared.network:
        raise InputError(f"a space of {prepared.network} is required, not of {space.network}")
    vectors = [space.vector(seed) for seed in seeds]
    return _Search(prepared, space, tuple(costs), settings, store, workers, vectors, tell).run()


class _Search:
    """One search at work; parameters are those of :func:`search`."""

    def __init__(
        self,
        prepared: Prepared,
        space: SearchSpace,
        costs: tuple[Cost, ...],
        settings: Settings,
        store: Store,
        workers: int,
        seeds: list[Vector],
        tell: Tell,
    ) -> None:
        self.prepared, self.space, self.costs, self.settings = prepared, space, costs, settings
        self.store, self.workers, self.seeds, self.tell = store, workers, seeds, tell
        self.evaluator = prepared.factory()
        self.finals = Finals(prepared.refiner, self.evaluator, costs, store, workers, tell)
        self.evaluated = self.evaluated_before = 0
        self.pace = Pace()
        self.generation: Generation | None = None
        self.reference: Reference | None = None
        self.gain = 1.0

    def run(self) -> Result:
        self._bind()
        history = []
        candidates: Sequence[Candidate] = ()
        pool = Workers(self.prepared.factory, self.evaluator, self.costs, self.workers)
        with pool:
            for generation in evolve(
                self.space,
                lambda vectors: self._evaluate(vectors, pool),
                population=self.settings.population,
                generations=self.settings.generations,
                seed=self.settings.seed,
                seeds=self.seeds,
                begin=partial(descend, narrowed=self.settings.narrowed),
            ):
                self._note(generation)
                history.append(Step(generation.number, generation.evaluations, self.gain))
                candidates = generation.candidates
            baselines = self._evaluate(self.space.baselines(), pool)
            finalists = self._finalists(non_dominated(candidates), baselines, pool)
            evaluated = {c.text: c for c in (*candidates, *finalists)}
        front, baseline = self._refined(finalists, baselines)
        # What synthesis finds decides, not what was estimated: members may dominate others now.
        members = self.finals.measured([*front, *baseline])
        front, baseline = front_of(members), members[len(front) :]
        chosen = self._select(
            [member.candidate for member in front],
            [member.candidate for member in baseline],
            self.settings.selection,
        )
        return Result(
            space=self.space,
            settings=self.settings,
            costs=self.costs,
            front=tuple(front),
            baseline=tuple(baseline),
            selected=next(member for member in front if member.candidate == chosen),
            evaluated=tuple(evaluated.values()),
            history=tuple(history),
            reference=Reference.of([member.candidate for member in baseline]),
            fine_tuned=self.prepared.refiner is not None,
            validation_seen=self.prepared.validation_seen,
        )

    def _bind(self) -> None:
        """Refuse a store of another search: its figures, or the way to them, would differ."""
        evaluator, refiner, space = self.evaluator, self.prepared.refiner, self.space
        self.store.bind(
            {
                "task": self.prepared.task,
                **space.described,
                "genes": list(space.network.gene_names),
                "validation sequences": evaluator.total,
                "fine-tuning": dict(refiner.settings) if refiner else None,
                "objectives": [cost.identity for cost in self.costs],
                "preset": space.preset.name,
                "pe": list(space.pe),
                "widths": list(space.widths),
                "output": space.output,
                "population": self.settings.population,
                "seed": self.settings.seed,
                "narrowed": self.settings.narrowed,
                "seeds": [list(vector) for vector in self.seeds],
            },
            contents={**evaluator.contents, **(refiner.contents if refiner else {})},
            before={
                "evaluator": evaluator.fingerprint,
                "fine-tuning": refiner.fingerprint if refiner else None,
            },
        )

    def _evaluate(self, vectors: Sequence[Vector], pool: Workers) -> list[Candidate]:
        """The candidates of ``vectors``: from the store, or evaluated and stored."""
        genomes = [self.space.genome(vector) for vector in vectors]
        self._work([self._group(genomes_of) for genomes_of in by_widths(genomes)], pool)
        return [self._known(genome) for genome in genomes]

    def _group(self, genomes: Sequence[Genome]) -> Group:
        unknown = [g for g in genomes if self.store.costs(genome_text(g)) is None]
        return Group(tuple(unknown), self._figure(genomes[0]))

    def _work(self, groups: Sequence[Group], pool: Workers) -> None:
        groups = [group for group in groups if group.genomes]
        for finished in pool(groups):
            self._keep(finished)
            self.evaluated += sum(len(found.costs) for found in finished)
            self._report()

    def _keep(self, finished: Sequence[Evaluated]) -> None:
        self.store.add(
            {widths_text(f.group.genomes[0].genes): score_of(f.figure).stored for f in finished},
            [
                (genome_text(genome), costs)
                for f in finished
                for genome, costs in zip(f.group.genomes, f.costs, strict=True)
            ],
        )

    def _known(self, genome: Genome) -> Candidate:
        figure, costs = self._figure(genome), self.store.costs(genome_text(genome))
        if figure is None or costs is None or len(costs) != len(self.costs):
            raise InputError(
                f"{self.store.path}: must hold the figures of every evaluated genome, "
                f"but those of {genome_text(genome)} are missing or wrong"
            )
        return Candidate(genome, figure, costs)

    def _figure(self, genome: Genome) -> Figure | None:
        """How well a genome does, if the store knows it."""
        stored = self.store.figure(widths_text(genome.genes))
        if stored is None:
            return None
        with naming(self.store.path):
            return stored_figure(self.evaluator, stored)

    def _eight(self, baselines: Sequence[Candidate]) -> Candidate:
        place = self.space.baselines().index(self.space.homogeneous(baseline_bits(self.space))[0])
        return baselines[place]

    def _note(self, generation: Generation) -> None:
        baselines = generation.candidates[: len(self.space.baselines())]
        if self.reference is None:
            self.reference = Reference.of(baselines)
            # An impossible budget is told of before hours of work, not after them.
            budget = self.settings.selection.budget
            cheapest = min(candidate.costs[0] for candidate in generation.candidates)
            if budget is not None and budget * BEYOND_REACH < cheapest:
                self._select(generation.candidates, baselines, self.settings.selection)
        self.generation, self.evaluated_before = generation, self.evaluated
        self.gain = self.reference.gain(generation.front)
        self._report(finished=True)

    def _select(
        self,
        candidates: Sequence[Candidate],
        baselines: Sequence[Candidate],
        selection: Selection,
    ) -> Candidate:
        baseline = self._eight(baselines).score
        return selection.choose(candidates, baseline, self.costs[0].unit)

    def _report(self, *, finished: bool = False) -> None:
        self.pace.report(self.evaluated)
        done = self.generation.number if self.generation else -1
        generations = self.settings.generations
        best = None
        if self.generation is not None:
            known = self.generation.candidates
            eight = self._eight(known[: len(self.space.baselines())])
            best = min(
                (c for c in self.generation.front if c.loss <= eight.loss),
                key=lambda c: c.costs,
                default=None,
            )
        self.tell(
            Progress(
                phase="searching",
                generation=done if finished else min(done + 1, generations),
                generations=generations,
                evaluated=self.evaluated,
                rate=self.pace.rate,
                gain=self.gain,
                best=best,
                left=self.pace.left(self._left(generations - done)) if done >= 0 else None,
                finished=finished,
            )
        )

    def _left(self, generations: int) -> int:
        """Evaluations until the evolution ends, of which so many generations are left.

        How many its beginning takes is not known before: every step of the descent decides.
        """
        since = self.evaluated - self.evaluated_before
        return max(0, generations * self.settings.population - since)

    def _finalists(
        self, front: list[Candidate], baselines: list[Candidate], pool: Workers
    ) -> list[Candidate]:
        """What is fine-tuned: the ends of the front and some between them, and wider ones.

        Most users want the accuracy of 8 bits, and fine-tuning makes up for a few mistakes: half
        of the front's members do not make many more. Those that rules select are among them, so
        that a front does not depend on the rule unless that names a budget.

        Shared weights serve narrow candidates too, and hardly tell those apart that are as good as
        8 bits, which weights of their own do. So there are as many again with one more bit, and
        plain candidates, wide but for the operands of products, which no estimate has chosen.

        Without fine-tuning there are no wider ones, and the whole front is final where no cost is
        an estimate.
        """
        if self.prepared.refiner is None and not any(cost.estimated for cost in self.costs):
            return front
        part = max(1, self.settings.finalists // (4 if self.prepared.refiner else 2))
        most = self._eight(baselines).score.useful
        by_loss = sorted(front, key=lambda candidate: candidate.objectives)
        useful = _spread([c for c in by_loss if c.loss <= most], part)
        rules = (Selection(), Selection("knee"), Selection("max-accuracy"))
        chosen = [
            *_spread(front, part),
            *useful,
            *(self._select(front, baselines, rule) for rule in rules),
        ]
        if self.prepared.refiner is not None:
            vectors = [self.space.vector(candidate.genome) for candidate in useful]
            wider = (self.space.widened(v, weights=w) for w in (False, True) for v in vectors)
            more = dict.fromkeys((*wider, *self.space.narrow_operands()))
            chosen += self._evaluate(list(more), pool)
        # The last, so that those before are trained in the same groups with any budget.
        chosen += self._within_budget(front, baselines)
        return list({candidate.text: candidate for candidate in chosen}.values())

    def _within_budget(self, front: list[Candidate], baselines: list[Candidate]) -> list[Candidate]:
        """The most accurate that cost no more than the budget, or than a little less."""
        budget = self.settings.selection.budget
        if budget is None:
            return []
        cheapest = Fraction(min(candidate.costs[0] for candidate in front))
        if budget < cheapest * WITHIN_BUDGET[0]:
            self._select(front, baselines, self.settings.selection)
        rules = (Selection("budget", max(budget * part, cheapest)) for part in WITHIN_BUDGET)
        return [self._select(front, baselines, rule) for rule in rules]

    def _refined(
        self, finalists: list[Candidate], baselines: list[Candidate]
    ) -> tuple[list[Member], list[Member]]:
        """The front and the homogeneous members, fine-tuned if there is a refiner."""
        names = {
            candidate.text: bits
            for bits in self.space.widths
            for candidate, vector in zip(baselines, self.space.baselines(), strict=True)
            if vector in self.space.homogeneous(bits)
        }
        chosen = {c.text: c for c in (*baselines, *finalists)}
        members = self.finals.refined(
            [Member(shared, shared, homogeneous=names.get(text)) for text, shared in chosen.items()]
        )
        return front_of(members), members[: len(baselines)]


def _spread(candidates: Sequence[Candidate], wanted: int) -> list[Candidate]:
    """The ends and as many between them, at equal distances, as make ``wanted`` at most."""
    places = np.linspace(0, len(candidates) - 1, min(wanted, len(candidates))).round()
    return [candidates[int(place)] for place in places]
