"""What ``nextbest segments`` prints for people."""

from __future__ import annotations

from api.services.segments import SegmentSize
from cli.segments import WIDE, lines_of

RULE = " || ".join(f"traits.town == 'town {n}' && n_orders > {n}" for n in range(12))
REQUEST = "its rule looks at context, device, which only a request of the visitor tells"


def test_a_segment_is_told_in_lines_that_fit_a_terminal_and_lose_nothing() -> None:
    for segment in (
        SegmentSize("a_segment_with_quite_a_name", RULE, 123_456, 1_000_000, 1_700_000_000_000, None),
        SegmentSize("a_segment_with_quite_a_name", RULE, None, None, None, REQUEST),
    ):
        lines = lines_of(segment)
        assert max(map(len, lines)) <= WIDE
        words = " ".join(" ".join(lines).split())
        assert RULE in words
        assert (segment.why_not or "123456 of 1000000 visitors, counted 2023-11-14 22:13 UTC") in words


def test_a_segment_that_was_not_counted_has_no_number() -> None:
    assert lines_of(SegmentSize("new", "n_orders > 0", None, None, None, None))[0] == "new: not counted yet"


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert lines_of(SegmentSize("x", "traits.a == '\x1b[2J'", 1, 1, 0, None))[1].isprintable()
