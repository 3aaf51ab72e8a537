"""The search space: candidates as vectors, and how they vary."""

import random

import pytest
from toy_search import ARCHITECTURE, DEEP, TINY_FREE, TinySpace

from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.genes import Genes, Preset, homogeneous, preset_of
from gruhw.network.genome import Genome
from gruhw.search.space import SearchSpace, Vector

GENES = ARCHITECTURE.gene_names
RESULTS = [gene.name for gene in ARCHITECTURE.genes if gene.stage and gene.kind == "result"]
FULL = SearchSpace(preset_of("full", ARCHITECTURE), "toy", pe=(1, 2, 4))
PAPER = SearchSpace(preset_of("operators17", ARCHITECTURE))
LAYERS = SearchSpace(preset_of("full", DEEP), "toy", "values", pe=(1, 5))
TINY = TinySpace().space


@pytest.mark.parametrize(
    "space", [FULL, PAPER, LAYERS, TINY], ids=["full", "operators17", "layers", "tiny"]
)
def test_vectors_and_genomes_are_the_same_candidates(space: SearchSpace) -> None:
    generator = random.Random(1)
    for _ in range(50):
        vector = space.draw(generator)
        assert space.vector(space.genome(vector)) == vector


def test_the_folding_is_a_gene_if_there_are_several() -> None:
    assert len(FULL.choices) == len(GENES) + 1
    assert FULL.choices[-1] == (1, 2, 4)
    assert FULL.genome((3,) * len(GENES) + (4,)).folding.pe == 4
    single = SearchSpace(preset_of("full", ARCHITECTURE), pe=(2,))
    assert len(single.choices) == len(GENES)
    assert single.genome((3,) * len(GENES)).folding.pe == 2


def test_baselines_are_every_width_at_every_folding() -> None:
    found = [FULL.genome(vector) for vector in FULL.baselines()]
    assert [(g.genes, g.folding.pe) for g in found] == [
        (homogeneous(ARCHITECTURE, bits), pe) for bits in range(2, 9) for pe in (1, 2, 4)
    ]
    paper = [PAPER.genome(vector).genes for vector in PAPER.baselines()]
    assert [{genes[name] for name in RESULTS} for genes in paper] == [{b} for b in range(2, 9)]
    assert {(genes["input"], genes["head.weight"]) for genes in paper} == {(8, 8)}


def test_size_counts_every_candidate() -> None:
    assert TINY.size == len(set(TINY.every())) == 5 ** len(TINY_FREE)
    assert FULL.size == 7 ** len(GENES) * 3
    assert LAYERS.size == 7 ** len(DEEP.genes) * 2


def inside(space: SearchSpace, vector: Vector) -> bool:
    return all(value in choice for value, choice in zip(vector, space.choices, strict=True))


def test_variation_stays_inside_and_changes_something() -> None:
    generator = random.Random(2)
    for space in (FULL, PAPER, LAYERS, TINY):
        left, right = space.draw(generator), space.draw(generator)
        for _ in range(200):
            changed = space.mutate(left, generator)
            assert inside(space, changed)
            assert changed != left
            genes = zip(space.cross(left, right, generator), left, right, strict=True)
            assert all(child in parents for child, *parents in genes)


def test_mutation_reaches_every_gene_a_few_at_a_time() -> None:
    space = SearchSpace(preset_of("full", ARCHITECTURE))
    generator = random.Random(3)
    start = (5,) * len(GENES)
    changes = [0] * len(GENES)
    for _ in range(1000):
        for place, value in enumerate(space.mutate(start, generator)):
            changes[place] += value != 5
    assert 1.8 < sum(changes) / 1000 < 2.6
    assert min(changes) > 50


def test_one_bit_less_and_one_bit_more() -> None:
    space = SearchSpace(preset_of("full", ARCHITECTURE), widths=(2, 4, 8), pe=(1, 2))
    results = [place for place, gene in enumerate(ARCHITECTURE.genes) if gene.kind == "result"]
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
    space = SearchSpace(preset_of("full", ARCHITECTURE), pe=(1, 2))
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


def test_plain_candidates_are_narrow_in_every_state_that_a_product_reads() -> None:
    """Not in the cell state of the LSTM, which no linear operator reads."""
    states = {"l1.mul_h", "l2.add_h"}
    weights = {gene.name for gene in DEEP.genes if gene.kind == "weight"}
    assert len(weights) == 1 + 8 + 6 + 1
    genome = LAYERS.genome(LAYERS.narrow_operands()[0])
    assert {name for name, bits in genome.genes.items() if bits == 2} == weights
    assert {name for name, bits in genome.genes.items() if bits == 6} == states
    assert set(genome.genes.values()) == {2, 6, 8}


