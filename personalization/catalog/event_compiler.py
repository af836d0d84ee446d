"""Compiles ``events``: checks what they say, and works out what each event means and where its fields stand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from msgspec import structs

from personalization.catalog.check import Check, nearest
from personalization.catalog.compiled_events import CompiledEvents, Condition, Field, Mapped
from personalization.catalog.event_presets import (
    AS_EVER,
    COMMERCE,
    PATHS_AS_EVER,
    PRESETS,
    USUAL,
    Path,
    Paths,
)
from personalization.catalog.sections.events import (
    ANY,
    MEANINGS,
    EventMapping,
    Events,
    ListedProduct,
    is_path,
    meanings_by_name,
    own_mappings,
    sometimes,
)
from personalization.catalog.vocabulary import FIELDS, SENT_VARIABLES

_CURRENCY = re.compile(r"[A-Z]{3}")

_WITHOUT_PROPERTIES = frozenset({"alias", "group", "identify"})


def compile_events(check: Check, events: Events | None) -> CompiledEvents:
    """What events mean; notes names that stand for two things, and paths that lead nowhere."""
    if events is None:
        names, paths, _ = PRESETS["segment"]
        return CompiledEvents(
            by_event={name: _mapped(meaning, paths) for name, meaning in names.items()},
            usual=_mapped("", USUAL),
            commerce={name: _mapped(meaning, PATHS_AS_EVER) for name, meaning in AS_EVER.items()},
        )
    _check_terms(check, events)
    paths_of: dict[str, Paths] = {}
    for preset in reversed(events.presets):
        spoken = PRESETS[preset]
        paths_of.update(dict.fromkeys((*spoken.names, *spoken.sometimes), spoken.paths))
    found = {
        name: _mapped(meaning, paths_of.get(name, USUAL), check)
        for name, meaning in meanings_by_name(events).items()
    }
    first: dict[tuple[str, str | None], tuple[str, str]] = {}
    for where, meaning, mapping in own_mappings(events):
        one = mapping.event, mapping.when
        if one in first:
            other, at = first[one]
            says = "twice" if other == meaning else f"{other!r} already, at {at}"
            remedy = "" if mapping.when else ", or say by when: which events it is for"
            check.fail(where, f"{mapping.event!r} means {says}; keep one of them{remedy}", "duplicate_name")
            continue
        first[one] = meaning, where
        if mapping.event in MEANINGS and mapping.event != meaning:
            message = f"{mapping.event!r} is itself a meaning; write it under {mapping.event}, or rename the event"
            check.fail(f"{where}.event", message, "duplicate_name")
        _check_name(check, f"{where}.event", meaning, mapping.event)
        if mapping.when is None:
            found[mapping.event] = _own(check, where, meaning, mapping, paths_of.get(mapping.event, USUAL))
    named: dict[str, list[str]] = {meaning: [meaning] for meaning in MEANINGS}
    for name, mapped in found.items():
        if name != mapped.meaning:
            named[mapped.meaning].append(name)
    return CompiledEvents(
        is_written=True,
        by_event=found,
        usual=_mapped("", USUAL),
        commerce={name: mapped for name, mapped in found.items() if mapped.meaning in COMMERCE},
        conditions=_conditions(check, events, paths_of),
        names_by_meaning={meaning: tuple(each) for meaning, each in named.items()},
        currency="" if events.currency == ANY else events.currency,
        rates=events.rates,
    )


def _conditions(check: Check, events: Events, paths_of: Mapping[str, Paths]) -> dict[str, tuple[Condition, ...]]:
    found: dict[str, list[Condition]] = {}
    for one in sometimes(events):
        rule = check.of_event(one.when, f"{one.where}.when", SENT_VARIABLES)
        paths = paths_of.get(one.event, USUAL)
        mapped = (
            _mapped(one.meaning, paths, check)
            if one.own is None
            else _own(check, one.where, one.meaning, one.own, paths)
        )
        if rule is not None:
            found.setdefault(one.event, []).append(Condition(rule, mapped))
    return {name: tuple(each) for name, each in found.items()}


def _check_terms(check: Check, events: Events) -> None:
    written = "is no currency; write its three letters, such as EUR"
    is_said = events.currency not in ("", ANY)
    check.demand(not is_said or _is_currency(events.currency), "events.currency", f"{events.currency!r} {written}")
    check.demand(
        is_said or not events.rates,
        "events.rates",
        "need the currency that they lead to; write currency: EUR beside them",
    )
    for name, rate in events.rates.items():
        check.demand(_is_currency(name), f"events.rates.{name}", f"{name!r} {written}")
        message = f"must be what one {name} is worth in {events.currency or 'currency'}, above 0"
        check.demand(rate > 0 and math.isfinite(rate), f"events.rates.{name}", message)
    for index, preset in enumerate(events.presets):
        if preset in events.presets[:index]:
            check.fail(f"events.presets[{index}]", f"names {preset!r} twice; leave it out", "duplicate_name")
    means: dict[str, tuple[str, str]] = {}
    own = {mapping.event for _, _, mapping in own_mappings(events)}
    for index, preset in enumerate(events.presets):
        for name, meaning in PRESETS[preset].names.items():
            other, by = means.setdefault(name, (meaning, preset))
            if other != meaning and name not in own:
                message = f"says that {name!r} is {meaning}, and {by} that it is {other}; write {meaning}: {name}"
                check.fail(f"events.presets[{index}]", message, "duplicate_name")


def _check_name(check: Check, where: str, meaning: str, name: str) -> None:
    check.demand(bool(name.strip()), where, "must name an event")
    check.demand(
        name == name.strip(),
        where,
        f"{name!r} has blanks at its ends, and names match to the letter; take them out",
    )
    message = (
        f"{name!r} says who somebody is, and has nothing that is bought; name an event that tells of the {meaning}"
    )
    check.demand(meaning not in COMMERCE or name not in _WITHOUT_PROPERTIES, where, message)


def _is_currency(text: str) -> bool:
    return _CURRENCY.fullmatch(text) is not None


def _mapped(meaning: str, paths: Paths, check: Check | None = None) -> Mapped:
    fields = {name: Field.at(_split(getattr(paths, name))) for name in (*FIELDS, "products")}
    for name, source in paths.calculated.items():
        rule = (check or Check()).of_event(source, f"events.{meaning}.{name}", SENT_VARIABLES)
        fields[name] = Field.at(fields[name].paths, rule)
    product = {name: Field.in_entry(_split(each)) for name, each in paths.product.items()}
    return Mapped(meaning, fields, product)


def _own(check: Check, where: str, meaning: str, mapping: EventMapping, paths: Paths) -> Mapped:
    usual = _mapped(meaning, paths, check)
    fields: dict[str, Field] = dict(usual.fields)
    for name in FIELDS:
        if source := getattr(mapping, name):
            fields[name] = _field(check, f"{where}.{name}", source)
    if mapping.products and _leads_into_an_event(check, f"{where}.products", mapping.products):
        fields["products"] = Field.at((tuple(mapping.products.split(".")),))
    return Mapped(meaning, fields, {**usual.product, **_own_entries(check, f"{where}.product", mapping.product)})


def _own_entries(check: Check, where: str, product: ListedProduct | None) -> dict[str, Field]:
    found = {}
    for name in structs.asdict(product) if product is not None else ():
        if path := getattr(product, name):
            begins_outside = path.startswith("properties.")
            check.demand(
                is_path(path) and not begins_outside,
                f"{where}.{name}",
                f"{path!r} is no path within one product; write it from there on, such as "
                f"{path.rpartition('.')[2] if begins_outside else name}",
            )
            found[name] = Field.in_entry((tuple(path.split(".")),))
    return found


def _field(check: Check, where: str, source: str) -> Field:
    if not is_path(source):
        return Field((), check.of_event(source, where, SENT_VARIABLES))
    return Field.at((tuple(source.split(".")),)) if _leads_into_an_event(check, where, source) else Field()


def _leads_into_an_event(check: Check, where: str, path: str) -> bool:
    first, *rest = path.split(".")
    if is_path(path) and first in SENT_VARIABLES and (rest or first in ("event", "type")):
        return True
    remedy = nearest(first, sorted(SENT_VARIABLES), "") if rest else ""
    last = path.rpartition(".")[2]
    otherwise = f"write it whole, as in properties.{'total' if last == 'properties' else last}"
    check.fail(where, f"{path!r} is no path into an event; {remedy or otherwise}")
    return False


def _split(paths: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(tuple(path.split(".")) for path in paths)
