"""Objects of Rank and Reward, as its clients send them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from api.reading.ids import WireId
from api.reading.json_check import MAX_DEPTH, trouble_in
from api.reading.wire import Reader, Wire
from personalization.errors import InvalidInput


class WireAction(Wire, frozen=True, kw_only=True):
    """One action that may be shown."""

    id: WireId
    features: list[dict[str, Any]] | None = None


class WireRank(Wire, frozen=True, kw_only=True):
    """Choose one of these actions."""

    actions: list[WireAction]
    context_features: list[dict[str, Any]] | None = None
    excluded_actions: list[WireId] | None = None
    event_id: WireId = None
    defer_activation: bool | None = None


class WireSlot(Wire, frozen=True, kw_only=True):
    """A place for one action."""

    id: WireId
    baseline_action: WireId
    features: list[dict[str, Any]] | None = None
    excluded_actions: list[WireId] | None = None


class WireSlots(Wire, frozen=True, kw_only=True):
    """Choose one of these actions for each slot."""

    actions: list[WireAction]
    slots: list[WireSlot]
    context_features: list[dict[str, Any]] | None = None
    event_id: WireId = None
    defer_activation: bool | None = None


class WireWorth(Wire, frozen=True, kw_only=True):
    """What an event was worth."""

    value: float


class WireSlotWorth(Wire, frozen=True, kw_only=True):
    """What a slot of an event was worth."""

    slot_id: WireId
    value: float


class WireWorths(Wire, frozen=True, kw_only=True):
    """What slots of an event were worth."""

    reward: list[WireSlotWorth]


class _AnyRank(WireRank, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnySlots(WireSlots, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyWorth(WireWorth, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyWorths(WireWorths, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


Ranked = TypeVar("Ranked", WireRank, WireSlots)

_SHAPE_DEPTH = 5
"""Of a feature's object: in the features of an action, among actions, in the request."""


class ReaderOfActions(Reader[Ranked]):
    """A reader of requests with actions, whose many brackets are no depth.

    Of fifty actions each has three or more: what they account for is taken off before a text is suspected.
    """

    def read(self, text: bytes | msgspec.Raw, field: str = "") -> Ranked:
        """The object in ``text``; raises ``InvalidInput``, see ``Reader``."""
        found, data = self.read_outside(text, field), bytes(text)
        n_brackets = data.count(b"{") + data.count(b"[")
        for action in found.actions:
            n_brackets -= 1 if action.features is None else 2 + len(action.features)
        if b"\\u0000" in data or n_brackets > MAX_DEPTH - _SHAPE_DEPTH:
            trouble = trouble_in(data, field)
            if trouble is not None:
                raise InvalidInput(*trouble)
        return found


RANK: Reader[WireRank] = ReaderOfActions(WireRank, _AnyRank)
SLOTS: Reader[WireSlots] = ReaderOfActions(WireSlots, _AnySlots)
WORTH: Reader[WireWorth] = Reader(WireWorth, _AnyWorth)
WORTHS: Reader[WireWorths] = Reader(WireWorths, _AnyWorths)
