"""Objects of Rank and Reward, as its clients send them."""

from __future__ import annotations

from typing import Any

from api.ids import WireId
from api.wire import Reader, Wire


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


RANK: Reader[WireRank] = Reader(WireRank, _AnyRank)
SLOTS: Reader[WireSlots] = Reader(WireSlots, _AnySlots)
WORTH: Reader[WireWorth] = Reader(WireWorth, _AnyWorth)
WORTHS: Reader[WireWorths] = Reader(WireWorths, _AnyWorths)
