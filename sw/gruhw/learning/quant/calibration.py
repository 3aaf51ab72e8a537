"""The choice of fraction bits for every tensor and width, from float weights and real inputs."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from gruhw.basics.arrays import real_numbers, real_values, steps_of
from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.values import instance, truth
from gruhw.errors import InputError
from gruhw.learning.outliers import bulk, outlier_limit
from gruhw.learning.quant.activations import float_activations
from gruhw.learning.quant.operators import function_of
from gruhw.network.architecture import Architecture
from gruhw.network.fixed import Fixed, FloatArray, quantise
from gruhw.network.fractions import FRACTION_BITS, Fractions
from gruhw.network.genes import Genes, check_width, listed
from gruhw.network.graph import INPUT, Graph, Table
from gruhw.network.model import Layers

FINER_CANDIDATES = 6
"""How many fraction bits beyond the clipping-free choice are tried."""

DECISIVE = 2.0
"""One sample decides where, without it, other fraction bits have so many times less error."""


def best_fraction(
    values: FloatArray,
    bits: int,
    *,
    signed: bool = True,
    through: Callable[[FloatArray], FloatArray] | None = None,
) -> int:
    """The fraction bits that minimise the mean squared error of rounding ``values`` to ``bits``.

    Narrow types often do better to clip rare large values than to represent them.

    Parameters
    ----------
    values
        Samples of the tensor.
    through
        A function that consumes the tensor; the error is then measured behind it.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    largest = float(np.abs(flat).max(initial=0.0))
    if largest == 0.0:
        return _allowed(bits - int(signed))
    coarsest = bits - int(signed) - int(np.ceil(np.log2(largest)))
    error = _rounding_error(flat, through)
    candidates = range(coarsest - 1, coarsest + FINER_CANDIDATES + 1)
    return min(map(_allowed, candidates), key=lambda frac: error(Fixed(bits, frac, signed)))


def _rounding_error(
    values: FloatArray, through: Callable[[FloatArray], FloatArray] | None
) -> Callable[[Fixed], float]:
    """The mean squared error of rounding ``values`` to a type, behind the consumer if any."""
    target = values if through is None else through(values)

    def error(kind: Fixed) -> float:
        rounded = quantise(values, kind) * kind.scale
        with np.errstate(over="ignore"):  # numbers so large saturate in every type
            wrong = (target - (rounded if through is None else through(rounded))) ** 2
            return float(np.mean(wrong))

    return error


def _allowed(frac: int) -> int:
    return min(max(frac, FRACTION_BITS[0]), FRACTION_BITS[-1])


@dataclass(frozen=True)
class TensorReport:
    """How the samples of a tensor fit the type that calibration chose.

    Parameters
    ----------
    tensor
        Its name, which is that of its gene.
    bits, frac
        Its width and its fraction bits.
    samples
        How many there are: results in calibration, or weights.
    saturating
        Of these, how many the type cannot reach.
    outliers
        Of these, how many were left out: see :mod:`gruhw.learning.outliers`.
    used
        The part of the type's range that the bulk of the samples uses; above 1 if it saturates.
    decisive
        The sample without which other fraction bits are better by far; None if there is none.
    """

    tensor: str
    bits: int
    frac: int
    samples: int
    saturating: int
    outliers: int
    used: float
    decisive: float | None

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return asdict(self)

    @property
    def warning(self) -> str | None:
        """What a user should know, in one line; None if there is nothing."""
        if self.decisive is None:
            return None
        return (
            f"one sample of {self.samples:,}, {self.decisive:.4g}, decides the fraction bits of "
            f"{self.tensor}: calibrate on more sequences, or look whether it is right"
        )


@dataclass(frozen=True)
class _Tensor:
    """A tensor that has fraction bits.

    Parameters
    ----------
    values
        Its samples: results in calibration, or weights.
    signed
        Whether its type is.
    samples
        Whether outliers may be among them. Every weight counts: it is no sample of anything.
    through
        What consumes it, if that is nothing but tables.
    """

    values: FloatArray
    signed: bool
    samples: bool
    through: Callable[[FloatArray], FloatArray] | None


