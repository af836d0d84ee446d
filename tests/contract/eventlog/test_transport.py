"""What every log promises to the Faust workers that read it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from eventlog.port import Record
from eventlog.topics import VISITOR_LOG
from stream.transports.offsets import OffsetPolicy
from stream.worker_app import WorkerSettings, make_app
from tests.contract.eventlog.worker import run as work
from tests.contract.eventlog.working import (
    PATIENCE_S,
    AnyLog,
    Read,
    append,
    at_work,
    handle_with,
    until,
    until_committed,
)
from tests.forks import FORKS
from tests.standing_still import stand_still


class Worker:
    """A worker process and what it has said."""

    def __init__(self, url: str, log: AnyLog, *options: str) -> None:
        obeyed, self._commands = FORKS.Pipe(duplex=False)
        self._heard, told = FORKS.Pipe(duplex=False)
        arguments = [url, log.topics.prefix, *options]
        self.process = FORKS.Process(target=work, args=(arguments, obeyed, told), daemon=True)
        self.process.start()
        obeyed.close()
        told.close()
        self.said: list[dict[str, Any]] = []
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        stream = asyncio.StreamReader()
        with os.fdopen(os.dup(self._heard.fileno()), "rb", buffering=0) as pipe:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(stream), pipe
            )
            while line := await stream.readline():
                self.said.append(json.loads(line))
            transport.close()

    def all(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self.said if line["is"] == what]

    def handled(self) -> list[tuple[int, int, str, str]]:
        return [tuple(row) for line in self.all("handled") for row in line["batch"]]

    def tell(self, line: str) -> None:
        os.write(self._commands.fileno(), line.encode() + b"\n")

    def send(self, number: int) -> None:
        if self.process.exitcode is None:
            assert self.process.pid is not None
            os.kill(self.process.pid, number)

    async def wait(self) -> int | None:
        await asyncio.to_thread(self.process.join, PATIENCE_S)
        return self.process.exitcode

    async def stop(self) -> None:
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        await self.wait()
        await self._listening
        for end in (self._commands, self._heard):
            end.close()


@pytest.fixture
async def start_worker(log_url: str, log: AnyLog) -> AsyncIterator[Callable[..., Any]]:
    workers: list[Worker] = []

    async def start(*options: str) -> Worker:
        workers.append(Worker(log_url, log, *options))
        return workers[-1]

    yield start
    for worker in workers:
        await worker.stop()


def assert_in_order(rows: list[tuple[int, int, str, str]]) -> None:
    reached: dict[int, int] = {}
    for partition, offset, _, _ in rows:
        assert offset > reached.get(partition, -1)
        reached[partition] = offset


async def test_every_event_once_and_in_order_when_nothing_fails(
    log: AnyLog, start_worker: Callable[..., Any]
) -> None:
    await append(log, 500)
    worker = await start_worker()
    await until(lambda: len(worker.handled()) >= 500, "500 handled")
    await append(log, 500, start=500)
    await until(lambda: len(worker.handled()) >= 1000, "1,000 handled")
    assert sorted(int(value) for _, _, _, value in worker.handled()) == list(range(1000))
    assert_in_order(worker.handled())
    assert await until_committed(log, 1000) == await log.end_offsets(VISITOR_LOG)


async def test_what_a_killed_worker_did_not_commit_is_delivered_again(
    log: AnyLog, start_worker: Callable[..., Any]
) -> None:
    first = await start_worker("--commit-interval-s", "60")
    await append(log, 300)
    await until(lambda: len(first.handled()) >= 300, "the first worker handles")
    first.send(signal.SIGKILL)
    second = await start_worker()
    await until(lambda: len(second.handled()) >= 300, "the second worker handles the same again")
    assert sorted(first.handled()) == sorted(second.handled())
    await until_committed(log, 300)


async def test_a_clean_stop_commits_and_nothing_is_delivered_again(
    log: AnyLog, start_worker: Callable[..., Any]
) -> None:
    await append(log, 200)
    first = await start_worker("--commit-interval-s", "60")
    await until(lambda: len(first.handled()) >= 200, "the first worker handles")
    first.send(signal.SIGTERM)
    await until(lambda: first.all("stopped"), "the first worker stops")
    assert await first.wait() == 0
    await until_committed(log, 200)
    second = await start_worker()
    await append(log, 10, start=200)
    await until(lambda: len(second.handled()) >= 10, "the second worker handles")
    assert sorted(int(value) for _, _, _, value in second.handled()) == list(range(200, 210))


async def test_a_standby_takes_over_under_load_and_nothing_is_lost(
    log: AnyLog, start_worker: Callable[..., Any]
) -> None:
    first, standby = await start_worker(), await start_worker()
    await until(lambda: first.all("assigned") or standby.all("assigned"), "one owns the partitions")
    if not first.all("assigned"):
        first, standby = standby, first
    for start in range(0, 600, 20):
        await append(log, 20, start=start)
        if start == 300:
            await until(lambda: first.handled(), "the owner handles")
            first.send(signal.SIGKILL)

    def values() -> set[int]:
        return {int(value) for worker in (first, standby) for _, _, _, value in worker.handled()}

    await until(lambda: len(values()) == 600, "all handled by one or the other")
    await until_committed(log, 600)
    assert standby.all("assigned")[-1]["generation"] > first.all("assigned")[0]["generation"]


async def test_a_zombies_commit_is_refused(log: AnyLog, start_worker: Callable[..., Any]) -> None:
    zombie = await start_worker("--never-commit")
    await append(log, 100)
    await until(lambda: len(zombie.handled()) >= 100, "the zombie-to-be handles")
    generation = zombie.all("handled")[-1]["generation"]
    partition, offset = max((p, o) for p, o, _, _ in zombie.handled())
    stand_still(zombie.process.pid)
    owner = await start_worker()
    await until(lambda: len(owner.handled()) >= 100, "another worker takes over")
    committed = await until_committed(log, 100)
    zombie.tell(f"commit {partition} {offset // 2} {generation}")
    zombie.send(signal.SIGCONT)
    await until(lambda: zombie.all("committed"), "the zombie tries to commit")
    assert zombie.all("committed")[0]["ok"] is False
    assert await log.committed_offsets("folder", VISITOR_LOG) == committed
    # It has become a worker like any other: when the owner goes, it goes on where the owner had got to.
    owner.send(signal.SIGKILL)
    await append(log, 40, start=100)
    # What it handles before it sees that its lease is gone it can commit nothing of, and gets again.
    later = owner.all("handled")[-1]["generation"]

    def handled_as_owner() -> set[int]:
        lines = [line for line in zombie.all("handled") if line["generation"] > later]
        return {int(value) for line in lines for _, _, _, value in line["batch"]}

    await until(lambda: handled_as_owner() == set(range(100, 140)), "the former zombie handles")


async def test_a_worker_starts_where_its_policy_says_and_commits_only_when_told(
    log: AnyLog, start_worker: Callable[..., Any]
) -> None:
    await append(log, 400)
    ends = await log.end_offsets(VISITOR_LOG)
    learner = await start_worker("--start-at", "50", "--never-commit")
    await until(lambda: len(learner.handled()) >= sum(ends) - 4 * 50, "all from 50 on are handled")
    assert min(offset for _, offset, _, _ in learner.handled()) == 50
    assert Counter(p for p, _, _, _ in learner.handled()) == {p: end - 50 for p, end in enumerate(ends)}
    learner.tell(f"commit 1 60 {learner.all('handled')[-1]['generation']}")
    await until(lambda: learner.all("committed"), "it commits")
    assert learner.all("committed")[0]["ok"]
    assert await log.committed_offsets("folder", VISITOR_LOG) == [None, 60, None, None]


async def test_a_commit_that_was_not_taken_is_made_again_though_nothing_comes_in(log: AnyLog) -> None:
    """As by a rebalance under way, or a Redis that is away: else the group would stand behind what it has done."""
    app = make_app("folder", log, await log.identity(), WorkerSettings(commit_interval_s=0.1))

    async def nothing(_: Sequence[Read]) -> None:
        """All is done at once."""

    handle_with(app, nothing)
    async with at_work(app):
        await append(log, 40)
        await until_committed(log, 40)
        commit = app.consumer.commit_offsets
        refused: list[object] = []

        async def refusing(offsets: Any, generation: int | None = None) -> bool:
            if len(refused) < 3:
                refused.append(offsets)
                return False
            return bool(await commit(offsets, generation))

        app.consumer.commit_offsets = refusing
        await append(log, 40, 40)
        await until_committed(log, 80)
    assert len(refused) == 3


async def test_an_append_wakes_the_worker(log: AnyLog) -> None:
    app = make_app(
        "folder", log, await log.identity(), WorkerSettings(session_timeout_s=5), offset_policy=OffsetPolicy()
    )
    latencies_ms: list[float] = []

    async def look(batch: Sequence[Read]) -> None:
        now_ns = time.perf_counter_ns()
        latencies_ms.extend((now_ns - int(each.value)) / 1e6 for each in batch)

    handle_with(app, look)
    async with at_work(app):
        await until(app.owned_partitions, "assigned")
        for i in range(100):
            await log.append([Record(VISITOR_LOG, f"v{i}", str(time.perf_counter_ns()).encode())])
            await asyncio.sleep(0.005)
        await until(lambda: len(latencies_ms) >= 100, "handled")
    assert statistics.median(latencies_ms[10:]) < 100


async def test_a_backlog_larger_than_what_waits_is_worked_off_without_pauses(log: AnyLog) -> None:
    """Faust looks only once a second at partitions whose buffer was full: about ten pauses here."""
    await log.append([Record(VISITOR_LOG, f"v{i % 7}", str(i).encode()) for i in range(4000)])
    app = make_app("folder", log, await log.identity(), WorkerSettings(session_timeout_s=5, max_poll_events=32))
    values: list[int] = []
    handled_at: list[float] = []

    async def handle(batch: Sequence[Read]) -> None:
        handled_at.append(time.monotonic())
        await asyncio.sleep(0.005)  # a handler that reads and writes
        values.extend(int(each.value) for each in batch)

    handle_with(app, handle, max_entries=40)
    async with at_work(app):
        await until(lambda: len(values) >= 4000, "the backlog is handled")
    assert sorted(values) == list(range(4000))
    pauses = [b - a for a, b in itertools.pairwise(handled_at) if b - a > 0.8]
    assert len(pauses) <= 2, pauses
    await until_committed(log, 4000)


async def test_a_worker_leaves_no_files(log: AnyLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    await append(log, 40)
    app = make_app("folder", log, await log.identity())
    assert not app.conf.datadir.is_absolute()  # Faust's default: what it made would lie here
    values: list[str] = []

    async def handle(batch: Sequence[Read]) -> None:
        values.extend(each.value for each in batch)

    handle_with(app, handle)
    async with at_work(app):
        await until(lambda: len(values) >= 40, "all is handled")
    assert os.listdir(tmp_path) == []
