"""What has a price: terms, which are counted."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["general", "specific", "exact"]
"""How much is known of a price, from synthesis:

============  ==================================================================
``general``   it is shared by all combinations of widths, or sizes
``specific``  it is that of a single combination, on top of what all have in common
``exact``     it is that of a single combination that was synthesised by itself
============  ==================================================================
"""


class Term(NamedTuple):
    """Something of which every piece takes about the same area.

    ``name`` is what calibration files call it; no two kinds have terms of the same name.
    """

    name: str
    kind: Kind


Terms: TypeAlias = dict[Term, float]
"""How many there are of each term."""


class _Known(dict[str, Term]):
    """The terms of a kind by their names, each made once: there are few, and searches ask often."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, name: str) -> Term:
        found = self[name] = Term(name, self._kind)
        return found


_GENERAL, _SPECIFIC, _EXACT = _Known("general"), _Known("specific"), _Known("exact")


def general(counts: Mapping[str, float]) -> Terms:
    """Terms of all combinations, by their names."""
    return {_GENERAL[name]: count for name, count in counts.items()}


def specific(counts: Mapping[str, float]) -> Terms:
    """Terms of single combinations, by their names."""
    return {_SPECIFIC[name]: count for name, count in counts.items()}


def exact(counts: Mapping[str, float]) -> Terms:
    """Terms of single combinations that are synthesised by themselves, by their names."""
    return {_EXACT[name]: count for name, count in counts.items()}


def add_terms(found: Terms, more: Mapping[Term, float], count: float = 1) -> None:
    """Add ``count`` times some terms to others."""
    for term, value in more.items():
        found[term] = found.get(term, 0) + value * count
