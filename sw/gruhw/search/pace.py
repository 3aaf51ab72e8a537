"""How fast a phase of a search goes, for people who wait; no result depends on it."""

import time
from collections import deque

REPORTS = 30
"""Over how many of the last reports a rate is taken."""


class Pace:
    """How fast a phase goes, from when this is made.

    Attributes
    ----------
    rate
        Parts a second; None until some are done.
    """

    def __init__(self) -> None:
        self._reports = deque([(time.monotonic(), 0)], maxlen=REPORTS)
        self.rate: float | None = None

    def report(self, done: int) -> None:
        """Take note of how many parts are done, which take about as long each."""
        began, before = self._reports[0]
        now = time.monotonic()
        if done > self._reports[-1][1] and now > began:
            self._reports.append((now, done))
            self.rate = (done - before) / (now - began)

    def left(self, parts: int) -> float | None:
        """Seconds until so many more are done, if it goes on like this; None if unknown."""
        return parts / self.rate if self.rate else None
