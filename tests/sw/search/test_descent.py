"""The descent: down to the narrowest candidate, past what costs the least accuracy."""

from collections.abc import Sequence

from toy_search import ARCHITECTURE, TinySpace

from gruhw.network.figures import Accuracy
from gruhw.network.genes import preset_of
from gruhw.search.descent import descend
from gruhw.search.front import Candidate
from gruhw.search.space import SearchSpace, Vector

SPACE = TinySpace(widths=(2, 3, 4, 5, 6, 7, 8)).space
INDIFFERENT, SENSITIVE = 1, 3
"""A gene that accuracy does not depend on, and one that it depends on most."""
TOTAL = 1000


class Steps:
    """Gives figures, and keeps what each step looked at."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.asked: list[Sequence[Vector]] = []

    def __call__(self, vectors: Sequence[Vector]) -> list[Candidate]:
        self.asked.append(vectors)
        return [
            Candidate(
                self.space.genome(v),
                Accuracy(TOTAL - self.wrong(v), TOTAL),
                (sum(v), 7 * sum(v)),
            )
            for v in vectors
        ]

    def wrong(self, vector: Vector) -> int:
        widest = self.space.widths[-1]
        costly = {INDIFFERENT: 0, SENSITIVE: 9}
        return sum(costly.get(gene, 1) * (widest - bits) for gene, bits in enumerate(vector))

    @property
    def path(self) -> list[Vector]:
        return [vectors[0] for vectors in self.asked]


def test_it_goes_from_the_widest_to_the_narrowest() -> None:
    steps = Steps(SPACE)
    descend(SPACE, steps)
    assert [steps.path[0], steps.path[-1]] == [SPACE.baselines()[-1], SPACE.baselines()[0]]
    for here, below in zip(steps.path, steps.path[1:], strict=False):
        assert sum(here) > sum(below)
        assert all(0 <= a - b <= 1 for a, b in zip(here, below, strict=True))


def test_each_step_looks_at_every_narrower_neighbour() -> None:
    steps = Steps(SPACE)
    descend(SPACE, steps)
    for here, *below in steps.asked:
        differences = [[a - b for a, b in zip(here, v, strict=True)] for v in below]
        assert all(sorted(found) == [0] * (len(here) - 1) + [1] for found in differences)
        assert len(below) == sum(bits > SPACE.widths[0] for bits in here)


def test_what_accuracy_does_not_need_goes_first() -> None:
    steps = Steps(SPACE)
    descend(SPACE, steps)
    narrowest = SPACE.widths[0]
    reached = {
        gene: next(number for number, v in enumerate(steps.path) if v[gene] == narrowest)
        for gene in range(len(steps.path[0]))
    }
    assert min(reached, key=reached.__getitem__) == INDIFFERENT
    assert max(reached, key=reached.__getitem__) == SENSITIVE


def test_foldings_stay_as_they_are() -> None:
    space = SearchSpace(preset_of("full", ARCHITECTURE), pe=(1, 2))
    steps = Steps(space)
    descend(space, steps)
    assert {vector[-1] for vectors in steps.asked for vector in vectors} == {1}


def test_several_genes_are_narrowed_at_once_where_there_are_many() -> None:
    space = SearchSpace(preset_of("full", ARCHITECTURE))
    steps = Steps(space)
    descend(space, steps)
    genes, widths = len(space.preset.free), len(space.widths)
    assert len(steps.asked) < 0.6 * genes * (widths - 1)


def test_larger_steps_take_fewer_evaluations() -> None:
    space = SearchSpace(preset_of("full", ARCHITECTURE))
    fine, coarse = Steps(space), Steps(space)
    descend(space, fine)
    descend(space, coarse, narrowed=0.5)
    assert 2 * len(coarse.asked) < len(fine.asked)
    assert coarse.path[-1] == fine.path[-1]
