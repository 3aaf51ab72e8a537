"""Genes: a width in bits for everything in a network that has one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gruhw.basics.frozen import FrozenMapping
from gruhw.basics.values import instance, mapping, whole
from gruhw.errors import InputError
from gruhw.network.architecture import Architecture
from gruhw.network.graph import INPUT

SEARCHED_BITS = range(2, 9)
"""The widths that a search tries."""

LEGAL_BITS = range(1, 13)
"""The widths that a genome may have."""

USUAL_BITS = 8
"""The width of what the preset ``operators17`` leaves alone, as most accelerators have it."""

LISTED = 40
"""The most names that a message lists."""


def describe_gene(name: str) -> str:
    """What a gene is the width of, for people: ``weight width of W_ir``."""
    if name == INPUT:
        return "width of the input"
    operator = name.removesuffix(".weight")
    return f"{'result' if operator == name else 'weight'} width of {operator}"


def check_width(name: str, bits: object) -> int:
    """Return ``bits`` if it is a legal width for the gene ``name``.

    Raises
    ------
    InputError
        If it is not a whole number within :data:`LEGAL_BITS`.
    """
    found = whole(bits)
    if found is None or found not in LEGAL_BITS:
        low, high = LEGAL_BITS[0], LEGAL_BITS[-1]
        shown = repr(bits) if found is None else found
        raise InputError(f"{describe_gene(name)} must be {low} to {high} bits, not {shown}")
    return found


class Genes(FrozenMapping[int]):
    """A width in bits for every gene of a network, by the names of files; immutable.

    Parameters
    ----------
    network
        What has the genes: see :attr:`gruhw.network.architecture.Architecture.genes`.
    widths
        Their widths.

    Raises
    ------
    InputError
        If a gene is unknown, missing or outside :data:`LEGAL_BITS`.
    """

    @classmethod
    def of(cls, network: Architecture, widths: Mapping[str, int]) -> "Genes":
        """``widths`` themselves if they are genes of this network; otherwise genes of these."""
        if isinstance(widths, cls) and widths.network == network:
            return widths
        return cls(network, widths)

    def __init__(self, network: Architecture, widths: Mapping[str, int]) -> None:
        self._network = instance("network", network, Architecture)
        names = network.gene_names
        known = frozenset(names)
        for name in mapping("genes", widths):
            if name not in known:
                raise InputError(f"gene must be one of {listed(names)}, not {name!r}")
        for name in names:
            if name not in widths:
                raise InputError(f"{describe_gene(name)} (gene {name}) is required, but missing")
        super().__init__({name: check_width(name, widths[name]) for name in names})

    @property
    def network(self) -> Architecture:
        """What has these genes."""
        return self._network

    def changed(self, widths: Mapping[str, int]) -> "Genes":
        """The same but for these ``widths``; :class:`InputError` as of the class."""
        return Genes(self._network, {**self, **mapping("widths", widths)})

    def __hash__(self) -> int:
        return hash(tuple(self.values()))


def listed(names: tuple[str, ...]) -> str:
    """Names for a message, those in the middle left out if there are very many."""
    if len(names) <= LISTED:
        return ", ".join(names)
    half = LISTED // 2
    return f"{', '.join(names[:half])}, ..., {', '.join(names[-half:])}"


def homogeneous(network: Architecture, bits: int) -> Genes:
    """The genes of the usual baseline: ``bits`` everywhere."""
    names = instance("network", network, Architecture).gene_names
    return Genes(network, dict.fromkeys(names, bits))


@dataclass(frozen=True)
class Preset:
    """A choice of the widths that a search may move, and of what follows them.

    Parameters
    ----------
    name
        As users give it on the command line.
    network
        What has the widths.
    free
        The genes that are searched, in the order of a genome's vector.
    tied
        For other genes, the free gene that they equal.
    fixed
        For the rest, their width.
    """

    name: str
    network: Architecture
    free: tuple[str, ...]
    tied: Mapping[str, str]
    fixed: Mapping[str, int]

    def __post_init__(self) -> None:
        instance("network", self.network, Architecture)
        object.__setattr__(self, "tied", FrozenMapping(self.tied))
        object.__setattr__(self, "fixed", FrozenMapping(self.fixed))

    def genes(self, widths: Mapping[str, int]) -> Genes:
        """All genes from the ``widths`` of the free ones.

        Raises
        ------
        InputError
            If ``widths`` does not give exactly the free genes, or gives an illegal width.
        """
        for name in mapping("widths", widths):
            if name not in self.free:
                raise InputError(
                    f"gene of preset {self.name} must be one of {listed(self.free)}, not {name!r}"
                )
        tied = {name: widths[source] for name, source in self.tied.items() if source in widths}
        return Genes(self.network, {**self.fixed, **widths, **tied})


def _operators17(network: Architecture) -> Preset:
    genes = [gene for gene in network.genes if gene.stage]
    results = {(gene.stage, gene.operator): gene.name for gene in genes if gene.kind == "result"}
    tied, fixed = {}, {INPUT: USUAL_BITS}
    for gene in genes:
        if gene.kind == "weight":
            if (gene.stage, gene.operator) in results:
                tied[gene.name] = results[gene.stage, gene.operator]
            else:
                fixed[gene.name] = USUAL_BITS
    return Preset("operators17", network, tuple(results.values()), tied, fixed)


def _full(network: Architecture) -> Preset:
    return Preset("full", network, network.gene_names, {}, {})


_PRESETS: Mapping[str, Callable[[Architecture], Preset]] = {
    "operators17": _operators17,
    "full": _full,
}

PRESETS = tuple(_PRESETS)
"""The presets by name: ``operators17`` ties each linear operator's weight and result width, as
arXiv:2402.12263 does for the seventeen operators of a GRU; ``full`` frees every gene."""


def preset_of(name: str, network: Architecture) -> Preset:
    """A preset for a network; :class:`InputError` if there is none of this name."""
    if name not in _PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return _PRESETS[name](instance("network", network, Architecture))
