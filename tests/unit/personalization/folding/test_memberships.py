"""The rule *Segments*: entering and leaving are told once each, when they happen, whether anybody acts or not."""

from __future__ import annotations

import dataclasses
import random

import pytest

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.entry import Sender, decode_entry
from personalization.events.event import Identify, SegmentChanged, Track
from personalization.folding.parts import is_behind
from tests.unit.personalization.audience.test_windows import catalog, segments
from tests.unit.personalization.world import MINUTE, START, World

DAY = 24 * 60 * MINUTE


def world_of(**rules: str) -> World:
    return World(catalog(**rules))


def told(world: World, key: str = "a:1") -> list[tuple[str, bool]]:
    events = [decode_entry(data).event for at, data in world.log if at == key]
    return [(event.segment, event.entered) for event in events if isinstance(event, SegmentChanged)]


def test_entering_is_told_at_the_event_and_leaving_by_time_alone() -> None:
    world = world_of(keen='count("V", within="7d") >= 2')
    world.track("a:1", "V")
    assert (told(world), world.due("a:1")) == ([], None), "one alone changes nothing, however old it gets"
    first_ms = world.now_ms
    world.track("a:1", "V", after_ms=DAY)
    assert told(world) == [("keen", True)]
    assert world.due("a:1") == first_ms + 7 * DAY
    world.time_out("a:1", after_ms=first_ms + 7 * DAY - world.now_ms)
    assert told(world) == [("keen", True), ("keen", False)]
    assert world.due("a:1") is None


def test_who_never_returns_leaves_on_time() -> None:
    world = world_of(active='since("Login") <= duration("14d")', away='since("Login") > duration("14d")')
    world.track("a:1", "Login")
    assert told(world) == [("active", True)]
    at_ms = world.now_ms
    while (due_ms := world.due("a:1")) is not None:
        world.time_out("a:1", after_ms=due_ms - world.now_ms)
    assert sorted(told(world)) == [("active", False), ("active", True), ("away", True)]
    assert world.now_ms == at_ms + 14 * DAY + 1


def test_time_has_its_say_whatever_came_first() -> None:
    world = world_of(away='since("Login") > duration("14d")')
    world.track("a:1", "Page")
    world.track("a:1", "Login")
    while (due_ms := world.due("a:1")) is not None:
        world.time_out("a:1", after_ms=due_ms - world.now_ms)
    assert told(world) == [("away", True)]


def test_a_time_out_looks_at_who_never_acted_under_these_rules() -> None:
    world = world_of(keen='count("V", within="7d") >= 2', other="known")
    for _ in range(2):
        world.track("a:1", "V")
    world.catalog = dataclasses.replace(catalog(seen='count("V", within="7d") >= 1'), version=2)
    assert is_behind(world.visitors["a:1"].folder, world.catalog)
    world.time_out("a:1", after_ms=1)
    assert told(world) == [("keen", True), ("keen", False), ("seen", True)]
    assert not is_behind(world.visitors["a:1"].folder, world.catalog)
    world.time_out("a:2", after_ms=1)
    assert world.visitors["a:2"].folder.memberships is None, "of whom nothing is known"


def test_what_is_told_of_one_person_is_never_told_of_another() -> None:
    world = world_of(seen='count("V", within="7d") >= 1')
    world.link("a:1", "u:1")
    next_one = Sender("web", after_login="logged_out")
    world.send("a:1", Track(message_id="m", event="V", anonymous_id="1"), sender=next_one)
    assert told(world, "a:1") == [("seen", True)]
    assert told(world, "u:1") == []
    world.time_out("a:1", after_ms=8 * DAY)
    assert told(world, "a:1") == [("seen", True), ("seen", False)]
    assert told(world, "u:1") == []


def test_of_who_refused_nothing_is_told_by_a_merge() -> None:
    world = world_of(keen='count("V", within="7d") >= 2')
    world.track("a:1", "V")
    world.track("u:1", "V")
    world.send("u:1", Identify(message_id="no", context={"consent": {"personalization": False}}))
    world.link("a:1", "u:1")
    assert told(world, "u:1") == []


def test_an_entry_of_an_older_version_moves_nobody() -> None:
    world = world_of(seen='count("V", within="7d") >= 1')
    older = world.catalog
    newer = dataclasses.replace(catalog(other='count("V", within="7d") >= 1'), version=2)
    for at in (newer, older, newer, older):
        world.catalog = at
        world.track("a:1", "V")
    assert told(world) == [("other", True)]


def test_what_an_older_entry_changed_is_told_by_the_newer_rules_soon() -> None:
    older = catalog(keen='count("V", within="7d") >= 2')
    newer = dataclasses.replace(older, version=2)
    world = World(newer)
    for at in (newer, older):
        world.catalog = at
        world.track("a:1", "V")
    assert told(world) == []
    world.catalog = newer
    world.time_out("a:1", after_ms=1_000)
    assert told(world) == [("keen", True)]


def test_a_merge_under_older_rules_tells_nothing_of_them() -> None:
    older = catalog(keen='count("V", within="7d") >= 2')
    newer = dataclasses.replace(catalog(keen='count("V", within="7d") >= 3'), version=2)
    world = World(newer)
    world.track("a:1", "V")
    world.track("u:1", "V")
    world.catalog = older
    world.link("a:1", "u:1")
    world.catalog = newer
    world.time_out("u:1", after_ms=1_000)
    assert told(world, "u:1") == []
    world.track("u:1", "V")
    assert told(world, "u:1") == [("keen", True)]


