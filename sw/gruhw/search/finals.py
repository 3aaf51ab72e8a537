"""What is reported of a search: its finalists, fine-tuned and synthesised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gruhw.basics.files import sha256
from gruhw.errors import InputError, naming
from gruhw.network.bound import Network
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.search.accelerators import Accelerator
from gruhw.search.evaluation import Evaluator, Refiner, by_widths, stored_figure, widths_text
from gruhw.search.front import Candidate, Number
from gruhw.search.objectives import Cost
from gruhw.search.pace import Pace
from gruhw.search.result import Member, Progress, Tell
from gruhw.search.scores import score_of
from gruhw.search.store import Store
from gruhw.search.workers import Synthesis, measure


@dataclass(frozen=True)
class Finals:
    """Finds out what the members of a front are worth; whatever is known is stored at once.

    Parameters
    ----------
    refiner
        Trains members; None leaves them as they are.
    evaluator, costs, store, workers, tell
        Those of the search.
    """

    refiner: Refiner | None
    evaluator: Evaluator
    costs: tuple[Cost, ...]
    store: Store
    workers: int
    tell: Tell

    def refined(self, members: Sequence[Member]) -> list[Member]:
        """The members with models, accuracies and costs of their own."""
        if self.refiner is None:
            return list(members)
        distinct = [same[0] for same in by_widths(member.shared.genome for member in members)]
        size = self.refiner.together
        groups = [distinct[start : start + size] for start in range(0, len(distinct), size)]
        keys: dict[str, str] = {}
        for group in groups:
            keys |= _keys(group)
        missing = [
            group
            for group in groups
            if any(self.store.refined(key) is None for key in _keys(group).values())
        ]
        if missing:
            self._train(self.refiner, missing, len(distinct))
        return [self._with_model(m, keys[widths_text(m.shared.genome.genes)]) for m in members]

    def _train(self, refiner: Refiner, groups: Sequence[Sequence[Genome]], total: int) -> None:
        missing = sum(map(len, groups))
        text = f"fine-tuning {missing} of {total}"
        self.tell(Progress(text, finished=True))
        pace = Pace()
        left: float | None = None

        def progress(done: int, of: int) -> None:
            nonlocal left
            pace.report(done)
            left = pace.left(of - done)
            self.tell(Progress(f"{text}: epoch {done} of {of}", left=left))

        number = 0
        for group in refiner(groups, progress):
            keys = _keys([refined.genome for refined in group])
            self.store.add_refined(
                {
                    key: (score_of(refined.figure).stored, refined.model.to_bytes())
                    for key, refined in zip(keys.values(), group, strict=True)
                }
            )
            for refined in group:
                number += 1
                line = f"fine-tuned {number} of {missing}: validation {refined.figure}"
                self.tell(Progress(line, left=left, finished=True))

    def _with_model(self, member: Member, key: str) -> Member:
        """The member with the figures of its own trained model, which is read from the store."""
        stored = self.store.refined(key)
        if stored is None:
            raise InputError(f"{self.store.path}: a fine-tuned model is required, but missing")
        found, data = stored
        model = Model.from_bytes(data, self.store.path)
        genome = member.shared.genome
        with naming(self.store.path):
            figure = stored_figure(self.evaluator, found)
            accelerator = Accelerator.of(Network.build(genome, model))
        costs = tuple(cost(accelerator) for cost in self.costs)
        candidate = Candidate(genome, figure, costs)
        return Member(candidate, member.shared, model, homogeneous=member.homogeneous)

    def measured(self, members: Sequence[Member]) -> list[Member]:
        """The members with what synthesis finds in place of estimated costs."""
        costs = tuple(cost for cost in self.costs if cost.estimated)
        if not costs:
            return list(members)
        texts = [self._synthesis_key(member) for member in members]
        missing = {
            text: Synthesis(text, self._network(member), costs)
            for text, member in zip(texts, members, strict=True)
            if self.store.measured(text) is None
        }
        if missing:
            self.tell(Progress(f"synthesising {len(missing)} networks", finished=True))
        jobs, pace = list(missing.values()), Pace()
        for number, (text, figures) in enumerate(measure(jobs, self.workers), start=1):
            self.store.add_measured(text, figures)
            pace.report(number)
            left = pace.left(len(jobs) - number)
            line = f"synthesised {number} of {len(jobs)}"
            self.tell(Progress(line, left=left, finished=True))
        found = [self.store.measured(text) or {} for text in texts]
        if any(figures.keys() != found[0].keys() for figures in found):
            raise InputError(
                f"{self.store.path}: must hold the same figures of every synthesis, but does not"
            )
        return [self._exact(*pair) for pair in zip(members, found, strict=True)]

    def _exact(self, member: Member, figures: Mapping[str, Number]) -> Member:
        """The member with these figures as its costs, and what it had before as estimates."""
        before = {c.name: v for c, v in zip(self.costs, member.candidate.costs, strict=True)}
        costs = tuple({**before, **figures}[cost.name] for cost in self.costs)
        return replace(
            member,
            candidate=replace(member.candidate, costs=costs),
            estimated={name: before[name] for name in figures},
        )

    def _network(self, member: Member) -> Network:
        genome = member.candidate.genome
        if member.model is None:
            return Network.build(genome, self.evaluator.model(genome.genes))
        return Network.build(genome, member.model)

    def _synthesis_key(self, member: Member) -> str:
        """What the store knows the synthesis of a member by: its area depends on its weights."""
        text = member.candidate.text
        return text if member.model is None else f"{text} of {sha256(member.model.to_bytes())[:16]}"


def _keys(group: Sequence[Genome]) -> dict[str, str]:
    """What the store knows the training of a group's genomes by, for the text of each one's widths.

    The others are part of it: see :class:`gruhw.search.evaluation.Refiner`.
    """
    texts = [widths_text(genome.genes) for genome in group]
    among = sha256(" | ".join(texts).encode())[:16]
    return {text: f"{text} among {among}" for text in texts}
