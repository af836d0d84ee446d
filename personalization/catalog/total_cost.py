"""What the rules of a catalog may cost together: those that one call may ask, and those that one event may ask.

Each rule is bounded by itself (``catalog.rule_cost``); twenty of them near that bound are seconds, in which nobody
else is answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from personalization.catalog.catalog import Catalog
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.rule_cost import BUDGET_US, cost_us
from personalization.catalog.scored import looks_at_scores
from personalization.catalog.section import RuleAt
from personalization.catalog.sections.events import meanings_by_name, sometimes
from personalization.catalog.vocabulary import EVENT, VISITOR
from personalization.catalog.walk import conditions_of, written_rules
from personalization.catalog.windows import windows_of

TOTAL_BUDGET_US = 300_000.0
"""Two rules at their bound. The catalogs that come with nextbest take less than a hundredth of one."""


class Cost(NamedTuple):
    """What a rule may take of a call or an event, in microseconds, however often it is asked there."""

    path: str
    us: float


def of_call(catalog: Catalog) -> list[Cost]:
    """The rules that a call for all placements asks, the most expensive first; none that costs too much alone.

    Segments and conditions of scores are looked up once in a call, and once more where models see the visitor
    without scores. A content's rule is asked by each placement that shows it.
    """
    n_scopes = 2 if looks_at_scores(catalog) else 1
    n_shown = _n_shown(catalog)

    def n_asked(rule: RuleAt) -> int:
        section, _, rest = rule.path.partition(".")
        if section == "content":
            return n_shown[rest.removesuffix(".when")]
        return 1 if section == "placements" else n_scopes

    asked = ((rule, n_asked(rule)) for rule in written_rules(catalog) if rule.variables is VISITOR)
    return _costliest(asked)


def of_event(catalog: Catalog) -> dict[str, list[Cost]]:
    """By each event's name the rules that the fold asks of one, as ``of_call`` gives them.

    Beside those over events these are the segments that look at windows, and the conditions of scores: any event
    may be the first under new rules, and then all are looked at. Under no name: what any other event asks.
    """
    of_events = [*conditions_of(catalog).values()]
    always = []
    for rule in written_rules(catalog):
        if rule.variables is EVENT:
            of_events.append(rule)
        elif rule.path.startswith("scores.") or (
            rule.path.startswith("segments.") and any(windows_of([rule.source]))
        ):
            always.append(rule)
    meanings = meanings_by_name(catalog.events)
    means_sometimes: dict[str, set[str]] = {}
    for one in sometimes(catalog.events):
        means_sometimes.setdefault(one.event, set()).add(one.meaning)
    asked_of = {"", *(rule.event for rule in of_events)}
    names = asked_of | {name for name, meaning in meanings.items() if meaning in asked_of} | means_sometimes.keys()
    found = {}
    for name in sorted(names):
        known_as = {"", name, meanings.get(name, name), *means_sometimes.get(name, ())}
        found[name] = _costliest(
            (rule, 1) for rule in (*always, *(each for each in of_events if each.event in known_as))
        )
    return found


def total_us(costs: Iterable[Cost]) -> float:
    """What they take together."""
    return sum(cost.us for cost in costs)


def _n_shown(catalog: Catalog) -> Counter[str]:
    """In how many placements, or variants of them, a content competes."""
    found: Counter[str] = Counter()
    for placement in catalog.placements.values():
        variants = (variant.content or () for variant in placement.variants.values())
        found.update({*placement.content}.union(*variants))
    return found


def _costliest(asked: Iterable[tuple[RuleAt, int]]) -> list[Cost]:
    return sorted(_costs(asked), key=lambda cost: -cost.us)


def _costs(asked: Iterable[tuple[RuleAt, int]]) -> Iterator[Cost]:
    for rule, n in asked:
        try:
            us = cost_us(parse(rule.source))
        except Unreadable:  # that is said where it is compiled
            continue
        if n and us <= BUDGET_US:
            yield Cost(rule.path, us * n)
