"""What stands in ``outcomes``: each kind of record under keys of its own."""

from __future__ import annotations

from typing import TypeAlias

from personalization.events.example import ConversionRecord, conversion_of, decode_example
from personalization.events.outcome import Outcome, decode_outcome
from personalization.events.participant import Participant, decode_participant, is_experiment

OutcomeRecord: TypeAlias = Outcome | ConversionRecord | Participant


def decode_record_under(key: str, value: bytes) -> OutcomeRecord:
    """The record that stands under ``key``; raises ``InvalidInput`` where the bytes are none of its kind."""
    if is_experiment(key):
        return decode_participant(value)
    return decode_outcome(value) if conversion_of(key) is None else decode_example(value)
