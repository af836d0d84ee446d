"""The composition root of an API process: settings in, running services out, everything let go of at the end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
from redis.exceptions import RedisError

from api.access.caller import KeysInForce
from api.process.bounded_log import BoundedLog
from api.process.catalog import PreparedInForce
from api.process.checks import no_catalog, not_current, refused, too_slow, unreadable, words
from api.process.clock import CollectorClock
from api.process.conversions import ConversionsInMemory
from api.process.housekeeping import Housekeeper
from api.process.log_creation import LogCreation
from api.process.metrics import ApiMetrics
from api.process.models import ModelsInMemory
from api.process.readiness import Check, Readiness
from api.process.segments import SegmentsInRedis
from api.process.spooling import SpoolWatch
from api.services.ports import ModelReport, Services
from api.services.request_lines import RequestLines
from api.services.rights import Rights
from background.garbage import settle_down
from background.supervisor import TaskSupervisor
from config.development_keys import keys_problem
from config.setting_values import networks_of
from config.settings import Settings
from eventlog.spool import Spool
from installation.encryption import cipher_of, load_data_key
from installation.redis_clients import DeciderReads, background_client
from installation.secrets_of import secrets_of
from installation.stored_models import StoredModel, stored_model
from installation.visitor_log import log_of
from installation.visitors import visitors_of
from online_models.insight import ModelInsight, insight_of
from personalization.audience.crawlers import load_patterns
from personalization.deciding.decision_keys import DecisionKeys
from personalization.errors import Unavailable
from state.assignment_store import AssignmentStore
from state.audit_store import AuditStore
from state.catalog_follower import CatalogFollower
from state.catalog_store import CatalogStore
from state.checkpoint_store import CheckpointStore
from state.conversion_store import ConversionFollower
from state.erasure_store import ErasureStore
from state.item_follower import ItemFollower
from state.item_store import ItemStore
from state.keys import Keys
from state.model_store import ModelFollower
from state.people import People
from state.read_models import ReadModels
from state.records import RecordFinder
from state.redis_memory import RedisMemory
from state.redis_watch import RedisWatch
from state.segment_store import SegmentStore
from state.visitor_reader import VisitorReader
from state.visitor_store import UnreadableState
from tracing.tracer import open_tracer

DRAIN_S = 5.0
"""For the last records at the end; what remains is kept on disk, and goes first the next time."""

REPORT_S = 1.0
"""What is read for people, beside the decider's own reads, takes no longer than this."""

APPEND_TIMEOUT_S = 0.9
"""A collector tells its caller within a second that the log is away."""

