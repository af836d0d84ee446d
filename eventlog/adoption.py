"""What dead processes left in their spools, taken over by one that lives."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from background.cancelling import pause
from eventlog.disk_queue import DiskQueue
from eventlog.file_thread import FileThread
from eventlog.port import Record
from eventlog.record_batch import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from eventlog.spool_slots import Slot, abandoned, changed_ns

logger = logging.getLogger(__name__)

ADOPT_S = 2.0
"""Between two looks for what dead processes have left."""

Settle = Callable[[int], Awaitable[None]]
"""Forgets so many records, from the front."""


class Adoption:
    """Appends what processes have left that are gone, one directory after the other, each in its order.

    Parameters
    ----------
    root
        Directory of the spools of all processes.
    files
        Does what is done to files.
    append
        Appends a batch and settles what is done with; it may do neither, after a while.

    Attributes
    ----------
    n_adopted
        Records found in directories of processes that are gone.
    """

    def __init__(
        self,
        root: Path,
        max_disk_bytes: int,
        files: FileThread,
        append: Callable[[Sequence[Record], Settle], Awaitable[None]],
    ) -> None:
        self._root = root
        self._max_disk_bytes = max_disk_bytes
        self._files = files
        self._append = append
        self._held: tuple[Slot, DiskQueue] | None = None
        self._hopeless: dict[Path, int] = {}
        self.n_adopted = 0

    @property
    def n_waiting(self) -> int:
        """Records taken over, and neither acknowledged nor given up."""
        return len(self._held[1]) if self._held is not None else 0

    async def run(self) -> None:
        """Look, and append what is found, until cancelled."""
        while True:
            if self._held is None:
                await pause(ADOPT_S)
                await self._files.step(self._files.run(self._find))
            if self._held is not None:
                await self._empty(*self._held)
                self._files.submit(self.let_go)
                await self._files.step(self._files.run(lambda: None))

    def let_go(self) -> None:
        """In the thread of files: leave to others what is held, or remove what is empty."""
        if self._held is not None:
            slot, queue = self._held
            self._held = None
            queue.close()
            if len(queue):
                slot.release()
            else:
                slot.remove()

    def _find(self) -> None:
        slot = abandoned(self._root, self._hopeless)
        if slot is None:
            return
        queue = None
        with contextlib.suppress(OSError):
            queue = DiskQueue(slot.directory, self._max_disk_bytes)
        if queue is None or not len(queue):
            slot.remove()
            self._hopeless[slot.directory] = changed_ns(slot.directory)
            return
        self.n_adopted += len(queue)
        self._held = (slot, queue)

    async def _empty(self, slot: Slot, queue: DiskQueue) -> None:
        logger.warning("spool_adopted", extra={"path": str(slot.directory), "n_records": len(queue)})

        async def settle(n_records: int) -> None:
            await self._files.step(self._files.run(queue.advance, n_records))

        while batch := await self._files.step(self._files.run(queue.peek, MAX_BATCH_RECORDS, MAX_BATCH_BYTES)):
            await self._append(batch, settle)
