"""The projector as a process of its own: what it adds up and notes never delays folding or learning."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from faust.types import TP

from background.supervisor import TaskSupervisor
from config.settings import Settings
from eventlog.topics import DECISIONS, VISITOR_LOG
from installation.audit import recorded
from installation.process_log import set_up_logging
from installation.secrets_of import secrets_of
from installation.visitors import visitors_of
from personalization.catalog.sections.challengers import Standing
from personalization.errors import EpochClosed, Refused
from personalization.projecting.read_models import read_models
from state.catalog_store import CatalogStore
from state.points_store import PointsStore
from state.projection_store import Place, ProjectionStore
from state.read_models import ReadModels
from state.records import ROWS_PURPOSE
from state.redis_memory import RedisMemory
from state.segment_store import SegmentStore
from stream.health import health_server
from stream.house import House, open_house
from stream.metrics import ProjectorMetrics
from stream.projecting.lag import ProjectorLag
from stream.projecting.projector import COLUMNS, Logged, Projector
from stream.projecting.quantile_census import QuantileCensus
from stream.projecting.referee import Referee, differences_since
from stream.projecting.segment_census import SegmentCensus
from stream.running import run_app, run_together, stop_signals
from stream.transports.offsets import OffsetPolicy
from stream.wall_clock import wall_clock_ms
from stream.worker_app import WorkerApp, WorkerSettings, make_app

ROLE = "projector"

PAUSE_S = 0.5
"""Between two looks at the log: people read sums and rows, and a batch costs little more than an entry."""

READ_ENTRIES = 6_000
"""At once, of all partitions: on Redis Streams 500 of each of twelve."""

TIDY_S = 30.0

FIRST = Place(DECISIONS, 0)
"""Whoever reads it is the referee."""

REFEREE = "nextbest projector"
"""Who publishes what the referee decides."""


class LogToProjection:
    """Hands what Faust's consumer reads to the projector, under our own names of partitions."""

    pause_s = PAUSE_S

    def __init__(self, app: WorkerApp, projector: Projector) -> None:
        self._app = app
        self._projector = projector
        self._topics = {app.tp(topic, 0).topic: topic for topic in COLUMNS}

    def place(self, tp: TP) -> Place:
        """A partition by our own name."""
        return Place(self._topics[tp.topic], tp.partition)

    def owned_visitors(self) -> set[int]:
        """The partitions of the visitor log that are read here."""
        places = map(self.place, self._app.owned_partitions())
        return {place.partition for place in places if place.topic == VISITOR_LOG}

    def holds(self, place: Place) -> bool:
        """Whether a partition is read here."""
        return place in map(self.place, self._app.owned_partitions())

    async def until_room(self) -> None:
        """See ``Receiver``: what is taken is projected before more is read."""

    async def take(self, found: Mapping[TP, Sequence[Any]], offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        """See ``Receiver``."""
        tps = {self.place(tp): tp for tp in found}
        reached = await self._projector.take({place: found[tp] for place, tp in tps.items()})
        return {tps[place]: offset for place, offset in reached.items()}


async def main(settings: Settings) -> None:
    """Project until told to stop (SIGTERM, SIGINT).

    Raises
    ------
    Refused
        Where log and states do not belong together.
    """
    async with open_house(settings, ROLE) as house:
        # Nothing is ever committed for the group: on Redis Streams that would say what may be trimmed.
        policy = OffsetPolicy(commits_acked=False)
        app = make_app(ROLE, house.log, house.identity, _worker_settings(settings), offset_policy=policy)
        metrics = ProjectorMetrics(lambda: lag.behind_s())
        projector = Projector(
            ProjectionStore(house.redis, house.keys, house.identity.epoch, 2 * settings.log_age_ms),
            read_models(),
            lambda topic, entry: _opened(house, topic, entry),
            secrets_of(settings).key(ROWS_PURPOSE),
            house.identity.n_partitions,
            settings.record_rows_bytes,
            metrics,
        )
        bulk = LogToProjection(app, projector)
        app.receive(COLUMNS, bulk)
        lag = ProjectorLag(
            house.log,
            house.identity,
            lambda: {bulk.place(tp) for tp in app.owned_partitions()},
            lambda: projector.reached,
            metrics.lag,
            projector.tidy,
            TIDY_S,
        )

        async def start_offsets(assigned: set[TP]) -> Mapping[TP, int]:
            ends = await lag.ends()
            reached = await projector.assigned({bulk.place(tp): ends[bulk.place(tp)] for tp in assigned})
            return {tp: reached[bulk.place(tp)] for tp in assigned if bulk.place(tp) in reached}

        policy.start_offsets = start_offsets
        policy.on_gap = metrics.gap
        tasks = TaskSupervisor(lambda name: metrics.task_restarts.labels(name).inc(), fatal=(Refused, EpochClosed))
        memory = RedisMemory(house.redis, metrics.redis_memory)
        visitors = visitors_of(settings, house.redis, house.keys, house.cipher)
        segments = SegmentStore(house.redis, house.keys, visitors)
        store = CatalogStore(house.redis, settings.namespace)
        census = SegmentCensus(segments, house.catalogs, bulk.owned_visitors, house.identity.n_partitions)
        quantiles = QuantileCensus(
            segments,
            PointsStore(house.redis, house.keys),
            house.catalogs,
            store,
            bulk.owned_visitors,
            house.identity.n_partitions,
            settings.thresholds_ms,
        )

        sums = ReadModels(house.redis, house.keys)

        async def publish(version: int, placement: str, standing: Standing) -> int | None:
            act, what = f"policy_{standing.is_now}", f"placements.{placement}: {standing.is_now}: {standing.why}"
            async with recorded(settings, house.redis, act, f"placement:{placement}", actor=REFEREE):
                return await store.put_standing(version, placement, standing, REFEREE, what)

        referee = Referee(
            sums,
            house.catalogs,
            lambda: bulk.holds(FIRST),
            publish,
            lambda placement, since_ms: differences_since(
                sums, house.catalogs.current, placement, since_ms, wall_clock_ms()
            ),
            lambda placement, became: metrics.policy_changes.labels(placement, became).inc(),
            wall_clock_ms,
        )

        def not_ready() -> str | None:
            for part, reason in metrics.waiting.items():
                return f"waiting for {part}: {reason}"
            return lag.not_ready() or (None if projector.has_begun else "looking where to go on")

        def warnings() -> list[str]:
            found = memory.warning()
            return [found] if found else []

        with stop_signals() as stop:
            async with tasks:
                tasks.keep("lag", lag.run)
                tasks.keep("redis-memory", memory.run)
                tasks.keep("segment-census", census.run)
                tasks.keep("quantile-census", quantiles.run)
                tasks.keep("referee", referee.run)
                health = health_server(metrics, settings.metrics_host, settings.metrics_port, not_ready, warnings)
                async with health:
                    await run_together(run_app(app, stop), tasks.until_fatal())


def _opened(house: House, topic: str, entry: Logged) -> bytes:
    return house.value_of(topic, entry)


def _worker_settings(settings: Settings) -> WorkerSettings:
    return WorkerSettings(session_timeout_s=settings.lease_ms / 1000, max_poll_events=READ_ENTRIES)


def run(settings: Settings) -> None:
    """The process."""
    set_up_logging(settings.log)
    asyncio.run(main(settings))
