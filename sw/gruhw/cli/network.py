"""Options that say what a network computes, and the network that they say."""

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from typer.core import TyperCommand, TyperOption

from gruhw.basics.strict import MAXIMUM_SIZE
from gruhw.cli.choices import InitialState, OutputKind
from gruhw.errors import InputError
from gruhw.network.architecture import ACTIVATIONS, DENSE, Architecture, Layer
from gruhw.network.cells import cells

if TYPE_CHECKING:
    from gruhw.learning.tasks import Task
    from gruhw.network.genome import Genome

CELLS = "{cells}"
"""Stands for the names of all cells in an option's help."""


class NamingCells(TyperCommand):
    """A command whose help names the cells.

    Installed packages are looked through for them only then: other commands should not wait for
    it, nor fail because of a package.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, cells named."""
        for option in self.params:
            if isinstance(option, TyperOption) and CELLS in (option.help or ""):
                option.help = str(option.help).replace(CELLS, ", ".join(cells()))
        super().format_options(ctx, formatter)


LayersOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--layers",
        help=f"Layers from the input on, as in gru:32,gru:32. CELL is {CELLS} or {DENSE}, which "
        f"may have an activation: {DENSE}:UNITS:{' or '.join(ACTIVATIONS)}. If absent, those of "
        "the design to start from, or a GRU as the task usually has it.",
        metavar="CELL:UNITS,...",
    ),
]
HiddenOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--hidden",
        help="Short for --layers gru:N.",
        min=1,
        max=MAXIMUM_SIZE,
        metavar="N",
    ),
]
NetworkOutputOption: TypeAlias = Annotated[
    OutputKind | None,
    typer.Option(
        "--output",
        help="The output stream's contents; of two classes, values are a single logit. What the "
        "task has, if absent.",
    ),
]
InitialOption: TypeAlias = Annotated[
    InitialState | None,
    typer.Option(
        "--initial",
        help="What states begin a sequence with: zero, a trained constant for each unit, or what "
        "the sequence before left (carry), so that all are one stream. That of the design to start "
        "from, or zero, if absent.",
    ),
]


EveryStepOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--every-step",
        help="Give outputs after every step of a sequence, and not after the last alone. What data "
        "say of a sequence is then right of each of its steps. So it always is where data say "
        "something of every step.",
    ),
]


def parse_layers(text: str) -> tuple[Layer, ...]:
    """Layers as users give them; :class:`InputError` if one is none."""
    return tuple(map(Layer.parse, text.split(",")))


def layers_text(network: Architecture) -> str:
    """The layers of a network as users give them."""
    return ",".join(map(str, network.layers))


def given_layers(layers: str | None, hidden: int | None) -> str | None:
    """The layers that both options say, in the usual spelling; None without either.

    Raises
    ------
    InputError
        If both were given, or a layer is none.
    """
    if layers is not None and hidden is not None:
        raise InputError("--hidden N is short for --layers gru:N: give one of them")
    if hidden is not None:
        return f"gru:{hidden}"
    return None if layers is None else ",".join(map(str, parse_layers(layers)))


def check_like(
    network: Architecture,
    layers: str | None,
    initial: InitialState | None,
    source: object,
    *,
    every_step: bool = False,
) -> None:
    """Raise :class:`InputError` unless options, if given, say the same as the network has.

    ``source`` is where the network comes from.
    """
    known = layers_text(network)
    if layers not in (None, known):
        raise InputError(f"layers must be {known}, as in {source}, or absent, not {layers}")
    if initial not in (None, network.initial):
        raise InputError(
            f"initial must be {network.initial}, as in {source}, or absent, not {initial}"
        )
    if every_step and not network.every_step:
        raise InputError(f"--every-step must be absent: {source} gives outputs at the end alone")


def network_for(
    task: "Task",
    layers: str | None,
    output: OutputKind | None,
    initial: InitialState | None,
    like: "Genome | None" = None,
) -> tuple[Architecture, OutputKind]:
    """The network that options say, and what it gives.

    Parameters
    ----------
    task
        What it is for: it has the task's inputs and outputs.
    layers, output, initial
        As given.
    like
        A design that has the layers, which :func:`check_like` compared.

    Raises
    ------
    InputError
        If layers do not make a network, or the task has no such output.
    """
    if like is not None:
        layers, initial = layers_text(like.network), like.network.initial
    single = like is not None and like.network.outputs == 1
    network = task.network(
        layers, output=output or ("values" if single else None), initial=initial or "zero"
    )
    return network, task.output_of(network, output)
