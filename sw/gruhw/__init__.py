"""Mixed-precision accelerators for gated recurrent networks, from description to commands."""

__version__ = "0.1.0"
