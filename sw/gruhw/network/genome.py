"""The genome: every bit width of an accelerator, its network and its folding, as a JSON file."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from gruhw.basics.files import PathLike, as_path, parse_json, read_bytes
from gruhw.basics.strict import MAXIMUM_SIZE, Size, Strict, first_problem, plain
from gruhw.basics.values import whole
from gruhw.errors import InputError
from gruhw.network.architecture import Architecture, Layer
from gruhw.network.genes import Genes

Output: TypeAlias = Literal["class", "values", "states"]

OUTPUTS: tuple[Output, ...] = get_args(Output)
"""Every kind of output stream."""

OLD_OUTPUTS: tuple[Output, ...] = ("class", "states")
"""Those of version 1 of the file."""


def _processing_elements(value: Any) -> int | tuple[int, ...]:
    several = isinstance(value, list | tuple)
    found = [whole(one) for one in (value if several else [value])]
    numbers = tuple(one for one in found if one is not None and 1 <= one <= MAXIMUM_SIZE)
    if not numbers or len(numbers) < len(found):
        raise ValueError(
            f"pe must be a whole number from 1 to {MAXIMUM_SIZE}, or a list of some, not {value!r}"
        )
    return numbers if several else numbers[0]


class Folding(Strict):
    """How much of the network exists as hardware at the same time.

    ``pe`` processing elements each compute one unit (or one output); the rest wait their turn. One
    number counts for every layer, of which some may be smaller; several are one for each layer.
    The head has those of the last layer.
    """

    pe: Annotated[
        int | tuple[int, ...],
        PlainValidator(_processing_elements),
        PlainSerializer(lambda pe: list(pe) if isinstance(pe, tuple) else pe, return_type=Any),
    ] = 1

    @classmethod
    def checked(cls, pe: int | tuple[int, ...], network: Architecture) -> "Folding":
        """A folding for a network; :class:`InputError` if it does not suit."""
        problem = _unsuitable(pe, network)
        if problem:
            raise InputError(problem)
        return cls(pe=pe)

    def lanes(self, network: Architecture) -> tuple[int, ...]:
        """The processing elements of every stage."""
        each = self.pe if isinstance(self.pe, tuple) else (self.pe,) * len(network.layers)
        units = [stage.graph.units for stage in network.stages]
        return tuple(map(min, (*each, each[-1]), units))


def _unsuitable(pe: Any, network: Architecture) -> str:
    """Why ``pe`` does not suit a network; empty if it does."""
    if not isinstance(pe, tuple):
        most = network.most_units
        found = whole(pe)
        units = "hidden units" if len(network.layers) == 1 else "units of the largest layer"
        suits = found is not None and 1 <= found <= most
        return "" if suits else f"pe must be 1 to the {most} {units}, not {pe}"
    if len(pe) != len(network.layers):
        layers = len(network.layers)
        each = f"one number, or {layers} for as many layers" if layers > 1 else "one number"
        return f"pe must be {each}, not {len(pe)}"
    for index, (one, layer) in enumerate(zip(pe, network.layers, strict=True)):
        found = whole(one)
        if found is None or not 1 <= found <= layer.units:
            return f"pe of layer {index} must be 1 to its {layer.units} units, not {one}"
    return ""


SHA256 = r"[0-9a-f]{64}"
"""A SHA-256 in hexadecimal, as a pattern."""

Sha256: TypeAlias = Annotated[str, Field(pattern=f"^{SHA256}$")]
"""A string of this pattern."""


class FileReference(Strict):
    """A file beside the genome, pinned by its SHA-256."""

    file: str
    sha256: Sha256

    @field_validator("file")
    @classmethod
    def _validate_file(cls, value: str) -> str:
        if value in ("", ".", "..") or any(mark in value for mark in "/\\\0"):
            raise ValueError(f"file must be the name of a file beside the genome, not {value!r}")
        return value


class _Sizes(Strict):
    """Of version 1, whose network is a GRU of ``hidden`` units."""

    input: Size
    hidden: Size
    classes: Annotated[int, Field(ge=2, le=MAXIMUM_SIZE), BeforeValidator(plain)]


class Genome(Strict):
    """A design: what ``genome.json`` holds.

    ``output`` selects what the accelerator's output stream carries at the end of a sequence, or
    after every step if the network says so: ``class`` (the logits, then the index of the largest)
    or ``values`` (what the head computes); or ``states``, what the last layer emits after every
    step. ``samples`` names real sequences that travel with the design.

    A network that version 1 of the file can say, one GRU that begins with zero, is written so.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    format: Literal["gruhw-genome"] = "gruhw-genome"
    task: Annotated[str, Field(min_length=1)] | None = None
    network: Architecture
    genes: Annotated[Genes, PlainSerializer(dict)]
    folding: Folding = Folding()
    output: Output = "class"
    model: FileReference | None = None
    samples: FileReference | None = None

    @model_validator(mode="before")
    @classmethod
    def _validate_version(cls, content: Any) -> Any:
        """Turn a file's fields of either version into those of this class."""
        if not isinstance(content, dict) or "version" not in content:
            return content
        fields = dict(content)
        version = fields.pop("version")
        if type(version) is not int or version not in (1, 2):  # True and 1.0 are equal to 1
            raise ValueError(f"version: input should be 1 or 2, not {version!r}")
        if version == 1:
            _check_old(fields)
            sizes = _old_sizes(fields.pop("sizes"))
            fields["network"] = Architecture(
                inputs=sizes.input, layers=(Layer("gru", sizes.hidden),), outputs=sizes.classes
            )
        elif "sizes" in fields:
            raise ValueError("sizes is a field of version 1: version 2 has network")
        return fields

    @field_validator("genes", mode="before")
    @classmethod
    def _validate_genes(cls, value: object, info: Any) -> object:
        if not isinstance(value, Mapping):
            raise ValueError(f"genes must be an object of gene names and widths, not {value!r}")
        network = info.data.get("network")
        return value if network is None else Genes.of(network, value)

    @model_validator(mode="after")
    def _validate_network(self) -> "Genome":
        if problem := _unsuitable(self.folding.pe, self.network):
            raise ValueError(f"folding.{problem}")
        if self.output == "class" and self.network.outputs < 2:
            raise ValueError(
                "network.outputs must be at least 2 for output class, not "
                f"{self.network.outputs}: one logit is a value"
            )
        return self

    @property
    def version(self) -> int:
        """Of the file that it becomes: 1 where that suffices."""
        alone = len(self.network.layers) == 1 and self.network.layers[0].cell == "gru"
        simple = isinstance(self.folding.pe, int) and self.output in OLD_OUTPUTS
        simple &= self.network.initial == "zero" and not self.network.every_step
        old = alone and simple and self.network.outputs > 1
        return 1 if old else 2

    @model_serializer(mode="wrap")
    def _serialise(self, handler: Any) -> dict[str, Any]:
        fields = {name: value for name, value in handler(self).items() if value is not None}
        found = {"format": fields.pop("format"), "version": self.version}
        if "task" in fields:
            found["task"] = fields.pop("task")
        if self.version == 1:
            del fields["network"]
            layer = self.network.layers[0]
            found["sizes"] = {
                "input": self.network.inputs,
                "hidden": layer.units,
                "classes": self.network.outputs,
            }
        return found | fields

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


def _check_old(fields: dict[str, Any]) -> None:
    """Raise :class:`ValueError` where fields are not those of version 1."""
    if "network" in fields:
        raise ValueError("network is a field of version 2: version 1 has sizes")
    if "sizes" not in fields:
        raise ValueError("sizes is required, but missing")
    if "output" in fields and fields["output"] not in OLD_OUTPUTS:
        allowed = " or ".join(OLD_OUTPUTS)
        raise ValueError(f"output must be {allowed} in version 1, not {fields['output']!r}")
    folding = fields.get("folding")
    if isinstance(folding, dict) and isinstance(folding.get("pe"), list):
        raise ValueError(f"folding.pe must be one number in version 1, not {folding['pe']}")


def _old_sizes(value: Any) -> _Sizes:
    if not isinstance(value, dict):
        raise ValueError(f"sizes must be an object, not {value!r}")
    try:
        return _Sizes.model_validate(value)
    except ValidationError as error:
        raise ValueError(f"sizes.{first_problem(error)}") from error
