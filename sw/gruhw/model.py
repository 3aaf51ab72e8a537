"""The trained model of a design: ``model.safetensors``, and its binding to a genome."""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as format_safetensors

from gruhw.arrays import Shape, frozen, real_values
from gruhw.encoding import encode
from gruhw.errors import GruhwWarning, InputError, naming
from gruhw.files import PathLike, as_path, check_sha256, parse_json, read_bytes
from gruhw.fixed import FloatArray, IntArray
from gruhw.fractions import Fractions
from gruhw.frozen import FrozenMapping
from gruhw.genome import LINEAR, SHA256, Genome, Sha256, Sizes, first_problem
from gruhw.graph import Graph, build_graph
from gruhw.normalisation import Normalisation as Normalisation
from gruhw.parameters import Parameters, fit_accumulators, quantise_parameters
from gruhw.values import instance, mapping, truth

LAYERS = (*LINEAR, "head")
"""Every layer that has weights and a bias."""


METADATA = "gruhw"
"""The name of the model file's only metadata entry."""


class _Header(BaseModel):
    """What the model file holds besides tensors.

    Version 1 has no widths: ``fractions`` are numbers. In version 2 each says for which width it
    was chosen. Without ``trained_on``, nobody knows what the weights were trained on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["gruhw-model"] = "gruhw-model"
    version: Literal["1", "2"] = "2"
    fractions: dict[str, Any]
    input_signed: bool
    trained_on: Sha256 | None = None

    @classmethod
    def of(cls, fractions: Fractions, **others: Any) -> "_Header":
        names, widths = sorted(fractions), fractions.widths
        if widths is None:
            described: dict[str, Any] = {name: fractions[name] for name in names}
            return cls(version="1", fractions=described, **others)
        described = {name: {"bits": widths[name], "frac": fractions[name]} for name in names}
        return cls(fractions=described, **others)

    def chosen(self) -> Fractions:
        """The fraction bits, and for which widths they were chosen.

        Raises
        ------
        InputError
            If an entry has another form than the version requires, or a value is out of range.
        """
        if self.version == "1":
            return Fractions(self.fractions)
        for name, entry in self.fractions.items():
            if not isinstance(entry, dict) or entry.keys() != {"bits", "frac"}:
                raise InputError(f"fractions.{name} must have bits and frac, not {entry!r}")
        return Fractions(
            {name: entry["frac"] for name, entry in self.fractions.items()},
            {name: entry["bits"] for name, entry in self.fractions.items()},
        )


def layer_shapes(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """The shape of each layer's weights, [outputs, inputs]; its bias has shape [outputs]."""
    shapes = dict.fromkeys(LINEAR[:3], (sizes.hidden, sizes.input))
    shapes |= dict.fromkeys(LINEAR[3:], (sizes.hidden, sizes.hidden))
    return shapes | {"head": (sizes.classes, sizes.hidden)}


RANKS: Mapping[str, Shape] = {"weight": ("outputs", "inputs"), "bias": ("outputs",)}
"""The dimensions of a layer's arrays."""


class Layers(FrozenMapping[FloatArray]):
    """The weights or the biases of every layer of :data:`LAYERS`, copied and checked.

    They are rounded to single precision, as in files and in training: a model that is saved, or
    trained further, has the weights that were evaluated. Larger numbers saturate.

    Raises
    ------
    InputError
        If a layer is unknown, missing, has another rank than 2 (weights) or 1 (biases), or holds
        a value that is not finite.
    """

    def __init__(self, kind: Literal["weight", "bias"], arrays: Mapping[str, ArrayLike]) -> None:
        for layer in mapping("weights" if kind == "weight" else "biases", arrays):
            if layer not in LAYERS:
                raise InputError(f"layer must be one of {', '.join(LAYERS)}, not {layer!r}")
        for layer in LAYERS:
            if layer not in arrays:
                raise InputError(f"{layer}.{kind} is required, but missing")
        super().__init__(
            {layer: _single(f"{layer}.{kind}", arrays[layer], RANKS[kind]) for layer in LAYERS}
        )


def _single(name: str, array: ArrayLike, shape: Shape) -> FloatArray:
    largest = np.finfo(np.float32).max
    return frozen(np.clip(real_values(name, array, shape), -largest, largest).astype(np.float32))


