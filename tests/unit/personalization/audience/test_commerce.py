"""Cart, revenue and orders follow what events mean, whoever sends them."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from personalization.audience.commerce import apply_commerce
from personalization.catalog.catalog import EventMapping, Events, ListedProduct
from personalization.catalog.rule_errors import rule_errors
from personalization.events.event import Page, Track
from personalization.events.event_fields import field_value
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE
from personalization.visitor.visitor_state import MAX_CART, VisitorState
from tests.unit.personalization.events_world import own, world_of

SHOPIFY_VARIANT = {
    "price": {"amount": 20.0, "currencyCode": "EUR"},
    "product": {"id": "p1", "type": "shoes"},
}


def bought(events: Events | None, *sent: tuple[str, dict[str, Any]]) -> VisitorState:
    """The state of who did this."""
    world = world_of(events)
    for name, properties in sent:
        world.track("a:1", name, **properties)
    return world.visitors["a:1"].state


@pytest.mark.parametrize(
    ("preset", "added", "more", "ordered"),
    [
        (
            "segment",
            ("Product Added", {"product_id": "p1", "price": 20, "quantity": 2}),
            ("Product Added", {"productId": 7, "price": "5"}),
            ("Order Completed", {"total": "45.00"}),
        ),
        (
            "ga4",
            ("add_to_cart", {"value": 40, "items": [{"item_id": "p1", "price": 20, "quantity": 2}]}),
            ("add_to_cart", {"items": [{"item_id": 7, "price": 5}]}),
            ("purchase", {"value": 45, "currency": "EUR", "items": [{"item_id": "p1", "price": 1}]}),
        ),
        (
            "shopify",
            ("product_added_to_cart", {"cartLine": {"merchandise": SHOPIFY_VARIANT, "quantity": 2}}),
            (
                "product_added_to_cart",
                {"cartLine": {"merchandise": {"product": {"id": 7}, "price": {"amount": 5}}, "quantity": 1}},
            ),
            ("checkout_completed", {"checkout": {"totalPrice": {"amount": 45.0, "currencyCode": "EUR"}}}),
        ),
    ],
)
def test_the_same_visit_leaves_the_same_state_whoever_sends_it(
    preset: Any, added: Any, more: Any, ordered: Any
) -> None:
    events = Events(presets=(preset,))
    assert bought(events, added, more).cart == {"p1": 40.0, "7": 5.0}
    state = bought(events, added, more, ordered)
    assert (state.cart, state.revenue, state.n_orders) == ({}, 45.0, 1)


def test_products_of_a_list_are_added_and_removed_each() -> None:
    events = Events(presets=("ga4",))
    cart = [{"item_id": "a", "price": 1}, {"item_id": "b", "price": "2.5", "quantity": "2"}, {"price": 9}]
    removed = ("remove_from_cart", {"items": [{"item_id": "a"}]})
    assert bought(events, ("add_to_cart", {"items": cart})).cart == {"a": 1.0, "b": 5.0}
    assert bought(events, ("add_to_cart", {"items": cart}), removed).cart == {"b": 5.0}


def test_an_order_that_says_no_total_brought_what_its_products_cost() -> None:
    items = [{"item_id": "a", "price": 10, "quantity": 2}, {"item_id": "b", "price": 2.5}]
    assert bought(Events(presets=("ga4",)), ("purchase", {"items": items})).revenue == 22.5


def test_a_booking_of_ones_own_is_worth_nights_times_rate() -> None:
    booking = EventMapping(
        event="Booked", id="properties.room", revenue="double(properties.nights) * double(properties.rate)"
    )
    state = bought(own(ordered=booking), ("Booked", {"room": "r1", "nights": 3, "rate": "79.50"}))
    assert (state.revenue, state.n_orders) == (238.5, 1)


def test_the_hotel_preset_calculates_what_no_event_says() -> None:
    events = Events(presets=("hotel",))
    assert bought(events, ("Room Booked", {"room_id": "r1", "nights": 2, "rate": 80})).revenue == 160.0
    assert bought(events, ("Room Booked", {"nights": 2, "rate": 80, "total": 150})).revenue == 150.0


def test_a_subscription_pays_again_and_keeps_the_cart() -> None:
    events = Events(presets=("segment", "subscription"))
    state = bought(
        events,
        ("Product Added", {"product_id": "p", "price": 1}),
        ("Trial Started", {"plan": "pro"}),
        ("Subscription Started", {"plan": "pro", "price": 9}),
        ("Subscription Renewed", {"plan": "pro", "amount": "9.00"}),
        ("Subscription Cancelled", {"plan": "pro", "price": 9}),
    )
    assert (state.revenue, state.n_orders, state.cart) == (18.0, 2, {"p": 1.0})


def test_a_refund_takes_revenue_and_never_more_than_there_is() -> None:
    ordered, part, all_ = (
        ("Order Completed", {"total": 50}),
        ("Order Refunded", {"total": 20}),
        ("Order Refunded", {"total": 99}),
    )
    assert bought(Events(), ordered, part).revenue == 30.0
    state = bought(Events(), ordered, part, all_)
    assert (state.revenue, state.n_orders) == (0.0, 1)


def test_an_own_mapping_stands_beside_its_preset_and_before_it() -> None:
    beside = own(ordered=EventMapping(event="Sold", revenue="properties.sum"))
    assert bought(beside, ("Sold", {"sum": 5}), ("Order Completed", {"total": 7})).revenue == 12.0
    before = own(viewed=EventMapping(event="Order Completed"))
    assert bought(before, ("Order Completed", {"total": 7})).n_orders == 0


def test_what_an_own_mapping_leaves_out_stands_where_its_preset_has_it() -> None:
    mapping = EventMapping(event="checkout_completed", currency="properties.cur")
    events = Events(presets=("shopify",), currency="EUR", ordered=(mapping,))
    sent = {"checkout": {"totalPrice": {"amount": 45.0, "currencyCode": "USD"}}, "cur": "EUR"}
    assert bought(events, ("checkout_completed", sent)).revenue == 45.0


def test_an_event_that_has_a_meanings_own_name_means_it() -> None:
    assert bought(Events(), ("ordered", {"revenue": 3})).revenue == 3.0
    assert bought(None, ("ordered", {"revenue": 3})).revenue == 0.0


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        ("19.90", 19.9),
        (" 19.90 ", 19.9),
        ("1,299.00", 1299.0),
        ("1,299", 0.0),
        ("19,90", 0.0),
        ("1.299,00", 0.0),
        ("€19.90", 0.0),
        ("1e3", 0.0),
        ("nan", 0.0),
        ("9" * 40, 0.0),
        ("١٢", 0.0),
        (True, 0.0),
        (None, 0.0),
        (math.inf, 0.0),
        (10**400, 0.0),
        ("-5", 0.0),
        ([5], 0.0),
    ],
)
def test_a_number_sent_as_text_counts_where_it_can_mean_one_thing(sent: Any, counted: float) -> None:
    state = VisitorState()
    event = Track(message_id="m", event="Order Completed", properties={"revenue": sent})
    apply_commerce(state, event, world_of(Events()).catalog)
    assert (state.revenue, state.n_orders) == (counted, 1)


def test_currencies_are_never_added_blindly() -> None:
    events = Events(currency="EUR", rates={"USD": 0.5})
    world = world_of(events)
    for currency, total in (("EUR", 10), ("usd", 10), ("GBP", 1000), (None, 1)):
        world.track("a:1", "Order Completed", total=total, currency=currency)
    world.track("a:1", "Product Added", product_id="p", price=8, currency="USD")
    world.track("a:1", "Product Added", product_id="q", price=8, currency="GBP")
    state = world.visitors["a:1"].state
    assert (state.revenue, state.n_orders, state.cart) == (16.0, 4, {"p": 4.0, "q": 0.0})
    left_out = rule_errors(world.catalog)["events.rates"]
    assert (left_out.n_errors, "GBP" in left_out.last_error) == (2, True)


def _as_ever(state: VisitorState, event: str, properties: dict[str, Any]) -> None:
    """Cart and revenue as they were before a catalog could say what events mean."""

    def number(value: Any, default: float = 0.0) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return default
        try:
            found = float(value)
        except OverflowError:
            return default
        return max(-MAX_MAGNITUDE, min(MAX_MAGNITUDE, found)) if math.isfinite(found) else default

    if event in ("Product Added", "Product Removed"):
        product = properties.get("product_id")
        if not isinstance(product, str | int):
            return
        product = str(product)[:MAX_CATEGORY_CHARS]
        if event == "Product Removed":
            state.cart.pop(product, None)
        else:
            amount = number(properties.get("price")) * max(1.0, number(properties.get("quantity"), 1.0))
            state.cart[product] = min(MAX_MAGNITUDE, state.cart.pop(product, 0.0) + amount)
            while len(state.cart) > MAX_CART:
                del state.cart[next(iter(state.cart))]
    elif event == "Order Completed":
        revenue = properties.get("revenue", properties.get("total"))
        state.revenue = min(MAX_MAGNITUDE, state.revenue + max(0.0, number(revenue)))
        state.n_orders += 1
        state.cart = {}
    elif event == "Cart Cleared":
        state.cart = {}


def test_null_for_a_revenue_is_none_only_where_a_catalog_says_what_events_mean() -> None:
    sent = ("Order Completed", {"revenue": None, "total": 5})
    assert bought(None, sent).revenue == 0.0, "as ever"
    assert bought(Events(), sent).revenue == 5.0


def test_a_catalog_that_says_nothing_folds_as_ever() -> None:
    drawn = random.Random(11)
    catalog = world_of(None).catalog
    names = ["Product Added"] * 40 + ["Product Removed", "Order Completed", "Cart Cleared", "Order Refunded"]
    names += ["purchase", "added", "ordered", "Product Viewed"]
    values: list[Any] = [
        None,
        True,
        False,
        "",
        "p",
        "19.90",
        0,
        1,
        7,
        -3,
        2.5,
        1e308,
        10**400,
        math.nan,
        math.inf,
        [1],
        {},
    ]
    values += [f"p{n}" for n in range(60)]
    fields = ["product_id", "productId", "price", "quantity", "revenue", "total", "value", "products", "items"]
    ours, before = VisitorState(), VisitorState()
    for _ in range(8000):
        name = drawn.choice(names)
        properties = {field: drawn.choice(values) for field in drawn.sample(fields, drawn.randint(0, 9))}
        apply_commerce(ours, Track(message_id="m", event=name, properties=properties), catalog)
        _as_ever(before, name, properties)
        assert (ours.cart, list(ours.cart), ours.revenue, ours.n_orders) == (
            before.cart,
            list(before.cart),
            before.revenue,
            before.n_orders,
        ), (name, properties)


def test_so_many_of_a_product_are_taken_out_as_the_event_says() -> None:
    line = {"cartLine": {"merchandise": SHOPIFY_VARIANT, "quantity": 3}}
    added = ("product_added_to_cart", line)
    one = ("product_removed_from_cart", {"cartLine": {**line["cartLine"], "quantity": 1}})
    all_ = ("product_removed_from_cart", {"cartLine": {"merchandise": {"product": {"id": "p1"}}}})
    events = Events(presets=("shopify",))
    assert bought(events, added, one).cart == {"p1": 40.0}
    assert bought(events, added, one, one, one).cart == {}
    assert bought(events, added, all_).cart == {}, "which says no number takes all of them"


def test_what_is_left_by_rounding_is_no_product() -> None:
    one = {"product_id": "p", "price": 19.99, "quantity": 1}
    sent = [("Product Added", one)] * 3 + [("Product Removed", {**one, "quantity": 3})]
    assert bought(Events(), *sent).cart == {}


def test_what_is_taken_out_in_an_unknown_currency_is_all_of_it() -> None:
    line = {"product_id": "p", "price": 20, "quantity": 3}
    taken_out = ("Product Removed", {**line, "quantity": 1, "currency": "GBP"})
    assert bought(Events(currency="EUR"), ("Product Added", line), taken_out).cart == {}


def test_a_refund_that_is_sent_as_a_negative_amount_is_a_refund() -> None:
    assert bought(Events(), ("Order Completed", {"total": 50}), ("Order Refunded", {"total": -20})).revenue == 30.0


def test_an_order_of_one_product_without_a_total_brought_what_that_costs() -> None:
    sent = ("Order Completed", {"product_id": "p", "price": "20", "quantity": 2})
    assert bought(Events(), sent).revenue == 40.0
    assert bought(None, sent).revenue == 0.0, "as ever"


def test_a_page_may_be_an_order() -> None:
    world = world_of(own(ordered=EventMapping(event="page")))
    world.send("a:1", Page(message_id="1", properties={"total": 5}))
    state = world.visitors["a:1"].state
    assert (state.revenue, state.n_orders) == (5.0, 1)


def test_a_ga4_item_without_an_id_goes_by_its_name() -> None:
    item = {"item_name": "Tee", "price": 5}
    assert bought(Events(presets=("ga4",)), ("add_to_cart", {"items": [item]})).cart == {"Tee": 5.0}


@pytest.mark.parametrize("sent", ["", True, 7.5, [], {}])
def test_what_can_be_no_id_is_no_product(sent: Any) -> None:
    assert bought(Events(), ("Product Added", {"product_id": sent, "price": 5})).cart == {}


def test_an_id_that_is_calculated_may_be_a_number() -> None:
    added = EventMapping(event="Put in", id="properties.line * 10.0")
    assert bought(own(added=added), ("Put in", {"line": 7, "price": 5})).cart == {"70": 5.0}


def test_no_rate_makes_an_amount_endless() -> None:
    events = Events(currency="EUR", rates={"USD": 1e308})
    sent = {"total": 1e9, "currency": "USD"}
    event = Track(message_id="m", event="Order Completed", properties=sent)
    assert field_value(event, world_of(events).catalog.events, "revenue") == MAX_MAGNITUDE
    assert bought(events, ("Order Completed", sent)).revenue == MAX_MAGNITUDE


def test_a_list_of_ones_own_is_read_as_its_mapping_says() -> None:
    lines = ListedProduct(id="art.nr", price="preis")
    sold = EventMapping(event="In den Korb", products="properties.zeilen", product=lines)
    rows = [{"art": {"nr": 7}, "preis": "2.50", "quantity": 2}, {"preis": 1}, {"art": {"nr": "b"}, "preis": 4}]
    assert bought(own(added=sold), ("In den Korb", {"zeilen": rows})).cart == {"7": 5.0, "b": 4.0}


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("purchase", {"transaction_id": 4711, "value": 45}),
        ("Order Completed", {"order_id": "4711", "total": 45}),
        ("checkout_completed", {"checkout": {"order": {"id": "4711"}, "totalPrice": {"amount": 45}}}),
    ],
)
def test_an_order_that_is_sent_again_counts_once(name: str, properties: dict[str, Any]) -> None:
    world = world_of(Events(presets=("segment", "ga4", "shopify")))
    first = ("Order Completed", {"orderId": "4711", "total": 45})
    for event, sent in (
        first,
        ("Product Added", {"product_id": "p", "price": 3}),
        (name, properties),
        ("Order Refunded", {"order_id": "4711", "total": 5}),
        ("Order Completed", {"order_id": "4712", "total": 1}),
        ("Order Completed", {"order_id": "undefined", "total": 1}),
        ("Order Completed", {"order_id": "undefined", "total": 1}),
        ("Order Completed", {"total": 1}),
    ):
        world.track("a:1", event, **sent)
        if event == name and sent is properties:
            assert world.visitors["a:1"].state.cart == {"p": 3.0}, "what came since is not of that order"
    state = world.visitors["a:1"].state
    assert (state.revenue, state.n_orders, state.event_count) == (44.0, 5, 8)


def test_without_events_an_order_counts_as_often_as_it_is_sent() -> None:
    assert bought(None, *[("Order Completed", {"order_id": "1", "total": 1})] * 2).n_orders == 2
