"""What events mean, whatever their sender calls them, and where what they are about stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, get_args

from personalization.catalog.event_presets import PRESETS, Meaning, Preset
from personalization.catalog.section import RuleAt
from personalization.catalog.spec import Cel, Spec
from personalization.catalog.vocabulary import EVENT, FIELDS, Kind

MEANINGS: tuple[str, ...] = get_args(Meaning)

ANY = "any"
"""Stands for all currencies."""

_TEXTS = frozenset({"id", "category", "currency", "order"})

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class ListedProduct(Spec, frozen=True, kw_only=True):
    """Where the fields of one product stand within its entry of a list: dotted paths into the entry.

    What is not written stands where the preset has it, else where it usually does.

    Attributes
    ----------
    id
        Of the product.
    category
        Its category.
    price
        What one costs.
    quantity
        How many.
    """

    id: str = ""
    category: str = ""
    price: str = ""
    quantity: str = ""


class EventMapping(Spec, frozen=True, kw_only=True):
    """An event of a site's own, and where its fields stand: dotted paths into it, or CEL that calculates.

    What is not written stands where the preset has it that names the event, else where it usually does.

    Attributes
    ----------
    event
        Its name, as it is sent.
    when
        Which of them, if not all: CEL over the event. Those go by the meaning's name instead of their own.
    id
        Of the product, or whatever it is about.
    category
        Its category.
    price
        What one costs.
    quantity
        How many.
    revenue
        What the order brought, or the refund took.
    currency
        Three letters, such as EUR.
    rating
        How content somebody was.
    order
        The id of the order: one that is sent again adds nothing to revenue and orders.
    products
        The list of products, if there are several.
    product
        Where the fields of each stand in that list.
    """

    short_form: ClassVar[str] = "Booking Confirmed"
    short_schema: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["Booking Confirmed", "purchase"]}

    event: str
    when: Cel | None = None
    id: Cel = ""
    category: Cel = ""
    price: Cel = ""
    quantity: Cel = ""
    revenue: Cel = ""
    currency: Cel = ""
    rating: Cel = ""
    order: Cel = ""
    products: str = ""
    product: ListedProduct | None = None

    @classmethod
    def from_short(cls, text: str) -> EventMapping | None:
        """The event's name; None if there is none."""
        return cls(event=text) if text.strip() else None


class Events(Spec, frozen=True, kw_only=True):
    """What events mean: the meanings can stand wherever an event may.

    Attributes
    ----------
    presets
        Whose events come: known names of events, and where their fields stand. `segment` if absent.
    currency
        What amounts are counted in, such as EUR; amounts in another one are left out unless `rates` has it. `any`,
        and none at all: they are added up as they come.
    rates
        By currency, what one of it is worth in `currency`.
    viewed
        Somebody looked at a product, a room, an article.
    list_viewed
        Somebody looked at a list of them.
    selected
        Somebody chose one from a list.
    searched
        Somebody searched.
    added
        It was put into the cart.
    removed
        It was taken out of the cart.
    cart_cleared
        The cart was emptied.
    wished
        It was put on a list of wishes.
    checkout_started
        Somebody began to pay.
    ordered
        Somebody bought: revenue and orders grow, the cart is empty.
    refunded
        Money was given back: revenue falls.
    signed_up
        Somebody registered.
    signed_in
        Somebody logged in.
    trial_started
        Somebody tries it for a while.
    subscribed
        Somebody subscribed: revenue and orders grow.
    renewed
        A subscription goes on: revenue and orders grow.
    cancelled
        A subscription ends.
    email_delivered
        A mail arrived.
    email_opened
        A mail was opened.
    email_clicked
        A link in a mail was followed.
    email_forwarded
        A mail was passed on.
    email_bounced
        A mail could not be delivered.
    email_complained
        A mail was called spam.
    unsubscribed
        Somebody wants no more mails.
    ticket_opened
        Somebody asked for help.
    ticket_solved
        They were helped.
    rated
        Somebody said how content they are.
    liked
        Somebody likes it.
    shared
        Somebody shared it.
    commented
        Somebody commented on it.
    followed
        Somebody follows it.
    mentioned
        Somebody spoke of it.
    """

    presets: tuple[Preset, ...] = ("segment",)
    currency: str = ""
    rates: dict[str, float] = {}
    viewed: tuple[EventMapping, ...] = ()
    list_viewed: tuple[EventMapping, ...] = ()
    selected: tuple[EventMapping, ...] = ()
    searched: tuple[EventMapping, ...] = ()
    added: tuple[EventMapping, ...] = ()
    removed: tuple[EventMapping, ...] = ()
    cart_cleared: tuple[EventMapping, ...] = ()
    wished: tuple[EventMapping, ...] = ()
    checkout_started: tuple[EventMapping, ...] = ()
    ordered: tuple[EventMapping, ...] = ()
    refunded: tuple[EventMapping, ...] = ()
    signed_up: tuple[EventMapping, ...] = ()
    signed_in: tuple[EventMapping, ...] = ()
    trial_started: tuple[EventMapping, ...] = ()
    subscribed: tuple[EventMapping, ...] = ()
    renewed: tuple[EventMapping, ...] = ()
    cancelled: tuple[EventMapping, ...] = ()
    email_delivered: tuple[EventMapping, ...] = ()
    email_opened: tuple[EventMapping, ...] = ()
    email_clicked: tuple[EventMapping, ...] = ()
    email_forwarded: tuple[EventMapping, ...] = ()
    email_bounced: tuple[EventMapping, ...] = ()
    email_complained: tuple[EventMapping, ...] = ()
    unsubscribed: tuple[EventMapping, ...] = ()
    ticket_opened: tuple[EventMapping, ...] = ()
    ticket_solved: tuple[EventMapping, ...] = ()
    rated: tuple[EventMapping, ...] = ()
    liked: tuple[EventMapping, ...] = ()
    shared: tuple[EventMapping, ...] = ()
    commented: tuple[EventMapping, ...] = ()
    followed: tuple[EventMapping, ...] = ()
    mentioned: tuple[EventMapping, ...] = ()


