"""Search: which widths do as well as 8 bits, for less."""
