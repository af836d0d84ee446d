"""Which entries of the visitor log somebody waits for: what visitors did, and not what we decided or a clock said.

A decision's entry and a time-out change nothing that anybody looks for within milliseconds. Folded one at a time
each costs a round of reading, writing and acknowledging of its own, several times what folding it costs. So they
wait a little for others; an event that comes meanwhile takes them along at once.
"""

from __future__ import annotations

import msgspec

from personalization.events.event import DecisionMade, TimedOut
from stream.folding.batch_fold import Message

PATIENT = (DecisionMade, TimedOut)
"""Kinds of entries that may wait."""

_TAGS = frozenset(str(kind.__struct_config__.tag) for kind in PATIENT)


class _Kind(msgspec.Struct):
    type: str


class _Peeked(msgspec.Struct):
    event: _Kind


_decode = msgspec.msgpack.Decoder(_Peeked).decode


class Urgency:
    """How long an entry waits for others to be folded with.

    Parameters
    ----------
    within_s
        An entry somebody waits for.
    linger_s
        An entry nobody waits for; never less than ``within_s``.
    """

    def __init__(self, within_s: float, linger_s: float) -> None:
        self._within_s = within_s
        self._linger_s = max(within_s, linger_s)

    def wait_s(self, message: Message) -> float:
        """Seconds; what cannot be read is folded, and refused, as soon as an event."""
        try:
            kind = _decode(message.value or b"").event.type
        except (msgspec.DecodeError, RecursionError):
            return self._within_s
        return self._linger_s if kind in _TAGS else self._within_s
