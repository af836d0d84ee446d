"""Rows stand at the places of their entries, whatever was written before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from personalization.projecting.record_rows import (
    ROW_BYTES,
    SEGMENT_BYTES,
    SEGMENT_ROWS,
    RowsOfBatch,
    places_of,
    row_of,
)


def written(*batches: RowsOfBatch) -> dict[int, bytearray]:
    segments: dict[int, bytearray] = {}
    for batch in batches:
        for segment, at, data in batch.segments():
            kept = segments.setdefault(segment, bytearray())
            kept.extend(bytes(max(0, at + len(data) - len(kept))))
            kept[at : at + len(data)] = data
    return segments


@given(st.sets(st.integers(SEGMENT_ROWS - 20, SEGMENT_ROWS + 20), min_size=1), st.data())
def test_a_row_is_found_at_its_entry_however_batches_are_cut_and_repeated(
    offsets: set[int], data: st.DataObject
) -> None:
    ordered = sorted(offsets)
    batches = []
    at = 0
    while at < len(ordered):
        n = data.draw(st.integers(1, len(ordered) - at))
        batch = RowsOfBatch(ordered[at])
        for offset in ordered[at : at + n]:
            batch.put(offset, row_of(b"key", f"id {offset}"))
        batches += [batch] * data.draw(st.integers(1, 2))
        at += n
    segments = written(*batches)
    assert all(len(segment) <= SEGMENT_BYTES for segment in segments.values())
    for offset in range(SEGMENT_ROWS - 20, SEGMENT_ROWS + 21):
        row = row_of(b"key", f"id {offset}")
        found = [
            number * SEGMENT_ROWS + place
            for number, segment in segments.items()
            for place in places_of(bytes(segment), row)
        ]
        assert found == ([offset] if offset in offsets else [])


def test_bytes_across_two_rows_are_no_row() -> None:
    row = bytes(range(ROW_BYTES))
    assert list(places_of(b"xxxx" + row + b"xxxx" + row, row)) == [2]


def test_who_lacks_the_key_cannot_make_a_row() -> None:
    assert row_of(b"one", "a:visitor") != row_of(b"another", "a:visitor")
