"""A merge is never larger than the log takes, and what it was split into merges to the same visitor."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import structs

from personalization.catalog.catalog import Catalog, Content, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.entry import Entry, Position, decode_entry
from personalization.events.event import Merged, SegmentChanged
from personalization.events.merged_parts import MAX_PART_BYTES, parts_of
from personalization.features import MAX_CATEGORY_CHARS, FeatureValue, pack
from personalization.folding.fold import fold
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import (
    HOLD_MS,
    MAX_MESSAGE_IDS,
    MAX_OPEN_EXAMPLES,
    MAX_OPEN_EXPOSED,
    MAX_OPEN_UNEXPOSED,
    MESSAGE_ID_BYTES,
    Conversions,
    Credit,
    FolderState,
    HeldReward,
    OpenDecision,
    OpenExample,
    Terms,
)
from personalization.visitor.purposes import MAX_PURPOSES, Word
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import (
    MAX_AFFINITY_KEYS,
    MAX_CART,
    MAX_COUNTS,
    MAX_EXPOSURES,
    MAX_HOLDOUTS,
    MAX_STICKY,
    MAX_TRAIT_CHARS,
    MAX_TRAITS,
    Affinity,
    Decayed,
    Exposure,
    Holdout,
    Scalar,
    Session,
    Sticky,
    VisitorState,
)
from tests.unit.personalization.audience.test_windows import catalog as windows_catalog
from tests.unit.personalization.world import MINUTE, START, World, shop

LIMIT_BYTES = 512 * 1024
SOURCE = "a:" + "s" * 250


def name(kind: str, n: int) -> str:
    """A name as long as one may be, three bytes a letter."""
    return f"{kind}{n:05}".ljust(MAX_CATEGORY_CHARS, "漢")


def decision_id(n: int) -> str:
    """As long as one of a 256-byte user id; digits stand where its nonce does."""
    return ("m" * 12 + f"{n:012}").ljust(366, "k")


def decision(n: int, features: msgspec.Raw) -> OpenDecision:
    shown = n < MAX_OPEN_EXPOSED
    return OpenDecision(
        choice=Choice(decision_id(n), "hero", 0, "red", 2**31, "thompson", 1, 1),
        terms=Terms(window_ms=60 * MINUTE, high=9.0),
        decided_at_ms=START + n,
        due_ms=START + 60 * MINUTE,
        exposed_at_ms=START + n if shown else None,
        reward=float(shown),
        n_rewards=int(shown),
        features=features,
        arm_features=pack({}),
        trains=True,
    )


def named(n_traits: int) -> CompiledCatalog:
    """A catalog that names so many traits: all of them have a place, beside those of everybody."""
    hero = Placement(content=("red", "green", "blue"), default="red")
    features = tuple(f"traits.named{n}" for n in range(n_traits))
    contents = {each: Content(body=each) for each in ("red", "green", "blue")}
    return compile_catalog(Catalog(placements={"hero": hero}, content=contents, features=features), 1)


def fullest(n_decisions: int, n_named: int) -> Visitor:
    """A visitor at every bound there is."""
    features = pack({f"feature {n}": 1.5 for n in range(9)})
    traits: dict[str, Scalar] = {name("trait", n): "漢" * MAX_TRAIT_CHARS for n in range(MAX_TRAITS)}
    traits |= {f"named{n}": "漢" * MAX_TRAIT_CHARS for n in range(n_named)}
    state = VisitorState(
        revision=5,
        event_count=5,
        first_ms=START,
        last_ms=START,
        now_ms=START,
        session=Session(2, START - MINUTE, START, 5, 5),
        counts={name("count", n): Decayed(1.5, START) for n in range(MAX_COUNTS)},
        affinities={
            family: Affinity(START, {name(family, n): 1.5 + n for n in range(MAX_AFFINITY_KEYS)})
            for family in ("brand", "category", "topic")
        },
        cart={name("product", n): 9.5 for n in range(MAX_CART)},
        traits=traits,
        consents={name("purpose", n): Word(True, START) for n in range(MAX_PURPOSES)},
        exposures={name("content", n): Exposure(3, 19_675, 1, 1, START) for n in range(MAX_EXPOSURES)},
        sticky={f"{name('placement', n)}/0": Sticky(decision_id(n), "red", 1, START) for n in range(MAX_STICKY)},
        holdouts={name("placement", n): Holdout(True, START + n) for n in range(MAX_HOLDOUTS)},
        unit=b"12345678",
    )
    example: dict[str, FeatureValue] = {name("feature", n): 1.5 for n in range(64)}
    folder = FolderState(
        message_ids=b"m" * MAX_MESSAGE_IDS * MESSAGE_ID_BYTES,
        open=[decision(n, features) for n in range(n_decisions)],
        held=[HeldReward(decision_id(n), 1.0, False, START + HOLD_MS) for n in range(1000, 1016)],
        recent=[Credit("hero", 1.0, "green", START) for _ in range(16)],
        conversions=Conversions(
            [
                OpenExample(f"e{n}", "buy", START + n, START + n, False, False, example)
                for n in range(MAX_OPEN_EXAMPLES)
            ]
        ),
    )
    return Visitor(state, folder)


def linked(visitor: Visitor, catalog: CompiledCatalog) -> tuple[World, list[int]]:
    """The visitor logs in; gives the world after, and the bytes of each merged entry."""
    world = World(catalog)
    world.visitors[SOURCE] = visitor
    world.link(SOURCE, "u:7")
    return world, [len(data) for _, data in world.log if isinstance(decode_entry(data).event, Merged)]


def test_a_visitor_of_150_open_decisions_with_full_maps_is_one_entry() -> None:
    _, sizes = linked(fullest(150, 0), shop())
    assert len(sizes) == 1
    assert 200_000 < sizes[0] < LIMIT_BYTES


@pytest.mark.parametrize("n_named", [200, 600, 3_000])
def test_no_merge_is_larger_than_the_log_takes_and_all_of_it_arrives(n_named: int) -> None:
    catalog = named(n_named)
    visitor = fullest(MAX_OPEN_EXPOSED + MAX_OPEN_UNEXPOSED, n_named)
    whole = Merged(source=SOURCE, state=visitor.state, folder=structs.replace(visitor.folder, message_ids=b""))
    expected = Visitor.new()
    at = Entry(received_at_ms=START + 1, occurred_at_ms=START + 1, catalog_version=1, event=whole)
    fold(expected, "u:7", Position(1, 1), at, catalog)
    world, sizes = linked(visitor, catalog)
    assert len(sizes) > 1
    assert max(sizes) <= LIMIT_BYTES
    found = world.visitors["u:7"]
    same = {"revision": 0, "offset": 0}
    assert structs.replace(found.state, **same) == structs.replace(expected.state, **same)
    assert found.folder.open == expected.folder.open
    assert len(found.folder.open) == MAX_OPEN_EXPOSED + MAX_OPEN_UNEXPOSED
    assert (found.folder.held, found.folder.recent) == (expected.folder.held, expected.folder.recent)
    assert found.folder.conversions == expected.folder.conversions
    assert world.due("u:7") == START, "that of the first example"


def test_a_part_that_comes_twice_is_nothing() -> None:
    world, _ = linked(fullest(MAX_OPEN_EXPOSED, 600), named(600))
    before = len(world.visitors["u:7"].folder.open), world.visitors["u:7"].state.event_count
    for key, data in [each for each in world.log if isinstance(decode_entry(each[1]).event, Merged)]:
        world.log.append((key, data))
    world.pump()
    assert (len(world.visitors["u:7"].folder.open), world.visitors["u:7"].state.event_count) == before


def test_a_refusal_holds_for_all_parts() -> None:
    visitor = fullest(MAX_OPEN_EXPOSED, 600)
    visitor.state.consents["personalization"] = Word(False, START)
    world, sizes = linked(visitor, named(600))
    assert len(sizes) > 1
    assert world.visitors["u:7"].folder.open == []
    assert {outcome.trains for outcome in world.outcomes} == {False}


def test_what_cannot_be_split_is_one_part() -> None:
    whole = Merged(source=SOURCE, state=VisitorState(traits={"essay": "x" * MAX_PART_BYTES}), folder=FolderState())
    assert parts_of(whole) == [whole]


def test_what_is_told_of_a_visitor_waits_for_the_last_part() -> None:
    both = {"keen": 'count("V", within="7d") >= 1 && count("W", within="7d") >= 1'}
    world = World(windows_catalog(**both))
    for event in ("V", "W"):
        world.track("a:1", event)
    visitor = world.visitors["a:1"]
    whole = Merged(source="a:1", state=visitor.state, folder=visitor.folder)
    parts = parts_of(whole, max_bytes=150)
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert len([part for part in parts if part.state.windows]) == 2, "each window comes by a part of its own"
    for part in parts:
        world.send("u:1", part)
    told = [event for key, event in events_of(world) if key == "u:1" and isinstance(event, SegmentChanged)]
    assert told == [], "they were in it before, and are now"
    assert world.visitors["u:1"].folder.memberships.inside == ["keen"]  # type: ignore[union-attr]  # they are kept


def events_of(world: World) -> list[tuple[str, object]]:
    return [(key, decode_entry(data).event) for key, data in world.log]
