"""What is asked of the decider: which placements, for whom, in which context."""

from __future__ import annotations

from typing import Any

import msgspec

from personalization.bounded import short_hash
from personalization.deciding.candidates import Candidates
from personalization.events.event import ClientEvent
from personalization.features import FeatureValue
from personalization.visitor.purposes import Words
from personalization.visitor.receipt import Receipt
from personalization.visitor.visitor_key import NOBODY, anonymous_key, user_key


class SlotRequest(msgspec.Struct, frozen=True, gc=False):
    """A slot that differs from the others of its placement.

    Attributes
    ----------
    name
        The caller's own; no other slot of the request has it.
    brought
        What may stand in it, in the order that is served if nothing may be decided.
    features
        What the model is told of the slot.
    """

    name: str
    brought: Candidates
    features: dict[str, FeatureValue] = {}


class PlacementRequest(msgspec.Struct, frozen=True, gc=False):
    """One placement asked for.

    Attributes
    ----------
    slots
        None: as many as the catalog says.
    brought
        The arms that the caller brought, at least one, in the order that is served if nothing may be decided; None:
        the placement's.
    features
        What the model is told besides what the placement names: of the request, by its caller.
    own_slots
        Its slots, where each has arms or features of its own; empty: they are all alike.
    """

    placement: str
    slots: int | None = None
    brought: Candidates | None = None
    features: dict[str, FeatureValue] = {}
    own_slots: tuple[SlotRequest, ...] = ()


class SentEvent(msgspec.Struct, frozen=True):
    """An event sent along with a decision: applied to this very answer, and logged."""

    event: ClientEvent
    occurred_at_ms: int


class DecideRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the decider.

    Attributes
    ----------
    user_id, anonymous_id
        The caller's own ids; without any it is decided for nobody, and nothing is logged.
    context
        Segment-shaped: ``userAgent``, ``locale``, ``timezone``, ``page``, ``consent``, …
    events
        Oldest first.
    activate
        Whether being decided counts as being shown.
    consent_default
        What the source assumes of a visitor who has said nothing.
    refused
        Purposes that the visitor's browser refuses (``Sec-GPC``), in their normal form.
    repeatable
        ``request_id`` is the caller's own: whoever sends it again means the same decisions.
    by_arm
        Of a repeatable one: the id of a decision follows from ``request_id`` and the arm that was chosen, so that
        whoever names both names the decision. A request id then stands for one ranking, whatever its placement.
    sticky
        Every placement keeps its choice for the visitor's session, as those do that the catalog calls so.
    apart
        Each placement is decided as if it were asked for alone: an offer may stand in several of them.
    of_type
        Only contents of that type can be shown where it is asked for, and the default is one of them; None: of any.
    by_page
        A write key asks, which everybody has: for no more slots than the placement has.
    proven
        It proved to speak for the user it names.
    said_lately
        Words on purposes that came in a moment ago and may not be in the visitor's state yet, those of ``receipt``
        included.
    heard
        All words that are known without the visitor's state, ``said_lately`` included: they count where the state
        cannot be read.
    receipt
        The visitor's consent receipt, verified; None: the request brings none that holds.
    """

    request_id: str
    placements: tuple[PlacementRequest, ...]
    user_id: str | None = None
    anonymous_id: str | None = None
    context: dict[str, Any] = {}
    events: tuple[SentEvent, ...] = ()
    activate: bool = True
    consent_default: bool = False
    refused: tuple[str, ...] = ()
    repeatable: bool = False
    by_arm: bool = False
    sticky: bool = False
    apart: bool = False
    of_type: str | None = None
    by_page: bool = False
    proven: bool = False
    said_lately: Words = {}
    heard: Words = {}
    receipt: Receipt | None = None

    @property
    def key(self) -> str:
        """The key this request's entries are logged under."""
        if self.user_id:
            return user_key(self.user_id)
        return anonymous_key(self.anonymous_id) if self.anonymous_id else NOBODY

    @property
    def is_nobodys(self) -> bool:
        """Whether it names no visitor."""
        return not self.user_id and not self.anonymous_id

    @property
    def names_pair(self) -> bool:
        """Whether it says that two ids are one person."""
        return bool(self.user_id and self.anonymous_id)

    def keys(self) -> tuple[str, ...]:
        """The keys of all ids in the request, the winner of a merge first."""
        if self.user_id and self.anonymous_id:
            return (user_key(self.user_id), anonymous_key(self.anonymous_id))
        return (self.key,)


def unit_of(request: DecideRequest) -> bytes:
    """The person's unit before anything is recorded: by the anonymous id, which a log-in does not change."""
    return short_hash(anonymous_key(request.anonymous_id) if request.anonymous_id else request.key)
