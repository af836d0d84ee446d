"""Dead letters: what could never be folded or learned, kept whole, with the reason."""

from __future__ import annotations

import msgspec

from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry that was given up on.

    Attributes
    ----------
    topic, partition, offset
        Where it stood.
    key, value
        Its bytes, untouched: a corrected release can fold them.
    code
        A stable word for programs.
    reason
        A sentence for people.
    at_ms
        When it was given up.
    """

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    code: str
    reason: str
    at_ms: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DeadLetter)


def dead_letter_record(letter: DeadLetter) -> Record:
    """The record to append; keyed by where the entry stood, so that giving up twice shows as such."""
    return Record(DEAD_LETTERS, f"{letter.topic}/{letter.partition}/{letter.offset}", _encoder.encode(letter))


def decode_dead_letter(value: bytes) -> DeadLetter:
    """A dead letter read back; raises ``msgspec.DecodeError`` where it is none."""
    return _decoder.decode(value)
