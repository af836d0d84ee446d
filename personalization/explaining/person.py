"""What a person is told of the decisions made about them, out of the catalog, their state and records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personalization.audience.context import DEFAULT_FEATURES
from personalization.audience.segment_lists import OF_REQUESTS
from personalization.audience.variables import VisitorScope
from personalization.catalog.cel_parser import parse
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement
from personalization.catalog.measures import is_measure
from personalization.catalog.rules import Rule
from personalization.deciding.distribution import SCALE
from personalization.events.decision_record import DecisionRecord
from personalization.explaining import person_words as words
from personalization.explaining.exposure_report import exposures_of
from personalization.explaining.rule_values import Look, looks_of, see
from personalization.explaining.ways import Way, way_of
from personalization.visitor.purposes import PERSONALISING, may


@dataclass(frozen=True, slots=True)
class PersonDatum:
    """Something known of the person that decisions look at.

    Attributes
    ----------
    name
        As the catalog names it.
    value
        None: it is not known, or is only known at a visit.
    """

    name: str
    words: str
    source: str
    value: Any


@dataclass(frozen=True, slots=True)
class PersonPlacement:
    """A place in which contents are chosen for the person.

    Attributes
    ----------
    data
        Names of what is looked at.
    """

    placement: str
    words: str
    data: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonDecision:
    """A choice that was made about the person."""

    placement: str
    content: str
    at_ms: int
    words: str


def placements_told(catalog: CompiledCatalog) -> list[PersonPlacement]:
    """The automated decisions that are made, place by place."""
    return [
        PersonPlacement(
            name,
            words.placement_words(name, len(placement.arms), learns=not placement.spec.apprentice),
            tuple(dict.fromkeys(_names(placement, catalog))),
        )
        for name, placement in catalog.placements.items()
    ]


def data_told(placements: Iterable[PersonPlacement], scope: VisitorScope) -> list[PersonDatum]:
    """Everything that any of these decisions looks at, once."""
    looks = _looks(scope.catalog)
    return [
        PersonDatum(name, *words.data_words(name), _value(name, looks, scope))
        for name in dict.fromkeys(name for placement in placements for name in placement.data)
    ]


def decisions_told(records: Sequence[DecisionRecord]) -> list[PersonDecision]:
    """The latest decisions, in their order, each in a sentence."""
    return [
        PersonDecision(
            record.choice.placement,
            record.choice.arm,
            record.decided_at_ms,
            words.decision_words(record.choice.arm, record.choice.placement, record.decided_at_ms, _how(record)),
        )
        for record in records
    ]


def is_personalised(scope: VisitorScope, default: bool) -> bool:
    """Whether what is known of the person may be used.

    Parameters
    ----------
    default
        What is assumed of somebody who said nothing.
    """
    return scope.state is not None and may(scope.state.consents, PERSONALISING, default=default)


def _names(placement: CompiledPlacement, catalog: CompiledCatalog) -> Iterator[str]:
    """What a placement and its variants look at: by their features, their rules, their caps."""
    for each in (placement, *placement.variants.values()):
        yield from each.features or DEFAULT_FEATURES
        rules = [each.when, *(arm.when for arm in each.arms)]
        for rule in filter(None, rules):
            yield from _looked_at(rule)
            if rule.mentions("segments"):
                yield from _of_segments(catalog)
        if any(name.split(".")[0] == "segments" for name in each.features or DEFAULT_FEATURES):
            yield from _of_segments(catalog)
        if any(arm.content.cap for arm in each.arms):
            yield words.CAPS


def _of_segments(catalog: CompiledCatalog) -> Iterator[str]:
    for rule in catalog.segments.values():
        yield from _looked_at(rule)


def _looked_at(rule: Rule) -> Iterator[str]:
    return (_name(look) for look in looks_of(parse(rule.source), rule.variables))


def _name(look: Look) -> str:
    return look.text if look.entry is None or look.path == ("segments",) else f"{look.text}.{look.entry}"


def _looks(catalog: CompiledCatalog) -> dict[str, Look]:
    """What the rules of a catalog look at, by name."""
    rules = list(catalog.segments.values())
    for placement in catalog.placements.values():
        for each in (placement, *placement.variants.values()):
            rules += filter(None, [each.when, *(arm.when for arm in each.arms)])
    return {_name(look): look for rule in rules for look in looks_of(parse(rule.source), rule.variables)}


def _value(name: str, looks: Mapping[str, Look], scope: VisitorScope) -> Any:
    if name == words.CAPS:
        return {f"{seen.of} {seen.name}": seen.total for seen in exposures_of(scope)}
    if name.replace("[", ".").split(".")[0] in OF_REQUESTS:
        return None  # this is no request of theirs
    look = looks.get(name)
    if look is not None:
        return see(look, scope).value
    if is_measure(name):
        return scope.value(name)
    first, *steps = name.split(".")
    value = scope.value(first)
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _how(record: DecisionRecord) -> str:
    choice = record.choice
    probability, n_arms = choice.weight / SCALE, len(record.arms)
    match way_of(record.tier, held_out=choice.holdout is True, apprentice=bool(choice.policy_arm)):
        case Way.HELD_OUT:
            return words.BY_CONTROL
        case Way.DEFAULT:
            return words.BY_DEFAULT
        case Way.RULES:
            return words.BY_RULES
        case Way.APPRENTICE:
            return words.BY_BASELINE
        case Way.REQUEST:
            return words.by_request(probability, n_arms)
    return words.BY_CHANCE if choice.policy == "uniform" else words.by_model(probability, n_arms)
