"""Examples of conversion models: one per visitor and session start, labelled by what follows within the horizon."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from personalization.audience.conversion_features import conversion_features
from personalization.audience.variables import VisitorScope
from personalization.bounded import short_hash
from personalization.catalog.catalog import Catalog, Content, Conversion, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.entry import decode_entry
from personalization.events.event import Identify, Page, TimedOut, Track
from personalization.events.example import Example
from personalization.visitor.folder_state import (
    MAX_OPEN_EXAMPLES,
    Conversions,
    FolderState,
    decode_folder,
    encode_folder,
)
from personalization.visitor.visitor import Visitor
from tests.of_type import of_type
from tests.unit.personalization.world import MINUTE, World

HOUR = 60 * MINUTE
KEY = "a:1"


def shop(**conversions: Conversion) -> CompiledCatalog:
    conversions = conversions or {"buys": Conversion(event="Bought", horizon_ms=24 * HOUR)}
    return compile_catalog(
        Catalog(
            placements={"hero": Placement(content=("red",), default="red")},
            content={"red": Content(body="red")},
            conversions=conversions,
        ),
        version=1,
    )


def early() -> CompiledCatalog:
    return shop(buys=Conversion(event="Bought", horizon_ms=24 * HOUR, labels="early"))


def told(world: World) -> list[tuple[str, bool]]:
    return [(example.stage.value, example.label) for example in world.examples]


# What happens, as (minutes since the step before, what), and what the log of examples then holds.
STORIES: dict[str, tuple[list[tuple[int, str]], list[tuple[str, bool]]]] = {
    "a session starts": ([(0, "Viewed")], [("opened", False)]),
    "one session, one example": ([(0, "Viewed"), (10, "Viewed"), (29, "Viewed")], [("opened", False)]),
    "two sessions, two examples": ([(0, "Viewed"), (31, "Viewed")], [("opened", False)] * 2),
    "nothing follows": ([(0, "Viewed"), (24 * 60, "out")], [("opened", False), ("closed", False)]),
    "it follows": ([(0, "Viewed"), (5, "Bought"), (24 * 60, "out")], [("opened", False), ("closed", True)]),
    "it follows twice": (
        [(0, "Viewed"), (5, "Bought"), (5, "Bought"), (24 * 60, "out")],
        [("opened", False), ("closed", True)],
    ),
    "the horizon includes its end": (
        [(0, "Viewed"), (24 * 60, "Bought"), (0, "out")],
        [("opened", False), ("opened", False), ("closed", True)],
    ),
    "and nothing after, though the time-out is late": (
        [(0, "Viewed"), (24 * 60 + 1, "Bought"), (0, "out")],
        [("opened", False), ("opened", False), ("closed", False)],
    ),
    "what begins a session is not what its example asks for": (
        [(0, "Bought"), (24 * 60, "out")],
        [("opened", False), ("closed", False)],
    ),
    "one purchase labels every session before it": (
        [(0, "Viewed"), (60, "Viewed"), (5, "Bought"), (24 * 60, "out")],
        [("opened", False), ("opened", False), ("closed", True), ("closed", True)],
    ),
    "a time-out before the horizon closes nothing": ([(0, "Viewed"), (30, "out")], [("opened", False)]),
}


@pytest.mark.parametrize("story", STORIES)
def test_examples_by_story(story: str) -> None:
    steps, expected = STORIES[story]
    world = World(shop())
    for minutes, what in steps:
        if what == "out":
            world.append(KEY, TimedOut(due_ms=world.now_ms + minutes * MINUTE), after_ms=minutes * MINUTE)
            world.pump()
        else:
            world.track(KEY, what, after_ms=minutes * MINUTE)
    assert told(world) == expected
    ids = [example.record_id for example in world.examples]
    assert len(set(ids)) == len(ids)


def test_features_are_of_the_sessions_start_and_as_a_decision_would_see_them() -> None:
    world = World(shop())
    context = {"userAgent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 Mobile/15E148"}
    world.send(KEY, Page(message_id="p1", context=context))
    world.track(KEY, "Viewed")
    world.time_out(KEY, after_ms=24 * HOUR)
    opened, closed = world.examples
    assert opened.features == closed.features
    assert opened.features["counts.page"] == 1.0
    assert opened.features["device"] == "mobile"
    assert "counts.Viewed" not in opened.features, "later knowledge"
    assert not any(name.startswith("traits") for name in opened.features)


def test_what_runs_on_within_a_session_is_no_feature() -> None:
    world = World(shop())
    world.track(KEY, "Viewed")
    state, now_ms = world.visitors[KEY].state, world.now_ms
    at_start = world.examples[0].features
    for minutes in (3, 9, 4):
        world.send(KEY, Identify(message_id=world.message()), after_ms=minutes * MINUTE)
    conversion = world.catalog.conversions["buys"]
    scope = VisitorScope(state, {}, world.catalog, world.now_ms, known=False)
    later = conversion_features(conversion, scope)
    assert world.now_ms - now_ms == 16 * MINUTE
    fading = {"counts.Viewed", "hour"}
    assert later.keys() == at_start.keys()
    assert {n: v for n, v in later.items() if n not in fading} == {
        n: v for n, v in at_start.items() if n not in fading
    }


def test_the_due_time_is_asked_for_and_the_closing_happens_in_the_visitors_own_log() -> None:
    world = World(shop())
    folded = world.track(KEY, "Viewed")
    assert folded.due_ms == world.now_ms + 24 * HOUR == world.due(KEY)
    due_ms = world.due(KEY)
    assert due_ms is not None
    folded = world.time_out(KEY, after_ms=due_ms - world.now_ms)
    assert [type(emission) for emission in folded.emissions] == [Example]
    assert (folded.due_ms, world.due(KEY)) == (None, None)
    assert world.visitors[KEY].folder.conversions is None


def test_the_same_log_tells_the_same_examples_under_the_same_ids() -> None:
    worlds = []
    for _ in range(2):
        world = World(early())
        for minutes, what in ((0, "Viewed"), (40, "Viewed"), (1, "Bought"), (90, "Viewed")):
            world.track(KEY, what, after_ms=minutes * MINUTE)
        worlds.append(world)
    assert worlds[0].examples == worlds[1].examples
    twice = World(early())
    for offset, (key, data) in enumerate(worlds[0].log):
        twice.fold_at(offset, key, data)
        twice.fold_at(offset, key, data)  # redelivered: at its fence
    assert twice.examples == worlds[0].examples


def test_ids_name_no_visitor() -> None:
    world = World(shop())
    world.track("u:ada@example.com", "Viewed")
    assert "ada" not in repr(world.examples[0])


def test_early_examples_are_told_at_the_conversion_too_once() -> None:
    world = World(early())
    for minutes, what in ((0, "Viewed"), (1, "Bought"), (1, "Bought")):
        world.track(KEY, what, after_ms=minutes * MINUTE)
    world.time_out(KEY, after_ms=24 * HOUR)
    assert told(world) == [("opened", False), ("converted", True), ("closed", True)]
    assert all(example.early for example in world.examples)


def test_which_events_count_is_a_rule() -> None:
    world = World(shop(buys=Conversion(event="Bought", when="properties.revenue > 20", horizon_ms=HOUR)))
    world.track(KEY, "Viewed")
    world.track(KEY, "Bought", revenue=10)
    assert not of_type(Conversions, world.visitors[KEY].folder.conversions).open[0].converted
    world.track(KEY, "Bought", revenue=30)
    assert of_type(Conversions, world.visitors[KEY].folder.conversions).open[0].converted


def test_open_examples_are_bounded_and_what_is_left_out_is_counted() -> None:
    world = World(shop(buys=Conversion(event="Bought", horizon_ms=1000 * HOUR)))
    for _ in range(MAX_OPEN_EXAMPLES + 5):
        world.track(KEY, "Viewed", after_ms=31 * MINUTE)
    conversions = world.visitors[KEY].folder.conversions
    assert conversions is not None
    assert len(conversions.open) == MAX_OPEN_EXAMPLES
    kinds = [kind for folded in world.folded for kind, _, _ in folded.notes]
    assert (kinds.count("example_opened"), kinds.count("example_skipped")) == (MAX_OPEN_EXAMPLES, 5)
    world.time_out(KEY, after_ms=1000 * HOUR)
    assert told(world)[MAX_OPEN_EXAMPLES:] == [("closed", False)] * MAX_OPEN_EXAMPLES, "none stays unlabelled"


def test_terms_are_those_of_the_catalog_an_example_was_opened_under() -> None:
    world = World(shop())
    world.track(KEY, "Viewed")
    world.catalog = shop(buys=Conversion(event="Bought", horizon_ms=HOUR, labels="early"))
    world.time_out(KEY, after_ms=2 * HOUR)
    assert told(world) == [("opened", False)]
    world.catalog = shop(other=Conversion(event="Bought"))  # taken out of the catalog
    world.time_out(KEY, after_ms=24 * HOUR)
    assert told(world) == [("opened", False), ("closed", False)]


def test_who_refuses_personalisation_leaves_no_example() -> None:
    world = World(shop())
    world.track(KEY, "Viewed")
    world.send(KEY, Track(message_id="c", event="Consent Updated", properties={"personalization": False}))
    assert world.visitors[KEY].folder.conversions is None
    world.track(KEY, "Viewed", after_ms=HOUR)
    world.time_out(KEY, after_ms=48 * HOUR)
    assert told(world) == [("opened", False)]


def merged(world: World) -> Visitor:
    world.link("a:1", "u:1")
    return world.visitors["u:1"]


@pytest.mark.parametrize(
    ("labels", "n_open"), [("mature", 1), ("early", 2)], ids=["mature: one example", "early: both must be undone"]
)
def test_a_log_in_within_a_session_leaves_one_example_of_it(labels: Any, n_open: int) -> None:
    world = World(shop(buys=Conversion(event="Bought", horizon_ms=24 * HOUR, labels=labels)))
    world.track("a:1", "Viewed")
    world.identify("u:1", plan="gold")
    conversions = merged(world).folder.conversions
    assert conversions is not None
    assert len(conversions.open) == n_open
    assert conversions.open[0].features["counts.Viewed"] == 1.0, "the session's real start stays"


def test_two_sessions_that_meet_stay_two_examples() -> None:
    world = World(shop())
    world.track("a:1", "Viewed")
    world.track("u:1", "Viewed", after_ms=2 * HOUR)
    conversions = merged(world).folder.conversions
    assert conversions is not None
    assert len(conversions.open) == 2


@pytest.mark.parametrize("labels", ["mature", "early"])
def test_log_in_then_buy_labels_what_began_before(labels: Any) -> None:
    world = World(shop(buys=Conversion(event="Bought", horizon_ms=24 * HOUR, labels=labels)))
    world.track("a:1", "Viewed")
    world.identify("u:1", plan="gold")
    world.track("u:1", "Bought")  # folded before the merge brings the anonymous past
    visitor = merged(world)
    world.time_out("u:1", after_ms=24 * HOUR)
    closed = [example.label for example in world.examples if example.stage == "closed"]
    assert closed == [True] * (1 if labels == "mature" else 2)
    converted = [example for example in world.examples if example.stage == "converted"]
    assert len(converted) == (0 if labels == "mature" else 2)
    assert visitor.folder.conversions is None or not visitor.folder.conversions.open


def test_what_the_anonymous_side_bought_labels_the_registered_sides_examples() -> None:
    world = World(shop())
    world.track("u:1", "Viewed")
    world.track("a:1", "Viewed", after_ms=HOUR)
    world.track("a:1", "Bought")
    visitor = merged(world)
    assert visitor.folder.conversions is not None
    assert [example.converted for example in visitor.folder.conversions.open] == [True, True]


def test_a_purchase_that_began_a_session_does_not_label_it_by_way_of_a_merge() -> None:
    world = World(shop())
    world.track("a:1", "Bought")
    world.track("u:1", "Viewed", after_ms=HOUR)
    visitor = merged(world)
    assert visitor.folder.conversions is not None
    assert [example.converted for example in visitor.folder.conversions.open] == [False, False]


def test_a_merge_brings_the_timers_of_what_it_takes_over() -> None:
    world = World(shop())
    world.track("a:1", "Viewed")
    began_ms = world.now_ms
    world.link("a:1", "u:1")
    assert world.folded[-1].due_ms == began_ms + 24 * HOUR
    assert decode_entry(world.log[-1][1]).event.__struct_config__.tag == "merged"


def test_without_conversions_a_visitor_is_stored_as_ever() -> None:
    world = World()
    for minutes in (1, 31, 31):
        world.track(KEY, "Viewed", after_ms=minutes * MINUTE)
    folder = world.visitors[KEY].folder
    assert folder.conversions is None
    folder.kept = None
    data = encode_folder(folder)
    assert data[0] == 0x90 | FolderState.__struct_fields__.index("conversions")
    assert decode_folder(data) == folder
    folder.parts = {"windows": msgspec.Raw(msgspec.msgpack.encode([1, 2]))}
    assert decode_folder(encode_folder(folder)) == folder
    asked = World(shop())
    asked.track(KEY, "Viewed")
    folder = asked.visitors[KEY].folder
    assert folder.conversions is not None
    assert decode_folder(encode_folder(folder)) == folder


def test_an_example_says_whose_it_is_and_no_more() -> None:
    world = World(shop())
    for key in (KEY, "a:2"):
        world.track(key, "Viewed")
        world.time_out(key, after_ms=24 * HOUR)
    units = [example.unit for example in world.examples]
    assert units == [short_hash(KEY)] * 2 + [short_hash("a:2")] * 2
    world.visitors[KEY].state.unit = b"as drawn"  # that of decisions, where there were some
    world.track(KEY, "Viewed", after_ms=HOUR)
    assert world.examples[-1].unit == b"as drawn"
