"""What both workers need before they can start: the log, Redis, the identity of the log, a way to run parts."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.opening import default_partitions, open_log
from eventlog.port import LogIdentity, check_identity
from eventlog.redis_streams import RedisStreamsLog
from eventlog.topics import OUTCOMES, VISITOR_LOG, Topics
from state.catalog_follower import CatalogFollower
from state.keys import Keys
from state.log_identity import LogIdentityStore
from state.worker_client import until_done, worker_client
from stream.failpoints import Failpoints
from stream.worker_app import WorkerSettings

logger = logging.getLogger(__name__)

CATALOG_POLL_S = 0.25

HEADROOM_SHARE = 0.5
"""A worker appends into a log that is full for collectors: an entry emits less than itself, save a merge."""

TOPIC_OF = {"folder": VISITOR_LOG, "learner": OUTCOMES}


@dataclass(slots=True)
class House:
    """The parts both workers stand on."""

    settings: Settings
    log: RedisStreamsLog | KafkaLog
    identity: LogIdentity
    redis: Redis
    keys: Keys
    failpoints: Failpoints


def log_of(settings: Settings) -> RedisStreamsLog | KafkaLog:
    """The log the settings name: Kafka if there is one, else Redis Streams; not connected yet."""
    url = f"kafka://{settings.kafka}" if settings.kafka else settings.redis
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    return open_log(url, topics, headroom_share=HEADROOM_SHARE)


def worker_settings(settings: Settings) -> WorkerSettings:
    """What the settings say about a Faust worker."""
    return WorkerSettings(
        session_timeout_s=settings.lease_ms / 1000,
        commit_interval_s=settings.commit_ms / 1000,
        max_poll_events=settings.fold_batch,
        buffer_events=2 * settings.fold_batch,
    )


@asynccontextmanager
async def open_house(settings: Settings, role: str) -> AsyncIterator[House]:
    """Connect, create what topics are missing, and see that log and states belong together.

    Raises
    ------
    Refused
        Where they do not: a person must act.
    """
    failpoints = Failpoints.from_environment()
    if failpoints.armed or failpoints.unsafe:
        logger.warning(
            "test_switches_on", extra={"point": str(failpoints.armed), "unsafe": sorted(failpoints.unsafe)}
        )
    log = log_of(settings)
    redis = worker_client(settings.redis)
    keys = Keys(settings.namespace)
    try:
        await log.start()
        n_partitions = settings.partitions or default_partitions(log)
        identity = await until_done(lambda: log.create(n_partitions), _say_waiting)
        await _check_identity(log, identity, LogIdentityStore(redis, keys), role)
        yield House(settings, log, identity, redis, keys, failpoints)
    finally:
        await log.close()
        await redis.aclose()


async def _check_identity(
    log: RedisStreamsLog | KafkaLog, identity: LogIdentity, store: LogIdentityStore, role: str
) -> None:
    known = await until_done(lambda: store.remember_first(identity), _say_waiting)
    topic = TOPIC_OF[role]
    committed = await until_done(lambda: log.committed_offsets(role, topic), _say_waiting)
    ends = await until_done(lambda: log.end_offsets(topic), _say_waiting)
    reached = {partition: offset for partition, offset in enumerate(committed) if offset is not None}
    check_identity(identity, known, reached, ends)


async def first_catalog(catalogs: CatalogFollower) -> None:
    """Wait until a catalog is published: without one there is nothing to fold or learn by."""
    while not catalogs.ready:
        logger.warning("waiting_for_catalog")
        await asyncio.sleep(CATALOG_POLL_S)


def _say_waiting(error: BaseException) -> None:
    logger.warning("waiting_for_servers", extra={"reason": repr(error)})


async def run_together(main: Coroutine[Any, Any, None], *background: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` to its end with ``background`` tasks beside it; a background task that fails ends all."""
    leading = asyncio.create_task(main)
    running = {leading, *(asyncio.create_task(part) for part in background)}
    try:
        while not leading.done():
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@contextmanager
def stop_signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set while the block runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def set_up_logging() -> None:
    """One line per event on standard error: time, level, name, fields."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FieldFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("faust", "mode", "aiokafka", "kafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _FieldFormatter(logging.Formatter):
    """Appends a record's extra fields as ``name=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = [f"{name}={value}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([super().format(record), *fields])
