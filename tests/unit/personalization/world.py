"""A visitor log in memory and the plainest loop over the fold: what every other way of folding must equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from personalization.catalog.catalog import AffinityRule, AffinitySpec, Catalog, Content, Placement, RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.emission import DerivedEntry
from personalization.events.entry import Entry, Position, Sender, decode_entry, encode_entry
from personalization.events.event import DecisionMade, Event, Identify, Link, Rewarded, TimedOut, Track
from personalization.events.example import Example
from personalization.events.outcome import Outcome
from personalization.events.participant import Participant
from personalization.folding.fold import fold
from personalization.folding.folded import Folded
from personalization.folding.parts import next_due_ms
from personalization.visitor.choice import Choice
from personalization.visitor.visitor import Visitor

MINUTE = 60_000
_OF_CHOICE = ("slot", "policy", "model_version", "holdout", "variant")
START = 1_700_000_000_000


def shop(**placement: Any) -> CompiledCatalog:
    """A small shop: one placement ``hero`` with three arms, clicks worth 1 and orders 0.5."""
    terms: dict[str, Any] = {
        "rewards": (
            RewardRule(event="Clicked", value=1.0),
            RewardRule(event="Ordered", value="properties.revenue / 100.0", arm="properties.banner"),
        ),
        "window_ms": 30 * MINUTE,
        "reward_range": (0.0, 2.0),
        **placement,
    }
    return compile_catalog(
        Catalog(
            placements={"hero": Placement(content=("red", "green", "blue"), default="red", **terms)},
            content={name: Content(body=name) for name in ("red", "green", "blue")},
            affinities={
                "category": AffinitySpec(
                    rules=(AffinityRule(event="Viewed", key="properties.category"),), half_life_ms=60 * MINUTE
                )
            },
        ),
        version=1,
    )


@dataclass
class World:
    """Keys, their visitors, and one log; emissions are appended to it as a broker would."""

    catalog: CompiledCatalog = field(default_factory=shop)
    log: list[tuple[str, bytes]] = field(default_factory=list)
    visitors: dict[str, Visitor] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    participants: list[Participant] = field(default_factory=list)
    folded: list[Folded] = field(default_factory=list)
    versions: dict[int, CompiledCatalog] = field(default_factory=dict)
    done: int = 0
    now_ms: int = START
    n_messages: int = 0

    def append(
        self,
        key: str,
        event: Event,
        *,
        after_ms: int = 1,
        occurred_ms: int | None = None,
        received_ms: int | None = None,
        sender: Sender | None = None,
    ) -> None:
        self.now_ms += after_ms
        entry = Entry(
            received_at_ms=self.now_ms if received_ms is None else received_ms,
            occurred_at_ms=self.now_ms if occurred_ms is None else occurred_ms,
            catalog_version=1,
            event=event,
            sender=sender,
        )
        self.log.append((key, encode_entry(entry)))

    def pump(self) -> None:
        while self.done < len(self.log):
            key, data = self.log[self.done]
            self.fold_at(self.done, key, data)
            self.done += 1

    def fold_at(self, offset: int, key: str, data: bytes) -> Folded:
        visitor = self.visitors.setdefault(key, Visitor.new())
        entry = decode_entry(data)
        folded = fold(visitor, key, Position(1, offset), entry, self.catalog, self.versions)
        assert encode_entry(entry) == data, "a fold changes its visitor, never the entry: it may be folded again"
        self.folded.append(folded)
        for emission in folded.emissions:
            if isinstance(emission, DerivedEntry):
                self.log.append((emission.key, encode_entry(emission.entry)))
            elif isinstance(emission, Example):
                self.examples.append(emission)
            elif isinstance(emission, Participant):
                self.participants.append(emission)
            else:
                self.outcomes.append(emission)
        return folded

    # What the tests say.

    def message(self) -> str:
        self.n_messages += 1
        return f"m{self.n_messages}"

    def track(self, key: str, name: str, *, after_ms: int = 1, message_id: str = "", **properties: Any) -> Folded:
        event = Track(message_id=message_id or self.message(), event=name, properties=properties)
        return self.send(key, event, after_ms=after_ms)

    def consent(self, key: str, words: Mapping[str, bool]) -> Folded:
        """Words on purposes, as an event of their own."""
        return self.send(key, Track(message_id=self.message(), event="Consent Updated", properties=dict(words)))

    def identify(self, key: str, **traits: Any) -> Folded:
        return self.send(key, Identify(message_id=self.message(), traits=traits))

    def decide(
        self,
        key: str,
        decision_id: str,
        arm: str = "red",
        *,
        after_ms: int = 1,
        received_ms: int | None = None,
        sender: Sender | None = None,
        **terms: Any,
    ) -> Folded:
        chosen = {name: terms.pop(name) for name in _OF_CHOICE if name in terms}
        choice = Choice(
            decision_id,
            "hero",
            arm=arm,
            weight=2**31,
            catalog_version=self.catalog.version,
            **{"slot": 0, **chosen},
        )
        made = DecisionMade(message_id=self.message(), choice=choice, **terms)
        return self.send(key, made, after_ms=after_ms, received_ms=received_ms, sender=sender)

    def reward(self, key: str, decision_id: str, value: float, *, final: bool = False, name: str = "") -> Folded:
        event = Rewarded(message_id=self.message(), decision_id=decision_id, value=value, final=final, name=name)
        return self.send(key, event)

    def link(self, key: str, canonical: str) -> Folded:
        return self.send(key, Link(canonical=canonical))

    def time_out(self, key: str, *, after_ms: int) -> Folded:
        return self.send(key, TimedOut(due_ms=self.now_ms + after_ms), after_ms=after_ms)

    def send(
        self,
        key: str,
        event: Event,
        *,
        after_ms: int = 1,
        received_ms: int | None = None,
        sender: Sender | None = None,
    ) -> Folded:
        self.append(key, event, after_ms=after_ms, received_ms=received_ms, sender=sender)
        index = len(self.folded)
        self.pump()
        return self.folded[index]

    def due(self, key: str) -> int | None:
        return next_due_ms(self.visitors[key].folder)
