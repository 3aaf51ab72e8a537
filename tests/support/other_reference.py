"""What someone else would write who has nothing but a design folder: the network in integers.

It knows ``parameters.npz``, the layers, and the arithmetic of the documentation, and nothing of
gruhw.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Layer:
    """Computes the operators of a layer in one time step after the other.

    Parameters
    ----------
    parameters
        The contents of ``parameters.npz``.
    prefix
        What stands there before the names of the layer's operators.
    source
        The name there of what the layer reads.
    """

    def __init__(self, parameters: Arrays, prefix: str, source: str) -> None:
        self.parameters = parameters
        self.prefix = prefix
        self.source = source
        self.values: dict[str, NDArray[Any]] = {}
        self.kept: dict[str, NDArray[Any]] = {}
        self.kept_types: dict[str, str] = {}

    def about(self, name: str, what: str) -> NDArray[Any]:
        """What the file says of an operator, of a state, or of the layer's input ``x``."""
        if name == "x":
            return self.parameters[f"{self.source}.{what}"]
        return self.parameters[f"{self.prefix}{self.kept_types.get(name, name)}.{what}"]

    def frac(self, name: str) -> int:
        return int(self.about(name, "frac"))

    def bits(self, name: str) -> int:
        return int(self.about(name, "bits"))

    def requantise(self, values: NDArray[Any], frac: int, name: str) -> NDArray[Any]:
        """Round half up, saturate. Doubles are exact: nothing here has more than 50 bits."""
        assert np.abs(values).max(initial=0) < 1 << 50
        rounded = np.floor(values * 2.0 ** (self.frac(name) - frac) + 0.5)
        bits, signed = self.bits(name), bool(self.about(name, "signed"))
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        found: NDArray[Any] = np.clip(rounded, low, high).astype(np.int64)
        return found

    def state(self, name: str, source: str, count: int) -> None:
        """Let the state ``name`` begin, which is what the operator ``source`` gave before."""
        # A row of 1 is as good as one of all units: it is only zero.
        zero = np.zeros(1, dtype=np.int64)
        initial = self.parameters.get(f"{self.prefix}{name}.initial", zero)
        self.kept[name], self.kept_types[name] = np.tile(initial, (count, 1)), source

    def linear(self, name: str, operand: str) -> None:
        weight, bias = self.about(name, "weight"), self.about(name, "bias")
        total = np.stack([(weight * vector).sum(axis=1) + bias for vector in self.values[operand]])
        frac = self.frac(operand) + int(self.about(name, "weight_frac"))
        self.values[name] = self.requantise(total, frac, name)

    def add(self, name: str, left: str, right: str) -> None:
        fine = max(self.frac(left), self.frac(right))
        parts = [self.values[each] * 2 ** (fine - self.frac(each)) for each in (left, right)]
        self.values[name] = self.requantise(parts[0] + parts[1], fine, name)

    def multiply(self, name: str, left: str, right: str) -> None:
        product = self.values[left] * self.values[right]
        self.values[name] = self.requantise(product, self.frac(left) + self.frac(right), name)

    def one_minus(self, name: str, operand: str) -> None:
        one = 2 ** self.frac(operand)
        self.values[name] = self.requantise(one - self.values[operand], self.frac(operand), name)

    def table(self, name: str, operand: str) -> None:
        contents = self.about(name, "table")
        assert contents.shape == (2 ** self.bits(operand),)
        self.values[name] = contents[self.values[operand] % 2 ** self.bits(operand)]

    def gate(self, letter: str, function: str) -> None:
        """A function of the sum of two products, of the input and of the state ``h``."""
        self.linear(f"W_i{letter}", "x")
        self.linear(f"W_h{letter}", "h")
        self.add(f"add_{letter}", f"W_i{letter}", f"W_h{letter}")
        self.table(f"{function}_{letter}", f"add_{letter}")


def gru(v: Layer) -> str:
    v.gate("r", "sig")
    v.gate("z", "sig")
    v.linear("W_in", "x")
    v.linear("W_hn", "h")
    v.multiply("mul_rh", "sig_r", "W_hn")
    v.add("add_n", "W_in", "mul_rh")
    v.table("tanh_n", "add_n")
    v.one_minus("sub_z", "sig_z")
    v.multiply("mul_zn", "sub_z", "tanh_n")
    v.multiply("mul_zh", "sig_z", "h")
    v.add("add_h", "mul_zn", "mul_zh")
    return "add_h"


def ugrnn(v: Layer) -> str:
    v.gate("z", "sig")
    v.gate("n", "tanh")
    v.one_minus("sub_z", "sig_z")
    v.multiply("mul_zn", "sub_z", "tanh_n")
    v.multiply("mul_zh", "sig_z", "h")
    v.add("add_h", "mul_zn", "mul_zh")
    return "add_h"


def mgu(v: Layer) -> str:
    v.gate("f", "sig")
    v.linear("W_in", "x")
    v.linear("W_hn", "h")
    v.multiply("mul_fh", "sig_f", "W_hn")
    v.add("add_n", "W_in", "mul_fh")
    v.table("tanh_n", "add_n")
    v.one_minus("sub_f", "sig_f")
    v.multiply("mul_kept", "sub_f", "h")
    v.multiply("mul_fn", "sig_f", "tanh_n")
    v.add("add_h", "mul_kept", "mul_fn")
    return "add_h"


