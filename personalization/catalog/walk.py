"""Walks over a catalog, section by section: every rule, event and list of features, and what names are defined.

A new section is a file in ``catalog.sections``, a field of ``Catalog``, and one line here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from personalization.catalog.catalog import Catalog
from personalization.catalog.measures import measures_of
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.sections.affinities import AffinitySection
from personalization.catalog.sections.content import ContentSection
from personalization.catalog.sections.conversions import ConversionSection
from personalization.catalog.sections.events import event_rules, own_mappings
from personalization.catalog.sections.metrics import MetricSection
from personalization.catalog.sections.placements import PlacementSection
from personalization.catalog.sections.scores import ScoreSection
from personalization.catalog.sections.segments import SegmentSection
from personalization.catalog.sections.sources import SourceSection
from personalization.catalog.vocabulary import EVENT, VISITOR
from personalization.catalog.windows import Series, windows_of

SECTIONS: tuple[Section[Any], ...] = (
    SegmentSection(),
    ContentSection(),
    AffinitySection(),
    ConversionSection(),
    MetricSection(),
    ScoreSection(),
    PlacementSection(),
    SourceSection(),
)
"""In the order in which they are compiled: what one looks at stands before it."""


def entries(section: Section[Any], catalog: Catalog) -> Mapping[str, Any]:
    """What a catalog has of a section, by name."""
    found: Mapping[str, Any] = getattr(catalog, section.name)
    return found


def rules_of(catalog: Catalog) -> Iterator[RuleAt]:
    """Every rule, and every condition on events that a window has, in a rule or as a feature."""
    for rule in written_rules(catalog):
        yield rule
        yield from (condition for _, condition in _conditions(rule))
    yield from (condition for _, condition in _of_measures(catalog))


def written_rules(catalog: Catalog) -> Iterator[RuleAt]:
    """Every rule that is one by itself."""
    yield from event_rules(catalog.events)
    for section in SECTIONS:
        for name, spec in entries(section, catalog).items():
            yield from section.rules(f"{section.name}.{name}", spec)


def conditions_of(catalog: Catalog) -> dict[Series, RuleAt]:
    """What windows ask of events, once for each series that is kept, where it stands first."""
    found: dict[Series, RuleAt] = {}
    for rule in written_rules(catalog):
        for series, condition in _conditions(rule):
            found.setdefault(series, condition)
    for series, condition in _of_measures(catalog):
        found.setdefault(series, condition)
    return found


def _of_measures(catalog: Catalog) -> Iterator[tuple[Series, RuleAt]]:
    for path, names in features_of(catalog):
        for _, measure in measures_of(names):
            if measure.series.where:
                yield measure.series, _condition(path, measure.series)


def _conditions(rule: RuleAt) -> Iterator[tuple[Series, RuleAt]]:
    for window in windows_of([rule.source] if rule.variables is VISITOR else ()):
        if window.series.where:
            yield window.series, _condition(rule.path, window.series)


def _condition(path: str, series: Series) -> RuleAt:
    return RuleAt(path, series.where, EVENT, "yes_no", series.event)


def visitor_rules(catalog: Catalog) -> Iterator[str]:
    """The source of every rule over visitors."""
    return (rule.source for rule in rules_of(catalog) if rule.variables is VISITOR)


def events_of(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(path, name) of every event that is named as such."""
    for where, _, mapping in own_mappings(catalog.events):
        yield f"{where}.event", mapping.event
    for section in SECTIONS:
        for name, spec in entries(section, catalog).items():
            yield from section.events(f"{section.name}.{name}", spec)


def features_of(catalog: Catalog) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(path, names) of every list of features."""
    yield "features", catalog.features
    for section in SECTIONS:
        for name, spec in entries(section, catalog).items():
            yield from section.features(f"{section.name}.{name}", spec)


def definitions(catalog: Catalog) -> dict[str, tuple[str, dict[str, Any]]]:
    """By variable, what an entry of it is called, and those that the catalog defines."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for section in SECTIONS:
        for variable in section.defines:
            noun, defined = found.get(variable, ("", {}))
            called = f"{noun} or {section.noun}" if noun else section.noun
            found[variable] = (called, {**defined, **entries(section, catalog)})
    return found
