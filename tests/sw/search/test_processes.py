"""Processes that work for this one: what it does meanwhile, and how long that will take."""

import time
from multiprocessing import get_context

import pytest
from waiting import begin_to_wait, wait_for_event

from gruhw.search.pace import REPORTS, Pace
from gruhw.search.processes import Processes


def test_there_are_glances_while_nothing_is_finished() -> None:
    glanced = get_context("spawn").Event()
    with Processes(2, begin_to_wait, (glanced,)) as processes:
        assert sorted(processes(wait_for_event, range(3), glanced.set)) == [
            (0, True), (1, True), (2, True)
        ]  # fmt: skip


def test_the_time_left_is_that_of_the_latest_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    pace = Pace()
    pace.report(0)
    assert (pace.rate, pace.left(10)) == (None, None)
    now += 6
    pace.report(2)
    assert pace.left(8) == pytest.approx(24)
    now += 60
    pace.report(2)  # nothing new
    assert pace.left(8) == pytest.approx(24)
    now += 6
    pace.report(6)
    assert pace.left(4) == pytest.approx(48)
    for done in range(7, 7 + REPORTS):
        now += 2
        pace.report(done)
    assert pace.left(10) == pytest.approx(20)
    assert pace.left(0) == 0
