"""A catalog version made ready for the hot paths: rules compiled, references resolved, lookups by event.

``compile_catalog`` is the one check of meaning; ``config.loader`` checks shape and knows files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from personalization.catalog.catalog import Catalog
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import keys_of
from personalization.catalog.check import Check, InvalidCatalog
from personalization.catalog.compiled_windows import CompiledSeries, FollowedSegments, compile_series, follow
from personalization.catalog.named import NOTHING_NAMED, Named, named_by
from personalization.catalog.rules import Rule
from personalization.catalog.sections.affinities import CompiledAffinity
from personalization.catalog.sections.content import Arm
from personalization.catalog.sections.conversions import CONVERSION_KEY, CompiledConversion
from personalization.catalog.sections.placements import CompiledPlacement, CompiledReward, rules_hash
from personalization.catalog.walk import SECTIONS, entries, features_of, visitor_rules
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
    "scores_named",
]


@dataclass(frozen=True, slots=True)
class CompiledCatalog:
    """One version of the catalog as folder and decider use it.

    Attributes
    ----------
    models
        Placements, and variants that learn on their own, by the key of the model that they ask and teach.
    scored
        The conversions whose score a rule or a feature names: no other is worked out for a decision.
    scored_segments
        Whether a segment names a score: then what models see of segments is not what rules see of them.
    named
        What it names of visitors: that always has a place in their states.
    followed
        The segments that are followed.
    windows
        Windows of all rules by the variable that stands for each.
    series, series_by_event
        What windows look at, by key, and by the event's name.
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
    scored: frozenset[str] = frozenset()
    scored_segments: bool = False
    named: Named = NOTHING_NAMED
    followed: FollowedSegments = field(default_factory=FollowedSegments)
    windows: dict[str, Window] = field(default_factory=dict)
    series: dict[bytes, CompiledSeries] = field(default_factory=dict)
    series_by_event: dict[str, list[CompiledSeries]] = field(default_factory=dict)


def compile_catalog(catalog: Catalog, version: int) -> CompiledCatalog:
    """Compile one version.

    Raises
    ------
    InvalidCatalog
        With every mistake of meaning: unknown references, bad rules, numbers out of range.
    """
    check = Check()
    scored_segments = any(scores_named(rule) != set() for rule in catalog.segments.values())
    compiled = CompiledCatalog(
        version, catalog, scored=_scored(catalog), scored_segments=scored_segments, named=named_by(catalog)
    )
    check.demand(0 <= catalog.holdout < 1, "holdout", "is a share: 0 or more, below 1")
    for section in SECTIONS:
        section.compile_all(check, compiled, entries(section, catalog))
    for series in compile_series(catalog, check.looking_back, check.fail):
        compiled.series[series.key] = series
        if series.event:
            compiled.series_by_event.setdefault(series.event, []).append(series)
    for rule in check.looking_back:
        compiled.windows.update((window.variable, window) for window in rule.windows)
    follow(compiled.segments, compiled.series, compiled.followed)
    if check.errors:
        raise InvalidCatalog(check.errors)
    return compiled


def scores_named(rule: str) -> set[str] | None:
    """The conversions whose score a rule names; None where it takes the whole map.

    >>> scores_named("scores.buys_soon > 0.2 && scores['leaves'] < 0.1") == {"buys_soon", "leaves"}
    True
    >>> scores_named("size(scores) > 0") is None
    True
    """
    try:
        named = keys_of(parse(rule), "scores")
    except Unreadable:  # the rule is refused elsewhere
        return set()
    return None if named is None else set(named)


def _scored(catalog: Catalog) -> frozenset[str]:
    used: set[str] = set()
    for rule in visitor_rules(catalog):
        named = scores_named(rule)
        used |= set(catalog.conversions) if named is None else named
    for _, features in features_of(catalog):
        for first, *rest in (feature.split(".") for feature in features):
            if first == "scores":
                used |= set(rest[:1] or catalog.conversions)
    return frozenset(used & catalog.conversions.keys())
