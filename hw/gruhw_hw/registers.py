"""The register that every operator's result stands in."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring


def register_result(m: Module, component: wiring.Component, value: Value) -> None:
    """Load ``value`` into the component's result register when it is enabled.

    Registers of data are not reset: nothing reads them before they are written.
    """
    register = Signal(component.result.shape(), name="register", reset_less=True)
    with m.If(component.enable):
        m.d.sync += register.eq(value)
    m.d.comb += component.result.eq(register)
