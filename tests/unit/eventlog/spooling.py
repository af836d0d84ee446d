"""A log that fails as told, records with a number, and what the dead leave: for tests of the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from eventlog.disk_queue import DiskQueue
from eventlog.port import LogIdentity, LogPosition, Record
from eventlog.signal import Signal
from eventlog.spool import Spool
from eventlog.spool_slots import Slot, hold
from personalization.errors import InvalidInput, Unavailable

SpoolOn = Callable[..., Spool]
"""What the fixture `spool_on` gives: makes spools that are kept at work."""


class FakeLog:
    """A log that can go away, that can hang, and that refuses values it finds indigestible."""

    def __init__(self) -> None:
        self.away = False
        self.hangs = asyncio.Event()
        self.hangs.set()
        self.values: list[bytes] = []
        self.n_calls = 0
        self.appended = Signal()

    async def append(self, records: Sequence[Record], only_in: LogIdentity | None = None) -> list[LogPosition]:
        self.n_calls += 1
        await asyncio.sleep(0)
        await self.hangs.wait()
        if self.away:
            raise Unavailable("away")
        if any(record.value == b"indigestible" for record in records):
            raise InvalidInput("value", "cannot be eaten")
        self.values += [record.value for record in records]
        self.appended.fire()
        return [LogPosition(record.topic, 0, 0) for record in records]

    async def until_appended(self) -> None:
        await self.appended.wait()


def record(i: int, size: int = 0) -> Record:
    return Record("decisions", f"v{i}", str(i).encode() + b"." * size)


def numbers(log: FakeLog) -> list[int]:
    return [int(value.rstrip(b".")) for value in log.values]


def segments_in(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.spool"))


def left_by_the_dead(directory: Path, numbers_: range) -> Slot:
    """Records in a directory that is still locked: its process dies when the lock is released."""
    slot = hold(directory)
    assert slot is not None
    queue = DiskQueue(directory, 10**9)
    queue.push([record(i) for i in numbers_])
    queue.close()
    return slot
