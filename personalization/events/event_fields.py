"""The fields of an event by the catalog's mapping: what it is about, how many, what it brought."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from personalization.catalog.compiled_events import NOWHERE, CompiledEvents, Mapped
from personalization.catalog.rules import Rule, Scope
from personalization.events.event import ClientEvent, event_name
from personalization.events.event_paths import at_sent_path, sent_variable, within
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE

MAX_PRODUCTS = 250
"""As many as a list in an event may have."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MAX_NUMBER_CHARS = 32
_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?|\d{1,3}(,\d{3})+\.\d+)", re.ASCII)

_AMOUNTS = frozenset({"price", "revenue"})
_NUMBERS = _AMOUNTS | {"quantity", "rating"}


class Product(NamedTuple):
    """A product of an event, and what so many of it cost."""

    id: str
    amount: float

    def times(self, rate: float) -> Product:
        """The same in another currency."""
        return Product(self.id, self.amount * rate)


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


def field(event: ClientEvent, mapped: Mapped, name: str, *, past_nulls: bool = True) -> Any:
    """What the event has at the first path of a field that leads to something, else what its rule gives.

    Parameters
    ----------
    past_nulls
        Whether a path that leads to null leads to nothing.
    """
    found = mapped.fields.get(name, NOWHERE)
    if found.keys and past_nulls:
        properties = getattr(event, "properties", None) or _NOTHING
        for key in found.keys:
            value = properties.get(key)
            if value is not None:
                return value
        return None if found.rule is None else _calculated(event, found.rule)
    for path in found.paths:
        value = at_sent_path(event, path)
        if value is not None or (not past_nulls and _is_null(event, path)):
            return value
    return None if found.rule is None else _calculated(event, found.rule)


def _calculated(event: ClientEvent, rule: Rule) -> Any:
    return rule.value(Scope(lambda each: sent_variable(event, each)))


def _is_null(event: ClientEvent, path: tuple[str, ...]) -> bool:
    held = at_sent_path(event, path[:-1])
    return isinstance(held, dict) and path[-1] in held


def own_product(event: ClientEvent, mapped: Mapped, *, lenient: bool = True) -> list[Product]:
    """The one product that the event itself is about; none where it names none."""
    product = field(event, mapped, "id")
    if not isinstance(product, str | int):
        return []
    price = amount(field(event, mapped, "price"), lenient=lenient)
    n = amount(field(event, mapped, "quantity"), 1.0, lenient=lenient)
    return [Product(str(product)[:MAX_CATEGORY_CHARS], price * max(1.0, n))]


def products_of(event: ClientEvent, mapped: Mapped) -> list[Product]:
    """Those of its list that have an id."""
    found = []
    for entry in _listed(event, mapped):
        product = _of_entry(entry, mapped, "id")
        if isinstance(product, str | int):
            price = amount(_of_entry(entry, mapped, "price"))
            n = amount(_of_entry(entry, mapped, "quantity"), 1.0)
            found.append(Product(str(product)[:MAX_CATEGORY_CHARS], price * max(1.0, n)))
    return found


def revenue_of(event: ClientEvent, mapped: Mapped) -> float | None:
    """What an order brought: what it says, else what its products cost; None: it says neither."""
    said = read_number(field(event, mapped, "revenue"))
    if said is not None:
        return said
    products = products_of(event, mapped)
    return min(MAX_MAGNITUDE, sum(product.amount for product in products)) if products else None


def field_value(event: ClientEvent, events: CompiledEvents, name: str) -> Any:
    """One of ``vocabulary.FIELDS`` of the event, None where it has none.

    Numbers are numbers, texts are texts; ``id`` and ``category`` of an event with a list of products are lists.
    Amounts are in the catalog's currency: in one that it does not know they are nothing.
    """
    mapped = events.by_event.get(event_name(event), events.usual)
    if name in _AMOUNTS:
        own = revenue_of(event, mapped) if name == "revenue" else _own_value(event, mapped, name)
        rate = rate_of(event, mapped, events) if own is not None else None
        return None if own is None or rate is None else own * rate
    return _own_value(event, mapped, name)


def rate_of(event: ClientEvent, mapped: Mapped, events: CompiledEvents) -> float | None:
    """What one of the event's currency is worth in the catalog's; None: nobody said."""
    return events.rate(field(event, mapped, "currency")) if events.currency else 1.0


def _own_value(event: ClientEvent, mapped: Mapped, name: str) -> Any:
    value = field(event, mapped, name)
    if value is None and name in mapped.product:
        listed = [_read(name, _of_entry(entry, mapped, name)) for entry in _listed(event, mapped)]
        known = [each for each in listed if each is not None]
        if name not in _NUMBERS:
            return known or None
        return known[0] if len(known) == 1 else None
    return _read(name, value)


def _read(name: str, value: Any) -> Any:
    if name in _NUMBERS:
        return read_number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _listed(event: ClientEvent, mapped: Mapped) -> list[Any]:
    products = field(event, mapped, "products")
    return products[:MAX_PRODUCTS] if isinstance(products, list) else []


def _of_entry(entry: Any, mapped: Mapped, name: str) -> Any:
    for path in mapped.product.get(name, ()):
        value = within(entry, path)
        if value is not None:
            return value
    return None
