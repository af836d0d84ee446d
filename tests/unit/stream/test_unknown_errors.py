"""An error nobody thought of is never success (the rule *Workers*): it leaves ``process``, and nothing is lost.

Every awaited call of the folder's ``process`` fails in turn, before its effect and after it; the batch then comes
again, as it does from the committed offset, and the end is the one without any failure.
"""

from __future__ import annotations

import pytest

from eventlog.dead_letters import DeadLetter, decode_dead_letter
from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES, VISITOR_LOG
from personalization.events.event import Identify, Link, Rewarded, TimedOut, Track
from state.timers import Timer
from stream.folding.batch_fold import Message
from stream.folding.folder import Folder
from stream.metrics import FolderMetrics
from tests.integration.workload import WINDOW_MS
from tests.unit.stream.fakes import FixedCatalog, MemoryLog, MemoryTimers, MemoryVisitors
from tests.unit.stream.folding.test_folder import CATALOG, NOW_MS, Bench, decision, track
from tests.unit.stream.raising import RaisesOnce, UnknownError

TOPICS = (OUTCOMES, VISITOR_LOG)


def batches() -> list[list[Message]]:
    """Decisions, rewards, a merge, time-outs, something unreadable: all that makes the folder call something."""
    bench = Bench()
    late_ms = NOW_MS + WINDOW_MS
    first = [
        bench.message("a:1", track(1)),
        bench.message("a:1", decision(1)),
        bench.message("a:1", Rewarded(message_id="r1", decision_id="d1", value=0.5, final=True)),
        bench.message("a:2", decision(2)),
        bench.message("u:3", Identify(message_id="i1", user_id="3", traits={"plan": "pro"})),
        bench.message("a:1", Link(canonical="u:3")),
    ]
    bench.offset += 1
    first.append(Message(0, bench.offset, b"a:1", b"\xc1 no entry"))
    second = [
        bench.message("a:2", Track(message_id="m9", anonymous_id="2", event="Product Clicked"), NOW_MS + 1),
        bench.message("a:2", TimedOut(due_ms=late_ms), late_ms),
    ]
    return [first, second]


class House:
    """A folder over parts in memory that ``raises`` counts."""

    def __init__(self, raises: RaisesOnce) -> None:
        self.timers, self.log = MemoryTimers(), MemoryLog()
        self.visitors = MemoryVisitors(self.timers)
        self.raises = raises
        for message in (message for batch in batches() for message in batch):  # what the folder asks the end of
            assert message.key is not None
            assert message.value is not None
            self.log.of(VISITOR_LOG)[0].append(Record(VISITOR_LOG, message.key.decode(), message.value))

    def folder(self) -> Folder:
        around = self.raises.around
        catalogs: FixedCatalog = around(CATALOG)
        return Folder(around(self.visitors), around(self.timers), around(self.log), catalogs, 1, FolderMetrics())

    def end(self) -> tuple[object, ...]:
        emitted = {(record.topic, record.key, record.value) for topic in TOPICS for record in self.log.all(topic)}
        letters = {(letter.offset, letter.code) for letter in map(dead_letter, self.log.all(DEAD_LETTERS))}
        return (self.visitors.stored, emitted, letters)


def dead_letter(record: Record) -> DeadLetter:
    return decode_dead_letter(record.value)


async def fold(house: House) -> int:
    """Fold all batches; whatever is raised ends the worker, and the next one begins with that batch. How often."""
    n_deaths = 0
    folder = house.folder()
    for batch in batches():
        while True:
            try:
                await folder.process(batch)
                break
            except UnknownError:
                n_deaths += 1
                folder = house.folder()
    return n_deaths


async def undisturbed() -> House:
    house = House(RaisesOnce())
    assert await fold(house) == 0
    return house


async def test_the_batches_call_every_part_the_folder_has() -> None:
    house = await undisturbed()
    assert set(house.raises.calls) == {
        "FixedCatalog.get",
        "MemoryVisitors.load",
        "MemoryVisitors.save",
        "MemoryLog.append",
        "MemoryTimers.remove",
    }
    assert any(isinstance(timer, Timer) for timer in house.timers.timers)


@pytest.mark.parametrize("after", [False, True], ids=["before-its-effect", "after-its-effect"])
async def test_every_awaited_call_of_the_folder_may_fail_and_nothing_is_lost(after: bool) -> None:
    expected = await undisturbed()
    for number, name in enumerate(expected.raises.calls):
        house = House(RaisesOnce(number, after=after))
        assert await fold(house) == 1, f"the failure of {name} (call {number}) did not leave process()"
        assert house.end() == expected.end(), f"{name} (call {number})"
        # One left over wakes somebody for nothing, and goes; one that is missing would wake nobody ever.
        assert house.timers.timers >= expected.timers.timers, f"{name} (call {number})"
