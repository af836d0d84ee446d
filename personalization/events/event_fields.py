"""The fields of an event by the catalog's mapping: what it is about, how many, what it brought."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from personalization.catalog.compiled_events import NOWHERE, CompiledEvents, Field, Mapped
from personalization.catalog.event_presets import PAYING
from personalization.catalog.rules import Rule, Scope
from personalization.events.event import ClientEvent, event_name
from personalization.events.event_paths import at_sent_path, sent_variable, within
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE

MAX_PRODUCTS = 250
"""As many as a list in an event may have."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MAX_NUMBER_CHARS = 32
_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?|\d{1,3}(,\d{3})+\.\d+)", re.ASCII)

_SELLING = PAYING | {"refunded", ""}
_AMOUNTS = frozenset({"price", "revenue"})
_NUMBERS = _AMOUNTS | {"quantity", "rating"}


class Product(msgspec.Struct, frozen=True, gc=False):
    """A product of an event.

    Attributes
    ----------
    amount
        What so many of it cost.
    is_counted
        Whether the event says both what one costs and how many they are.
    """

    id: str
    amount: float
    is_counted: bool = False

    def times(self, rate: float | None) -> Product:
        """The same in another currency; None: in one of which nobody knows what it is worth."""
        if rate is None:
            return Product(self.id, 0.0)
        return Product(self.id, self.amount * rate, self.is_counted)


def read_number(value: Any) -> float | None:
    """A finite number, or one sent as text; None for anything else.

    Text is a number with a decimal point at most (``19.90``), or with commas between groups of three and a decimal
    point behind them (``1,299.00``). ``1,299`` and ``19,90`` are none: nobody can tell which comma it is.

    >>> [read_number(text) for text in ("19.90", "1,299.00", "1,299", "19,90", "€ 5")]
    [19.9, 1299.0, None, None, None]
    """
    if type(value) is int or type(value) is float:
        if -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
            return float(value)
    elif isinstance(value, str):
        text = value.strip()
        if len(text) > _MAX_NUMBER_CHARS or _NUMBER.fullmatch(text) is None:
            return None
        value = float(text.replace(",", ""))
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return max(-MAX_MAGNITUDE, min(MAX_MAGNITUDE, number)) if math.isfinite(number) else None


def amount(value: Any, default: float = 0.0, *, lenient: bool = True) -> float:
    """The number, else ``default``; unless ``lenient`` a number sent as text is none."""
    number = None if isinstance(value, str) and not lenient else read_number(value)
    return default if number is None else number


def name_in(event: ClientEvent, events: CompiledEvents) -> str:
    """The name by which rules and counts have an event: its own, else the meaning that it has by a condition."""
    if events.conditions:
        mapped = mapped_sometimes(event, events)
        if mapped is not None:
            return mapped.meaning
    return event_name(event)


def mapped_sometimes(event: ClientEvent, events: CompiledEvents) -> Mapped | None:
    """What the event means by the first condition that holds; None: there is none that does."""
    conditions = events.conditions.get(event_name(event))
    if conditions is None:
        return None
    asked, mapped = events.latest.found
    if asked is not event:
        scope = Scope(lambda each: sent_variable(event, each))
        mapped = next((each.mapped for each in conditions if each.rule.holds(scope)), None)
        events.latest.found = event, mapped
    return mapped


def mapped_of(event: ClientEvent, events: CompiledEvents) -> Mapped:
    """What the event means, and where its fields stand."""
    if events.conditions:
        mapped = mapped_sometimes(event, events)
        if mapped is not None:
            return mapped
    return events.by_event.get(event_name(event), events.usual)


def field(event: ClientEvent, mapped: Mapped, name: str, *, past_nulls: bool = True) -> Any:
    """What the event has at the first path of a field that leads to something, else what its rule gives.

    Parameters
    ----------
    past_nulls
        Whether a path that leads to null leads to nothing.
    """
    found = mapped.fields.get(name, NOWHERE)
    if past_nulls:
        return _found(event, found, _properties(event))
    for path in found.paths:
        value = at_sent_path(event, path)
        if value is not None or _is_null(event, path):
            return value
    return None if found.rule is None else _calculated(event, found.rule)


def _properties(event: ClientEvent) -> Mapping[str, Any]:
    return getattr(event, "properties", None) or _NOTHING


def _found(event: ClientEvent, found: Field, properties: Mapping[str, Any]) -> Any:
    if found.keys:
        for key in found.keys:
            value = properties.get(key)
            if value is not None:
                return value
    else:
        for path in found.paths:
            value = at_sent_path(event, path)
            if value is not None:
                return value
    return None if found.rule is None else _calculated(event, found.rule)


