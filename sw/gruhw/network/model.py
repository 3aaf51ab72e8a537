"""The trained model of a design, in floating point: ``model.safetensors``."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as format_safetensors

from gruhw.basics.arrays import Shape, frozen, real_values
from gruhw.basics.files import parse_json
from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.strict import first_problem
from gruhw.basics.values import instance, mapping, truth
from gruhw.errors import InputError, naming
from gruhw.network.architecture import HEAD, Architecture, Stage
from gruhw.network.fixed import Fixed, FloatArray
from gruhw.network.fractions import FRACTION_BITS, Fractions
from gruhw.network.genes import Genes
from gruhw.network.genome import SHA256
from gruhw.network.graph import INPUT
from gruhw.network.header import METADATA, RANKS, ArrayKind, Header
from gruhw.network.normalisation import Normalisation as Normalisation
from gruhw.network.normalisation import Span
from gruhw.network.parameters import BIAS_BITS, Parameters, quantise_parameters
from gruhw.network.typed import Typed, type_stages


def _span_of(tensors: Mapping[str, Any]) -> Span | None:
    names = ("values.mean", "values.deviation")
    if not any(name in tensors for name in names):
        return None
    return Span(*(tensors[name] for name in names))


class Layers(FrozenMapping[FloatArray]):
    """The weights or the biases of every linear operator of a network, copied and checked.

    So are the initial states, if ``kind`` says so. They are rounded to single precision, as in
    files and in training: a model that is saved, or trained further, has the weights that were
    evaluated. Larger numbers saturate.

    Raises
    ------
    InputError
        If a layer is unknown, missing, has another shape than the network requires, or holds a
        value that is not finite.
    """

    def __init__(
        self, network: Architecture, kind: ArrayKind, arrays: Mapping[str, ArrayLike]
    ) -> None:
        self.network, self.kind = instance("network", network, Architecture), kind
        shapes = array_shapes(network, kind)
        plural = {"weight": "weights", "bias": "biases", "initial": "initial states"}[kind]
        what = "state" if kind == "initial" else "layer"
        for name in mapping(plural, arrays):
            if name not in shapes:
                known = ", ".join(shapes) or "none: states begin with zero"
                raise InputError(f"{what} must be one of {known}, not {name!r}")
        for name in shapes:
            if name not in arrays:
                raise InputError(f"{name}.{kind} is required, but missing")
        found = {name: _single(f"{name}.{kind}", arrays[name], RANKS[kind]) for name in shapes}
        for name, shape in shapes.items():
            if found[name].shape != shape:
                raise InputError(
                    f"shape of {name}.{kind} must be {list(shape)} for {network}, "
                    f"not {list(found[name].shape)}"
                )
        super().__init__(found)

    @classmethod
    def of(
        cls, network: Architecture, kind: ArrayKind, arrays: Mapping[str, ArrayLike]
    ) -> "Layers":
        """``arrays`` themselves if they were checked for this network; else others of these."""
        known = isinstance(arrays, cls) and (arrays.network, arrays.kind) == (network, kind)
        return arrays if isinstance(arrays, cls) and known else cls(network, kind, arrays)


def array_shapes(network: Architecture, kind: ArrayKind) -> Mapping[str, tuple[int, ...]]:
    """The shape of each array of a kind, by layer or state."""
    if kind == "initial":
        return network.initial_shapes
    shapes = network.layer_shapes
    return shapes if kind == "weight" else {name: shape[:1] for name, shape in shapes.items()}


def _single(name: str, array: ArrayLike, shape: Shape) -> FloatArray:
    largest = np.finfo(np.float32).max
    return frozen(np.clip(real_values(name, array, shape), -largest, largest).astype(np.float32))


@dataclass(frozen=True)
class Model:
    """Float weights, the fraction bits that calibration chose, and the input normalisation.

    Arrays are copied, so that a model stays what it was when a network is trained further.

    Parameters
    ----------
    network
        What it computes.
    weights
        By linear operator, as files name them; shape [outputs, inputs].
    biases
        By linear operator; shape [outputs].
    fractions
        The fraction bits of every tensor. Of plain numbers nobody knows the widths that they
        were chosen for: see :class:`gruhw.network.fractions.Fractions`.
    input_signed
        Whether input elements are two's complement.
    normalisation
        Of raw samples.
    trained_on
        The :attr:`~gruhw.network.sequences.Split.fingerprint` of the sequences that the weights
        were trained on, if they were trained on no others; None if that is not known.
    initial
        What each state begins with, shape [units], if the network says that it is a constant.
    span
        Relative to which the head computes values; None if it computes them as they are.

    Raises
    ------
    InputError
        If a layer is missing, a value is not finite, a shape does not fit the network, or something
        is of another type.
    """

    network: Architecture
    weights: Mapping[str, FloatArray]
    biases: Mapping[str, FloatArray]
    fractions: Mapping[str, int]
    input_signed: bool
    normalisation: Normalisation
    trained_on: str | None = None
    initial: Mapping[str, FloatArray] = field(default_factory=dict)
    span: Span | None = None

    def __post_init__(self) -> None:
        network = instance("network", self.network, Architecture)
        # What was checked before is not checked again where only something else is replaced.
        object.__setattr__(self, "weights", Layers.of(network, "weight", self.weights))
        object.__setattr__(self, "biases", Layers.of(network, "bias", self.biases))
        object.__setattr__(self, "initial", Layers.of(network, "initial", self.initial))
        object.__setattr__(self, "fractions", Fractions.of(self.fractions))
        object.__setattr__(self, "input_signed", truth("input_signed", self.input_signed))
        instance("normalisation", self.normalisation, Normalisation)
        known = self.trained_on
        if known is not None and re.fullmatch(SHA256, instance("trained_on", known, str)) is None:
            raise InputError(f"trained_on must be a SHA-256 in hexadecimal, not {known!r}")
        elements = self.normalisation.scale.shape
        if elements != (network.inputs,):
            raise InputError(
                f"shape of input.scale must be {[network.inputs]} for {network}, "
                f"not {list(elements)}"
            )
        if self.span is not None:
            values = instance("span", self.span, Span).mean.shape
            if values != (network.outputs,):
                raise InputError(
                    f"shape of values.mean must be {[network.outputs]} for {network}, "
                    f"not {list(values)}"
                )

    def renormalised(self, normalisation: Normalisation) -> "Model":
        """The same function of raw samples, with another input normalisation.

        Linear operators that read the input make up for it. Fraction bits stay those of the inputs
        and weights before: calibrate anew.

        Raises
        ------
        InputError
            If ``normalisation`` has another number of elements, or a scale of 0.
        """
        other = instance("normalisation", normalisation, Normalisation)
        if (other.scale == 0).any():
            raise InputError("every scale of the normalisation must be other than 0")
        # x = raw * scale + offset of the other one, so that raw is (x - offset) / scale.
        factor = self.normalisation.scale / other.scale
        shift = self.normalisation.offset - other.offset * factor
        weights, biases = dict(self.weights), dict(self.biases)
        for stage in self.network.stages:
            for node in stage.graph.linears:
                if stage.source is None and node.operand == INPUT:
                    name = stage.spell(node.name)
                    keeper = self.network.merged_biases.get(name, name)
                    biases[keeper] = biases[keeper] + self.weights[name] @ shift
                    weights[name] = self.weights[name] * factor
        return replace(self, weights=weights, biases=biases, normalisation=other)

    def learning(self, span: Span) -> "Model":
        """The same function, whose head computes relative to ``span``.

        Fraction bits stay those of the head's weights before: calibrate anew.
        """
        before = self.span or Span(np.zeros(self.network.outputs), np.ones(self.network.outputs))
        factor = before.deviation / span.deviation
        head = self.weights[HEAD] * factor[:, None]
        bias = self.biases[HEAD] * factor + (before.mean - span.mean) / span.deviation
        return replace(
            self,
            weights={**self.weights, HEAD: head},
            biases={**self.biases, HEAD: bias},
            span=span,
        )

    def check_network(self, network: Architecture) -> None:
        """Raise :class:`InputError` unless this is a model of ``network``."""
        if not self.network.same_weights(network):
            raise InputError(f"the model must be of {network}, not of {self.network}")

    def typed(self, genes: Mapping[str, int]) -> tuple[Typed, ...]:
        """The types of every stage at the widths of ``genes``: see :func:`type_stages`."""
        genes = Genes.of(self.network, genes)
        return type_stages(genes, self.fractions, input_signed=self.input_signed)

    def parameters(self, stage: Stage, typed: Typed) -> Parameters:
        """The integers of a stage at the widths of ``typed``."""
        initial = {
            state.name: self.initial[stage.spell(state.name)]
            for state in stage.graph.states
            if stage.spell(state.name) in self.initial
        }
        for name, values in initial.items():
            _check_initial(stage.spell(name), values, typed[name])
        return quantise_parameters(
            typed,
            stage.graph.linears,
            stage.of_layers(self.weights),
            stage.of_layers(self.biases),
            initial,
        )

    def check_range(self, genes: Mapping[str, int]) -> None:
        """Raise :class:`InputError` unless hardware of these widths holds weights and biases.

        Weights may be beyond all fraction bits. Where they are tiny, sums have so many fraction
        bits that large biases would saturate; those of a head could become zero without a word.
        """
        for stage, typed in zip(self.network.stages, self.typed(genes), strict=True):
            for node in stage.graph.linears:
                name, kind = stage.spell(node.name), typed.weights[node.name]
                weight = float(np.abs(self.weights[name]).max())
                bias = float(np.abs(self.biases[name]).max())
                highest = (kind.maximum + 1) * kind.scale
                if weight >= highest and kind.frac == FRACTION_BITS[0]:
                    raise InputError(
                        f"weights of {name} must stay below {highest:.4g}, which {kind.bits} bits "
                        f"reach at most, not reach {weight:.4g}: scale what the network gives"
                    )
                if name == HEAD and 0 < weight < kind.scale / 2:
                    raise InputError(
                        f"weights of {name} must reach {kind.scale / 2:.4g}, or all of them become "
                        f"zero, not {weight:.4g} at most: scale what the network gives"
                    )
                limit = 2.0 ** (BIAS_BITS - 1 - typed.accumulators[node.name].frac)
                if bias >= limit:
                    raise InputError(
                        f"biases of {name} must stay below {limit:.4g}, which {BIAS_BITS} bits "
                        f"reach beside weights so small, not reach {bias:.4g}: give "
                        f"{name}.weight fewer bits"
                    )

    def to_bytes(self) -> bytes:
        """The model as a safetensors file, single precision."""
        tensors = {
            f"{name}.{kind}": array
            for kind, source in (
                ("weight", self.weights),
                ("bias", self.biases),
                ("initial", self.initial),
            )
            for name, array in source.items()
        }
        tensors["input.scale"] = np.asarray(self.normalisation.scale, dtype=np.float64)
        tensors["input.offset"] = np.asarray(self.normalisation.offset, dtype=np.float64)
        if self.span is not None:
            tensors["values.mean"] = np.asarray(self.span.mean, dtype=np.float64)
            tensors["values.deviation"] = np.asarray(self.span.deviation, dtype=np.float64)
        header = Header.of(
            self.network,
            Fractions.of(self.fractions),
            spanned=self.span is not None,
            input_signed=self.input_signed,
            trained_on=self.trained_on,
        )
        # All under one name: safetensors writes several in random order.
        return format_safetensors(
            tensors, metadata={METADATA: header.model_dump_json(exclude_none=True)}
        )

    @classmethod
    def from_bytes(cls, data: bytes, source: Path) -> "Model":
        """Parse a model file's contents.

        Raises
        ------
        InputError
            If it is not a whole model file, or holds a value that is not finite.
        """
        with naming(source):
            return cls._parsed(instance("data", data, bytes))

    @classmethod
    def _parsed(cls, data: bytes) -> "Model":
        try:
            tensors = parse_safetensors(data)
            described = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            metadata = parse_json(described["__metadata__"][METADATA], METADATA)
            header = Header.model_validate(metadata)
            for name, tensor in tensors.items():
                if tensor.dtype.kind != "f":
                    raise InputError(f"{name} must hold floating-point numbers, not {tensor.dtype}")
            network = header.architecture(tensors)

            def arrays(kind: ArrayKind) -> Layers:
                names = array_shapes(network, kind)
                return Layers(network, kind, {name: tensors[f"{name}.{kind}"] for name in names})

            return cls(
                network,
                arrays("weight"),
                arrays("bias"),
                header.chosen(),
                header.input_signed,
                Normalisation(tensors["input.scale"], tensors["input.offset"]),
                header.trained_on,
                arrays("initial"),
                _span_of(tensors),
            )
        except SafetensorError as error:
            raise InputError(f"must be a whole safetensors file: {error}") from error
        except KeyError as error:
            raise InputError(f"must be a gruhw model, but {error} is missing") from error
        except ValidationError as error:
            raise InputError(first_problem(error)) from error


def _check_initial(name: str, values: FloatArray, kind: Fixed) -> None:
    """Raise :class:`InputError` if an initial state is beyond the range of the state's type."""
    low, high = (kind.minimum - 0.5) * kind.scale, (kind.maximum + 0.5) * kind.scale
    beyond = values[(values < low) | (values >= high)]
    if beyond.size:
        raise InputError(
            f"initial state of {name} must be {kind.minimum * kind.scale:g} to "
            f"{kind.maximum * kind.scale:g}, which {kind.bits} bits reach, not {beyond[0]:g}"
        )
