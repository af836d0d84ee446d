"""The catalog: what may be shown where, to whom, and what counts as success. Written by people in YAML.

These are the published shapes, loaded and checked by ``config.loader``; durations are milliseconds here and
texts such as ``30m`` in YAML. ``compiled_catalog`` turns one version into what the hot paths use.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from personalization.catalog.policy_spec import PolicySpec
from personalization.features import Attribute
from personalization.visitor.purposes import GPC

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Cap(_Part, frozen=True, kw_only=True):
    """At most ``limit`` exposures of a content to one visitor: per session or day, in a length of time, or ever.

    Attributes
    ----------
    limit
        How often, 1 or more.
    per
        Over what: one session, one day (UTC), or the visitor's whole time.
    within_ms
        Over any length of time up to this moment, in place of ``per``; then ``limit`` is 32 at most.
    """

    limit: int
    per: Literal["session", "day", "visitor"] = "session"
    within_ms: int | None = None


class Content(_Part, frozen=True, kw_only=True):
    """One content block or offer: an arm wherever a placement lists it.

    Attributes
    ----------
    type
        ``html`` and ``redirect`` (a URL) hold text in ``body``, ``json`` any JSON value.
    body
        What is served. ``{{traits.first_name|there}}`` is filled in from the visitor, or with what follows the bar.
    locales
        Other bodies by language tag (``de``, ``de-AT``); the best match of ``context.locale`` is served.
    when
        CEL over the visitor: who may see it.
    starts_ms, ends_ms
        The schedule, [start, end).
    priority
        Higher first where rules alone must choose.
    cap
        How often one visitor may see it.
    features
        What the model knows of it, e.g. category or price; several categories as a list. Where a feature names what
        an affinity of visitors does (``category: shoes``, ``affinities.category.shoes``), how much a visitor likes
        what this content is about is learned across all contents.
    """

    type: Literal["html", "json", "redirect"] = "json"
    body: Any = None
    locales: dict[str, Any] = {}
    when: str | None = None
    starts_ms: int | None = None
    ends_ms: int | None = None
    priority: int = 0
    cap: Cap | None = None
    features: dict[str, Attribute] = {}


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
    name
        What kind of success it is (``click``, ``revenue``): one of the placement's ``weights``. Of the rules of one
        name the first that holds counts, so one event may bring several names.
    """

    event: str
    when: str | None = None
    value: float | str = 1.0
    arm: str | None = None
    name: str = ""


class Placement(_Part, frozen=True, kw_only=True):
    """A place on a page or in an app, and how it is filled.

    Attributes
    ----------
    content
        Ids of its arms, in order; the first eligible is the baseline.
    default
        The content served when nothing may be decided.
    slots
        How many of them are shown at once.
    when
        CEL over the visitor: whether anything is decided here at all; else the default is served.
    policy
        How it explores: a name, or a name with parameters.
    model
        ``default``, or any River classifier or regressor by dotted name.
    model_parameters
        Keyword arguments of the model's constructor.
    features
        Names of what the model may look at (``personalization.audience.context``); empty: the catalog's.
    rewards
        Which events are worth what here; of the rules of one name the first that holds for an event counts.
    combine
        What several rewards of one name within one decision count: their ``sum``, the largest (``max``), or the
        ``first`` alone. Names add up.
    weights
        By what the values of each name are multiplied before anything else, e.g. of click, purchase and revenue. A
        name that is not listed weighs 1, and all such count as one name.
    attribution
        Which decision an event rewards: the last one shown whose content it acted on (``same_arm``), the last
        one shown (``last_exposed``), or the last one shown without a reward yet (``any_exposed``).
    window_ms
        How long after its exposure a decision can be rewarded.
    default_reward
        The reward of a decision that nothing rewarded.
    reward_range
        Lowest and highest total reward of one decision; beyond them it counts as they do.
    holdout
        Share of visitors served ``control`` and never trained on, [0, 1).
    control
        What held-out visitors see: the default, or any eligible content by chance.
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
    combine: Literal["sum", "max", "first"] = "sum"
    weights: dict[str, float] = {}
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
    rules
        Which events raise it.
    half_life_ms
        The time in which a weight fades to half; None: time does not fade it.
    decay_per_event
        Factor on all weights before each event that raises one, (0, 1].
    """

    rules: tuple[AffinityRule, ...]
    half_life_ms: int | None = 14 * DAY_MS
    decay_per_event: float = 1.0


