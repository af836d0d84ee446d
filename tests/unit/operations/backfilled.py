"""A visitor log in memory, folded as it grows, twice: under the versions stamped, and under the newest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventlog.partition import partition_of
from eventlog.port import LogEntry
from operations.replay.interleaved import recount_all
from operations.replay.passed_on import BACKFILL, PassedOn
from operations.replay.recount import Recount
from personalization.catalog.catalog import (
    Catalog,
    Content,
    EventMapping,
    Events,
    Placement,
    PublishedCatalog,
)
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.sections.sources import Source
from personalization.events.emission import DerivedEntry
from personalization.events.entry import Entry, Position, Provenance, Sender, decode_entry, encode_entry
from personalization.events.event import Backfilled, Event, Track
from personalization.folding.fold import fold
from personalization.folding.handlers import NO_CONSENT
from personalization.visitor.purposes import PERSONALISING, may
from personalization.visitor.times import Times
from personalization.visitor.visitor import Visitor
from tests.unit.personalization.world import MINUTE, START

N_PARTITIONS = 4
NEWEST = 3

_RULES = {
    1: None,
    2: 'count("viewed", within="30d") >= 1',
    3: (
        'count("viewed", within="30d") >= 3 || never("Ordered") || '
        'sum("Viewed", of="properties.price", within="30d") > 9 || '
        """count("Viewed", where='properties.price > 5', within="7d") < 2"""
    ),
}


def version(number: int, declared_ms: int = 0) -> CompiledCatalog:
    """One of three versions: without windows, with one that keeps two times, with four."""
    plain: dict[str, Any] = {
        "placements": {"hero": Placement(content=("a",), default="b")},
        "content": {"a": Content(body="a", when=_RULES[number]), "b": Content(body="b")},
        "events": Events(viewed=(EventMapping(event="Viewed"),)),  # so that a window may name a meaning
        "sources": {"site": Source(consent_default="granted"), "shy": Source(consent_default="denied")},
    }
    compiled = compile_catalog(Catalog(**plain), number)
    declared = {key.hex(): (declared_ms, series.n_kept) for key, series in compiled.series.items()}
    return compile_catalog(PublishedCatalog(**plain, declared=declared), number)


VERSIONS = {number: version(number) for number in _RULES}
WANTED = [series for series in VERSIONS[NEWEST].series.values() if series.event]


@dataclass
class FoldedLog:
    """One log, and the visitors as they are after it.

    Attributes
    ----------
    only_newest
        Whether everything is folded under the newest version: as it would be, had it been there from the beginning.
    refused
        Who was given nothing, since they refuse at present; of some the profile is kept.
    """

    only_newest: bool
    partitions: list[list[tuple[str, bytes]]] = field(default_factory=lambda: [[] for _ in range(N_PARTITIONS)])
    visitors: dict[str, Visitor] = field(default_factory=dict)
    done: list[int] = field(default_factory=lambda: [0] * N_PARTITIONS)
    refused: set[str] = field(default_factory=set)

    def append(self, key: str, entry: Entry) -> None:
        self.partitions[partition_of(key, N_PARTITIONS)].append((key, encode_entry(entry)))

    def pump(self, order: Sequence[int] = range(N_PARTITIONS)) -> None:
        while any(self.done[n] < len(self.partitions[n]) for n in order):
            for n in order:
                if self.done[n] < len(self.partitions[n]):
                    self._fold(n)

    def _fold(self, n: int) -> None:
        key, data = self.partitions[n][self.done[n]]
        entry = decode_entry(data)
        catalog = VERSIONS[NEWEST if self.only_newest else entry.catalog_version]
        visitor = self.visitors.setdefault(key, Visitor.new())
        folded = fold(visitor, key, Position(1, self.done[n]), entry, catalog)
        if isinstance(entry.event, Backfilled) and folded.reason == NO_CONSENT:
            self.refused.add(key)
        for emission in folded.emissions:
            assert isinstance(emission, DerivedEntry)
            self.append(emission.key, emission.entry)
        self.done[n] += 1

    def windows(self, key: str, since_ms: int = 0) -> dict[bytes, list[tuple[int, float | None]]]:
        """What is known of a visitor of each series, as far as it happened after ``since_ms``."""
        kept = self.visitors[key].state.windows
        found = {series.key: _pairs(kept.get(series.key), since_ms) for series in WANTED}
        return {key: pairs for key, pairs in found.items() if pairs}

    def copy_last(self, n: int, now_ms: int) -> None:
        """A derived entry that stands in the log twice, if the last was one: its worker died, and began again."""
        key, data = self.partitions[n][-1] if self.partitions[n] else ("", b"")
        entry = decode_entry(data) if data else None
        if entry is not None and entry.provenance is not None and now_ms - entry.received_at_ms < MINUTE:
            self.partitions[n].append((key, data))

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        entries = self.partitions[partition]
        for offset in range(from_offset, len(entries) if to_offset is None else to_offset):
            yield LogEntry(offset, *entries[offset])


def _pairs(times: Times | None, since_ms: int) -> list[tuple[int, float | None]]:
    if times is None:
        return []
    amounts: list[Any] = times.amounts or [None] * len(times)
    pairs = zip(times.moments(), amounts, strict=True)
    return sorted(pair for pair in pairs if pair[0] > since_ms)


@dataclass
class Both:
    """What happens to both logs, and backfills of the first."""

    real: FoldedLog = field(default_factory=lambda: FoldedLog(only_newest=False))
    ideal: FoldedLog = field(default_factory=lambda: FoldedLog(only_newest=True))
    now_ms: int = START
    n_messages: int = 0
    n_backfills: int = 0
    order: Sequence[int] = range(N_PARTITIONS)

    def send(
        self,
        key: str,
        event: Event,
        number: int,
        *,
        after_ms: int = 1,
        late_ms: int = 0,
        sender: Sender | None = None,
    ) -> None:
        self.now_ms += after_ms
        entry = Entry(
            received_at_ms=self.now_ms,
            occurred_at_ms=self.now_ms - late_ms,
            catalog_version=number,
            event=event,
            sender=sender,
        )
        for log in (self.real, self.ideal):
            log.append(key, entry)
            log.pump(self.order)

    def message(self) -> str:
        self.n_messages += 1
        return f"m{self.n_messages}"

    def track(self, key: str, name: str, number: int, *, price: float = 1.0, **terms: Any) -> None:
        event = Track(message_id=self.message(), event=name, properties={"price": price})
        self.send(key, event, number, **terms)

    def consent(self, key: str, number: int, *, granted: bool, **terms: Any) -> None:
        words = {PERSONALISING: granted}
        self.send(key, Track(message_id=self.message(), event="Consent Updated", properties=words), number, **terms)

    def refused(self, key: str) -> bool:
        """Whether the collector sees a refusal under the key, or where its redirect points."""
        while True:
            visitor = self.real.visitors.get(key)
            if visitor is None:
                return False
            if not may(visitor.state.consents, PERSONALISING, default=True):
                return True
            if visitor.state.redirect is None:
                return False
            key = visitor.state.redirect

    async def missing(
        self, *, starts: Sequence[int] = (0,) * N_PARTITIONS, since_ms: int = 0, n_held: int = 2
    ) -> list[tuple[str, Backfilled]]:
        """What a backfill finds missing in the log as it is now."""
        ends = [len(entries) for entries in self.real.partitions]
        passed_on = PassedOn(1, N_PARTITIONS)
        for n, (start, end) in enumerate(zip(starts, ends, strict=True)):
            async for found in self.real.read("", n, start, end):
                passed_on.note(found.key, found.value)
        passed_on.all_noted()
        recount = Recount(WANTED, 1, N_PARTITIONS, passed_on, complete=not since_ms, n_held=n_held)
        log: Any = self.real
        assert await recount_all(log, recount, catalog_of, starts, ends) == sum(ends) - sum(starts)
        try:
            return list(recount.missing(since_ms, self.now_ms))
        finally:
            recount.close()

    def give(self, missing: Sequence[tuple[str, Backfilled]]) -> None:
        """Append it to the real log."""
        self.n_backfills += 1
        for key, backfilled in missing:
            entry = Entry(
                received_at_ms=self.now_ms,
                occurred_at_ms=self.now_ms,
                catalog_version=NEWEST,
                event=backfilled,
                provenance=Provenance(BACKFILL, 1, self.n_backfills, 0),
            )
            self.real.append(key, entry)
        self.real.pump(self.order)

    def everybody(self) -> set[str]:
        """Every key at which somebody is."""
        return set(self.ideal.visitors)


async def catalog_of(number: int) -> CompiledCatalog:
    """The version stamped."""
    return VERSIONS[number]
