"""Trained arrays by the names of files."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn


class Named(nn.Module):
    """Parameters by the names of files, as ``l0.W_ir``.

    PyTorch allows neither dots in names nor names that its modules have already: it knows this
    parameter as ``l0/W_ir``.

    Parameters
    ----------
    arrays
        What they begin with.
    """

    def __init__(self, arrays: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._attributes = {}
        for name in sorted(arrays):
            attribute = name.replace(".", "/")
            if hasattr(self, attribute):
                attribute = f"/{attribute}"
            self._attributes[name] = attribute
            self.register_parameter(attribute, nn.Parameter(arrays[name]))

    def __getitem__(self, name: str) -> nn.Parameter:
        parameter: nn.Parameter = getattr(self, self._attributes[name])
        return parameter

    def __iter__(self) -> Iterator[str]:
        return iter(self._attributes)

    def __len__(self) -> int:
        return len(self._attributes)

    def items(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Each name and its parameter."""
        return ((name, self[name]) for name in self)
