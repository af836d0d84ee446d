"""A catalog version made ready for the hot paths: rules compiled, references resolved, lookups by event.

``compile_catalog`` is the one check of meaning; ``config.loader`` checks shape and knows files.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from personalization.bounded import short_hash
from personalization.catalog.catalog import Catalog, PublishedCatalog
from personalization.catalog.check import Check, InvalidCatalog
from personalization.catalog.compiled_events import NO_EVENTS, CompiledEvents
from personalization.catalog.compiled_scores import CompiledScores
from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.compiled_windows import FollowedSegments, compile_series, follow
from personalization.catalog.content_features import content_features
from personalization.catalog.event_compiler import compile_events
from personalization.catalog.measures import Measure, measures_of
from personalization.catalog.named import NOTHING_NAMED, Named, named_by
from personalization.catalog.retention import check_retention, promised_ms
from personalization.catalog.rules import Rule
from personalization.catalog.scored import looks_at_scores, scored
from personalization.catalog.sections.affinities import CompiledAffinity
from personalization.catalog.sections.challengers import Standing
from personalization.catalog.sections.content import Arm
from personalization.catalog.sections.conversions import CONVERSION_KEY, CompiledConversion
from personalization.catalog.sections.events import MEANINGS
from personalization.catalog.sections.metrics import CompiledMetric
from personalization.catalog.sections.placements import CompiledPlacement, CompiledReward, rules_hash
from personalization.catalog.sections.privacy import check_privacy
from personalization.catalog.template_urls import app_scheme_mistake
from personalization.catalog.walk import SECTIONS, entries, features_of
from personalization.catalog.windows import Window

__all__ = [
    "CONVERSION_KEY",
    "Arm",
    "CompiledAffinity",
    "CompiledCatalog",
    "CompiledConversion",
    "CompiledPlacement",
    "CompiledReward",
    "InvalidCatalog",
    "compile_catalog",
    "rules_hash",
]


@dataclass(frozen=True, slots=True)
class CompiledCatalog:
    """One version of the catalog as folder and decider use it.

    Attributes
    ----------
    models
        Placements, and variants that learn on their own, by the key of the model that they ask and teach.
    metrics, metrics_by_event
        What experiments are judged by, by name, and by the event's.
    has_experiments
        Whether any placement has sides to compare.
    scored
        The conversions that a rule, a feature or a template names: no other is worked out for a decision.
    looks_at_scores
        Whether a segment or a conversion names a score: then models see the visitor without those of models.
    scores
        The scores by rules.
    told_of
        Stands for all that the fold does by itself: whom it forgets, and of which segments and tiers it tells.
    events
        What events mean.
    counted
        The meanings whose counts are asked for, each with the names of its events.
    content_features
        Features of contents that it looks at in events (``catalog.content_features``).
    named
        What it names of visitors: that always has a place in their states.
    followed
        The segments that are followed.
    windows
        Windows of all rules by the variable that stands for each.
    measures
        Windows that are features, by the feature as it is written.
    series, series_by_event
        What windows look at, by key, and by the event's name.
    standings
        What became of challengers, by placement.
    promised_ms
        For how long receipts say that a profile is kept; None: they say nothing.
    """

    version: int
    catalog: Catalog
    arms: dict[str, Arm] = field(default_factory=dict)
    placements: dict[str, CompiledPlacement] = field(default_factory=dict)
    models: dict[str, CompiledPlacement] = field(default_factory=dict)
    segments: dict[str, Rule] = field(default_factory=dict)
    rewards_by_event: dict[str, list[CompiledReward]] = field(default_factory=dict)
    affinities_by_event: dict[str, list[CompiledAffinity]] = field(default_factory=dict)
    conversions: dict[str, CompiledConversion] = field(default_factory=dict)
    conversions_by_event: dict[str, list[CompiledConversion]] = field(default_factory=dict)
    metrics: dict[str, CompiledMetric] = field(default_factory=dict)
    metrics_by_event: dict[str, list[CompiledMetric]] = field(default_factory=dict)
    has_experiments: bool = False
    scored: frozenset[str] = frozenset()
    looks_at_scores: bool = False
    scores: CompiledScores = field(default_factory=CompiledScores)
    told_of: bytes = b""
    events: CompiledEvents = NO_EVENTS
    counted: tuple[tuple[str, tuple[str, ...]], ...] = ()
    content_features: frozenset[str] = frozenset()
    named: Named = NOTHING_NAMED
    followed: FollowedSegments = field(default_factory=FollowedSegments)
    windows: dict[str, Window] = field(default_factory=dict)
    measures: dict[str, Measure] = field(default_factory=dict)
    series: dict[bytes, CompiledSeries] = field(default_factory=dict)
    series_by_event: dict[str, list[CompiledSeries]] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    promised_ms: int | None = None


def compile_catalog(catalog: Catalog, version: int) -> CompiledCatalog:
    """Compile one version.

    Raises
    ------
    InvalidCatalog
        With every mistake of meaning: unknown references, bad rules, numbers out of range.
    """
    check = Check()
    used = scored(catalog)
    events = compile_events(check, catalog.events)
    named = named_by(catalog)
    compiled = CompiledCatalog(
        version,
        catalog,
        scored=used & catalog.conversions.keys(),
        scores=CompiledScores(
            asked=tuple(name for name in catalog.scores if name in used),
            computed=catalog.thresholds if isinstance(catalog, PublishedCatalog) else {},
        ),
        looks_at_scores=looks_at_scores(catalog),
        events=events,
        counted=tuple((each, events.counted_names([each])) for each in MEANINGS if each in named.events)
        if events.is_written
        else (),
        content_features=content_features(catalog),
        named=named._replace(events=frozenset(events.counted_names(named.events))),
        standings=catalog.standings if isinstance(catalog, PublishedCatalog) else {},
        promised_ms=promised_ms(catalog.privacy),
    )
    check.demand(0 <= catalog.holdout < 1, "holdout", "is a share: 0 or more, below 1")
    for index, scheme in enumerate(catalog.redirect_schemes):
        if mistake := app_scheme_mistake(scheme):
            check.fail(f"redirect_schemes[{index}]", mistake)
    check_retention(check, catalog.retention, catalog.privacy)
    if catalog.privacy is not None:
        check_privacy(check, catalog.privacy)
    for section in SECTIONS:
        section.compile_all(check, compiled, entries(section, catalog))
    for series in compile_series(catalog, events, check.looking_back, check.fail):
        compiled.series[series.key] = series
        for event in series.events:
            compiled.series_by_event.setdefault(event, []).append(series)
    for _, names in features_of(catalog):
        compiled.measures.update(measures_of(names))
    for rule in check.looking_back:
        compiled.windows.update((window.variable, window) for window in rule.windows)
    follow(compiled.segments, compiled.series, events, compiled.followed)
    if check.errors:
        raise InvalidCatalog(check.errors)
    has_experiments = any(placement.split for placement in compiled.placements.values())
    return replace(compiled, told_of=_told_of(compiled), has_experiments=has_experiments)


def _told_of(compiled: CompiledCatalog) -> bytes:
    segments, scores = compiled.followed, compiled.scores.watched
    declared = {
        compiled.series[window.series.id].declared_ms
        for score in compiled.scores.by_name.values()
        for trait in score.traits
        for window in trait.rule.windows
    }
    specs = [(name, score.spec) for name, score in scores.items()]
    kept = compiled.catalog.retention
    said: tuple[object, ...] = (segments.hash, specs, sorted(declared) if scores else [], kept)
    if compiled.promised_ms is not None:
        said = (*said, compiled.promised_ms)
    # The first thresholds move many at once; later ones move few, who are told when they come, or are looked at.
    if known := sorted(name for name, score in compiled.scores.by_share.items() if score.thresholds is not None):
        said = (*said, known)
    return short_hash(repr(said))
