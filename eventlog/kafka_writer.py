"""Appending to Kafka: the records of all calls under way, as one batch per partition, in the order of the calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RequestTimedOutError

from eventlog.kafka_connection import KafkaConnection, foreign
from eventlog.partition import hash_of
from eventlog.port import Position, Record
from personalization.errors import InvalidInput, Unavailable

logger = logging.getLogger(__name__)

RECONNECT_S = 0.5

MAX_VALUE_BYTES = 1_000_000
"""A broker takes batches of 1 MiB (``max.message.bytes``), headers included."""

_TRANSIENT = (KafkaTimeoutError, RequestTimedOutError, MessageSizeTooLargeError)


class Layout(NamedTuple):
    """Where records go: the partitions of every topic, and what topics are called on the server."""

    n_partitions: int
    names: Mapping[str, str]


class _Append:
    """One call of ``append`` on its way: done when every record is acknowledged."""

    __slots__ = ("done", "left", "n_bytes", "positions", "records")

    def __init__(self, records: Sequence[Record], n_bytes: int, done: asyncio.Future[list[Position]]) -> None:
        self.records = records
        self.n_bytes = n_bytes
        self.done = done
        self.left = len(records)
        self.positions: list[Position] = [Position("", 0, 0)] * len(records)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(foreign(error))


class _Batch:
    """Records of one partition that travel together, of any number of calls: one future for all of them."""

    __slots__ = ("members", "partition", "topic")

    def __init__(self, topic: str, partition: int, members: list[tuple[_Append, int]]) -> None:
        self.topic = topic
        self.partition = partition
        self.members = members

    def __call__(self, sent: asyncio.Future[Any]) -> None:
        """Tell every call of the batch that its records are acknowledged, or not."""
        if sent.cancelled():
            self.fail(Unavailable("the producer was closed"))
        elif (error := sent.exception()) is not None:
            self.fail(error)
        else:
            offset = sent.result().offset
            for call, at in self.members:
                call.positions[at] = Position(self.topic, self.partition, offset)
                offset += 1
                call.left -= 1
                if not call.left and not call.done.done():
                    call.done.set_result(call.positions)

    def fail(self, error: BaseException) -> None:
        for call, _ in self.members:
            call.fail(error)


class KafkaWriter:
    """Appends; every record is acknowledged by all in-sync replicas before its call returns.

    Parameters
    ----------
    layout
        Where records go now; raises ``Unavailable`` while the server does not answer.
    timeout_s
        After which an append raises ``Unavailable``; it may still arrive later.
    max_pending_bytes
        Bound of what is not acknowledged yet; beyond it ``append`` raises ``Unavailable`` at once.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        layout: Callable[[], Awaitable[Layout]],
        timeout_s: float,
        max_pending_bytes: int,
    ) -> None:
        self._connection = connection
        self._layout = layout
        self._timeout_s = timeout_s
        self._max_pending_bytes = max_pending_bytes
        self._pending: list[_Append] = []
        self._pending_bytes = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._found = False
        self._closing = False

    def start(self) -> None:
        """Begin; records wait while the brokers are away."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="log-writer")

    async def close(self) -> None:
        """Send what waits, unless there is nobody to take it."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            if not self._found:
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def append(self, records: Sequence[Record]) -> list[Position]:
        """The positions of the ``records``, acknowledged; see the port."""
        if not records:
            return []
        n_bytes = 0
        for record in records:
            n_bytes += len(record.value) + len(record.key)
            if len(record.value) > MAX_VALUE_BYTES:
                raise InvalidInput(
                    "value", f"{len(record.value)} bytes; the log takes {MAX_VALUE_BYTES}", "too_large"
                )
        if self._pending_bytes + n_bytes > self._max_pending_bytes:
            raise Unavailable(f"{self._pending_bytes} bytes wait to be acknowledged by Kafka already")
        self.start()
        loop = asyncio.get_running_loop()
        call = _Append(records, n_bytes, loop.create_future())
        self._pending_bytes += n_bytes
        self._pending.append(call)
        self._wake.set()
        timer = loop.call_later(self._timeout_s, _expire, call)
        try:
            return await call.done
        finally:
            timer.cancel()
            self._pending_bytes -= n_bytes

    async def _run(self) -> None:
        """Connect, and hand records to the producer in the order they came."""
        while not (self._closing and not self._pending):
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                layout = await self._known_layout()
                if layout is None:
                    continue
                calls, self._pending = self._pending, []
                await self._send(calls, layout)

    async def _known_layout(self) -> Layout | None:
        """Asked for before every batch: another epoch may have been opened meanwhile."""
        try:
            layout = await self._layout()
        except Unavailable as error:
            logger.warning("log_unavailable: %s", error)
            self._pending = [call for call in self._pending if not call.done.done()]
            await asyncio.sleep(RECONNECT_S)
            return None
        self._found = True
        return layout

    async def _send(self, calls: list[_Append], layout: Layout) -> None:
        """Send the records of ``calls`` as one batch per partition, in order.

        aiokafka's own ``send`` makes a future and a callback per record: twice the cost.
        """
        mask = layout.n_partitions - 1
        groups: dict[tuple[str, int], list[tuple[_Append, int]]] = {}
        for call in calls:
            if call.done.done():  # gave up meanwhile
                continue
            for at, record in enumerate(call.records):
                place = (record.topic, hash_of(record.key) & mask)
                groups.setdefault(place, []).append((call, at))
        for (topic, partition), members in groups.items():
            builder: Any = None
            first = 0
            for i, (call, at) in enumerate(members):
                record = call.records[at]
                key = record.key.encode()
                if builder is not None and not builder.append(timestamp=None, key=key, value=record.value):
                    await self._submit(builder, layout.names[topic], _Batch(topic, partition, members[first:i]))
                    builder = None
                if builder is None:
                    try:
                        builder = (await self._connection.producer()).create_batch()
                    except Unavailable as error:
                        _Batch(topic, partition, members[i:]).fail(error)
                        break
                    first = i
                    builder.append(timestamp=None, key=key, value=record.value)
            else:
                await self._submit(builder, layout.names[topic], _Batch(topic, partition, members[first:]))

    async def _submit(self, builder: Any, name: str, batch: _Batch) -> None:
        try:
            producer = await self._connection.producer()
            sent = await producer.send_batch(builder, name, partition=batch.partition)
        except (KafkaError, Unavailable, OSError) as error:
            batch.fail(error)
            if not isinstance(error, _TRANSIENT):
                await self._connection.drop()  # an idempotent producer does not survive a fatal error
            return
        sent.add_done_callback(batch)


def _expire(call: _Append) -> None:
    if not call.done.done():
        call.done.set_exception(Unavailable("Kafka did not acknowledge in time"))
