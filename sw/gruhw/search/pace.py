"""How long a phase of a search will take, for people who wait; no result depends on it."""

import time
from collections import deque

REPORTS = 30
"""Over how many of the last reports a pace is taken."""


class Pace:
    """How fast a phase goes, from when this is made.

    Attributes
    ----------
    left
        Seconds until all is done, if it goes on like this; None if unknown.
    """

    def __init__(self) -> None:
        self._reports = deque([(time.monotonic(), 0)], maxlen=REPORTS)
        self.left: float | None = None

    def report(self, done: int, total: int) -> None:
        """Take note of what is done, of ``total`` parts that take about as long each."""
        began, before = self._reports[0]
        if done > self._reports[-1][1]:
            now = time.monotonic()
            self._reports.append((now, done))
            self.left = (total - done) * (now - began) / (done - before)
