"""The search space: candidates as vectors, and how they vary."""

import random

import pytest
from toy_search import SIZES, TINY_FREE, TinySpace

from gruhw.errors import InputError
from gruhw.genome import GENES, OPERATORS, PRESETS, homogeneous
from gruhw.search.space import SearchSpace, Vector

FULL = SearchSpace(PRESETS["full"], SIZES, "toy", pe=(1, 2, 4))
PAPER = SearchSpace(PRESETS["operators17"], SIZES)
TINY = TinySpace().space


@pytest.mark.parametrize("space", [FULL, PAPER, TINY], ids=["full", "operators17", "tiny"])
def test_vectors_and_genomes_are_the_same_candidates(space: SearchSpace) -> None:
    generator = random.Random(1)
    for _ in range(50):
        vector = space.draw(generator)
        assert space.vector(space.genome(vector)) == vector


def test_the_folding_is_a_gene_if_there_are_several() -> None:
    assert len(FULL.choices) == len(GENES) + 1
    assert FULL.choices[-1] == (1, 2, 4)
    assert FULL.genome((3,) * len(GENES) + (4,)).folding.pe == 4
    single = SearchSpace(PRESETS["full"], SIZES, pe=(2,))
    assert len(single.choices) == len(GENES)
    assert single.genome((3,) * len(GENES)).folding.pe == 2


def test_baselines_are_every_width_at_every_folding() -> None:
    found = [FULL.genome(vector) for vector in FULL.baselines()]
    assert [(g.genes, g.folding.pe) for g in found] == [
        (homogeneous(bits), pe) for bits in range(2, 9) for pe in (1, 2, 4)
    ]
    paper = [PAPER.genome(vector).genes for vector in PAPER.baselines()]
    assert [{genes[op] for op in OPERATORS} for genes in paper] == [{b} for b in range(2, 9)]
    assert {(genes["input"], genes["head.weight"]) for genes in paper} == {(8, 8)}


def test_size_counts_every_candidate() -> None:
    assert TINY.size == len(set(TINY.every())) == 5 ** len(TINY_FREE)
    assert FULL.size == 7 ** len(GENES) * 3


def inside(space: SearchSpace, vector: Vector) -> bool:
    return all(value in choice for value, choice in zip(vector, space.choices, strict=True))


def test_variation_stays_inside_and_changes_something() -> None:
    generator = random.Random(2)
    for space in (FULL, PAPER, TINY):
        left, right = space.draw(generator), space.draw(generator)
        for _ in range(200):
            changed = space.mutate(left, generator)
            assert inside(space, changed)
            assert changed != left
            genes = zip(space.cross(left, right, generator), left, right, strict=True)
            assert all(child in parents for child, *parents in genes)


def test_mutation_reaches_every_gene_a_few_at_a_time() -> None:
    space = SearchSpace(PRESETS["full"], SIZES)
    generator = random.Random(3)
    start = (5,) * len(GENES)
    changes = [0] * len(GENES)
    for _ in range(1000):
        for place, value in enumerate(space.mutate(start, generator)):
            changes[place] += value != 5
    assert 1.8 < sum(changes) / 1000 < 2.6
    assert min(changes) > 50


def test_one_bit_less_and_one_bit_more() -> None:
    space = SearchSpace(PRESETS["full"], SIZES, widths=(2, 4, 8), pe=(1, 2))
    results = [place for place, name in enumerate(GENES) if not name.endswith(".weight")]
    middle = space.homogeneous(4)[1]
    assert [v.index(2) for v in space.narrowed(middle)[:3]] == [0, 1, 2]
    assert len(space.narrowed(middle)) == len(GENES)
    assert space.narrowed(space.homogeneous(2)[0]) == []
    wider = space.widened(middle, weights=False)
    assert [place for place, bits in enumerate(wider) if bits == 8] == results
    assert wider[-1] == middle[-1] == 2
    assert space.widened(middle, weights=True) == space.homogeneous(8)[1]
    assert space.widened(space.homogeneous(8)[0], weights=True) == space.homogeneous(8)[0]


def test_plain_candidates_are_narrow_in_weights_and_state_alone() -> None:
    space = SearchSpace(PRESETS["full"], SIZES, pe=(1, 2))
    found = [space.genome(vector) for vector in space.narrow_operands()]
    wanted = [(2, 6), (2, 8), (3, 7), (3, 8), (4, 8)]
    for genome, (weights, state) in zip(found, wanted, strict=True):
        for name, width in genome.genes.items():
            narrow = weights if name.endswith(".weight") else state
            assert width == (narrow if name.endswith(".weight") or name == "add_h" else 8)
        assert genome.folding.pe == 1
    # The paper's genes tie weights to results: only the state is left to be narrow.
    plain = [PAPER.genome(vector).genes for vector in PAPER.narrow_operands()]
    assert [genes["add_h"] for genes in plain] == [6, 8, 7]


def test_a_genome_of_another_space_is_refused() -> None:
    genome = PAPER.genome(PAPER.homogeneous(4)[0])
    changed = genome.model_copy(update={"genes": genome.genes | {"W_ir.weight": 5}})
    with pytest.raises(InputError, match="must have the genes of preset operators17, 2 to 8 bits"):
        PAPER.vector(changed)
    wide = genome.model_copy(update={"genes": dict(homogeneous(9))})
    with pytest.raises(InputError, match="2 to 8 bits"):
        FULL.vector(wide)


@pytest.mark.parametrize("pe", [(), (2, 1), (1, 1)])
def test_foldings_ascend(pe: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as caught:
        SearchSpace(PRESETS["full"], SIZES, pe=pe)
    shown = ",".join(map(str, pe))
    assert str(caught.value) == f"pe must be ascending numbers, each once, not '{shown}'"


def test_a_folding_must_suit_the_network() -> None:
    with pytest.raises(InputError) as caught:
        SearchSpace(PRESETS["full"], SIZES, pe=(1, 5))
    assert str(caught.value) == "pe must be 1 to the 4 hidden units, not 5"
