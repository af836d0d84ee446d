"""Segments are told with their sizes, and with who is in them, as far as anybody can say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
from msgspec import structs

from api.services.ports import Services
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import Unavailable
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import VisitorState
from state.segment_store import SegmentSizes
from tests.unit.api.site import NOW, SERVER, WRITE, Site, open_site, shop

VERSION = 12


@dataclass
class FakeWalk:
    """Walks two by two over what it is given."""

    states: dict[str, VisitorState] = field(default_factory=dict)
    counted: list[SegmentSizes | None] = field(default_factory=list)
    n_steps: int = 0
    away: bool = False

    async def sizes(self) -> list[SegmentSizes | None]:
        if self.away:
            raise Unavailable("away on purpose")
        return self.counted

    async def step(self, cursor: int) -> tuple[int, Mapping[str, VisitorState]]:
        self.n_steps += 1
        found = list(self.states.items())[cursor : cursor + 2]
        return (cursor + 2 if cursor + 2 < len(self.states) else 0), dict(found)


@dataclass
class Shop(Site):
    walk: FakeWalk = field(default_factory=FakeWalk)

    def services(self) -> Services:
        services = super().services()
        services.segments = self.walk
        return services


@pytest.fixture
async def site() -> AsyncIterator[Shop]:
    segments = {"buyers": "n_orders > 0", "phones": "device == 'mobile'", "members": "known"}
    compiled = compile_catalog(structs.replace(shop(), segments=segments), VERSION)
    async with open_site(Shop, compiled=compiled) as opened:
        assert isinstance(opened, Shop)
        yield opened


def person(n_orders: int = 1, **more: object) -> VisitorState:
    return VisitorState(first_ms=NOW - 5, n_orders=n_orders, **more)  # type: ignore[arg-type]


async def sizes(site: Shop) -> dict[str, tuple[int | None, int | None]]:
    answer = (await site.client.get("/v1/segments", headers=SERVER)).json()
    return {each["name"]: (each["size"], each["of"]) for each in answer["segments"]}


async def test_a_size_adds_up_over_all_partitions(site: Shop) -> None:
    site.walk.counted = [
        SegmentSizes(VERSION, NOW - 9, 10, {"buyers": 3, "members": 1}),
        SegmentSizes(VERSION, NOW, 5, {"buyers": 2}),
    ]
    assert await sizes(site) == {"buyers": (5, 15), "phones": (None, None), "members": (1, 15)}
    answer = (await site.client.get("/v1/segments", headers=SERVER)).json()
    buyers, phones, _ = answer["segments"]
    assert (buyers["countedMs"], buyers["rule"]) == (NOW - 9, "n_orders > 0")
    assert phones["whyNot"] == "its rule looks at device, which only a request of the visitor tells"


@pytest.mark.parametrize("other", [None, SegmentSizes(VERSION - 1, NOW, 5, {"buyers": 2})])
async def test_what_was_not_counted_by_this_version_has_no_size(site: Shop, other: SegmentSizes | None) -> None:
    site.walk.counted = [SegmentSizes(VERSION, NOW, 10, {"buyers": 3}), other]
    assert (await sizes(site))["buyers"] == (None, None)


async def test_a_list_has_those_who_are_in_it_now_and_no_one_who_refused(site: Shop) -> None:
    site.walk.states = {
        "u:anna": person(),
        "a:b1": person(),
        "a:none": person(0),
        "a:refused": person(consents={"personalization": Word(False, NOW)}),
        "a:merged": VisitorState(redirect="u:anna", n_orders=4, first_ms=NOW),
    }
    answer = (await site.client.get("/v1/segments/buyers/visitors", headers=SERVER)).json()
    assert answer["visitors"] == [{"kind": "user", "id": "anna"}, {"kind": "anonymous", "id": "b1"}]
    assert answer["cursor"] is None


async def test_a_list_goes_on_where_it_stopped(site: Shop) -> None:
    site.walk.states = {f"a:{n}": person() for n in range(250)}
    found: list[str] = []
    cursor: int | None = 0
    pages = 0
    while cursor is not None:
        answer = (await site.client.get(f"/v1/segments/buyers/visitors?cursor={cursor}", headers=SERVER)).json()
        found += [visitor["id"] for visitor in answer["visitors"]]
        cursor = answer["cursor"]
        pages += 1
    assert found == [str(n) for n in range(250)]
    assert pages == 3


async def test_one_page_looks_at_a_bounded_number_of_visitors(site: Shop) -> None:
    site.walk.states = {f"a:{n}": person(0) for n in range(1_000)}
    answer = (await site.client.get("/v1/segments/buyers/visitors", headers=SERVER)).json()
    assert answer["visitors"] == []
    assert answer["cursor"] == 2 * site.walk.n_steps < 1_000


async def test_who_is_listed_stands_in_the_audit(site: Shop) -> None:
    await site.client.get("/v1/segments/buyers/visitors", headers=SERVER)
    [act] = site.audit.acts
    assert (act.trail, act.act) == ("reads", "segment_visitors")


async def test_a_segment_that_only_a_request_decides_is_not_listed(site: Shop) -> None:
    answer = await site.client.get("/v1/segments/phones/visitors", headers=SERVER)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_listed")


async def test_segments_are_not_for_pages_and_not_for_nobody(site: Shop) -> None:
    assert (await site.client.get("/v1/segments/buyers/visitors", headers=WRITE)).status_code == 403
    assert (await site.client.get("/v1/segments/nope/visitors", headers=SERVER)).status_code == 404
    site.walk.away = True
    assert (await site.client.get("/v1/segments", headers=SERVER)).status_code == 503
