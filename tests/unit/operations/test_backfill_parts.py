"""What a backfill is made of: visitors in a file, partitions side by side, how far back the log reaches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventlog.port import LogEntry, LogIdentity
from operations.replay import interleaved
from operations.replay.folder_progress import until_folded
from operations.replay.interleaved import recount_all
from operations.replay.log_reach import APPENDED_WITHIN_MS, LogReach, reach_of
from operations.replay.passed_on import BACKFILL, PassedOn
from operations.replay.recount import Place
from operations.replay.visitor_file import VisitorFile
from personalization.errors import Refused
from personalization.events.entry import Entry, Provenance, encode_entry
from personalization.events.event import Activated, Backfilled, Event, Page, TimedOut
from personalization.visitor.visitor import Visitor
from tests.unit.operations.backfilled import catalog_of
from tests.unit.personalization.world import START

IDENTITY = LogIdentity(1, "log", 2)


def encoded(event: Event, at_ms: int = START, provenance: Provenance | None = None) -> bytes:
    return encode_entry(
        Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=1, event=event, provenance=provenance)
    )


PAGE = Page(message_id="m")


class FakeLog:
    """Partitions of which the oldest entries are gone, and how far the folder is."""

    def __init__(self, *partitions: list[bytes], earliest: tuple[int, ...] = (0, 0)) -> None:
        self.partitions = partitions
        self.earliest = earliest
        self.committed = [0, 0]

    async def earliest_offsets(self, topic: str) -> list[int]:
        return list(self.earliest)

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        return [offset or None for offset in self.committed]

    async def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        entries = self.partitions[partition]
        for offset in range(from_offset, len(entries) if to_offset is None else to_offset):
            yield LogEntry(offset, f"a:{partition}", entries[offset])


def test_visitors_come_back_from_the_file_as_they_went() -> None:
    visitors = VisitorFile(Visitor.new, n_held=3)
    for n in range(50):
        visitors.get(f"a:{n % 10}").state.revision += 1
        visitors.get("a:busy").folder.message_ids += b"123456"
    found = dict(visitors.items())
    assert {key: visitor.state.revision for key, visitor in found.items()} == {
        **{f"a:{n}": 5 for n in range(10)},
        "a:busy": 0,
    }
    assert len(found["a:busy"].folder.message_ids) == 300
    visitors.close()


def test_what_went_on_is_found_by_where_it_came_from() -> None:
    passed_on = PassedOn(epoch=2, n_partitions=1)
    for source, epoch, offset, event in (
        ("a:1", 2, 7, PAGE),
        ("a:1", 2, 3, Backfilled(times={}, first_ms=1)),
        ("a:1", 1, 4, PAGE),
        (BACKFILL, 2, 5, Backfilled(times={}, first_ms=1)),
        ("a:1", 2, 6, Activated(decision_id="d")),
    ):
        passed_on.note("u:1", encoded(event, provenance=Provenance(source, epoch, offset, 0)))
    passed_on.note("u:1", encoded(PAGE))
    passed_on.note("u:1", b"no entry")
    passed_on.all_noted()
    assert [offset for offset in range(10) if passed_on.is_forwarded(0, offset)] == [3, 7]
    assert not any(passed_on.is_moved(0, offset) for offset in range(10))


async def test_a_log_that_was_never_trimmed_holds_everything() -> None:
    log: Any = FakeLog([encoded(PAGE, START + 5)], [b"dead", encoded(PAGE, START)])
    assert await reach_of(log, IDENTITY) == LogReach(0, START)


async def test_a_log_that_was_trimmed_reaches_as_far_back_as_the_partition_that_reaches_least_far() -> None:
    late = encoded(PAGE, START - 9_999, Provenance("a:9", 1, 3, 0))  # forwarded: received long before
    first = [b"gone", encoded(PAGE, START)]
    second = [
        b"gone",
        late,
        encoded(Activated(decision_id="d"), START - 8_888),
        encoded(TimedOut(due_ms=1), START + 7),
    ]
    log: Any = FakeLog(first, second, earliest=(1, 1))
    assert await reach_of(log, IDENTITY) == LogReach(START + 7 + APPENDED_WITHIN_MS, START)


async def test_an_epoch_that_was_opened_later_holds_nothing_of_the_time_before() -> None:
    log: Any = FakeLog([encoded(PAGE, START)], [encoded(PAGE, START + 1)])
    reach = await reach_of(log, LogIdentity(2, "log", 2))
    assert reach == LogReach(START + 1 + APPENDED_WITHIN_MS, START)


async def test_of_a_partition_without_events_nothing_is_known() -> None:
    log: Any = FakeLog([encoded(PAGE, START)], [b"gone"], earliest=(0, 1))
    reach = await reach_of(log, IDENTITY)
    assert reach.since_ms > START + 10**9, "until now"


class Recounting:
    """Takes down what comes, some of which has to wait."""

    def __init__(self, waits: dict[Place, Place]) -> None:
        self.waits = waits
        self.taken: list[Place] = []

    def waits_for(self, entry: Entry) -> Place | None:
        return self.waits.get(Place(entry.received_at_ms // 100, entry.received_at_ms % 100))

    def take(self, key: str, at: Place, entry: Entry, stamped: Any) -> None:
        self.taken.append(at)


def counted(n: int, partition: int) -> list[bytes]:
    return [encoded(PAGE, 100 * partition + offset) for offset in range(n)]


async def test_partitions_are_read_side_by_side_and_causes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleaved, "CHUNK", 3)
    log: Any = FakeLog(counted(10, 0), counted(10, 1))
    waits = {Place(0, 1): Place(1, 8), Place(1, 4): Place(0, 0), Place(0, 5): Place(1, 99)}
    recounting = Recounting(waits)
    assert await recount_all(log, cast_recount(recounting), catalog_of, [0, 2], [10, 10]) == 18
    for place, cause in waits.items():
        if cause in recounting.taken:
            assert recounting.taken.index(cause) < recounting.taken.index(place)
    for partition, first in ((0, 0), (1, 2)):
        offsets = [place.offset for place in recounting.taken if place.partition == partition]
        assert offsets == list(range(first, 10))


async def test_entries_that_wait_for_one_another_are_refused() -> None:
    log: Any = FakeLog(counted(2, 0), counted(2, 1))
    recounting = Recounting({Place(0, 0): Place(1, 1), Place(1, 0): Place(0, 1)})
    with pytest.raises(Refused, match="waits for itself"):
        await recount_all(log, cast_recount(recounting), catalog_of, [0, 0], [2, 2])


def cast_recount(recounting: Recounting) -> Any:
    return recounting


async def test_a_folder_that_gets_nowhere_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.replay.folder_progress.SILENT_S", 0.02)
    monkeypatch.setattr("operations.replay.folder_progress.POLL_S", 0.001)
    log: Any = FakeLog()
    log.committed = [3, 4]
    await until_folded(log, [3, 4])
    await until_folded(log, [5, 6], behind=4)
    with pytest.raises(Refused, match=r"4 entries behind .* start it"):
        await until_folded(log, [5, 6])
