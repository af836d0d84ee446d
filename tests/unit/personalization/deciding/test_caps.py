"""The rule *Caps*: no visitor is shown a content more often than its cap says, over whatever the cap counts."""

from __future__ import annotations

from msgspec import structs

from personalization.audience.variables import VisitorScope
from personalization.catalog.catalog import Cap, Content
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.deciding.eligibility import CAP, conditional, refusals
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.world import MINUTE, World, shop

HOUR = 60 * MINUTE


def capped(cap: Cap) -> CompiledCatalog:
    catalog = shop().catalog
    return compile_catalog(structs.replace(catalog, content={**catalog.content, "red": Content(cap=cap)}), 1)


def is_capped(state: VisitorState, catalog: CompiledCatalog, now_ms: int) -> bool:
    scope = VisitorScope(state, {}, catalog, now_ms, known=False)
    return refusals(conditional(catalog.placements["hero"].arms), scope, state.session.started_ms) == {"red": CAP}


def test_a_cap_over_a_length_of_time_is_exact() -> None:
    catalog = capped(Cap(limit=2, within_ms=24 * HOUR))
    world = World(catalog)
    world.decide("a:1", "d1")
    first_ms = world.now_ms
    assert not is_capped(world.visitors["a:1"].state, catalog, first_ms)
    world.decide("a:1", "d2", after_ms=5 * HOUR)
    second_ms, state = world.now_ms, world.visitors["a:1"].state
    assert is_capped(state, catalog, second_ms)
    assert is_capped(state, catalog, first_ms + 24 * HOUR - 1)
    assert not is_capped(state, catalog, first_ms + 24 * HOUR)
    world.decide("a:1", "d3", after_ms=20 * HOUR)
    assert is_capped(state, catalog, second_ms + 24 * HOUR - 1)
    assert not is_capped(state, catalog, second_ms + 24 * HOUR)


def test_what_two_keys_of_one_person_were_shown_counts_together() -> None:
    catalog = capped(Cap(limit=3, within_ms=24 * HOUR))
    world = World(catalog)
    for key, decision in (("a:1", "d1"), ("u:1", "d2"), ("a:1", "d3")):
        world.decide(key, decision, after_ms=HOUR)
    assert not any(is_capped(visitor.state, catalog, world.now_ms) for visitor in world.visitors.values())
    world.link("a:1", "u:1")
    assert is_capped(world.visitors["u:1"].state, catalog, world.now_ms)


def test_nothing_is_kept_for_other_caps() -> None:
    world = World(capped(Cap(limit=3, per="visitor")))
    world.decide("a:1", "d1")
    assert world.visitors["a:1"].state.windows == {}


def test_a_limit_that_is_raised_knows_what_was_shown_before() -> None:
    world = World(capped(Cap(limit=2, within_ms=HOUR)))
    for n in range(8):
        world.decide("a:1", f"d{n}")
    state = world.visitors["a:1"].state
    assert not is_capped(state, capped(Cap(limit=9, within_ms=HOUR)), world.now_ms)
    assert is_capped(state, capped(Cap(limit=8, within_ms=HOUR)), world.now_ms)
    for n in range(40):
        world.decide("a:1", f"e{n}")
    (kept,) = state.windows.values()
    assert len(kept) == 32


def test_a_clock_that_is_a_little_behind_shows_nothing_once_more() -> None:
    catalog = capped(Cap(limit=1, within_ms=HOUR))
    world = World(catalog)
    world.decide("a:1", "d1")
    assert is_capped(world.visitors["a:1"].state, catalog, world.now_ms - 50)
