"""Spans on their way to a collector are in nobody's way."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from tracing.span import Span
from tracing.span_queue import SpanQueue


def span(n: int) -> Span:
    return Span("read", bytes(16), n.to_bytes(8), b"", 1, 2)


def test_every_span_is_handed_over_in_order() -> None:
    seen: list[bytes] = []
    counts: Counter[str] = Counter()

    def export(spans: Sequence[Span]) -> bool:
        seen.extend(each.span_id for each in spans)
        return True

    queue = SpanQueue(export, lambda outcome, n: counts.update({outcome: n}), linger_s=0.001)
    for n in range(1_000):
        queue.put(span(n))
    queue.close(within_s=30)
    assert seen == [n.to_bytes(8) for n in range(1_000)]
    assert counts == {"sent": 1_000}


def test_a_collector_that_hangs_costs_spans_and_no_time() -> None:
    entered, release = threading.Event(), threading.Event()
    counts: Counter[str] = Counter()

    def export(spans: Sequence[Span]) -> bool:
        entered.set()
        release.wait(30)
        return True

    queue = SpanQueue(export, lambda outcome, n: counts.update({outcome: n}), max_waiting=10, linger_s=0)
    queue.put(span(0))
    assert entered.wait(30)
    began = time.perf_counter()
    for n in range(1, 101):
        queue.put(span(n))
    assert time.perf_counter() - began < 5  # it would be 30 s if one of them waited
    assert counts == {"dropped": 90}
    release.set()
    queue.close(within_s=30)
    assert counts == {"dropped": 90, "sent": 11}


def test_a_collector_that_takes_none_or_raises_is_counted_and_asked_again() -> None:
    counts: Counter[str] = Counter()
    answers: Iterator[bool | Exception] = iter([False, RuntimeError("away on purpose"), True])
    done = threading.Event()

    def export(spans: Sequence[Span]) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def counted(outcome: str, n: int) -> None:
        counts.update({outcome: n})
        done.set()

    queue = SpanQueue(export, counted, linger_s=0)
    for n in range(3):
        done.clear()
        queue.put(span(n))
        assert done.wait(30)
    queue.close(within_s=30)
    assert counts == {"failed": 2, "sent": 1}


def test_a_collector_that_is_away_has_one_line_a_minute_and_one_once_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter([False, False, False, True])
    done = threading.Event()
    queue = SpanQueue(lambda spans: next(answers), lambda outcome, n: done.set(), linger_s=0)
    for n in range(4):
        done.clear()
        queue.put(span(n))
        assert done.wait(30)
    queue.close(within_s=30)
    assert [record.message for record in caplog.records] == ["spans_not_sent", "spans_sent_again"]
    assert vars(caplog.records[1])["n_lost"] == 3
