"""Workers in the test's own process, and what is awaited of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from eventlog.kafka import KafkaLog
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import VISITOR_LOG
from stream.batch_agent import BatchAgent
from stream.running import run_app
from stream.worker_app import WorkerApp

AnyLog = RedisStreamsLog | KafkaLog
PATIENCE_S = 30.0


class Read(NamedTuple):
    """An entry as it was read, and by which owner of its partition."""

    partition: int
    offset: int
    key: str
    value: str
    generation: int


def handle_with(
    app: WorkerApp, handle: Callable[[Sequence[Read]], Awaitable[None]], max_entries: int = 100
) -> BatchAgent[Read]:
    """Let ``app`` hand the visitor log to ``handle``, and acknowledge what that was given."""
    return BatchAgent(
        app,
        VISITOR_LOG,
        lambda partition, entry, generation: Read(
            partition, entry.offset, entry.key.decode(), entry.value.decode(), generation
        ),
        handle,
        max_entries,
        lambda _: 0.002,
    )


async def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        await asyncio.sleep(0.01)


async def until_committed(log: AnyLog, total: int) -> list[int]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        committed = [n or 0 for n in await log.committed_offsets("folder", VISITOR_LOG)]
        if sum(committed) == total:
            return committed
        assert time.monotonic() < deadline, f"committed {committed}, not {total} in all"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def at_work(app: WorkerApp) -> AsyncIterator[None]:
    """Run an app in this process while the block lasts."""
    stop = asyncio.Event()
    running = asyncio.create_task(run_app(app, stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def append(log: AnyLog, n: int, start: int = 0) -> None:
    await log.append([Record(VISITOR_LOG, f"visitor-{i % 23}", str(i).encode()) for i in range(start, start + n)])
