"""A request that names both ids says that they are one person, whatever kind of request it is."""

from __future__ import annotations

import pytest

from api.services.linker import RECENT_MS, Linked, Linker
from personalization.events.event import DecisionMade, Identify, Link, Page, Track
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import VisitorState
from tests.of_type import of_type
from tests.unit.api.site import NOW, SERVER, Site

BOTH = {"anonymousId": "a1", "userId": "u1"}
LINK = ("a:a1", Link(canonical="u:u1"))


def links(site: Site) -> list[tuple[str, Link]]:
    return [(key, entry.event) for key, entry in site.spool.entries() if isinstance(entry.event, Link)]


async def test_a_decide_with_both_ids_links_them_before_its_decisions(site: Site) -> None:
    response = await site.decide(visitor=BOTH)
    assert response.status_code == 200
    (link_key, link), (key, made) = site.spool.entries()
    assert (link_key, link.event) == LINK
    assert (key, type(made.event)) == ("u:u1", DecisionMade)
    assert link.received_at_ms == NOW
    assert link.catalog_version == 12


@pytest.mark.parametrize(
    ("visitor", "event"),
    [
        ({"userId": "u1"}, {"type": "page", "anonymousId": "a1"}),
        ({"anonymousId": "a1"}, {"type": "page", "userId": "u1"}),
        ({}, {"type": "page", **BOTH}),
        (BOTH, {"type": "page"}),
    ],
)
async def test_ids_of_the_visitor_and_of_events_sent_along_are_a_pair(
    site: Site, visitor: dict[str, str], event: dict[str, str]
) -> None:
    await site.decide(visitor=visitor, events=[event])
    assert links(site) == [LINK]


async def test_get_links_as_well(site: Site) -> None:
    await site.client.get("/v1/decide?visitor=a1&userId=u1&placement=home.hero&key=pk_dev")
    assert links(site) == [LINK]


async def test_a_pair_linked_lately_is_not_linked_by_every_decide(site: Site) -> None:
    await site.decide(visitor=BOTH)
    await site.decide(visitor=BOTH)
    await site.decide(visitor=BOTH, events=[{"type": "page"}])
    await site.collect({"type": "page", **BOTH})
    assert links(site) == [LINK]
    assert [key for key, _ in site.entries()] == ["u:u1"]


async def test_a_link_the_spool_refused_is_put_there_again(site: Site) -> None:
    site.spool.full = True
    await site.decide(visitor=BOTH)
    assert b'nextbest_unlogged_total{reason="spool_full"} 3.0' in site.metrics.exposition()
    site.spool.full = False
    await site.decide(visitor=BOTH)
    assert links(site) == [LINK]


@pytest.mark.parametrize("visitor", [{"anonymousId": "a1"}, {"userId": "u1"}])
async def test_one_id_links_nothing(site: Site, visitor: dict[str, str]) -> None:
    await site.decide(visitor=visitor)
    assert links(site) == []


async def test_reading_the_state_alone_links_nothing(site: Site) -> None:
    await site.client.post("/v1/decide", json={"visitor": BOTH, "placements": []}, headers=SERVER)
    assert site.spool.records == []


async def test_who_refuses_is_not_linked(site: Site) -> None:
    site.visitors.states["u:u1"] = VisitorState(consents={"personalization": Word(False, NOW)})
    await site.decide(visitor=BOTH)
    await site.decide(visitor={"anonymousId": "a2", "userId": "u2"}, headers={"X-API-Key": "pk_strict"})
    assert site.spool.records == []
    site.visitors.states.clear()
    await site.decide(visitor=BOTH, context={"consent": {"personalization": False}})
    assert [(key, of_type(Track, entry.event).event) for key, entry in site.spool.entries()] == [
        ("u:u1", "Consent Updated"),
        ("a:a1", "Consent Updated"),
    ]


async def test_who_cannot_be_read_is_not_linked(site: Site) -> None:
    """Whether that is allowed is not known, and nothing was logged that a link would lead to."""
    site.visitors.away = True
    await site.decide(visitor=BOTH)
    assert site.spool.records == []


def test_a_pair_is_linked_again_after_a_while() -> None:
    """Who logged out since has begun a visit of its own under the anonymous id, which the next link joins."""
    linker = Linker()
    event = Track(message_id="m", event="Viewed", user_id="u1", anonymous_id="a1")
    linker.appended(linker.links(event, NOW), NOW)
    assert linker.links(event, NOW + RECENT_MS - 1) == []
    assert linker.links(event, NOW + RECENT_MS) == [Linked("a:a1", "u:u1")]


def test_a_pair_is_linked_again_once_another_took_its_place() -> None:
    """Two people share a tablet: each log-in is a link."""
    linker = Linker()

    def linked(user: str) -> int:
        found = linker.links_of(f"u:{user}", "a:tablet", NOW)
        linker.appended(found, NOW)
        return len(found)

    assert [linked(user) for user in ("ann", "ann", "bob", "bob", "ann")] == [1, 0, 1, 0, 1]


def test_an_identify_always_links_and_memory_is_bounded() -> None:
    linker = Linker(size=2)
    identify = Identify(message_id="m", user_id="u1", anonymous_id="a1")
    linker.appended(linker.links(identify, NOW), NOW)
    assert linker.links(identify, NOW) == [Linked("a:a1", "u:u1")]
    for n in range(2, 4):
        linker.appended([Linked(f"a:a{n}", "u:u1")], NOW)
    page = Page(message_id="m", user_id="u1", anonymous_id="a1")
    assert linker.links(page, NOW) == [Linked("a:a1", "u:u1")], "the oldest of three was forgotten"


def test_a_pair_that_is_proven_now_is_linked_though_it_was_named_lately() -> None:
    """A link tells the fold whether it was proven: what was merely said does not stand for it."""
    linker = Linker()

    def said(*, proven: bool) -> list[Linked]:
        found = linker.links_of("u:u1", "a:a1", NOW, proven=proven)
        linker.appended(found, NOW)
        return found

    assert [len(said(proven=proven)) for proven in (False, False, True, True, False)] == [1, 0, 1, 0, 0]
