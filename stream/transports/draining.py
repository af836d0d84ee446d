"""How entries reach the agents: in unbroken succession, without two tasks each, and without sleeping a second.

Faust leaves it to the transport to know what is read next. That place is moved by several tasks: by a fetch whose
entries a rebalance then throws away, by a seek to the committed offsets that another rebalance overtakes, by the
flow that the end of an overtaken one resumes in the middle of the next. Where such an order left it behind
entries nobody was handed, Faust took them for missing in the log and committed past them. Here the consumer alone
knows what is next, and says so with every read.

Faust's own loop also wraps every delivery in ``wait_first(callback(message), suspend_flow.wait())``, so that one
that has to wait gives way when a rebalance suspends the flow. It waits only where the flow is suspended or
the agent's queue is full; for all others that costs two tasks and half of a worker's CPU time.

And while a partition's buffer is full, Faust leaves it out of the fetch and looks again only when that fetch
returns, or after a second where all are full. Meanwhile more events arrive than the buffers hold, and fill
them at once: a worker once behind would stay a second behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from faust.types import TP

from stream.transports.log_reader import BulkReader
from stream.transports.offsets import OffsetPolicyMixin

READ_WAIT_S = 1.0
FULL_BUFFER_WAIT_S = 0.002
UNASSIGNED_WAIT_S = 0.1
YIELD_EVERY = 100
"""Entries handed over between two turns of the event loop."""


class DrainingMixin(OffsetPolicyMixin):
    """Mixed into a Faust consumer: hands over what follows in the log, and nothing else.

    A succession begins with ``perform_seek`` and ends with the assignment, or where somebody seeks. What was read
    before its end is not handed over after it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
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
        """Read once, and hand over what was read while nobody ends the succession."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        succession = self._succession
        offsets = {tp: self._next[tp] for tp in self._get_active_partitions() if tp in self._next}
        timeout_s = FULL_BUFFER_WAIT_S if self._buffered_partitions else READ_WAIT_S
        if not offsets:
            await asyncio.sleep(min(timeout_s, UNASSIGNED_WAIT_S))
            return
        found = await self.read_from(offsets, timeout_s)
        if self.app.in_bulk is not None:
            await self._hand_over_in_bulk(self.app.in_bulk, found, offsets, succession)
            return
        for n_read, (tp, record) in enumerate(self.scheduler.iterate(found), 1):
            if self._succession != succession:
                return
            message = self._to_message(tp, record)
            if self._is_free(tp):
                await self.callback(message)
            elif not await self._waits_through(message):
                return
            if self._succession != succession:
                return
            self._go_on(tp, record.offset)
            if n_read % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    async def _hand_over_in_bulk(
        self, bulk: BulkReader, found: Mapping[TP, Sequence[Any]], offsets: Mapping[TP, int], succession: int
    ) -> None:
        """Hand over all that was read at once, and look again after a while if there was no more of it."""
        if self._succession != succession:
            return
        if found:
            reached = await bulk.take(found, offsets)
            if self._succession != succession:
                return
            self._next.update(reached)
            for tp, records in found.items():
                if n_missing := records[-1].offset + 1 - offsets[tp] - len(records):
                    self.app.offset_policy.on_gap(tp.partition, n_missing)
        if all(len(records) < self.most_at_once(len(offsets)) for records in found.values()):
            await self.sleep(bulk.pause_s)

    def _go_on(self, tp: TP, offset: int) -> None:
        """``offset`` was handed over; what is missing in front of it is missing in the log."""
        expected = self._next[tp]
        if offset > expected:
            self._gap[tp].addi(expected, offset)
            self.app.offset_policy.on_gap(tp.partition, offset - expected)
        self._next[tp] = offset + 1

    async def _waits_through(self, message: Any) -> bool:
        """Deliver what has to wait; false if the flow was suspended meanwhile."""
        delivery = self.callback(message)
        return delivery in (await self.wait_first(delivery, self.suspend_flow.wait())).done

    def _is_free(self, tp: TP) -> bool:
        """Whether a delivery to ``tp`` goes through without waiting for anything."""
        app = self.app
        return (
            app.flow_control.is_active()
            and not app.topics._tp_to_callback_lock.locked()
            and not any(channel.queue.full() for channel in app.topics._tp_index.get(tp, ()))
        )
