"""What decisions and outcomes are added up to: a new read model is one line here."""

from __future__ import annotations

from typing import Protocol

from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import Sums


class ReadModel(Protocol):
    """Adds what happened to sums; which sums, and for how long they are kept, it says itself."""

    def decided(self, fact: DecisionFact, sums: Sums) -> None:
        """Add a decision."""

    def closed(self, fact: OutcomeFact, sums: Sums) -> None:
        """Add an outcome."""


READ_MODELS: tuple[ReadModel, ...] = ()
