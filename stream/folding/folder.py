"""The folder: takes batches of the visitor log and folds them into the visitors' states, exactly once in effect.

One batch: decode → read all its visitors → fold each entry in order under the catalog stamped on it → append
what the folds emit, and wait until it is there → write all visitors that nobody else wrote meanwhile, in one step
with their timers → fold the others again. Only then is the batch acknowledged. Dying anywhere in between costs
nothing: the entries come again; those written are at or below their visitor's fence, the others
emit the same things under the same ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol

from eventlog.dead_letters import DeadLetter, dead_letter_record
from eventlog.port import DeletesEntries, EventLog, LogIdentity, Record
from eventlog.topics import VISITOR_LOG
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.rule_errors import RuleErrorTotals
from personalization.errors import InvalidInput, MissingCatalog, Refused
from personalization.events.entry import decode_entry
from personalization.events.event import DecisionMade, Merged, TimedOut
from personalization.events.outcome import Outcome
from personalization.folding.fold import ERASED
from personalization.folding.folded import Status
from state.timers import Timer, TimerStore
from state.visitor_store import ABSENT, FENCE, Stored, VisitorStore
from stream.failpoints import Failpoint, Failpoints, Safeguard
from stream.folding.batch_fold import Folding, Message, Pending, Work
from stream.folding.emitter import Emitter
from stream.folding.sampling import Share
from stream.folding.traces import batch_trace, trace_closing
from stream.folding.urgency import PATIENT
from stream.isolation import CODE as GIVEN_UP
from stream.log_lines import SparseLine
from stream.metrics import FolderMetrics
from stream.patience import Patience
from stream.wall_clock import wall_clock_ms
from tracing.tracer import Tracer

logger = logging.getLogger(__name__)


PATIENCE = 8
"""Races a visitor may lose in a row before there is a pause: two live writers of one partition last a session."""


class Catalogs(Protocol):
    """Catalog versions by number."""

    async def get(self, version: int) -> CompiledCatalog:
        """That very version; one that is not there yet is waited for."""
        ...


async def _nothing(key: str, at_ms: int) -> None:
    """Whoever has nothing to tidy up does nothing."""


class Folder:
    """Folds batches.

    Parameters
    ----------
    epoch
        The log's, part of every position.
    on_time_out
        Told of every time-out folded (``Clock.settled``).
    on_timers
        Told of every visitor who has new timers, and when they are due (``Clock.expect``).
    share
        Which outcomes are kept for the learner; all, unless somebody says otherwise.
    only_in
        The log that is folded: what it gives belongs into no other (``EventLog.append``).
    on_late_decision
        Told of visitors who were erased before one of their decisions came, and when that was made.
    tracer
        Records the traces that entries carry; None: nobody does.
    """

    def __init__(
        self,
        visitors: VisitorStore,
        timers: TimerStore,
        log: EventLog,
        catalogs: Catalogs,
        epoch: int,
        metrics: FolderMetrics,
        failpoints: Failpoints | None = None,
        on_time_out: Callable[[Timer], None] = lambda timer: None,
        share: Share | None = None,
        only_in: LogIdentity | None = None,
        on_late_decision: Callable[[str, int], Awaitable[object]] = _nothing,
        tracer: Tracer | None = None,
        on_timers: Callable[[str, Iterable[int]], None] = lambda key, due_ms: None,
    ) -> None:
        self._tracer = tracer
        self._on_timers = on_timers
        self._on_late_decision = on_late_decision
        self._visitors = visitors
        self._timers = timers
        self._log = log
        self._catalogs = catalogs
        self._metrics = metrics
        self._patiently = Patience(metrics.retries, metrics.waiting)
        self._emitter = Emitter(log, metrics, self._patiently, share or Share(), only_in)
        self._failpoints = failpoints or Failpoints()
        self._folding = Folding(epoch, Safeguard.FENCE not in self._failpoints.unsafe)
        self._emit_first = Safeguard.EMIT_BEFORE_WRITE not in self._failpoints.unsafe
        self._on_time_out = on_time_out
        self._rule_errors = RuleErrorTotals(lambda rule, n: metrics.rule_errors.labels(rule).inc(n))
        self._late_line = SparseLine(logger, "late_reward")
        self._rule_line = SparseLine(logger, "rule_failed")
        self.reached: dict[int, int] = {}
        """Per partition, the offset up to which everything is folded and written."""
        self._log_ends: dict[int, int] = {}

    async def process(self, messages: Sequence[Message]) -> None:
        """Fold one batch to its end, however long a part of the house is away.

        Raises
        ------
        Refused
            If a visitor's fence lies beyond the end of the log: this is another log than the states'.
        EpochClosed
            If the next epoch was opened meanwhile.
        """
        started_s = time.perf_counter()
        dead: list[tuple[Message, str, str]] = []
        pending = self._decode(messages, dead)
        trace = batch_trace(self._tracer, pending)
        catalogs = await self._catalogs_of(pending)
        n_visitors = len(pending)
        facts = self._facts(pending) if self._failpoints.armed else {}
        given_up: list[Timer] = []
        late: list[Pending] = []
        attempt = 0
        while pending or dead:
            stored = await self._patiently("load", self._visitors.load, list(pending))
            trace.mark("read")
            self._failpoints.hit(Failpoint.LOADED, **facts)
            if self._failpoints.armed and any(
                isinstance(each.entry.event, Merged) for entries in pending.values() for each in entries
            ):
                self._failpoints.hit(Failpoint.HALF_MERGED, **facts)
            work = await self._fold_with_what_it_needs(pending, stored, catalogs)
            work.dead += dead
            dead = []
            if self._emit_first:
                await self._emit(work)
                self._failpoints.hit(Failpoint.EMITTED, **facts)
            trace.mark("fold and append")
            lost = set(await self._patiently("save", self._visitors.save, work.changes))
            trace.mark("write")
            self._failpoints.hit(Failpoint.WRITTEN, **facts)
            if not self._emit_first:
                await self._emit(work)
            self._settle(work, lost)
            late += _of_the_erased(work, lost)
            given_up += _timers_of(message for message, _, _ in work.dead)
            await self._check_fences(work, stored)
            pending = {key: entries for key, entries in pending.items() if key in lost}
            if lost:
                attempt += 1
                self._metrics.lost_races.inc(len(lost))
                if attempt > PATIENCE:
                    await asyncio.sleep(min(1.0, 0.01 * attempt))
        await self._patiently("timers", self._timers.remove, given_up)
        await self._delete(late)
        await self._tidy_up(late)
        self._failpoints.hit(Failpoint.TIDIED_UP, **facts)
        for message in messages:
            self.reached[message.partition] = message.offset
        trace.end(len(messages))
        self._metrics.batch_entries.observe(len(messages))
        self._metrics.batch_visitors.observe(n_visitors)
        self._metrics.batch_seconds.observe(time.perf_counter() - started_s)

    def look_at_rules(self, catalog: CompiledCatalog) -> None:
        """Count the rules of this version that failed since the last look."""
        for rule, errors in self._rule_errors.look(catalog).items():
            self._rule_line.write(rule=rule, reason=errors.last_error)

    async def given_up(self, message: Message) -> None:
        """An entry has become a dead letter because it ended the folder: a time-out must not be appended anew."""
        self._metrics.entries.labels("dead_letter", GIVEN_UP).inc()
        await self._patiently("timers", self._timers.remove, _timers_of([message]))

    def _decode(
        self, messages: Sequence[Message], dead: list[tuple[Message, str, str]]
    ) -> dict[str, list[Pending]]:
        pending: dict[str, list[Pending]] = {}
        for message in messages:
            try:
                key = (message.key or b"").decode()
                if not key:
                    raise InvalidInput("key", "an entry of the visitor log has its visitor's key", "no_key")
                entry = decode_entry(message.value or b"")
            except InvalidInput as error:
                dead.append((message, error.code, str(error)))
            except UnicodeDecodeError as error:
                dead.append((message, "bad_key", f"the key is not UTF-8: {error}"))
            else:
                pending.setdefault(key, []).append(Pending(message, entry))
        return pending

    async def _catalogs_of(self, pending: dict[str, list[Pending]]) -> dict[int, CompiledCatalog]:
        versions = {each.entry.catalog_version for entries in pending.values() for each in entries}
        return {version: await self._patiently("catalog", self._catalogs.get, version) for version in versions}

    async def _fold_with_what_it_needs(
        self, pending: dict[str, list[Pending]], stored: dict[str, Stored], catalogs: dict[int, CompiledCatalog]
    ) -> Work:
        """Fold, under other versions of the catalog too where open decisions were made under them."""
        while True:
            try:
                return self._folding.fold(pending, stored, catalogs)
            except MissingCatalog as missing:
                catalogs[missing.version] = await self._patiently("catalog", self._catalogs.get, missing.version)

    async def _emit(self, work: Work) -> None:
        await self._emitter.emit(work.emissions, [self._dead_record(*each) for each in work.dead])
        for _, code, _ in work.dead:
            self._metrics.entries.labels("dead_letter", code).inc()

    def _settle(self, work: Work, lost: set[str]) -> None:
        """Count what was written."""
        now_ms = wall_clock_ms()
        for change in work.changes:
            if change.due_ms and change.key not in lost:
                self._on_timers(change.key, change.due_ms)
        for key, folded in work.folded.items():
            if key in lost:
                continue
            for each, done in folded:
                self._metrics.entries.labels(done.status.value, done.reason).inc()
                event = each.entry.event
                if isinstance(event, TimedOut):
                    self._on_time_out(Timer(event.due_ms, key))
                if done.status is Status.APPLIED and not isinstance(event, PATIENT):
                    self._metrics.freshness.observe(max(0, now_ms - each.entry.received_at_ms) / 1000)
                for kind, placement, arm in done.notes:
                    self._metrics.notes.labels(kind, placement, arm).inc()
                for emission in done.emissions:
                    if isinstance(emission, Outcome):
                        self._metrics.closed(emission)
                        if emission.trace and self._tracer is not None:
                            trace_closing(self._tracer, emission, now_ms)
                for late in done.late:
                    self._late_line.write(**late._asdict())

    async def _check_fences(self, work: Work, stored: dict[str, Stored]) -> None:
        """An entry at or below its visitor's fence came before: unless the fence lies beyond the log's end."""
        for key, folded in work.folded.items():
            if not folded or folded[-1][1].status is not Status.REDELIVERED or stored[key].fence == ABSENT:
                continue  # without a fence it came before in this very batch
            partition = folded[-1][0].message.partition
            _, fence = FENCE.unpack(stored[key].fence)
            if fence < self._log_ends.get(partition, 0):
                continue
            ends = await self._patiently("log", self._log.end_offsets, VISITOR_LOG)
            self._log_ends.update(enumerate(ends))
            if fence >= ends[partition]:
                raise Refused(
                    f"Visitor states were folded up to offset {fence} of partition {partition}, but this log ends "
                    f"at {ends[partition]}: entries were lost, or it is another log. If this is meant, stop every "
                    "producer and run `nextbest epoch open`: states stay, offsets start anew."
                )

    async def _tidy_up(self, late: Iterable[Pending]) -> None:
        """Have the full records of decisions tidied up, too, that came after their visitor was erased."""
        before_ms: dict[str, int] = {}
        for message, entry in late:
            if isinstance(entry.event, DecisionMade) and message.key is not None:
                key = message.key.decode()
                before_ms[key] = max(before_ms.get(key, 0), entry.received_at_ms)
        for key, at_ms in before_ms.items():
            await self._patiently("late", self._on_late_decision, key, at_ms)

    async def _delete(self, late: Iterable[Pending]) -> None:
        """Take entries of who was erased, and that came after all, out of the log again."""
        by_partition: dict[int, list[int]] = {}
        for message, _ in late:
            by_partition.setdefault(message.partition, []).append(message.offset)
        if isinstance(self._log, DeletesEntries):
            for partition, offsets in by_partition.items():
                await self._patiently("log", self._log.delete, VISITOR_LOG, partition, offsets)

    def _dead_record(self, message: Message, code: str, reason: str) -> Record:
        return dead_letter_record(
            DeadLetter(
                VISITOR_LOG,
                message.partition,
                message.offset,
                message.key or b"",
                message.value or b"",
                code,
                reason,
                wall_clock_ms(),
            )
        )

    @staticmethod
    def _facts(pending: dict[str, list[Pending]]) -> dict[str, int]:
        sizes = [len(entries) for entries in pending.values()]
        return {"entries": sum(sizes), "visitors": len(sizes), "most_of_one": max(sizes, default=0)}


def _of_the_erased(work: Work, lost: set[str]) -> Iterator[Pending]:
    for key, folded in work.folded.items():
        if key not in lost:
            yield from (each for each, done in folded if done.reason == ERASED)


def _timers_of(messages: Iterable[Message]) -> list[Timer]:
    """The timers of time-outs that are given up: left, they would be appended again for ever."""
    timers = []
    for message in messages:
        with contextlib.suppress(InvalidInput, UnicodeDecodeError):
            event = decode_entry(message.value or b"").event
            if isinstance(event, TimedOut):
                timers.append(Timer(event.due_ms, (message.key or b"").decode()))
    return timers
