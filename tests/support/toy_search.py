"""A search whose accuracy is a formula: fast, deterministic, and without a network to train."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing import parent_process
from pathlib import Path

import numpy as np

from gruhw.network.architecture import Architecture
from gruhw.network.bound import Network
from gruhw.network.figures import Accuracy, Figure, MeanSquaredError
from gruhw.network.genes import Genes, Preset, preset_of
from gruhw.network.genome import Genome
from gruhw.network.model import Model, Normalisation
from gruhw.network.parts import Target
from gruhw.search.accelerators import Accelerator
from gruhw.search.evaluation import Preparation, Prepared, Refined
from gruhw.search.front import Number
from gruhw.search.space import SearchSpace

ARCHITECTURE = Architecture(inputs=3, layers=("gru:4",), outputs=2)
DEEP = Architecture(
    inputs=3, layers=("dense:4:relu", "lstm:5", "gru:3"), outputs=2, initial="constant"
)
STEPS = 5
TOTAL = 1000
ENOUGH = 20.0
"""What may be lost for nothing: as in real networks, some widths are wider than necessary."""


def toy_model(genes: Genes) -> Model:
    """A model of fixed random weights, with fraction bits that span -1 to 1."""
    rng, network = np.random.default_rng(3), genes.network
    shapes = network.layer_shapes
    weights = {name: rng.normal(0, 0.4, shape) for name, shape in shapes.items()}
    biases = {name: np.zeros(shape[0]) for name, shape in shapes.items()}
    initial = {
        name: rng.uniform(-0.5, 0.5, shape) for name, shape in network.initial_shapes.items()
    }
    fractions = {gene.name: genes[gene.name] - 1 for gene in network.calibrated}
    unit = Normalisation.identity(network.inputs)
    return Model(network, weights, biases, fractions, True, unit, initial=initial)


def toy_correct(genome: Genome) -> int:
    """Each gene loses sequences as it narrows, some many and some few; a bit of roughness."""
    lost = 0.0
    for place, bits in enumerate(genome.genes.values()):
        importance = 2 + (place * 7) % 11
        lost += importance * 2.0 ** (4 - bits)
    rough = sum((place + 3) * bits for place, bits in enumerate(genome.genes.values())) % 5
    return max(TOTAL // 10, TOTAL - round(max(0.0, lost - ENOUGH)) - rough)


def toy_figure(correct: int, target: Target) -> Figure:
    """The figure of a genome that classifies so many sequences right, or what stands for it."""
    if target == "class":
        return Accuracy(correct, TOTAL)
    error = (TOTAL - correct) / TOTAL / 3
    return MeanSquaredError(error, error / 2, TOTAL)


@dataclass(frozen=True)
class ToyEvaluator:
    """Accuracy by formula; costs by the network of fixed weights.

    ``log`` names a file that gets a line for every genome that is evaluated.
    """

    delay: float = 0.0
    log: str | None = None
    target: Target = "class"
    total: int = TOTAL
    times: int = 1
    contents: Mapping[str, str] = field(default_factory=lambda: {"formula": "toy"})
    fingerprint: str = "toy"

    def figures(self, candidates: Sequence[Genome]) -> list[Figure]:
        time.sleep(self.delay * len(candidates))
        if self.log is not None:
            with open(self.log, "a") as file:  # noqa: PTH123  # one write a line, from any process
                for candidate in candidates:
                    file.write(" ".join(map(str, candidate.genes.values())) + "\n")
        return [toy_figure(toy_correct(candidate), self.target) for candidate in candidates]

    def model(self, genes: Genes) -> Model:
        return toy_model(genes)


def lines(log: Path) -> list[str]:
    """What toys noted in ``log``."""
    return log.read_text().splitlines() if log.exists() else []


@dataclass(frozen=True)
class ToyFactory:
    """Makes toy evaluators, also in other processes."""

    delay: float = 0.0
    log: str | None = None
    target: Target = "class"

    def __call__(self) -> ToyEvaluator:
        return ToyEvaluator(self.delay, self.log, self.target)


@dataclass(frozen=True)
class DyingFactory:
    """Makes an evaluator here, and ends every other process that asks for one."""

    def __call__(self) -> ToyEvaluator:
        if parent_process() is not None:
            os._exit(3)
        return ToyEvaluator()


@dataclass(frozen=True)
class Estimate:
    """A cost that synthesis corrects."""

    name: str = "luts"
    label: str = "toy LUTs"
    unit: str = "LUTs"
    identity: str = "toy"
    estimated: bool = True

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        pass

    def __call__(self, accelerator: Accelerator) -> Number:
        return sum(accelerator.genome.genes.values())

    def measure(self, network: Network) -> Number | None:
        state = network.layers[-1]
        return self(Accelerator.of(network)) + state.typed.emitted.bits


@dataclass(frozen=True)
class ToyRefiner:
    """Training that wins back half of the mistakes."""

    delay: float = 0.0
    log: str | None = None
    target: Target = "class"
    settings: Mapping[str, int] = field(default_factory=lambda: {"epochs": 1})
    contents: Mapping[str, str] = field(default_factory=lambda: {"teacher": "toy"})
    fingerprint: str = "toy"
    together: int = 3

    def __call__(
        self, groups: Sequence[Sequence[Genome]], progress: Callable[[int, int], None]
    ) -> Iterator[Sequence[Refined]]:
        for number, group in enumerate(groups, start=1):
            time.sleep(self.delay * len(group))
            progress(number, len(groups))
            if self.log is not None:
                with open(self.log, "a") as file:  # noqa: PTH123  # as above
                    for candidate in group:
                        genes = " ".join(map(str, candidate.genes.values()))
                        file.write(f"refined {genes}\n")
            yield [self._refined(candidate) for candidate in group]

    def _refined(self, candidate: Genome) -> Refined:
        correct = toy_correct(candidate)
        figure = toy_figure(correct + (TOTAL - correct) // 2, self.target)
        return Refined(candidate, toy_model(candidate.genes), figure)


def toy_prepared(
    *,
    delay: float = 0.0,
    log: str | None = None,
    refine: bool = True,
    network: Architecture = ARCHITECTURE,
    target: Target = "class",
) -> Prepared:
    """A toy task, ready for searching."""
    refiner = ToyRefiner(delay, log, target) if refine else None
    return Prepared("toy", network, STEPS, ToyFactory(delay, log, target), refiner)


def prepare_toy(wanted: Preparation, tell: Callable[[str], None]) -> Prepared:
    """The preparation of the command line; the environment's TOY_DELAY is that of an evaluation."""
    tell("training what all share")
    delay = float(os.environ.get("TOY_DELAY", "0"))
    refine = wanted.fine_tune_epochs != 0
    return toy_prepared(delay=delay, refine=refine, network=wanted.network)


TINY_FREE = ("W_ir.weight", "W_hn.weight", "add_h", "tanh_n")


@dataclass(frozen=True)
class TinySpace:
    """A space small enough to enumerate: four free genes of few widths."""

    widths: tuple[int, ...] = (2, 3, 4, 5, 6)

    @cached_property
    def space(self) -> SearchSpace:
        fixed = {gene: 6 for gene in ARCHITECTURE.gene_names if gene not in TINY_FREE}
        preset = Preset("tiny", ARCHITECTURE, TINY_FREE, {}, fixed)
        return SearchSpace(preset, "toy", widths=self.widths)


PAPER_SPACE = SearchSpace(preset_of("operators17", ARCHITECTURE), "toy", pe=(1, 2))
"""A space with tied genes, and the folding as a gene."""
