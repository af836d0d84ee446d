"""What the types and the compiler cannot know: models, policies and features, and what rules name and compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from config.catalog_errors import did_you_mean
from config.rule_kinds import kind_mistakes
from config.template_checks import template_mistakes
from personalization.audience.conversion_features import OF_THE_MOMENT
from personalization.catalog.catalog import Catalog, Conversion, Placement
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import entries_of
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.catalog.vocabulary import EVENT, VISITOR, VISITOR_VARIABLES, Kind, Variable
from personalization.catalog.windows import windows_of
from personalization.errors import InvalidInput

CheckModel: TypeAlias = Callable[[ModelSpec, str], None]
"""Raises ``InvalidInput`` at the path given if a name or a parameter makes no sense."""

CheckPolicy: TypeAlias = Callable[[PolicySpec, str, Collection[str]], Iterable[InvalidInput]]
"""Gives everything that is wrong with a policy at the path given, for a placement of these contents."""

Problem: TypeAlias = tuple[str, str, str]
"""Path, message, code."""

RuleAt: TypeAlias = tuple[str, str, Mapping[str, Variable], Kind]
"""Path, CEL text, what it may name, what it has to give."""


def check_names(
    catalog: Catalog, check_model: CheckModel, check_policy: CheckPolicy, check_conversion_model: CheckModel
) -> Iterator[Problem]:
    """Every name that stands for nothing, and every key that stands for two things."""
    for name, placement in catalog.placements.items():
        where = f"placements.{name}"
        yield from _learning(placement, where, check_model, check_policy)
        yield from _features(catalog, placement.features, f"{where}.features")
    for name, conversion in catalog.conversions.items():
        where = f"conversions.{name}"
        yield from _model(conversion, where, check_conversion_model)
        yield from _features(catalog, conversion.features, f"{where}.features")
        for index, feature in enumerate(conversion.features):
            if feature in OF_THE_MOMENT:
                here = f"{where}.features[{index}]"
                yield (
                    here,
                    f"{feature!r} is nearly the same at every session's start; leave it out",
                    "invalid_field",
                )
    yield from _features(catalog, catalog.features, "features")
    for path, rule, variables, wanted in rules_of(catalog):
        yield from _rule(catalog, path, rule, variables, wanted)
    for path, message in template_mistakes(catalog):
        yield path, message, "unknown_name"
    yield from _locales(catalog)
    yield from _keys(catalog)


def _learning(
    placement: Placement, where: str, check_model: CheckModel, check_policy: CheckPolicy
) -> Iterator[Problem]:
    yield from _model(placement, where, check_model)
    for mistake in check_policy(placement.policy, f"{where}.policy", placement.content):
        yield mistake.field, mistake.message, mistake.code


def _model(learner: Placement | Conversion, where: str, check_model: CheckModel) -> Iterator[Problem]:
    try:
        check_model(ModelSpec(learner.model, learner.model_parameters), f"{where}.model")
    except InvalidInput as error:
        field = f"{where}.model_parameters" if error.field.endswith(".params") else error.field
        yield field, error.message, error.code


def _features(catalog: Catalog, names: tuple[str, ...], where: str) -> Iterator[Problem]:
    for index, name in enumerate(names):
        here = f"{where}[{index}]"
        first, *rest = name.split(".")
        if name in names[:index]:
            yield here, f"names {name!r} twice", "duplicate_name"
        elif first not in VISITOR_VARIABLES:
            hint = did_you_mean(first, VISITOR_VARIABLES)
            yield here, f"nothing of a visitor or a request is called {first!r}; {hint}", "unknown_name"
        elif first == "affinities" and rest and rest[0] not in catalog.affinities:
            yield here, f"no affinity {rest[0]!r}; {did_you_mean(rest[0], catalog.affinities)}", "unknown_name"
        elif first == "scores" and rest and rest[0] not in catalog.conversions:
            yield here, f"no conversion {rest[0]!r}; {did_you_mean(rest[0], catalog.conversions)}", "unknown_name"
        elif first == "segments" and rest and rest[0] not in catalog.segments:
            yield here, f"no segment {rest[0]!r}; {did_you_mean(rest[0], catalog.segments)}", "unknown_name"


def rules_of(catalog: Catalog) -> Iterator[RuleAt]:
    """Every rule of the catalog."""
    for name, source in catalog.segments.items():
        yield f"segments.{name}", source, VISITOR, "yes_no"
        yield from _conditions(f"segments.{name}", source)
    for name, content in catalog.content.items():
        if content.when is not None:
            yield f"content.{name}.when", content.when, VISITOR, "yes_no"
            yield from _conditions(f"content.{name}.when", content.when)
    for name, placement in catalog.placements.items():
        if placement.when is not None:
            yield f"placements.{name}.when", placement.when, VISITOR, "yes_no"
            yield from _conditions(f"placements.{name}.when", placement.when)
        for index, reward in enumerate(placement.rewards):
            where = f"placements.{name}.rewards[{index}]"
            if reward.when is not None:
                yield f"{where}.when", reward.when, EVENT, "yes_no"
            if isinstance(reward.value, str):
                yield f"{where}.value", reward.value, EVENT, "number"
            if reward.arm is not None:
                yield f"{where}.arm", reward.arm, EVENT, "text"
    for name, affinity in catalog.affinities.items():
        for index, raising in enumerate(affinity.rules):
            if raising.when is not None:
                yield f"affinities.{name}.rules[{index}].when", raising.when, EVENT, "yes_no"
    for name, conversion in catalog.conversions.items():
        if conversion.when is not None:
            yield f"conversions.{name}.when", conversion.when, EVENT, "yes_no"


def _conditions(path: str, source: str) -> Iterator[RuleAt]:
    """The conditions on events that the windows of a rule have."""
    for window in windows_of([source]):
        if window.series.where:
            yield path, window.series.where, EVENT, "yes_no"


def _rule(
    catalog: Catalog, path: str, rule: str, variables: Mapping[str, Variable], wanted: Kind
) -> Iterator[Problem]:
    try:
        tree = parse(rule)
    except Unreadable:  # that is said where it is compiled
        return
    if variables is VISITOR:
        for variable, defined, kind in (
            ("segments", catalog.segments, "segment"),
            ("scores", catalog.conversions, "conversion"),
            ("affinities", catalog.affinities, "affinity"),
        ):
            for name in sorted(entries_of(tree, variable)[0] - defined.keys()):
                yield path, f"no {kind} {name!r}; {did_you_mean(name, defined)}", "unknown_name"
    for mistake in kind_mistakes(tree, variables, wanted):
        yield path, mistake, "bad_expression"


def _locales(catalog: Catalog) -> Iterator[Problem]:
    for name, content in catalog.content.items():
        first: dict[str, str] = {}
        for tag in content.locales:
            same = first.setdefault(tag.replace("_", "-").lower(), tag)
            if same != tag:
                here = f"content.{name}.locales.{tag}"
                yield (
                    here,
                    f"is the same language as {same!r}, and only one is ever served; keep one",
                    "duplicate_name",
                )


def _keys(catalog: Catalog) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, source in catalog.sources.items():
        for role, keys in (("write_keys", source.write_keys), ("server_keys", source.server_keys)):
            for index, key in enumerate(keys):
                here = f"sources.{name}.{role}[{index}]"
                if not key.strip() or len(key) > 200 or not key.isascii() or key != key.strip():
                    yield here, "must be 1 to 200 ASCII characters without blanks around them", "invalid_field"
                elif key.startswith("sha256:") and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", key):
                    yield here, "must be sha256: and 64 hex digits, as 'sha256sum' prints them", "invalid_field"
                elif key in owners:
                    yield here, f"the same key stands at {owners[key]}; give each its own", "duplicate_name"
                owners.setdefault(key, here)
