"""A broker that hangs: how soon an append says so, and what stands in the log afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventlog.kafka import KafkaLog
from eventlog.port import Record
from eventlog.topics import VISITOR_LOG, Topics
from personalization.errors import Unavailable
from tests.requirements import require
from tests.running import eventually
from tests.servers import kafka_broker, kafka_libs
from tests.standing_still import stand_still

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

APPEND_TIMEOUT_S = 0.5


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A broker that a test may stop: its address and its process."""
    require("kafka")
    directory = tmp_path_factory.mktemp("hanging")
    with kafka_broker(kafka_libs(), directory) as address:
        [pid] = [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdecimal()
            and str(directory) in arguments_of(path)
            and "kafka.Kafka" in arguments_of(path)
        ]
        yield address, pid
        os.kill(pid, signal.SIGCONT)


def arguments_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def one(n: int) -> list[Record]:
    return [Record(VISITOR_LOG, "v", str(n).encode())]


async def until_taken(log: KafkaLog, records: list[Record]) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await log.append(records)
                return
            except Unavailable:
                await asyncio.sleep(0.01)


async def test_appends_fail_in_their_own_time_and_what_arrives_late_arrives_first(
    broker: tuple[str, int], namespace: str
) -> None:
    address, pid = broker
    log = KafkaLog(address, Topics(prefix=namespace), append_timeout_s=APPEND_TIMEOUT_S)
    await log.start()
    try:
        await log.create(1)
        await until_taken(log, one(0))
        stand_still(pid)
        took: list[float] = []
        for n in range(1, 5):
            began = time.monotonic()
            with pytest.raises(Unavailable, match="in time"):
                await log.append(one(n))
            took.append(time.monotonic() - began)
        assert max(took) < APPEND_TIMEOUT_S + 0.4
        os.kill(pid, signal.SIGCONT)
        for n in range(1, 9):
            await until_taken(log, one(n))
        values = [int(e.value) async for e in log.read(VISITOR_LOG, 0, 0)]
        assert list(dict.fromkeys(values)) == list(range(9))
        assert len(values) <= 11, "of what waited in vain at most what was under way arrives late"
    finally:
        os.kill(pid, signal.SIGCONT)
        await log.close()


async def test_a_producer_that_is_dropped_tries_nothing_again(broker: tuple[str, int], namespace: str) -> None:
    """Else what it holds would arrive behind all that was appended meanwhile."""
    address, pid = broker
    log = KafkaLog(address, Topics(prefix=namespace), append_timeout_s=APPEND_TIMEOUT_S)
    await log.start()
    try:
        await log.create(1)
        await until_taken(log, one(0))
        old = (await log._connection.producer())._sender.sender_task
        stand_still(pid)
        late = asyncio.create_task(log.append(one(1)))
        await eventually(lambda: any(lane.under_way for lane in log._writer._lanes.values()))
        began = time.monotonic()
        await log._connection.drop()
        assert time.monotonic() - began < 5
        assert old.done()
        os.kill(pid, signal.SIGCONT)
        with pytest.raises(Unavailable):
            await late
    finally:
        os.kill(pid, signal.SIGCONT)
        await log.close()
