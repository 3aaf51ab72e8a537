"""Mappings that nobody can change once they were checked."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

Value = TypeVar("Value")


class FrozenMapping(Mapping[str, Value]):
    """A mapping from names that keeps what it was made from; unlike a proxy it can be pickled."""

    def __init__(self, content: Mapping[str, Value]) -> None:
        self._content = dict(content)

    def __getitem__(self, name: str) -> Value:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __or__(self, other: Mapping[str, Value]) -> dict[str, Value]:
        """A dictionary of both; as with dictionaries, the other one's values win."""
        return {**self, **other}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._content})"