def _calculated(event: ClientEvent, rule: Rule) -> Any:
    return rule.value(Scope(lambda each: sent_variable(event, each)))


def _is_null(event: ClientEvent, path: tuple[str, ...]) -> bool:
    held = at_sent_path(event, path[:-1])
    return isinstance(held, dict) and path[-1] in held


def products_of(event: ClientEvent, mapped: Mapped) -> list[Product]:
    """Those of its list that have an id, else the one that the event itself is about; none where it names none."""
    fields, properties = mapped.fields, _properties(event)
    listed = _found(event, fields["products"], properties)
    found = []
    if isinstance(listed, list):
        at = mapped.product
        for entry in listed[:MAX_PRODUCTS]:
            product = read_id(_in_entry(entry, at["id"]))
            if product is not None:
                found.append(_product(product, _in_entry(entry, at["price"]), _in_entry(entry, at["quantity"])))
    if not found:
        product = read_id(_found(event, fields["id"], properties))
        if product is not None:
            price = _found(event, fields["price"], properties)
            found.append(_product(product, price, _found(event, fields["quantity"], properties)))
    return found


def _product(product: str, price: Any, quantity: Any) -> Product:
    one = read_number(price)
    n = None if quantity is None else read_number(quantity)
    if one is None or n is None:
        return Product(product, one or 0.0)
    return Product(product, one * n if n > 1.0 else one, True)


def read_id(value: Any) -> str | None:
    """An id as it is kept; whole numbers are ids too, nothing else is.

    >>> [read_id(value) for value in ("p7", 7, 7.0, "", True, 7.5)]
    ['p7', '7', '7', None, None, None]
    """
    if type(value) is str:
        return value[:MAX_CATEGORY_CHARS] or None
    if type(value) is int or (type(value) is float and value.is_integer()):
        return str(int(value))[:MAX_CATEGORY_CHARS]
    return None


def revenue_of(event: ClientEvent, mapped: Mapped) -> float | None:
    """What an order brought: what it says, else what its products cost; None: it says neither, or is no order."""
    said = read_number(field(event, mapped, "revenue"))
    if said is not None or mapped.meaning not in _SELLING:
        return said
    products = products_of(event, mapped)
    return min(MAX_MAGNITUDE, sum(product.amount for product in products)) if products else None


def field_value(event: ClientEvent, events: CompiledEvents, name: str) -> Any:
    """One of ``vocabulary.FIELDS`` of the event, None where it has none.

    Numbers are numbers, texts are texts; ``id`` and ``category`` of an event with a list of products are lists.
    Amounts are in the catalog's currency: in one that it does not know they are nothing.
    """
    mapped = mapped_of(event, events)
    if name in _AMOUNTS:
        own = revenue_of(event, mapped) if name == "revenue" else _own_value(event, mapped, name)
        rate = rate_of(event, mapped, events) if own is not None else None
        return None if own is None or rate is None else max(-MAX_MAGNITUDE, min(MAX_MAGNITUDE, own * rate))
    return _own_value(event, mapped, name)


def rate_of(event: ClientEvent, mapped: Mapped, events: CompiledEvents) -> float | None:
    """What one of the event's currency is worth in the catalog's; None: nobody said."""
    currency = field(event, mapped, "currency")
    if events.currency:
        return events.rate(currency)
    if events.is_written:
        events.mixed.note(currency)
    return 1.0


def _own_value(event: ClientEvent, mapped: Mapped, name: str) -> Any:
    value = field(event, mapped, name)
    if value is None and name in mapped.product:
        at = mapped.product[name]
        listed = [_read(name, _in_entry(entry, at)) for entry in _listed(event, mapped)]
        known = [each for each in listed if each is not None]
        if name not in _NUMBERS:
            return known or None
        return known[0] if len(known) == 1 else None
    return _read(name, value)


def _read(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return read_number(value)
    return read_id(value) if isinstance(value, int | float) else value


def _listed(event: ClientEvent, mapped: Mapped) -> list[Any]:
    products = field(event, mapped, "products")
    return products[:MAX_PRODUCTS] if isinstance(products, list) else []


def _in_entry(entry: Any, found: Field) -> Any:
    if found.keys and isinstance(entry, dict):
        for key in found.keys:
            value = entry.get(key)
            if value is not None:
                return value
        return None
    for path in found.paths:
        value = within(entry, path)
        if value is not None:
            return value
    return None
