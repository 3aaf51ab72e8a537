"""Settings of all tests."""

import signal

from hypothesis import settings

# A deadline for single examples would be a timing assertion.
settings.register_profile("gruhw", settings.default, deadline=None)
settings.load_profile("gruhw")

# Where the tests are started in the background of a shell, interrupts are ignored, also by the
# processes that they start; some tests interrupt themselves or others.
signal.signal(signal.SIGINT, signal.default_int_handler)
