"""How much is tried: more every night."""

from hypothesis import settings

NIGHTLY = 10
"""How many times as many examples `make nightly` tries."""

USUAL = "gruhw"
# A deadline for single examples would be a timing assertion.
settings.register_profile(USUAL, max_examples=100, deadline=None)
settings.register_profile("nightly", max_examples=NIGHTLY * 100, deadline=None)


def examples(count: int) -> int:
    """``count`` examples, or more with the profile ``nightly``."""
    return count * settings.default.max_examples // 100
