"""The rule *Caps*: no visitor is shown a content more often than its caps say, over whatever they count."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest
from msgspec import structs

from personalization.audience.variables import VisitorScope
from personalization.catalog.caps import of_group, of_placement
from personalization.catalog.catalog import Cap, Content, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.deciding.eligibility import CAP, conditional, refusals
from personalization.deciding.request import PlacementRequest
from personalization.events.entry import Entry, Position
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization import scenes
from tests.unit.personalization.world import MINUTE, World, shop

HOUR = 60 * MINUTE
DAY = 24 * HOUR


def capped(cap: Cap) -> CompiledCatalog:
    catalog = shop().catalog
    return compile_catalog(structs.replace(catalog, content={**catalog.content, "red": Content(cap=(cap,))}), 1)


def is_capped(state: VisitorState, catalog: CompiledCatalog, now_ms: int) -> bool:
    scope = VisitorScope(state, {}, catalog, now_ms, known=False)
    return refusals(conditional(catalog.placements["hero"].arms, "hero"), scope, state.session.started_ms) == {
        "red": CAP
    }


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


def promo(*caps: Cap) -> Content:
    return Content(group="promos", cap=caps)


class Shown(NamedTuple):
    """One showing."""

    content: str
    placement: str
    at_ms: int


class Visits:
    """One visitor, decided for and folded in turn."""

    def __init__(self, contents: dict[str, Content], **placements: Placement) -> None:
        self.shop = scenes.catalog({**contents, "plain": Content(body="plain")}, **placements)
        self.visitor = Visitor.new()
        self.now_ms = scenes.NOW
        self.shown: list[Shown] = []
        self._nonce = scenes.nonces()
        self._n_entries = 0

    def decide(self, *placements: str | PlacementRequest, after_ms: int = 0, **terms: Any) -> list[str]:
        """What is shown now."""
        self.now_ms += after_ms
        request = scenes.ask(*placements, **terms)
        state = structs.replace(self.visitor.state)
        answer = scenes.run(self.shop, request, [state], now_ms=self.now_ms, nonce=self._nonce)
        for entry in answer.entries:
            self._fold(entry)
        self.shown += [Shown(each.content_id, each.placement, self.now_ms) for each in answer.decisions]
        self.filtered = [record.filtered for record in answer.records]
        return [each.content_id for each in answer.decisions]

    def _fold(self, entry: Entry) -> None:
        fold(self.visitor, "a:a1", Position(1, self._n_entries), entry, self.shop.catalog)
        self._n_entries += 1


def placed(*content: str, slots: int = 1) -> Placement:
    return Placement(content=content, default="plain", slots=slots)


def test_a_group_is_counted_over_all_its_contents_wherever_they_are_shown() -> None:
    cap = Cap(limit=2, within_ms=DAY, of="group")
    contents = {"a": promo(cap), "b": promo(), "c": Content(cap=(cap,), group="others")}
    visits = Visits(contents, hero=placed("a"), side=placed("b"), other=placed("c"))
    assert visits.decide("hero") == ["a"]
    assert visits.decide("side", after_ms=HOUR) == ["b"], "it has no cap, and counts for those that have"
    assert visits.decide("hero", after_ms=HOUR) == ["plain"]
    assert visits.filtered == [{"a": CAP}]
    assert visits.decide("other") == ["c"], "another group"
    assert visits.decide("hero", after_ms=22 * HOUR - 1) == ["plain"]
    assert visits.decide("hero", after_ms=1) == ["a"], "the first of the two is a day old"


def test_a_placement_is_counted_over_its_contents_that_have_such_a_cap() -> None:
    contents = {name: Content(cap=(Cap(limit=2, per="day", of="placement"),)) for name in ("a", "b")}
    visits = Visits(contents, hero=placed("a", "b"), side=placed("a"))
    assert visits.decide("side") == ["a"]
    assert len({*visits.decide("hero"), *visits.decide("hero")} - {"plain"}) >= 1
    assert visits.decide("hero") == ["plain"]
    assert visits.decide("side") == ["a"], "what is shown in another placement counts there"
    assert visits.decide("hero", after_ms=DAY) != ["plain"], "another day"


def test_of_several_caps_each_holds() -> None:
    caps = (Cap(limit=1, per="day"), Cap(limit=3, within_ms=30 * DAY), Cap(limit=2, per="visitor", of="group"))
    contents = {"a": promo(*caps), "b": Content(cap=caps[:2])}
    visits = Visits(contents, hero=placed("a"), side=placed("b"))
    per_day = [
        (visits.decide("hero", after_ms=DAY), visits.decide("hero"), visits.decide("side")) for _ in range(5)
    ]
    assert [first == ["a"] for first, _, _ in per_day] == [True, True, False, False, False], "two of the group ever"
    assert all(second == ["plain"] for _, second, _ in per_day), "one a day"
    assert [third == ["b"] for _, _, third in per_day] == [True, True, True, False, False], "three in a month"


def test_a_session_begins_anew_for_what_is_counted_together() -> None:
    cap = Cap(limit=1, of="group")
    visits = Visits({"a": promo(cap), "b": promo(cap)}, hero=placed("a"), side=placed("b"))
    assert visits.decide("hero") == ["a"]
    assert visits.decide("side", after_ms=MINUTE) == ["plain"]
    assert visits.decide("side", after_ms=HOUR) == ["b"]


def test_the_slots_of_one_answer_do_not_exceed_a_cap_together() -> None:
    cap = Cap(limit=2, within_ms=DAY, of="group")
    contents = {name: promo(cap) for name in "abcde"}
    visits = Visits(contents, hero=placed("a", "b", "c", slots=3), side=placed("d", "e"))
    answer = visits.decide("hero", "side")
    assert len([name for name in answer if name != "plain"]) == 2
    assert sum(reason == CAP for reason in visits.filtered[-1].values()) >= 1
    assert visits.decide("side") == ["plain"]
    visits = Visits(contents, hero=placed("a"), side=placed("d"), last=placed("e"))
    assert visits.decide("hero", "side", "last") == ["a", "d", "plain"], "nor do its placements"


def test_placements_that_know_nothing_of_each_other_are_capped_by_the_past_alone() -> None:
    cap = Cap(limit=2, within_ms=DAY, of="group")
    visits = Visits({name: promo(cap) for name in "abcd"}, hero=placed("a"), side=placed("b", "c", "d", slots=2))
    answer = visits.decide("hero", "side", apart=True)
    assert len(answer) == 3
    assert "plain" not in answer, "two beside each other, and one that knows nothing of them"


def test_what_no_cap_counts_together_is_not_kept() -> None:
    within = Cap(limit=2, within_ms=HOUR, of="placement")
    contents = {
        "a": promo(),
        "b": Content(cap=(within,)),
        "c": Content(cap=(Cap(limit=1, of="group"),), group="g"),
    }
    visits = Visits(contents, hero=placed("a", "b", "c", slots=3))
    visits.decide("hero")
    state = visits.visitor.state
    assert set(state.exposures) == {"a", "b", "c", of_group("g")}
    assert [len(kept) for kept in state.windows.values()] == [1], "of the placement"
    assert state.exposures[of_group("g")].total == 1
    assert of_placement("hero") not in state.exposures


def test_what_two_keys_of_one_person_were_shown_counts_together_for_a_group() -> None:
    caps = (Cap(limit=3, within_ms=DAY, of="group"), Cap(limit=3, per="visitor", of="group"))
    plain = shop().catalog
    contents = {name: Content(cap=caps, group="all") for name in plain.content}
    catalog = compile_catalog(structs.replace(plain, content=contents), 1)
    world = World(catalog)
    for key, decision, arm in (("a:1", "d1", "red"), ("u:1", "d2", "green"), ("a:1", "d3", "blue")):
        world.decide(key, decision, arm)
    world.link("a:1", "u:1")
    state = world.visitors["u:1"].state
    assert state.exposures[of_group("all")].total == 3
    scope = VisitorScope(state, {}, catalog, world.now_ms, known=False)
    asked = conditional(catalog.placements["hero"].arms, "hero")
    assert refusals(asked, scope, state.session.started_ms) == dict.fromkeys(("red", "green", "blue"), CAP)


def counts(cap: Cap, of: Shown, other: Shown, contents: dict[str, Content]) -> bool:
    """Whether ``other`` counts for a cap of the content shown in ``of``; by hand."""
    if other.content not in contents:
        return False
    match cap.of:
        case "content":
            same = other.content == of.content
        case "group":
            same = contents[other.content].group == contents[of.content].group
        case "placement":
            has_one = any(each.of == "placement" for each in contents[other.content].cap)
            same = other.placement == of.placement and has_one
    if cap.within_ms is not None:
        return same and other.at_ms > of.at_ms - cap.within_ms
    return same and (cap.per == "visitor" or other.at_ms // DAY == of.at_ms // DAY)


def random_caps(rng: random.Random) -> Iterator[Cap]:
    kinds: tuple[Literal["content", "placement", "group"], ...] = ("content", "placement", "group")
    for _ in range(rng.randrange(3)):
        limit, of = rng.randrange(1, 5), rng.choice(kinds)
        if rng.random() < 0.5:
            yield Cap(limit=limit, of=of, within_ms=rng.choice((HOUR, DAY, 3 * DAY)))
        else:
            yield Cap(limit=limit, of=of, per="day" if rng.random() < 0.7 else "visitor")


@pytest.mark.parametrize("seed", range(40))
def test_decider_and_fold_agree_on_what_was_shown(seed: int) -> None:
    """Whatever is asked for, no showing exceeds a cap, counted by hand; and nothing is kept out without need."""
    rng = random.Random(seed)
    contents = {
        name: Content(body=name, group=rng.choice(("g", "h")), cap=tuple(random_caps(rng))) for name in "abcdef"
    }
    names = list(contents)
    visits = Visits(
        contents,
        hero=placed(*rng.sample(names, 4), slots=2),
        side=placed(*rng.sample(names, 3)),
        list=placed(*names),
    )
    for _ in range(60):
        known: list[str | PlacementRequest] = ["hero", "side", PlacementRequest("list", rng.randrange(1, 5))]
        asked = rng.sample(known, rng.randrange(1, 4))
        visits.decide(*asked, after_ms=rng.choice((0, MINUTE, 5 * HOUR, DAY)))
    n_capped = 0
    for index, shown in enumerate(visits.shown):
        before = visits.shown[:index]
        for cap in contents[shown.content].cap if shown.content in contents else ():
            n_before = sum(counts(cap, shown, other, contents) for other in before)
            assert n_before < cap.limit, (shown, cap)
        if shown.content == "plain":  # for every content of the placement a reason can be found
            n_capped += 1
            now = [each for each in before if each.at_ms == shown.at_ms]
            for arm in visits.shop.placements[shown.placement].candidates.arms:
                as_if = Shown(arm, shown.placement, shown.at_ms)
                assert arm in {each.content for each in now} or any(
                    sum(counts(cap, as_if, other, contents) for other in before) >= cap.limit
                    for cap in contents[arm].cap
                ), (shown, arm)
    assert len(visits.shown) > 60
    assert seed or n_capped
