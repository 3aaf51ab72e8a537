"""How to train: the settings that were found to work, by task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import Any

from gruhw.basics.values import LARGEST_SEED, instance, real_number, truth, whole_number

LIMITS = {
    "batch": (1, inf),
    "distillation": (0, 1),
    "shared_distillation": (0, 1),
    "temperature": (1e-3, inf),
    "calibration": (1, inf),
    "seed": (0, LARGEST_SEED),
}
"""The smallest and the largest value of what is in a :class:`Recipe`; 0 and none for the rest."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the same recipe and seed give the same model on the same machine.

    Parameters
    ----------
    float_epochs, quantised_epochs
        Epochs of each phase; each anneals its own one-cycle learning rate (arXiv:1708.07120).
    batch
        Sequences a batch.
    float_rate, quantised_rate
        The peak learning rate of each phase.
    weight_decay
        Of weight matrices, decoupled from their gradients (AdamW, arXiv:1711.05101).
    distillation, shared_distillation
        The part of the loss that compares with the float network's soft targets
        (arXiv:1503.02531), for genomes that are trained by themselves and for shared weights; the
        rest compares with the labels.
    temperature
        By which logits are divided for soft targets.
    shared_epochs
        Epochs of the weights that the candidates of a search share.
    fine_tuning_epochs
        Epochs of quantised training of what a search finds.
    calibration
        Training sequences from which fraction bits are chosen.
    keep_outliers
        Whether calibration represents every sample: see :class:`gruhw.learning.quant.Calibration`.
    seed
        Of the initial weights, of the order of sequences and of their variation.

    Raises
    ------
    InputError
        If a number is not finite, of another type, or outside :data:`LIMITS`.
    """

    float_epochs: int = 40
    quantised_epochs: int = 40
    batch: int = 64
    float_rate: float = 1e-2
    quantised_rate: float = 1e-2
    weight_decay: float = 1e-2
    distillation: float = 0.0
    shared_distillation: float = 0.5
    temperature: float = 2.0
    shared_epochs: int = 40
    fine_tuning_epochs: int = 20
    calibration: int = 1024
    keep_outliers: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        checks: Mapping[Any, Callable[..., Any]] = {
            int: whole_number,
            float: real_number,
            bool: truth,
        }
        for field in fields(self):
            limits = () if field.type is bool else LIMITS.get(field.name, (0, inf))
            found = checks[field.type](field.name, getattr(self, field.name), *limits)
            object.__setattr__(self, field.name, found)


RECIPES: dict[str, Recipe] = {
    "mnist-rows": Recipe(
        float_epochs=20,
        quantised_epochs=60,
        shared_epochs=15,
        fine_tuning_epochs=8,
        batch=256,
        float_rate=5e-3,
        quantised_rate=5e-3,
        weight_decay=0.0,
    ),
    "mnist-1d": Recipe(
        float_epochs=100, quantised_epochs=200, shared_epochs=100, fine_tuning_epochs=100
    ),
    "spoken-digits": Recipe(
        float_epochs=50, quantised_epochs=150, shared_epochs=80, fine_tuning_epochs=80
    ),
    "keyword-spotting": Recipe(
        float_epochs=80, quantised_epochs=200, shared_epochs=60, fine_tuning_epochs=60
    ),
    "activity": Recipe(
        float_epochs=60,
        quantised_epochs=60,
        shared_epochs=40,
        fine_tuning_epochs=40,
        distillation=0.9,
        shared_distillation=1.0,  # what labels teach of these people does not hold for others
    ),
    "voice-activity": Recipe(
        float_epochs=20, quantised_epochs=40, shared_epochs=20, fine_tuning_epochs=20
    ),
}
"""Recipes by the name of a task; others have the default one. Epochs and rates of the float
networks were chosen on validation data."""


def recipe_for(task: str) -> Recipe:
    """The recipe of the task of this name; :class:`InputError` if it is no name."""
    return RECIPES.get(instance("task", task, str), Recipe())
