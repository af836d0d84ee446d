"""What stands between a decision and the log: a queue that never makes the caller wait.

Memory first; while the log is away, a bounded file; when that is full too, records are dropped and counted.
Records reach the log in the order they were put, also across a restart of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from pathlib import Path
from typing import Self

from background.cancelling import stop_if_cancelled
from eventlog.disk_queue import DiskQueue
from eventlog.port import EventLog, Record
from personalization.errors import InvalidInput, Unavailable

logger = logging.getLogger(__name__)

MAX_BATCH_RECORDS = 500
MAX_BATCH_BYTES = 1024 * 1024
RECORD_OVERHEAD_BYTES = 200
"""What a record costs in memory beside its value: the objects around it."""

MAX_SLOTS = 1024
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 2.0
SPILL_STEP_S = 0.02
"""While the log is away memory is emptied to disk in steps of a batch, some 0.5 ms of the event loop each."""


class Spool:
    """A queue of records in front of ``log``.

    Parameters
    ----------
    log
        Where they go.
    disk
        For the overflow; ``Spool.below`` finds one.
    max_memory_bytes
        Bound. With the disk's reached too, ``put`` drops.
    linger_s
        How long the first record of a batch waits for company: fewer calls, later arrival.

    Attributes
    ----------
    n_put, n_appended, n_dropped, n_rejected
        Records accepted; acknowledged by the log; lost for want of room; refused by the log for good.
        ``n_put + restored = n_appended + n_rejected + waiting``.
    n_spilled, n_retries
        Records that went by way of the disk; appends that failed and were tried again.
    """

    def __init__(
        self,
        log: EventLog,
        disk: DiskQueue,
        *,
        max_memory_bytes: int = 32 * 1024 * 1024,
        linger_s: float = 0.002,
    ) -> None:
        self._log = log
        self._disk = disk
        self._max_memory_bytes = max_memory_bytes
        self._linger_s = linger_s
        self._queue: deque[Record] = deque()
        self._memory_bytes = 0
        self._under_way: list[Record] = []
        self._from_disk = False
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.n_put = 0
        self.n_appended = 0
        self.n_dropped = 0
        self.n_rejected = 0
        self.n_spilled = 0
        self.n_retries = 0
        self.n_restored = len(self._disk)

    @classmethod
    def below(
        cls,
        log: EventLog,
        root: Path,
        *,
        max_memory_bytes: int = 32 * 1024 * 1024,
        max_disk_bytes: int = 1024 * 1024 * 1024,
        linger_s: float = 0.002,
    ) -> Self:
        """A spool in the first directory below ``root`` that no live process has.

        Several API processes share a ``root``: so what a dead one left finds an owner again.
        """
        for slot in range(MAX_SLOTS):
            with contextlib.suppress(Unavailable):
                disk = DiskQueue(root / str(slot), max_disk_bytes)
                return cls(log, disk, max_memory_bytes=max_memory_bytes, linger_s=linger_s)
        raise Unavailable(f"{MAX_SLOTS} processes spool below {root}")

    @property
    def n_waiting(self) -> int:
        """Records neither acknowledged nor given up."""
        return len(self._queue) + len(self._disk) + (0 if self._from_disk else len(self._under_way))

    @property
    def n_corrupt_bytes(self) -> int:
        """Bytes of torn frames found at the start."""
        return self._disk.corrupt_bytes

    def start(self) -> None:
        """Begin to append in the background; what an earlier process left goes first."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="log-spool")

    def put(self, record: Record) -> bool:
        """Queue ``record``; false if it had to be dropped. Costs about a microsecond, and never waits."""
        n_bytes = len(record.value) + RECORD_OVERHEAD_BYTES
        if self._closing.is_set():
            self.n_dropped += 1
            return False
        if self._memory_bytes + n_bytes > self._max_memory_bytes:
            self._spill()
            if self._memory_bytes + n_bytes > self._max_memory_bytes:
                self.n_dropped += 1
                return False
        self._queue.append(record)
        self._memory_bytes += n_bytes
        self.n_put += 1
        self._wake.set()
        return True

    async def drain(self, deadline_s: float) -> int:
        """Append what waits within ``deadline_s``; keep the rest on disk. Returns how many that are.

        The spool is closed afterwards.
        """
        self._closing.set()
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=deadline_s)
            if not self._task.done():
                self._task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._task
            self._task = None
        if self._under_way and not self._from_disk:
            self._disk.push_front(self._under_way)
        self._under_way = []
        while self._queue and self._spill():
            pass
        if self._queue:
            self.n_dropped += len(self._queue)
            self.n_put -= len(self._queue)
            self._queue.clear()
        left = len(self._disk)
        self._disk.close()
        return left

    # -- inside -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            stop_if_cancelled()
            if not self._under_way and not await self._next_batch():
                return
            try:
                await self._log.append(self._under_way)
                self.n_appended += len(self._under_way)
            except InvalidInput:
                if not await self._append_singly():
                    continue
            except Unavailable as error:
                if self.n_retries == 0 or retry_s >= LAST_RETRY_S:
                    logger.warning("log_append_failed: %d records wait: %s", self.n_waiting, error)
                self.n_retries += 1
                await self._spill_for(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
                continue
            retry_s = FIRST_RETRY_S
            if self._from_disk:
                self._disk.advance()
            self._under_way = []

    async def _next_batch(self) -> bool:
        """Take what goes next, the disk before memory; false when nothing is left and none will come."""
        while True:
            self._from_disk = len(self._disk) > 0
            if self._from_disk:
                self._under_way = self._disk.peek(MAX_BATCH_RECORDS, MAX_BATCH_BYTES)
                if self._under_way:
                    return True
                raise RuntimeError("the spool's files were changed by somebody else")
            if self._queue:
                if self._linger_s and len(self._queue) < MAX_BATCH_RECORDS and not self._closing.is_set():
                    await asyncio.sleep(self._linger_s)
                    if len(self._disk):
                        continue
                self._under_way = self._take()
                return True
            if self._closing.is_set():
                return False
            self._wake.clear()
            await self._wake.wait()

    def _take(self) -> list[Record]:
        batch: list[Record] = []
        n_bytes = 0
        while self._queue and len(batch) < MAX_BATCH_RECORDS and n_bytes < MAX_BATCH_BYTES:
            record = self._queue.popleft()
            n_bytes += len(record.value)
            batch.append(record)
        self._memory_bytes -= n_bytes + RECORD_OVERHEAD_BYTES * len(batch)
        return batch

    async def _append_singly(self) -> bool:
        """One of the batch can never be accepted: find it. False if the log went away meanwhile."""
        if self._from_disk:
            # The whole batch is settled here, and advanced over at once.
            pending = list(self._under_way)
            while pending:
                try:
                    await self._append_one(pending[0])
                except Unavailable:
                    self.n_retries += 1
                    await asyncio.sleep(FIRST_RETRY_S)
                else:
                    pending.pop(0)
            return True
        while self._under_way:
            try:
                await self._append_one(self._under_way[0])
            except Unavailable:
                return False
            self._under_way = self._under_way[1:]
        return True

    async def _append_one(self, record: Record) -> None:
        try:
            await self._log.append([record])
            self.n_appended += 1
        except InvalidInput as error:
            self.n_rejected += 1
            logger.error("log_record_rejected: %s", error)

    async def _spill_for(self, delay_s: float) -> None:
        """Wait, and move memory to disk step by step, so that ``put`` need not."""
        loop = asyncio.get_running_loop()
        until = loop.time() + delay_s
        while (left := until - loop.time()) > 0:
            if self._memory_bytes > self._max_memory_bytes // 4:
                self._spill()
            if self._closing.is_set():
                left = min(left, SPILL_STEP_S)
            await asyncio.sleep(min(left, SPILL_STEP_S))

    def _spill(self) -> bool:
        """Move one batch from memory to disk; false if there is no room."""
        batch = self._take()
        n_written = self._disk.push(batch)
        self.n_spilled += n_written
        rest = batch[n_written:]
        self._queue.extendleft(reversed(rest))
        self._memory_bytes += sum(len(r.value) + RECORD_OVERHEAD_BYTES for r in rest)
        return n_written > 0
