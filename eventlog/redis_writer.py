"""Appending to Redis Streams: all calls that wait become one Lua call, and one call is under way at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from eventlog.appending import checked, closed, closed_meanwhile
from eventlog.deadlines import Deadlines
from eventlog.port import LogIdentity, LogPosition, Record
from eventlog.redis_keys import PartitionKeys
from eventlog.signal import Signal
from personalization.errors import LogFull, Unavailable

_encode = msgspec.msgpack.Encoder().encode

_AT_ONCE_BYTES, _AT_ONCE_RECORDS = 1024 * 1024, 1_000
"""Calls are put together up to here: Redis answers nobody else meanwhile, 10 µs a record."""

FULL = "the log holds as much as it may, and not all of it was read yet"

Limits = tuple[int, int, int, int, int]
"""What the script is told of a partition: max_bytes, segment_bytes, max_age_ms, segment_ms, trims_anything."""


class Layout(NamedTuple):
    """Where records go: the log in force, and per topic what its partitions may hold."""

    identity: LogIdentity
    limits: Mapping[str, Limits]
    keys: Callable[[str, int], PartitionKeys]


class _Append:
    """One call of ``append`` on its way."""

    __slots__ = ("done", "hashes", "n_bytes", "only_in", "places", "records")

    def __init__(
        self,
        records: Sequence[Record],
        n_bytes: int,
        hashes: list[int],
        only_in: LogIdentity | None,
        done: asyncio.Future[list[LogPosition]],
    ) -> None:
        self.records = records
        self.n_bytes = n_bytes
        self.hashes = hashes
        self.only_in = only_in
        self.done = done
        self.places: list[tuple[str, int]] = []

    def place(self, n_partitions: int) -> list[tuple[str, int]]:
        """Topic and partition of every record, in a log of so many partitions."""
        mask = n_partitions - 1
        self.places = [
            (record.topic, hashed & mask) for record, hashed in zip(self.records, self.hashes, strict=True)
        ]
        return self.places

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class RedisWriter:
    """Appends; see the port for what is promised.

    Parameters
    ----------
    script
        Runs ``redis_scripts.APPEND`` and raises our errors.
    layout
        Where records go now; asked before every call, hence remembered by who answers.
    another
        Called once the server has refused: looks up the log in force anew.
    topics
        Those the log has.
    timeout_s
        How long a call may take, the time it waits for others included.
    max_pending_bytes
        Bound of what waits or is under way; beyond it ``append`` raises ``Unavailable`` at once.
    """

    def __init__(
        self,
        script: Callable[[list[str], list[str | bytes]], Awaitable[Any]],
        layout: Callable[[], Awaitable[Layout]],
        another: Callable[[], Awaitable[Layout]],
        topics: Collection[str],
        timeout_s: float,
        max_pending_bytes: int,
    ) -> None:
        self._script = script
        self._layout = layout
        self._another = another
        self._topics = frozenset(topics)
        self._deadlines = Deadlines(timeout_s, _expire)
        self._max_pending_bytes = max_pending_bytes
        self._pending: deque[_Append] = deque()
        self._pending_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self.appended = Signal()

    async def close(self) -> None:
        """Send what waits."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        self._deadlines.stop()

    async def append(self, records: Sequence[Record], only_in: LogIdentity | None) -> list[LogPosition]:
        """The positions of the ``records``, acknowledged; see the port."""
        if not records:
            return []
        # Looked at before it joins others: what is wrong with one call must not fail theirs.
        hashes, n_bytes = checked(records, self._topics)
        if self._pending_bytes + n_bytes > self._max_pending_bytes:
            raise Unavailable(f"{self._pending_bytes} bytes wait to be written to Redis already")
        loop = asyncio.get_running_loop()
        call = _Append(records, n_bytes, hashes, only_in, loop.create_future())
        self._pending_bytes += n_bytes
        self._pending.append(call)
        if self._task is None or self._task.done():
            # The task starts in the next turn of the loop: everything appended in this one goes along.
            self._task = asyncio.create_task(self._run(), name="log-writer")
        self._deadlines.add(call)
        try:
            return await call.done
        finally:
            self._pending_bytes -= n_bytes

    async def _run(self) -> None:
        """Send what waits until nothing does: one call at a time, so that order is kept."""
        while self._pending:
            batch = self._next_batch()
            if not batch:
                continue
            try:
                await self._write(batch)
            except Exception as error:
                self._fail(batch, error)
                self._fail(self._pending, error)  # behind a failure: each is tried again by its caller, in order

    def _next_batch(self) -> list[_Append]:
        """The calls that are sent next, together; one that is large goes alone."""
        batch: list[_Append] = []
        n_bytes = n_records = 0
        while self._pending:
            call = self._pending[0]
            n_bytes += call.n_bytes
            n_records += len(call.records)
            if batch and (n_bytes > _AT_ONCE_BYTES or n_records > _AT_ONCE_RECORDS):
                break
            self._pending.popleft()
            # Who gave up is not sent any more; what is under way at that moment may still be carried out.
            if not call.done.done():
                batch.append(call)
        return batch

    def _fail(self, calls: Sequence[_Append] | deque[_Append], error: Exception) -> None:
        for call in calls:
            call.fail(error)

    async def _write(self, batch: list[_Append]) -> None:
        layout = await self._layout()
        while batch := self._admitted(batch, layout.identity):
            found = await self._send(batch, layout)
            if found is not None:
                self._settle(batch, found, layout)
                return
            refused_by, layout = layout.identity, await self._another()
            if layout.identity == refused_by:
                raise closed_meanwhile()

    def _admitted(self, batch: list[_Append], identity: LogIdentity) -> list[_Append]:
        """The calls that were made for the log in force; the others are told."""
        admitted = []
        for call in batch:
            if call.only_in is None or call.only_in == identity:
                admitted.append(call)
            else:
                call.fail(closed(call.only_in, identity))
        return admitted

    async def _send(self, batch: list[_Append], layout: Layout) -> list[int] | None:
        """The offset of every record, -1 if refused for want of room; None if the log is not the one in force."""
        index: dict[tuple[str, int], int] = {}
        keys: list[str] = []
        limits: list[Limits] = []
        appends: list[list[int]] = []
        args: list[str | bytes] = [b""]
        for call in batch:
            numbers = []
            for place in call.place(layout.identity.n_partitions):
                number = index.get(place)
                if number is None:
                    number = index[place] = len(index) + 1
                    keys.extend(layout.keys(*place))
                    limits.append(layout.limits[place[0]])
                numbers.append(number)
            for record in call.records:
                args += (record.key, record.value)
            appends.append(numbers)
        args[0] = _encode((layout.identity.log_id, time.time_ns() // 1_000_000, limits, appends))
        found = await self._script(keys, args)
        return found if isinstance(found, list) else None

    def _settle(self, batch: list[_Append], offsets: list[int], layout: Layout) -> None:
        full: set[tuple[str, int]] = set()
        i = 0
        for call in batch:
            last = i + len(call.places)
            if offsets[i] < 0:
                full.update(call.places)
                call.fail(LogFull(FULL))
            elif not call.done.done():
                call.done.set_result(
                    [LogPosition(*at, n) for at, n in zip(call.places, offsets[i:last], strict=True)]
                )
            i = last
        if full:
            for call in self._pending:  # made while this one was under way: behind what was refused
                if not full.isdisjoint(call.place(layout.identity.n_partitions)):
                    call.fail(LogFull(FULL))
        if not full or max(offsets) >= 0:
            self.appended.fire()


def _expire(call: _Append) -> None:
    call.fail(Unavailable("Redis did not acknowledge in time"))
