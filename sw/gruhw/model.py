"""The trained model of a design: ``model.safetensors``, and its binding to a genome."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.numpy import load as parse_safetensors
from safetensors.numpy import save as format_safetensors

from gruhw.errors import InputError
from gruhw.files import check_sha256, parse_json, read_bytes
from gruhw.fixed import FloatArray, IntArray, quantise
from gruhw.genome import LINEAR, Genome, Sizes, first_problem
from gruhw.graph import Graph, build_graph, check_fraction
from gruhw.parameters import Parameters, fit_accumulators, quantise_parameters

LAYERS = (*LINEAR, "head")
"""Every layer that has weights and a bias."""


METADATA = "gruhw"
"""The name of the model file's only metadata entry."""


class _Header(BaseModel):
    """What the model file holds besides tensors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["gruhw-model"] = "gruhw-model"
    version: Literal["1"] = "1"
    fractions: dict[str, Any]
    input_signed: bool

    @field_validator("fractions")
    @classmethod
    def _validate_fractions(cls, value: dict[str, Any]) -> dict[str, int]:
        return {name: check_fraction(name, bits) for name, bits in value.items()}


def layer_shapes(sizes: Sizes) -> dict[str, tuple[int, int]]:
    """The shape of each layer's weights, [outputs, inputs]; its bias has shape [outputs]."""
    shapes = dict.fromkeys(LINEAR[:3], (sizes.hidden, sizes.input))
    shapes |= dict.fromkeys(LINEAR[3:], (sizes.hidden, sizes.hidden))
    return shapes | {"head": (sizes.classes, sizes.hidden)}


@dataclass(frozen=True)
class Normalisation:
    """What turns raw samples into the network's input: ``raw * scale + offset``.

    Both have shape [inputs], one entry for each element of the input vector.
    """

    scale: FloatArray
    offset: FloatArray

    @classmethod
    def identity(cls, inputs: int) -> "Normalisation":
        """Leaves vectors of ``inputs`` elements as they are."""
        return cls(np.ones(inputs), np.zeros(inputs))

    def __call__(self, raw: np.ndarray) -> FloatArray:
        """Normalise ``raw``, of any shape [..., inputs], in double precision."""
        with np.errstate(over="ignore"):  # infinity saturates when it is quantised
            normalised: FloatArray = raw.astype(np.float64) * self.scale + self.offset
        return normalised


@dataclass(frozen=True)
class Model:
    """Float weights, the fraction bits that calibration chose, and the input normalisation.

    ``weights[layer]`` has shape [outputs, inputs] and ``biases[layer]`` shape [outputs].
    """

    weights: Mapping[str, FloatArray]
    biases: Mapping[str, FloatArray]
    fractions: Mapping[str, int]
    input_signed: bool
    normalisation: Normalisation

    @property
    def sizes(self) -> Sizes:
        """The sizes of the network, as the shapes of its weights have them."""
        hidden, inputs = self.weights["W_in"].shape
        return Sizes(input=inputs, hidden=hidden, classes=len(self.weights["head"]))

    def to_bytes(self) -> bytes:
        """The model as a safetensors file, single precision."""
        tensors = {
            f"{layer}.{kind}": np.ascontiguousarray(source[layer], dtype=np.float32)
            for kind, source in (("weight", self.weights), ("bias", self.biases))
            for layer in LAYERS
        }
        tensors["input.scale"] = np.asarray(self.normalisation.scale, dtype=np.float64)
        tensors["input.offset"] = np.asarray(self.normalisation.offset, dtype=np.float64)
        fractions = dict(sorted(self.fractions.items()))
        header = _Header(fractions=fractions, input_signed=self.input_signed)
        # All under one name: safetensors writes several in random order.
        return format_safetensors(tensors, metadata={METADATA: header.model_dump_json()})

    @classmethod
    def from_bytes(cls, data: bytes, source: Path) -> "Model":
        """Parse a model file's contents.

        Raises
        ------
        InputError
            If it is not a whole model file, or holds a value that is not finite.
        """
        try:
            tensors = parse_safetensors(data)
            described = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            metadata = parse_json(described["__metadata__"][METADATA], METADATA)
            header = _Header.model_validate(metadata)
            weights = {layer: tensors[f"{layer}.weight"] for layer in LAYERS}
            biases = {layer: tensors[f"{layer}.bias"] for layer in LAYERS}
            normalisation = Normalisation(tensors["input.scale"], tensors["input.offset"])
        except SafetensorError as error:
            raise InputError(f"{source}: must be a whole safetensors file: {error}") from error
        except KeyError as error:
            raise InputError(f"{source}: must be a gruhw model, but {error} is missing") from error
        except ValidationError as error:
            raise InputError(f"{source}: {first_problem(error)}") from error
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
        for name, tensor in tensors.items():
            if tensor.dtype.kind != "f":
                raise InputError(
                    f"{source}: {name} must hold floating-point numbers, not {tensor.dtype}"
                )
            if not np.isfinite(tensor).all():
                found = tensor[~np.isfinite(tensor)].flat[0]
                raise InputError(f"{source}: every value of {name} must be finite, not {found}")
        for name in ("W_in", "head"):
            if (found := weights[name].ndim) != 2:
                raise InputError(f"{source}: {name}.weight must have 2 dimensions, not {found}")
        model = cls(weights, biases, header.fractions, header.input_signed, normalisation)
        try:
            _ = model.sizes
        except ValidationError as error:
            raise InputError(f"{source}: sizes.{first_problem(error)}") from error
        return model

    def check_sizes(self, sizes: Sizes, source: Path) -> None:
        """Raise :class:`InputError` unless every array has the shape that ``sizes`` requires."""
        shapes = layer_shapes(sizes)
        required: list[tuple[str, Any, tuple[int, ...]]] = [
            *((f"{layer}.weight", self.weights[layer], shape) for layer, shape in shapes.items()),
            *((f"{layer}.bias", self.biases[layer], shape[:1]) for layer, shape in shapes.items()),
            ("input.scale", self.normalisation.scale, (sizes.input,)),
            ("input.offset", self.normalisation.offset, (sizes.input,)),
        ]
        for name, array, shape in required:
            if array.shape != shape:
                raise InputError(
                    f"{source}: shape of {name} must be {list(shape)} for the genome's sizes, "
                    f"not {list(array.shape)}"
                )


