"""What callers of our own dialect send, beside events."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from api.reading.ids import WireId
from api.reading.json_schema import component
from api.reading.times import WireTime
from api.reading.wire import Reader, Wire

RawEvent: TypeAlias = Annotated[msgspec.Raw, component("WireEvent")]


class WireBatch(Wire, frozen=True, kw_only=True):
    """Several events."""

    events: Annotated[list[RawEvent], Meta(min_length=1)]
    sent_at: WireTime = None


class WireVisitor(msgspec.Struct, rename="camel", frozen=True):
    """Who it is for."""

    anonymous_id: WireId = None
    user_id: WireId = None
    user_hash: str | None = None
    user_token: str | None = None


class WirePlacement(msgspec.Struct, frozen=True):
    """A placement with a number of slots of the caller's own."""

    placement: str
    slots: int | None = None


class WireDecide(Wire, frozen=True, kw_only=True):
    """A call of the decider.

    Attributes
    ----------
    partial
        Placements that cannot be decided are left out, with a warning: the others are decided.
    explain
        The answer says why; by a server key that may read visitors, or with a preview link.
    preview
        The token of one.
    """

    visitor: WireVisitor
    placements: list[str | WirePlacement]
    request_id: WireId = None
    context: dict[str, Any] | None = None
    events: list[RawEvent] | None = None
    deadline_ms: int | float | None = None
    activate: bool = True
    partial: bool = False
    explain: bool = False
    preview: str | None = None


class WireReward(Wire, frozen=True, kw_only=True):
    """What a decision was worth."""

    value: float
    name: str = ""
    message_id: WireId = None
    final: bool = False


class WireNamedReward(WireReward, frozen=True, kw_only=True):
    """What a decision was worth, among several."""

    decision_id: str


class WireRewards(Wire, frozen=True, kw_only=True):
    """What several decisions were worth."""

    rewards: Annotated[list[Annotated[msgspec.Raw, component("WireNamedReward")]], Meta(min_length=1)]


class WireExposures(Wire, frozen=True, kw_only=True):
    """Decisions that were shown."""

    decision_ids: Annotated[list[str], Meta(min_length=1)]


class WireUnlink(Wire, frozen=True, kw_only=True):
    """A browser that is not a user's any more."""

    anonymous_id: WireId
    user_id: WireId = None
    message_id: WireId = None


class WireConsent(Wire, frozen=True, kw_only=True):
    """What a visitor answered when they were asked for consent."""

    visitor: WireVisitor
    purposes: dict[str, bool]
    language: str | None = None
    collection_method: str | None = None


class WireMe(Wire, frozen=True, kw_only=True):
    """Who the caller is, and what proves it."""

    user_id: WireId = None
    user_hash: str | None = None
    user_token: str | None = None


class _AnyMe(WireMe, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyBatch(WireBatch, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyDecide(WireDecide, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyReward(WireReward, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyNamedReward(WireNamedReward, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyUnlink(WireUnlink, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


class _AnyConsent(WireConsent, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


BATCH: Reader[WireBatch] = Reader(WireBatch, _AnyBatch)
DECIDE: Reader[WireDecide] = Reader(WireDecide, _AnyDecide)
REWARD: Reader[WireReward] = Reader(WireReward, _AnyReward)
NAMED_REWARD: Reader[WireNamedReward] = Reader(WireNamedReward, _AnyNamedReward)
UNLINK: Reader[WireUnlink] = Reader(WireUnlink, _AnyUnlink)
CONSENT: Reader[WireConsent] = Reader(WireConsent, _AnyConsent)
ME: Reader[WireMe] = Reader(WireMe, _AnyMe)