@dataclass(frozen=True)
class Calibration:
    """Fraction bits for every tensor at every width, chosen when first asked for.

    Parameters
    ----------
    network
        What has the tensors.
    weights
        Float weights by linear operator, as files name them.
    activations
        The real-valued results of every operator, by name: see :func:`float_activations`.
    keep_outliers
        Whether every sample counts, however rare and far out.
    """

    network: Architecture
    weights: Mapping[str, FloatArray]
    activations: Mapping[str, FloatArray]
    keep_outliers: bool = False
    _found: dict[tuple[str, int], int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "activations", FrozenMapping(self.activations))

    @classmethod
    def measure(
        cls,
        network: Architecture,
        weights: Mapping[str, np.ndarray],
        biases: Mapping[str, np.ndarray],
        inputs: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        initial: Mapping[str, np.ndarray] | None = None,
        keep_outliers: bool = False,
    ) -> "Calibration":
        """Calibrate on normalised real sequences, of which a few hundred suffice.

        Parameters
        ----------
        network
            What is calibrated.
        weights, biases
            By linear operator, as a :class:`gruhw.network.model.Model` has them.
        inputs
            Shape [N, T, inputs].
        lengths
            The steps of each sequence, shape [N], 1 to T; all T if absent.
        initial
            What states begin with, as a model has it; only of networks that have constants.
        keep_outliers
            Whether every sample counts. Otherwise samples that are outliers by the rule of
            :mod:`gruhw.learning.outliers` are left out. What follows from an input that is one is
            computed as if it were as large as the bulk.

        Raises
        ------
        InputError
            If there is no sequence, a value is not finite, or shapes do not fit ``network``.
        """
        keep_outliers = truth("keep_outliers", keep_outliers)
        network = instance("network", network, Architecture)
        checked, others = Layers(network, "weight", weights), Layers(network, "bias", biases)
        states = Layers(network, "initial", initial or {})
        name, shape = "the calibration sequences", ("sequences", "steps", network.inputs)
        values = real_numbers(name, inputs, shape)
        count, steps, _ = values.shape
        if not count or not steps:
            raise InputError(
                "calibration requires at least 1 sequence of at least 1 step, "
                f"not {count} of {steps}"
            )
        alive = steps_of(lengths, count, steps)
        there = np.arange(steps) < alive[:, np.newaxis]
        # Padding may hold anything, infinity included.
        values = real_values(name, np.where(there[:, :, np.newaxis], values, 0.0), shape)
        real = values[there]
        if not keep_outliers:
            far = np.abs(values) > outlier_limit(real)
            values = np.where(far, np.sign(values) * bulk(real), values)
        wanted = {gene.name for gene in network.calibrated if gene.kind == "result"}
        found = float_activations(
            network, checked, others, values, alive, initial=states, wanted=wanted
        )
        found[INPUT] = real
        for results in found.values():
            results.flags.writeable = False  # fractions are chosen once: see _found
        return cls(network, checked, found, keep_outliers)

    @property
    def input_signed(self) -> bool:
        """Whether input elements are two's complement."""
        return self._tensors[INPUT].signed

    def fraction(self, tensor: str, bits: int) -> int:
        """The fraction bits of ``tensor``, named as its gene.

        Raises
        ------
        InputError
            If there is no such tensor, or ``bits`` is no legal width.
        """
        if tensor not in self._tensors:
            names = listed(tuple(self._tensors))
            raise InputError(f"tensor must be one of {names}, not {tensor!r}")
        bits = check_width(tensor, bits)
        if (tensor, bits) not in self._found:
            found = self._tensors[tensor]
            self._found[tensor, bits] = best_fraction(
                self._counted(found), bits, signed=found.signed, through=found.through
            )
        return self._found[tensor, bits]

    def fractions(self, genes: Mapping[str, int]) -> Fractions:
        """The fraction bits of every tensor at the widths of ``genes``."""
        genes = Genes.of(self.network, genes)
        widths = {name: genes[name] for name in self._tensors}
        return Fractions({name: self.fraction(name, bits) for name, bits in widths.items()}, widths)

    def report(self, genes: Mapping[str, int]) -> tuple[TensorReport, ...]:
        """How the samples fit the types that :meth:`fractions` chooses, tensor by tensor."""
        genes = Genes.of(self.network, genes)
        return tuple(self._report(name, genes[name]) for name in self._tensors)

    def _report(self, name: str, bits: int) -> TensorReport:
        tensor = self._tensors[name]
        everything, samples = tensor.values, self._counted(tensor)
        kind = Fixed(bits, self.fraction(name, bits), tensor.signed)
        lowest, highest = (kind.minimum - 0.5) * kind.scale, (kind.maximum + 0.5) * kind.scale
        return TensorReport(
            tensor=name,
            bits=bits,
            frac=kind.frac,
            samples=everything.size,
            saturating=int(np.sum((everything < lowest) | (everything >= highest))),
            outliers=everything.size - samples.size,
            used=bulk(everything) / (max(-kind.minimum, kind.maximum) * kind.scale),
            decisive=self._decisive(tensor, samples, kind) if tensor.samples else None,
        )

    def _decisive(self, tensor: _Tensor, samples: FloatArray, chosen: Fixed) -> float | None:
        """The sample farthest out, if other fraction bits are better by far without it."""
        flat = samples.ravel().astype(np.float64)
        largest = int(np.abs(flat).argmax())
        rest, through = np.delete(flat, largest), tensor.through
        if not rest.size:
            return float(flat[largest])
        error = _rounding_error(rest, through)
        better = best_fraction(rest, chosen.bits, signed=chosen.signed, through=through)
        other = Fixed(chosen.bits, better, chosen.signed)
        return float(flat[largest]) if error(chosen) > DECISIVE * error(other) else None

    def _counted(self, tensor: _Tensor) -> FloatArray:
        """The values that count."""
        values = tensor.values
        if self.keep_outliers or not tensor.samples:
            return values
        return values[np.abs(values) <= outlier_limit(values)]

    @cached_property
    def _tensors(self) -> Mapping[str, _Tensor]:
        """Every tensor that has fraction bits, by the name of its gene."""
        stages = {stage.name: stage for stage in self.network.stages}
        found = {}
        for gene in self.network.calibrated:
            if gene.name == INPUT:
                values = self.activations[INPUT]
                counted = self._counted(_Tensor(values, True, True, None))
                signed = bool(counted.min(initial=0.0) < 0)
                found[INPUT] = _Tensor(values, signed, samples=True, through=None)
            elif gene.kind == "weight":
                weights = self.weights[stages[gene.stage].spell(gene.operator)]
                found[gene.name] = _Tensor(weights, signed=True, samples=False, through=None)
            else:
                graph = stages[gene.stage].graph
                found[gene.name] = _Tensor(
                    self.activations[gene.name],
                    signed=graph[gene.operator].rule != "rectified",
                    samples=True,
                    through=_consumer(graph, gene.operator),
                )
        return found


