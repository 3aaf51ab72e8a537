"""Amaranth datapath of the GRU accelerator, and the flows that synthesise it."""
