"""Appending to Kafka: a lane for each partition, in each lane one batch under way.

Whatever waits in a lane when its batch is acknowledged goes as the next batch. If a batch fails, whatever waits
behind it fails too, so that nothing comes before what its caller will try again.

An idempotent producer tries a batch again until the broker takes it, and keeps its place: a call that took too long
is carried out before anything later of its partition, or never. It is dropped only after a batch was refused for
good, since the broker then takes nothing more from it, and when another epoch is in force.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from eventlog.appending import checked, closed, closed_meanwhile
from eventlog.deadlines import Deadlines
from eventlog.kafka_connection import KafkaConnection, foreign
from eventlog.kafka_lanes import Call, Lane
from eventlog.port import LogIdentity, LogPosition, Record
from eventlog.signal import Signal
from personalization.errors import InvalidInput, Unavailable

logger = logging.getLogger(__name__)

RECONNECT_S = 0.2
FINISH_S = 1.0
"""How long batches of other partitions may still be acknowledged before a producer is dropped."""

DOUBT_S = 0.5
"""Between two looks at which log is in force, while calls fail."""

MAX_VALUE_BYTES = 1_000_000
"""A broker takes batches of 1 MiB (``max.message.bytes``), headers included."""


class Layout(NamedTuple):
    """Where records go: the log in force, and what its topics are called on the server."""

    identity: LogIdentity
    names: Mapping[str, str]


class KafkaWriter:
    """Appends; every record is acknowledged by all in-sync replicas before its call returns.

    Parameters
    ----------
    layout
        Where records go; asked the server anew if told to. Raises ``Unavailable`` while it does not answer.
    is_closed
        Whether a topic, by its name on the server, takes nothing more.
    topics
        Those the log has.
    timeout_s
        After which an append raises ``Unavailable``.
    max_pending_bytes
        Bound of what is not acknowledged yet; beyond it ``append`` raises ``Unavailable`` at once.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        layout: Callable[[bool], Awaitable[Layout]],
        is_closed: Callable[[str], Awaitable[bool]],
        topics: Collection[str],
        timeout_s: float,
        max_pending_bytes: int,
    ) -> None:
        self._connection = connection
        self._ask_layout = layout
        self._is_closed = is_closed
        self._topics = frozenset(topics)
        self._deadlines = Deadlines(timeout_s, self._expire)
        self._max_pending_bytes = max_pending_bytes
        self._layout: Layout | None = None
        self._calls: dict[Call, None] = {}
        self._arrived: deque[Call] = deque()
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._ready: dict[Lane, None] = {}
        self._failed: list[tuple[Lane, BaseException]] = []
        self._doubtful = False
        self._looking: asyncio.Task[None] | None = None
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.appended = Signal()

    def start(self) -> None:
        """Begin; records wait while the brokers are away."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="log-writer")

    async def close(self) -> None:
        """Send what waits, unless there is nobody to take it."""
        if self._layout is not None and self._calls:
            await asyncio.wait([call.done for call in self._calls])
        self._closing = True
        self._deadlines.stop()
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def append(self, records: Sequence[Record], only_in: LogIdentity | None) -> list[LogPosition]:
        """The positions of the ``records``, acknowledged; see the port."""
        if not records:
            return []
        hashes, n_bytes = checked(records, self._topics)
        for record in records:
            if len(record.value) > MAX_VALUE_BYTES:
                raise InvalidInput(
                    "value", f"{len(record.value)} bytes; the log takes {MAX_VALUE_BYTES}", "too_large"
                )
        if self._pending_bytes + n_bytes > self._max_pending_bytes:
            raise Unavailable(f"{self._pending_bytes} bytes wait to be acknowledged by Kafka already")
        self.start()
        loop = asyncio.get_running_loop()
        call = Call(records, hashes, only_in, loop.create_future())
        self._pending_bytes += n_bytes
        self._calls[call] = None
        self._arrived.append(call)
        self._wake.set()
        self._deadlines.add(call)
        try:
            return await call.done
        finally:
            self._pending_bytes -= n_bytes
            del self._calls[call]

    # -- inside -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Hand records to the producer in the order they came, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._step()
            except Unavailable as error:
                logger.warning("log_unavailable", extra={"reason": str(error)})
                self._arrived = deque(call for call in self._arrived if not call.done.done())
                await asyncio.sleep(RECONNECT_S)
                self._wake.set()
            except Exception as error:  # whatever it is, calls hear of it and the task goes on
                logger.exception("log_writer_failed")
                await self._start_over()
                for call in list(self._calls):
                    call.fail(foreign(error))

    async def _step(self) -> None:
        if self._failed:
            await self._settle_failures()
        layout = await self._ask_layout(False)  # remembered; another one if somebody has looked meanwhile
        if self._layout is None:
            self._layout = layout
        elif layout.identity != self._layout.identity:
            await self._connection.drop()
            self._move(layout)
        while self._arrived:
            self._enter(self._arrived.popleft(), layout)
        producer = await self._connection.producer()
        while self._ready:
            lane = next(iter(self._ready))
            del self._ready[lane]
            await self._send(lane, producer)

    def _enter(self, call: Call, layout: Layout) -> None:
        """Put the records of a call into the lanes of their partitions."""
        if call.done.done():
            return
        if call.only_in is not None and call.only_in != layout.identity:
            call.fail(closed(call.only_in, layout.identity))
            return
        mask = layout.identity.n_partitions - 1
        for at, (record, hashed) in enumerate(zip(call.records, call.hashes, strict=True)):
            place = (record.topic, hashed & mask)
            lane = self._lanes.get(place)
            if lane is None:
                lane = self._lanes[place] = Lane(record.topic, layout.names[record.topic], place[1])
            lane.enter(call, at)
            if not lane.under_way:
                self._ready[lane] = None

    async def _send(self, lane: Lane, producer: Any) -> None:
        """Send what waits in a lane as one batch.

        aiokafka's own ``send`` makes a future and a callback per record: twice the cost.
        """
        if producer.client.cluster.partitions_for_topic(lane.name) is None:
            # Asked for once, and briefly: waiting here would hold up every other lane.
            producer.client.add_topic(lane.name)
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.client.force_metadata_update(), 1.0)
            if producer.client.cluster.partitions_for_topic(lane.name) is None:
                lane.fail(Unavailable(f"Kafka has no topic {lane.name}"))
                self._doubt()
                return
        builder = producer.create_batch()
        if not lane.batch(builder):
            return
        try:
            sent = await producer.send_batch(builder, lane.name, partition=lane.partition)
        except (KafkaError, OSError) as error:
            self._note_failure(lane, error)
            return
        under_way = lane.under_way

        def settle(done: asyncio.Future[Any]) -> None:
            error = None if done.cancelled() else done.exception()
            if lane.under_way is not under_way:
                return  # given up meanwhile
            if done.cancelled() or error is not None:
                self._note_failure(lane, error or Unavailable("the producer was closed"))
                return
            lane.acknowledged(done.result().offset)
            self.appended.fire()
            if lane.waiting:
                self._ready[lane] = None
                self._wake.set()

        sent.add_done_callback(settle)

    def _note_failure(self, lane: Lane, error: BaseException) -> None:
        """The lane stands still until it is clear why, and who has to be told what."""
        self._failed.append((lane, error))
        self._wake.set()

    async def _settle_failures(self) -> None:
        """After a batch that Kafka refused for good the producer is of no use: it would be refused for ever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FINISH_S
        while self._others_under_way() and loop.time() < until:  # noqa: ASYNC110 (rare, and it ends)
            await asyncio.sleep(0.01)
        # All that may fail comes first: if it does, everything is as it was, and is tried again.
        known = self._layout
        layout = await self._ask_layout(True)
        moved = known is not None and layout.identity != known.identity
        failed = list(self._failed)
        reasons = [error if moved else await self._reason(lane, error) for lane, error in failed]
        await self._connection.drop()
        if moved:
            self._move(layout)
            return
        for (lane, _), reason in zip(failed, reasons, strict=True):
            if isinstance(reason, InvalidInput) and len(lane.under_way) > 1:
                lane.split()
            elif isinstance(reason, InvalidInput):
                for call, _ in lane.under_way:
                    call.fail(reason)
                lane.fail(Unavailable("Kafka refused what was to be appended before"))
            else:
                lane.fail(reason)
        for lane in self._lanes.values():
            if lane.under_way:  # what became of it nobody will say any more
                lane.fail(Unavailable("the producer was closed"))
            self._ready.pop(lane, None)
            if lane.waiting:
                self._ready[lane] = None
        self._failed.clear()

    async def _reason(self, lane: Lane, error: BaseException) -> Exception:
        """What the callers are told. A topic that is closed refuses batches as too large."""
        if isinstance(error, MessageSizeTooLargeError) and await self._is_closed(lane.name):
            return closed_meanwhile()
        return foreign(error)

    def _others_under_way(self) -> bool:
        stuck = {lane for lane, _ in self._failed}
        return any(lane.under_way for lane in self._lanes.values() if lane not in stuck)

    async def _look_again(self) -> None:
        """Ask which log is in force: when calls fail, the topics of an old one may be gone."""
        try:
            while self._doubtful and not self._closing:
                self._doubtful = False
                try:
                    await self._ask_layout(True)
                    self._wake.set()  # the writer sees whether it is another one
                except Exception as error:  # tried again when the next call fails
                    logger.debug("log_unavailable", extra={"reason": str(error)})
                await asyncio.sleep(DOUBT_S)
        finally:
            self._looking = None

    def _move(self, layout: Layout) -> None:
        """Go on in another epoch: what is not acknowledged goes there in its order, or hears that it may not."""
        self._layout = layout
        self._forget_lanes()
        for call in self._calls:
            call.begin()
            self._enter(call, layout)

    async def _start_over(self) -> None:
        self._forget_lanes()
        await self._connection.drop()

    def _forget_lanes(self) -> None:
        for lane in self._lanes.values():
            lane.under_way = []  # whatever is acknowledged now concerns nobody
        self._lanes.clear()
        self._ready.clear()
        self._failed.clear()
        self._arrived.clear()

    def _doubt(self) -> None:
        self._doubtful = True
        if self._looking is None:
            # Beside the writer: a broker that does not answer must not hold up the lanes of others.
            self._looking = asyncio.create_task(self._look_again(), name="log-epoch")

    def _expire(self, call: Call) -> None:
        if not call.done.done():
            call.fail(Unavailable("Kafka did not acknowledge in time"))
            self._doubt()