class Conversion(_Part, frozen=True, kw_only=True):
    """Something visitors may do within a horizon: how likely it is becomes the score of that name.

    Attributes
    ----------
    event
        The event that is the conversion.
    when
        CEL over the event: which of them count; all if absent.
    horizon_ms
        It counts when it comes at most this long after a session's start.
    labels
        When a model learns whether it came: when the horizon has closed (``mature``), or at once, with what
        undoes the conversions still to come (``early``).
    model
        ``default``, or any River classifier by dotted name.
    model_parameters
        Keyword arguments of the model's constructor.
    features
        Names of what the model may look at; empty: the catalog's. Never scores.
    """

    event: str
    when: str | None = None
    horizon_ms: int = 7 * DAY_MS
    labels: Literal["mature", "early"] = "mature"
    model: str = "default"
    model_parameters: dict[str, Any] = {}
    features: tuple[str, ...] = ()


class Source(_Part, frozen=True, kw_only=True):
    """Where events and requests come from, and the keys they show.

    A key is given in the clear (development) or as ``sha256:`` and the SHA-256 of it in hex.

    Attributes
    ----------
    write_keys
        May send events and ask for decisions; may stand in a web page.
    server_keys
        May also read visitors and placements, and reward with money; to be kept secret.
    consent_default
        What counts for visitors who were never asked.
    gpc
        Purposes that a browser's ``Sec-GPC: 1`` (Global Privacy Control) refuses.
    after_login
        Whose events are that follow a log-in on the same anonymous id without naming the user: somebody else's, who
        uses the device after a log-out (``logged_out``; the usual libraries name the user in every event while
        somebody is logged in), or the ``same_person``'s, for sites that only have the cookie.
    """

    write_keys: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()
    consent_default: Literal["granted", "denied"] = "denied"
    gpc: tuple[str, ...] = GPC
    after_login: Literal["logged_out", "same_person"] = "logged_out"


class Catalog(_Part, frozen=True, kw_only=True):
    """One version of everything people decide about what visitors see.

    Attributes
    ----------
    placements
        Where something may be shown, by name.
    content
        What may be shown, by id.
    segments
        Names for groups of visitors: CEL over the visitor, used elsewhere as ``"name" in segments``.
    affinities
        What visitors like, by name, learned from events.
    conversions
        What visitors may do soon, by name: how likely is ``scores.name`` in rules and features.
    features
        Names of what models may look at where a placement names none; empty: a sensible set without traits.
    count_half_life_ms
        The time in which counts of events fade to half.
    session_gap_ms
        The silence that ends a session.
    sources
        Who may talk to us, by name.
    """

    placements: dict[str, Placement]
    content: dict[str, Content]
    segments: dict[str, str] = {}
    affinities: dict[str, AffinitySpec] = {}
    conversions: dict[str, Conversion] = {}
    features: tuple[str, ...] = ()
    count_half_life_ms: int = 30 * DAY_MS
    session_gap_ms: int = 30 * MINUTE_MS
    sources: dict[str, Source] = {}


class PublishedCatalog(Catalog, frozen=True, kw_only=True):
    """A catalog that was published.

    Attributes
    ----------
    declared
        Since when each series of events that windows look at is kept of visitors, and how many of its times, by its
        id in hex.
    """

    declared: dict[str, tuple[int, int]] = {}
