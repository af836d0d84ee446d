"""What waits to be appended to Kafka, and what is under way: a lane for each partition, one batch at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from eventlog.port import LogIdentity, LogPosition, Record


class Call:
    """One call of ``append`` on its way: done when every record is acknowledged."""

    __slots__ = ("done", "hashes", "left", "only_in", "positions", "records")

    def __init__(
        self,
        records: Sequence[Record],
        hashes: list[int],
        only_in: LogIdentity | None,
        done: asyncio.Future[list[LogPosition]],
    ) -> None:
        self.records = records
        self.hashes = hashes
        self.only_in = only_in
        self.done = done
        self.begin()

    def begin(self) -> None:
        """Nothing of it is acknowledged (again)."""
        self.left = len(self.records)
        self.positions: list[LogPosition] = [LogPosition("", 0, 0)] * len(self.records)

    def fail(self, error: BaseException) -> None:
        """Tell the caller, unless the call is done."""
        if not self.done.done():
            self.done.set_exception(error)


class Lane:
    """One partition: the records that wait, each as (its call, its place there), and those under way."""

    __slots__ = ("name", "partition", "singly", "topic", "under_way", "waiting")

    def __init__(self, topic: str, name: str, partition: int) -> None:
        self.topic = topic
        self.name = name
        self.partition = partition
        self.waiting: deque[tuple[Call, int]] = deque()
        self.under_way: list[tuple[Call, int]] = []
        self.singly = 0

    def batch(self, builder: Any) -> bool:
        """Move what fits into a batch; false if nothing is left to send."""
        while self.waiting:
            call, at = self.waiting[0]
            if not call.done.done():  # of a call that failed or gave up nothing more is sent
                record = call.records[at]
                if not builder.append(timestamp=None, key=record.key.encode(), value=record.value):
                    break
                self.under_way.append((call, at))
            self.waiting.popleft()
            if self.singly and self.under_way:
                self.singly -= 1
                break
        return bool(self.under_way)

    def acknowledged(self, offset: int) -> None:
        """The batch under way stands in the log from ``offset``."""
        for call, at in self.under_way:
            call.positions[at] = LogPosition(self.topic, self.partition, offset)
            offset += 1
            call.left -= 1
            if not call.left and not call.done.done():
                call.done.set_result(call.positions)
        self.under_way = []

    def enter(self, call: Call, at: int) -> None:
        """Let a record wait; those in front of it whose calls gave up make room."""
        while self.waiting and self.waiting[0][0].done.done():
            self.waiting.popleft()
        self.waiting.append((call, at))

    def split(self) -> None:
        """Send the records under way again, each alone: one of them is too large for the broker."""
        self.singly = len(self.under_way)
        self.waiting.extendleft(reversed(self.under_way))
        self.under_way = []

    def fail(self, error: BaseException) -> None:
        """The records under way, and those that wait behind them."""
        for call, _ in (*self.under_way, *self.waiting):
            call.fail(error)
        self.under_way = []
        self.waiting.clear()
