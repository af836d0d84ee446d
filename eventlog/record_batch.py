"""How many records are appended at once, and which."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from eventlog.port import Record

MAX_BATCH_RECORDS = 500
MAX_BATCH_BYTES = 1024 * 1024


def oldest(queue: Iterable[Record], max_records: int, max_bytes: int) -> list[Record]:
    """The records at the front, within both bounds by their values' bytes; at least one.

    >>> queue = [Record("t", "k", b"four") for _ in range(9)]
    >>> len(oldest(queue, 5, 100)), len(oldest(queue, 5, 10)), len(oldest(queue, 5, 1))
    (5, 2, 1)
    """
    batch: list[Record] = []
    n_bytes = 0
    for record in islice(queue, max_records):
        n_bytes += len(record.value)
        if n_bytes > max_bytes and batch:
            break
        batch.append(record)
    return batch
