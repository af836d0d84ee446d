"""What the projector reads of records: the fields it needs, so that the others are not decoded."""

from __future__ import annotations

import math

import msgspec

from personalization.data_cipher import unreadable
from personalization.errors import InvalidInput
from personalization.events.outcome import ClosingReason
from personalization.visitor.choice import Choice


class DecisionFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was decided; the fields are those of ``DecisionRecord``."""

    choice: Choice
    request_id: str
    decided_at_ms: int
    exposed: bool = True
    trace: bytes = b""
    answered_as: str = ""


class OutcomeFact(msgspec.Struct, frozen=True, gc=False):
    """What became of a decision; the fields are those of ``Outcome``."""

    choice: Choice
    reward: float
    reason: ClosingReason
    decided_at_ms: int
    closed_at_ms: int
    exposed_at_ms: int | None = None
    trains: bool = True
    sample_weight: float = 1.0
    shown_by_reward: bool = False
    predicted: float | None = None
    reward_range: tuple[float, float] = (0.0, 1.0)


TRACE_ID_BYTES = 16
"""A trace is carried as its id and a span's (``personalization.events.entry.Entry``)."""


def trace_to_find(fact: DecisionFact) -> str:
    """The id of the decision's trace, if no name of its request leads there; empty: one does, or it has none.

    The id of a trace that began with its request ends in what the answer calls the request.

    >>> made = {"choice": None, "decided_at_ms": 0, "trace": bytes(24)}
    >>> trace_to_find(DecisionFact(request_id="r1", **made)) == "0" * 32
    True
    >>> trace_to_find(DecisionFact(request_id="0" * 16, **made))
    ''
    """
    trace_id = fact.trace[:TRACE_ID_BYTES].hex()
    tail = trace_id[TRACE_ID_BYTES:]
    return "" if {fact.request_id, fact.answered_as} & {trace_id, tail} else trace_id


_decision_decoder = msgspec.msgpack.Decoder(DecisionFact)
_outcome_decoder = msgspec.msgpack.Decoder(OutcomeFact)


def decode_decision_fact(data: bytes) -> DecisionFact:
    """What was decided; raises ``InvalidInput`` where the bytes are no decision record."""
    try:
        return _decision_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "record", f"not a decision record: {error}", "bad_record") from error


def decode_outcome_fact(data: bytes) -> OutcomeFact:
    """What became of a decision; raises ``InvalidInput`` where the bytes are no outcome."""
    try:
        fact = _outcome_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise unreadable(data, "outcome", f"not an outcome: {error}", "bad_outcome") from error
    if not math.isfinite(fact.reward + fact.sample_weight + (fact.predicted or 0.0)):
        raise InvalidInput(
            "outcome", "a number of it is infinite or none, and can be added to nothing", "bad_outcome"
        )
    return fact
