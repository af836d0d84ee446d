"""What keeps a visitor beyond the retention: nobody is forgotten before what is open has closed.

A rule that looks at a window keeps nobody by itself. A segment that is followed does, until time alone can no
longer change it, and so does a score whose tiers are followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_windows import is_followed
from personalization.catalog.rules import VISITOR_VARIABLES, Rule
from personalization.catalog.tier_thresholds import shares_of
from personalization.catalog.windows import Window
from personalization.errors import InvalidInput


class KeptOpen(NamedTuple):
    """For how long something keeps a visitor, in milliseconds after the event that opened it."""

    path: str
    length_ms: int


def kept_open(catalog: Catalog) -> Iterator[KeptOpen]:
    """Everything of a catalog that does, the rules that cannot be read aside.

    Points that fade are not among them: when they have faded far enough depends on how many there are. The fold
    ends that (``folding.retention``).
    """
    for name, placement in catalog.placements.items():
        yield KeptOpen(f"placements.{name}.window", placement.window_ms)
    for name, conversion in catalog.conversions.items():
        yield KeptOpen(f"conversions.{name}.horizon", conversion.horizon_ms)
    for name, source in catalog.segments.items():
        rule = _rule(source)
        if rule is not None and is_followed(rule):
            yield from _of_windows(f"segments.{name}", rule)
    for name in sorted(_watched(catalog)):
        yield from _of_score(catalog, name)


def _of_score(catalog: Catalog, name: str) -> Iterator[KeptOpen]:
    score, where = catalog.scores[name], f"scores.{name}"
    for index, points in enumerate(score.events):
        if points.expires_ms:
            yield KeptOpen(f"{where}.events[{index}].expires", points.expires_ms)
        elif score.expires_ms and not points.half_life_ms:
            yield KeptOpen(f"{where}.expires", score.expires_ms)
    for index, trait in enumerate(score.traits):
        rule = _rule(trait.when)
        if rule is not None:
            yield from _of_windows(f"{where}.traits[{index}].when", rule)


def _watched(catalog: Catalog) -> set[str]:
    """The scores whose tiers are followed, and those that they are made of."""
    found = {
        name
        for name, score in catalog.scores.items()
        if len(score.tiers) > 1 or shares_of(score.tiers) or score.axes
    }
    for name in tuple(found):
        found.update((*catalog.scores[name].axes, *catalog.scores[name].blend))
    return found & catalog.scores.keys()


def _rule(source: str) -> Rule | None:
    try:
        return Rule(source, "", VISITOR_VARIABLES, looks_back=True)
    except InvalidInput:  # that is said where it is compiled
        return None


def _of_windows(path: str, rule: Rule) -> Iterator[KeptOpen]:
    lengths_ms = [length_ms for window in rule.windows if (length_ms := _length_ms(window))]
    if lengths_ms:
        yield KeptOpen(path, max(lengths_ms))


def _length_ms(window: Window) -> int:
    """How long after an event time alone can change it; 0: never."""
    if window.kind == "since":
        return max(0, int(window.constant))
    return window.within_ms or 0
