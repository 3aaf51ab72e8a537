"""What all objects that files hold have in common: checked when made, and never changed."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic._internal._model_construction import ModelMetaclass

from gruhw.basics.values import one, whole
from gruhw.errors import InputError

MAXIMUM_SIZE = 1024
"""The most elements of an input vector, units of a layer, outputs and processing elements."""


class _Checked(ModelMetaclass):
    """Lets a constructor raise :class:`InputError`, where pydantic has errors of its own."""

    def __call__(self, *arguments: Any, **fields: Any) -> Any:
        try:
            return super().__call__(*arguments, **fields)
        except ValidationError as error:
            raise InputError(first_problem(error)) from error


class Strict(BaseModel, metaclass=_Checked):
    """Takes no field that it does not know, and no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """The same with some fields replaced, which are validated as all others were."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**{**kept, **(update or {})})

    def __setattr__(self, name: str, value: object) -> None:
        raise InputError(
            f"{name} of {one(type(self).__name__)} cannot change: "
            f"model_copy(update={{{name!r}: ...}}) gives another one"
        )


def plain(value: object) -> object:
    """A whole number of NumPy as one of Python, which are the only ones that pydantic knows."""
    number = whole(value)
    return value if number is None else number


Size: TypeAlias = Annotated[int, Field(ge=1, le=MAXIMUM_SIZE), BeforeValidator(plain)]
"""A number of elements."""


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
