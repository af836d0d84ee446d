"""Events that were refused though their sender was told 200: counted, and a few of them kept for whoever looks.

Some protocols have no way to say no to an event. What is kept of one is a dead letter that says what it looked
like, never what it said: no id, no trait, no value of a property, so that nothing of a person lies where no erasure
would look for it. Names of properties are left out too: in a map by customer they are ids. Whoever holds a write
key can send refused events, so few are kept.
"""

from __future__ import annotations

import logging
import re
from collections import Counter as Tally
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import structs
from prometheus_client import Counter

from api.reading.json_parts import mended
from api.reading.wire import WireEvent
from eventlog.port import Record
from eventlog.refused_event import RefusedEvent, refused_event_record
from personalization.errors import InvalidInput

logger = logging.getLogger(__name__)

KEPT_OF_REASON = 5
KEPT_OF_SOURCE = 20
"""In an hour, by each process: at 500 bytes each 2 MB a source in a week, of the 32 MiB that dead letters have."""

HOUR_MS = 3_600_000

_SHOWN_CHARS = 64
_LOOKED_AT_BYTES = 64 * 1024
"""Of a member, half a millisecond: an event that is refused may have 4 MiB, and nobody is held up to keep it."""

_REASON_CHARS = 300
_IN_BATCH = re.compile(r"^\w+\[\d+\]")
_END_OF_NAME = re.compile(r"[.\[]")
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FIELDS = frozenset(each.encode_name for each in structs.fields(WireEvent))
"""Members of an event whose name tells nothing of anybody."""


@dataclass(slots=True)
class _Hour:
    began_ms: int
    kept: Tally[str] = field(default_factory=Tally)


class RefusedEvents:
    """Counts and keeps them.

    Parameters
    ----------
    counter
        By source and reason.
    keep
        Queues a record for the log; what it cannot take is lost.
    """

    def __init__(self, counter: Counter, keep: Callable[[Record], object]) -> None:
        self._counter = counter
        self._keep = keep
        self._hours: dict[str, _Hour] = {}

    def note(self, source: str, error: InvalidInput, sent: bytes | msgspec.Raw, now_ms: int) -> None:
        """An event of ``source`` was refused."""
        self._counter.labels(source, error.code).inc()
        hour = self._hours.get(source)
        if hour is None or not 0 <= now_ms - hour.began_ms < HOUR_MS:
            hour = self._hours[source] = _Hour(now_ms)
        if hour.kept[error.code] >= KEPT_OF_REASON or hour.kept.total() >= KEPT_OF_SOURCE:
            return
        if not hour.kept[error.code]:
            logger.warning(
                "event_refused", extra={"source": source, "reason": error.code, "field": member(error.field)}
            )
        hour.kept[error.code] += 1
        self._keep(refused_event_record(looks(bytes(sent), source, error, now_ms)))


def member(field: str) -> str:
    """The member of an event that a field stands in; empty: the event as a whole.

    >>> member("batch[12].traits.ada"), member(".properties.orders[2].total"), member("batch[3]"), member("userId")
    ('traits', 'properties', '', 'userId')
    """
    inside = _IN_BATCH.sub("", field, count=1).lstrip(".")
    name = _END_OF_NAME.split(inside, maxsplit=1)[0]
    return name if name in _FIELDS else ""


def looks(sent: bytes, source: str, error: InvalidInput, at_ms: int) -> RefusedEvent:
    """What is kept of an event.

    >>> sent = b'{"type": "track", "userId": 7, "traits": {"email": "a@b.example"}, "x": 1}'
    >>> looks(sent, "site", InvalidInput("event", "is missing", "missing_field"), 0).members
    {'type': 'text of 5', 'userId': 'number', 'traits': 'object of 1', 'others': '1'}
    """
    read = _members_of(sent)
    context = _value(read.get("context"))
    library = context.get("library") if isinstance(context, dict) else None
    named = library if isinstance(library, dict) else {}
    members = {name: _kind(value) for name, value in read.items() if name in _FIELDS}
    n_others = len(read) - len(members)
    return RefusedEvent(
        at_ms=at_ms,
        source=source,
        code=error.code,
        reason=_utf8(error.message[:_REASON_CHARS]),
        field=member(error.field),
        n_bytes=len(sent),
        type=_text(_value(read.get("type"))),
        event=_text(_value(read.get("event"))),
        library=f"{_text(named.get('name'))} {_text(named.get('version'))}".strip(),
        members={**members, **({"others": str(n_others)} if n_others else {})},
    )


def _members_of(sent: bytes) -> dict[str, msgspec.Raw]:
    for text in (sent, mended(sent) if len(sent) <= _LOOKED_AT_BYTES else b""):
        with suppress(msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return _MEMBERS.decode(text)
    return {}


def _value(raw: msgspec.Raw | None) -> Any:
    """What stands there; None where nothing does, where it cannot be read, or is larger than is looked at."""
    if raw is None or len(bytes(raw)) > _LOOKED_AT_BYTES:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _kind(raw: msgspec.Raw) -> str:
    n_bytes = len(bytes(raw))
    if n_bytes > _LOOKED_AT_BYTES:
        return f"{n_bytes} bytes"
    match value := _value(raw):
        case None | True | False:
            return str(value)
        case str():
            return f"text of {len(value)}"
        case list():
            return f"list of {len(value)}"
        case dict():
            return f"object of {len(value)}"
        case _:
            return "number"


def _text(value: Any) -> str:
    return _utf8(value[:_SHOWN_CHARS]) if isinstance(value, str) else ""


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
