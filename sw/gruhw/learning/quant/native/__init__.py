"""The time steps of a stage as compiled C++: an interpreter of the graph for speed.

PyTorch's own operators, one after the other, take ten times as long on these small vectors.
"""

from gruhw.learning.quant.native.steps import CompiledSteps

__all__ = ["CompiledSteps"]
