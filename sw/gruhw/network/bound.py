"""A genome bound to its trained model: the network that hardware and reference are made from."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from numpy.typing import ArrayLike

from gruhw.basics.files import PathLike, as_path, check_sha256, read_bytes
from gruhw.basics.values import instance
from gruhw.errors import GruhwWarning, InputError, naming
from gruhw.network.architecture import Architecture, Stage
from gruhw.network.encoding import encode
from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.fractions import Fractions
from gruhw.network.genome import Genome
from gruhw.network.graph import INPUT, Graph
from gruhw.network.model import Model
from gruhw.network.normalisation import Normalisation as Normalisation
from gruhw.network.normalisation import Span
from gruhw.network.parameters import Parameters, fit_accumulators
from gruhw.network.typed import Typed


@dataclass(frozen=True)
class BoundStage:
    """A stage with its types and integers.

    Parameters
    ----------
    stage
        Its names and its graph.
    typed
        The graph's types, with accumulators that the weights just fit into.
    parameters
        Weights, biases and initial states.
    """

    stage: Stage
    typed: Typed
    parameters: Parameters

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.stage.name

    @property
    def graph(self) -> Graph:
        """Its time step."""
        return self.stage.graph


@dataclass(frozen=True)
class Network:
    """A genome bound to its trained model: all that hardware and reference are made from.

    Parameters
    ----------
    genome
        Widths, folding and output.
    stages
        The layers, then the head.
    normalisation
        Of raw samples.
    span
        Relative to which the head computes values; None if it computes them as they are.
    """

    genome: Genome
    stages: tuple[BoundStage, ...]
    normalisation: Normalisation
    span: Span | None = None

    @classmethod
    def build(cls, genome: Genome, model: Model) -> "Network":
        """Quantise ``model`` to the widths of ``genome`` and fit the accumulators.

        Raises
        ------
        InputError
            If the networks differ, an initial state is out of range, or fraction bits are missing
            or were chosen for other widths.
        """
        genome = instance("genome", genome, Genome)
        instance("model", model, Model).check_network(genome.network)
        stages = []
        for stage, typed in zip(genome.network.stages, model.typed(genome.genes), strict=True):
            parameters = model.parameters(stage, typed)
            stages.append(BoundStage(stage, fit_accumulators(typed, parameters), parameters))
        return cls(genome, tuple(stages), model.normalisation, model.span)

    @property
    def architecture(self) -> Architecture:
        """What it computes."""
        return self.genome.network

    @property
    def layers(self) -> tuple[BoundStage, ...]:
        """All stages but the head."""
        return self.stages[:-1]

    @property
    def head(self) -> BoundStage:
        """The last stage."""
        return self.stages[-1]

    @property
    def input_type(self) -> Fixed:
        """The type of an input element."""
        return self.stages[0].typed[INPUT]

    @property
    def weight_bits(self) -> int:
        """The size of all weight matrices, head included, in bits."""
        return weight_bits(self.genome)

    def encode(self, raw: ArrayLike, lengths: ArrayLike | None = None) -> IntArray:
        """Raw samples as the hardware takes them: see :func:`gruhw.network.encoding.encode`."""
        return encode(self.normalisation, self.input_type, raw, lengths)


def weight_bits(genome: Genome) -> int:
    """The size of all weight matrices of a genome's network, head included, in bits."""
    return sum(weight_bits_by_stage(genome).values())


def weight_bits_by_stage(genome: Genome) -> dict[str, int]:
    """The size of the weight matrices of each stage, in bits, by its name."""
    genes = instance("genome", genome, Genome).genes
    return {
        stage.name: sum(
            genes[f"{stage.spell(node.name)}.weight"] * node.outputs * node.inputs
            for node in stage.graph.linears
        )
        for stage in genome.network.stages
    }


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
        model.check_network(genome.network)
    return replace(model, network=genome.network)


def load_network(genome_path: PathLike) -> Network:
    """The network of the genome at ``genome_path``; :class:`InputError` if a file is wrong."""
    genome = Genome.load(genome_path)
    model = load_model(genome, genome_path)
    with naming(genome_path):
        return Network.build(genome, model)
