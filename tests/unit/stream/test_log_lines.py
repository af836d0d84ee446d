"""Lines of the log: fields as ``name=value``, and few of what happens often."""

from __future__ import annotations

import logging

import pytest

from stream.log_lines import SparseLine


def test_a_sparse_line_is_written_a_few_times_a_minute_and_counts_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    now_s = 100.0
    line = SparseLine(logging.getLogger("shop"), "bell_rang", n_lines=2, every_s=60.0, clock=lambda: now_s)
    assert [line.write(door=n) for n in range(5)] == [True, True, False, False, False]
    now_s += 59.9
    assert not line.write(door=5)
    now_s += 0.1
    assert [line.write(door=n) for n in range(6, 9)] == [True, True, False]
    now_s += 3600.0
    assert line.write(door=9)
    written = [(vars(record)["door"], vars(record)["left_out"]) for record in caplog.records]
    assert written == [(0, 0), (1, 0), (6, 4), (7, 0), (9, 1)]
    assert {(record.message, record.levelno) for record in caplog.records} == {("bell_rang", logging.INFO)}