def test_files_say_the_network_as_genomes_do() -> None:
    assert FULL.described == {"sizes": {"input": 3, "hidden": 4, "classes": 2}}
    assert LAYERS.described == {"network": DEEP.model_dump(mode="json")}


def test_a_genome_of_another_space_is_refused() -> None:
    genome = PAPER.genome(PAPER.homogeneous(4)[0])
    changed = genome.model_copy(update={"genes": genome.genes | {"W_ir.weight": 5}})
    with pytest.raises(InputError, match="must have the genes of preset operators17, 2 to 8 bits"):
        PAPER.vector(changed)
    wide = genome.model_copy(update={"genes": homogeneous(ARCHITECTURE, 9)})
    with pytest.raises(InputError, match="2 to 8 bits"):
        FULL.vector(wide)
    with pytest.raises(InputError) as caught:
        LAYERS.vector(genome)
    assert str(caught.value) == (
        f"a genome to start from must have the genes of {DEEP}, not of {ARCHITECTURE}"
    )
    folded = Genome(
        network=DEEP, genes=homogeneous(DEEP, 8), folding={"pe": (1, 2, 3)}, output="values"
    )
    with pytest.raises(InputError) as caught:
        LAYERS.vector(folded)
    assert str(caught.value) == ("pe of a genome to start from must be one of 1, 5, not (1, 2, 3)")


def test_a_genome_of_other_sizes_is_a_start() -> None:
    larger = Architecture(inputs=5, layers=("gru:9",), outputs=4)
    genome = Genome(network=larger, genes=homogeneous(larger, 5))
    assert FULL.genome(FULL.vector(genome)).genes == Genes(ARCHITECTURE, genome.genes)


@pytest.mark.parametrize("pe", [(), (2, 1), (1, 1)])
def test_foldings_ascend(pe: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as caught:
        SearchSpace(preset_of("full", ARCHITECTURE), pe=pe)
    shown = ",".join(map(str, pe))
    assert str(caught.value) == f"pe must be ascending numbers, each once, not '{shown}'"


def test_a_folding_must_suit_the_network() -> None:
    with pytest.raises(InputError) as caught:
        SearchSpace(preset_of("full", ARCHITECTURE), pe=(1, 5))
    assert str(caught.value) == "pe must be 1 to the 4 hidden units, not 5"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "full"}, "preset must be a Preset, not str"),
        ({"task": 3}, "task must be a str, not int"),
        ({"task": ""}, "task: string should have at least 1 character, not ''"),
        ({"output": "logits"}, "output must be one of class, values, states, not 'logits'"),
        ({"output": ["class"]}, "output must be one of class, values, states, not ['class']"),
        ({"widths": ()}, "widths must be ascending numbers, each once, not ''"),
        ({"widths": 8}, "widths must be ascending numbers, each once, not '8'"),
        ({"widths": "28"}, "widths must be ascending numbers, each once, not '28'"),
        ({"widths": (2, 4.0)}, "widths must be ascending numbers, each once, not '2,4.0'"),
        ({"widths": (0, 4)}, "widths must be 1 to 12 bits, not 0"),
        ({"widths": (4, 13)}, "widths must be 1 to 12 bits, not 13"),
        ({"pe": (True,)}, "pe must be ascending numbers, each once, not 'True'"),
        ({"pe": ((1, 2),)}, "pe must be ascending numbers, each once, not '(1, 2)'"),
        ({"pe": None}, "pe must be ascending numbers, each once, not 'None'"),
    ],
)
def test_values_of_other_types(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        SearchSpace(**{"preset": preset_of("full", ARCHITECTURE)} | fields)  # type: ignore[arg-type]  # on purpose
    assert str(caught.value) == message


def test_a_preset_must_give_every_gene() -> None:
    with pytest.raises(InputError) as caught:
        SearchSpace(Preset("own", ARCHITECTURE, ("input",), {}, {}))
    assert str(caught.value) == "result width of W_ir (gene W_ir) is required, but missing"


def test_a_preset_is_of_a_network() -> None:
    with pytest.raises(InputError, match=r"^network must be an Architecture, not str$"):
        Preset("own", "gru:4", (), {}, {})  # type: ignore[arg-type]


def test_a_single_logit_is_no_class() -> None:
    logit = Architecture(inputs=3, layers=("gru:4",), outputs=1)
    assert SearchSpace(preset_of("full", logit), output="values").network == logit
    with pytest.raises(InputError, match=r"network\.outputs must be at least 2 for output class"):
        SearchSpace(preset_of("full", logit))


def test_widths_and_foldings_cannot_be_changed_from_outside() -> None:
    widths, pe = [2, 4], [1, 2]
    space = SearchSpace(preset_of("full", ARCHITECTURE), widths=widths, pe=pe)  # type: ignore[arg-type]
    widths.append(3)
    pe.append(1)
    assert (space.widths, space.pe) == ((2, 4), (1, 2))
