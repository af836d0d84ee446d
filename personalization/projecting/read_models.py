"""What decisions and outcomes are added up to: a new read model is one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from personalization.events.participant import Participant
from personalization.projecting.arms import Arms
from personalization.projecting.experiments import Experiments
from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import ReadSums, Sums
from personalization.projecting.trials import Trials


class ReadModel(Protocol):
    """Adds what happened to sums; which sums, and for how long they are kept, it says itself."""

    def begin(self, now_ms: int) -> list[str]:
        """The buckets whose sums it has to be told before it adds to any."""
        ...

    def remember(self, buckets: Mapping[str, ReadSums]) -> None:
        """These are the sums of the buckets that it asked for, by their names."""
        ...

    def decided(self, fact: DecisionFact, sums: Sums) -> None:
        """Add a decision."""
        ...

    def closed(self, fact: OutcomeFact, sums: Sums) -> None:
        """Add an outcome."""
        ...

    def participated(self, participant: Participant, sums: Sums) -> None:
        """Add a participant of an experiment."""
        ...


def read_models() -> tuple[ReadModel, ...]:
    """One of each."""
    return (Arms(), Experiments(), Trials())
