"""Which features of contents a catalog looks at in events that name one: what items have of them is logged."""

from __future__ import annotations

from collections.abc import Iterator

from personalization.catalog.catalog import Catalog
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_reads import reads_of
from personalization.catalog.cel_tree import Name, Node, walk
from personalization.catalog.compiled_windows import series_of
from personalization.catalog.vocabulary import EVENT
from personalization.catalog.walk import rules_of

ALL = "*"
"""Stands for all features, where a rule looks at them as one."""


def content_features(catalog: Catalog) -> frozenset[str]:
    """Names of features, or ``ALL`` among them; empty: no rule over events and no affinity looks at any.

    >>> from personalization.catalog.catalog import AffinityRule, AffinitySpec
    >>> rule = AffinityRule(event="clicked", key="content.features.section", when="content.features.paid == true")
    >>> sorted(content_features(Catalog(placements={}, content={}, affinities={"a": AffinitySpec(rules=(rule,))})))
    ['paid', 'section']
    """
    return frozenset(_named(catalog))


def _named(catalog: Catalog) -> Iterator[str]:
    for affinity in catalog.affinities.values():
        for rule in affinity.rules:
            yield from _of_path(rule.key)
    for series in series_of(catalog):
        yield from _of_path(series.of)
    for written in rules_of(catalog):
        if written.variables is EVENT:
            try:
                yield from _of_rule(parse(written.source))
            except Unreadable:
                continue  # said where rules are compiled


def _of_path(path: str) -> Iterator[str]:
    match path.split("."):
        case ["content", "features", name, *_]:
            yield name


def _of_rule(tree: Node) -> Iterator[str]:
    if not any(isinstance(node, Name) and node.name == "content" for node in walk(tree)):
        return
    content = reads_of(tree).get("content")
    features = None if content is None else content.entries.get("features")
    if content is None or (features is not None and features.whole):
        yield ALL
    elif features is not None:
        yield from features.entries
