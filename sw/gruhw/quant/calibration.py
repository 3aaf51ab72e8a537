"""The choice of fraction bits for every tensor and width, from float weights and real inputs."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from gruhw.arrays import real_numbers, real_values, steps_of
from gruhw.errors import InputError
from gruhw.fixed import Fixed, FloatArray, IntArray, quantise
from gruhw.fractions import FRACTION_BITS, Fractions
from gruhw.frozen import FrozenMapping
from gruhw.genome import Genes, Sizes, check_width
from gruhw.graph import TENSORS, Input, State, calibrated_tensors
from gruhw.model import Layers, check_layers
from gruhw.outliers import bulk, outlier_limit
from gruhw.quant.operators import ideal
from gruhw.quant.population import layer_tensors, structure_of
from gruhw.values import instance, truth

FINER_CANDIDATES = 6
"""How many fraction bits beyond the clipping-free choice are tried."""

RECORDED_STEPS = 1 << 18
"""Time steps, of all sequences together, whose results are kept."""

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


def float_activations(
    sizes: Sizes,
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: FloatArray,
    lengths: IntArray,
) -> dict[str, FloatArray]:
    """The unquantised results of every operator on ``inputs``, of shape [N, T, inputs].

    Steps past the end of a sequence are left out: each result has shape [steps, elements]. Of more
    than :data:`RECORDED_STEPS` steps, an even choice is kept.
    """
    graph, layers = structure_of(sizes), layer_tensors(weights, biases)
    count, steps, _ = inputs.shape
    recorded = np.linspace(0, steps - 1, min(steps, max(1, RECORDED_STEPS // count)))
    chosen = set(recorded.astype(int).tolist())
    state = torch.zeros(count, sizes.hidden, dtype=torch.float64)
    found: dict[str, list[FloatArray]] = {node.name: [] for node in graph.step}
    for step in range(steps):
        results: dict[str, torch.Tensor] = {}
        for node in graph.step:
            if isinstance(node, Input):
                results[node.name] = torch.tensor(inputs[:, step], dtype=torch.float64)
            elif isinstance(node, State):
                results[node.name] = state
            else:
                results[node.name] = ideal(node, [results[o] for o in node.operands], layers)
            if step in chosen:
                found[node.name].append(results[node.name].numpy()[lengths > step])
        state = results[graph.state.source]
    return {name: np.concatenate(parts) for name, parts in found.items()}


@dataclass(frozen=True)
class TensorReport:
    """How the samples of a tensor fit the type that calibration chose.

    Parameters
    ----------
    tensor
        As :func:`gruhw.graph.calibrated_tensors` names it.
    bits, frac
        Its width and its fraction bits.
    samples
        How many there are: results in calibration, or weights.
    saturating
        Of these, how many the type cannot reach.
    outliers
        Of these, how many were left out: see :mod:`gruhw.outliers`.
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
class Calibration:
    """Fraction bits for every tensor at every width, chosen when first asked for.

    Parameters
    ----------
    weights
        Float weights by layer.
    activations
        The real-valued results of every operator, by name: see :func:`float_activations`.
    keep_outliers
        Whether every sample counts, however rare and far out.
    """

    weights: Mapping[str, FloatArray]
    activations: Mapping[str, FloatArray]
    keep_outliers: bool = False
    _found: dict[tuple[str, int], int] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "activations", FrozenMapping(self.activations))

    @classmethod
    def measure(
        cls,
        sizes: Sizes,
        weights: Mapping[str, np.ndarray],
        biases: Mapping[str, np.ndarray],
        inputs: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        keep_outliers: bool = False,
    ) -> "Calibration":
        """Calibrate on normalised real sequences, of which a few hundred suffice.

        Parameters
        ----------
        weights, biases
            By layer, as :func:`gruhw.quant.float_layers` gives them.
        inputs
            Shape [N, T, inputs].
        lengths
            The steps of each sequence, shape [N], 1 to T; all T if absent.
        keep_outliers
            Whether every sample counts. Otherwise samples that are outliers by the rule of
            :mod:`gruhw.outliers` are left out. What follows from an input that is one is computed
            as if it were as large as the bulk.

        Raises
        ------
        InputError
            If there is no sequence, a value is not finite, or shapes do not fit ``sizes``.
        """
        keep_outliers = truth("keep_outliers", keep_outliers)
        sizes, checked = instance("sizes", sizes, Sizes), Layers("weight", weights)
        check_layers(sizes, checked, biases := Layers("bias", biases))
        name, shape = "the calibration sequences", ("sequences", "steps", sizes.input)
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
        found = float_activations(sizes, checked, biases, values, alive) | {"input": real}
        for results in found.values():
            results.flags.writeable = False  # fractions are chosen once: see _found
        return cls(checked, found, keep_outliers)

    @property
    def input_signed(self) -> bool:
        """Whether input elements are two's complement."""
        return bool(self._samples("input").min(initial=0.0) < 0)

    def fraction(self, tensor: str, bits: int) -> int:
        """The fraction bits of ``tensor``, as :func:`calibrated_tensors` names it.

        Raises
        ------
        InputError
            If there is no such tensor, or ``bits`` is no legal width.
        """
        if tensor not in TENSORS:
            raise InputError(f"tensor must be one of {', '.join(TENSORS)}, not {tensor!r}")
        bits = check_width(tensor, bits)
        if (tensor, bits) not in self._found:
            self._found[tensor, bits] = best_fraction(
                self._samples(tensor),
                bits,
                signed=self._signed(tensor),
                through=_consumer(tensor),
            )
        return self._found[tensor, bits]

    def fractions(self, genes: Mapping[str, int]) -> Fractions:
        """The fraction bits of every tensor at the widths of ``genes``."""
        widths = calibrated_tensors(genes)
        return Fractions({name: self.fraction(name, bits) for name, bits in widths.items()}, widths)

    def report(self, genes: Mapping[str, int]) -> tuple[TensorReport, ...]:
        """How the samples fit the types that :meth:`fractions` chooses, tensor by tensor."""
        return tuple(self._report(name, bits) for name, bits in calibrated_tensors(genes).items())

    def _report(self, tensor: str, bits: int) -> TensorReport:
        everything, samples = self._all(tensor), self._samples(tensor)
        kind = Fixed(bits, self.fraction(tensor, bits), self._signed(tensor))
        lowest, highest = (kind.minimum - 0.5) * kind.scale, (kind.maximum + 0.5) * kind.scale
        return TensorReport(
            tensor=tensor,
            bits=bits,
            frac=kind.frac,
            samples=everything.size,
            saturating=int(np.sum((everything < lowest) | (everything >= highest))),
            outliers=everything.size - samples.size,
            used=bulk(everything) / (max(-kind.minimum, kind.maximum) * kind.scale),
            decisive=None if _is_weight(tensor) else self._decisive(tensor, samples, bits),
        )

    def _decisive(self, tensor: str, samples: FloatArray, bits: int) -> float | None:
        """The sample farthest out, if other fraction bits are better by far without it."""
        flat = samples.ravel().astype(np.float64)
        largest = int(np.abs(flat).argmax())
        rest, signed, through = np.delete(flat, largest), self._signed(tensor), _consumer(tensor)
        if not rest.size:
            return float(flat[largest])
        error = _rounding_error(rest, through)
        chosen = error(Fixed(bits, self.fraction(tensor, bits), signed))
        better = best_fraction(rest, bits, signed=signed, through=through)
        decides = chosen > DECISIVE * error(Fixed(bits, better, signed))
        return float(flat[largest]) if decides else None

    def _all(self, tensor: str) -> FloatArray:
        layer = tensor.removesuffix(".weight")
        return self.weights[layer] if _is_weight(tensor) else self.activations[tensor]

    def _samples(self, tensor: str) -> FloatArray:
        """The values that count. Every weight does: it is no sample of anything."""
        values = self._all(tensor)
        if self.keep_outliers or _is_weight(tensor):
            return values
        return values[np.abs(values) <= outlier_limit(values)]

    def _signed(self, tensor: str) -> bool:
        return self.input_signed if tensor == "input" else True


def _is_weight(tensor: str) -> bool:
    return tensor.endswith(".weight")


def _consumer(tensor: str) -> Callable[[FloatArray], FloatArray] | None:
    """The table that reads an operator's result, as a function; None if there is none."""
    graph = structure_of(Sizes(input=1, hidden=1, classes=2))
    table = next((table for table in graph.tables if table.operand == tensor), None)
    if table is None:
        return None
    # Copied: PyTorch warns where an array is read-only.
    return lambda values: ideal(table, [torch.tensor(values)], {}).numpy()


def calibrate(
    sizes: Sizes,
    genes: Mapping[str, int],
    weights: Mapping[str, np.ndarray],
    biases: Mapping[str, np.ndarray],
    inputs: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    keep_outliers: bool = False,
) -> tuple[Fractions, bool]:
    """Fraction bits for every tensor of ``genes``, and whether the input is signed.

    Other parameters, and errors, are those of :meth:`Calibration.measure`.
    """
    genes = Genes.of(genes)  # known before the work, not after it
    calibration = Calibration.measure(
        sizes, weights, biases, inputs, lengths, keep_outliers=keep_outliers
    )
    return calibration.fractions(genes), calibration.input_signed
