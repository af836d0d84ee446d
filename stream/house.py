"""What workers need before they can start: the log and its identity, Redis, the catalog."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.opening import default_partitions
from eventlog.port import LogIdentity, check_resumption
from eventlog.redis_streams import RedisStreamsLog
from eventlog.sealing import opened_value
from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from installation.encryption import cipher_of, load_data_key
from installation.redis_clients import worker_client
from installation.visitor_log import WORKERS_HEADROOM, log_of
from installation.way_in import shut_out
from personalization.data_cipher import DataCipher, sealed_under
from personalization.errors import Refused
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore
from state.checkpoint_store import CheckpointStore
from state.keys import Keys
from state.log_identity import LogIdentityStore
from state.transient import until_done
from stream.failpoints import Failpoints
from stream.first_catalog import until_published
from stream.metrics import WorkerMetrics
from stream.worker_app import WorkerSettings
from tracing.tracer import Tracer, open_tracer

logger = logging.getLogger(__name__)

LOOKED_AT = 4
"""Partitions whose next entry is looked at before a worker starts: on Kafka each costs a connection."""

TOPIC_OF = {"folder": VISITOR_LOG, "learner": OUTCOMES, "projector": DECISIONS}


@dataclass(slots=True)
class House:
    """The parts that workers stand on."""

    settings: Settings
    log: RedisStreamsLog | KafkaLog
    identity: LogIdentity
    redis: Redis
    keys: Keys
    catalogs: CatalogFollower
    failpoints: Failpoints
    cipher: DataCipher
    role: str
    ending: ExitStack

    def tracer(self, metrics: WorkerMetrics) -> Tracer | None:
        """What records the traces of this worker; None if nobody asks for them."""
        tracer = open_tracer(
            self.settings.traces, self.role, lambda outcome, n: metrics.spans.labels(outcome).inc(n)
        )
        if tracer is not None:
            self.ending.callback(tracer.close)
        return tracer

    def value_of(self, topic: str, entry: Any) -> bytes:
        """The value of an entry as it was read, in the clear; as it is where it cannot be opened."""
        return opened_value(self.cipher, topic, entry.key, entry.value)


def worker_settings(settings: Settings) -> WorkerSettings:
    """What the settings say about a Faust worker."""
    return WorkerSettings(
        session_timeout_s=settings.lease_ms / 1000,
        commit_interval_s=settings.commit_ms / 1000,
        max_poll_events=settings.fold_batch,
    )


@asynccontextmanager
async def open_house(settings: Settings, role: str) -> AsyncIterator[House]:
    """Connect, create what topics are missing, see that log and states belong together, follow the catalog.

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
    cipher = cipher_of(settings)
    log = log_of(settings, cipher, headroom_share=WORKERS_HEADROOM)
    redis = worker_client(settings.redis)
    keys = Keys(settings.namespace)
    try:
        await log.start()
        await until_done(lambda: load_data_key(settings, redis, keys, cipher), _say_waiting)
        n_partitions = settings.partitions or default_partitions(log)
        identity = await until_done(lambda: log.create(n_partitions), _say_waiting)
        await _check_resumption(log, identity, redis, keys, role)
        if role != "projector":  # it counts what it cannot read, and goes on
            await until_done(lambda: _check_readable(log, cipher, keys, role), _say_waiting)
        async with CatalogFollower(CatalogStore(redis, settings.namespace)) as catalogs:
            await until_published(lambda: catalogs.ready)
            with ExitStack() as ending:
                yield House(settings, log, identity, redis, keys, catalogs, failpoints, cipher, role, ending)
    finally:
        await log.close()
        await redis.aclose()


async def _check_resumption(
    log: RedisStreamsLog | KafkaLog, identity: LogIdentity, redis: Redis, keys: Keys, role: str
) -> None:
    """See that what was committed, and what the checkpoints were trained through, lies inside this very log."""
    known = await until_done(lambda: LogIdentityStore(redis, keys).remember_first(identity), _say_waiting)
    trained: dict[int, int] = {}
    if role == "learner":
        checkpoints = CheckpointStore(redis, keys)
        headers = await until_done(lambda: checkpoints.headers(identity.n_partitions, identity.epoch), _say_waiting)
        trained = {number: header.position for number, header in headers.items()}
    await until_done(lambda: check_resumption(log, role, TOPIC_OF[role], known, trained), _say_waiting)


async def _check_readable(log: RedisStreamsLog | KafkaLog, cipher: DataCipher, keys: Keys, role: str) -> None:
    """Refuse to go on where the next entries are sealed under a data key that is lost: none would be folded."""
    topic = TOPIC_OF[role]
    earliest, ends = await log.earliest_offsets(topic), await log.end_offsets(topic)
    committed = [offset or 0 for offset in await log.committed_offsets(role, topic)]
    firsts = [max(offsets) for offsets in zip(earliest, committed, strict=True)]
    waiting = [partition for partition, first in enumerate(firsts) if first < ends[partition]]
    for partition in waiting[:LOOKED_AT]:
        async for entry in log.read(topic, partition, firsts[partition], firsts[partition] + 1):
            if not cipher.knows(entry.value):
                raise Refused(
                    f"the log holds entries sealed under the data key {sealed_under(entry.value)}, and this "
                    f"installation has another: restore {keys.data_key} and {keys.data_key_id} from a backup of "
                    "Redis. If that is lost, so is what the log holds: stop every producer and run "
                    "`nextbest epoch open --lossy`"
                )


def _say_waiting(error: BaseException) -> None:
    if problem := shut_out(error):
        raise Refused(problem) from error
    logger.warning("waiting_for_servers", extra={"reason": repr(error)})
