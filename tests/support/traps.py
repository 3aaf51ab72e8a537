"""Names that shells, Yosys, make and simulators would read as something else."""

TRAP = """a b$(touch trap)';touch trap;'";touch trap;" #[b]x %s \\ *é"""
"""Whether a shell reads it bare or in either kind of quotes, it makes a file ``trap``."""
