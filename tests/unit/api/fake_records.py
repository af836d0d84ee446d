"""What was recorded of decisions, as a test gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from api.services.records import LoggedEntry
from personalization.errors import Unavailable
from personalization.events.decision_record import DecisionRecord
from personalization.events.outcome import Outcome


@dataclass
class FakeRecords:
    """Holds the records that a test gives it."""

    kept: list[DecisionRecord] = field(default_factory=list)
    away: bool = False

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        if self.away:
            raise Unavailable("away on purpose")
        return next((each for each in self.kept if each.choice.decision_id == decision_id), None)

    async def decisions_of(self, keys: Sequence[str], limit: int) -> list[DecisionRecord]:
        return [each for each in reversed(self.kept) if each.key in keys][:limit]

    async def decisions_of_request(self, request_id: str) -> list[DecisionRecord]:
        return [each for each in self.kept if each.request_id == request_id]

    async def outcome(self, decision_id: str) -> Outcome | None:
        return None

    async def entries_of(self, keys: Sequence[str], limit: int) -> list[LoggedEntry]:
        return []
