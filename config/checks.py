"""What the types and the compiler cannot know: names of models, policies and features, and names inside rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from config.catalog_errors import did_you_mean
from personalization.catalog import Catalog, Conversion, Placement
from personalization.compiled import scores_named
from personalization.conversions import OF_THE_MOMENT
from personalization.errors import InvalidInput
from personalization.policy_spec import ModelSpec, PolicySpec
from personalization.rules import VISITOR_VARIABLES

CheckModel: TypeAlias = Callable[[ModelSpec, str], None]
CheckPolicy: TypeAlias = Callable[[PolicySpec, str], None]
"""Raise ``InvalidInput`` at the path given where a name or a parameter makes no sense."""

Problem: TypeAlias = tuple[str, str, str]
"""Path, message, code."""

_SEGMENT = re.compile(r"""(["'])(?P<name>[^"']+)\1\s+in\s+segments\b""")
_AFFINITY = re.compile(r"""\baffinities(?:\.(?P<dotted>\w+)|\[\s*(["'])(?P<quoted>[^"']+)\2\s*\])""")


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
    for path, rule in _visitor_rules(catalog):
        yield from _names_in_rule(catalog, path, rule)
    yield from _keys(catalog)


def _learning(
    placement: Placement, where: str, check_model: CheckModel, check_policy: CheckPolicy
) -> Iterator[Problem]:
    yield from _model(placement, where, check_model)
    try:
        check_policy(placement.policy, f"{where}.policy")
    except InvalidInput as error:
        yield error.field, error.message, error.code


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


def _visitor_rules(catalog: Catalog) -> Iterator[tuple[str, str]]:
    for name, source in catalog.segments.items():
        yield f"segments.{name}", source
    for name, content in catalog.content.items():
        if content.when is not None:
            yield f"content.{name}.when", content.when
    for name, placement in catalog.placements.items():
        if placement.when is not None:
            yield f"placements.{name}.when", placement.when


def _names_in_rule(catalog: Catalog, path: str, rule: str) -> Iterator[Problem]:
    for match in _SEGMENT.finditer(rule):
        name = match["name"]
        if name not in catalog.segments:
            yield path, f"no segment {name!r}; {did_you_mean(name, catalog.segments)}", "unknown_name"
    for name in sorted((scores_named(rule) or set()) - catalog.conversions.keys()):
        yield path, f"no conversion {name!r}; {did_you_mean(name, catalog.conversions)}", "unknown_name"
    for match in _AFFINITY.finditer(rule):
        name = match["dotted"] or match["quoted"]
        if name not in catalog.affinities:
            yield path, f"no affinity {name!r}; {did_you_mean(name, catalog.affinities)}", "unknown_name"


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
