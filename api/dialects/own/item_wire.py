"""Items as callers send and read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType, structs

from api.http.answer import Answer
from api.reading.json_schema import component
from api.reading.times import WireTime, time_ms
from api.reading.wire import Reader, T, Wire
from personalization.catalog.catalog import Content
from personalization.catalog.item import MAX_ITEM_FEATURES, Item, check_bodies, check_item
from personalization.errors import InvalidInput
from personalization.features import MAX_CATEGORY_CHARS, MAX_MAGNITUDE, Attribute, FeatureValue, clean, flat

WireAttribute: TypeAlias = str | float | bool | list[str]


class WireItem(Wire, frozen=True, kw_only=True):
    """An item, or what is to be changed of one: a field that is not sent stays, null takes it back."""

    type: Literal["html", "json", "redirect"] | UnsetType | None = UNSET
    body: Any = UNSET
    locales: dict[str, Any] | UnsetType | None = UNSET
    trusted: bool | UnsetType | None = UNSET
    features: dict[str, WireAttribute] | UnsetType | None = UNSET
    tags: list[str] | UnsetType | None = UNSET
    starts: WireTime | UnsetType = UNSET
    ends: WireTime | UnsetType = UNSET
    in_stock: bool | UnsetType | None = UNSET
    priority: int | UnsetType | None = UNSET


class WireNamedItem(WireItem, frozen=True, kw_only=True):
    """An item among several."""

    id: str


class WireItems(Wire, frozen=True, kw_only=True):
    """Several items."""

    items: list[Annotated[msgspec.Raw, component("WireNamedItem")]]


class _AnyItem(WireItem, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyNamedItem(WireNamedItem, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _Features(msgspec.Struct):
    features: dict[str, msgspec.Raw]


class ReaderOfFeatures(Reader[T]):
    """A reader of objects with features, which names the one that is wrong."""

    def read(self, text: bytes | msgspec.Raw, field: str = "") -> T:
        """The object in ``text``; raises ``InvalidInput``, see ``Reader``."""
        try:
            return super().read(text, field)
        except InvalidInput as error:
            at = f"{field}.features" if field else "features"
            match = re.fullmatch(re.escape(at) + r"((?:\[\d+\])?)", error.field)
            name = None if match is None else _wrong_feature(bytes(text))
            if match is None or name is None:
                raise
            raise InvalidInput(f"{at}.{name[:64]}{match[1]}", error.message, error.code) from error


def _wrong_feature(text: bytes) -> str | None:
    """The name of the first feature that no type fits; None where all do."""
    try:
        features = _features.decode(text).features
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    for name, value in features.items():
        try:
            _attribute.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return name
    return None


_features = msgspec.json.Decoder(_Features)
_attribute: msgspec.json.Decoder[WireAttribute] = msgspec.json.Decoder(WireAttribute)


class _AnyItems(WireItems, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


ITEM: Reader[WireItem] = ReaderOfFeatures(WireItem, _AnyItem)
NAMED_ITEM: Reader[WireNamedItem] = ReaderOfFeatures(WireNamedItem, _AnyNamedItem)
ITEMS: Reader[WireItems] = Reader(WireItems, _AnyItems)

_NEW = Item(content=Content())


def item_of(
    item_id: str, wire: WireItem, field: str = "", held: Item = _NEW, *, app_schemes: Collection[str] = ()
) -> Item:
    """The item, checked; what was not sent is as in ``held``.

    Parameters
    ----------
    app_schemes
        Schemes of apps to which redirects and links may lead.

    Raises
    ------
    InvalidInput
        Names the field, below ``field``.
    """
    try:
        item = _made(wire, held)
        check_item(item_id, item)
        if any(sent is not UNSET for sent in (wire.type, wire.body, wire.locales, wire.trusted)):
            check_bodies(item.content, app_schemes)
    except InvalidInput as error:
        raise InvalidInput(f"{field}.{error.field}" if field else error.field, error.message, error.code) from error
    return item


class ItemAnswer(Answer, frozen=True, kw_only=True):
    """An item.

    Attributes
    ----------
    revision
        Which change of all items this was; only where it was one.
    """

    id: str
    type: Literal["html", "json", "redirect"]
    body: Any
    locales: dict[str, Any]
    trusted: bool
    features: dict[str, Any]
    tags: tuple[str, ...]
    starts: str | None
    ends: str | None
    in_stock: bool
    priority: int
    revision: int | UnsetType | None = UNSET


def shown_item(item_id: str, item: Item, revision: int | UnsetType | None = UNSET) -> ItemAnswer:
    """An item as it is answered; ``revision`` is that of the change it is the answer to."""
    content = item.content
    return ItemAnswer(
        id=item_id,
        type=content.type,
        body=content.body,
        locales=content.locales,
        trusted=content.trusted,
        features=content.features,
        tags=item.tags,
        starts=_moment(content.starts_ms),
        ends=_moment(content.ends_ms),
        in_stock=item.in_stock,
        priority=content.priority,
        revision=revision,
    )


def _made(wire: WireItem, held: Item) -> Item:
    new = _NEW.content
    content = structs.replace(
        held.content,
        type=_said(wire.type, held.content.type, new.type),
        body=_said(wire.body, held.content.body, None),
        locales=_said(wire.locales, held.content.locales, {}),
        trusted=_said(wire.trusted, held.content.trusted, False),
        features=_said(wire.features, held.content.features, {}, read_features),
        starts_ms=_said(wire.starts, held.content.starts_ms, None, lambda value: time_ms(value, "starts")),
        ends_ms=_said(wire.ends, held.content.ends_ms, None, lambda value: time_ms(value, "ends")),
        priority=_said(wire.priority, held.content.priority, 0),
    )
    return Item(
        content=content,
        tags=tuple(dict.fromkeys(_said(wire.tags, held.tags, ()))),
        in_stock=_said(wire.in_stock, held.in_stock, True),
    )


def _said(sent: Any, held: Any, default: Any, read: Callable[[Any], Any] | None = None) -> Any:
    if sent is UNSET:
        return held
    if sent is None:
        return default
    return sent if read is None else read(sent)


def read_features(sent: dict[str, WireAttribute]) -> dict[str, Attribute]:
    """Features as models know them: numbers, and texts of at most ``MAX_CATEGORY_CHARS`` characters.

    >>> read_features({"price": 3, "new": True, "genres": ["War", "Western"]})
    {'price': 3.0, 'new': 1.0, 'genres': ('War', 'Western')}
    """
    found: dict[str, Attribute] = {}
    for name, value in sent.items():
        if not name or len(name) > MAX_CATEGORY_CHARS:
            raise InvalidInput("features", f"have names of 1 to {MAX_CATEGORY_CHARS} characters, not {name[:20]!r}")
        if isinstance(value, list):
            if len(value) > MAX_ITEM_FEATURES:
                message = f"are {len(value):,} categories at once; at most {MAX_ITEM_FEATURES} are taken"
                raise InvalidInput(f"features.{name}", message, "too_many")
            found[name] = tuple(text[:MAX_CATEGORY_CHARS] for text in value if text)
            continue
        cleaned = clean(value)
        if cleaned is not None:
            found[name] = cleaned
    return found


def flat_features(sent: dict[str, WireAttribute]) -> dict[str, FeatureValue]:
    """Features as a model is told of them: of several categories at once one each.

    >>> flat_features({"price": 3, "genres": ["War", "Western"]})
    {'price': 3.0, 'genres.War': 1.0, 'genres.Western': 1.0}
    """
    if len(sent) > MAX_ITEM_FEATURES:
        raise InvalidInput("features", f"are {len(sent):,}; at most {MAX_ITEM_FEATURES} are taken", "too_many")
    for name, value in sent.items():
        kind = type(value)  # nearly all are numbers in range and short texts, which stay as they are
        if kind is float:
            if not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:  # type: ignore[operator]  # a float
                break
        elif kind is not str or not 0 < len(value) <= MAX_CATEGORY_CHARS:  # type: ignore[arg-type]  # a text
            break
        if not 0 < len(name) <= MAX_CATEGORY_CHARS:
            break
    else:
        return sent  # type: ignore[return-value]  # as was just seen
    return flat(read_features(sent))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat().replace("+00:00", "Z")
