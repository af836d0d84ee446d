"""How entries reach who takes them: in unbroken succession, many at once, and without sleeping a second.

Faust leaves it to the transport to know what is read next. That place is moved by several tasks: by a fetch whose
entries a rebalance then throws away, by a seek to the committed offsets that another rebalance overtakes, by the
flow that the end of an overtaken one resumes in the middle of the next. Where such an order left it behind
entries nobody was handed, Faust took them for missing in the log and committed past them. Here the consumer alone
knows what is next, and says so with every read.

Faust's own loop also makes a message, an event and two tasks of each entry, and walks each through a channel and a
stream. And while a partition's buffer is full, it leaves that out of the
fetch and looks again only when the fetch returns, or after a second where all are full: a worker once behind would
stay a second behind. Here nothing is read before there is room for it, and the receiver takes all of it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from faust.types import TP

from stream.transports.log_reader import Receiver
from stream.transports.offsets import OffsetPolicy, OffsetPolicyMixin

READ_WAIT_S = 1.0
UNASSIGNED_WAIT_S = 0.1


class DrainingMixin(OffsetPolicyMixin):
    """Mixed into a Faust consumer: hands over what follows in the log, and nothing else.

    A succession begins with ``perform_seek`` and ends with the assignment, or where somebody seeks. What was read
    before its end is not handed over after it.

    Attributes
    ----------
    reading
        Counts how often reading began anew. What was handed over under another number is read again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reading = 0
        self._next: dict[TP, int] = {}
        self._succession = 0

    # -- where a succession begins and ends ---------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Hand over nothing more."""
        self._end_succession()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Hand over nothing before ``perform_seek``, whatever an earlier one still under way has done meanwhile."""
        self._end_succession()
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Begin where the policy says, unless an assignment or another seek overtakes this one."""
        succession = self._succession
        assigned = self.assignment()
        offsets = await self.start_offsets(assigned)
        if self._succession == succession:
            self._end_succession()
            self._begin_acks(offsets)
            self._next.update(offsets)

    async def seek_to_committed(self) -> dict[TP, int]:
        """Begin again where the policy says; the offsets."""
        await self.perform_seek()
        return dict(self._next)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go on at the given offsets."""
        self._succession += 1
        self._next.update(partitions)

    async def _seek(self, partition: TP, offset: int) -> None:
        await self.seek_wait({partition: offset})

    async def position(self, tp: TP) -> int | None:
        """The offset that is handed over next."""
        return self._next.get(tp)

    def _end_succession(self) -> None:
        self.reading += 1
        self._succession += 1
        self._next.clear()

    # -- handing over -------------------------------------------------------------------------------------

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await asyncio.sleep(0)
                await self._hand_over()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _hand_over(self) -> None:
        """Read once, and hand over what was read unless somebody ended the succession meanwhile."""
        receiver: Receiver = self.app.receiver
        await receiver.until_room()
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        succession = self._succession
        offsets = {tp: self._next[tp] for tp in self._get_active_partitions() if tp in self._next}
        if not offsets:
            await asyncio.sleep(UNASSIGNED_WAIT_S)
            return
        found = await self.read_from(offsets, READ_WAIT_S)
        if self._succession != succession:
            return
        if found:
            reached = await receiver.take(found, offsets)
            if self._succession != succession:
                return
            self._next.update(reached)
            for tp, entries in found.items():
                self._note_missing(tp, offsets[tp], entries)
        if receiver.pause_s and all(len(entries) < self.most_at_once(len(offsets)) for entries in found.values()):
            await self.sleep(receiver.pause_s)

    def _note_missing(self, tp: TP, expected: int, entries: Sequence[Any]) -> None:
        """What was not found below the last of ``entries``, read from ``expected`` on, is missing in the log."""
        n_missing = entries[-1].offset + 1 - expected - len(entries)
        if not n_missing:
            return
        policy: OffsetPolicy = self.app.offset_policy
        policy.on_gap(tp.partition, n_missing)
        if policy.commits_acked:
            for entry in entries:
                if entry.offset > expected:
                    self._gap[tp].addi(expected, entry.offset)
                expected = entry.offset + 1
