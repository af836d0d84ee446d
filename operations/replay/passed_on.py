"""Which entries of the visitor log went on to another key: the log itself says so, by what they became there.

A log that was trimmed does not say which keys were redirects when it begins. But whatever reaches a redirect is
appended again under the key it points to, and names where it came from.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import Any

import msgspec

from eventlog.partition import partition_of
from personalization.events.entry import Provenance
from personalization.events.event import CLIENT_EVENTS, Backfilled, Merged

BACKFILL = "backfill"
"""Where what a backfill gives comes from: no key of a visitor."""


class _Kind(msgspec.Struct):
    type: str


class _Derived(msgspec.Struct):
    """An entry of the visitor log, as far as it matters here: reading the rest would cost five times as much."""

    event: _Kind
    provenance: Provenance | None = None


def _tag(event: Any) -> str:
    return str(event.__struct_config__.tag)


_FORWARDED = frozenset(map(_tag, (*CLIENT_EVENTS, Backfilled)))
_MERGED = _tag(Merged)
_decoder = msgspec.msgpack.Decoder(_Derived)


class PassedOn:
    """The entries of one epoch that went on to another key; eight bytes each.

    Parameters
    ----------
    epoch
        Of the log; what came from another says nothing here.
    """

    def __init__(self, epoch: int, n_partitions: int) -> None:
        self._epoch = epoch
        self._n_partitions = n_partitions
        self._forwarded = [array("q") for _ in range(n_partitions)]
        self._moved = [array("q") for _ in range(n_partitions)]

    def note(self, key: str, value: bytes) -> None:
        """Look at an entry that stands under ``key``."""
        try:
            derived = _decoder.decode(value)
        except msgspec.DecodeError:
            return  # no entry: a dead letter
        cause, kind = derived.provenance, derived.event.type
        if cause is None or cause.epoch != self._epoch or cause.source in (key, BACKFILL):
            return
        partition = partition_of(cause.source, self._n_partitions)
        if kind == _MERGED:
            self._moved[partition].append(cause.offset)
        elif kind in _FORWARDED:
            self._forwarded[partition].append(cause.offset)

    def all_noted(self) -> None:
        """Everything was looked at: from now on it can be asked."""
        for offsets in (self._forwarded, self._moved):
            offsets[:] = [array("q", sorted(of_partition)) for of_partition in offsets]

    def is_forwarded(self, partition: int, offset: int) -> bool:
        """Whether the event there was sent on to where its visitor was by then."""
        return _holds(self._forwarded[partition], offset)

    def is_moved(self, partition: int, offset: int) -> bool:
        """Whether what was known of the visitor, or came with a merge, moved on to another key from there."""
        return _holds(self._moved[partition], offset)


def _holds(offsets: array[int], offset: int) -> bool:
    index = bisect_left(offsets, offset)
    return index < len(offsets) and offsets[index] == offset
