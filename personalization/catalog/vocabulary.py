"""What rules, features and templates may name: every variable with its kind and range, and every function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["number", "text", "yes_no", "list", "map", "unknown"]
"""``unknown``: whatever the site sent."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, or an entry of one that is a map.

    Attributes
    ----------
    low, high
        The least and the largest number it can be; None: there is none.
    whole
        Whether it is a whole number always.
    words
        The only texts it can be; empty: any.
    entries
        What each entry of a map is; None: whatever the site sent.
    named
        The entries a map always has; empty: any names may stand in it.
    """

    kind: Kind
    low: float | None = None
    high: float | None = None
    whole: bool = False
    words: tuple[str, ...] = ()
    entries: Variable | None = None
    named: Mapping[str, Variable] = field(default_factory=dict)

    def entry(self, name: str) -> Variable | None:
        """What stands under ``name`` in this map, None if nothing can."""
        if self.kind == "unknown":
            return ANYTHING
        if self.kind != "map":
            return None
        return self.named.get(name) if self.named else self.entries


ANYTHING = Variable("unknown")
_TEXT, _YES_NO, _NUMBER = Variable("text"), Variable("yes_no"), Variable("number")
_COUNT = Variable("number", low=0, whole=True)
_POSITIVE = Variable("number", low=0)
_SENT = Variable("map", entries=ANYTHING)

VISITOR: Mapping[str, Variable] = MappingProxyType(
    {
        "affinities": Variable(
            "map", entries=Variable("map", entries=_NUMBER)
        ),  # affinities.category.shoes, fading
        "cart": Variable("map", entries=_NUMBER),  # product → value
        "cart_value": _NUMBER,
        "consents": Variable("map", entries=_YES_NO),  # by purpose
        "context": _SENT,  # the request's, Segment-shaped
        "counts": Variable("map", entries=_POSITIVE),  # event → count, fading
        "days_since_first": _POSITIVE,
        "days_since_last": _POSITIVE,
        "device": Variable("text", words=("mobile", "tablet", "desktop", "bot", "unknown")),
        "event_count": _COUNT,
        "hour": Variable("number", low=0, high=23, whole=True),  # UTC unless context.timezone says otherwise
        "known": _YES_NO,  # registered
        "n_orders": _COUNT,
        "revenue": _NUMBER,
        "scores": Variable("map", entries=_NUMBER),  # conversion → how likely, score → points
        "segments": Variable("list"),  # names
        "session": Variable(
            "map", named={"number": _COUNT, "n_events": _COUNT, "n_views": _COUNT, "seconds": _POSITIVE}
        ),
        "tiers": Variable("map", entries=_TEXT),  # score → tier
        "traits": _SENT,
        "trends": Variable("map", entries=Variable("text", words=("rising", "steady", "falling"))),  # by score
        "weekday": Variable("number", low=0, high=6, whole=True),  # 0 = Monday
    }
)
"""What segments and eligibility may name: the visitor and the request."""

FIELDS: Mapping[str, Variable] = MappingProxyType(
    {
        "category": ANYTHING,  # a text, or a list of texts
        "currency": _TEXT,
        "id": ANYTHING,
        "order": _TEXT,
        "price": _NUMBER,
        "quantity": _NUMBER,
        "rating": _NUMBER,
        "revenue": _NUMBER,
    }
)
"""What is found in events wherever their senders put it (``catalog.sections.events``)."""

_SENT_EVENT = {"event": _TEXT, "type": _TEXT, "properties": _SENT, "traits": _SENT, "context": _SENT}

EVENT: Mapping[str, Variable] = MappingProxyType(
    {
        **_SENT_EVENT,
        "content": Variable("map", named={"id": _TEXT, "features": _SENT}),  # the content or item it names
        "fields": Variable("map", named=FIELDS),
    }
)
"""What reward and affinity rules may name: the event and nothing of the visitor, so that its worth is its own."""

VISITOR_VARIABLES = frozenset(VISITOR)
EVENT_VARIABLES = frozenset(EVENT)

SENT_VARIABLES = frozenset(_SENT_EVENT)
"""Of these what the caller sent as it is."""

COMMERCE_VARIABLES = frozenset({"cart", "cart_value", "n_orders", "revenue"})
"""What events change that mean so (``catalog.sections.events``), and nothing else."""

TRAIT_EVENTS = frozenset({"identify", "group"})
"""The events that change traits."""

STEADY_VARIABLES = COMMERCE_VARIABLES | {"traits"}
"""What neither time, nor a request, nor a model changes, but such events alone."""

PLAIN_VARIABLES = frozenset(
    {"cart_value", "device", "event_count", "hour", "known", "n_orders", "segments", "weekday"}
)
"""Variables of few values (most carts are empty): what rules over them give is remembered. Besides these, single
traits (``traits.plan``), which are numbers, texts and booleans."""

NUMBER_FUNCTIONS = frozenset(
    {
        *("double", "int", "size", "uint"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth"),
        *("getHours", "getMilliseconds", "getMinutes", "getSeconds"),
    }
)
"""Functions that give a number; all but ``double`` a whole one."""

TEXT_METHODS = frozenset({"endsWith", "matches", "startsWith"})
"""Methods of texts that give true or false."""

FUNCTIONS = (
    NUMBER_FUNCTIONS | TEXT_METHODS | {"bytes", "contains", "duration", "dyn", "string", "timestamp", "type"}
)
"""What rules may call, besides operators, ``has`` and the macros all, exists, exists_one, filter and map.

An unknown function would only fail when evaluated: the rule would never hold, and nobody would know why.
"""
