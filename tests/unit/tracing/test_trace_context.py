"""What is taken for a place in a trace, by W3C Trace Context."""

from __future__ import annotations

import pytest

from tracing.trace_context import carried, derived_span_id, of_carried, parse_traceparent, traceparent_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_a_place_is_read_and_written_alike() -> None:
    text = f"00-{TRACE}-{SPAN}-01".encode()
    place = parse_traceparent(text)
    assert place is not None
    assert (place.trace_id.hex(), place.span_id.hex(), place.sampled) == (TRACE, SPAN, True)
    assert traceparent_of(place) == text
    assert of_carried(carried(place.trace_id, place.span_id)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-0g",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_malformed_counts_as_none(text: str) -> None:
    assert parse_traceparent(text.encode()) is None


def test_a_later_version_may_say_more() -> None:
    place = parse_traceparent(f"01-{TRACE}-{SPAN}-03-what-comes".encode())
    assert place is not None
    assert place.sampled


def test_a_span_that_is_named_alike_is_the_same_span_of_its_trace_alone() -> None:
    one, other = bytes.fromhex(TRACE), bytes(15) + b"1"
    assert derived_span_id(one, "fold", 1, 23) == derived_span_id(one, "fold", 1, 23)
    assert len({derived_span_id(*of) for of in ((one, "a", 12), (one, "a", 1, 2), (other, "a", 12))}) == 3


def test_an_entry_that_carried_no_trace_has_no_place() -> None:
    assert of_carried(b"") is None
    assert of_carried(b"short") is None
