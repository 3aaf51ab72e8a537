"""What a cell is."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gruhw.basics.frozen import FrozenMapping
from gruhw.errors import InputError
from gruhw.network.graph import Graph


@dataclass(frozen=True)
class Stacked:
    """Where a framework keeps the weights of a cell: several of its matrices in one.

    Parameters
    ----------
    module
        The class that computes the cell, as ``torch.nn.GRU``.
    input, state
        The linear operators whose rows stand one after the other in ``weight_ih`` and
        ``bias_ih``, and in ``weight_hh`` and ``bias_hh``.
    """

    module: str
    input: tuple[str, ...]
    state: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent layer.

    Parameters
    ----------
    name
        As users give it: small letters, digits and underscores, a letter first.
    graph
        The time step for so many inputs and units.
    source
        Where it was published.
    framework
        The weights of the framework's own module, if it has one that computes this cell.
    initial_biases
        What biases are before training, by linear operator: zero where none is given.

    Raises
    ------
    InputError
        If the name is another.
    """

    name: str
    graph: Callable[[int, int], Graph]
    source: str
    framework: Stacked | None = None
    initial_biases: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if re.fullmatch(r"[a-z]\w*", self.name, re.ASCII) is None:
            raise InputError(
                "name of a cell must be small letters, digits and underscores, a letter first, "
                f"not {self.name!r}"
            )
        object.__setattr__(self, "initial_biases", FrozenMapping(self.initial_biases))
