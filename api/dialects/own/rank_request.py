"""What a ranking is asked of: the items that the caller brought, read and checked."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from api.dialects.own.item_wire import ReaderOfFeatures, WireAttribute, flat_features
from api.dialects.own.wire import WireVisitor
from api.reading.ids import WireId, check_id
from api.reading.wire import Reader, Wire
from personalization.deciding.candidates import MAX_CANDIDATES, Candidates, passing_candidates
from personalization.deciding.eligibility import EXCLUDED
from personalization.errors import InvalidInput
from personalization.features import FeatureValue
from personalization.free_json import check_free_json


class WireRankItem(Wire, frozen=True, kw_only=True):
    """One item to be ranked."""

    id: WireId
    features: dict[str, WireAttribute] | None = None
    content: Any = None


class WireRank(Wire, frozen=True, kw_only=True):
    """Rank these items for this visitor.

    Attributes
    ----------
    explain
        The answer says why each slot shows its item; by a server key that may read visitors.
    """

    visitor: WireVisitor
    placement: str
    items: list[WireRankItem]
    excluded: list[WireId] | None = None
    slots: int = 1
    request_id: WireId = None
    context: dict[str, Any] | None = None
    deadline_ms: int | float | None = None
    activate: bool = True
    explain: bool = False


class _AnyRankItem(WireRankItem, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyRank(WireRank, frozen=True, kw_only=True, forbid_unknown_fields=False):
    items: list[_AnyRankItem]  # type: ignore[assignment]  # each of them is one that WireRank has


class _ItemsAlone(Wire, frozen=True, kw_only=True, forbid_unknown_fields=False):
    items: list[msgspec.Raw]


_RANK: Reader[WireRank] = Reader(WireRank, _AnyRank)
_ITEM: Reader[WireRankItem] = ReaderOfFeatures(WireRankItem, _AnyRankItem)
_items_alone = msgspec.json.Decoder(_ItemsAlone)


def read_rank(body: bytes) -> WireRank:
    """The request in ``body``; raises ``InvalidInput`` that names the field, of an item with its index."""
    try:
        return _RANK.read(body)
    except InvalidInput as error:
        if error.field.startswith("items"):
            for index, item in enumerate(_items_of(body)):
                _ITEM.read(item, f"items[{index}]")
        raise


def _items_of(body: bytes) -> list[msgspec.Raw]:
    """The items one by one; none where they cannot be told apart."""
    try:
        return _items_alone.decode(body).items
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return []


def brought(wire: WireRank) -> Candidates:
    """The items as candidates, in the caller's order.

    Raises
    ------
    InvalidInput
        Names the item, and what is wrong with it.
    """
    if not wire.items:
        raise InvalidInput("items", "are none; bring at least one", "missing_field")
    if len(wire.items) > MAX_CANDIDATES:
        raise InvalidInput("items", f"are {len(wire.items)}; at most {MAX_CANDIDATES:,} are ranked", "too_many")
    features: dict[str, dict[str, FeatureValue]] = {}
    contents: dict[str, Any] = {}
    for index, item in enumerate(wire.items):
        item_id = check_id(item.id, f"items[{index}].id")
        if item_id is None:
            raise InvalidInput(f"items[{index}].id", "is missing", "missing_field")
        if item_id in contents:
            message = f"{item_id!r} stands there twice; name each item once"
            raise InvalidInput(f"items[{index}].id", message, "duplicate_id")
        contents[item_id] = item.content
        if item.features:
            try:
                features[item_id] = flat_features(item.features)
            except InvalidInput as error:
                raise InvalidInput(f"items[{index}].{error.field}", error.message, error.code) from error
    _check_contents(contents)
    return passing_candidates(contents, features or None, _excluded(wire, contents))


def _check_contents(contents: dict[str, Any]) -> None:
    """Refuse, before anything is decided, a content that could not be given back."""
    try:
        orjson.dumps(contents)
    except TypeError:
        for index, content in enumerate(contents.values()):
            check_free_json(content, f"items[{index}].content")
        raise


def _excluded(wire: WireRank, contents: dict[str, Any]) -> dict[str, str]:
    left_out: dict[str, str] = {}
    for index, each in enumerate(wire.excluded or ()):
        excluded = check_id(each, f"excluded[{index}]")
        if excluded not in contents:
            raise InvalidInput(f"excluded[{index}]", "is the id of no item here; name one of items", "unknown_name")
        left_out[excluded] = EXCLUDED
    if len(left_out) == len(contents):
        raise InvalidInput("excluded", "names every item; leave one in", "invalid_field")
    return left_out