def is_path(source: str) -> bool:
    """Whether a field is found by a path, and not calculated.

    >>> is_path("properties.rate"), is_path("properties.rate * properties.nights")
    (True, False)
    """
    return _PATH.fullmatch(source) is not None


def own_mappings(events: Events | None) -> Iterator[tuple[str, str, EventMapping]]:
    """(path, meaning, mapping) of each that is written."""
    if events is None:
        return
    for meaning in MEANINGS:
        mappings = getattr(events, meaning)
        for index, mapping in enumerate(mappings):
            yield f"events.{meaning}[{index}]" if len(mappings) > 1 else f"events.{meaning}", meaning, mapping


def event_rules(events: Events | None) -> Iterator[RuleAt]:
    """Every field that is calculated, and which events a mapping is for."""
    for where, _, mapping in own_mappings(events):
        if mapping.when is not None:
            yield RuleAt(f"{where}.when", mapping.when, EVENT, "yes_no", mapping.event)
        for name in FIELDS:
            source = getattr(mapping, name)
            if source and not is_path(source):
                gives: Kind = "text" if name in _TEXTS else "number"
                yield RuleAt(f"{where}.{name}", source, EVENT, gives, mapping.event)


def meanings_by_name(events: Events | None) -> dict[str, str]:
    """What each event means always, own mappings before presets; each meaning means itself."""
    if events is None:
        return {}
    found: dict[str, str] = dict(zip(MEANINGS, MEANINGS, strict=True))
    for preset in events.presets:
        found.update((name, meaning) for name, meaning in PRESETS[preset].names.items() if name not in MEANINGS)
    found.update((mapping.event, meaning) for _, meaning, mapping in own_mappings(events) if mapping.when is None)
    return found


class Sometimes(NamedTuple):
    """An event that means something where a condition holds.

    Attributes
    ----------
    where
        Where that is written.
    own
        The mapping; None: a preset says so.
    """

    event: str
    when: str
    meaning: str
    where: str
    own: EventMapping | None = None


def sometimes(events: Events | None) -> Iterator[Sometimes]:
    """Those events, in the order in which their conditions are asked: own mappings before presets.

    A preset's is left out where an own mapping says what that event always means.
    """
    if events is None:
        return
    always = set()
    for where, meaning, mapping in own_mappings(events):
        if mapping.when is None:
            always.add(mapping.event)
        else:
            yield Sometimes(mapping.event, mapping.when, meaning, where, mapping)
    for preset in events.presets:
        for name, conditions in PRESETS[preset].sometimes.items():
            if name not in always:
                for when, meaning in conditions.items():
                    yield Sometimes(name, when, meaning, f"events.{meaning}")
