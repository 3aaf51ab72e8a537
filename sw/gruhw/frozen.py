"""Values that nobody can change once they were checked."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._content})"


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of ``array`` that cannot be written; ``array`` itself if it is one already."""
    # A view of an array that can be written still changes with it.
    if not array.flags.writeable and array.base is None:
        return array
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy
