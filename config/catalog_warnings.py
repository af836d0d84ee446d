"""What a catalog may say, and probably should not: every warning with its path and the remedy."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from config.checks import Problem
from config.rule_warnings import rule_warnings
from config.template_checks import template_warnings
from personalization.catalog.catalog import Catalog, Placement
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import Name, entries_of, walk
from personalization.catalog.check import nearest
from personalization.catalog.compiled_windows import series_of
from personalization.catalog.duration import DAY_MS, in_days
from personalization.catalog.event_presets import PRESETS
from personalization.catalog.kept_open import kept_open
from personalization.catalog.sections.events import ANY, MEANINGS, meanings_by_name, sometimes
from personalization.catalog.sections.variants import as_varied
from personalization.catalog.source_keys import keys_of
from personalization.catalog.vocabulary import VISITOR, Variable
from personalization.catalog.walk import events_of, features_of, rules_of

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|\d{3}))?(-\w{1,8})*", re.ASCII)
"""The shape of a language tag of BCP 47 whose language has a code of two or three letters: every one in use."""

ENDS_SOON_MS = 14 * DAY_MS
"""Of a key that ends within this is warned: two weeks are time for somebody to come back from theirs."""

_AMOUNTS_OF_VISITORS = frozenset({"cart", "cart_value", "revenue"})
_AMOUNTS_OF_EVENTS = frozenset({"price", "revenue"})

EXAMPLE_KEYS = frozenset({"sk_dev"})
"""Server keys of the catalogs that come with nextbest: known to everyone."""


def catalog_warnings(
    catalog: Catalog, written: Collection[str], *, is_example: bool, now_ms: int
) -> Iterator[Problem]:
    """Everything that works and is probably not meant.

    Parameters
    ----------
    written
        The paths that stand in the files: what is missing has a default.
    is_example
        Whether this is a catalog that comes with nextbest: its keys are for development, and meant to be seen.
    now_ms
        Milliseconds since 1970: of keys that end soon is warned.
    """
    for name, placement in catalog.placements.items():
        where = f"placements.{name}"
        yield from _filled(placement, where)
        yield from _rewards(placement, where)
        for variant, spec in placement.variants.items():
            if spec.content is not None or spec.policy is not None:
                yield from _filled(as_varied(placement, spec), f"{where}.variants.{variant}")
    yield from _kept_longer(catalog)
    yield from _unused(catalog)
    yield from _groups(catalog)
    for path, tag in _tags(catalog):
        if not _LOCALE.fullmatch(tag.replace("_", "-")):
            yield (
                path,
                f"{tag!r} is no language tag and matches no visitor's; write one such as de or de-AT",
                "locale",
            )
    for path, message in template_warnings(catalog):
        yield path, message, "template"
    visitor = visitor_variables(catalog)
    for rule in rules_of(catalog):
        if rule.variables is VISITOR:
            try:
                tree = parse(rule.source)
            except Unreadable:
                continue
            for message in rule_warnings(tree, visitor):
                yield rule.path, message, "rule"
    yield from _events(catalog)
    yield from _meanings(catalog)
    yield from _currency(catalog)
    yield from _sources(catalog, written, is_example)
    yield from _ending_keys(catalog, now_ms)
    yield from _unverified(catalog)


def visitor_variables(catalog: Catalog) -> Mapping[str, Variable]:
    """What rules over visitors may name, with what this catalog's scores can be: probabilities, and points."""
    named = dict.fromkeys(catalog.conversions, Variable("number", low=0, high=1))
    for name, score in catalog.scores.items():
        low, high = score.range or (None, None)
        named[name] = Variable("number", low=low, high=high)
    return {**VISITOR, "scores": Variable("map", named=named)}


def _filled(placement: Placement, where: str) -> Iterator[Problem]:
    shown = dict.fromkeys((*placement.content, placement.default))
    is_counted = placement.arms == "catalog" and not placement.tags
    if is_counted and placement.slots > len(shown):
        yield (
            f"{where}.slots",
            f"{placement.slots} slots cannot be filled by {_several(len(shown), 'content')}; list more of them, "
            f"or write slots: {len(shown)}",
            "slots",
        )
    n_arms = len(set(placement.content))
    least = placement.policy.min_probability
    if least is not None and n_arms and least * n_arms > 1 + 1e-9:
        yield (
            f"{where}.policy.min_probability",
            f"{least:g} cannot be had by each of {n_arms} contents; all are drawn evenly instead: write "
            f"{int(1e3 / n_arms) / 1e3:g} or less",
            "min_probability",
        )


def _rewards(placement: Placement, where: str) -> Iterator[Problem]:
    low, high = placement.reward_range
    for index, reward in enumerate(placement.rewards):
        here = f"{where}.rewards[{index}]"
        if placement.weights and not reward.name:
            yield (
                here,
                "has no name, so none of the placement's weights applies to it; write name: "
                f"{next(iter(placement.weights))}",
                "unweighted_reward",
            )
        if isinstance(reward.value, int | float):
            worth = reward.value * placement.weights.get(reward.name, 1.0)
            if not low <= worth <= high:
                bound = high if worth > high else low
                yield (
                    f"{here}.value",
                    f"is worth {worth:g} and counts as {bound:g}, the end of reward_range; widen it, such as "
                    f"reward_range: [{min(low, worth):g}, {max(high, worth):g}]",
                    "reward_range",
                )


def _kept_longer(catalog: Catalog) -> Iterator[Problem]:
    """What keeps anonymous visitors beyond their retention: nobody is forgotten before it has closed."""
    anonymous_ms = catalog.retention.anonymous_ms
    for path, length_ms in kept_open(catalog):
        if length_ms > anonymous_ms:
            yield (
                path,
                f"keeps anonymous visitors for {in_days(length_ms)}, though retention.anonymous is "
                f"{in_days(anonymous_ms)}; shorten it, or write retention: {{anonymous: {in_days(length_ms)}}} if "
                "that is meant",
                "kept_longer",
            )


def _unused(catalog: Catalog) -> Iterator[Problem]:
    used: set[str] = set()
    for placement in catalog.placements.values():
        used.update(placement.content, (placement.default,))
        used.update(*(variant.content or () for variant in placement.variants.values()))
    for name in catalog.content:
        if name not in used:
            yield (
                f"content.{name}",
                "no placement shows it; list it under a placement's content, or delete it",
                "unused_content",
            )


def _groups(catalog: Catalog) -> Iterator[Problem]:
    """Groups of one content, and those that no cap counts."""
    groups: dict[str, list[str]] = {}
    for name, content in catalog.content.items():
        if content.group is not None:
            groups.setdefault(content.group, []).append(name)
    for group, names in groups.items():
        where = f"content.{names[0]}.group"
        if not any(cap.of == "group" for name in names for cap in catalog.content[name].cap):
            yield (
                where,
                f"no cap counts {group!r}; write one on its contents, such as cap: 10 per 30d per group",
                "group",
            )
        elif len(names) == 1:
            remedy = nearest(group, groups.keys() - {group}, f"write group: {group} beside others too")
            yield where, f"{group!r} is this content's alone, so its cap counts nothing else; {remedy}", "group"


def _tags(catalog: Catalog) -> Iterator[tuple[str, str]]:
    for name, content in catalog.content.items():
        for tag in content.locales:
            yield f"content.{name}.locales.{tag}", tag


def _events(catalog: Catalog) -> Iterator[Problem]:
    """Names of events that differ in case and blanks alone: sites send one of them."""
    spelt: dict[str, tuple[str, str]] = {}
    meanings = _meanings_of(catalog)
    for path, event in _named_events(catalog):
        if event in meanings:
            continue  # it is no name that a site sends
        first, at = spelt.setdefault("".join(c for c in event.lower() if c.isalnum()), (event, path))
        if first != event:
            yield (
                path,
                f"{event!r} is spelt {first!r} at {at}, and events match to the letter; use one",
                "event_name",
            )


def _meanings(catalog: Catalog) -> Iterator[Problem]:
    """Meanings that are named, and that no event has."""
    had = {meaning for name, meaning in meanings_by_name(catalog.events).items() if name != meaning}
    had |= {one.meaning for one in sometimes(catalog.events)}
    meanings = _meanings_of(catalog)
    for path, event in _named_events(catalog):
        if event in meanings - had:
            presets = [name for name, preset in PRESETS.items() if event in preset.names.values()]
            yield (
                path,
                f"no event has the meaning {event!r}; add a preset that does ({', '.join(presets)}), or write "
                f"{event}: NAME under events",
                "meaning",
            )


