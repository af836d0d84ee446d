"""What the decider reads of a visitor: one small value, every list and map of it bounded.

Stored positionally (msgpack arrays): a field is only ever added at the end, with a default.
Decayed numbers are kept with the time they were last touched and decayed exactly when read.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from personalization.visitor.purposes import Words
from personalization.visitor.times import Times

Scalar: TypeAlias = str | float | int | bool

MAX_COUNTS = 32
MAX_AFFINITY_KEYS = 32
MAX_TRAITS = 32
MAX_TRAIT_CHARS = 256
MAX_EXPOSURES = 48
MAX_STICKY = 16
MAX_HOLDOUTS = 32
MAX_CART = 32


class Decayed(msgspec.Struct, array_like=True):
    """A decaying number: ``value`` as of ``at_ms``."""

    value: float
    at_ms: int


class Affinity(msgspec.Struct, array_like=True):
    """Decayed weights by key (a category, a genre), all as of ``at_ms``."""

    at_ms: int
    weights: dict[str, float] = {}


class Session(msgspec.Struct, array_like=True):
    """The visit going on, or the last one: ends after 30 minutes of silence."""

    number: int = 0
    started_ms: int = 0
    last_ms: int = 0
    n_events: int = 0
    n_views: int = 0


class Exposure(msgspec.Struct, array_like=True):
    """How often something was shown, for caps: ever, on the day ``day``, in the session it was shown in last.

    That is a content, by its id, or several that are counted together (``catalog.caps``).
    """

    total: int
    day: int
    on_day: int
    in_session: int
    last_ms: int


class Sticky(msgspec.Struct, array_like=True):
    """The choice that a placement's slot keeps for the session it was made in."""

    decision_id: str
    arm: str
    weight: int
    at_ms: int


class Holdout(msgspec.Struct, array_like=True):
    """On which side of a placement's experiment the visitor was first exposed, and when."""

    control: bool
    first_ms: int
    crossover: bool = False


class Tallies(msgspec.Struct, array_like=True):
    """How often things happened that fade in one half-life, by the key of each.

    What happened at the landmark ``at_ms`` weighs 1, later things more; all fade by one factor when they are read.
    """

    at_ms: int
    weights: dict[bytes, float] = {}


class Points(msgspec.Struct, array_like=True):
    """What scores by rules are found from.

    Attributes
    ----------
    tallies
        By half-life in milliseconds; 0: what does not fade.
    repeats
        Of events that count so many times a day, by the key of each: days since 1970 and how often it counted on
        each, in turn, the day heard of last at the end. Day -1 is the visitor's whole time.
    tiers
        The tier of each score, as the fold found it last; nothing for the lowest.
    """

    tallies: dict[int, Tallies] = {}
    repeats: dict[bytes, list[int]] = {}
    tiers: dict[str, str] = {}


class VisitorState(msgspec.Struct, array_like=True):
    """One visitor.

    Attributes
    ----------
    epoch, offset
        The fence: the last entry of the log applied to this key. It belongs to the key: merges never copy it.
    now_ms
        The fold's clock: the largest ``received_at_ms`` seen.
    revision
        Grows with everything the visitor does (and with a merge), not with our own decisions: a client
        that wants to read its own write waits for it to grow.
    event_count
        Distinct client events applied, merges included.
    redirect
        The key this one was merged into; everything else is then empty.
    unit
        8-byte hash of the person, by which holdouts, variants and tickets are drawn: that of the id the first
        folded decision was made for, so that a log-in changes no draw. Empty before there was one.
    windows
        By 8-byte hash of an event and a condition: when it happened lately (``catalog.windows``).
    born_ms
        When the visitor's first event was folded, if a window was looked at then: all that came since is known to
        the windows of that time. 0: before that.
    points
        What scores by rules are found from; None: nothing gave any.
    proven_ms
        At a redirect: when somebody last proved to be the registered visitor it leads to. 0: nobody did.
    """

    epoch: int = 0
    offset: int = -1
    now_ms: int = 0
    revision: int = 0
    event_count: int = 0
    redirect: str | None = None
    first_ms: int = 0
    last_ms: int = 0
    session: Session = msgspec.field(default_factory=Session)
    counts: dict[str, Decayed] = {}
    affinities: dict[str, Affinity] = {}
    cart: dict[str, float] = {}
    revenue: float = 0.0
    n_orders: int = 0
    traits: dict[str, Scalar] = {}
    consents: Words = {}
    exposures: dict[str, Exposure] = {}
    sticky: dict[str, Sticky] = {}
    holdouts: dict[str, Holdout] = {}
    unit: bytes = b""
    windows: dict[bytes, Times] = {}
    born_ms: int = 0
    points: Points | None = None
    proven_ms: int = 0


def record_of(state: VisitorState) -> VisitorState:
    """What outlives a profile: what was said of consent, sides of experiments, where the key leads, the fence."""
    return VisitorState(
        state.epoch,
        state.offset,
        state.now_ms,
        state.revision,
        redirect=state.redirect,
        consents=state.consents,
        holdouts=state.holdouts,
        unit=state.unit,
        proven_ms=state.proven_ms,
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(VisitorState)


def encode_visitor(state: VisitorState) -> bytes:
    """The state as stored."""
    return _encoder.encode(state)


def decode_visitor(data: bytes) -> VisitorState:
    """The state back; raises ``msgspec.DecodeError`` where the bytes are something else."""
    return _decoder.decode(data)
