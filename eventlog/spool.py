"""What stands between a decision and the log: a queue that never makes the caller wait.

Whatever has waited for longer than a moment is on disk as well, so that the death of the process costs no more
than that moment: while the log is away or full, all that waits is on disk. When the disk is full too, records are
dropped and counted. Records reach the log in the order they were put, also across a restart of the process; what
a process leaves behind that is not started again, another one appends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from background.cancelling import pause, stop_if_cancelled
from eventlog.adoption import Adoption, Settle
from eventlog.backlog import Backlog
from eventlog.file_thread import FileThread
from eventlog.port import EventLog, Record
from eventlog.record_batch import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from personalization.data_cipher import CLEAR, DataCipher
from personalization.errors import InvalidInput

logger = logging.getLogger(__name__)

PROBE_RECORDS = 16
"""How many records ask a log that failed whether it takes something again."""

LINGER_S = 0.01
"""Nobody waits for a record. At 200 decisions a second two share an append, and what it costs its readers."""

LOOK_S = 0.01
OLD_S = 0.025
"""Between two looks at what waits, and what has waited for so long goes to disk: that is done within 50 ms."""

FIRST_RETRY_S = 0.01
LAST_RETRY_S = 0.05
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
        How long a record waits for company at most: fewer calls, later arrival.
    cipher
        Seals what goes to disk.

    Attributes
    ----------
    n_put, n_appended, n_dropped, n_rejected
        Records accepted; acknowledged by the log; lost for want of room; refused by the log for good.
        ``n_put + n_restored + n_adopted = n_appended + n_rejected + n_waiting``, unless files were damaged.
    n_restored, n_adopted
        Records found in the directory at the start; in directories of processes that are gone.
    n_spilled, n_retries
        Records that were copied to disk; appends that failed and were tried again.
    """

    def __init__(
        self,
        log: EventLog,
        root: Path,
        *,
        max_memory_bytes: int = 32 * 1024 * 1024,
        max_disk_bytes: int = 1024 * 1024 * 1024,
        linger_s: float = LINGER_S,
        cipher: DataCipher = CLEAR,
    ) -> None:
        self._log = log
        self._linger_s = linger_s
        self._files = FileThread("spool")
        self._backlog = Backlog(root, max_memory_bytes, max_disk_bytes, self._files, cipher)
        self._adoption = Adoption(root, max_disk_bytes, self._files, self._append_adopted)
        self._appending = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._under_way: tuple[float, int] | None = None  # since when, and how many were put by then
        self._wake = asyncio.Event()
        self._busy = asyncio.Event()
        self._closing = False
        self._closed = False
        self._failing_since_s: float | None = None
        self._said_s = 0.0
        self.n_appended = 0
        self.n_dropped = 0
        self.n_rejected = 0
        self.n_retries = 0

    @property
    def n_put(self) -> int:
        """Records accepted."""
        return self._backlog.n_put

    @property
    def n_restored(self) -> int:
        """Records found in the directory at the start."""
        return self._backlog.n_restored

    @property
    def n_spilled(self) -> int:
        """Records that were copied to disk."""
        return self._backlog.n_spilled

    @property
    def n_waiting(self) -> int:
        """Records neither acknowledged nor given up."""
        return len(self._backlog) + self._adoption.n_waiting

    @property
    def n_adopted(self) -> int:
        """Records found in directories of processes that are gone."""
        return self._adoption.n_adopted

    @property
    def fill_share(self) -> float:
        """How full it is, 0 to 1: its memory, or its disk."""
        return self._backlog.fill_share

    @property
    def n_corrupt_bytes(self) -> int:
        """Bytes of torn or damaged frames that were given up."""
        return self._backlog.n_corrupt_bytes

    def put(self, record: Record) -> bool:
        """Queue ``record``; false if it had to be dropped. Costs about a microsecond, never waits, never raises."""
        if not self._backlog.put(record):
            self.n_dropped += 1
            return False
        if self._tick is None:
            self._wind()
        if not self._linger_s or self._backlog.n_in_memory >= MAX_BATCH_RECORDS:
            self._wake.set()
        return True

    def hurry(self) -> bool:
        """Let what lingers go now; false where nothing does.

        Whoever gives the loop a turn afterwards appends behind it: a decision stands before what came after it.
        """
        if self._loop is None or not len(self._backlog):
            return False
        if self._under_way is not None or self._failing_since_s is not None:
            return False
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
        self._backlog.shut()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline_s), self._appending:
                await self._append()
        await self._files.steps_done()
        self.n_dropped += await self._backlog.close()
        if self._tick is not None:
            self._tick.cancel()
        self._loop = self._tick = None
        left = self.n_waiting
        await self._files.run(self._adoption.let_go)
        self._files.close()
        self._closed = True
        return left

    # -- appending ----------------------------------------------------------------------------------------

    async def _append(self) -> None:
        """Append what waits, the oldest first; over when the spool is closing and nothing waits."""
        await self._files.steps_done()  # one that was cancelled may have something to forget yet
        self._loop = loop = asyncio.get_running_loop()
        retry_s = FIRST_RETRY_S
        while True:
            stop_if_cancelled()
            batch = await self._next_batch()
            if batch is None:
                return
            self._under_way = loop.time(), self._backlog.n_put
            try:
                await self._append_batch(batch, self._backlog.settle)
            except Exception as error:
                self._note_failure(error)
                await self._pause(retry_s)
                retry_s = min(2 * retry_s, LAST_RETRY_S)
            else:
                self._note_success()
                retry_s = FIRST_RETRY_S
            finally:
                self._under_way = None
            if not self._backlog.is_swept:
                self._busy.set()

    async def _next_batch(self) -> Sequence[Record] | None:
        """What goes next, the oldest; none when nothing is left and none will come.

        It stays where it is until it is settled, so that it can go to disk with all that waits behind it.
        """
        while True:
            most = PROBE_RECORDS if self._failing_since_s is not None else MAX_BATCH_RECORDS
            n_waiting = len(self._backlog)
            lingers = self._linger_s > 0 and n_waiting < most and self._failing_since_s is None
            if not self._closing and (lingers or not n_waiting):
                self._wake.clear()
                if n_waiting and self._tick is None:
                    self._wind()
                await self._wake.wait()
            if len(self._backlog):
                if batch := await self._backlog.head(most, MAX_BATCH_BYTES):
                    return batch
            elif self._closing:
                return None

    def _wind(self) -> None:
        """Look before long at what waits: one timer for all records, which a turn of the loop is spent on."""
        if self._loop is not None:
            self._tick = self._loop.call_later(self._linger_s or LOOK_S, self._look)

    def _look(self) -> None:
        """What waits has waited long enough; what is under way since the last look takes long, and is kept."""
        self._tick = None
        if not len(self._backlog):
            return
        self._wind()
        if self._under_way is None:
            self._wake.set()
        else:
            self._busy.set()

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

    async def _append_adopted(self, batch: Sequence[Record], settle: Settle) -> None:
        """Append what dead processes left; a log that does not take it is asked again a little later."""
        try:
            await self._append_batch(batch, settle)
        except Exception as error:
            self.n_retries += 1
            logger.debug("log_append_failed", extra={"reason": str(error)})
            await self._pause(LAST_RETRY_S)

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
        """Bring to disk what has waited for long, and, while the log takes nothing, all that waits."""
        loop = asyncio.get_running_loop()
        backlog = self._backlog
        looks: deque[tuple[float, int]] = deque()
        while True:
            is_behind = looks and looks[0][1] > backlog.n_left_memory
            if self._failing_since_s is None and not is_behind and backlog.is_swept:
                looks.clear()
                self._busy.clear()
                await self._busy.wait()
                if self._under_way is not None:
                    looks.append(self._under_way)
            looks.append((loop.time(), backlog.n_put))
            await pause(LOOK_S)
            old_s, n_old = loop.time() - OLD_S, 0
            while looks and looks[0][0] <= old_s:
                n_old = looks.popleft()[1]
            if self._failing_since_s is not None:
                await backlog.copy()
            elif n_old > backlog.n_left_memory:
                await backlog.copy(n_old - backlog.n_left_memory)
            elif not backlog.is_swept:
                await backlog.sweep()
