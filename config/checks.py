"""What the types and the compiler cannot know: models, policies and features, and what rules name and compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from config.catalog_errors import did_you_mean
from config.rule_kinds import gives_yes_no, kind_mistakes
from config.template_checks import template_mistakes
from personalization.audience.conversion_features import OF_THE_MOMENT
from personalization.catalog.catalog import Catalog, Conversion, Placement
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import entries_of
from personalization.catalog.duration import in_days
from personalization.catalog.kept_open import kept_open
from personalization.catalog.measures import is_measure, read_measure
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.catalog.retention import promised_ms
from personalization.catalog.rule_cost import BUDGET_US, cost_us
from personalization.catalog.section import RuleAt
from personalization.catalog.sections.variants import as_varied
from personalization.catalog.source_keys import HASHED, keys_of
from personalization.catalog.total_cost import TOTAL_BUDGET_US, Cost, of_call, of_event, total_us
from personalization.catalog.vocabulary import VISITOR, VISITOR_VARIABLES
from personalization.catalog.walk import definitions, features_of, rules_of
from personalization.errors import InvalidInput

CheckModel: TypeAlias = Callable[[ModelSpec, str], None]
"""Raises ``InvalidInput`` at the path given if a name or a parameter makes no sense."""

CheckPolicy: TypeAlias = Callable[[PolicySpec, str, Collection[str]], Iterable[InvalidInput]]
"""Gives everything that is wrong with a policy at the path given, for a placement of these contents."""

Problem: TypeAlias = tuple[str, str, str]
"""Path, message, code."""

NAMED = 3
"""Of the rules that cost too much together, those that are named."""

Definitions: TypeAlias = Mapping[str, tuple[str, Mapping[str, Any]]]
"""By variable, what an entry of it is called, and those that are defined."""


def check_names(
    catalog: Catalog, check_model: CheckModel, check_policy: CheckPolicy, check_conversion_model: CheckModel
) -> Iterator[Problem]:
    """Every name that stands for nothing, and every key that stands for two things."""
    for name, placement in catalog.placements.items():
        yield from _learning(placement, f"placements.{name}", check_model, check_policy)
    for name, conversion in catalog.conversions.items():
        where = f"conversions.{name}"
        yield from _model(conversion, where, check_conversion_model)
        for index, feature in enumerate(conversion.features):
            if feature in OF_THE_MOMENT:
                here = f"{where}.features[{index}]"
                yield (
                    here,
                    f"{feature!r} is nearly the same at every session's start; leave it out",
                    "invalid_field",
                )
    defined = definitions(catalog)
    for path, names in features_of(catalog):
        yield from _features(defined, names, path)
    for rule in rules_of(catalog):
        yield from _rule(defined, rule)
    for path, message in template_mistakes(catalog):
        yield path, message, "unknown_name"
    yield from _together(of_call(catalog), "a call that asks for all placements")
    event, costs = max(of_event(catalog).items(), key=lambda each: total_us(each[1]))
    yield from _together(costs, f"an event {event!r}" if event else "an event")
    yield from _promised(catalog)
    yield from _locales(catalog)
    yield from _caps(catalog)
    yield from _keys(catalog)


def _learning(
    placement: Placement, where: str, check_model: CheckModel, check_policy: CheckPolicy
) -> Iterator[Problem]:
    yield from _model(placement, where, check_model)
    for mistake in check_policy(placement.policy, f"{where}.policy", placement.content):
        yield mistake.field, mistake.message, mistake.code
    if placement.challenger is not None:
        for mistake in check_policy(placement.challenger.policy, f"{where}.challenger.policy", placement.content):
            yield mistake.field, mistake.message, mistake.code
    for name, variant in placement.variants.items():
        here, varied = f"{where}.variants.{name}", as_varied(placement, variant)
        if variant.names_a_model:
            yield from _model(varied, here, check_model)
        if variant.policy is not None or variant.content is not None:
            for mistake in check_policy(varied.policy, f"{here}.policy", varied.content):
                yield mistake.field, mistake.message, mistake.code


def _model(learner: Placement | Conversion, where: str, check_model: CheckModel) -> Iterator[Problem]:
    try:
        check_model(ModelSpec(learner.model, learner.model_parameters), f"{where}.model")
    except InvalidInput as error:
        field = f"{where}.model_parameters" if error.field.endswith(".params") else error.field
        yield field, error.message, error.code


def _features(defined: Definitions, names: tuple[str, ...], where: str) -> Iterator[Problem]:
    for index, name in enumerate(names):
        here = f"{where}[{index}]"
        first, *rest = name.split(".")
        if name in names[:index]:
            yield here, f"names {name!r} twice", "duplicate_name"
        elif is_measure(name):
            try:
                read_measure(name)
            except Unreadable as error:
                yield here, str(error), "invalid_field"
        elif first not in VISITOR_VARIABLES:
            hint = did_you_mean(first, VISITOR_VARIABLES)
            yield here, f"nothing of a visitor or a request is called {first!r}; {hint}", "unknown_name"
        elif first in defined and rest and rest[0] not in defined[first][1]:
            noun, known = defined[first]
            yield here, f"no {noun} {rest[0]!r}; {did_you_mean(rest[0], known)}", "unknown_name"


def _rule(defined: Definitions, rule: RuleAt) -> Iterator[Problem]:
    try:
        tree = parse(rule.source)
    except Unreadable:  # that is said where it is compiled
        return
    if rule.variables is VISITOR:
        for variable, (noun, known) in defined.items():
            for name in sorted(entries_of(tree, variable)[0] - known.keys()):
                yield rule.path, f"no {noun} {name!r}; {did_you_mean(name, known)}", "unknown_name"
    for mistake in kind_mistakes(tree, rule.variables, rule.gives):
        yield rule.path, mistake, "bad_expression"
    if rule.path.startswith("events.") and rule.gives != "yes_no" and gives_yes_no(tree, rule.variables):
        yield (
            rule.path,
            "is true or false, which is no field of an event; write what the field is",
            "bad_expression",
        )
    cost = cost_us(tree)
    if cost > BUDGET_US:
        yield (
            rule.path,
            f"may take {cost / 1000:,.0f} ms where lists are as long as may be; at most {BUDGET_US / 1000:.0f}. "
            "It goes through one list for each entry of another; compare with a list written out, a segment or a "
            "trait, or send what it asks for as a value of its own",
            "too_costly",
        )


def _together(costs: Sequence[Cost], what: str) -> Iterator[Problem]:
    if total_us(costs) <= TOTAL_BUDGET_US:
        return
    named = ", ".join(f"{cost.path} ({cost.us / 1000:,.0f} ms)" for cost in costs[:NAMED])
    more = f" and {len(costs) - NAMED} more" if len(costs) > NAMED else ""
    yield (
        costs[0].path,
        f"{what} may ask rules that take {total_us(costs) / 1000:,.0f} ms together where lists are as long as may "
        f"be; at most {TOTAL_BUDGET_US / 1000:.0f}. Most take {named}{more}; make these cheaper: compare with a "
        "list written out or a trait, or send what they ask for as a value of its own",
        "too_costly",
    )


def _promised(catalog: Catalog) -> Iterator[Problem]:
    """What would keep profiles longer than receipts say that they are kept."""
    promised = promised_ms(catalog.privacy)
    if promised is None:
        return
    for path, length_ms in kept_open(catalog):
        if length_ms > promised:
            yield (
                path,
                f"keeps a profile for {in_days(length_ms)}, longer than privacy.purposes.personalization.retention "
                f"({in_days(promised)}), which receipts promise: shorten it, or say there for how "
                "long profiles are kept",
                "kept_too_long",
            )


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


def _caps(catalog: Catalog) -> Iterator[Problem]:
    for name, content in catalog.content.items():
        # Of a cap that does not say over what, it is a session.
        meant = [(cap.limit, cap.per or "session", cap.within_ms, cap.of) for cap in content.cap]
        for index, cap in enumerate(meant):
            if cap in meant[:index]:
                yield f"content.{name}.cap[{index}]", "is a cap written twice; leave it out", "duplicate_name"


def _keys(catalog: Catalog) -> Iterator[Problem]:
    for name, source in catalog.sources.items():
        for role, keys in (("write_keys", source.write_keys), ("server_keys", source.server_keys)):
            for index, key in enumerate(keys):
                here = f"sources.{name}.{role}[{index}]"
                if not key.strip() or len(key) > 200 or not key.isascii() or key != key.strip():
                    yield here, "must be 1 to 200 ASCII characters without blanks around them", "invalid_field"
                elif key.startswith(HASHED) and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", key):
                    yield here, "must be sha256: and 64 hex digits, as 'sha256sum' prints them", "invalid_field"
    owners: dict[str, str] = {}
    for name, source in catalog.sources.items():
        for held in keys_of(name, source):
            if held.digest in owners:
                message = f"the same key stands at {owners[held.digest]}; give each its own"
                yield held.path, message, "duplicate_name"
            owners.setdefault(held.digest, held.path)