def test_a_time_out_of_an_older_version_is_put_off_and_not_asked_for_again_at_once() -> None:
    world = world_of(seen='count("V", within="7d") >= 1')
    older = world.catalog
    world.catalog = dataclasses.replace(older, version=2)
    world.track("a:1", "V")
    world.catalog = older
    world.time_out("a:1", after_ms=8 * DAY)
    due_ms = world.due("a:1")
    assert due_ms is not None
    assert due_ms >= world.now_ms + 1_000
    world.catalog = dataclasses.replace(older, version=2)
    world.time_out("a:1", after_ms=due_ms - world.now_ms)
    assert told(world) == [("seen", True), ("seen", False)]


def test_what_is_folded_again_is_told_under_the_same_name() -> None:
    world = world_of(keen='count("V", within="7d") >= 1')
    world.track("a:1", "V")
    (entry,) = [decode_entry(data) for _, data in world.log if isinstance(decode_entry(data).event, SegmentChanged)]
    assert entry.provenance is not None
    assert entry.provenance.source == "a:1"
    world.log.append(world.log[-1])  # told twice: the worker died before it wrote
    world.pump()
    assert world.folded[-1].status == "duplicate"


def test_only_what_events_and_windows_decide_is_followed() -> None:
    of = catalog(
        plain="n_orders > 2",
        mixed='n_orders >= 0 && count("V", within="1d") >= 1',
        request='hour > 3 && count("V", within="1d") >= 1',
        fading='counts["V"] > 0.5 && count("V", within="1d") >= 1',
    )
    assert list(of.followed.by_name) == ["mixed"]


def test_by_a_log_in_nobody_enters_twice() -> None:
    world = world_of(keen='count("V", within="7d") >= 2', seen='count("V", within="7d") >= 1')
    for key in ("a:1", "a:1", "u:1"):
        world.track(key, "V")
    assert told(world, "a:1") == [("seen", True), ("keen", True)]
    assert told(world, "u:1") == [("seen", True)]
    world.link("a:1", "u:1")
    assert told(world, "u:1") == [("seen", True)], "the person was keen already"
    while (due_ms := world.due("u:1")) is not None:
        world.time_out("u:1", after_ms=max(1, due_ms - world.now_ms))
    assert told(world, "u:1") == [("seen", True), ("keen", False), ("seen", False)]


def test_of_who_refuses_nothing_is_kept_and_nothing_told() -> None:
    world = world_of(keen='count("V", within="7d") >= 1')
    world.track("a:1", "V")
    refusal = Identify(message_id="no", context={"consent": {"personalization": False}})
    world.send("a:1", refusal)
    assert told(world) == [("keen", True)]
    assert world.visitors["a:1"].folder.memberships is None
    assert world.due("a:1") is None


def test_a_catalog_without_windows_keeps_nothing() -> None:
    world = world_of(plain="n_orders > 2")
    world.track("a:1", "V")
    assert world.visitors["a:1"].folder.memberships is None


def test_a_segment_that_is_taken_out_is_left() -> None:
    world = world_of(keen='count("V", within="7d") >= 1')
    world.track("a:1", "V")
    world.catalog = catalog()
    world.track("a:1", "V")
    assert told(world) == [("keen", True), ("keen", False)]
    assert world.visitors["a:1"].folder.memberships is None


@pytest.mark.parametrize("seed", range(20))
def test_between_two_moments_that_are_due_nothing_changes(seed: int) -> None:
    rng = random.Random(seed)
    rules = {
        f"s{n}": f'count("V", within="{rng.choice((5, 20, 60))}m") {operator} {rng.randrange(4)}'
        for n, operator in enumerate(("<", "<=", ">", ">=", "==", "!="))
    }
    rules["far"] = 'since("V") > duration("15m") && !never("W", within="40m")'
    rules["sum"] = 'sum("V", of="properties.n", within="20m") >= 5'
    # Half of the worlds asked later than their visitor came: some windows have to see enough first.
    world = World(catalog(START + 15 * MINUTE if seed % 2 else None, **rules))
    world.track("a:1", "Other")
    inside: set[str] = set()
    n_told = 0

    def check() -> None:
        nonlocal n_told
        for name, entered in told(world)[n_told:]:
            assert (name in inside) is not entered, "entered and left in turn"
            (inside.add if entered else inside.discard)(name)
        n_told = len(told(world))
        assert inside == _now(world, world.catalog, world.now_ms)
        due_ms = world.due("a:1")
        horizon_ms = world.now_ms + 2 * 60 * MINUTE if due_ms is None else due_ms - 1
        for asked_ms in {horizon_ms, rng.randint(world.now_ms, max(world.now_ms, horizon_ms))}:
            assert inside == _now(world, world.catalog, asked_ms)

    for _ in range(50):
        due_ms, wait_ms = world.due("a:1"), rng.randrange(1, 10 * MINUTE)
        if due_ms is not None and due_ms <= world.now_ms + wait_ms:
            world.time_out("a:1", after_ms=max(1, due_ms - world.now_ms))
        else:
            event = Track(message_id=world.message(), event=rng.choice("VVW"), properties={"n": rng.randrange(4)})
            late_ms = rng.randrange(30 * MINUTE) if rng.random() < 0.3 else 0
            world.append("a:1", event, after_ms=wait_ms, occurred_ms=world.now_ms + wait_ms - late_ms)
            world.pump()
        check()


def _now(world: World, of: CompiledCatalog, at_ms: int) -> set[str]:
    return segments(world.visitors["a:1"].state, of, at_ms)