_CATALOG_WAIT_S = 1.0


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """All parts of one API process, started; they need not reach anything yet."""
    async with AsyncExitStack() as stack:
        keys = Keys(settings.namespace)
        secrets = secrets_of(settings)
        models_key = secrets.key("models")
        metrics = ApiMetrics()
        tasks = TaskSupervisor(on_end=lambda task: metrics.task_restarts.labels(task).inc())
        background = background_client(settings.redis)
        stack.push_async_callback(background.aclose)
        reads = DeciderReads(settings.redis)
        stack.push_async_callback(reads.aclose)
        cipher = cipher_of(settings)
        log = log_of(settings, cipher, append_timeout_s=APPEND_TIMEOUT_S)
        await log.start()
        stack.push_async_callback(log.close)
        bounded_log = BoundedLog(log)
        await stack.enter_async_context(tasks)
        reader = VisitorReader(reads, keys, settings.redis_timeout_ms / 1000, metrics.redis_read, cipher=cipher)
        clock = CollectorClock()

        def heard(redis_ms: int) -> None:
            clock.heard(redis_ms)
            metrics.clock_ahead_seconds.set(clock.ahead_ms / 1000)

        watch = RedisWatch(background, f"{settings.namespace}:probe", heard=heard)
        tasks.keep("redis-watch", watch.run)
        memory = RedisMemory(background, metrics.redis_memory)
        tasks.keep("redis-memory", memory.run)
        assignment = AssignmentStore(background, keys, secrets)

        secrets_read = asyncio.Event()

        async def load_secrets() -> None:
            await assignment.load()
            await load_data_key(settings, background, keys, cipher)
            secrets_read.set()

        async def once_read(run: Callable[[], Awaitable[None]]) -> None:
            await secrets_read.wait()
            await run()

        follower = CatalogFollower(
            CatalogStore(background, settings.namespace),
            before_first=load_secrets,
            refuses=functools.partial(keys_problem, settings),
        )
        tasks.keep("catalog", follower.run)
        models = ModelFollower(background, keys, models_key, cipher=cipher)
        tasks.keep("models", functools.partial(once_read, models.run))
        conversions = ConversionFollower(background, keys, models_key, cipher=cipher)
        tasks.keep("conversions", functools.partial(once_read, conversions.run))
        creation = LogCreation(log, settings.partitions)
        tasks.keep("log-creation", creation.run, may_return=True)
        await follower.wait_ready(_CATALOG_WAIT_S)
        items = ItemFollower(ItemStore(background, settings.namespace))
        catalog = PreparedInForce(follower, items)
        items.on_change = catalog.items_changed
        tasks.keep("items", items.run)
        tasks.keep("items-ready", catalog.run)
        data_dir = Path(settings.data_dir)
        spool = Spool(log, data_dir / "spool", cipher=cipher)
        spool_watch = SpoolWatch(spool)
        tasks.keep("spool", spool.run, may_return=True)
        stack.push_async_callback(spool.drain, DRAIN_S)

        visitors = visitors_of(settings, background, keys, cipher)

        async def open_decisions(key: str) -> int:
            try:
                async with asyncio.timeout(REPORT_S):
                    stored = (await visitors.load([key]))[key]
                return len(stored.visitor().folder.open)
            except (RedisError, OSError, UnreadableState) as error:
                raise Unavailable(f"open decisions cannot be read: {error}") from error

        @functools.cache
        def decision_keys() -> DecisionKeys:
            return DecisionKeys.of(secrets, assignment.found)

        checkpoints = CheckpointStore(background, keys, cipher)

        async def stored(placement: str) -> StoredModel | None:
            try:
                return await stored_model(checkpoints, log, placement, models_key, REPORT_S)
            except (RedisError, OSError, msgspec.DecodeError) as error:
                raise Unavailable(f"the checkpoint cannot be read: {error}") from error

        async def learned(placement: str) -> ModelReport | None:
            found = await stored(placement)
            if found is None:
                return None
            book, header, partition = found
            through = {"epoch": header.epoch, "partition": partition, "offset": header.trained_through(placement)}
            return ModelReport(book.report(), through, book.imitation)

        async def insight(placement: str) -> ModelInsight | None:
            found = await stored(placement)
            return None if found is None else await asyncio.to_thread(insight_of, found.book)

        needed: dict[str, Check] = {
            "catalog": lambda: no_catalog(follower),
            "models": lambda: None if models.reached_ms else "Redis has not told of them yet",
        }
        watched: dict[str, Check] = {
            "redis": lambda: words(watch.error) or too_slow(reader.error, settings.redis_timeout_ms),
            "redis-memory": memory.warning,
            "clock": clock.problem,
            "log": lambda: creation.waits_for or words(bounded_log.error),
            "spool": spool_watch.problem,
            "catalog": lambda: unreadable(follower),
            "models": lambda: not_current(models),
            "conversions": lambda: refused(conversions.refused),
        }
        people = People(background, keys, visitors)
        lines = RequestLines(float(settings.log_requests))
        stack.enter_context(_toggled_by_signal(lines))
        tracer = open_tracer(settings.traces, "api", lambda outcome, n: metrics.spans.labels(outcome).inc(n))
        if tracer is not None:
            stack.callback(tracer.close)
        rights = Rights(people, ErasureStore(background, keys), log, clock.now_ms)
        readiness = Readiness(needed, watched, tasks)
        services = Services(
            secrets=secrets,
            catalog=catalog,
            items=items.store,
            item_of=items.get,
            segments=SegmentsInRedis(SegmentStore(background, keys, visitors), log),
            audit=AuditStore(background, settings.namespace, secrets, settings.audit_records, clock.now_ms),
            keys=KeysInForce(catalog, clock.now_ms),
            models=ModelsInMemory(models, catalog),
            conversions=ConversionsInMemory(conversions),
            visitors=reader,
            log=bounded_log,
            spool=spool,
            metrics=metrics,
            clock_ms=clock.now_ms,
            open_decisions=open_decisions,
            learned=learned,
            records=RecordFinder(background, keys, log, secrets),
            read_models=ReadModels(background, keys),
            insight=insight,
            decision_keys=decision_keys,
            rights=rights,
            trusted_proxies=networks_of(settings.trusted_proxies),
            readiness=readiness.report,
            tracer=tracer,
            request_lines=lines,
            deadline_ms=settings.deadline_ms,
            redis_timeout_ms=settings.redis_timeout_ms,
            max_body_bytes=settings.max_body_bytes,
        )
        tasks.keep("refused-acts", services.refused_acts.run)
        tasks.keep("housekeeping", Housekeeper(services, spool, spool_watch, models, data_dir).run)
        with contextlib.suppress(Unavailable):
            await reader.read(["a:-"], None)  # connects before the first visitor waits for it
        load_patterns()
        settle_down()
        yield services


@contextmanager
def _toggled_by_signal(lines: RequestLines) -> Iterator[None]:
    """SIGUSR1 begins with lines of requests, and ends with them, while the block runs."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lines.toggle)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # while it ends, it says nothing
