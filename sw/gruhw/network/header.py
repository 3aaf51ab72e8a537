"""What a model file says besides its tensors."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from gruhw.basics.arrays import Shape, shaped
from gruhw.errors import InputError
from gruhw.network.architecture import Architecture, Layer
from gruhw.network.fractions import Fractions
from gruhw.network.genome import Sha256
from gruhw.network.normalisation import Normalisation as Normalisation

METADATA = "gruhw"
"""The name of the model file's only metadata entry."""


ArrayKind: TypeAlias = Literal["weight", "bias", "initial"]

RANKS: Mapping[ArrayKind, Shape] = {
    "weight": ("outputs", "inputs"),
    "bias": ("outputs",),
    "initial": ("units",),
}
"""The dimensions of a model's arrays: of weights and biases, and of what states begin with."""


class Header(BaseModel):
    """What the model file holds besides tensors.

    Version 1 has no widths: ``fractions`` are numbers. In version 2 each says for which width it
    was chosen. Without ``trained_on``, nobody knows what the weights were trained on. The network
    is one GRU that begins with zero, unless version 3 says what it is. Of cells that are not
    gruhw's own, ``cells`` says what they compute.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["gruhw-model"] = "gruhw-model"
    version: Literal["1", "2", "3"] = "2"
    network: dict[str, Any] | None = None
    cells: dict[str, Sha256] | None = None
    fractions: dict[str, Any]
    input_signed: bool
    trained_on: Sha256 | None = None

    @classmethod
    def of(
        cls, network: Architecture, fractions: Fractions, *, spanned: bool, **others: Any
    ) -> "Header":
        names, widths = sorted(fractions), fractions.widths
        described: dict[str, Any] = {name: fractions[name] for name in names}
        if widths is not None:
            described = {n: {"bits": widths[n], "frac": fractions[n]} for n in names}
        if spanned or network != one_gru(network.inputs, network.most_units, network.outputs):
            content = network.model_dump(mode="json")
            cells = dict(network.other_cells) or None
            return cls(version="3", network=content, cells=cells, fractions=described, **others)
        return cls(version="1" if widths is None else "2", fractions=described, **others)

    def chosen(self) -> Fractions:
        """The fraction bits, and for which widths they were chosen.

        Raises
        ------
        InputError
            If an entry has another form than the version requires, or a value is out of range.
        """
        if self.version == "1" or (self.version == "3" and self._plain()):
            return Fractions(self.fractions)
        for name, entry in self.fractions.items():
            if not isinstance(entry, dict) or entry.keys() != {"bits", "frac"}:
                raise InputError(f"fractions.{name} must have bits and frac, not {entry!r}")
        return Fractions(
            {name: entry["frac"] for name, entry in self.fractions.items()},
            {name: entry["bits"] for name, entry in self.fractions.items()},
        )

    def _plain(self) -> bool:
        return all(isinstance(entry, int) for entry in self.fractions.values())

    def architecture(self, tensors: Mapping[str, Any]) -> Architecture:
        """What the model computes; where the file does not say it, its shapes do."""
        if self.version == "3":
            if self.network is None:
                raise InputError("network is required, but missing")
            network = Architecture.model_validate(self.network)
            for name, known in (self.cells or {}).items():
                if network.other_cells.get(name, known) != known:
                    raise InputError(
                        f"the cell of layer {name} of {network} must be the one that was trained, "
                        "but it computes something else now"
                    )
            return network
        for name in ("network", "cells"):
            if getattr(self, name) is not None:
                raise InputError(f"{name} is a field of version 3 of a model file")
        names = [f"{layer}.weight" for layer in ("W_in", "head")]
        shapes = [shaped(name, tensors[name], RANKS["weight"]).shape for name in names]
        (hidden, inputs), (outputs, _) = shapes
        return one_gru(inputs, hidden, outputs)


def one_gru(inputs: int, hidden: int, outputs: int) -> Architecture:
    """What every network was before version 3."""
    return Architecture(inputs=inputs, layers=(Layer("gru", hidden),), outputs=outputs)
