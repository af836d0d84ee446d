"""Cart, revenue and orders: what events do to them that mean so (``catalog.sections.events``)."""

from __future__ import annotations

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.compiled_events import CompiledEvents, Mapped
from personalization.events.event import Track
from personalization.events.event_fields import (
    Product,
    amount,
    field,
    own_product,
    products_of,
    rate_of,
    revenue_of,
)
from personalization.features import MAX_MAGNITUDE
from personalization.visitor.visitor_state import MAX_CART, VisitorState


def apply_commerce(state: VisitorState, event: Track, catalog: CompiledCatalog) -> None:
    """Take the event into cart, revenue and orders."""
    events = catalog.events
    mapped = events.commerce.get(event.event)
    if mapped is None:
        return
    match mapped.meaning:
        case "added" | "removed":
            for product in _products(event, mapped, events):
                _into_cart(state, product, added=mapped.meaning == "added")
        case "cart_cleared":
            state.cart = {}
        case "refunded":
            state.revenue = max(0.0, state.revenue - _revenue(event, mapped, events))
        case meaning:
            state.revenue = min(MAX_MAGNITUDE, state.revenue + _revenue(event, mapped, events))
            state.n_orders += 1
            if meaning == "ordered":
                state.cart = {}


def _products(event: Track, mapped: Mapped, events: CompiledEvents) -> list[Product]:
    """Those the event lists, else the one it is about; in an unknown currency they are worth nothing."""
    if not events.is_written:
        return own_product(event, mapped, lenient=False)
    found = products_of(event, mapped) or own_product(event, mapped)
    rate = rate_of(event, mapped, events) or 0.0
    return found if rate == 1.0 else [product.times(rate) for product in found]


def _into_cart(state: VisitorState, product: Product, *, added: bool) -> None:
    if not added:
        state.cart.pop(product.id, None)
        return
    state.cart[product.id] = min(MAX_MAGNITUDE, state.cart.pop(product.id, 0.0) + product.amount)
    while len(state.cart) > MAX_CART:
        del state.cart[next(iter(state.cart))]


def _revenue(event: Track, mapped: Mapped, events: CompiledEvents) -> float:
    if not events.is_written:
        return max(0.0, amount(field(event, mapped, "revenue", past_nulls=False), lenient=False))
    revenue = revenue_of(event, mapped)
    return 0.0 if revenue is None else max(0.0, revenue * (rate_of(event, mapped, events) or 0.0))
