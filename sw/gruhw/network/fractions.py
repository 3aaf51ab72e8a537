"""Fraction bits: what calibration chose for every tensor, and for which width."""

from collections.abc import Mapping

from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.values import mapping, whole_number
from gruhw.errors import InputError
from gruhw.network.genes import check_width, describe_gene

FRACTION_BITS = range(-14, 25)
"""What fraction bits may be, so that aligned sums of 12-bit results are exact in float64."""


def check_fraction(name: str, bits: object) -> int:
    """Return ``bits`` if they may be the fraction bits of the tensor ``name``.

    Raises
    ------
    InputError
        If they are not a whole number within :data:`FRACTION_BITS`.
    """
    return whole_number(f"fraction bits of {name}", bits, FRACTION_BITS[0], FRACTION_BITS[-1])


class Fractions(FrozenMapping[int]):
    """The fraction bits of tensors, by name; immutable.

    Fraction bits belong to a width: those of 8 bits let 4 bits saturate almost everywhere.

    Parameters
    ----------
    fractions
        The fraction bits of each tensor.
    widths
        The width in bits that each tensor's were chosen for. None if nobody knows, as in model
        files of version 1: they then pass for any width.

    Raises
    ------
    InputError
        If a value is outside :data:`FRACTION_BITS`, a width outside
        :data:`gruhw.network.genes.LEGAL_BITS`, or a tensor has no width.
    """

    def __init__(
        self, fractions: Mapping[str, int], widths: Mapping[str, int] | None = None
    ) -> None:
        chosen = mapping("fractions", fractions)
        super().__init__({name: check_fraction(name, bits) for name, bits in chosen.items()})
        self._widths: dict[str, int] | None = None
        if widths is not None:
            for name in fractions:
                if name not in mapping("widths", widths):
                    raise InputError(f"{describe_gene(name)} is required, but missing")
            self._widths = {name: check_width(name, widths[name]) for name in fractions}

    @classmethod
    def of(cls, fractions: Mapping[str, int]) -> "Fractions":
        """``fractions`` themselves, or other ones of whose widths nothing is known."""
        return fractions if isinstance(fractions, cls) else cls(fractions)

    @property
    def widths(self) -> Mapping[str, int] | None:
        """The width that each tensor's were chosen for; None if nobody knows."""
        return None if self._widths is None else dict(self._widths)

    def check(self, widths: Mapping[str, int]) -> None:
        """Raise :class:`InputError` unless there are fraction bits for tensors of these widths."""
        missing = sorted(widths.keys() - self.keys())
        if missing:
            raise InputError(f"fraction bits of {missing[0]} are required, but missing")
        for name, bits in widths.items():
            if self._widths is not None and self._widths[name] != bits:
                raise InputError(
                    f"{describe_gene(name)} must be {self._widths[name]} bits, for which its "
                    f"fraction bits were chosen, not {bits}: choose them anew with "
                    "gruhw calibrate --genome FILE --task TASK, or train with gruhw train"
                )
