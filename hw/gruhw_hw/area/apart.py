"""Components that one run of synthesis maps apart from each other."""

from collections.abc import Mapping

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

PATH_BITS, PATH_SUMS = 8, 4
"""Of a long path: the width of its sums, and how many follow each other in a cycle. Sums of so many
bits become carry chains, which are the same whatever stands beside them."""


class Beside(wiring.Component):
    """Components beside each other, whose ports are its own: nothing is constant or unused.

    Parameters
    ----------
    components
        By the name of the submodule and of the port.
    """

    def __init__(self, components: Mapping[str, wiring.Component]) -> None:
        self._components = components
        super().__init__({name: Out(part.signature) for name, part in components.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, component in self._components.items():
            m.submodules[name] = component
            wiring.connect(m, wiring.flipped(getattr(self, name)), component)
        return m


class LongPath(wiring.Component):
    """Logic that is slower than that of most parts.

    ABC makes a module as fast as it can, then as small as that lets it. In an accelerator nearly
    every part has time left, because another one is slower; alone, it would be made larger than
    it is there. Beside a long path it has time too.
    """

    left: In(PATH_BITS)
    right: In(PATH_BITS)
    result: Out(PATH_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left, right = Signal(PATH_BITS), Signal(PATH_BITS)
        total: Value = left
        for count in range(PATH_SUMS):
            # What is no plain sum of sums stays a chain of them.
            total = (total + right)[:PATH_BITS] ^ right.rotate_left(count + 1)
        m.d.sync += [left.eq(self.left), right.eq(self.right), self.result.eq(total)]
        return m
