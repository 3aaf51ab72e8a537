"""Settings of all tests."""

from hypothesis import settings

# A deadline for single examples would be a timing assertion.
settings.register_profile("gruhw", settings.default, deadline=None)
settings.load_profile("gruhw")