def _consumer(graph: Graph, operator: str) -> Callable[[FloatArray], FloatArray] | None:
    """The tables that read an operator's result, as one function; None if others read it, too.

    Others are operators, the stage's output and states, which want the result itself.
    """
    readers = [node for node in graph if operator in node.operands]
    tables = [node for node in readers if isinstance(node, Table)]
    kept = {graph.emits, *(state.source for state in graph.states)}
    if not tables or len(tables) < len(readers) or operator in kept:
        return None
    functions = [function_of(table.function) for table in tables]

    def through(values: FloatArray) -> FloatArray:
        # Copied: PyTorch warns where an array is read-only.
        found = [function(torch.tensor(values)).numpy() for function in functions]
        return np.concatenate(found, axis=-1)

    return through


def calibrate(
    network: Architecture,
    genes: Mapping[str, int],
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    initial: Mapping[str, np.ndarray] | None = None,
    keep_outliers: bool = False,
) -> tuple[Fractions, bool]:
    """Fraction bits for every tensor of ``genes``, and whether the input is signed.

    Other parameters, and errors, are those of :meth:`Calibration.measure`.
    """
    genes = Genes.of(network, genes)  # known before the work, not after it
    calibration = Calibration.measure(
        network, weights, biases, inputs, lengths, initial=initial, keep_outliers=keep_outliers
    )
    return calibration.fractions(genes), calibration.input_signed
