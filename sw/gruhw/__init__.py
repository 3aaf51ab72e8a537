"""Mixed-precision GRU accelerators: genome, operator graph, quantised model, reference."""

__version__ = "0.1.0"
