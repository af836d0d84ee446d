"""The catalog: what may be shown where, to whom, and what counts as success. Written by people in YAML.

This is its published shape, loaded and checked by ``config.loader``; durations are milliseconds here and texts such
as ``30m`` in YAML. Each of its sections is a file in ``catalog.sections``; ``compiled_catalog`` turns one version
into what the hot paths use.
"""

from __future__ import annotations

from typing import Literal

from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.catalog.retention import Retention
from personalization.catalog.sections.affinities import AffinityRule, AffinitySpec
from personalization.catalog.sections.challengers import Challenger, Standing
from personalization.catalog.sections.content import Cap, Content
from personalization.catalog.sections.conversions import Conversion
from personalization.catalog.sections.events import EventMapping, Events, ListedProduct
from personalization.catalog.sections.metrics import Metric
from personalization.catalog.sections.placements import Placement, RewardRule
from personalization.catalog.sections.privacy import Privacy
from personalization.catalog.sections.scores import Score
from personalization.catalog.sections.sources import Source
from personalization.catalog.spec import Cel, Share, Spec
from personalization.catalog.tier_thresholds import TierThresholds

__all__ = [
    "AffinityRule",
    "AffinitySpec",
    "Cap",
    "Catalog",
    "Challenger",
    "Content",
    "Conversion",
    "EventMapping",
    "Events",
    "ListedProduct",
    "Metric",
    "Placement",
    "PublishedCatalog",
    "Retention",
    "RewardRule",
    "Score",
    "Source",
    "Standing",
]


class Catalog(Spec, frozen=True, kw_only=True):
    """One version of everything people decide about what visitors see.

    Attributes
    ----------
    placements
        Where something may be shown, by name.
    content
        What may be shown, by id.
    events
        What events mean, whatever their sender calls them. If absent, Segment's e-commerce events change cart,
        revenue and orders, and meanings stand for nothing.
    segments
        Names for groups of visitors: CEL over the visitor, used elsewhere as ``"name" in segments``.
    affinities
        What visitors like, by name, learned from events.
    conversions
        What visitors may do soon, by name: how likely is ``scores.name`` in rules and features.
    scores
        Points for what visitors do and are, by name: ``scores.name``, ``tiers.name`` and ``trends.name`` in rules
        and features.
    metrics
        What experiments are judged by, beside conversions and placements' own rewards, by name.
    features
        Names of what models may look at where a placement names none; empty: a sensible set without traits.
    count_half_life_ms
        The time in which counts of events fade to half.
    session_gap_ms
        The silence that ends a session.
    sources
        Who may talk to us, by name.
    redirect_schemes
        Schemes of your apps, such as ``myapp`` of ``myapp://sale``, to which redirects and links may lead; http and
        https always may.
    holdout
        Share of visitors who are held out of every placement, [0, 1): they see each one's ``control``.
    influence
        Whether what one visitor and one network may teach a model in a day is ``bounded``, or ``free``.
    retention
        How long what is known of visitors is kept.
    privacy
        Who answers for visitors' data, and for which purposes: what consent receipts say.
    """

    placements: dict[str, Placement]
    content: dict[str, Content]
    events: Events | None = None
    segments: dict[str, Cel] = {}
    affinities: dict[str, AffinitySpec] = {}
    conversions: dict[str, Conversion] = {}
    scores: dict[str, Score] = {}
    metrics: dict[str, Metric] = {}
    features: tuple[str, ...] = ()
    count_half_life_ms: int = 30 * DAY_MS
    session_gap_ms: int = 30 * MINUTE_MS
    sources: dict[str, Source] = {}
    redirect_schemes: tuple[str, ...] = ()
    holdout: Share = 0.0
    influence: Literal["bounded", "free"] = "bounded"
    retention: Retention = Retention()
    privacy: Privacy | None = None


class PublishedCatalog(Catalog, frozen=True, kw_only=True):
    """A catalog that was published.

    Attributes
    ----------
    declared
        Since when each series of events that windows look at is kept of visitors, and how many of its times, by its
        id in hex.
    standings
        What became of challengers, by placement.
    ended
        Keys that were revoked or rotated, by their SHA-256 in hex: from when on they are refused, in milliseconds
        since 1970, whatever the catalog says of them.
    thresholds
        By score with tiers for shares of visitors, where these begin, as it was computed last.
    """

    declared: dict[str, tuple[int, int]] = {}
    standings: dict[str, Standing] = {}
    ended: dict[str, int] = {}
    thresholds: dict[str, TierThresholds] = {}
