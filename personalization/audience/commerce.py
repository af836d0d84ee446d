"""Cart, revenue and orders: what events do to them that mean so (``catalog.sections.events``)."""

from __future__ import annotations

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_events import CompiledEvents, Mapped
from personalization.catalog.event_presets import PAYING
from personalization.events.event import ClientEvent, Page, Screen, Track, event_name
from personalization.events.event_fields import (
    Product,
    amount,
    field,
    mapped_of,
    mapped_sometimes,
    products_of,
    rate_of,
    read_id,
    revenue_of,
)
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE
from personalization.visitor.degenerate_id import is_degenerate
from personalization.visitor.visitor_state import MAX_CART, VisitorState

_LEAST_REST = 1e-9
"""A rest that is a smaller share of what was held came of rounding."""


def apply_commerce(state: VisitorState, event: Track | Page | Screen, catalog: CompiledCatalog) -> None:
    """Take the event into cart, revenue and orders."""
    events = catalog.events
    mapped = events.commerce.get(event_name(event))
    if events.conditions:
        mapped = mapped_sometimes(event, events) or mapped
    if mapped is None:
        return
    match mapped.meaning:
        case "added" | "removed":
            for product in _products(event, mapped, events):
                _into_cart(state, product, added=mapped.meaning == "added")
        case "cart_cleared":
            state.cart = {}
        case "refunded":
            state.revenue = max(0.0, state.revenue - abs(_revenue(event, mapped, events)))
        case meaning if meaning in PAYING:
            state.revenue = min(MAX_MAGNITUDE, state.revenue + max(0.0, _revenue(event, mapped, events)))
            state.n_orders += 1
            if meaning == "ordered":
                state.cart = {}


def order_of(event: ClientEvent, catalog: CompiledCatalog) -> str | None:
    """The id of the order that the event tells of; None: it tells of none, or names no id."""
    events = catalog.events
    if not events.is_written:
        return None
    mapped = mapped_of(event, events)
    order = read_id(field(event, mapped, "order")) if mapped.meaning == "ordered" else None
    return None if order is None or is_degenerate(order) else order


def _products(event: ClientEvent, mapped: Mapped, events: CompiledEvents) -> list[Product]:
    """Those the event lists, else the one it is about; in an unknown currency they are worth nothing."""
    if not events.is_written:
        return _as_ever(event, mapped)
    found = products_of(event, mapped)
    rate = rate_of(event, mapped, events)
    return found if rate == 1.0 else [product.times(rate) for product in found]


def _as_ever(event: ClientEvent, mapped: Mapped) -> list[Product]:
    product = field(event, mapped, "id")
    if not isinstance(product, str | int):
        return []
    price = amount(field(event, mapped, "price"), lenient=False)
    n = amount(field(event, mapped, "quantity"), 1.0, lenient=False)
    return [Product(str(product)[:MAX_CATEGORY_CHARS], price * max(1.0, n))]


def _into_cart(state: VisitorState, product: Product, *, added: bool) -> None:
    if not added:
        held = state.cart.pop(product.id, None)
        if held is not None and product.is_counted and held - product.amount > _LEAST_REST * abs(held):
            state.cart[product.id] = held - product.amount
        return
    state.cart[product.id] = min(MAX_MAGNITUDE, state.cart.pop(product.id, 0.0) + product.amount)
    while len(state.cart) > MAX_CART:
        del state.cart[next(iter(state.cart))]


def _revenue(event: ClientEvent, mapped: Mapped, events: CompiledEvents) -> float:
    if not events.is_written:
        return amount(field(event, mapped, "revenue", past_nulls=False), lenient=False)
    revenue = revenue_of(event, mapped)
    return 0.0 if revenue is None else revenue * (rate_of(event, mapped, events) or 0.0)
