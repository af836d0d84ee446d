"""Entries of the log as rows: which of them are asked for, and why others are left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from eventlog.port import LogEntry
from eventlog.topics import DECISIONS, OUTCOMES
from operations.exporting.columns import Row, What
from operations.exporting.departures import Concerned
from operations.exporting.progress import Standing
from operations.exporting.record_rows import decision_row, outcome_row
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of
from personalization.events.decision_record import decode_record
from personalization.events.example import conversion_of
from personalization.events.forgotten import is_forgotten
from personalization.events.outcome import EARNED, ClosingReason, decode_outcome
from personalization.events.participant import is_experiment
from personalization.visitor.choice import Choice

UNREADABLE = "unreadable"

NOT_EARNED = {
    ClosingReason.EVICTED: "closed for want of room",
    ClosingReason.WITHDRAWN: "closed by a refusal",
    ClosingReason.UNEXPOSED: "never shown",
}

TOPICS = {What.DECISIONS: DECISIONS, What.OUTCOMES: OUTCOMES}


class Candidate(NamedTuple):
    """A record that is asked for: its id, of whom it is, and its row."""

    row_id: str
    concerned: Concerned
    row: Row


Read: TypeAlias = Candidate | str | None
"""What an entry is: a candidate, why it is left out, or nothing that was asked for."""


class Reading:
    """Reads entries as an export asks for them.

    Parameters
    ----------
    ids_secret
        What decision ids are made under.
    """

    def __init__(self, standing: Standing, ids_secret: bytes) -> None:
        self._asked = standing.asked
        self._since_ms, self._until_ms = standing.since_ms, standing.until_ms
        self._ids_secret = ids_secret
        self.read: Callable[[LogEntry], Read] = _read_of(self, What(standing.asked.what))

    def decision(self, entry: LogEntry) -> Read:
        """An entry of ``decisions``."""
        try:
            record = decode_record(entry.value)
        except InvalidInput:
            return UNREADABLE
        if not self._wants(record.choice, record.decided_at_ms):
            return None
        row = decision_row(record, record.key if self._asked.with_ids else None)
        return Candidate(record.message_id, Concerned(record.key, record.unit, record.decided_at_ms), row)

    def outcome(self, entry: LogEntry) -> Read:
        """An entry of ``outcomes``; what is no closed decision is not asked for."""
        if is_forgotten(entry.value) or is_experiment(entry.key) or conversion_of(entry.key) is not None:
            return None
        try:
            outcome = decode_outcome(entry.value)
        except InvalidInput:
            return UNREADABLE
        if not self._wants(outcome.choice, outcome.closed_at_ms):
            return None
        if outcome.reason not in EARNED and not self._asked.closed_by_all:
            return NOT_EARNED[outcome.reason]
        key = self._key_of(outcome.choice.decision_id)
        row = outcome_row(outcome, key if self._asked.with_ids else None)
        return Candidate(outcome.choice.decision_id, Concerned(key, outcome.unit, outcome.decided_at_ms), row)

    def _wants(self, choice: Choice, at_ms: int) -> bool:
        if self._asked.placements and choice.placement not in self._asked.placements:
            return False
        if self._since_ms is not None and at_ms < self._since_ms:
            return False
        return self._until_ms is None or at_ms < self._until_ms

    def _key_of(self, decision_id: str) -> str:
        try:
            return key_of(self._ids_secret, decision_id)
        except InvalidInput:
            return ""


def _read_of(reading: Reading, what: What) -> Callable[[LogEntry], Read]:
    return reading.decision if what is What.DECISIONS else reading.outcome
