"""The composition root of an API process: settings in, running services out, everything let go of at the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.auth import KeysInForce
from api.catalog import PreparedInForce
from api.conversions import ConversionsInMemory
from api.metrics import ApiMetrics
from api.models import ModelsInMemory
from api.services import Learned, Services
from api.wire import BATCH, DECIDE, EVENT, REWARD
from background.supervisor import TaskSupervisor
from config.settings import Settings
from eventlog.kafka import KafkaLog
from eventlog.opening import default_partitions, open_log
from eventlog.partition import partition_of
from eventlog.redis_streams import RedisStreamsLog
from eventlog.spool import Spool
from eventlog.topics import Topics
from online_models import checkpoint
from personalization.errors import NextbestError, Unavailable
from personalization.folder_state import decode_folder
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore
from state.checkpoint_store import CheckpointStore
from state.conversion_store import ConversionFollower
from state.keys import Keys
from state.model_store import ModelFollower
from state.visitor_reader import VisitorReader, decider_client, fetch_with

logger = logging.getLogger(__name__)

DRAIN_S = 5.0
"""For the last records at the end; what remains is kept on disk, and goes first the next time."""

APPEND_TIMEOUT_S = 0.9
"""A collector tells its caller within a second that the log is away."""

_GC_THRESHOLDS = (20_000, 20, 20)
_HOUSEKEEPING_S = 0.5
_CATALOG_WAIT_S = 1.0


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """All parts of one API process, started; they need not reach anything yet."""
    async with AsyncExitStack() as stack:
        keys = Keys(settings.namespace)
        secret = settings.secret.encode()
        metrics = ApiMetrics()
        # Announcements occupy a connection each, and neither these nor reports may take one from the decider.
        background: Redis = Redis.from_url(_plain(settings.redis), socket_connect_timeout=2.0)
        stack.push_async_callback(background.aclose)
        decider = decider_client(settings.redis, settings.redis_timeout_ms)
        stack.push_async_callback(decider.aclose)
        reader = VisitorReader(fetch_with(decider), keys, settings.redis_timeout_ms / 1000, metrics.redis_read)
        follower = CatalogFollower(CatalogStore(background, settings.namespace))
        await follower.start(wait_s=_CATALOG_WAIT_S)
        stack.push_async_callback(follower.stop)
        catalog = PreparedInForce(follower)
        models = ModelFollower(background, keys, secret)
        await _begin(stack, models.run(), "model-follower")
        conversions = ConversionFollower(background, keys, secret)
        await _begin(stack, conversions.run(), "conversion-follower")
        log = _log(settings)
        await log.start()
        stack.push_async_callback(log.close)
        await _begin(stack, _create(log, settings.partitions), "log-creation")
        spool = Spool(log, Path(settings.data_dir) / "spool")
        stack.push_async_callback(spool.drain, DRAIN_S)
        tasks = await stack.enter_async_context(TaskSupervisor())
        tasks.keep("spool", spool.run)

        async def open_decisions(key: str) -> int:
            try:
                value = cast("bytes | None", await background.get(keys.folder(key)))
                return len(decode_folder(value).open) if value else 0
            except (RedisError, OSError, msgspec.DecodeError) as error:
                raise Unavailable(f"open decisions cannot be read: {error}") from error

        checkpoints = CheckpointStore(background, keys)

        async def learned(placement: str) -> Learned | None:
            try:
                partition = partition_of(placement, (await log.identity()).n_partitions)
                stored = await checkpoints.load(partition)
                blob = stored.blobs.get(placement) if stored is not None else None
                if stored is None or blob is None:
                    return None
                # Off the loop: a large model takes milliseconds to load.
                book = await asyncio.to_thread(checkpoint.load, blob, secret, placement=placement)
            except (RedisError, OSError, msgspec.DecodeError) as error:
                raise Unavailable(f"the checkpoint cannot be read: {error}") from error
            header = stored.header
            through = {"epoch": header.epoch, "partition": partition, "offset": header.position}
            return Learned(book.model.report(), through)

        services = Services(
            secret=secret,
            catalog=catalog,
            keys=KeysInForce(catalog),
            models=ModelsInMemory(models, catalog),
            conversions=ConversionsInMemory(conversions),
            visitors=reader,
            log=log,
            spool=spool,
            metrics=metrics,
            clock_ms=lambda: time.time_ns() // 1_000_000,
            open_decisions=open_decisions,
            learned=learned,
            ready=lambda: _missing(follower, models, log),
            deadline_ms=settings.deadline_ms,
            redis_timeout_ms=settings.redis_timeout_ms,
            max_body_bytes=settings.max_body_bytes,
        )
        await _begin(stack, _keep_house(services, spool, models), "housekeeping")
        with contextlib.suppress(Unavailable):
            await reader.read(["a:-"], None)  # connects before the first visitor waits for it
        # What is here now stays: the collector need not look through all modules again at each full round. And
        # what a request leaves behind has no cycles, so looking after every 700 objects finds next to nothing.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        yield services


def _log(settings: Settings) -> RedisStreamsLog | KafkaLog:
    url = f"kafka://{settings.kafka}" if settings.kafka else settings.redis
    topics = Topics.bounded(f"{settings.namespace}.", settings.log_bytes, settings.log_age_ms)
    return open_log(url, topics, append_timeout_s=APPEND_TIMEOUT_S)


def _plain(url: str) -> str:
    # Catalog, models and checkpoints are read key by key: a Cluster's nodes send a plain client on by MOVED,
    # which it does not follow, so there `redis+cluster://` needs a proxy or a single shard for these.
    return url.replace("redis+cluster://", "redis://", 1)


async def _begin(stack: AsyncExitStack, work: Any, name: str) -> None:
    task = asyncio.create_task(work, name=name)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


async def _create(log: RedisStreamsLog | KafkaLog, n_partitions: int) -> None:
    """Create the topics unless they are there, as soon as the log answers."""
    while True:
        try:
            await log.create(n_partitions or default_partitions(log))
            return
        except NextbestError as error:
            logger.warning("log_not_created", extra={"reason": str(error)})
            await asyncio.sleep(0.5)


def _missing(follower: CatalogFollower, models: ModelFollower, log: RedisStreamsLog | KafkaLog) -> list[str]:
    missing = []
    if not follower.ready:
        missing.append("catalog")
    if not models.reached_ms:
        missing.append("models")
    return missing


async def _keep_house(services: Services, spool: Spool, models: ModelFollower) -> None:
    """Bring the gauges up to date, and what was observed into its histograms."""
    metrics = services.metrics
    while True:
        metrics.flush()
        metrics.spool_depth.set(spool.n_waiting)
        metrics.spool_dropped.set(spool.n_dropped)
        metrics.unknown_fields.set(sum(kind.n_unknown for kind in (EVENT, BATCH, DECIDE, REWARD)))
        now_ms = services.clock_ms()
        for placement in models.placements:
            age_ms = services.models.age_ms([placement], now_ms)
            if age_ms is not None:
                metrics.model_age_seconds.labels(placement).set(age_ms / 1000)
        with contextlib.suppress(Unavailable):
            metrics.catalog_version.set(services.catalog.current.catalog.version)
        await asyncio.sleep(_HOUSEKEEPING_S)
