"""The bench of a source that cannot wait."""

from pathlib import Path

import stream

from gruhw.network.planning import schedule_of


def test_no_step_of_a_stream_is_lost(tmp_path: Path) -> None:
    _, network = stream.streaming_network(3)
    interval = schedule_of(network).step_interval
    period, heard = stream.listen(3, 400, cache=tmp_path)
    assert period == interval
    assert heard.elements == 2 * 400
    assert (heard.missing, heard.late, heard.wrong) == (0, 0, 0)
    _, slower = stream.listen(3, 100, interval + 7, tmp_path)
    assert (slower.missing, slower.late, slower.wrong) == (0, 0, 0)
    # The bench can fail: one cycle less is too little.
    _, faster = stream.listen(3, 100, interval - 1, tmp_path)
    assert faster.late > 100
    assert faster.missing > 0
