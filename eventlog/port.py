"""The log as a port: what producers, replay and operators see, whichever server keeps it.

Topics are named plainly (``topics.VISITOR_LOG``); adapters know the names on the server. What is appended and read
is in the clear: adapters seal and open it (``sealing``). Faust consumes through its transports
(``stream/transports``), not through this port, and workers open what it hands them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from eventlog.topics import Topics
from personalization.errors import Refused


class Record(msgspec.Struct, frozen=True, gc=False):
    """Something to append: ``value`` under ``key``, which alone decides the partition."""

    topic: str
    key: str
    value: bytes


class LogPosition(NamedTuple):
    """Where a record was put."""

    topic: str
    partition: int
    offset: int


class LogEntry(NamedTuple):
    """Something read back."""

    offset: int
    key: str
    value: bytes


class LogIdentity(msgspec.Struct, frozen=True):
    """Which log this is. Offsets mean something only together with it.

    Parameters
    ----------
    epoch
        Counts up from 1; a log grows its partitions, or is replaced, by opening the next.
    log_id
        Made by the server that keeps the log: on Kafka the cluster's and the topic's own ids, on Redis
        Streams an id stored beside the streams. A log that was lost and created anew has another.
    n_partitions
        The same for every topic.
    """

    epoch: int
    log_id: str
    n_partitions: int


@runtime_checkable
class EventLog(Protocol):
    """A partitioned, ordered, durable log."""

    @property
    def topics(self) -> Topics:
        """The namespace this log lives in."""
        ...

    async def start(self) -> None:
        """Begin connecting. Does not fail when the server is away: ``append`` says so until it is back."""
        ...

    async def close(self) -> None:
        """Send what was accepted, then let go of the server."""
        ...

    async def create(self, n_partitions: int) -> LogIdentity:
        """Create the topics that are missing; an existing log keeps its partition count.

        Raises
        ------
        Unavailable
            If the server does not answer.
        """
        ...

    async def identity(self, anew: bool = False) -> LogIdentity:
        """Which log this is: as remembered, or, ``anew``, as the server says now.

        What was remembered is looked up again by itself where an append was refused for it.

        Raises
        ------
        Unavailable
            If the server does not answer or the log has not been created.
        """
        ...

    async def close_epoch(self) -> None:
        """Let the server refuse every further append to the epoch in force, whoever makes it.

        What ``end_offsets`` says afterwards is where the epoch ends.
        """
        ...

    async def reopen_epoch(self) -> None:
        """Undo ``close_epoch``."""
        ...

    async def open_epoch(self, n_partitions: int, after: int = 0) -> LogIdentity:
        """Close the epoch in force and open the next (greater than ``after``): new, empty topics."""
        ...

    async def append(self, records: Sequence[Record], only_in: LogIdentity | None = None) -> list[LogPosition]:
        """Append ``records`` and return where they are once the log has acknowledged them all.

        *Order.* In one partition, the records of one call keep their order, and so do calls that wait for one
        another. After an error the caller tries the same call again before it makes another: then each of its
        records stands in the log in order, counted at its first copy. Copies may follow, since after an error
        some of the records may be in the log all the same: readers must know duplicates by their ids. What
        cannot happen is that a later record stands before the first copy of an earlier one: behind a record
        that failed, nothing more of its call is sent to its partition.

        Calls made at once, without waiting for one another, stand in a partition in the order they were made;
        where one fails, those that wait behind it for that partition fail with it.

        A call that took too long may still be carried out when the server comes back: on Kafka before anything
        else this process appends to the partition, on Redis Streams perhaps behind it. A caller who gives up
        instead of trying again, such as an HTTP client, may find it there later.

        *Epoch.* The server itself compares the log the records go to with the one in force, in the same step
        that appends: nothing is ever added to an epoch that is over.

        Parameters
        ----------
        only_in
            The log the records were made for; a worker's emissions belong to the log it folds. None: the log in
            force, also if another epoch was opened meanwhile, for records that belong to a visitor and not to
            an epoch.

        Raises
        ------
        LogFull
            If entries nobody has read yet would have to go to make room (Redis Streams).
        StorageFull
            If the server has no disk or memory left.
        Unavailable
            If the log did not acknowledge in time, or its epoch is closed and the next not open yet.
        EpochClosed
            If ``only_in`` is not the log in force.
        Refused
            If something else has written into the log's keys.
        InvalidInput
            If a record can never be accepted, such as one larger than the log's limit.
        """
        ...

    async def until_appended(self) -> None:
        """Wait until any append of this process has succeeded from now on: the log takes something again."""
        ...

    async def fill_share(self, topic: str) -> float:
        """How full the fullest partition of ``topic`` is, from 0 to 1 (at which ``append`` raises ``LogFull``).

        Counts only what may not be trimmed to make room: 0 for topics that forget the oldest, and on Kafka.
        One round trip.
        """
        ...

    def read(
        self, topic: str, partition: int, from_offset: int, to_offset: int | None = None
    ) -> AsyncIterator[LogEntry]:
        """Entries from ``from_offset`` up to before ``to_offset`` (the end as it is now, if none)."""
        ...

    async def end_offsets(self, topic: str) -> list[int]:
        """The offset the next entry will get, per partition."""
        ...

    async def earliest_offsets(self, topic: str) -> list[int]:
        """The offset of the oldest entry still kept, per partition; the end where there is none."""
        ...

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        """The offset ``group`` will resume at, per partition; none where it never committed."""
        ...

    async def set_trim_floor(self, topic: str, partition: int, offset: int) -> None:
        """Let entries below ``offset`` go when room is needed (``Trim.FLOOR`` topics; no-op on Kafka)."""
        ...


@runtime_checkable
class TrimsByAge(Protocol):
    """A log that forgets what is too old only when somebody tells it the time. Kafka does so by itself."""

    async def trim_by_age(self, now_ms: int) -> int:
        """Drop what is older than its topic keeps, as far as it may go; returns in how many pieces it went.

        Parameters
        ----------
        now_ms
            Milliseconds since 1970.
        """
        ...


@runtime_checkable
class DeletesEntries(Protocol):
    """A log that can give up single entries. Kafka cannot: there they go by age."""

    async def delete(self, topic: str, partition: int, offsets: Sequence[int]) -> int:
        """Erase single entries; returns how many there were."""
        ...

    async def purge(self, topic: str, partition: int) -> bool:
        """Let go of the bytes of erased entries, in memory and in what is written from now on.

        False where there is no room for that: they go with their neighbours, by age.
        """
        ...


def check_identity(
    actual: LogIdentity,
    known: LogIdentity | None,
    reached: Mapping[int, int] | None = None,
    end_offsets: Sequence[int] | None = None,
) -> None:
    """Refuse to fold a log that is not the one the stored offsets speak of.

    Parameters
    ----------
    actual
        What the log says it is.
    known
        What was written beside the states when they were last folded; none on a first start.
    reached
        Per partition, the highest *next* offset anything stored speaks of (fence + 1, committed).
    end_offsets
        Per partition, where the log ends.

    Raises
    ------
    Refused
        If going on would skip events, or fold them twice.
    """
    remedy = "If this is meant, stop every producer and run `nextbest epoch open`: states stay, offsets start anew."
    if known is not None and known != actual:
        raise Refused(
            f"The states were folded from log {known.log_id} (epoch {known.epoch}, {known.n_partitions} "
            f"partitions), but this is log {actual.log_id} (epoch {actual.epoch}, {actual.n_partitions} "
            f"partitions). {remedy}"
        )
    for partition, offset in (reached or {}).items():
        end = end_offsets[partition] if end_offsets and partition < len(end_offsets) else 0
        if offset > end:
            raise Refused(
                f"Partition {partition} was read up to offset {offset}, but the log ends at {end}: entries "
                f"were lost, or this is another log. {remedy}"
            )


async def check_resumption(
    log: EventLog,
    group: str,
    topic: str,
    known: LogIdentity | None,
    fences: Mapping[int, int] | None = None,
) -> LogIdentity:
    """Ask ``log`` whether ``group`` may go on reading ``topic``, and return which log it is.

    A worker calls this before it starts. ``known`` is what was stored beside the states (to be stored now, if
    none was), ``fences`` the highest offset applied per partition, where the caller keeps it.

    Raises
    ------
    Refused
        See ``check_identity``.
    Unavailable
        If the log does not answer.
    """
    actual = await log.identity()
    reached = {partition: offset + 1 for partition, offset in (fences or {}).items()}
    for partition, offset in enumerate(await log.committed_offsets(group, topic)):
        reached[partition] = max(reached.get(partition, 0), offset or 0)
    check_identity(actual, known, reached, await log.end_offsets(topic))
    return actual
