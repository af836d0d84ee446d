"""An event that names an item is logged with what the catalog looks at of it, and with nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from eventlog.topics import VISITOR_LOG
from personalization.catalog.catalog import AffinityRule, AffinitySpec, Content
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.item import Item
from personalization.events.entry import decode_entry
from personalization.events.event import Track
from tests.of_type import of_type
from tests.unit.api.site import WRITE, Site, open_site, shop

CLICK = {"type": "track", "event": "Clicked", "anonymousId": "a1", "messageId": "m1"}


def looking(**rule: Any) -> Any:
    """The shop, with an affinity for what is clicked."""
    section = AffinityRule(event="Clicked", key="content.features.section", **rule)
    return compile_catalog(structs.replace(shop(), affinities={"section": AffinitySpec(rules=(section,))}), 12)


@pytest.fixture
async def newsroom() -> AsyncIterator[Site]:
    async with open_site(compiled=looking()) as site:
        site.items.kept["i1"] = Item(content=Content(features={"section": "sport", "author": "Ada"}))
        yield site


def logged(site: Site) -> list[Any]:
    return [of_type(Track, entry.event).item for _, entry in site.entries() if isinstance(entry.event, Track)]


async def test_of_an_item_what_the_catalog_looks_at_is_logged(newsroom: Site) -> None:
    await newsroom.collect(
        {**CLICK, "properties": {"contentId": "i1"}},
        {**CLICK, "properties": {"product_id": "i1"}},
        {**CLICK, "properties": {"contentId": "gone"}},
        CLICK,
    )
    assert logged(newsroom) == [{"section": "sport"}, {"section": "sport"}, None, None]


async def test_nobody_can_say_what_an_item_is_like(newsroom: Site) -> None:
    await newsroom.collect({**CLICK, "item": {"section": "forged"}, "properties": {"contentId": "gone"}})
    assert logged(newsroom) == [None]


async def test_what_is_in_the_catalog_is_looked_up_there(newsroom: Site) -> None:
    arm = next(iter(newsroom.compiled.arms))
    newsroom.items.kept[arm] = Item(content=Content(features={"section": "other"}))
    await newsroom.collect({**CLICK, "properties": {"contentId": arm}})
    assert logged(newsroom) == [None]


async def test_a_catalog_that_looks_at_no_features_logs_none(site: Site) -> None:
    site.items.kept["i1"] = Item(content=Content(features={"section": "sport"}))
    await site.collect({**CLICK, "properties": {"contentId": "i1"}})
    assert logged(site) == [None]


async def test_a_rule_that_looks_at_all_features_is_given_all_of_them_within_bounds() -> None:
    async with open_site(compiled=looking(when="size(content.features) > 1")) as site:
        many = {f"f{n:02}": "x" * 100 for n in range(40)}
        site.items.kept["i1"] = Item(content=Content(features={"tags": tuple(str(n) for n in range(64)), **many}))
        await site.collect({**CLICK, "properties": {"contentId": "i1"}})
        (item,) = logged(site)
        assert len(item) == 16
        assert (len(item["tags"]), len(item["f00"])) == (32, 64)


async def test_an_event_sent_along_with_a_decision_has_it_too(newsroom: Site) -> None:
    event = {**CLICK, "properties": {"contentId": "i1"}}
    response = await newsroom.decide("home.hero", events=[event], headers=WRITE)
    assert response.status_code == 200
    records = [record for record in newsroom.spool.records if record.topic == VISITOR_LOG]
    sent = [decode_entry(record.value) for record in records]
    assert [entry.event.item for entry in sent if isinstance(entry.event, Track)] == [{"section": "sport"}]


async def test_of_several_items_the_texts_of_each_are_logged_within_bounds(newsroom: Site) -> None:
    newsroom.items.kept["i2"] = Item(content=Content(features={"section": ("sport", "arts"), "minutes": 3.0}))
    arm = next(iter(newsroom.compiled.arms))
    newsroom.items.kept[arm] = Item(content=Content(features={"section": "other"}))
    products = [{"product_id": each} for each in ("i1", "gone", arm, "i2")]
    await newsroom.collect(
        {**CLICK, "properties": {"products": products}}, {**CLICK, "properties": {"products": products[:1] * 40}}
    )
    assert logged(newsroom) == [{"section": ("sport", "sport", "arts")}, {"section": ("sport",) * 32}]
