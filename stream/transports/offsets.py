"""Where a worker starts and what it commits: the same two switches on both transports.

A folder resumes at its group's committed offset and commits what it acked. The learner resumes at its
checkpoint and commits only from a durable one: it sets ``start_offsets`` and turns ``commits_acked`` off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from faust.transport import base
from faust.types import TP, RecordMetadata

from stream.transports.log_reader import ReadingConsumer

StartOffsets = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]


@dataclass(slots=True)
class OffsetPolicy:
    """How a worker's offsets are managed.

    Parameters
    ----------
    start_offsets
        Called after every assignment with the assigned partitions; what it returns is where reading goes on.
        Partitions it leaves out go on at the committed offset.
    commits_acked
        Whether acked events are committed at an interval. If not, only ``commit_offsets`` commits.
    on_gap
        Told of a partition and how many entries of it the log no longer had between two that were read: they
        were removed (by age, or by hand) before this worker came to them.
    """

    start_offsets: StartOffsets | None = None
    commits_acked: bool = True
    on_gap: Callable[[int, int], None] = lambda partition, n_entries: None


class OffsetPolicyMixin(ReadingConsumer):
    """Mixed into a Faust consumer in front of the transport's own class."""

    _begun: Mapping[TP, int] = MappingProxyType({})
    """Where acks were begun to be counted from, by the last assignment or seek."""

    async def start_offsets(self, tps: set[TP]) -> dict[TP, int]:
        """Where reading goes on: where the policy says, else where the group does."""
        offsets = await self.resume_offsets(tps)
        policy: OffsetPolicy = self.app.offset_policy
        if policy.start_offsets is not None:
            chosen = await policy.start_offsets(tps)
            offsets.update({tp: offset for tp, offset in chosen.items() if tp in tps})
        return offsets

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Commit what was acked; what is not taken is committed with the next, whether anything is acked till then.

        Faust takes it for committed all the same, and would come back to it with the partition's next entry.
        """
        before, begun = {tp: self._committed_offset[tp] for tp in offsets}, self._begun
        done = bool(await super()._commit_offsets(offsets, start_new_transaction))
        if self._begun is not begun:  # an assignment meanwhile: what was reached before it is read again
            self._committed_offset.update(self._begun)
        elif not done and self.app.offset_policy.commits_acked:
            for tp in set(offsets) & set(self.assignment()):
                self._put_back(tp, before[tp], offsets[tp])
        return done

    def _put_back(self, tp: TP, committed: int | None, reached: int) -> None:
        """All from what is committed up to what was ``reached`` is acked, and waits for its commit."""
        self._committed_offset[tp] = committed
        again = set(range(reached - 1 if committed is None else committed, reached)) - self._acked_index[tp]
        self._acked_index[tp] |= again
        self._acked[tp].extend(again)

    def _begin_acks(self, offsets: Mapping[TP, int]) -> None:
        """Count what is acked from ``offsets`` on; what was acked of an earlier reading is read again."""
        self._begun = dict(offsets)
        for tp, offset in offsets.items():
            self._committed_offset[tp] = offset
            for acked in (self._acked, self._acked_index, self._gap):
                acked.pop(tp, None)

    def acknowledge(self, tp: TP, offsets: Collection[int]) -> None:
        """Entries that were read since the last seek are done, and may be committed."""
        if self.app.offset_policy.commits_acked:
            committed = self._committed_offset[tp] or 0
            done = {offset for offset in offsets if offset >= committed} - self._acked_index[tp]
            self._acked_index[tp] |= done
            self._acked[tp].extend(done)

    def _new_offset(self, tp: TP) -> int | None:
        """What can be committed: all below it was acked or is not in the log, from the committed offset on.

        Faust asks so much only of a group that has committed, and lets it leave out one entry.
        """
        committed = self._committed_offset[tp]
        done = [*self._acked[tp], *(gap.begin for gap in self._gap[tp])]
        if committed is None or not done or min(done) > committed:
            return None
        offset: int | None = super()._new_offset(tp)
        return offset

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return self.app.offset_policy.commits_acked and await self.commit_offsets(offsets)

    async def commit_offsets(self, offsets: Mapping[TP, int], generation: int | None = None) -> bool:
        """Commit ``offsets`` now; false when this worker no longer owns the partitions.

        ``generation`` is the one the offsets were reached under: work of an earlier ownership is not
        committed, even where the partitions have come back.
        """
        if generation is not None and generation != self.app.consumer_generation_id:
            return False
        if not offsets or not set(offsets) <= set(self.assignment()):
            return False
        return bool(await super()._commit(offsets))


class PortProducer(base.Producer):
    """Stands where Faust wants a producer: handlers append through ``EventLog``, so this opens nothing."""

    async def send(self, topic: str, *args: Any, **kwargs: Any) -> Awaitable[RecordMetadata]:
        """Refuse: the partition and the acknowledgement are the port's business."""
        raise NotImplementedError(f"append to {topic} through eventlog.port.EventLog")

    async def send_and_wait(self, topic: str, *args: Any, **kwargs: Any) -> RecordMetadata:
        """Refuse, as ``send``."""
        raise NotImplementedError(f"append to {topic} through eventlog.port.EventLog")
