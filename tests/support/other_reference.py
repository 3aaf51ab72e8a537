"""What someone else would write who has nothing but a design folder: the GRU in integers.

It knows ``parameters.npz`` and the arithmetic of the documentation, and nothing of gruhw.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

LINEAR = ("W_ir", "W_iz", "W_in", "W_hr", "W_hz", "W_hn")


class OtherReference:
    """Computes every operator from the contents of ``parameters.npz``."""

    def __init__(self, parameters: Arrays) -> None:
        self.parameters = parameters

    def frac(self, name: str) -> int:
        return int(self.parameters[f"{name}.frac"])

    def bits(self, name: str) -> int:
        return int(self.parameters[f"{name}.bits"])

    def requantise(self, values: NDArray[Any], frac: int, name: str) -> NDArray[Any]:
        """Round half up, saturate. Doubles are exact: nothing here has more than 50 bits."""
        assert np.abs(values).max(initial=0) < 1 << 50
        rounded = np.floor(values * 2.0 ** (self.frac(name) - frac) + 0.5)
        bits, signed = self.bits(name), bool(self.parameters[f"{name}.signed"])
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        found: NDArray[Any] = np.clip(rounded, low, high).astype(np.int64)
        return found

    def linear(self, name: str, operand: NDArray[Any], operand_frac: int) -> NDArray[Any]:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        total = np.stack([(weight * vector).sum(axis=1) + bias for vector in operand])
        frac = operand_frac + int(self.parameters[f"{name}.weight_frac"])
        return self.requantise(total, frac, name)

    def table(self, name: str, operand: str, values: NDArray[Any]) -> NDArray[Any]:
        contents: NDArray[Any] = self.parameters[f"{name}.table"]
        assert contents.shape == (2 ** self.bits(operand),)
        looked_up: NDArray[Any] = contents[values % 2 ** self.bits(operand)]
        return looked_up

    def step(self, x: NDArray[Any], h: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """All operators of one time step, from inputs [N, I] and states [N, H]."""
        v = {name: self.linear(name, x, self.frac("input")) for name in LINEAR[:3]}
        v |= {name: self.linear(name, h, self.frac("add_h")) for name in LINEAR[3:]}

        def add(name: str, left: str, right: str) -> None:
            fine = max(self.frac(left), self.frac(right))
            total = v[left] * 2 ** (fine - self.frac(left)) + v[right] * 2 ** (
                fine - self.frac(right)
            )
            v[name] = self.requantise(total, fine, name)

        def multiply(name: str, left: str, right: str) -> None:
            frac = self.frac(left) + self.frac("add_h" if right == "h" else right)
            v[name] = self.requantise(v[left] * (h if right == "h" else v[right]), frac, name)

        add("add_r", "W_ir", "W_hr")
        add("add_z", "W_iz", "W_hz")
        v["sig_r"] = self.table("sig_r", "add_r", v["add_r"])
        v["sig_z"] = self.table("sig_z", "add_z", v["add_z"])
        multiply("mul_rh", "sig_r", "W_hn")
        add("add_n", "W_in", "mul_rh")
        v["tanh_n"] = self.table("tanh_n", "add_n", v["add_n"])
        one = 2 ** self.bits("sig_z")
        v["sub_z"] = self.requantise(one - v["sig_z"], self.bits("sig_z"), "sub_z")
        multiply("mul_zn", "sub_z", "tanh_n")
        multiply("mul_zh", "sig_z", "h")
        add("add_h", "mul_zn", "mul_zh")
        return v

    def run(self, x: NDArray[Any], length: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every operator [N, T, H], zero past a sequence's end; ``logits`` and ``class``."""
        count, steps, _ = x.shape
        hidden = len(self.parameters["W_hr.bias"])
        state = np.zeros((count, hidden), dtype=np.int64)
        found: dict[str, NDArray[Any]] = {}
        for t in range(steps):
            inside = (t < length)[:, np.newaxis]
            values = self.step(x[:, t], state)
            for name, result in values.items():
                kept = found.setdefault(name, np.zeros((count, steps, hidden), dtype=np.int64))
                kept[:, t] = np.where(inside, result, 0)
            state = np.where(inside, values["add_h"], state)
        found["logits"] = self.linear("head", state, self.frac("add_h"))
        # The lowest index wins ties.
        best = found["logits"].max(axis=1, keepdims=True)
        found["class"] = (found["logits"] == best).argmax(axis=1)
        return found
