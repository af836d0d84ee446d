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
