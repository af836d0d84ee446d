"""Rows that tell where records stand: one keyed hash of 8 bytes per entry of the log, at the entry's own place.

A column holds the hashes of one thing (the decision's id, the visitor's key, a name of the request) of one
partition, cut into segments of ``SEGMENT_ROWS`` entries. The place of a row is the offset of its entry, so a row
needs no offset of its own, rows that are written again change nothing, and a search is one for bytes. An entry that
has nothing to be found by has a row of zeros.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from enum import StrEnum

ROW_BYTES = 8
"""Among a million rows one is taken for another with a chance of 10⁻¹³; who finds an entry looks whose it is."""

SEGMENT_ROWS = 8_192
"""64 KiB: a search of one takes 10 µs, and the log lets entries go in pieces of about this size."""

SEGMENT_BYTES = SEGMENT_ROWS * ROW_BYTES

NO_ROW = bytes(ROW_BYTES)


class Column(StrEnum):
    """What a row is the hash of.

    ``REQUEST`` is the id that the record has. ``ANSWERED`` and ``TRACE`` are what else the request is called, by
    its answer and by its trace: few have such names, and segments without one are not written.
    """

    DECISION = "decision"
    VISITOR = "visitor"
    REQUEST = "request"
    ANSWERED = "answered"
    TRACE = "trace"


def row_of(key: bytes, text: str) -> bytes:
    """The row of ``text``: BLAKE2b under ``key``, so that who lacks the key learns nothing of it; 1 µs."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=ROW_BYTES, key=key).digest()


def places_of(segment: bytes, row: bytes) -> Iterator[int]:
    """Where ``row`` stands among the rows of a segment, from the first on.

    >>> list(places_of(b"AAAAAAAA" + b"BBBBBBBB" + b"AAAAAAAA", b"AAAAAAAA"))
    [0, 2]
    """
    at = segment.find(row)
    while at >= 0:
        place, rest = divmod(at, ROW_BYTES)
        if not rest:
            yield place
        at = segment.find(row, at + 1)


def cut_into_segments(first_offset: int, rows: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Rows of entries in succession, as they are written: the segment, the byte in it, and the bytes.

    >>> list(cut_into_segments(SEGMENT_ROWS - 1, b"AAAAAAAABBBBBBBB"))
    [(0, 65528, b'AAAAAAAA'), (1, 0, b'BBBBBBBB')]
    """
    while rows:
        segment, place = divmod(first_offset, SEGMENT_ROWS)
        here = rows[: (SEGMENT_ROWS - place) * ROW_BYTES]
        yield segment, place * ROW_BYTES, here
        rows = rows[len(here) :]
        first_offset += len(here) // ROW_BYTES


class RowsOfBatch:
    """The rows of entries that follow one another, in one column."""

    def __init__(self, first_offset: int) -> None:
        self.first_offset = first_offset
        self._rows = bytearray()

    def put(self, offset: int, row: bytes) -> None:
        """The row of the entry at ``offset``, which is beyond those before; entries in between have none."""
        if n_missing := (offset - self.first_offset) * ROW_BYTES - len(self._rows):
            self._rows += bytes(n_missing)
        self._rows += row

    def segments(self) -> Iterator[tuple[int, int, bytes]]:
        """See ``cut_into_segments``."""
        return cut_into_segments(self.first_offset, bytes(self._rows))
