"""How fetched events reach the agents: without two tasks per event, and without sleeping a second.

Faust's own loop wraps every delivery in ``wait_first(callback(message), suspend_flow.wait())``, so that one
that has to wait gives way when a rebalance suspends the flow. It waits only where the flow is suspended or
the agent's queue is full; for all others that costs two tasks and half of a worker's CPU time.

And while a partition's buffer is full, Faust leaves it out of the fetch and looks again only when that fetch
returns, or after a second where all are full. Meanwhile more events arrive than the buffers hold, and fill
them at once: a worker once behind would stay a second behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from faust.types import TP

if TYPE_CHECKING:
    from faust.transport.consumer import Consumer as FaustConsumer
else:
    FaustConsumer = object  # the transport's own consumer stands behind the mixin

FULL_BUFFER_WAIT_S = 0.002
UNASSIGNED_WAIT_S = 0.1


class DrainingMixin(FaustConsumer):
    """Mixed into a Faust consumer: delivers at once what need not wait, and else as Faust does.

    Faust may seek while events flow: a rebalance that overtakes another one's seek is enough. So an event in
    delivery during a seek says nothing of how far was read. And entries that are missing between two were perhaps
    fetched and thrown away: they count as removed from the log only where they are missing when read again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._n_seeks = 0
        self._read_again: dict[TP, int] = {}

    async def perform_seek(self) -> None:
        """Seek all partitions to where reading goes on."""
        await super().perform_seek()
        self._n_seeks += 1
        self._read_again.clear()

    async def _drain_messages(self, fetcher: Any) -> None:
        topics = self.app.topics
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                await asyncio.sleep(0)
                n_delivered = 0
                sought_back: set[TP] = set()
                n_seeks = self._n_seeks
                async for tp, message in self.getmany(timeout=1.0):
                    if tp in sought_back:
                        continue
                    offset = message.offset
                    reached = self._read_offset[tp]
                    if reached is not None and offset < reached:
                        continue  # read again after a seek back
                    if reached and offset - reached > 1 and topics.acks_enabled_for(message.topic):
                        if self._read_again.get(tp) != reached:
                            self._read_again[tp] = reached
                            sought_back.add(tp)
                            await self.seek_wait({tp: reached})  # not behind it: it may be where reading began
                            continue
                        await self._add_gap(tp, reached + 1, offset - 1)
                        self.app.offset_policy.on_gap(tp.partition, offset - reached - 1)
                    if self._is_free(tp):
                        await self.callback(message)
                    else:
                        await self.wait_first(self.callback(message), self.suspend_flow.wait())
                    if self._n_seeks == n_seeks:
                        self._read_offset[tp] = offset
                    n_delivered += 1
                    if n_delivered % 100 == 0:
                        await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        if self._buffered_partitions:
            timeout = FULL_BUFFER_WAIT_S
        if not active:
            await asyncio.sleep(min(timeout, UNASSIGNED_WAIT_S))
            return {}, active
        return await self._getmany(active_partitions=active, timeout=timeout), active

    def _is_free(self, tp: TP) -> bool:
        """Whether a delivery to ``tp`` goes through without waiting for anything."""
        app = self.app
        return (
            app.flow_control.is_active()
            and not app.topics._tp_to_callback_lock.locked()
            and not any(channel.queue.full() for channel in app.topics._tp_index.get(tp, ()))
        )
