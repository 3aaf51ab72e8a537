"""What the component of a linear operator is made of, which its price depends on, too."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gruhw.network.fixed import Fixed, IntArray
from gruhw.network.graph import Linear
from gruhw.network.parameters import Parameters, product_sums
from gruhw.network.schedule import Phase, Scheduled


@dataclass(frozen=True, eq=False)
class LinearPlan:
    """Every width and every constant of a linear operator.

    Parameters
    ----------
    operand, weight, result
        The types of what it multiplies and gives.
    frac
        The fraction bits of its accumulators.
    weights
        Integers, shape [outputs, inputs].
    biases
        Integers at the accumulator's scale, shape [outputs].
    phase
        When its terms are addressed and its accumulators leave.
    """

    operand: Fixed
    weight: Fixed
    result: Fixed
    frac: int
    weights: IntArray
    biases: IntArray
    phase: Phase

    @classmethod
    def of(cls, scheduled: Scheduled, parameters: Parameters) -> "LinearPlan":
        """The plan of an operator of a core, whose stage has these parameters."""
        node, typed = scheduled.node, scheduled.typed
        if not isinstance(node, Linear):
            raise TypeError(f"{node.name} must be a linear operator, not {type(node).__name__}")
        return cls(
            typed[node.operand],
            typed.weights[node.name],
            typed[node.name],
            typed.accumulators[node.name].frac,
            parameters.weights[node.name],
            parameters.biases[node.name],
            scheduled.phase,
        )

    @property
    def shift(self) -> int:
        """By how many bits an accumulator is finer than the result."""
        return self.frac - self.result.frac

    @property
    def rounding(self) -> int:
        """What is added before the bits below the result's scale are dropped."""
        return 1 << (self.shift - 1) if self.shift > 0 else 0

    @cached_property
    def shared_bias(self) -> int | None:
        """The bias that all units share; None if they differ."""
        same = (self.biases == self.biases[0]).all()
        return int(self.biases[0]) if same else None

    @cached_property
    def start(self) -> int:
        """What accumulators begin with: the rounding constant, and a bias that all units share."""
        return self.rounding + (self.shared_bias or 0)

    @cached_property
    def sums(self) -> tuple[IntArray, IntArray]:
        """The least and the greatest dot product of each unit, without its bias."""
        return product_sums(self.weights, self.operand)

    @cached_property
    def accumulator(self) -> Fixed:
        """The type of an accumulator: it holds every dot product, and what it begins with."""
        lowest, highest = self.sums
        ends = (int(lowest.min()), int(highest.max()))
        return Fixed.spanning((self.start, *(self.start + end for end in ends)), self.frac)

    @cached_property
    def total(self) -> Fixed:
        """The type of what is rounded: an accumulator, with the unit's own bias if it has one."""
        if self.shared_bias is not None:
            return self.accumulator
        sums = np.concatenate(self.sums) + np.tile(self.biases, 2) + self.rounding
        return Fixed.spanning((int(sums.min()), int(sums.max())), self.frac)

    @property
    def bias(self) -> Fixed:
        """The type of a bias in ROM."""
        return Fixed.spanning((int(self.biases.min()), int(self.biases.max())), self.frac)

    @property
    def product(self) -> Fixed:
        """The type of a product register. A Booth product lacks its carry: it may be one less."""
        exact = self.operand.product(self.weight)
        return Fixed.spanning((exact.minimum - 1, exact.maximum), exact.frac)

    @property
    def words(self) -> IntArray:
        """The codes of weights in memory order: shape [groups * terms, lanes], padded with zero."""
        phase = self.phase
        outputs, inputs = self.weights.shape
        padded = np.zeros((phase.groups * phase.lanes, phase.terms), dtype=np.int64)
        padded[:outputs, :inputs] = self.weights & ((1 << self.weight.bits) - 1)
        lanes = padded.reshape(phase.groups, phase.lanes, phase.terms)
        return lanes.transpose(0, 2, 1).reshape(-1, phase.lanes)

    @property
    def rom(self) -> list[int]:
        """The weight memory: for each group and term, the codes of all lanes, lane 0 lowest."""
        bits = self.weight.bits
        return [
            sum(code << (lane * bits) for lane, code in enumerate(word))
            for word in self.words.tolist()
        ]
