"""Facts made up about a visitor, or laid over what is known of one: "what if she had a pro plan, on her phone?"."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import msgspec

from personalization.audience.profile import apply_event
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.event import ClientEvent
from personalization.visitor.purposes import Word, add
from personalization.visitor.visitor_state import Decayed, Scalar, VisitorState

Consented: TypeAlias = dict[str, bool]


class MadeUpEvent(NamedTuple):
    """Something that the visitor is to have done, and when."""

    event: ClientEvent
    at_ms: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be so of a visitor; whatever is left out stays as it is known.

    Attributes
    ----------
    traits
        By name; None: they have no such trait.
    counts
        How often each event happened lately.
    cart
        What so many of each product cost, in place of what is in it.
    consent
        By purpose.
    segments
        Whether they are in each, whatever its rule says.
    events
        What they did, oldest first: windows, affinities and orders follow from it.
    device
        None: what the context says.
    known
        Whether they are registered; None: whether the request names a user.
    """

    traits: dict[str, Scalar | None] = {}
    counts: dict[str, float] = {}
    cart: dict[str, float] | None = None
    n_orders: int | None = None
    revenue: float | None = None
    consent: Consented = {}
    segments: dict[str, bool] = {}
    events: tuple[MadeUpEvent, ...] = ()
    device: str | None = None
    known: bool | None = None


def lay_over(state: VisitorState, facts: Facts, catalog: CompiledCatalog, now_ms: int) -> None:
    """Change ``state`` as if the facts were so."""
    for made_up in facts.events:
        apply_event(state, made_up.event, made_up.at_ms, max(now_ms, state.now_ms), catalog)
    for name, value in facts.traits.items():
        if value is None:
            state.traits.pop(name, None)
        else:
            state.traits[name] = value
    for name, count in facts.counts.items():
        state.counts[name] = Decayed(count, now_ms)
    if facts.cart is not None:
        state.cart = dict(facts.cart)
    if facts.n_orders is not None:
        state.n_orders = facts.n_orders
    if facts.revenue is not None:
        state.revenue = facts.revenue
    for purpose, granted in facts.consent.items():
        # Later than whatever they said, so that it holds.
        add(state.consents, purpose, Word(granted, max(now_ms, state.now_ms) + 1, True), catalog.named.purposes)


def take_over(scope: VisitorScope, facts: Facts) -> VisitorScope:
    """The scope, in which what no state holds is as the facts say."""
    taken: dict[str, Any] = {}
    if facts.device is not None:
        taken["device"] = facts.device
    if facts.known is not None:
        taken["known"] = scope.known = facts.known
    for name, value in taken.items():
        scope.take(name, value)
    if facts.segments and scope.state is not None:
        inside = scope.value("segments")
        scope.take(
            "segments",
            [
                name
                for name in dict.fromkeys((*scope.catalog.segments, *facts.segments))
                if facts.segments.get(name, name in inside)
            ],
        )
    return scope
