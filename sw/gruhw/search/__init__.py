"""Search: which widths classify as well as 8 bits, for less."""
