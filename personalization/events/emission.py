"""What folding an entry sends to the log: to which stream, under which key, and what it may be left out by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from msgspec import structs

from personalization.events.entry import Entry, encode_entry
from personalization.events.example import Example, encode_example, example_key
from personalization.events.outcome import Outcome, encode_outcome
from personalization.events.participant import Participant, encode_participant, experiment_key


@dataclass(frozen=True, slots=True)
class DerivedEntry:
    """An entry to append to the visitor log under ``key``."""

    key: str
    entry: Entry


Emission: TypeAlias = DerivedEntry | Outcome | Example | Participant


class Stream(StrEnum):
    """Where an emission goes."""

    VISITORS = "visitors"
    """Another visitor's log. It waits for room: nothing of it may be lost."""
    LEARNER = "learner"
    """The learner. It is thinned if there is no room: a share of it is enough."""


class Address(NamedTuple):
    """How emissions of one kind travel.

    Attributes
    ----------
    kind
        Their name in metrics.
    key
        The key they stand under in their stream.
    encode
        Their bytes.
    sample_id
        What a share of them is drawn by; the same id is always kept or always left out.
    weighed
        The same emission, standing for those that were left out beside it; ``share`` of all are kept.
    """

    kind: str
    stream: Stream
    key: Callable[[Any], str]
    encode: Callable[[Any], bytes]
    sample_id: Callable[[Any], str] = lambda emission: ""
    weighed: Callable[[Any, float], Any] = lambda emission, share: emission


def _weighed(outcome: Outcome, share: float) -> Outcome:
    if share == 1.0:
        return outcome
    return structs.replace(outcome, sample_weight=outcome.sample_weight / share)


ADDRESSES: Mapping[type, Address] = MappingProxyType(
    {
        DerivedEntry: Address(
            "derived", Stream.VISITORS, lambda derived: derived.key, lambda derived: encode_entry(derived.entry)
        ),
        Outcome: Address(
            "outcome",
            Stream.LEARNER,
            lambda outcome: outcome.choice.model,
            encode_outcome,
            lambda outcome: outcome.choice.decision_id,
            _weighed,
        ),
        Example: Address(
            "example",
            Stream.LEARNER,
            lambda example: example_key(example.conversion),
            encode_example,
            lambda example: example.example_id,
        ),
        Participant: Address(
            "participant",
            Stream.LEARNER,
            lambda participant: experiment_key(participant.placement),
            encode_participant,
            lambda participant: participant.participant_id,
        ),
    }
)
"""A new kind of emission is one line here."""