def check_layers(
    sizes: Sizes, weights: Mapping[str, FloatArray], biases: Mapping[str, FloatArray]
) -> None:
    """Raise :class:`InputError` unless the layers have the shapes that ``sizes`` requires."""
    for layer, shape in layer_shapes(sizes).items():
        _check_shape(f"{layer}.weight", weights[layer], shape, sizes)
        _check_shape(f"{layer}.bias", biases[layer], shape[:1], sizes)


def _check_shape(name: str, array: FloatArray, shape: tuple[int, ...], sizes: Sizes) -> None:
    if array.shape != shape:
        raise InputError(
            f"shape of {name} must be {list(shape)} for {sizes.input} inputs, {sizes.hidden} "
            f"hidden units and {sizes.classes} classes, not {list(array.shape)}"
        )


@dataclass(frozen=True)
class Model:
    """Float weights, the fraction bits that calibration chose, and the input normalisation.

    Arrays are copied, so that a model stays what it was when a network is trained further.

    Parameters
    ----------
    weights
        By layer, see :data:`LAYERS`; shape [outputs, inputs].
    biases
        By layer; shape [outputs].
    fractions
        The fraction bits of every tensor. Of plain numbers nobody knows the widths that they
        were chosen for: see :class:`gruhw.fractions.Fractions`.
    input_signed
        Whether input elements are two's complement.
    normalisation
        Of raw samples.
    trained_on
        The :attr:`~gruhw.tasks.Split.fingerprint` of the sequences that the weights were trained
        on, if they were trained on no others; None if that is not known.

    Raises
    ------
    InputError
        If a layer is missing, a value is not finite, shapes do not fit together, a size is outside
        the limits of :class:`gruhw.genome.Sizes`, or something is of another type.
    """

    weights: Mapping[str, FloatArray]
    biases: Mapping[str, FloatArray]
    fractions: Mapping[str, int]
    input_signed: bool
    normalisation: Normalisation
    trained_on: str | None = None

    def __post_init__(self) -> None:
        # What was checked before is not checked again where only something else is replaced.
        if not isinstance(self.weights, Layers):
            object.__setattr__(self, "weights", Layers("weight", self.weights))
        if not isinstance(self.biases, Layers):
            object.__setattr__(self, "biases", Layers("bias", self.biases))
        object.__setattr__(self, "fractions", Fractions.of(self.fractions))
        object.__setattr__(self, "input_signed", truth("input_signed", self.input_signed))
        instance("normalisation", self.normalisation, Normalisation)
        known = self.trained_on
        if known is not None and re.fullmatch(SHA256, instance("trained_on", known, str)) is None:
            raise InputError(f"trained_on must be a SHA-256 in hexadecimal, not {known!r}")
        self.check_sizes(self.sizes)

    @property
    def sizes(self) -> Sizes:
        """The sizes of the network, as the shapes of its weights have them."""
        hidden, inputs = self.weights["W_in"].shape
        try:
            return Sizes(input=inputs, hidden=hidden, classes=len(self.weights["head"]))
        except InputError as error:
            raise InputError(f"sizes.{error}") from error

    def check_sizes(self, sizes: Sizes) -> None:
        """Raise :class:`InputError` unless every array has the shape that ``sizes`` requires."""
        check_layers(sizes, self.weights, self.biases)
        _check_shape("input.scale", self.normalisation.scale, (sizes.input,), sizes)

    def graph(self, genes: Mapping[str, int]) -> Graph:
        """The graph of the network at the widths of ``genes``: see :func:`build_graph`."""
        return build_graph(self.sizes, genes, self.fractions, input_signed=self.input_signed)

    def to_bytes(self) -> bytes:
        """The model as a safetensors file, single precision."""
        tensors = {
            f"{layer}.{kind}": source[layer]
            for kind, source in (("weight", self.weights), ("bias", self.biases))
            for layer in LAYERS
        }
        tensors["input.scale"] = np.asarray(self.normalisation.scale, dtype=np.float64)
        tensors["input.offset"] = np.asarray(self.normalisation.offset, dtype=np.float64)
        header = _Header.of(
            Fractions.of(self.fractions),
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
            header = _Header.model_validate(metadata)
            for name, tensor in tensors.items():
                if tensor.dtype.kind != "f":
                    raise InputError(f"{name} must hold floating-point numbers, not {tensor.dtype}")
            return cls(
                Layers("weight", {layer: tensors[f"{layer}.weight"] for layer in LAYERS}),
                Layers("bias", {layer: tensors[f"{layer}.bias"] for layer in LAYERS}),
                header.chosen(),
                header.input_signed,
                Normalisation(tensors["input.scale"], tensors["input.offset"]),
                header.trained_on,
            )
        except SafetensorError as error:
            raise InputError(f"must be a whole safetensors file: {error}") from error
        except KeyError as error:
            raise InputError(f"must be a gruhw model, but {error} is missing") from error
        except ValidationError as error:
            raise InputError(first_problem(error)) from error


@dataclass(frozen=True)
class Network:
    """A genome bound to its trained model: all that hardware and reference are made from."""

    genome: Genome
    graph: Graph
    parameters: Parameters
    normalisation: Normalisation

    @classmethod
    def build(cls, genome: Genome, model: Model) -> "Network":
        """Quantise ``model`` to the widths of ``genome`` and fit the accumulators.

        Raises
        ------
        InputError
            If the sizes differ, or fraction bits are missing or were chosen for other widths.
        """
        genome = instance("genome", genome, Genome)
        instance("model", model, Model).check_sizes(genome.sizes)
        graph = model.graph(genome.genes)
        parameters = quantise_parameters(graph.linears, model.weights, model.biases)
        return cls(genome, fit_accumulators(graph, parameters), parameters, model.normalisation)

    @property
    def weight_bits(self) -> int:
        """The size of all weight matrices, head included, in bits."""
        return weight_bits(self.genome)

    def encode(self, raw: ArrayLike, lengths: ArrayLike | None = None) -> IntArray:
        """Raw samples as the hardware takes them: see :func:`gruhw.encoding.encode`."""
        return encode(self.normalisation, self.graph.input.type, raw, lengths)


def weight_bits(genome: Genome) -> int:
    """The size of all weight matrices of a genome's network, head included, in bits."""
    shapes = layer_shapes(instance("genome", genome, Genome).sizes)
    return sum(genome.genes[f"{layer}.weight"] * prod(shape) for layer, shape in shapes.items())


def read_reference(folder: Path, file: str, sha256: str) -> tuple[Path, bytes]:
    """Read a file that a genome in ``folder`` names, checking its SHA-256."""
    path = folder / file
    data = read_bytes(path)
    check_sha256(path, data, sha256)
    return path, data


def load_model(genome: Genome, genome_path: PathLike) -> Model:
    """The model of :func:`read_model`, to be bound to its genome.

    Warns if its file does not say for which widths its fraction bits were chosen.
    """
    model = read_model(genome, genome_path)
    if Fractions.of(model.fractions).widths is None and genome.model is not None:
        warnings.warn(
            f"{as_path(genome_path).parent / genome.model.file}: does not say for which widths its "
            "fraction bits were chosen: if widths were changed since, calibrate with gruhw "
            "calibrate",
            GruhwWarning,
            stacklevel=2,
        )
    return model


def read_model(genome: Genome, genome_path: PathLike) -> Model:
    """The model that the genome at ``genome_path`` names, whose fraction bits may be of others.

    Raises
    ------
    InputError
        If the genome names no model, or the file is missing, altered, damaged or does not fit.
    """
    genome = instance("genome", genome, Genome)
    if genome.model is None:
        raise InputError(f"{genome_path}: model is required, but missing: train one first")
    folder = as_path(genome_path).parent
    path, data = read_reference(folder, genome.model.file, genome.model.sha256)
    model = Model.from_bytes(data, path)
    with naming(path):
        model.check_sizes(genome.sizes)
    return model


def load_network(genome_path: PathLike) -> Network:
    """The network of the genome at ``genome_path``; :class:`InputError` if a file is wrong."""
    genome = Genome.load(genome_path)
    model = load_model(genome, genome_path)
    with naming(genome_path):
        return Network.build(genome, model)
