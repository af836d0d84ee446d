"""What is kept of an event that was refused, its sender being told 200: a dead letter of what it looked like."""

from __future__ import annotations

import msgspec

from eventlog.dead_letters import DeadLetter, dead_letter_record, decode_dead_letter
from eventlog.port import Record

COLLECTOR = "collector"
"""Where such a dead letter says that it stood: in no topic."""


class RefusedEvent(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What an event looked like, and why it was refused; nothing of what it said.

    Attributes
    ----------
    at_ms, source, code, reason
        When, whose, and why: a word for programs, a sentence for people.
    field
        The member that was wrong; empty: the event as a whole.
    type, event
        Its type and name, as far as they are text.
    library
        The client that sent it, with its version, by its own word.
    members
        Of which kind each of its members was; ``others`` counts those that no event has.
    n_bytes
        Of its JSON.
    """

    at_ms: int
    source: str
    code: str
    reason: str
    field: str
    n_bytes: int
    type: str = ""
    event: str = ""
    library: str = ""
    members: dict[str, str] = {}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(RefusedEvent)


def refused_event_record(refused: RefusedEvent) -> Record:
    """The record to append."""
    value, source = _encoder.encode(refused), refused.source.encode()
    letter = DeadLetter(COLLECTOR, 0, refused.at_ms, source, value, refused.code, refused.reason, refused.at_ms)
    return dead_letter_record(letter)


def refused_event_of(value: bytes) -> RefusedEvent | None:
    """The refused event that a dead letter holds; None: it holds something else, or cannot be read."""
    try:
        letter = decode_dead_letter(value)
        return _decoder.decode(letter.value) if letter.topic == COLLECTOR else None
    except msgspec.DecodeError:
        return None
