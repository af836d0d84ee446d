"""What a preview is asked for with: a visitor, facts, placements, and perhaps a catalog not published yet."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from api.dialects.own.wire import WirePlacement, WireVisitor
from api.reading.times import WireTime
from api.reading.wire import Reader, Wire

MAX_FILES = 200
MAX_EVENTS = 100

Count: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]
Amount: TypeAlias = Annotated[float, Meta(ge=-1e12, le=1e12)]
Name: TypeAlias = Annotated[str, Meta(max_length=256)]
Value: TypeAlias = Name | int | float | bool | None

_OF = Meta(max_length=256)
"""As many facts of a kind as anybody says of one person, and more than a visitor's state keeps."""


class WireMadeUpEvent(Wire, frozen=True, kw_only=True):
    """Something that the visitor is to have done.

    Attributes
    ----------
    ago
        How long ago, such as `2d` or `30m`; left out: just now.
    """

    event: Annotated[str, Meta(min_length=1, max_length=256)]
    ago: str | None = None
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


class WireFacts(Wire, frozen=True, kw_only=True):
    """What is to be so of the visitor; whatever is left out stays as it is known.

    Attributes
    ----------
    traits
        By name; null: they have no such trait.
    counts
        How often each event happened lately.
    cart
        What so many of each product cost, in place of what is in it.
    consent
        By purpose.
    segments
        Whether they are in each, whatever its rule says.
    events
        What they did, in its order: windows, affinities and orders follow from it.
    device
        `mobile`, `tablet`, `desktop`, `bot` or `unknown`.
    known
        Whether they are registered.
    now
        When it is; left out: now.
    """

    traits: Annotated[dict[Name, Value], _OF] = msgspec.field(default_factory=dict)
    counts: Annotated[dict[Name, Count], _OF] = msgspec.field(default_factory=dict)
    cart: Annotated[dict[Name, Amount], _OF] | None = None
    n_orders: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    revenue: Amount | None = None
    consent: Annotated[dict[Name, bool], Meta(max_length=32)] = msgspec.field(default_factory=dict)
    segments: Annotated[dict[Name, bool], _OF] = msgspec.field(default_factory=dict)
    events: Annotated[list[WireMadeUpEvent], Meta(max_length=MAX_EVENTS)] = msgspec.field(default_factory=list)
    device: Literal["mobile", "tablet", "desktop", "bot", "unknown"] | None = None
    known: bool | None = None
    now: WireTime = None


class WireDraft(Wire, frozen=True, kw_only=True):
    """A catalog that is not published yet.

    Attributes
    ----------
    files
        The text of each of its files, YAML or JSON, by name.
    """

    files: Annotated[dict[str, str], Meta(min_length=1, max_length=MAX_FILES)]


class WirePreview(Wire, frozen=True, kw_only=True):
    """What a visitor would see.

    Attributes
    ----------
    visitor
        Left out: somebody made up of the facts.
    placements
        Left out: all of the catalog's.
    """

    visitor: WireVisitor | None = None
    placements: list[str | WirePlacement] | None = None
    facts: WireFacts = msgspec.field(default_factory=WireFacts)
    context: dict[str, Any] | None = None
    catalog: WireDraft | None = None


PREVIEW: Reader[WirePreview] = Reader(WirePreview, WirePreview)  # a fact by another name would be no fact
