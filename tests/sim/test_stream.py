"""The bench of a source that cannot wait."""

import stream

from gruhw.network.planning import schedule_of


def test_no_step_of_a_stream_is_lost() -> None:
    _, network = stream.streaming_network(3)
    interval = schedule_of(network).step_interval
    period, heard = stream.listen(3, 400)
    assert period == interval
    assert heard.elements == 2 * 400
    assert (heard.missing, heard.late, heard.wrong) == (0, 0, 0)
    _, slower = stream.listen(3, 100, interval + 7)
    assert (slower.missing, slower.late, slower.wrong) == (0, 0, 0)


def test_a_stream_that_is_too_fast_comes_late() -> None:
    """The bench can fail: one cycle less is too little."""
    _, network = stream.streaming_network(3)
    _, heard = stream.listen(3, 100, schedule_of(network).step_interval - 1)
    assert heard.late > 100
    assert heard.missing > 0
