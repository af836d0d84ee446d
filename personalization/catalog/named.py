"""What a catalog names of visitors: it always has a place in their states, whatever else is sent."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import filterfalse
from types import MappingProxyType
from typing import NamedTuple

from personalization.catalog import cel_parser, cel_tree
from personalization.catalog.caps import caps_by_name
from personalization.catalog.catalog import Catalog
from personalization.catalog.cel_tree import Field, Index, Literal, Name, Node
from personalization.catalog.measures import is_measure
from personalization.catalog.sections.content import texts_of
from personalization.catalog.walk import features_of, visitor_rules
from personalization.visitor.purposes import PERSONALISING, normal

_TRAIT_IN_TEMPLATE = re.compile(r"\{\{\s*traits\.(\w+)")


class Named(NamedTuple):
    """Names by kind.

    Attributes
    ----------
    events, traits, affinities
        Counted events, traits, and keys by family of affinities, that a rule, a feature or a template looks at.
    capped
        What caps count (``catalog.caps``). What is counted together over lengths of time alone is not among them.
    held_out
        Placements with a holdout, their own or the catalog's.
    purposes
        Of consent, in their normal form.
    """

    events: frozenset[str] = frozenset()
    traits: frozenset[str] = frozenset()
    affinities: Mapping[str, frozenset[str]] = MappingProxyType({})
    capped: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset({PERSONALISING})


NOTHING_NAMED = Named()


def named_by(catalog: Catalog) -> Named:
    """What ``catalog`` names.

    >>> from personalization.catalog.catalog import Content, Placement
    >>> hero = Placement(content=("a",), default="a", when='counts["Bought"] > 1.5 && traits.plan == "pro"')
    >>> catalog = Catalog(placements={"hero": hero}, content={"a": Content()}, features=("affinities.tag.x",))
    >>> found = named_by(catalog)
    >>> sorted(found.events), sorted(found.traits), found.affinities
    (['Bought'], ['plan'], {'tag': frozenset({'x'})})
    """
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for path in [*_in_features(catalog), *_in_rules(catalog)]:
        found[path[0]].add(path[1:])
    traits = {path[0] for path in found["traits"] if path} | set(_in_templates(catalog))
    families: dict[str, set[str]] = defaultdict(set)
    for path in found["affinities"]:
        if len(path) > 1:
            families[path[0]].add(path[1])
    placements = catalog.placements.items()
    return Named(
        events=frozenset(path[0] for path in found["counts"] if path),
        traits=frozenset(traits),
        affinities={family: frozenset(keys) for family, keys in families.items()},
        capped=frozenset(_capped(catalog)),
        held_out=frozenset(name for name, placement in placements if catalog.holdout > 0 or placement.holdout > 0),
        purposes=frozenset({PERSONALISING, *map(normal, _purposes(catalog))}),
    )


def _capped(catalog: Catalog) -> Iterator[str]:
    for name, caps in caps_by_name(catalog).items():
        if name in catalog.content or any(cap.within_ms is None for cap in caps):
            yield name


def _purposes(catalog: Catalog) -> Iterator[str]:
    for spec in catalog.placements.values():
        yield from spec.consent
    for source in catalog.sources.values():
        yield from source.gpc
    if catalog.privacy is not None:
        yield from catalog.privacy.purposes


def _in_features(catalog: Catalog) -> Iterator[tuple[str, ...]]:
    for _, names in features_of(catalog):
        for name in filterfalse(is_measure, names):
            first, _, rest = name.partition(".")
            yield (first, *rest.split(".", 1)) if first == "affinities" else (first, *([rest] if rest else []))


def _in_rules(catalog: Catalog) -> Iterator[tuple[str, ...]]:
    for source in visitor_rules(catalog):
        try:
            tree = cel_parser.parse(source)
        except cel_parser.Unreadable:
            continue  # said where rules are compiled
        for node in cel_tree.walk(tree):
            path = _path(node)
            if path:
                yield path


def _path(node: Node) -> tuple[str, ...]:
    """``traits.plan`` and ``counts["Order Completed"]`` as names; empty for anything else."""
    if isinstance(node, Name):
        return (node.name,)
    if isinstance(node, Field):
        member = node.name
    elif isinstance(node, Index) and isinstance(node.key, Literal) and isinstance(node.key.value, str):
        member = node.key.value
    else:
        return ()
    target = _path(node.target)
    return (*target, member) if target else ()


def _in_templates(catalog: Catalog) -> Iterator[str]:
    for content in catalog.content.values():
        for text in texts_of(content):
            yield from _TRAIT_IN_TEMPLATE.findall(text)