def lstm(v: Layer) -> str:
    v.gate("i", "sig")
    v.gate("f", "sig")
    v.gate("g", "tanh")
    v.gate("o", "sig")
    v.multiply("mul_fc", "sig_f", "c")
    v.multiply("mul_ig", "sig_i", "tanh_g")
    v.add("add_c", "mul_fc", "mul_ig")
    v.table("tanh_c", "add_c")
    v.multiply("mul_h", "sig_o", "tanh_c")
    return "mul_h"


def dense(v: Layer) -> str:
    v.linear("W", "x")  # whose type is unsigned where a ReLU follows
    return "W"


def dense_tanh(v: Layer) -> str:
    v.linear("W", "x")
    v.table("tanh", "W")
    return "tanh"


def head(v: Layer) -> str:
    v.linear("head", "x")
    return "head"


CELLS: Mapping[str, tuple[Callable[[Layer], str], Mapping[str, str]]] = {
    "gru": (gru, {"h": "add_h"}),
    "ugrnn": (ugrnn, {"h": "add_h"}),
    "mgu": (mgu, {"h": "add_h"}),
    "lstm": (lstm, {"h": "mul_h", "c": "add_c"}),
}
"""A time step of each cell, and of which operator each of its states is the result."""


class OtherReference:
    """Computes every operator from the contents of ``parameters.npz``.

    Parameters
    ----------
    parameters
        These contents.
    layers
        The layers as ``genome.json`` has them: ``gru:32``, ``dense:8:relu``.
    output
        The genome's.
    every_step
        Whether the head computes after every step.
    carries
        Whether states go on from sequence to sequence.
    """

    def __init__(
        self,
        parameters: Arrays,
        layers: Sequence[str] = ("gru:",),
        output: str = "class",
        *,
        every_step: bool = False,
        carries: bool = False,
    ) -> None:
        self.parameters = parameters
        self.layers = layers
        self.output = output
        self.every_step = every_step
        self.carries = carries

    def run(self, x: NDArray[Any], length: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Every operator [N, T, H]; ``logits`` and, where that is the output, ``class``.

        Where a layer computes nothing, its operators are zero: past a sequence's end; and before
        its last step, if no state is behind and no state is asked for, nor an output.
        """
        whole = inside = np.arange(x.shape[1]) < length[:, np.newaxis]
        recurrent = [not layer.startswith("dense") for layer in self.layers]
        found: dict[str, NDArray[Any]] = {}
        source = "input"
        for number, layer in enumerate(self.layers):
            prefix = f"l{number}." if len(self.layers) > 1 else ""
            if not (self.every_step or self.output == "states" or any(recurrent[number:])):
                inside = np.arange(x.shape[1]) == length[:, np.newaxis] - 1
            values, emits = self._layer(layer, Layer(self.parameters, prefix, source), x, inside)
            found |= {prefix + name: result for name, result in values.items()}
            source, x = prefix + emits, values[emits]
        last = Layer(self.parameters, "", source)
        places = x.reshape(-1, x.shape[2]) if self.every_step else x[np.arange(len(x)), length - 1]
        last.values["x"] = places
        logits = last.values[head(last)]
        if self.every_step:
            logits = np.where(whole[..., np.newaxis], logits.reshape(*x.shape[:2], -1), 0)
        found["logits"] = logits
        if self.output != "values":
            # The lowest index wins ties; a logit alone stands for class 1 where it is positive.
            best = logits.max(axis=-1, keepdims=True)
            alone = logits.shape[-1] == 1
            found["class"] = (logits[..., 0] > 0) * 1 if alone else (logits == best).argmax(axis=-1)
        return found

    def _layer(
        self, text: str, layer: Layer, x: NDArray[Any], inside: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], str]:
        """All results of a layer, zero where it is not ``inside``; and the one that it emits."""
        cell, _, rest = text.partition(":")
        step, states = CELLS.get(cell, (dense_tanh if rest.endswith("tanh") else dense, {}))
        (count, steps, _), found = x.shape, dict[str, NDArray[Any]]()
        # Side by side; or one after the other, each with what the one before has left.
        together = [slice(n, n + 1) for n in range(count)] if self.carries else [slice(count)]
        for name, source in states.items():
            layer.state(name, source, 1 if self.carries else count)
        for some, t in ((some, t) for some in together for t in range(steps)):
            layer.values = {"x": x[some, t], **layer.kept}
            emits = step(layer)
            now = inside[some, t, np.newaxis]
            for name, result in layer.values.items():
                if name not in ("x", *states):
                    shape = (count, steps, result.shape[1])
                    kept = found.setdefault(name, np.zeros(shape, dtype=np.int64))
                    kept[some, t] = np.where(now, result, 0)
            for name, source in states.items():
                layer.kept[name] = np.where(now, layer.values[source], layer.kept[name])
        return found, emits
