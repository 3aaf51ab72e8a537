"""Single values as the Python interface takes them: objects and numbers, checked."""

from collections.abc import Mapping
from contextlib import suppress
from math import inf, isfinite
from numbers import Real
from operator import index
from typing import Any, TypeVar

from gruhw.errors import InputError

LARGEST_SEED = 2**63 - 1
"""The largest seed that PyTorch takes."""

Kind = TypeVar("Kind")
Value = TypeVar("Value")


def instance(name: str, value: object, kind: type[Kind]) -> Kind:
    """``value`` itself, which must be a ``kind``; ``name`` says what it is, for messages.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(value, kind):
        return value
    required = kind.__name__
    raise InputError(f"{name} must be {one(required)}, not {type_name(value, required)}")


def one(kind: str) -> str:
    """The name of a type with its article."""
    return f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"


def mapping(name: str, value: Mapping[str, Value]) -> Mapping[str, Value]:
    """``value`` itself; :class:`InputError` if it is no mapping."""
    found: object = value
    if isinstance(found, Mapping):
        return value
    raise InputError(f"{name} must be a mapping, such as a dict, not {type_name(value)}")


def type_name(value: object, required: str = "") -> str:
    """What ``value`` is; with its module, if the type that is required has the same name."""
    name = "None" if value is None else type(value).__name__
    return f"{type(value).__module__}.{name}" if name == required else name


def whole(value: Any) -> int | None:
    """``value`` as an ``int``, if it is a whole number of Python or NumPy; None if it is not.

    Truth values are no numbers, and 4.0 is a real one.
    """
    if type(value) is int:  # much the fastest, and nearly always so
        return value
    if isinstance(value, bool):
        return None
    try:
        return index(value)
    except TypeError:
        return None


def whole_number(name: str, value: object, low: int, high: float = inf) -> int:
    """``value`` as an ``int``, which must be a whole number from ``low`` to ``high``.

    Raises
    ------
    InputError
        If it is something else.
    """
    number = whole(value)
    if number is not None and low <= number <= high:
        return number
    limits = f"of at least {low}" if high == inf else f"from {low} to {high}"
    found = repr(value) if number is None else number
    raise InputError(f"{name} must be a whole number {limits}, not {found}")


def truth(name: str, value: Any) -> bool:
    """``value`` as a ``bool``, which must be one of Python or NumPy.

    Raises
    ------
    InputError
        If it is something else.
    """
    numpy_bool = getattr(value, "dtype", None) == "bool" and not value.ndim
    if isinstance(value, bool) or numpy_bool:
        return bool(value)
    raise InputError(f"{name} must be True or False, not {value!r}")


def real_number(name: str, value: Any, low: float = 0.0, high: float = inf) -> float:
    """``value`` as a ``float``, which must be a finite number from ``low`` to ``high``.

    Raises
    ------
    InputError
        If it is something else.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number of hundreds of digits
            if isfinite(number := float(value)) and low <= number <= high:
                return number
    limits = f"of at least {low:g}" if high == inf else f"from {low:g} to {high:g}"
    raise InputError(f"{name} must be a number {limits}, not {value!r}")


def at_least_one(what: str, count: int) -> None:
    """Raise :class:`InputError` if ``count`` says that there is no ``what``."""
    if count < 1:
        raise InputError(f"at least 1 {what} is required, but there are {count}")
