"""Carries out erasures: a person's states, timers and entries of the log go, and a report says what was removed.

An erasure is an entry in the log of every key of the person (``Erased``): so the fold says what came before it,
and what after. First all is folded that the log holds, and every key is known; then the entries are appended and
folded; then models forget the person; then what the log holds of them is deleted, where it can be. Interrupted
anywhere it begins anew, and finds less to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from background.cancelling import pause
from eventlog.about import Person, is_about
from eventlog.port import DeletesEntries, EventLog, LogIdentity, Record
from eventlog.topics import OUTCOMES, VISITOR_LOG
from personalization.bounded import short_hash
from personalization.catalog.duration import DAY_MS
from personalization.events.entry import Entry, encode_entry
from personalization.events.event import Erased
from state.erasure_store import Erasure, ErasureStore, Remaining
from state.keys import Keys
from state.people import People
from state.timers import TimerStore
from state.transient import is_transient
from state.visitor_store import GONE_MS, Stored, UnreadableState
from stream.clock import CurrentCatalog, wall_clock_ms
from stream.forgetting import Forgetting
from stream.metrics import FolderMetrics

logger = logging.getLogger(__name__)

POLL_S = 0.2

SLICE = 500
"""Entries looked at before others may run."""


@dataclass(slots=True)
class _Work:
    """One person whose erasure is under way."""

    erasure: Erasure
    keys: list[str] = field(default_factory=list)
    units: set[bytes] = field(default_factory=set)
    removed: dict[str, int] = field(default_factory=dict)
    is_purged: bool = True

    def person(self) -> Person:
        return Person(frozenset(self.keys), frozenset(self.units))


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
        for work in works:
            await self._find(work)
        await self._append([key for work in works for key in work.keys])
        await self._until_folded()
        for work in works:
            work.removed["timers"] = await self._timers.remove_all(work.keys)
            await cast("Any", self._redis.delete(*map(self._keys.aliases, work.keys)))
        units = {unit for work in works for unit in work.units}
        are_learned = not units or await self._models.forget(units, self._now_ms())
        if isinstance(self._log, DeletesEntries):
            await self._delete_entries(self._log, works, waits=are_learned)
        self._rewrites = True
        for work in works:
            await self._erasures.finish(await self._report(work, are_learned=are_learned))
        logger.info("erased n=%d", len(works))
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
        logger.info("aliases_noted n=%d", n_noted)

    async def _find(self, work: _Work) -> None:
        found: dict[str, Stored] = {}
        for key in work.erasure.keys:
            found |= await self._people.states_of(key)
        work.keys = list(found)
        for key, stored in found.items():
            work.units.add(short_hash(key))
            try:
                work.units.add(stored.visitor().state.unit)
            except UnreadableState:
                continue  # it goes all the same
        work.units.discard(b"")
        work.removed["visitors"] = sum(bool(stored.visitor_value) for stored in found.values())

    async def _append(self, keys: Iterable[str]) -> None:
        now_ms = self._now_ms()
        entry = Entry(
            received_at_ms=now_ms,
            occurred_at_ms=now_ms,
            catalog_version=self._catalog.current.version,
            event=Erased(),
        )
        value = encode_entry(entry)
        await self._log.append([Record(VISITOR_LOG, key, value) for key in keys], self._identity)

    async def _until_folded(self) -> None:
        """Wait until all is folded, and committed, that the log holds by now; however long that takes."""
        ends = await self._log.end_offsets(VISITOR_LOG)
        while True:
            committed = await self._log.committed_offsets("folder", VISITOR_LOG)
            if all((offset or 0) >= end for offset, end in zip(committed, ends, strict=True)):
                return
            await pause(POLL_S)

    async def _delete_entries(self, log: DeletesEntries, works: Sequence[_Work], *, waits: bool) -> None:
        """Delete what the log holds of them; ``waits``: give the learner time to be past it first."""
        people = [(work, work.person()) for work in works]
        for topic in self._log.topics:
            for partition, end in enumerate(await self._log.end_offsets(topic)):
                found: dict[int, list[int]] = {}
                n = 0
                async for each in self._log.read(topic, partition, 0, end):
                    for index, (_, person) in enumerate(people):
                        if is_about(person, topic, each.key, each.value):
                            found.setdefault(index, []).append(each.offset)
                    n += 1
                    if n % SLICE == 0:
                        await pause(0)
                if topic == OUTCOMES and found and waits:
                    last = max(max(offsets) for offsets in found.values())
                    await self._models.until_learned({partition: last})
                for index, offsets in found.items():
                    removed = people[index][0].removed
                    n_deleted = 0
                    for first in range(0, len(offsets), SLICE):
                        n_deleted += await log.delete(topic, partition, offsets[first : first + SLICE])
                    removed[topic] = removed.get(topic, 0) + n_deleted
                if found and not await log.purge(topic, partition):
                    for index in found:
                        people[index][0].is_purged = False

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
        if not isinstance(self._log, DeletesEntries):
            until_ms = now_ms + self._log_age_ms
            remains.append(Remaining("entries of the log on Kafka, which deletes none by itself", until_ms))
        return structs.replace(
            work.erasure,
            keys=(),
            done_ms=now_ms,
            n_ids=len(work.keys),
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