def _currency(catalog: Catalog) -> Iterator[Problem]:
    """Amounts that are looked at, in whatever currency they come."""
    if catalog.events is None or catalog.events.currency:
        return
    for path in _amounts(catalog):
        yield (
            "events",
            f"{path} looks at amounts, and those of all currencies are added up; write which is counted, such as "
            f"currency: EUR, or currency: {ANY} if they only ever come in one",
            "currency",
        )
        return


def _amounts(catalog: Catalog) -> Iterator[str]:
    """Where what somebody paid, or has in the cart, is looked at."""
    for path, names in features_of(catalog):
        if not _AMOUNTS_OF_VISITORS.isdisjoint(names):
            yield path
    for series in series_of(catalog):
        if series.of.removeprefix("fields.") in _AMOUNTS_OF_EVENTS:
            yield f"sum({series.event!r}, of={series.of!r})"
    for rule in rules_of(catalog):
        try:
            tree = parse(rule.source)
        except Unreadable:
            continue
        if rule.variables is VISITOR:
            looks = any(isinstance(node, Name) and node.name in _AMOUNTS_OF_VISITORS for node in walk(tree))
        else:
            looks = not _AMOUNTS_OF_EVENTS.isdisjoint(entries_of(tree, "fields")[0])
        if looks:
            yield rule.path


def _meanings_of(catalog: Catalog) -> frozenset[str]:
    return frozenset(MEANINGS if catalog.events is not None else ())


def _named_events(catalog: Catalog) -> Iterator[tuple[str, str]]:
    yield from events_of(catalog)
    for rule in rules_of(catalog):
        if rule.variables is VISITOR:
            try:
                counted, _ = entries_of(parse(rule.source), "counts")
            except Unreadable:
                continue
            for event in sorted(counted):
                yield rule.path, event


def _sources(catalog: Catalog, written: Collection[str], is_example: bool) -> Iterator[Problem]:
    if not catalog.sources:
        yield (
            "sources",
            "there are none, so every request is refused; write sources: {shop: {write_keys: [YOUR-KEY], "
            "consent_default: denied}}",
            "no_sources",
        )
    for name, source in catalog.sources.items():
        where = f"sources.{name}"
        if not source.write_keys and not source.server_keys and not source.keys:
            yield where, "has no keys, so nobody can use it; write write_keys: [YOUR-KEY]", "no_keys"
        if f"{where}.consent_default" not in written:
            yield (
                where,
                "says no consent_default, so visitors who were never asked count as refusing; write "
                "consent_default: denied if that is meant, else granted",
                "consent_default",
            )
        for index, key in enumerate(source.server_keys):
            if key.startswith("sha256:") or is_example:
                continue
            what, whose = "stands in plain text", "it"
            if key in EXAMPLE_KEYS:
                what, whose = "comes with nextbest, so everyone knows it", "a key of your own"
            yield (
                f"{where}.server_keys[{index}]",
                f"{what}; write {whose} as its hash: sha256: and what 'printf %s \"$KEY\" | sha256sum' prints",
                "plain_key",
            )


def _ending_keys(catalog: Catalog, now_ms: int) -> Iterator[Problem]:
    """Keys that end soon, or have ended."""
    for name, source in catalog.sources.items():
        for held in keys_of(name, source):
            if not held.expires_ms or held.expires_ms > now_ms + ENDS_SOON_MS:
                continue
            path = f"{held.path}.expires"
            day = datetime.fromtimestamp(held.expires_ms / 1000, UTC).strftime("%Y-%m-%d")
            has_ended = held.expires_ms <= now_ms
            if held.is_before:
                if has_ended:
                    yield path, f"ended on {day}; take `before` out", "key_expired"
                continue
            remedy = f"`nextbest keys rotate {held.name}` makes its successor"
            if has_ended:
                yield path, f"expired on {day}, and is refused; take it out, or {remedy}", "key_expired"
            else:
                yield path, f"expires on {day}, within 14 days; {remedy}", "key_expires"


def _unverified(catalog: Catalog) -> Iterator[Problem]:
    """Sources whose write keys speak for anybody, beside some that verify: visitors are shared."""
    verify = [name for name, source in catalog.sources.items() if source.verify_users]
    for name, source in catalog.sources.items():
        may_stand_in_pages = any(held.role == "write" for held in keys_of(name, source))
        if verify and may_stand_in_pages and not source.verify_users:
            yield (
                f"sources.{name}",
                f"does not verify users as {verify[0]} does, and sources share their visitors, so its write keys "
                "speak for anybody's users; write verify_users: true here too",
                "verify_users",
            )


def _several(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
