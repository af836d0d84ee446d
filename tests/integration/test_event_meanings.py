"""What events mean, through real servers: one catalog for the events of three senders, and for items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.site import Site
from tests.running import until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

CATALOG = """
events:
  presets: [segment, ga4, shopify]
  currency: EUR
  rates: {USD: 0.5}
  ordered: {event: page, when: properties.path == "/thanks", order: properties.order, revenue: properties.sum}
placements:
  hero:
    content: [full, keen]
    default: plain
    window: 1s
    attribution: last_exposed
    rewards: [{event: ordered, value: fields.revenue / 100.0}]
    reward_range: [0, 1]
content:
  full: {type: html, body: <p>full</p>, when: cart_value > 10}
  keen: {type: html, body: <p>keen</p>, when: 'count("viewed", within="1h") >= 2 && cart_value == 0'}
  plain: {type: html, body: <p>plain</p>}
affinities:
  category: {rules: [{event: viewed, key: fields.category}], half_life: never}
  section: {rules: [{event: Clicked, key: content.features.section}], half_life: never}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""

SENT: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "segment": (
        ("Product Viewed", {"category": "shoes"}),
        ("Product Viewed", {"category": "shoes"}),
        ("Product Added", {"product_id": "p", "price": "20.00"}),
        ("Order Completed", {"total": "40.00", "currency": "USD"}),
    ),
    "ga4": (
        ("view_item", {"items": [{"item_category": "shoes"}]}),
        ("view_item", {"items": [{"item_category": "shoes"}]}),
        ("add_to_cart", {"items": [{"item_id": "p", "price": 20}]}),
        ("purchase", {"value": 20, "currency": "EUR"}),
    ),
    "shopify": (
        ("product_viewed", {"productVariant": {"product": {"type": "shoes"}}}),
        ("product_viewed", {"productVariant": {"product": {"type": "shoes"}}}),
        (
            "product_added_to_cart",
            {"cartLine": {"merchandise": {"product": {"id": "p"}, "price": {"amount": 20}}, "quantity": 1}},
        ),
        ("checkout_completed", {"checkout": {"totalPrice": {"amount": 20, "currencyCode": "EUR"}}}),
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, CATALOG) as site:
        yield site


@pytest.mark.parametrize("sender", SENT)
def test_whoever_sends_it_the_visitor_is_known_and_the_choice_is_rewarded(site: Site, sender: str) -> None:
    key, visitor = f"a:{sender}", {"anonymousId": sender}
    *views, added, ordered = ({"type": "track", "event": n, "properties": p, **visitor} for n, p in SENT[sender])
    site.collect(*views)
    assert site.state(key).affinities["category"].weights == {"shoes": 2.0}
    assert site.decide(visitor, "hero")["contentId"] == "keen"
    shown = site.decide(visitor, "hero", events=[added])
    assert shown["contentId"] == "full", "an event that is sent along counts at once"
    until(lambda: site.state(key).cart == {"p": 20.0}, "what was sent along is logged a moment later, and folded")
    site.collect(ordered)
    state = site.state(key)
    assert (state.revenue, state.n_orders, state.cart) == (20.0, 1, {})
    until(lambda: shown["decisionId"] in site.outcomes("hero"), "its window has closed")
    assert site.outcomes("hero")[shown["decisionId"]].reward == pytest.approx(0.2)


def test_a_click_on_an_item_raises_the_affinity_for_its_section_also_when_the_item_is_gone(site: Site) -> None:
    item = {"type": "html", "body": "<p>derby</p>", "tags": ["teaser"], "features": {"section": "sport"}}
    site.up.call("PUT", "/v1/content/derby", item)
    click = {"type": "track", "event": "Clicked", "properties": {"contentId": "derby"}, "anonymousId": "reader"}

    def is_known() -> bool:
        site.collect(click)
        return "section" in site.state("a:reader").affinities

    until(is_known, "the item is at hand where events are collected")
    before = site.state("a:reader").affinities["section"].weights["sport"]
    site.collect(click)
    site.up.call("DELETE", "/v1/content/derby")
    assert site.state("a:reader").affinities["section"].weights == {"sport": before + 1.0}


def test_an_order_counts_once_whoever_tells_of_it_and_how_often(site: Site) -> None:
    thanks = {"path": "/thanks", "order": "4711", "sum": "30.00"}
    page = {"type": "page", "anonymousId": "buyer", "properties": thanks}
    told = {"type": "track", "anonymousId": "buyer", "event": "purchase"}
    site.collect(page, page, {**page, "properties": {"path": "/"}})
    site.collect({**told, "properties": {"transaction_id": 4711, "value": 30}})
    site.collect({**told, "properties": {"transaction_id": 4712, "value": 5, "currency": "USD"}})
    assert site.state("a:buyer").event_count == 5
    known = site.up.call("GET", "/v1/visitors/buyer")
    assert (known["revenue"], known["nOrders"]) == (32.5, 2)
    assert {name: round(n) for name, n in known["counts"].items()} == {"ordered": 2, "page": 1, "purchase": 2}
    assert {name: round(n) for name, n in known["meanings"].items()} == {"ordered": 4}
