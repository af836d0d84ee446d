"""What waits for the log, the oldest first: on disk alone, then on disk and in memory, then in memory alone.

A record enters by memory. What is to survive the process is copied to disk, and goes to the log from memory all
the same; only when much waits do the copies in memory make room. What the log took is forgotten in memory at once
and on disk a moment later: a process that dies between the two leaves records that come again, and readers know
them by their ids.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from itertools import islice
from pathlib import Path

from eventlog.disk_queue import DiskQueue
from eventlog.file_thread import FileThread
from eventlog.port import Record
from eventlog.record_batch import oldest
from eventlog.spool_slots import Slot, take
from personalization.data_cipher import CLEAR, DataCipher

logger = logging.getLogger(__name__)

STEP_RECORDS = 200
STEP_BYTES = 256 * 1024
"""What goes to disk at once: half a millisecond of work between two turns of the event loop."""

RECORD_OVERHEAD_BYTES = 200
"""What a record costs in memory beside its value: the objects around it."""

SWEEP_RECORDS = 500
"""What the log took is taken off the disk by so many while more goes there, and at once when nothing does."""

COPIES_SHARE = 0.25
"""Of the memory that may be used: where more waits, what is on disk as well is let go of."""

DISK_RETRY_S = 0.5


class Backlog:
    """Records that wait, in the order they were put.

    Parameters
    ----------
    root
        Directory of the backlogs of all processes; each has a directory of its own below it.
    max_memory_bytes, max_disk_bytes
        Bounds; with both reached ``put`` takes nothing.
    files
        Does what is done to files.
    cipher
        Seals what goes to disk.

    Attributes
    ----------
    n_put, n_restored, n_spilled
        Records taken; found in the directory at the start; written to disk.
    """

    def __init__(
        self,
        root: Path,
        max_memory_bytes: int,
        max_disk_bytes: int,
        files: FileThread,
        cipher: DataCipher = CLEAR,
    ) -> None:
        self._cipher = cipher
        self._root = root
        self._max_memory_bytes = max_memory_bytes
        self._max_disk_bytes = max_disk_bytes
        self._files = files
        self._room = float(max_memory_bytes)
        self._queue: deque[Record] = deque()
        self._n_left_memory = 0
        self._n_copied = 0
        self._n_passed = 0
        self._slot: Slot | None = None
        self._disk: DiskQueue | None = None
        self._disk_error = ""
        self._disk_again_s = 0.0
        self._moving = asyncio.Lock()
        self.n_put = 0
        self.n_spilled = 0
        self.n_restored = 0
        self._open_disk()

    def __len__(self) -> int:
        return self._n_alone + len(self._queue)

    @property
    def _n_alone(self) -> int:
        """Records on disk and not in memory: what is older there was taken by the log, what is newer is a copy."""
        return 0 if self._disk is None else max(0, len(self._disk) - self._n_passed - self._n_copied)

    @property
    def n_in_memory(self) -> int:
        """Records that wait in memory, on disk as well or not."""
        return len(self._queue)

    @property
    def n_left_memory(self) -> int:
        """How many of the records put have left memory."""
        return self._n_left_memory

    @property
    def is_swept(self) -> bool:
        """Whether the disk holds nothing that the log took."""
        return not self._n_passed

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
        """Take ``record``; false if there is no room. Costs about a microsecond, never waits, never raises."""
        n_bytes = len(record.value) + RECORD_OVERHEAD_BYTES
        if n_bytes > self._room:
            return False
        self._room -= n_bytes
        self._queue.append(record)
        self.n_put += 1
        return True

    def shut(self) -> None:
        """Take nothing more."""
        self._room = -float("inf")

    async def head(self, most: int, max_bytes: int) -> list[Record]:
        """The oldest records, at least one if there are any; they stay until they are settled."""
        while self._n_alone > 0:
            if batch := await self._files.step(self._peek(most, max_bytes)):
                return batch
        return oldest(self._queue, most, max_bytes)

    async def settle(self, n_records: int) -> None:
        """Forget the ``n_records`` oldest, wherever they are by now."""
        if self._moving.locked():
            await self._files.step(self._settle_after_move(n_records))
        else:
            self._settle(n_records)

    async def copy(self, n_records: int | None = None) -> None:
        """Have the ``n_records`` oldest in memory on disk as well; all of them if None.

        A disk that does not take them is asked again a little later, by the next call.
        """
        goes_on = asyncio.get_running_loop().time() >= self._disk_again_s
        first = self._n_left_memory
        while goes_on and len(self._queue) > self._n_copied:
            left = None if n_records is None else n_records - (self._n_left_memory - first) - self._n_copied
            if left is not None and left <= 0:
                break
            goes_on = await self._files.step(self._copy(left))
        if self._room < (1 - COPIES_SHARE) * self._max_memory_bytes:
            self._let_copies_go()

    async def sweep(self) -> None:
        """Take off the disk what the log took."""
        await self._files.step(self._sweep())

    async def close(self) -> int:
        """Have everything on disk and let go of it; gives how many records it does not take, which are lost."""
        self._disk_again_s = 0.0
        await self.copy()
        self._let_copies_go()
        lost = len(self._queue)
        self._queue.clear()
        self.n_put -= lost
        await self.sweep()
        await self._files.run(self._let_go)
        return lost

    # -- inside -------------------------------------------------------------------------------------------

    def _settle(self, n_records: int) -> None:
        alone = min(n_records, self._n_alone)
        left_memory = n_records - alone
        copied = min(left_memory, self._n_copied)
        self._n_passed += alone + copied
        self._n_copied -= copied
        self._forget(left_memory)

    async def _settle_after_move(self, n_records: int) -> None:
        async with self._moving:
            self._settle(n_records)

    def _forget(self, n_records: int) -> None:
        """Take the oldest out of memory."""
        for _ in range(n_records):
            self._room += len(self._queue.popleft().value) + RECORD_OVERHEAD_BYTES
        self._n_left_memory += n_records

    def _let_copies_go(self) -> None:
        n_copied, self._n_copied = self._n_copied, 0
        self._forget(n_copied)

    async def _peek(self, most: int, max_bytes: int) -> list[Record]:
        async with self._moving:
            await self._take_off()
            disk = self._disk
            assert disk is not None
            n_before = len(disk)
            batch = await self._files.run(disk.peek, most, max_bytes)
            self._look_for_damage(n_before)
            return batch

    async def _sweep(self) -> None:
        async with self._moving:
            await self._take_off()

    async def _take_off(self) -> None:
        """Advance over what was passed by; until that is done it counts as waiting."""
        disk, n_passed = self._disk, self._n_passed
        if disk is None or not n_passed:
            return
        n_before = len(disk)
        self._n_passed = 0
        try:
            await self._files.run(disk.advance, n_passed)
        except BaseException:
            self._n_passed = n_passed
            raise
        self._look_for_damage(n_before - n_passed)

    def _look_for_damage(self, n_expected: int) -> None:
        """Where a file had to be given up nobody knows which copies it held: what memory holds comes from there."""
        assert self._disk is not None
        if len(self._disk) != n_expected:
            self._n_copied = 0

    async def _copy(self, most: int | None) -> bool:
        """Copy some records to disk; false if it takes none, or not all."""
        async with self._moving:
            if self._disk is None and not await self._files.run(self._open_disk):
                return self._note_disk_failure(self._disk_error)
            assert self._disk is not None
            most = STEP_RECORDS if most is None else min(most, STEP_RECORDS)
            batch = oldest(islice(self._queue, self._n_copied, None), most, STEP_BYTES)
            if not batch:
                return False
            if self._n_passed >= SWEEP_RECORDS:
                await self._take_off()
            try:
                n_written = await self._files.run(self._disk.push, batch)
            except OSError as error:
                return self._note_disk_failure(_words(error))
            self._n_copied += n_written
            self.n_spilled += n_written
            if n_written < len(batch) and self._n_passed:
                await self._take_off()  # makes room, perhaps
                return True
            if n_written < len(batch):
                return self._note_disk_failure(f"the spool holds {self._max_disk_bytes} bytes, as much as it may")
            if self._disk_error:
                self._disk_error = ""
                logger.info("spool_disk_works_again")
            return True

    def _open_disk(self) -> bool:
        """Take a directory; without one there is memory alone, and another try.

        What others left goes first only at the start: later, records of ours may be under way.
        """
        try:
            slot = take(self._root, empty=self.n_put > 0)
            try:
                disk = DiskQueue(slot.directory, self._max_disk_bytes, self._cipher)
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

    def _let_go(self) -> None:
        if self._disk is not None and self._slot is not None:
            self._disk.close()
            self._slot.release()


def _words(error: OSError) -> str:
    """A failure of the disk as a sentence for a person."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk the spool writes to is full"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"the spool may not write to its directory: {error}"
    return f"the disk the spool writes to failed: {error}"
