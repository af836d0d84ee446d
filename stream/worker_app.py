"""Makes the Faust app of a role, with every setting that matters.

Faust owns partitions, rebalances, agents and commits. What was read goes to the app's receiver as it came, many
entries at once (``docs/decisions/0106``): ``app.receive(topics, receiver, work)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import faust
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.exceptions import ConsumerNotStarted
from faust.tables.manager import TableManager
from faust.types import TP
from yarl import URL

from eventlog.kafka import KafkaLog
from eventlog.port import LogIdentity
from eventlog.redis_streams import RedisStreamsLog
from stream.transports.log_reader import Receiver
from stream.transports.offsets import OffsetPolicy

START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What may differ between a worker in production and one in a test.

    Parameters
    ----------
    session_timeout_s
        How long a worker may be silent before its partitions (Kafka) or its lease (Redis Streams) go to
        another. Faust's 60 s makes a ``kill -9`` cost a minute.
    commit_interval_s
        Between two commits of acked offsets. What was acked since is delivered again after a crash.
    max_poll_events
        Events taken from the log at once.
    """

    session_timeout_s: float = 10.0
    commit_interval_s: float = 0.5
    max_poll_events: int = 500


class NoTables(TableManager):
    """Faust's keeper of tables, of which we have none: it need not wait a second for more to be named."""

    async def on_start(self) -> None:
        """Go on at once."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class WorkerApp(faust.App):
    """A Faust app that reads one log.

    Attributes
    ----------
    event_log, log_identity
        The log it reads, and which one that was when the app was made.
    offset_policy
        Where reading starts and whether acks are committed; the learner changes both.
    receiver
        Takes what is read.
    """

    event_log: RedisStreamsLog | KafkaLog
    log_identity: LogIdentity
    offset_policy: OffsetPolicy
    receiver: Receiver

    def _create_directories(self) -> None:
        """None: Faust would make three below the current directory, for RocksDB tables. We keep no tables."""

    def channel_of(self, topic: str) -> Any:
        """The Faust topic of raw bytes for one of ours (``topics.VISITOR_LOG``…)."""
        name = self.event_log.topics.on_server(topic, self.log_identity.epoch)
        return self.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    def tp(self, topic: str, partition: int) -> TP:
        """Faust's name of a partition of one of our topics."""
        return TP(self.event_log.topics.on_server(topic, self.log_identity.epoch), partition)

    @property
    def lease_generation(self) -> int:
        """Counts the owners of the partitions: of two workers, the one with the higher number is right.

        The lease's on Redis Streams, the group's on Kafka; 0 before the first assignment.
        """
        return int(self.consumer_generation_id or 0)

    @property
    def reading(self) -> int:
        """Counts how often this worker began to read anew (``DrainingMixin``)."""
        return int(self._consumer.reading)

    def owned_partitions(self) -> set[TP]:
        """What this worker owns now; nothing while it waits as a standby."""
        consumer = self._consumer
        if consumer is None or not consumer.started:
            return set()
        try:
            return set(consumer.assignment())
        except ConsumerNotStarted:  # on Kafka it lives in a thread, which starts a little later
            return set()

    def owned_numbers(self) -> list[int]:
        """The numbers of the partitions this worker owns now."""
        return [tp.partition for tp in self.owned_partitions()]

    def receive(
        self, topics: Iterable[str], receiver: Receiver, work: Callable[[Any], Awaitable[None]] | None = None
    ) -> None:
        """Read ``topics`` for ``receiver``.

        Faust subscribes to what has an agent: that does ``work``, and is given a stream in which nothing comes.
        Its decorator ``agent`` does the same, and notes where in which module it stands, for a scan that nobody
        makes here: a tenth of all that a start costs.
        """
        self.receiver = receiver
        for topic in topics:
            agent = self.conf.Agent(
                work or _wait_for_nothing,
                name=f"{self.conf.id}.{topic}",
                app=self,
                channel=self.channel_of(topic),
                on_error=self._on_agent_error,
            )
            self.agents[agent.name] = agent
            self.topics.beacon.add(agent)

    def acknowledge(self, done: Mapping[TP, Collection[int]]) -> None:
        """Offsets that were read since reading last began anew are done, and may be committed."""
        for tp, offsets in done.items():
            self._consumer.acknowledge(tp, offsets)

    async def commit_offsets(self, offsets: Mapping[TP, int], generation: int | None = None) -> bool:
        """Commit now what was reached under ``generation``; false when that ownership is over."""
        return bool(await self.consumer.commit_offsets(offsets, generation))


async def _wait_for_nothing(stream: Any) -> None:
    await asyncio.Event().wait()


def make_app(
    role: str,
    log: RedisStreamsLog | KafkaLog,
    identity: LogIdentity,
    settings: WorkerSettings | None = None,
    *,
    offset_policy: OffsetPolicy | None = None,
) -> WorkerApp:
    """The Faust app of ``role``, which is also its consumer group.

    Parameters
    ----------
    role
        ``folder``, ``learner`` or ``projector``.
    log
        Where it reads; on Redis Streams its URL and namespace are the transport's too.
    identity
        From ``await log.create(…)`` or ``await log.identity()``, checked by ``check_identity``.
    settings
        See ``WorkerSettings``.
    offset_policy
        See ``OffsetPolicy``.
    """
    settings = settings or WorkerSettings()
    app = WorkerApp(
        log.topics.prefix + role,
        broker=_broker(log),
        broker_credentials=_credentials(log),
        # No process but this one may serve: Faust's web server has open table routes and no access control.
        web_enabled=False,
        TableManager=NoTables,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        reply_create_topic=False,
        topic_partitions=identity.n_partitions,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=max(0.2, settings.session_timeout_s / 4),
        broker_rebalance_timeout=max(settings.session_timeout_s, 10.0),
        broker_request_timeout=max(30.0, settings.session_timeout_s + 1),
        broker_commit_interval=settings.commit_interval_s,
        broker_max_poll_records=settings.max_poll_events,
        # An event is done when its handler says so, never because the handler failed or was stopped.
        stream_ack_exceptions=False,
        stream_ack_cancelled_tasks=False,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        # Logging is the program's, set up once; Faust would turn every print into a warning.
        worker_redirect_stdouts=False,
    )
    app.event_log = log
    app.log_identity = identity
    app.offset_policy = offset_policy or OffsetPolicy()
    return app


def _credentials(log: RedisStreamsLog | KafkaLog) -> Credentials | None:
    """How Faust's own consumer speaks to brokers: as every other client of the log does."""
    if isinstance(log, RedisStreamsLog) or (context := log.security.context()) is None:
        return None
    security = log.security
    if security.protocol == "SSL":
        return SSLCredentials(context)
    return SASLCredentials(
        username=security.user, password=security.password, mechanism=security.mechanism, ssl_context=context
    )


def _broker(log: RedisStreamsLog | KafkaLog) -> list[URL]:
    if isinstance(log, RedisStreamsLog):
        return [URL("redis+streams://log")]  # the transport takes the server from the app's log
    return [URL(f"nextbest+kafka://{server.strip()}") for server in log.servers.split(",")]
