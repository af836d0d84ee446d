"""Which scores a catalog names anywhere: no other is worked out for a decision."""

from __future__ import annotations

import re
from collections.abc import Iterator

from personalization.catalog.catalog import Catalog
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import keys_of
from personalization.catalog.sections.content import texts_of
from personalization.catalog.walk import features_of, visitor_rules

OF_SCORES = ("scores", "tiers", "trends")
"""The variables whose entries are scores."""

_IN_TEMPLATE = re.compile(r"\{\{\s*(scores|tiers|trends)\.(\w+)")


def scored(catalog: Catalog) -> frozenset[str]:
    """The scores and conversions whose score, tier or trend a rule, a feature or a template names."""
    every = {*catalog.conversions, *catalog.scores}
    used: set[str] = set()
    for rule in visitor_rules(catalog):
        named = scores_named(rule)
        used |= every if named is None else named
    for _, features in features_of(catalog):
        for names in features:
            first, *rest = names.split(".")
            if first in OF_SCORES:
                used |= set(rest[:1]) or every
    used.update(_in_templates(catalog))
    for name in used & catalog.scores.keys():
        used = used | catalog.scores[name].blend.keys()
    return frozenset(used & every)


def scores_named(rule: str) -> set[str] | None:
    """The scores that a rule names; None if it takes a whole map.

    >>> scores_named("scores.buys_soon > 0.2 && tiers['lead'] == 'hot'") == {"buys_soon", "lead"}
    True
    >>> scores_named("size(scores) > 0") is None
    True
    """
    try:
        tree = parse(rule)
    except Unreadable:  # the rule is refused elsewhere
        return set()
    found: set[str] = set()
    for variable in OF_SCORES:
        named = keys_of(tree, variable)
        if named is None:
            return None
        found |= named
    return found


def looks_at_scores(catalog: Catalog) -> bool:
    """Whether a segment or a conversion names a score: then a model sees the visitor without those of models."""
    if any(scores_named(rule) != set() for rule in catalog.segments.values()):
        return True
    features = [*catalog.features, *(name for each in catalog.conversions.values() for name in each.features)]
    return bool(catalog.conversions) and any(name.split(".")[0] in OF_SCORES for name in features)


def _in_templates(catalog: Catalog) -> Iterator[str]:
    for content in catalog.content.values():
        for text in texts_of(content):
            for _, name in _IN_TEMPLATE.findall(text):
                yield name
