"""The rules of a catalog with their paths, and which of them fail when they are evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.rules import Rule


class RuleErrors(NamedTuple):
    """How often a rule failed in this process since its catalog version was compiled, and the latest reason."""

    n_errors: int
    last_error: str


def rules_of(catalog: CompiledCatalog) -> dict[str, Rule]:
    """Every rule that is ever evaluated, by its path in the catalog (``placements.home.hero.when``)."""
    return {rule.field: rule for rule in _rules(catalog)}


def rule_errors(catalog: CompiledCatalog) -> dict[str, RuleErrors]:
    """The rules that failed, by path. A rule that merely does not hold is none of them.

    Costs a walk over the catalog's rules, and nothing where they are evaluated: ask when metrics are read.

    >>> from personalization.catalog.catalog import Catalog, Content, Placement
    >>> from personalization.catalog.compiled_catalog import compile_catalog
    >>> from personalization.catalog.rules import scope
    >>> hero = Placement(content=("a",), default="a", when="traits.age > 30")
    >>> compiled = compile_catalog(Catalog(placements={"hero": hero}, content={"a": Content()}), 1)
    >>> compiled.placements["hero"].when.holds(scope({"traits": {"age": "old"}}.get))
    False
    >>> for path, errors in rule_errors(compiled).items():
    ...     print(path, errors.n_errors, errors.last_error)
    placements.hero.when 1 these kinds of values cannot be put together (traits.age is text)
    """
    return {
        path: RuleErrors(rule.n_errors, rule.last_error)
        for path, rule in rules_of(catalog).items()
        if rule.n_errors
    } | _currencies(catalog)


def _currencies(catalog: CompiledCatalog) -> dict[str, RuleErrors]:
    """Amounts in a currency whose worth the catalog does not say."""
    found, left_out, mixed = {}, catalog.events.left_out, catalog.events.mixed
    if left_out.n:
        said = (
            f"an amount in {left_out.currency} was left out: amounts are counted in {catalog.events.currency}; say "
            f"what one is worth in it (rates: {{{left_out.currency}: …}}), or write another currency"
        )
        found["events.rates"] = RuleErrors(left_out.n, said)
    if mixed.n:
        said = (
            f"an amount in {mixed.other} was added to amounts in {mixed.first}; write which is counted, and what "
            f"one of the other is worth: currency: {mixed.first}, rates: {{{mixed.other}: …}}"
        )
        found["events.currency"] = RuleErrors(mixed.n, said)
    return found


class RuleErrorTotals:
    """Hands what was added since the last look to a counter: versions of the catalog come and go.

    Parameters
    ----------
    add
        Called with a rule's path and how often it failed since.
    """

    def __init__(self, add: Callable[[str, int], None]) -> None:
        self._add = add
        self._seen: dict[tuple[int, str], int] = {}

    def look(self, catalog: CompiledCatalog) -> dict[str, RuleErrors]:
        """Count what failed under this version since the last look; the rules that did, by path."""
        failing = {}
        for path, errors in rule_errors(catalog).items():
            added = errors.n_errors - self._seen.get((catalog.version, path), 0)
            if added > 0:
                self._seen[catalog.version, path] = errors.n_errors
                self._add(path, added)
                failing[path] = errors
        return failing


def _rules(catalog: CompiledCatalog) -> Iterator[Rule]:
    yield from catalog.segments.values()
    for placement in catalog.placements.values():
        if placement.when is not None:
            yield placement.when
        yield from (arm.when for arm in placement.all_arms().values() if arm.when is not None)
    for mapped in catalog.events.by_event.values():
        yield from (found.rule for found in mapped.fields.values() if found.rule is not None)
    for conditions in catalog.events.conditions.values():
        for each in conditions:
            yield each.rule
            yield from (found.rule for found in each.mapped.fields.values() if found.rule is not None)
    for rewards in catalog.rewards_by_event.values():
        for reward in rewards:
            yield from (rule for rule in (reward.when, reward.value, reward.arm) if isinstance(rule, Rule))
    for affinities in catalog.affinities_by_event.values():
        yield from (affinity.when for affinity in affinities if affinity.when is not None)
    yield from (series.where for series in catalog.series.values() if series.where is not None)
    for conversion in catalog.conversions.values():
        if conversion.when is not None:
            yield conversion.when
