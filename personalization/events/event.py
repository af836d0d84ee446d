"""What can happen to a visitor: one tagged union, the content of the visitor log.

Client events are Segment-shaped; the rest is ours. Ids in client events are the caller's own
(``user_id``, ``anonymous_id``); everywhere else visitors are named by their key (``visitor_key``).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from personalization.features import NO_FEATURES, Attribute
from personalization.visitor.choice import Choice
from personalization.visitor.folder_state import Credit, FolderState
from personalization.visitor.times import Times
from personalization.visitor.visitor_state import VisitorState

Json: TypeAlias = Any
"""A JSON value as a caller sent it: bounded in size and depth at the door, otherwise free."""


class _Event(msgspec.Struct, tag_field="type", omit_defaults=True, kw_only=True):
    pass


class _ClientEvent(_Event, kw_only=True):
    """What websites and apps send; ``message_id`` catches clients that send twice.

    ``item``: features of the item that the event names, as the collector knew them; never the caller's own.
    """

    message_id: str
    anonymous_id: str | None = None
    user_id: str | None = None
    context: dict[str, Json] = {}
    item: dict[str, Attribute] | None = None


class Track(_ClientEvent, tag="track", kw_only=True):
    """The visitor did ``event``."""

    event: str
    properties: dict[str, Json] = {}


class Identify(_ClientEvent, tag="identify", kw_only=True):
    """Who the visitor is: traits, and perhaps a user id for an anonymous one.

    ``traits_once`` are those that count only where the visitor has none of that name.
    """

    traits: dict[str, Json] = {}
    traits_once: dict[str, Json] = {}


class Page(_ClientEvent, tag="page", kw_only=True):
    """The visitor saw a page."""

    name: str | None = None
    properties: dict[str, Json] = {}


class Screen(_ClientEvent, tag="screen", kw_only=True):
    """The visitor saw a screen of an app."""

    name: str | None = None
    properties: dict[str, Json] = {}


class Group(_ClientEvent, tag="group", kw_only=True):
    """The visitor belongs to an account."""

    group_id: str
    traits: dict[str, Json] = {}


class Alias(_ClientEvent, tag="alias", kw_only=True):
    """``previous_id`` and this visitor are one; the collector has appended the link."""

    previous_id: str


class Link(_Event, tag="link", kw_only=True):
    """This key is the same visitor as ``canonical``; keyed by the losing id, never counted.

    ``if_nobodys``: only if the key leads to nobody else yet.
    """

    canonical: str
    if_nobodys: bool = False


class Unlinked(_Event, tag="unlinked", kw_only=True):
    """What comes under this key is not ``canonical``'s any more; empty: whoever's it was."""

    message_id: str
    canonical: str = ""


class Merged(_Event, tag="merged", kw_only=True):
    """All that was known under ``source``, to be folded into this key; ``more``: it is a part, and not the last."""

    source: str
    state: VisitorState
    folder: FolderState
    more: bool = False


class Redirected(_Event, tag="redirected", kw_only=True):
    """The redirect at this key should point straight at ``to``, the end of the chain."""

    to: str


class Offered(_Event, tag="offered", kw_only=True):
    """Done on this visitor's device after a log-in, by whoever named nobody: may be the reward of what they saw."""

    credits: list[Credit]


class Backfilled(_Event, tag="backfilled", kw_only=True):
    """What the log still held of a visitor from before windows were declared.

    Attributes
    ----------
    times
        By series, what is missing in the visitor's state.
    first_ms
        When the first of the events occurred that it was counted from: a profile that began later is another one.
    born_ms
        When the visitor's first event was folded; 0: the log does not say.
    """

    times: dict[bytes, Times]
    first_ms: int
    born_ms: int = 0


class SegmentChanged(_Event, tag="segment", kw_only=True):
    """The visitor entered a segment, or left it."""

    segment: str
    entered: bool


class TierChanged(_Event, tag="tier", kw_only=True):
    """The visitor reached another tier of a score, or fell to one."""

    score: str
    tier: str
    before: str


class DecisionMade(_Event, tag="decision", kw_only=True):
    """One of our own decisions, compact: what the fold needs to open, credit and close it.

    ``message_id`` names this answer: a sticky repeat has the same choice and another ``message_id``, and adds an
    exposure, never a trial. ``replaces`` is the trial of the choice that a sticky one replaces, ``unit`` the
    person's (``VisitorState.unit``). ``trains`` says whether it may be learned from, as far as the decider knows.
    Features are packed (``personalization.features.pack``). ``predicted`` is the reward that the model expected;
    None: no policy chose by a model.
    """

    message_id: str
    choice: Choice
    exposed: bool = True
    features: msgspec.Raw = NO_FEATURES
    arm_features: msgspec.Raw = NO_FEATURES
    trains: bool = True
    sticky: bool = False
    replaces: str = ""
    unit: bytes = b""
    predicted: float | None = None


class Activated(_Event, tag="activated", kw_only=True):
    """A deferred decision was shown; with a ``placement`` all in it of the call that the id is of."""

    decision_id: str
    placement: str = ""


class Rewarded(_Event, tag="rewarded", kw_only=True):
    """The caller says what a decision was worth; ``final`` means nothing more will come."""

    message_id: str
    decision_id: str
    value: float
    name: str = ""
    final: bool = False


class Erased(_Event, tag="erased", kw_only=True):
    """The visitor is to be forgotten at once: all that came before, and whatever of it still comes."""


class TimedOut(_Event, tag="timed_out", kw_only=True):
    """Nothing else happened until ``due_ms``: the only event the wall clock makes."""

    due_ms: int


ClientEvent: TypeAlias = Track | Identify | Page | Screen | Group | Alias
Event: TypeAlias = (
    Track
    | Identify
    | Page
    | Screen
    | Group
    | Alias
    | Link
    | Unlinked
    | Merged
    | Redirected
    | Offered
    | Backfilled
    | SegmentChanged
    | TierChanged
    | DecisionMade
    | Activated
    | Rewarded
    | Erased
    | TimedOut
)
Told: TypeAlias = SegmentChanged | TierChanged
"""What became of a visitor, told in their log for whoever follows it."""

TOLD = (SegmentChanged, TierChanged)
CLIENT_EVENTS = (Track, Identify, Page, Screen, Group, Alias)


def event_name(event: ClientEvent) -> str:
    """The name rules and counters know an event by: a track's own name, else its type.

    >>> event_name(Track(message_id="m", event="Order Completed")), event_name(Page(message_id="m"))
    ('Order Completed', 'page')
    """
    return event.event if type(event) is Track else _TAGS[type(event)]


_TAGS: dict[type[ClientEvent], str] = {kind: str(kind.__struct_config__.tag) for kind in CLIENT_EVENTS}
