"""The one place where the wall clock makes events: what is due becomes a time-out in its visitor's own log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from background.cancelling import pause
from eventlog.port import EventLog, LogIdentity, Record
from eventlog.topics import VISITOR_LOG
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import TimedOut
from state.timers import Timer, TimerStore, bucket_of, buckets_of
from state.transient import is_transient
from stream.current_catalog import CurrentCatalog
from stream.metrics import FolderMetrics
from stream.wall_clock import wall_clock_ms

ROUNDS = 8
"""Looks until every bucket has had its turn, though nobody told of a timer there: 1.6 s at 200 ms."""

BATCH = 1_000
"""Time-outs appended at once: a second of them at 5,000 decisions/s takes five looks."""


class Clock:
    """Appends a time-out for every timer that is due in the buckets of the partitions owned.

    While the folder lags, a timer stays due: those appended and not folded yet are remembered and not appended
    again. One appended twice all the same (a restart, a new owner) wakes its visitor for nothing.

    A look at all buckets takes Redis milliseconds, in which it answers nobody. So a look goes to those where a
    timer is known to be due, and to the next few of all: what somebody else has added is found in turn.

    Parameters
    ----------
    owned
        The partitions owned now.
    identity
        The log that is folded: time-outs for it belong into no other.
    now_ms
        The wall clock; an argument for tests only.
    """

    def __init__(
        self,
        timers: TimerStore,
        log: EventLog,
        catalog: CurrentCatalog,
        owned: Callable[[], Collection[int]],
        identity: LogIdentity,
        metrics: FolderMetrics,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._timers = timers
        self._log = log
        self._catalog = catalog
        self._owned = owned
        self._identity = identity
        self._n_partitions = identity.n_partitions
        self._metrics = metrics
        self._now_ms = now_ms
        self._in_flight: set[Timer] = set()
        self._served: frozenset[int] = frozenset()
        self._buckets: list[int] = []
        self._next_round = 0
        self._earliest_ms: dict[int, int] = {}

    def settled(self, timer: Timer) -> None:
        """The folder has seen this time-out: should its timer still be due, it is appended again."""
        self._in_flight.discard(timer)

    def expect(self, key: str, due_ms: Iterable[int]) -> None:
        """Timers were added."""
        for at_ms in due_ms:
            self._note(bucket_of(key), at_ms)

    async def tick(self) -> int:
        """Append what is due and not in flight; how many."""
        now_ms = self._now_ms()
        buckets = self._to_look_at(now_ms)
        for bucket in buckets:
            self._earliest_ms.pop(bucket, None)  # what is expected while Redis looks counts besides what it finds
        try:
            look = await self._timers.look(buckets, now_ms, len(self._in_flight) + BATCH)
        except BaseException:
            for bucket in buckets:
                self._note(bucket, now_ms)
            raise
        for bucket, at_ms in look.earliest_ms.items():
            self._note(bucket, at_ms)
        fresh = [timer for timer in look.due if timer not in self._in_flight][:BATCH]
        if not fresh:
            return 0
        version = self._catalog.current.version
        self._in_flight.update(fresh)  # before the log answers: the folder may be faster than we are
        try:
            await self._log.append(
                [
                    Record(VISITOR_LOG, timer.key, encode_entry(_time_out(timer, now_ms, version)))
                    for timer in fresh
                ],
                self._identity,
            )
        except BaseException:
            self._in_flight.difference_update(fresh)
            raise
        self._metrics.timeouts.inc(len(fresh))
        return len(fresh)

    def _to_look_at(self, now_ms: int) -> list[int]:
        owned = frozenset(self._owned())
        if owned != self._served:
            self._served = owned
            self._in_flight = {t for t in self._in_flight if bucket_of(t.key) % self._n_partitions in owned}
            self._buckets = buckets_of(owned, self._n_partitions)
            self._earliest_ms = dict.fromkeys(self._buckets, now_ms)
        in_turn = self._buckets[self._next_round :: ROUNDS]
        self._next_round = (self._next_round + 1) % ROUNDS
        known = self._earliest_ms
        return sorted({*in_turn, *(bucket for bucket in self._buckets if known.get(bucket, now_ms + 1) <= now_ms)})

    def _note(self, bucket: int, at_ms: int) -> None:
        self._earliest_ms[bucket] = min(at_ms, self._earliest_ms.get(bucket, at_ms))

    async def run(self, poll_ms: int) -> None:
        """Look every ``poll_ms`` until cancelled; at once again while there is more than one batch."""
        while True:
            try:
                n_appended = await self.tick()
            except Exception as error:
                if not is_transient(error):
                    raise
                self._metrics.retries.labels("clock").inc()
                n_appended = 0
            await pause(0 if n_appended >= BATCH else poll_ms / 1000)


def _time_out(timer: Timer, now_ms: int, catalog_version: int) -> Entry:
    return Entry(
        received_at_ms=now_ms,
        occurred_at_ms=now_ms,
        catalog_version=catalog_version,
        event=TimedOut(due_ms=timer.due_ms),
    )
