"""Carries out erasures: a person's states, timers and entries of the log go, and a report says what was removed.

An erasure is an entry in the log of every key of the person (``Erased``): so the fold says what came before it,
and what after. First all is folded that the log holds, and every key is known; then the entries are appended and
folded; then models forget the person; then what the log holds of them is deleted, where it can be. Interrupted
anywhere it begins anew, and finds less to do.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.cancelling import pause
from eventlog.about import Owned, Person, is_decision_of, is_letter_of, unit_of
from eventlog.port import DeletesEntries, EventLog, LogEntry, LogIdentity, Record
from eventlog.topics import DECISIONS, OUTCOMES, VISITOR_LOG
from personalization.catalog.duration import DAY_MS
from personalization.errors import InvalidInput
from personalization.events.decision_record import decode_record
from personalization.events.entry import Entry, decode_entry, encode_entry
from personalization.events.event import Erased, TimedOut
from state.erasure_store import Erasure, ErasureStore, Remaining
from state.keys import Keys
from state.people import People, home_of, units_of
from state.timers import TimerStore
from state.transient import is_transient
from state.visitor_store import GONE_MS, Stored, unpack_visitor
from stream.current_catalog import CurrentCatalog
from stream.folding.forgetting import Forgetting
from stream.metrics import FolderMetrics
from stream.wall_clock import wall_clock_ms

logger = logging.getLogger(__name__)

POLL_S = 0.2

SLICE = 500
"""Entries looked at before others may run."""


@dataclass(slots=True)
class _Work:
    """One person whose erasure is under way.

    Attributes
    ----------
    fences
        Where their keys' entries stand that say that they are erased: nothing behind is theirs who asked.
    timers_gone_ms
        When the last of their timers was taken away; 0: not by this process.
    """

    erasure: Erasure
    states: dict[str, Stored] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    erased_ms: int = 0
    timers_gone_ms: int = 0
    owned: Owned = field(init=False)
    person: Person = field(init=False)
    units: frozenset[bytes] = frozenset()
    offsets: dict[int, list[int]] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    is_purged: bool = True

    @property
    def is_late(self) -> bool:
        """Whether only what came late is to be tidied up."""
        return self.erasure.before_ms > 0

    def found(self, states: Mapping[str, Stored]) -> None:
        """These keys are theirs too."""
        self.states |= states
        self.person = Person(frozenset(self.states), home_of(self.states))
        self.owned = Owned(self.person)

    def take(self, partition: int, entries: Iterable[LogEntry]) -> None:
        """These entries of the visitor log are theirs, as far as they came before."""
        self.offsets.setdefault(partition, []).extend(each.offset for each in entries if self.is_before(each))

    def has(self, topic: str, found: LogEntry) -> bool:
        """Whether an entry of another topic is theirs, and of before."""
        key, value = found.key, found.value
        if topic == DECISIONS:
            is_theirs = is_decision_of(self.person, self.owned, key, value, unclaimed=True)
            return is_theirs and _decided_ms(value) <= self.erased_ms
        if topic == OUTCOMES:
            return unit_of(key, value) in self.units
        return is_letter_of(self.person, value)

    def is_before(self, found: LogEntry) -> bool:
        """Whether an entry of the visitor log came before the erasure, in the log or at the collector."""
        if found.offset <= self.fences.get(found.key, -1):
            return True
        try:
            entry = decode_entry(found.value)
        except InvalidInput:
            return False
        if isinstance(entry.event, TimedOut):
            # Of a timer that was theirs: it may have been on its way while it was taken away.
            return entry.event.due_ms <= max(self.timers_gone_ms, self.erased_ms)
        return entry.received_at_ms <= self.erased_ms


class Eraser:
    """Erases whoever asked for it; runs beside the folder that owns the first partition.

    Parameters
    ----------
    owned
        The partitions owned now.
    log_age_ms
        How long a log that deletes no single entry keeps what it holds.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        people: People,
        timers: TimerStore,
        log: EventLog,
        catalog: CurrentCatalog,
        owned: Callable[[], Collection[int]],
        identity: LogIdentity,
        metrics: FolderMetrics,
        log_age_ms: int,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._people = people
        self._timers = timers
        self._log = log
        self._catalog = catalog
        self._owned = owned
        self._identity = identity
        self._metrics = metrics
        self._log_age_ms = log_age_ms
        self._now_ms = now_ms
        self._erasures = ErasureStore(redis, keys)
        self._models = Forgetting(redis, keys, log, catalog, identity)
        self._rewrites = False
        self._noted = False

    async def run(self) -> None:
        """Carry out what is asked for, until cancelled."""
        while True:
            try:
                if 0 in self._owned():
                    await self._note_aliases()
                    await self.erase_all()
                    await self._rewrite_files()
            except Exception as error:
                if not is_transient(error):
                    raise
                self._metrics.retries.labels("eraser").inc()
            await pause(POLL_S)

    async def erase_all(self) -> int:
        """Carry out all that is asked for by now; how many erasures that was."""
        works = [_Work(erasure) for erasure in await self._erasures.pending()]
        if not works:
            return 0
        await self._until_folded()
        late = [work for work in works if work.is_late]
        works = [work for work in works if not work.is_late]
        for work in works:
            await self._find(work)
        await self._erase([work for work in works if not work.erasure.erased_ms])
        for work in works:
            work.erased_ms = work.erased_ms or work.erasure.erased_ms
            work.erasure = structs.replace(work.erasure, erased_ms=work.erased_ms)
            await self._erasures.note(work.erasure)
            await self._find_more(work)
            await self._forget_notes(work)
        if isinstance(self._log, DeletesEntries):
            await self._select(works)
        for work in works:
            noted = map(bytes.fromhex, work.erasure.units)
            work.units = units_of(work.states, work.owned.shared) | frozenset(noted)
        units = frozenset(unit for work in works for unit in work.units)
        are_learned = not units or await self._models.forget(units, self._now_ms())
        if isinstance(self._log, DeletesEntries):
            await self._delete_entries(self._log, works, waits=are_learned)
            await self._tidy_up(self._log, late)
        self._rewrites = True
        for work in works:
            await self._erasures.finish(await self._report(work, are_learned=are_learned))
        for work in late:
            await self._erasures.finish(structs.replace(work.erasure, keys=(), done_ms=self._now_ms()))
        logger.info("erased", extra={"n": len(works)})
        return len(works)

    async def _note_aliases(self) -> None:
        """Note who was merged into whom before that was noted with every merge; once."""
        if self._noted or await self._redis.exists(self._keys.aliases_noted):
            self._noted = True
            return
        n_noted = 0
        async for name in self._redis.scan_iter(match=f"{self._keys.namespace}:visitor:*", count=SLICE):
            key = self._keys.visitor_key_of(name.decode("utf-8", "surrogatepass"))
            if key is None:
                continue
            redirect = await self._people.redirect_of(key)
            if redirect is not None:
                await cast("Any", self._redis.sadd(self._keys.aliases(redirect), key))
                n_noted += 1
        await self._redis.set(self._keys.aliases_noted, 1)
        logger.info("aliases_noted", extra={"n": n_noted})

    async def _find(self, work: _Work) -> None:
        found: dict[str, Stored] = {}
        for key in work.erasure.keys:
            if key not in found:
                found |= await self._people.states_of(key)
        work.found(found)
        n_visitors = sum(bool(stored.visitor_value) for stored in found.values())
        before = work.erasure
        units = {*before.units, *(unit.hex() for unit in units_of(found, found))}
        n_visitors = work.removed["visitors"] = max(n_visitors, before.removed.get("visitors", 0))
        work.erasure = structs.replace(
            before, keys=tuple(found), units=tuple(sorted(units)), removed={"visitors": n_visitors}
        )
        await self._erasures.note(work.erasure)

    async def _find_more(self, work: _Work) -> None:
        """Erase what a log-in brought that was on its way when it was asked for."""
        leading = await self._people.leading_to(work.states)
        more = {
            each: stored
            for each, stored in leading.items()
            if each not in work.states and unpack_visitor(stored.visitor_value).now_ms <= work.erased_ms
        }
        if more:
            work.found(more)
            work.removed["visitors"] += len(more)
            await self._erase([work], list(more))

    async def _forget_notes(self, work: _Work) -> None:
        """Take away notes of who led to whom, but for those who have logged in since."""
        leading = await self._people.leading_to(work.states)
        led_to = {unpack_visitor(stored.visitor_value).redirect for stored in leading.values()}
        names = [self._keys.aliases(key) for key in work.states if key not in led_to]
        if names:
            await cast("Any", self._redis.delete(*names))

    async def _erase(self, works: Sequence[_Work], keys: Sequence[str] | None = None) -> None:
        """Append that they are erased, wait until that is folded, and take away their timers."""
        if not works:
            return
        now_ms = self._now_ms()
        entry = Entry(
            received_at_ms=now_ms,
            occurred_at_ms=now_ms,
            catalog_version=self._catalog.current.version,
            event=Erased(),
        )
        value = encode_entry(entry)
        of_work = [(work, key) for work in works for key in (work.states if keys is None else keys)]
        records = [Record(VISITOR_LOG, key, value) for _, key in of_work]
        places = await self._log.append(records, self._identity)
        for (work, key), place in zip(of_work, places, strict=True):
            work.fences[key] = place.offset
            work.erased_ms = work.erased_ms or now_ms
        await self._until_folded()
        for work, key in of_work:
            work.removed["timers"] = work.removed.get("timers", 0) + await self._timers.remove_all([key])
            work.timers_gone_ms = self._now_ms()

    async def _until_folded(self) -> None:
        """Wait until all is folded, and committed, that the log holds by now; however long that takes."""
        ends = await self._log.end_offsets(VISITOR_LOG)
        while True:
            committed = await self._log.committed_offsets("folder", VISITOR_LOG)
            if all((offset or 0) >= end for offset, end in zip(committed, ends, strict=True)):
                return
            await pause(POLL_S)

    async def _select(self, works: Sequence[_Work]) -> None:
        """See which entries of the visitor log are theirs, and what models know them by."""
        if not works:
            return
        for partition, end in enumerate(await self._log.end_offsets(VISITOR_LOG)):
            async for each in self._read(VISITOR_LOG, partition, end):
                for work in works:
                    work.take(partition, work.owned.take(each))
            for work in works:
                work.take(partition, work.owned.rest(unclaimed=True))

    async def _delete_entries(self, log: DeletesEntries, works: Sequence[_Work], *, waits: bool) -> None:
        """Delete what the log holds of them; ``waits``: give the learner time to be past it first."""
        for topic in self._log.topics if works else ():
            for partition, end in enumerate(await self._log.end_offsets(topic)):
                found: dict[int, list[int]] = {}
                if topic == VISITOR_LOG:
                    found = {index: work.offsets[partition] for index, work in enumerate(works)
                             if work.offsets.get(partition)}  # fmt: skip
                else:
                    async for each in self._read(topic, partition, end):
                        for index, work in enumerate(works):
                            if work.has(topic, each):
                                found.setdefault(index, []).append(each.offset)
                if topic == OUTCOMES and found and waits:
                    await self._models.until_learned({partition: max(map(max, found.values()))})
                for index, offsets in found.items():
                    removed = works[index].removed
                    removed[topic] = removed.get(topic, 0) + await _deleted(log, topic, partition, offsets)
                if found and not await log.purge(topic, partition):
                    for index in found:
                        works[index].is_purged = False

    async def _tidy_up(self, log: DeletesEntries, late: Sequence[_Work]) -> None:
        """Delete records of decisions that came out of a spool after their visitor was erased."""
        before_ms = {key: work.erasure.before_ms for work in late for key in work.erasure.keys}
        if not before_ms:
            return
        for partition, end in enumerate(await self._log.end_offsets(DECISIONS)):
            offsets = [
                each.offset
                async for each in self._read(DECISIONS, partition, end)
                if each.key in before_ms and _decided_ms(each.value) <= before_ms[each.key]
            ]
            if offsets:
                await _deleted(log, DECISIONS, partition, offsets)
                await log.purge(DECISIONS, partition)

    async def _read(self, topic: str, partition: int, end: int) -> AsyncIterator[LogEntry]:
        n = 0
        async for each in self._log.read(topic, partition, 0, end):
            yield each
            n += 1
            if n % SLICE == 0:
                await pause(0)

    async def _report(self, work: _Work, *, are_learned: bool) -> Erasure:
        now_ms = self._now_ms()
        remains = [
            Remaining(
                "a keyed hash of each id, by which nothing that was received before brings them back",
                now_ms + max(GONE_MS, self._log_age_ms + DAY_MS),
            ),
            *await self._models.remains(are_learned=are_learned, now_ms=now_ms, log_age_ms=self._log_age_ms),
        ]
        if not work.is_purged:
            until_ms = now_ms + self._log_age_ms
            remains.append(Remaining("bytes of erased entries, as Redis had no room for a copy without", until_ms))
        if self._identity.epoch > 1:
            until_ms = now_ms + self._log_age_ms
            remains.append(Remaining("entries of earlier epochs of the log, which go by age", until_ms))
        if not isinstance(self._log, DeletesEntries):
            until_ms = now_ms + self._log_age_ms
            remains.append(Remaining("entries of the log on Kafka, which deletes none by itself", until_ms))
        return structs.replace(
            work.erasure,
            keys=(),
            units=(),
            done_ms=now_ms,
            n_ids=len(work.states),
            removed=work.removed,
            remains=tuple(remains),
        )

    async def _rewrite_files(self) -> None:
        """Have Redis write its append-only file anew, in which the past stands until then."""
        if not self._rewrites:
            return
        try:
            persistence: dict[str, Any] = await cast("Any", self._redis.info("persistence"))
            if persistence.get("aof_enabled"):
                if persistence.get("aof_rewrite_in_progress") or persistence.get("rdb_bgsave_in_progress"):
                    return
                await cast("Any", self._redis.bgrewriteaof())
        except RedisError as error:
            if is_transient(error):
                raise
            logger.warning("redis_files_not_rewritten", extra={"reason": str(error)})
        self._rewrites = False


async def _deleted(log: DeletesEntries, topic: str, partition: int, offsets: Sequence[int]) -> int:
    n_deleted = 0
    for first in range(0, len(offsets), SLICE):
        n_deleted += await log.delete(topic, partition, offsets[first : first + SLICE])
    return n_deleted


def _decided_ms(value: bytes) -> int:
    """When a record of ``decisions`` was decided; one that nobody can read was before everything."""
    try:
        return decode_record(value).decided_at_ms
    except InvalidInput:
        return 0
