"""What was recorded of decisions, found without a walk over the log: by id, by visitor, by request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from personalization.errors import Unavailable
from personalization.events.decision_record import DecisionRecord
from personalization.events.logged_entry import LoggedEntry as LoggedEntry
from personalization.events.outcome import Outcome


class Records(Protocol):
    """Finds records by what the projector noted of where they stand; each raises ``Unavailable``.

    What was decided a moment ago is found once the projector has read it; what the log has let go is not found.
    """

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """The record of a decision; of one that was written twice the first."""
        ...

    async def decisions_of(self, keys: Sequence[str], limit: int) -> list[DecisionRecord]:
        """The latest decisions under a visitor's keys, newest first."""
        ...

    async def decisions_of_request(self, request_id: str) -> list[DecisionRecord]:
        """What a request decided, in its order: by its id, by what its answer calls it, or by its trace's id."""
        ...

    async def outcome(self, decision_id: str) -> Outcome | None:
        """What became of a decision; None while it is open."""
        ...

    async def entries_of(self, keys: Sequence[str], limit: int) -> list[LoggedEntry]:
        """The latest entries of the visitor log under a visitor's keys, newest first."""
        ...


class NoRecords:
    """Where no projector keeps note of where records stand."""

    async def decision(self, decision_id: str) -> DecisionRecord | None:
        """Raises ``Unavailable``."""
        raise _unavailable()

    async def decisions_of(self, keys: Sequence[str], limit: int) -> list[DecisionRecord]:
        """Raises ``Unavailable``."""
        raise _unavailable()

    async def decisions_of_request(self, request_id: str) -> list[DecisionRecord]:
        """Raises ``Unavailable``."""
        raise _unavailable()

    async def outcome(self, decision_id: str) -> Outcome | None:
        """Raises ``Unavailable``."""
        raise _unavailable()

    async def entries_of(self, keys: Sequence[str], limit: int) -> list[LoggedEntry]:
        """Raises ``Unavailable``."""
        raise _unavailable()


def _unavailable() -> Unavailable:
    return Unavailable("no projector runs that would know where records stand: start `nextbest projector`")
