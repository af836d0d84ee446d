"""What a ranking is asked of: the items that the caller brought, read and checked."""

from __future__ import annotations

from typing import Any

import msgspec

from api.dialects.own.item_wire import WireAttribute, read_features
from api.dialects.own.wire import WireVisitor
from api.ids import WireId, check_id
from api.wire import Reader, Wire
from personalization.catalog.catalog import Content
from personalization.catalog.compiled_catalog import Arm
from personalization.deciding.candidates import MAX_CANDIDATES, Candidates, candidates_of
from personalization.deciding.eligibility import EXCLUDED
from personalization.errors import InvalidInput


class WireRankItem(Wire, frozen=True, kw_only=True):
    """One item to be ranked."""

    id: WireId
    features: dict[str, WireAttribute] | None = None
    content: Any = None


class WireRank(Wire, frozen=True, kw_only=True):
    """Rank these items for this visitor."""

    visitor: WireVisitor
    placement: str
    items: list[msgspec.Raw]
    excluded: list[WireId] | None = None
    slots: int = 1
    request_id: WireId = None
    context: dict[str, Any] | None = None
    deadline_ms: int | float | None = None
    activate: bool = True


class _AnyRank(WireRank, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyRankItem(WireRankItem, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


RANK: Reader[WireRank] = Reader(WireRank, _AnyRank)
_ITEM: Reader[WireRankItem] = Reader(WireRankItem, _AnyRankItem)


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
    arms: dict[str, Arm] = {}
    for index, raw in enumerate(wire.items):
        field = f"items[{index}]"
        item = _ITEM.read(raw, field)
        item_id = check_id(item.id, f"{field}.id")
        if item_id is None:
            raise InvalidInput(f"{field}.id", "is missing", "missing_field")
        if item_id in arms:
            raise InvalidInput(
                f"{field}.id", f"{item_id!r} stands there twice; name each item once", "duplicate_id"
            )
        try:
            features = read_features(item.features or {})
        except InvalidInput as error:
            raise InvalidInput(f"{field}.{error.field}", error.message, error.code) from error
        arms[item_id] = Arm(item_id, Content(body=item.content, features=features), None)
    left_out: dict[str, str] = {}
    for index, each in enumerate(wire.excluded or ()):
        excluded = check_id(each, f"excluded[{index}]")
        if excluded not in arms:
            raise InvalidInput(f"excluded[{index}]", "is the id of no item here; name one of items", "unknown_name")
        left_out[excluded] = EXCLUDED
    if len(left_out) == len(arms):
        raise InvalidInput("excluded", "names every item; leave one in", "invalid_field")
    return candidates_of(arms.values(), refused=left_out, beside_catalog=arms)
