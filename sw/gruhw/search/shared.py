"""Accuracy from weights that all candidates share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from gruhw.basics.files import parse_json, read_bytes, sha256
from gruhw.errors import InputError, naming
from gruhw.learning.quant.population import Population, states_in_range
from gruhw.learning.tasks import Split, Task, TaskData, load_task
from gruhw.learning.tasks.data import joined
from gruhw.learning.training.evaluate import EncodedSplit, member_figures
from gruhw.network.architecture import Initial
from gruhw.network.figures import Figure
from gruhw.network.fractions import Fractions, check_fraction
from gruhw.network.genes import Genes
from gruhw.network.genome import Genome
from gruhw.network.model import Model
from gruhw.network.parts import Target
from gruhw.search.folder import FLOAT_MODEL, FRACTIONS, SHARED_MODEL

MEMBERS = 8
"""Candidates that are evaluated at a time."""

VALIDATION = 1500
"""Validation sequences from which on no variations of them are added."""

VARIATION_SEED = 20241122
"""Seeds the variations of validation sequences, the same ones in every search."""


def validation_of(task: Task) -> tuple[Split, int]:
    """The sequences by which candidates are compared, and how often each is among them.

    A few hundred of them tell genomes apart that differ by one in a hundred, and no finer; nor
    do they once all are right. So a small validation part is followed by variations of itself.
    """
    val = task.load().val
    if task.augment is None:
        return val, 1
    generator = np.random.default_rng(VARIATION_SEED)
    times = -(-VALIDATION // len(val))
    return joined([val, *(task.augment(val, generator) for _ in range(times - 1))]), times


@dataclass(frozen=True)
class SharedWeights:
    """What every candidate is made from; can be pickled, and reads its files when needed.

    Parameters
    ----------
    task
        A task's name, or the path of its file.
    folder
        The search's folder.
    every_step, initial
        As of :func:`gruhw.learning.tasks.load_task`.
    """

    task: str
    folder: Path
    every_step: bool = False
    initial: Initial = "zero"

    @cached_property
    def model(self) -> Model:
        """The shared weights, with the fraction bits of 8 bits everywhere."""
        path = self.folder / SHARED_MODEL
        return Model.from_bytes(read_bytes(path), path)

    @cached_property
    def float_model(self) -> Model:
        """The float network, with the fraction bits of 8 bits everywhere."""
        path = self.folder / FLOAT_MODEL
        return Model.from_bytes(read_bytes(path), path)

    @cached_property
    def fractions(self) -> dict[str, dict[str, int]]:
        """The fraction bits of each tensor at each width."""
        path = self.folder / FRACTIONS
        found: dict[str, dict[str, int]] = parse_json(read_bytes(path), path)
        return found

    @cached_property
    def data(self) -> TaskData:
        """The task's sequences."""
        return self.task_data.load()

    @property
    def task_data(self) -> Task:
        """The task, as networks take it."""
        return load_task(self.task, every_step=self.every_step, initial=self.initial)

    @property
    def validation(self) -> Split:
        """The sequences by which candidates are compared: see :func:`validation_of`."""
        return self._validation[0]

    @property
    def validation_times(self) -> int:
        """How often each is among them."""
        return self._validation[1]

    @cached_property
    def _validation(self) -> tuple[Split, int]:
        return validation_of(self.task_data)

    def of(self, genes: Genes) -> Model:
        """The shared weights with the fraction bits of ``genes``, and states in their range."""
        fractions, path = self.fractions, self.folder / FRACTIONS
        widths = {gene.name: genes[gene.name] for gene in self.model.network.calibrated}
        with naming(path):
            try:
                found = {
                    name: check_fraction(name, fractions[name][str(bits)])
                    for name, bits in widths.items()
                }
            except (KeyError, TypeError) as error:
                raise InputError(f"fraction bits of {error} are required") from error
            model = replace(self.model, fractions=Fractions(found, widths))
            return states_in_range(model, genes)

    @property
    def contents(self) -> dict[str, str]:
        """The SHA-256 of weights, fraction bits and validation data."""
        return {
            "shared weights": self._file(SHARED_MODEL),
            "fraction bits": self._file(FRACTIONS),
            "validation data": self.validation.fingerprint,
        }

    @cached_property
    def fingerprint(self) -> str:
        """Of the same together."""
        return _together(
            [self._file(SHARED_MODEL), self._file(FRACTIONS), *_hashes(self.validation)]
        )

    @property
    def training_contents(self) -> dict[str, str]:
        """The SHA-256 of what candidates learn from: the float network and the training data."""
        return {"float network": self._file(FLOAT_MODEL), **training_data(self.task_data)}

    @cached_property
    def training_fingerprint(self) -> str:
        """Of the same together."""
        # Not :attr:`data`, which would stay, and be sent to every process.
        return _together([self._file(FLOAT_MODEL), *_hashes(self.task_data.load().train)])

    def _file(self, name: str) -> str:
        return sha256(read_bytes(self.folder / name))


def training_data(task: Task) -> dict[str, str]:
    """The SHA-256 of the training data of ``task``, by what people call them."""
    return {"training data": task.load().train.fingerprint}


def _hashes(split: Split) -> list[str]:
    """What older searches know sequences by, instead of their fingerprint."""
    arrays = (split.x, split.y, split.lengths)
    return [sha256(np.ascontiguousarray(array).tobytes()) for array in arrays]


def _together(hashes: Sequence[str]) -> str:
    return sha256("".join(hashes).encode())


class SharedEvaluator:
    """Measures candidates with shared weights, in the integers of the hardware."""

    def __init__(self, weights: SharedWeights) -> None:
        self._weights = weights
        self._val = EncodedSplit(weights.validation, weights.model)
        self._population = Population(weights.model.network, [weights.model])
        self._population.compile_steps()

    @property
    def target(self) -> Target:
        """What the task's data say of a sequence."""
        return self._weights.validation.target

    @property
    def total(self) -> int:
        """Validation sequences, or steps where each has a class."""
        validation = self._weights.validation
        return int(validation.counted.sum()) if validation.of_classes else len(validation)

    @property
    def times(self) -> int:
        """How often each is among them: see :func:`validation_of`."""
        return self._weights.validation_times

    @property
    def contents(self) -> dict[str, str]:
        """The SHA-256 of all that accuracies depend on, by name."""
        return self._weights.contents

    @property
    def fingerprint(self) -> str:
        """Of the same together."""
        return self._weights.fingerprint

    def figures(self, candidates: Sequence[Genome]) -> list[Figure]:
        """How well each candidate does on the validation sequences."""
        found: list[Figure] = []
        for start in range(0, len(candidates), MEMBERS):
            genes = [candidate.genes for candidate in candidates[start : start + MEMBERS]]
            self._population.assign([self._weights.of(g).typed(g) for g in genes])
            found += member_figures(self._population, self._val, times=self.times)
        return found

    def model(self, genes: Genes) -> Model:
        """The shared weights with the fraction bits of ``genes``."""
        return self._weights.of(genes)


@dataclass(frozen=True)
class SharedFactory:
    """Makes evaluators in any process."""

    weights: SharedWeights

    def __call__(self) -> SharedEvaluator:
        """A new evaluator."""
        return SharedEvaluator(self.weights)
