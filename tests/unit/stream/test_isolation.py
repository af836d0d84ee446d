"""An entry that kills its worker again and again is isolated after three deaths (the rule *Workers*)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from eventlog.dead_letters import decode_dead_letter
from eventlog.port import EventLog
from eventlog.topics import DEAD_LETTERS, VISITOR_LOG
from state.attempts import Attempt
from stream import isolation as module
from stream.folding.batch_fold import Message
from stream.isolation import DEATHS_ALONE, DEATHS_TOGETHER, Isolation
from stream.metrics import FolderMetrics
from stream.patience import Patience
from tests.unit.stream.fakes import MemoryLog


class MemoryAttempts:
    def __init__(self) -> None:
        self.kept: dict[int, Attempt] = {}
        self.n_writes = 0

    async def get(self, partition: int) -> Attempt | None:
        return self.kept.get(partition)

    async def put(self, partition: int, attempt: Attempt) -> None:
        self.n_writes += 1
        self.kept[partition] = attempt

    async def forget(self, partition: int) -> None:
        self.kept.pop(partition, None)


class Death(BaseException):
    """The process is gone: nothing catches it."""


class Lives:
    """Workers one after the other, over one log: each begins at the committed offsets and dies of ``deadly``."""

    def __init__(self, n_entries: int, *deadly: tuple[int, int]) -> None:
        self.entries = [Message(p, n, b"a:%d" % n, b"%d" % n) for n in range(n_entries) for p in (0, 1)]
        self.deadly = set(deadly)
        self.attempts, self.log = MemoryAttempts(), MemoryLog()
        self.handled: list[tuple[int, int]] = []
        self.sizes: list[int] = []
        self.n_deaths = 0
        self.metrics = FolderMetrics()

    async def _process(self, messages: Sequence[Message]) -> None:
        self.sizes.append(len(messages))
        for message in messages:
            if (message.partition, message.offset) in self.deadly:
                raise Death
        self.handled += [(message.partition, message.offset) for message in messages]

    def worker(self) -> Isolation[Message]:
        patiently = Patience(self.metrics.retries)
        return Isolation(
            self._process, self.attempts, cast(EventLog, self.log), VISITOR_LOG, 1, patiently, span=100
        )

    async def live(self, batch: int = 10, max_deaths: int = 50) -> None:
        """Until everything is committed."""
        committed = 0
        while committed < len(self.entries):
            worker = self.worker()
            try:
                while committed < len(self.entries):
                    await worker.process(self.entries[committed : committed + batch])
                    committed += batch
            except Death:
                self.n_deaths += 1
                assert self.n_deaths < max_deaths, f"{max_deaths} deaths"

    def given_up(self) -> list[tuple[int, int, bytes, bytes, str]]:
        letters = [decode_dead_letter(record.value) for record in self.log.all(DEAD_LETTERS)]
        return sorted((each.partition, each.offset, each.key, each.value, each.code) for each in letters)


async def test_an_entry_that_kills_alone_becomes_a_dead_letter_with_its_bytes_and_the_others_go_on() -> None:
    lives = Lives(40, (1, 7))
    await lives.live()
    assert lives.given_up() == [(1, 7, b"a:7", b"7", "ends_its_worker")]
    assert set(lives.handled) == {(p, n) for p in (0, 1) for n in range(40)} - {(1, 7)}
    assert lives.n_deaths == 1 + DEATHS_TOGETHER + DEATHS_ALONE  # the first had begun at an earlier place


async def test_two_such_entries_in_one_batch_are_both_found() -> None:
    lives = Lives(40, (0, 6), (0, 8))
    await lives.live()
    assert [each[:2] for each in lives.given_up()] == [(0, 6), (0, 8)]
    assert len(set(lives.handled)) == 78


async def test_an_innocent_entry_is_not_blamed_for_deaths_of_another_partition() -> None:
    lives = Lives(40, *((1, n) for n in (5, 6, 7)))
    await lives.live()
    assert {each[0] for each in lives.given_up()} == {1}


async def test_fewer_than_three_deaths_isolate_nothing() -> None:
    lives = Lives(20, (0, 3))
    for _ in range(DEATHS_TOGETHER):
        with pytest.raises(Death):
            await lives.worker().process(lives.entries[:10])
    assert lives.sizes == [10] * DEATHS_TOGETHER
    assert lives.attempts.kept[0].n_starts == DEATHS_TOGETHER


async def test_a_worker_told_to_stop_has_not_died() -> None:
    lives = Lives(20)
    for _ in range(DEATHS_TOGETHER + 2):
        worker = lives.worker()
        await worker.process(lives.entries[:10])
        await worker.close()
    assert lives.sizes == [10] * (DEATHS_TOGETHER + 2)


async def test_where_every_entry_kills_the_fault_is_not_theirs() -> None:
    lives = Lives(40, *((0, n) for n in range(40)))
    with pytest.raises(AssertionError, match="50 deaths"):
        await lives.live()
    assert len(lives.given_up()) == module.MAX_IN_A_ROW
    lives.deadly.clear()  # mended: all others are handled
    lives.n_deaths = 0
    await lives.live()
    assert len(set(lives.handled)) == 80 - module.MAX_IN_A_ROW


async def test_what_is_well_costs_one_write_for_each_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED_S", 0.0)
    lives = Lives(100)
    await lives.live()
    assert lives.attempts.n_writes == 2
    assert lives.attempts.kept == {}
    assert lives.sizes == [10] * 20
