"""What stands between a decision and the log: a queue that never makes the caller wait.

Memory first. Whatever has waited there for longer than a moment goes to disk, so that the death of the process
costs no more than that moment: while the log is away or full, all that waits is on disk. When the disk is full too,
records are dropped and counted. Records reach the log in the order they were put, also across a restart of the
process; what a process leaves behind that is not started again, another one appends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from background.cancelling import pause, stop_if_cancelled
from eventlog.adoption import Adoption, Settle
from eventlog.disk_queue import DiskQueue
from eventlog.file_thread import FileThread
from eventlog.port import EventLog, Record
from eventlog.record_batch import MAX_BATCH_BYTES, MAX_BATCH_RECORDS, oldest
from eventlog.spool_slots import Slot, take
from personalization.errors import InvalidInput

logger = logging.getLogger(__name__)

PROBE_RECORDS = 16
"""How many records ask a log that failed whether it takes something again."""

STEP_RECORDS = 200
STEP_BYTES = 256 * 1024
"""What goes to disk at once: half a millisecond of work between two turns of the event loop."""

RECORD_OVERHEAD_BYTES = 200
"""What a record costs in memory beside its value: the objects around it."""

KEEP_S = 0.02
"""Between two looks at what waits in memory. What a look finds a second time goes to disk: within 50 ms."""

FIRST_RETRY_S = 0.01
LAST_RETRY_S = 0.05
DISK_RETRY_S = 0.5
SAY_AGAIN_S = 10.0


class Spool:
    """A queue of records in front of ``log``.

    ``run`` is its work, to be kept going by a supervisor of tasks: after an end by an exception it goes on where it
    was. A batch whose acknowledgement was lost is then appended again, and nothing else.

    Parameters
    ----------
    log
        Where records go.
    root
        Directory of the spools of all processes; each has a directory of its own below it.
    max_memory_bytes, max_disk_bytes
        Bounds; with both reached ``put`` drops.
    linger_s
        How long the first record of a batch waits for company: fewer calls, later arrival.

    Attributes
    ----------
    n_put, n_appended, n_dropped, n_rejected
        Records accepted; acknowledged by the log; lost for want of room; refused by the log for good.
        ``n_put + n_restored + n_adopted = n_appended + n_rejected + n_waiting``, unless files were damaged.
    n_restored
        Records found in the directory at the start.
    n_spilled, n_retries
        Records that went by way of the disk; appends that failed and were tried again.
    """

    def __init__(
        self,
        log: EventLog,
        root: Path,
        *,
        max_memory_bytes: int = 32 * 1024 * 1024,
        max_disk_bytes: int = 1024 * 1024 * 1024,
        linger_s: float = 0.002,
    ) -> None:
        self._log = log
        self._root = root
        self._max_disk_bytes = max_disk_bytes
        self._linger_s = linger_s
        self._max_memory_bytes = max_memory_bytes
        self._room = float(max_memory_bytes)
        self._queue: deque[Record] = deque()
        self._n_left_memory = 0
        self._slot: Slot | None = None
        self._disk: DiskQueue | None = None
        self._disk_error = ""
        self._disk_again_s = 0.0
        self._files = FileThread("spool")
        self._adoption = Adoption(root, max_disk_bytes, self._files, self._append_adopted)
        self._moving = asyncio.Lock()
        self._appending = asyncio.Lock()
        self._wake = asyncio.Event()
        self._busy = asyncio.Event()
        self._closing = False
        self._closed = False
        self._failing_since_s: float | None = None
        self._said_s = 0.0
        self.n_put = 0
        self.n_appended = 0
        self.n_dropped = 0
        self.n_rejected = 0
        self.n_spilled = 0
        self.n_retries = 0
        self.n_restored = 0
        self._open_disk()

    @property
    def n_waiting(self) -> int:
        """Records neither acknowledged nor given up."""
        on_disk = len(self._disk) if self._disk is not None else 0
        return len(self._queue) + on_disk + self._adoption.n_waiting

    @property
    def n_adopted(self) -> int:
        """Records found in directories of processes that are gone."""
        return self._adoption.n_adopted

    @property
    def fill_share(self) -> float:
        """How full it is, 0 to 1: its memory, or its disk."""
        on_disk = self._disk.n_bytes / self._max_disk_bytes if self._disk is not None else 0.0
        return max(1.0 - max(0.0, self._room) / self._max_memory_bytes, on_disk)

    @property
    def n_corrupt_bytes(self) -> int:
        """Bytes of torn or damaged frames that were given up."""
        return self._disk.corrupt_bytes if self._disk is not None else 0

    def put(self, record: Record) -> bool:
        """Queue ``record``; false if it had to be dropped. Costs about a microsecond, never waits, never raises."""
        n_bytes = len(record.value) + RECORD_OVERHEAD_BYTES
        if n_bytes > self._room:
            self.n_dropped += 1
            return False
        self._room -= n_bytes
        self._queue.append(record)
        self.n_put += 1
        self._wake.set()
        return True

    async def run(self) -> None:
        """Append what is put, keep on disk what waits, and take over what dead processes left; until ``drain``."""
        if self._closing:
            return
        try:
            async with self._appending, asyncio.TaskGroup() as tasks:
                beside = [tasks.create_task(self._keep()), tasks.create_task(self._adoption.run())]
                await self._append()
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def drain(self, deadline_s: float) -> int:
        """Append what waits within ``deadline_s``; keep the rest on disk. Returns how many that are.

        The spool is closed afterwards. ``run`` need not be under way any more; if it is, it ends.
        """
        if self._closed:
            return 0
        self._closing = True
        self._room = -float("inf")
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s), self._appending:
                await self._append()
        await self._files.steps_done()
        await self._spill_all()
        if self._queue:
            self.n_dropped += len(self._queue)
            self.n_put -= len(self._queue)
            self._queue.clear()
        left = self.n_waiting
        await self._files.run(self._let_go)
        self._files.close()
        self._closed = True
        return left

    # -- appending ----------------------------------------------------------------------------------------

    async def _append(self) -> None:
        """Append what waits, the oldest first; over when the spool is closing and nothing waits."""
        retry_s = FIRST_RETRY_S
        while True:
            stop_if_cancelled()
            batch = await self._next_batch()
            if batch is None:
                return
            try:
                await self._append_batch(batch, self._settle)
            except Exception as error:
                self._note_failure(error)
                await self._pause(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            else:
                self._note_success()
                retry_s = FIRST_RETRY_S

    async def _next_batch(self) -> Sequence[Record] | None:
        """What goes next, the disk before memory; none when nothing is left and none will come.

        It stays where it is until it is settled, so that it can go to disk with all that waits behind it.
        """
        while True:
            most = PROBE_RECORDS if self._failing_since_s is not None else MAX_BATCH_RECORDS
            if self._disk is not None and len(self._disk):
                batch = await self._files.step(self._peek(most))
                if batch:
                    return batch
                continue
            if self._queue:
                self._busy.set()
                if self._linger_s and len(self._queue) < most and not self._closing:
                    await asyncio.sleep(self._linger_s)
                    if self._disk is not None and len(self._disk):
                        continue
                return oldest(self._queue, most, MAX_BATCH_BYTES)
            if self._closing:
                return None
            self._wake.clear()
            await self._wake.wait()

    async def _append_batch(self, batch: Sequence[Record], settle: Settle) -> None:
        """Append a batch; ``settle`` forgets so many of its records, from the front."""
        try:
            await self._log.append(batch)
        except InvalidInput as error:
            if len(batch) == 1:
                self.n_rejected += 1
                logger.error("log_record_rejected", extra={"reason": str(error)})
                await settle(1)
                return
            for record in batch:  # one of them can never be accepted: find it
                await self._append_batch([record], settle)
        else:
            self.n_appended += len(batch)
            await settle(len(batch))

    async def _settle(self, n_records: int) -> None:
        """Forget the ``n_records`` oldest, wherever they are by now."""
        if self._moving.locked() or (self._disk is not None and len(self._disk)):
            await self._files.step(self._settle_on_disk(n_records))
        else:
            self._forget(n_records)

    async def _settle_on_disk(self, n_records: int) -> None:
        async with self._moving:
            on_disk = 0
            if self._disk is not None:
                on_disk = min(n_records, len(self._disk))
                await self._files.run(self._disk.advance, on_disk)
            self._forget(n_records - on_disk)

    def _forget(self, n_records: int) -> None:
        """Take the oldest out of memory."""
        for _ in range(n_records):
            self._room += len(self._queue.popleft().value) + RECORD_OVERHEAD_BYTES
        self._n_left_memory += n_records

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try: less if an append of somebody else in this process succeeds meanwhile.

        So decisions enter a log that has room again as soon as the events do that follow them.
        """
        loop = asyncio.get_running_loop()
        soonest_s = loop.time() + FIRST_RETRY_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._log.until_appended()
        await pause(max(0.0, soonest_s - loop.time()))

    def _note_failure(self, error: Exception) -> None:
        self.n_retries += 1
        now_s = asyncio.get_running_loop().time()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
            self._said_s = 0.0
        self._busy.set()
        if now_s - self._said_s >= SAY_AGAIN_S or not self._said_s:
            self._said_s = now_s
            logger.warning("log_append_failed", extra={"n_waiting": self.n_waiting, "reason": str(error)})

    def _note_success(self) -> None:
        if self._failing_since_s is not None:
            away_s = asyncio.get_running_loop().time() - self._failing_since_s
            self._failing_since_s = None
            logger.info("log_append_works_again", extra={"n_waiting": self.n_waiting, "away_s": round(away_s, 3)})

    # -- keeping ------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Bring to disk what has waited since the last look, and, while the log takes nothing, all that waits."""
        loop = asyncio.get_running_loop()
        n_seen = self.n_put
        while True:
            if not self._queue and self._failing_since_s is None:
                self._busy.clear()
                await self._busy.wait()
            await pause(KEEP_S)
            old, n_seen = self._n_left_memory < n_seen, self.n_put
            if (old or self._failing_since_s is not None) and loop.time() >= self._disk_again_s:
                await self._spill_all()

    async def _spill_all(self) -> None:
        goes_on = True
        while self._queue and goes_on:
            goes_on = await self._files.step(self._spill())

    async def _spill(self) -> bool:
        """Move some records from memory to disk; false if it takes none, or not all."""
        async with self._moving:
            if self._disk is None and not await self._files.run(self._open_disk):
                return self._note_disk_failure(self._disk_error)
            assert self._disk is not None
            batch = oldest(self._queue, STEP_RECORDS, STEP_BYTES)
            try:
                n_written = await self._files.run(self._disk.push, batch)
            except OSError as error:
                return self._note_disk_failure(_words(error))
            self._forget(n_written)
            self.n_spilled += n_written
            if n_written < len(batch):
                return self._note_disk_failure(f"the spool holds {self._max_disk_bytes} bytes, as much as it may")
            if self._disk_error:
                self._disk_error = ""
                logger.info("spool_disk_works_again")
            return True

    def _open_disk(self) -> bool:
        """Take a directory; without one the spool has memory alone, and tries again.

        What others left goes first only at the start: later, records of ours may be under way.
        """
        try:
            slot = take(self._root, empty=self.n_put > 0)
            try:
                disk = DiskQueue(slot.directory, self._max_disk_bytes)
            except OSError:
                slot.release()
                raise
        except OSError as error:
            if not self._disk_error:
                self._disk_error = _words(error)
                logger.error("spool_disk_failed", extra={"reason": self._disk_error, "path": str(self._root)})
            return False
        self._slot, self._disk = slot, disk
        self.n_restored += len(disk)
        return True

    def _note_disk_failure(self, words: str) -> bool:
        """What waits stays in memory, up to its bound."""
        self._disk_again_s = asyncio.get_running_loop().time() + DISK_RETRY_S
        if self._disk_error != words:
            self._disk_error = words
            logger.error("spool_disk_failed", extra={"reason": words, "path": str(self._root)})
        return False

    # -- inside -------------------------------------------------------------------------------------------

    async def _append_adopted(self, batch: Sequence[Record], settle: Settle) -> None:
        try:
            await self._append_batch(batch, settle)
        except Exception as error:
            self.n_retries += 1
            logger.debug("log_append_failed", extra={"reason": str(error)})
            await self._pause(LAST_RETRY_S)

    async def _peek(self, most: int) -> list[Record]:
        async with self._moving:
            assert self._disk is not None
            return await self._files.run(self._disk.peek, most, MAX_BATCH_BYTES)

    def _let_go(self) -> None:
        self._adoption.let_go()
        if self._disk is not None and self._slot is not None:
            self._disk.close()
            self._slot.release()
            self._disk = self._slot = None


def _words(error: OSError) -> str:
    """A failure of the disk as a sentence for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk the spool writes to is full"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"the spool may not write to its directory: {error}"
    return f"the disk the spool writes to failed: {error}"
