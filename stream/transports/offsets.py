"""Where a worker starts and what it commits: the same two switches on both transports.

A folder resumes at its group's committed offset and commits what it acked. The learner resumes at its
checkpoint and commits only from a durable one: it sets ``start_offsets`` and turns ``commits_acked`` off.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faust.transport import base
from faust.types import TP, RecordMetadata

if TYPE_CHECKING:
    from faust.transport.consumer import Consumer as FaustConsumer
else:
    FaustConsumer = object  # the transport's own consumer stands behind the mixin

StartOffsets = Callable[[set[TP]], Awaitable[Mapping[TP, int]]]


@dataclass(slots=True)
class OffsetPolicy:
    """How a worker's offsets are managed.

    Parameters
    ----------
    start_offsets
        Called after every assignment, and whenever the flow paused, with the assigned partitions; what it
        returns is where reading goes on. Partitions it leaves out go on at the committed offset.
    commits_acked
        Whether acked events are committed at an interval. If not, only ``commit_offsets`` commits.
    on_gap
        Told of a partition and how many entries of it the log no longer had between two that were read: they
        were removed (by age, or by hand) before this worker came to them.
    """

    start_offsets: StartOffsets | None = None
    commits_acked: bool = True
    on_gap: Callable[[int, int], None] = lambda partition, n_entries: None


class OffsetPolicyMixin(FaustConsumer):
    """Mixed into a Faust consumer in front of the transport's own class."""

    async def seek_to_committed(self) -> dict[TP, int]:
        """Seek to where the policy says, else to the committed offsets (Faust calls this on its own)."""
        offsets = dict(await super().seek_to_committed())
        policy: OffsetPolicy = self.app.offset_policy
        if policy.start_offsets is not None:
            assigned = set(self.assignment())
            chosen = {tp: n for tp, n in (await policy.start_offsets(assigned)).items() if tp in assigned}
            if chosen:
                await self.seek_wait(chosen)
            offsets.update(chosen)
        return offsets

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Commit what was acked; what is not taken is committed with the next, whether anything is acked till then.

        Faust takes it for committed all the same, and would come back to it with the partition's next entry.
        """
        self._not_taken: dict[TP, tuple[int | None, int | None]] = {}
        done = bool(await super()._commit_offsets(offsets, start_new_transaction))
        for tp, (committed, reached) in self._not_taken.items():
            self._committed_offset[tp] = committed
            if reached is not None:
                again = set(range(committed or reached - 1, reached)) - self._acked_index[tp]
                self._acked_index[tp] |= again
                self._acked[tp].extend(again)
        return done

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        if not self.app.offset_policy.commits_acked:
            return False
        generation = self.app.consumer_generation_id
        if await self.commit_offsets(offsets):
            return True
        # What was reached under an ownership that is over is read again by whoever has the partition now.
        over = generation != self.app.consumer_generation_id
        self._not_taken = {
            tp: (self._committed_offset.get(tp), None if over else offset) for tp, offset in offsets.items()
        }
        return False

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