@dataclass(frozen=True)
class Network:
    """A genome bound to its trained model: all that hardware and reference are made from."""

    genome: Genome
    graph: Graph
    parameters: Parameters
    normalisation: Normalisation

    @classmethod
    def build(cls, genome: Genome, model: Model) -> "Network":
        """Quantise ``model`` to the widths of ``genome`` and fit the accumulators."""
        graph = build_graph(
            genome.sizes, genome.widths, model.fractions, input_signed=model.input_signed
        )
        parameters = quantise_parameters(graph.linears, model.weights, model.biases)
        return cls(genome, fit_accumulators(graph, parameters), parameters, model.normalisation)

    @property
    def weight_bits(self) -> int:
        """The size of all weight matrices, head included, in bits."""
        return weight_bits(self.genome)

    def encode(self, raw: np.ndarray) -> IntArray:
        """Raw samples, of shape [..., inputs], as the integers that the hardware takes."""
        return quantise(self.normalisation(raw), self.graph.input.type)


def weight_bits(genome: Genome) -> int:
    """The size of all weight matrices of a genome's network, head included, in bits."""
    shapes = layer_shapes(genome.sizes)
    return sum(genome.genes[f"{layer}.weight"] * prod(shape) for layer, shape in shapes.items())


def read_reference(folder: Path, file: str, sha256: str) -> tuple[Path, bytes]:
    """Read a file that a genome in ``folder`` names, checking its SHA-256."""
    path = folder / file
    data = read_bytes(path)
    check_sha256(path, data, sha256)
    return path, data


def load_model(genome: Genome, genome_path: Path) -> Model:
    """The model that the genome at ``genome_path`` names.

    Raises
    ------
    InputError
        If the genome names no model, or the file is missing, altered, damaged or does not fit.
    """
    if genome.model is None:
        raise InputError(f"{genome_path}: model is required, but missing: train one first")
    path, data = read_reference(genome_path.parent, genome.model.file, genome.model.sha256)
    model = Model.from_bytes(data, path)
    model.check_sizes(genome.sizes, path)
    return model


def load_network(genome_path: Path) -> Network:
    """The network of the genome at ``genome_path``; :class:`InputError` if a file is wrong."""
    genome = Genome.load(genome_path)
    model = load_model(genome, genome_path)
    try:
        return Network.build(genome, model)
    except InputError as error:
        raise InputError(f"{genome_path}: {error}") from error
