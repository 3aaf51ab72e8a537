"""The genome: every bit width of an accelerator, its sizes and its folding, as a JSON file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic._internal._model_construction import ModelMetaclass

from gruhw.errors import InputError
from gruhw.files import PathLike, as_path, parse_json, read_bytes
from gruhw.frozen import FrozenMapping
from gruhw.values import mapping, whole

LINEAR = ("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn")
"""The operators that multiply by a weight matrix."""

OPERATORS = (
    *LINEAR,
    "add_r",
    "add_z",
    "sig_r",
    "sig_z",
    "mul_rh",
    "add_n",
    "tanh_n",
    "sub_z",
    "mul_zn",
    "mul_zh",
    "add_h",
)
"""The seventeen operators of a GRU cell (arXiv:2402.12263, section 3), in order of data flow."""

WEIGHTS = tuple(f"{op}.weight" for op in LINEAR)
"""The genes that give the weights of the linear operators their width."""

GENES = ("input", *OPERATORS, *WEIGHTS, "head.weight")
"""Every gene."""

SEARCHED_BITS = range(2, 9)
"""The widths that a search tries."""

LEGAL_BITS = range(1, 13)
"""The widths that a genome may have."""

MAXIMUM_SIZE = 1024
"""The most elements of an input vector, hidden units, classes and processing elements."""

Output: TypeAlias = Literal["class", "states"]

OUTPUTS: tuple[Output, ...] = get_args(Output)
"""Every kind of output stream."""


def describe_gene(name: str) -> str:
    """What a gene is the width of, for people: ``weight width of W_ir``."""
    operator, _, weight = name.partition(".")
    if name == "input":
        return "width of the input"
    return f"{'weight' if weight else 'result'} width of {operator}"


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
    """A width in bits for every gene of :data:`GENES`; immutable.

    Raises
    ------
    InputError
        If a gene is unknown, missing or outside :data:`LEGAL_BITS`.
    """

    @classmethod
    def of(cls, widths: Mapping[str, int]) -> "Genes":
        """``widths`` themselves if they are genes, and otherwise genes of these."""
        return widths if isinstance(widths, cls) else cls(widths)

    def __init__(self, widths: Mapping[str, int]) -> None:
        for name in mapping("genes", widths):
            if name not in GENES:
                raise InputError(f"gene must be one of {', '.join(GENES)}, not {name!r}")
        for name in GENES:
            if name not in widths:
                raise InputError(f"{describe_gene(name)} (gene {name}) is required, but missing")
        super().__init__({name: check_width(name, widths[name]) for name in GENES})

    def __hash__(self) -> int:
        return hash(tuple(self.values()))


def homogeneous(bits: int) -> Genes:
    """The genes of the usual baseline: ``bits`` everywhere."""
    return Genes(dict.fromkeys(GENES, bits))


@dataclass(frozen=True)
class Preset:
    """A choice of the widths that a search may move, and of what follows them.

    Parameters
    ----------
    name
        As users give it on the command line.
    free
        The genes that are searched, in the order of a genome's vector.
    tied
        For other genes, the free gene that they equal.
    fixed
        For the rest, their width.
    """

    name: str
    free: tuple[str, ...]
    tied: Mapping[str, str]
    fixed: Mapping[str, int]

    def __post_init__(self) -> None:
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
                    f"gene of preset {self.name} must be one of {', '.join(self.free)}, "
                    f"not {name!r}"
                )
        tied = {name: widths[source] for name, source in self.tied.items() if source in widths}
        return Genes({**self.fixed, **widths, **tied})


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "operators17",
            free=OPERATORS,
            tied={f"{op}.weight": op for op in LINEAR},
            fixed={"input": 8, "head.weight": 8},
        ),
        Preset("full", free=GENES, tied={}, fixed={}),
    )
}
"""The presets by name: ``operators17`` ties each linear operator's weight and result width, as
arXiv:2402.12263 does; ``full`` frees every gene."""


class _Checked(ModelMetaclass):
    """Lets a constructor raise :class:`InputError`, where pydantic has errors of its own."""

    def __call__(self, *arguments: Any, **fields: Any) -> Any:
        try:
            return super().__call__(*arguments, **fields)
        except ValidationError as error:
            raise InputError(first_problem(error)) from error


class _Strict(BaseModel, metaclass=_Checked):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same with some fields replaced, which are validated as all others were."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**kept, **(update or {})})

    def __setattr__(self, name: str, value: object) -> None:
        raise InputError(
            f"{name} of a {type(self).__name__} cannot change: "
            f"model_copy(update={{{name!r}: ...}}) gives another one"
        )


def _plain(value: object) -> object:
    """A whole number of NumPy as one of Python, which are the only ones that pydantic knows."""
    number = whole(value)
    return value if number is None else number


class Sizes(_Strict):
    """Elements of the input vector, hidden units and classes."""

    input: Annotated[int, Field(ge=1, le=MAXIMUM_SIZE), BeforeValidator(_plain)]
    hidden: Annotated[int, Field(ge=1, le=MAXIMUM_SIZE), BeforeValidator(_plain)]
    classes: Annotated[int, Field(ge=2, le=MAXIMUM_SIZE), BeforeValidator(_plain)]


class Folding(_Strict):
    """How much of the network exists as hardware at the same time.

    ``pe`` processing elements each compute one hidden unit (or one class); the rest wait
    their turn.
    """

    pe: Annotated[int, Field(ge=1, le=MAXIMUM_SIZE), BeforeValidator(_plain)] = 1

    @classmethod
    def checked(cls, pe: int, hidden: int) -> "Folding":
        """A folding for so many hidden units; :class:`InputError` if it does not suit."""
        found = whole(pe)
        if found is None or not 1 <= found <= hidden:
            raise InputError(f"pe must be 1 to the {hidden} hidden units, not {pe}")
        return cls(pe=found)


SHA256 = r"[0-9a-f]{64}"
"""A SHA-256 in hexadecimal, as a pattern."""

Sha256: TypeAlias = Annotated[str, Field(pattern=f"^{SHA256}$")]
"""A string of this pattern."""


class FileReference(_Strict):
    """A file beside the genome, pinned by its SHA-256."""

    file: str
    sha256: Sha256

    @field_validator("file")
    @classmethod
    def _validate_file(cls, value: str) -> str:
        if value in ("", ".", "..") or any(mark in value for mark in "/\\\0"):
            raise ValueError(f"file must be the name of a file beside the genome, not {value!r}")
        return value


class Genome(_Strict):
    """A design: what ``genome.json`` holds.

    ``output`` selects what the accelerator's output stream carries: ``class`` (the logits and
    the class index at the end of a sequence) or ``states`` (the hidden state after every step).
    ``samples`` names real sequences that travel with the design.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    format: Literal["gruhw-genome"] = "gruhw-genome"
    version: Literal[1] = 1
    task: Annotated[str, Field(min_length=1)] | None = None
    sizes: Sizes
    genes: Annotated[Genes, PlainSerializer(dict)]
    folding: Folding = Folding()
    output: Output = "class"
    model: FileReference | None = None
    samples: FileReference | None = None

    @field_validator("version", mode="before")
    @classmethod
    def _validate_version(cls, value: object) -> object:
        if type(value) is not int:  # pydantic takes True and 1.0 for 1
            raise ValueError(f"version: input should be 1, not {value!r}")
        return value

    @field_validator("genes", mode="before")
    @classmethod
    def _validate_genes(cls, value: object) -> Genes:
        if not isinstance(value, Mapping):
            raise ValueError(f"genes must be an object of gene names and widths, not {value!r}")
        return Genes.of(value)

    @model_validator(mode="after")
    def _validate_folding(self) -> "Genome":
        if self.folding.pe > self.sizes.hidden:
            raise ValueError(
                f"folding.pe must be at most the {self.sizes.hidden} hidden units, "
                f"not {self.folding.pe}"
            )
        return self

    @model_serializer(mode="wrap")
    def _drop_absent(self, handler: Any) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}

    def to_json(self) -> str:
        """The genome file's text; the same genome gives the same text."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> "Genome":
        """Parse a genome file's text.

        Raises
        ------
        InputError
            One line naming ``source``, the field, what was required and what was found.
        """
        content = parse_json(text, source)
        for required in ("format", "version") if isinstance(content, dict) else ():
            if required not in content:
                raise InputError(f"{source}: {required} is required, but missing")
        try:
            return cls.model_validate(content)
        except InputError as error:
            raise InputError(f"{source}: genes: {error}") from error
        except ValidationError as error:
            raise InputError(f"{source}: {first_problem(error)}") from error

    @classmethod
    def load(cls, path: PathLike) -> "Genome":
        """Read and validate the genome file at ``path``; :class:`InputError` if it is wrong."""
        return cls.from_json(read_bytes(as_path(path)), str(path))


def first_problem(error: ValidationError) -> str:
    """The first problem that pydantic found, in one line."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        last = str(first["loc"][-1]) if first["loc"] else ""
        return field.removesuffix(last) + message
    if first["type"] in ("model_type", "dict_type"):
        return f"{field} must be an object, not {first['input']!r}".lstrip()
    if first["type"] == "missing":
        return f"{field} is required, but missing"
    if first["type"] == "extra_forbidden":
        return f"{field} is not a field of this file"
    requirement = message[:1].lower() + message[1:]
    return f"{field}: {requirement}, not {first['input']!r}"
