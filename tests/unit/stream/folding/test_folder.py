"""The folder's promises, over parts in memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

import pytest
from msgspec import structs

from eventlog.dead_letters import decode_dead_letter
from eventlog.port import EventLog, LogIdentity, Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES, VISITOR_LOG
from personalization.catalog.catalog import RewardRule
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.errors import InvalidInput, Refused, Unavailable
from personalization.events.entry import Entry, Position, Sender, decode_entry, encode_entry
from personalization.events.event import DecisionMade, Event, Link, Merged, Rewarded, TimedOut, Track
from personalization.events.outcome import decode_outcome
from personalization.folding.fold import fold as real_fold
from personalization.folding.folded import Folded
from personalization.visitor.choice import Choice
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from state.timers import Look, Timer
from state.visitor_store import Stored, pack_visitor, unpack_visitor
from stream.folding import batch_fold as module
from stream.folding.batch_fold import Message
from stream.folding.clock import ROUNDS, Clock
from stream.folding.folder import Folder
from stream.folding.sampling import OutcomeSampling, Share
from stream.metrics import FolderMetrics
from tests.integration.workload import WINDOW_MS, catalog
from tests.of_type import of_type
from tests.unit.stream.fakes import FixedCatalog, MemoryLog, MemoryTimers, MemoryVisitors

NOW_MS = 1_700_000_000_000
LOG = LogIdentity(1, "log", 4)
CATALOG = FixedCatalog(compile_catalog(catalog(), 1))


class Bench:
    def __init__(self) -> None:
        self.timers, self.log = MemoryTimers(), MemoryLog()
        self.visitors = MemoryVisitors(self.timers)
        self.metrics = FolderMetrics()
        self.settled: list[Timer] = []
        self.share = Share()
        self.folder = Folder(
            self.visitors,
            self.timers,
            cast(EventLog, self.log),
            CATALOG,
            1,
            self.metrics,
            on_time_out=self.settled.append,
            share=self.share,
        )
        self.offset = -1

    def message(self, key: str, event: Event, at_ms: int = NOW_MS) -> Message:
        self.offset += 1
        entry = Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=1, event=event)
        # The log as the folder may ask for its end.
        self.log.of(VISITOR_LOG)[0].append(Record(VISITOR_LOG, key, encode_entry(entry)))
        return Message(0, self.offset, key.encode(), encode_entry(entry))

    def state(self, key: str) -> VisitorState:
        return unpack_visitor(self.visitors.stored[key].visitor_value)

    def counted(self, outcome: str, reason: str = "") -> float:
        return float(self.metrics.entries.labels(outcome, reason)._value.get())


def track(n: int) -> Track:
    return Track(message_id=f"m{n}", anonymous_id="1", event="Product Viewed")


def decision(n: int) -> DecisionMade:
    return DecisionMade(choice=Choice(f"d{n}", "hero", 0, "red", 2**31, catalog_version=1), message_id=f"d{n}")


async def test_fold_once_however_often_an_entry_is_delivered() -> None:
    bench = Bench()
    batch = [bench.message("a:1", track(n)) for n in range(100)]  # more than the message ids remembered
    await bench.folder.process(batch)
    before = dict(bench.visitors.stored)
    await bench.folder.process(batch)
    await bench.folder.process(batch[:50])
    assert bench.visitors.stored == before
    assert bench.state("a:1").event_count == 100
    assert (bench.counted("applied"), bench.counted("redelivered")) == (100, 150)


async def test_adding_up() -> None:
    bench = Bench()
    batch = [
        bench.message("a:1", track(1)),
        bench.message("a:1", track(1)),
        bench.message("u:1", Link(canonical="u:2")),
        Message(0, bench.offset + 1, b"a:1", b"\xc1"),
        Message(0, bench.offset + 2, None, b"\xc1"),
    ]
    await bench.folder.process(batch)
    assert bench.counted("applied") == 1
    assert bench.counted("duplicate") == 1
    assert bench.counted("dropped", "two_registered_ids") == 1
    assert bench.counted("dead_letter", "bad_entry") == 1
    assert bench.counted("dead_letter", "no_key") == 1
    letters = [decode_dead_letter(record.value) for record in bench.log.all(DEAD_LETTERS)]
    assert {(letter.code, letter.offset) for letter in letters} == {("bad_entry", 3), ("no_key", 4)}


async def test_emit_then_remember() -> None:
    bench = Bench()
    await bench.folder.process([bench.message("a:1", decision(1))])
    stored = bench.visitors.stored["a:1"]
    bench.log.failures = [Unavailable("away"), Unavailable("still away")]
    final = Rewarded(message_id="r", decision_id="d1", value=1.0, final=True)
    seen_at_save = []
    bench.visitors.before_save.append(lambda: seen_at_save.append(len(bench.log.all(OUTCOMES))))
    await bench.folder.process([bench.message("a:1", final)])
    assert seen_at_save == [1], "the outcome is in the log before the state is written"
    assert bench.visitors.stored["a:1"] != stored
    assert decode_outcome(bench.log.all(OUTCOMES)[0].value).reward == 1.0


async def test_a_lost_race_is_folded_again_from_what_the_winner_wrote() -> None:
    bench, winner = Bench(), Bench()
    batch = [bench.message("a:1", track(n)) for n in range(6)]
    await winner.folder.process(batch[:4])
    bench.visitors.before_save.append(lambda: bench.visitors.stored.update(winner.visitors.stored))
    await bench.folder.process(batch)
    assert bench.state("a:1").event_count == 6
    assert bench.metrics.lost_races._value.get() == 1


async def test_a_late_reward_is_logged_once_however_often_it_is_folded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="stream.folding.folder")
    bench, winner = Bench(), Bench()
    final = Rewarded(message_id="r0", decision_id="d1", value=0.0, final=True)
    closed = [bench.message("a:1", decision(1)), bench.message("a:1", final)]
    late = Rewarded(message_id="r1", decision_id="d1", value=1.0)
    batch = [bench.message("a:1", track(1)), bench.message("a:1", late, NOW_MS + 61_000)]
    await bench.folder.process(closed)
    await winner.folder.process([*closed, batch[0]])
    bench.visitors.before_save.append(lambda: bench.visitors.stored.update(winner.visitors.stored))
    await bench.folder.process(batch)
    assert bench.metrics.lost_races._value.get() == 1, "it was folded twice"
    await bench.folder.process(batch)
    (line,) = (record for record in caplog.records if record.message == "late_reward")
    fields = {name: vars(line)[name] for name in ("decision", "placement", "arm", "late_ms", "left_out")}
    assert fields == {"decision": "d1", "placement": "hero", "arm": "red", "late_ms": 61_000, "left_out": 0}
    assert bench.metrics.notes.labels("late", "hero", "red")._value.get() == 1
    assert [record.key for record in bench.log.all(OUTCOMES)].count("hero") == 1, "it trains nothing"


async def test_timers_come_with_the_state_and_go_with_the_time_out() -> None:
    bench = Bench()
    await bench.folder.process([bench.message("a:1", decision(1))])
    due = Timer(NOW_MS + WINDOW_MS, "a:1")
    look = Timer(NOW_MS + DAY_MS, "a:1")
    assert bench.timers.timers == {due, look}
    await bench.folder.process([bench.message("a:1", TimedOut(due_ms=due.due_ms), at_ms=due.due_ms + 7)])
    assert bench.timers.timers == {look}
    assert bench.settled == [due]
    assert len(bench.log.all(OUTCOMES)) == 1


async def test_merged_takes_over_a_decision_whose_window_has_ended_with_a_timer_of_its_own() -> None:
    bench = Bench()
    await bench.folder.process([bench.message("a:1", decision(1))])
    late_ms = NOW_MS + 10 * WINDOW_MS
    await bench.folder.process([bench.message("u:7", track(2), at_ms=late_ms)])
    await bench.folder.process([bench.message("a:1", Link(canonical="u:7"), at_ms=late_ms)])
    (merged,) = [r for r in bench.log.all(VISITOR_LOG) if isinstance(decode_entry(r.value).event, Merged)]
    await bench.folder.process([bench.message("u:7", decode_entry(merged.value).event, at_ms=late_ms)])
    assert Timer(late_ms + 1, "u:7") in bench.timers.timers


async def test_an_entry_that_cannot_be_folded_is_a_dead_letter_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    first, poison = bench.message("a:1", track(0)), bench.message("a:1", track(1))

    def fold(visitor: Visitor, key: str, position: Position, *others: Any) -> Folded:
        done = real_fold(visitor, key, position, *others)
        if position.offset == poison.offset:
            raise ZeroDivisionError("a bug")
        return done

    monkeypatch.setattr(module, "fold", fold)
    await bench.folder.process([first, poison, bench.message("a:1", track(2))])
    assert bench.state("a:1").event_count == 2
    assert bench.counted("dead_letter", "not_foldable") == 1


async def test_an_emission_the_log_can_never_take_is_a_dead_letter() -> None:
    bench = Bench()
    await bench.folder.process([bench.message("a:1", decision(1))])
    final = Rewarded(message_id="r", decision_id="d1", value=1.0, final=True)
    bench.log.failures = [InvalidInput("value", "too large")]
    await bench.folder.process([bench.message("a:1", final)])
    (letter,) = [decode_dead_letter(record.value) for record in bench.log.all(DEAD_LETTERS)]
    assert letter.code == "emission_refused"
    assert bench.state("a:1").offset == bench.offset


async def test_unreadable_states_are_dead_letters() -> None:
    bench = Bench()
    bench.visitors.stored["a:1"] = Stored(b"\xff" * 20, None)
    await bench.folder.process([bench.message("a:1", track(1)), bench.message("a:2", track(2))])
    assert bench.counted("dead_letter", "state_unreadable") == 1
    assert bench.state("a:2").event_count == 1


async def test_a_fence_beyond_the_log_is_refused() -> None:
    bench = Bench()
    bench.visitors.stored["a:1"] = Stored(pack_visitor(VisitorState(epoch=1, offset=1_000)), None)
    with pytest.raises(Refused, match="nextbest epoch open"):
        await bench.folder.process([bench.message("a:1", track(1))])


async def test_the_clock_appends_what_is_due_once_until_the_folder_has_seen_it() -> None:
    bench = Bench()
    now_ms = NOW_MS
    clock = Clock(
        bench.timers, cast(EventLog, bench.log), CATALOG, lambda: range(4), LOG, bench.metrics, lambda: now_ms
    )
    timer, later = Timer(NOW_MS, "a:1"), Timer(NOW_MS + 50, "a:2")
    await bench.timers.add([timer, later])
    assert [await clock.tick(), await clock.tick()] == [1, 0]
    (record,) = bench.log.all(VISITOR_LOG)
    entry = decode_entry(record.value)
    assert (record.key, entry.event, entry.received_at_ms) == ("a:1", TimedOut(due_ms=NOW_MS), NOW_MS)
    clock.settled(timer)  # folded, yet still due: it is needed again
    assert await clock.tick() == 1
    now_ms = NOW_MS + 50
    bench.log.failures = [Unavailable("away")]
    with pytest.raises(Unavailable):
        await clock.tick()
    assert await clock.tick() == 1, "what the log did not take is tried again"


def clock_of(bench: Bench, at_ms: list[int]) -> Clock:
    log = cast(EventLog, bench.log)
    return Clock(bench.timers, log, CATALOG, lambda: range(4), LOG, bench.metrics, lambda: at_ms[-1])


async def test_a_timer_that_the_folder_added_is_due_at_its_time() -> None:
    bench = Bench()
    at_ms = [NOW_MS]
    clock = clock_of(bench, at_ms)
    await clock.tick()
    timers = [Timer(NOW_MS + 100 + n % 2, f"a:{n}") for n in range(200)]
    await bench.timers.add(timers)
    for timer in timers:
        clock.expect(timer.key, [timer.due_ms])
    assert await clock.tick() == 0
    at_ms.append(NOW_MS + 100)
    assert await clock.tick() == 100
    at_ms.append(NOW_MS + 101)
    assert await clock.tick() == 100, "those behind others in their bucket too"


async def test_a_timer_that_somebody_else_added_is_found_in_turn() -> None:
    bench = Bench()
    clock = clock_of(bench, [NOW_MS])
    await clock.tick()
    await bench.timers.add([Timer(NOW_MS, f"a:{n}") for n in range(200)])
    found = [await clock.tick() for _ in range(ROUNDS)]
    assert sum(found) == 200
    assert max(found) < 100, "each look goes to a few buckets"


async def test_a_look_that_failed_is_made_again() -> None:
    bench = Bench()
    at_ms = [NOW_MS]
    clock = clock_of(bench, at_ms)
    await clock.tick()
    timer = Timer(NOW_MS + 1, "a:1")
    await bench.timers.add([timer])
    clock.expect(timer.key, [timer.due_ms])
    at_ms.append(NOW_MS + 1)
    look = bench.timers.look
    bench.timers.look = fails  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await clock.tick()
    bench.timers.look = look  # type: ignore[method-assign]
    assert await clock.tick() == 1


async def fails(buckets: Sequence[int], now_ms: int, limit: int) -> Look:
    raise Unavailable("away")


async def test_the_clock_serves_only_the_partitions_owned() -> None:
    bench = Bench()
    owned: list[int] = []
    clock = Clock(
        bench.timers, cast(EventLog, bench.log), CATALOG, lambda: owned, LOG, bench.metrics, lambda: NOW_MS
    )
    await bench.timers.add([Timer(NOW_MS, f"a:{n}") for n in range(40)])
    assert await clock.tick() == 0
    owned = [0, 1, 2, 3]
    assert await clock.tick() == 40


@pytest.mark.parametrize("share", [0.5, 1 / 8])
async def test_above_capacity_a_known_share_of_the_outcomes_is_emitted_with_its_weight(share: float) -> None:
    bench = Bench()
    bench.share.value = share
    made = [bench.message(f"a:{n}", decision(n)) for n in range(2_000)]
    closed = [
        bench.message(f"a:{n}", Rewarded(message_id=f"r{n}", decision_id=f"d{n}", value=1.0, final=True))
        for n in range(2_000)
    ]
    await bench.folder.process(made)
    await bench.folder.process(closed)
    outcomes = [decode_outcome(record.value) for record in bench.log.all(OUTCOMES) if record.key == "hero"]
    assert {outcome.sample_weight for outcome in outcomes} == {1 / share}
    assert sum(outcome.sample_weight for outcome in outcomes) == pytest.approx(2_000, rel=0.15)
    # What is kept at a smaller share is kept at a larger one too: a batch folded again emits nothing else.
    smaller = {outcome.choice.decision_id for outcome in outcomes}
    bench.share.value = 2 * share
    assert all(bench.share.keeps(decision_id) for decision_id in smaller)


async def test_a_log_full_of_outcomes_never_stops_the_fold() -> None:
    bench = Bench()
    await bench.folder.process([bench.message("a:1", decision(1)), bench.message("a:1", track(1))])
    bench.log.full = {OUTCOMES}
    final = Rewarded(message_id="r", decision_id="d1", value=1.0, final=True)
    await bench.folder.process([bench.message("a:1", final), bench.message("a:1", Link(canonical="u:1"))])
    assert bench.state("a:1").redirect == "u:1"
    assert [
        of_type(Merged, decode_entry(record.value).event).source
        for record in bench.log.all(VISITOR_LOG)
        if record.key == "u:1"
    ]
    assert bench.metrics.thinned._value.get() > 0
    assert bench.share.value < 1


async def test_the_share_follows_the_room_that_is_left() -> None:
    log = MemoryLog()
    metrics = FolderMetrics()
    sampling = OutcomeSampling(log, "learner", metrics)
    log.fill = 0.8
    await sampling.look()
    assert sampling.share.value < 1
    assert metrics.outcome_share._value.get() == sampling.share.value
    log.fill = 0.1
    await sampling.look()
    assert sampling.share.value == 1


async def test_a_time_out_that_is_given_up_is_not_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    timer = Timer(NOW_MS + 1, "a:1")
    bench.timers.timers = {timer}
    message = bench.message("a:1", TimedOut(due_ms=timer.due_ms))
    await bench.folder.given_up(message)
    assert bench.timers.timers == set()
    bench.timers.timers = {timer}

    def fold(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "fold", fold)
    await bench.folder.process([message])
    assert bench.counted("dead_letter", "not_foldable") == 1
    assert bench.timers.timers == set()


async def test_rules_that_fail_in_the_fold_are_counted_by_their_path() -> None:
    bench = Bench()
    worth = RewardRule(event="Product Clicked", value="properties.price + 1")
    hero = structs.replace(catalog().placements["hero"], rewards=(worth,))
    compiled = compile_catalog(structs.replace(catalog(), placements={"hero": hero}), 1)
    bench.folder._catalogs = FixedCatalog(compiled)
    click = Track(message_id="c", anonymous_id="1", event="Product Clicked", properties={"price": "dear"})
    await bench.folder.process([bench.message("a:1", click)])
    for _ in range(2):  # looked at again, it is not counted again
        bench.folder.look_at_rules(compiled)
    assert bench.metrics.rule_errors.labels("placements.hero.rewards[0].value")._value.get() == 1


async def test_the_catalog_an_open_decision_was_made_under_is_fetched() -> None:
    bench = Bench()
    sender = Sender("shop", "write")
    versions = {1: CATALOG.current}
    hero = structs.replace(catalog().placements["hero"], rewards=())
    versions[2] = compile_catalog(structs.replace(catalog(), placements={"hero": hero}), 2)
    asked = []

    class Versions:
        async def get(self, version: int) -> CompiledCatalog:
            asked.append(version)
            return versions[version]

    bench.folder._catalogs = Versions()

    def message(event: Event, version: int) -> Message:
        message = bench.message("a:1", event)
        assert message.value is not None
        entry = structs.replace(decode_entry(message.value), catalog_version=version, sender=sender)
        return message._replace(value=encode_entry(entry))

    await bench.folder.process([message(decision(1), 1)])
    click = Track(message_id="c", anonymous_id="1", event="Product Clicked", properties={"contentId": "red"})
    await bench.folder.process([message(click, 2)])
    assert asked == [1, 2, 1]
    assert bench.visitors.stored["a:1"].visitor().folder.open[0].reward == 0.5
