"""A saved design: a genome, bound to a trained model, and sample sequences, in a folder."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gruhw.basics.files import (
    PathLike,
    as_path,
    npz_bytes,
    sha256,
    write_atomic,
)
from gruhw.basics.values import instance, whole_number
from gruhw.errors import InputError, naming
from gruhw.learning.tasks import Split, Task, load_samples, sample_arrays, task_for
from gruhw.network.bound import Network, load_model, read_reference
from gruhw.network.genome import FileReference, Folding, Genome, Output
from gruhw.network.model import Model
from gruhw.network.parts import PARTS, PartName


@dataclass(frozen=True)
class Design:
    """A genome file, bound to its model.

    Parameters
    ----------
    path
        The genome file.
    genome
        Its contents, with what the command line changed.
    network
        Bound to the model.
    trained_on
        As of :class:`gruhw.network.model.Model`.
    """

    path: Path
    genome: Genome
    network: Network
    trained_on: str | None = None

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        pe: int | tuple[int, ...] | None = None,
        output: Output | None = None,
        every_step: bool = False,
    ) -> "Design":
        """Load the genome at ``path`` and its model, optionally with another folding or output.

        With ``every_step``, there are outputs at every step even if the genome says otherwise.

        Raises
        ------
        InputError
            If a file is wrong, or the folding or the output does not suit the network.
        """
        path = as_path(path)
        genome = Genome.load(path)
        changes: dict[str, Any] = {}
        if pe is not None:
            changes["folding"] = Folding.checked(pe, genome.network)
        if output is not None:
            changes["output"] = output
        if every_step:
            changes["network"] = genome.network.model_copy(update={"every_step": True})
        with naming(path):
            genome = genome.model_copy(update=changes)
        model = load_model(genome, path)
        with naming(path):
            network = Network.build(genome, model)
        return cls(path, genome, network, model.trained_on)

    def folded(self, pe: int | tuple[int, ...]) -> "Design":
        """The same design with another folding; :class:`InputError` if it does not suit."""
        folding = Folding.checked(pe, self.genome.network)
        genome = self.genome.model_copy(update={"folding": folding})
        return replace(self, genome=genome, network=replace(self.network, genome=genome))

    @property
    def name(self) -> str:
        """What people call the design: the name of its folder."""
        return self.path.resolve().parent.name

    def samples(self, data: PathLike | None = None, *, wanted: int = 1) -> Split:
        """Real test sequences: from ``data``, from the design's own samples, or from its task.

        The task's are used where the design's own are fewer than ``wanted``.

        Raises
        ------
        InputError
            If there are none, or they do not fit the network.
        """
        if data is not None:
            return self._suiting(load_samples(data), str(data))
        reference, task = self.genome.samples, self.genome.task
        if reference is not None:
            path, contents = read_reference(self.path.parent, reference.file, reference.sha256)
            found = self._suiting(load_samples(path, contents), str(path))
            if len(found) >= whole_number("wanted", wanted, 0) or task is None:
                return found
        if task is None:
            raise InputError(f"{self.path}: samples or task is required, but missing")
        return self.part("test", self.task(task))

    def task(self, name: str | None = None) -> Task:
        """The task of this name, or the genome's if it is None.

        Raises
        ------
        InputError
            If there is no such task, or neither names one.
        """
        chosen = name or self.genome.task
        if chosen is None:
            raise InputError(f"{self.path}: task is required, but missing: give --task")
        try:
            return task_for(chosen, self.network.architecture)
        except InputError as error:
            if chosen != self.genome.task:
                raise
            raise InputError(f"{self.path}: {error}") from error

    def part(self, name: PartName, task: Task) -> Split:
        """A whole part of the data of ``task``; :class:`InputError` if it does not fit."""
        if name not in PARTS:
            raise InputError(f"part must be one of {', '.join(PARTS)}, not {name!r}")
        found: Split = getattr(instance("task", task, Task).load(), name)
        self.check(found, f"task {task.name}")
        return found

    def _suiting(self, samples: Split, source: str) -> Split:
        """Samples as the network takes them; :class:`InputError` if they do not fit."""
        if self.network.architecture.every_step:
            samples = samples.at_every_step()
        self.check(samples, source)
        return samples

    def check(self, split: Split, source: str) -> None:
        """Raise :class:`InputError` unless the sequences of ``split`` fit the network."""
        check_split(split, self.genome, source, str(self.path))
        if self.network.span is not None and split.of_classes:
            raise InputError(
                f"{source}: y must be values, which {self.path} has learnt, not classes"
            )


def check_split(split: Split, genome: Genome, source: str, like: str) -> None:
    """Raise :class:`InputError` unless sequences from ``source`` fit the network of ``genome``.

    ``like`` says whose network it is.
    """
    network = genome.network
    elements = instance("samples", split, Split).x.shape[2]
    if elements != network.inputs:
        raise InputError(
            f"{source}: elements of a time step must be {network.inputs}, as in {like}, "
            f"not {elements}"
        )
    if split.of_every_step != network.every_step:
        when = ("of a sequence", "of every step")
        raise InputError(
            f"{source}: y must be {split.kind} {when[network.every_step]}, which {like} gives, not "
            f"{when[split.of_every_step]}"
        )
    if not split.of_classes:
        if genome.output == "class":
            raise InputError(f"{source}: y must be classes, for output class of {like}, not values")
        if (values := split.y.shape[-1]) != network.outputs:
            raise InputError(
                f"{source}: values of a sequence must be {network.outputs}, as in {like}, "
                f"not {values}"
            )
        return
    classes = max(network.outputs, 2)  # a single logit stands for two classes
    if (highest := split.y[split.counted].max(initial=0)) >= classes:
        raise InputError(
            f"{source}: labels must be 0 to {classes - 1}, as in {like}, not {highest}"
        )


def save_design(out: PathLike, genome: Genome, model: Model, samples: Split | None) -> Genome:
    """Write ``genome.json``, the model and, if given, the samples into the folder ``out``.

    Returns
    -------
    Genome
        With the references to the files.

    Raises
    ------
    InputError
        If the folder cannot be written, or model or samples do not fit the genome.
    """
    genome, model = instance("genome", genome, Genome), instance("model", model, Model)
    model.check_network(genome.network)
    model.typed(genome.genes)  # its fraction bits are those of these widths
    if samples is not None:
        check_split(samples, genome, "samples", "the genome")
    contents = {"model": ("model.safetensors", model.to_bytes())}
    if samples is not None:
        contents["samples"] = ("samples.npz", npz_bytes(sample_arrays(samples)))
    references, out = {}, as_path(out)
    for kind, (name, data) in contents.items():
        write_atomic(out / name, data)
        references[kind] = FileReference(file=name, sha256=sha256(data))
    complete = genome.model_copy(update=references)
    write_atomic(out / "genome.json", complete.to_json())
    return complete
