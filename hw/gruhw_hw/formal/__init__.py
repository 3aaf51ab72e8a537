"""Proofs about the hardware: what ``gruhw prove`` shows."""

from gruhw_hw.formal.proof import Proof, prove_network

__all__ = ["Proof", "prove_network"]
