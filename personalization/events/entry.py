"""One entry of the visitor log: an event, when it was received, and under which catalog it is folded."""

from __future__ import annotations

import msgspec

from personalization.data_cipher import unreadable
from personalization.errors import InvalidInput
from personalization.events.event import Event


class Provenance(msgspec.Struct, frozen=True, array_like=True):
    """Where a derived event comes from: the ``n``-th emission of the entry at ``offset`` of ``source``.

    A target keeps the highest per source and skips at or below it.
    """

    source: str
    epoch: int
    offset: int
    n: int

    def order(self) -> tuple[int, int, int]:
        """What "at or below" compares."""
        return (self.epoch, self.offset, self.n)


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place in one partition of the log; offsets are comparable only inside an epoch."""

    epoch: int
    offset: int


LOGGED_OUT = "logged_out"
"""What follows a log-in without naming the user is somebody else's: libraries name who is logged in."""

SAME_PERSON = "same_person"
"""It is the same person's: sites that only have the cookie."""


class Sender(msgspec.Struct, frozen=True, array_like=True):
    """Who brought an event to the collector, as far as the collector could tell.

    Attributes
    ----------
    source
        The catalog's source whose key was used.
    by
        Class of that key: ``write`` (public, in pages and apps) or ``server``.
    verified
        Whether the sender proved to be the registered visitor it named.
    after_login
        What the source says of events that follow a log-in without naming the user (``LOGGED_OUT`` or
        ``SAME_PERSON``); empty: nothing, and they are the same person's.
    origin
        Salted hash of the network the request came from, 8 bytes, another one each day; empty: not known.
    """

    source: str
    by: str = ""
    verified: bool = False
    after_login: str = ""
    origin: bytes = b""

    @property
    def is_trusted(self) -> bool:
        """Whether what it says of a registered visitor is true: it proved to be them, or is a server."""
        return self.verified or self.by == "server"


class Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What the log holds under a visitor's key.

    Attributes
    ----------
    received_at_ms
        Stamped once, by the collector; the fold's clock.
    occurred_at_ms
        The client's own time, corrected and clamped to the 24 h before ``received_at_ms``; weighs decay only.
    catalog_version
        The catalog the fold uses for this entry, however new the worker's own.
    sender
        Who brought it; None for what nextbest itself appends.
    agreed
        The visitor agreed, by a word that may not stand under this key yet: it was said under another of their
        ids, or is on its way.
    trace
        The recorded trace that it is a part of: the trace's id, 16 bytes, and its request's span, 8; empty: none is
        recorded.
    """

    received_at_ms: int
    occurred_at_ms: int
    catalog_version: int
    event: Event
    provenance: Provenance | None = None
    sender: Sender | None = None
    agreed: bool = False
    trace: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """The entry as the log stores it (msgpack).

    Raises
    ------
    InvalidInput
        Where a caller's value cannot be stored: a whole number beyond 64 bits, a lone surrogate.
    """
    try:
        return _encoder.encode(entry)
    except OverflowError as error:
        raise InvalidInput("event", "holds a whole number beyond 64 bits; send it as text") from error
    except UnicodeEncodeError as error:
        raise InvalidInput("event", "holds a lone surrogate, which is not Unicode text; remove it") from error


def decode_entry(data: bytes) -> Entry:
    """The entry back.

    Raises
    ------
    InvalidInput
        Where the bytes are no entry: permanently bad, for the dead letters.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "entry", f"not an entry of the visitor log: {error}", "bad_entry") from error
