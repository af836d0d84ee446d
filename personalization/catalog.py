"""The catalog: what may be shown where, to whom, and what counts as success. Written by people in YAML.

These are the published shapes, loaded and checked by ``config.loader``; durations are milliseconds here and
texts such as ``30m`` in YAML. ``personalization.compiled`` turns one version into what the hot paths use.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from personalization.features import FeatureValue
from personalization.policy_spec import PolicySpec

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Cap(_Part, frozen=True, kw_only=True):
    """At most ``limit`` exposures of a content to one visitor per session, per day or ever."""

    limit: int
    per: Literal["session", "day", "visitor"] = "session"


class Content(_Part, frozen=True, kw_only=True):
    """One content block or offer: an arm wherever a placement lists it.

    Attributes
    ----------
    type
        ``html`` and ``redirect`` (a URL) hold text in ``body``, ``json`` any JSON value.
    locales
        Other bodies by language tag (``de``, ``de-AT``); the best match of ``context.locale`` is served.
    when
        CEL over the visitor: who may see it.
    starts_ms, ends_ms
        The schedule, [start, end).
    priority
        Higher first where rules alone must choose.
    features
        What the model knows of it, e.g. category or price.
    """

    type: Literal["html", "json", "redirect"] = "json"
    body: Any = None
    locales: dict[str, Any] = {}
    when: str | None = None
    starts_ms: int | None = None
    ends_ms: int | None = None
    priority: int = 0
    cap: Cap | None = None
    features: dict[str, FeatureValue] = {}


class RewardRule(_Part, frozen=True, kw_only=True):
    """Which event is worth what to a placement.

    Attributes
    ----------
    event
        The event's name (a track's own, else ``page``, ``screen``, …).
    when
        CEL over the event; holds if absent.
    value
        A number, or CEL over the event giving one.
    arm
        CEL over the event giving the id of the content acted on; ``properties.contentId`` if absent.
    """

    event: str
    when: str | None = None
    value: float | str = 1.0
    arm: str | None = None


class Placement(_Part, frozen=True, kw_only=True):
    """A place on a page or in an app, and how it is filled.

    Attributes
    ----------
    content
        Ids of its arms, in order; the first eligible is the baseline.
    default
        The content served when nothing may be decided.
    model
        ``default``, or any River classifier or regressor by dotted name.
    features
        Names of what the model may look at (``personalization.context``); empty: the catalog's.
    rewards, attribution, window_ms, default_reward, reward_range
        See rule *Rewards*.
    holdout
        Share of visitors served ``control`` and never trained on, [0, 1).
    consent
        Consent purposes needed to personalise.
    sticky
        Keep the first choice for the visitor's session.
    """

    content: tuple[str, ...]
    default: str
    slots: int = 1
    when: str | None = None
    policy: PolicySpec = PolicySpec()
    model: str = "default"
    model_parameters: dict[str, Any] = {}
    features: tuple[str, ...] = ()
    rewards: tuple[RewardRule, ...] = ()
    attribution: Literal["same_arm", "last_exposed", "any_exposed"] = "same_arm"
    window_ms: int = 30 * MINUTE_MS
    default_reward: float = 0.0
    reward_range: tuple[float, float] = (0.0, 1.0)
    holdout: float = 0.0
    control: Literal["default", "uniform"] = "default"
    consent: tuple[str, ...] = ("personalization",)
    sticky: bool = False


class AffinityRule(_Part, frozen=True, kw_only=True):
    """Which events raise which keys of an affinity.

    Attributes
    ----------
    event
        The event's name.
    key
        Dotted path into the event (``properties.category``): a text, or a list of texts.
    weight
        Added to each key named.
    when
        CEL over the event; holds if absent.
    """

    event: str
    key: str
    weight: float = 1.0
    when: str | None = None


class AffinitySpec(_Part, frozen=True, kw_only=True):
    """An affinity: decayed weights by key.

    Attributes
    ----------
    half_life_ms
        None: time does not fade it.
    decay_per_event
        Factor on all weights before each event that raises one, (0, 1].
    """

    rules: tuple[AffinityRule, ...]
    half_life_ms: int | None = 14 * DAY_MS
    decay_per_event: float = 1.0


class Source(_Part, frozen=True, kw_only=True):
    """Where events and requests come from, and the keys they show.

    A key is given in the clear (development) or as the SHA-256 of it in hex.
    """

    write_keys: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()
    consent_default: Literal["granted", "denied"] = "denied"


class Catalog(_Part, frozen=True, kw_only=True):
    """One version of everything people decide about what visitors see."""

    placements: dict[str, Placement]
    content: dict[str, Content]
    segments: dict[str, str] = {}
    affinities: dict[str, AffinitySpec] = {}
    features: tuple[str, ...] = ()
    count_half_life_ms: int = 30 * DAY_MS
    session_gap_ms: int = 30 * MINUTE_MS
    sources: dict[str, Source] = {}
