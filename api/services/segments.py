"""Segments: how large each is, as it was counted last, and who is in one, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from api.limits.slices import Slices
from personalization.audience.conversion_scores import Scorers, Scores
from personalization.audience.segment_lists import OF_REQUESTS, is_listed, why_not_listed
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.errors import InvalidInput
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState
from state.segment_store import SegmentSizes

PAGE = 100
"""Ids on a page; a step of the walk that goes beyond is given whole."""

MAX_STEPS = 80
"""Of the walk for one page, 25 names each: 2,000 states, looked at in slices."""


class SegmentWalk(Protocol):
    """What was counted, and the walk over all visitors; both raise what Redis raises."""

    async def sizes(self) -> list[SegmentSizes | None]:
        """What was counted of each partition last."""
        ...

    async def step(self, cursor: int) -> tuple[int, Mapping[str, VisitorState]]:
        """One step of the walk: the next cursor (0: it is over), and states by key."""
        ...


class SegmentSize(NamedTuple):
    """A segment, and how large it is.

    Attributes
    ----------
    size
        None: it is not counted, or not by this version of the catalog yet.
    of
        Of how many visitors.
    counted_ms
        When the oldest part of it was counted.
    why_not
        Why it cannot be counted, in words.
    """

    name: str
    rule: str
    size: int | None
    of: int | None
    counted_ms: int | None
    why_not: str | None


class SegmentPage(NamedTuple):
    """Some of those who are in a segment.

    Attributes
    ----------
    keys
        Of visitors.
    cursor
        Where the next page begins; 0: this is the last.
    """

    keys: list[str]
    cursor: int


async def sizes_of(catalog: CompiledCatalog, walk: SegmentWalk) -> list[SegmentSize]:
    """Every segment of the catalog, in its order.

    Raises
    ------
    Unavailable
        While Redis is away.
    """
    counted = await walk.sizes()
    current = [each for each in counted if each is not None and each.catalog_version == catalog.version]
    whole = bool(counted) and len(current) == len(counted)
    of = sum(each.n_visitors for each in current) if whole else None
    counted_ms = min(each.at_ms for each in current) if whole else None
    found = []
    for name, rule in catalog.segments.items():
        why_not = why_not_listed(rule, catalog)
        is_counted = whole and why_not is None
        size = sum(each.sizes.get(name, 0) for each in current) if is_counted else None
        found.append(
            SegmentSize(
                name, rule.source, size, of if is_counted else None, counted_ms if is_counted else None, why_not
            )
        )
    return found


async def page_of(
    name: str,
    cursor: int,
    catalog: CompiledCatalog,
    walk: SegmentWalk,
    scorers: Scorers,
    now_ms: int,
    slices: Slices,
) -> SegmentPage | None:
    """Some of those who are in a segment at ``now_ms``, and where to go on; None: there is no such segment.

    It looks at a bounded number of visitors: a page may be empty and not the last.

    Raises
    ------
    InvalidInput
        For a segment that looks at what only a request tells.
    Unavailable
        While Redis is away.
    """
    rule = catalog.segments.get(name)
    if rule is None:
        return None
    of_requests = sorted(rule.variables & OF_REQUESTS)
    if of_requests:
        message = f"looks at {', '.join(of_requests)}, which only a request tells: nobody can be listed as in it"
        raise InvalidInput("name", message, "not_listed")
    found: list[str] = []
    for _ in range(MAX_STEPS):
        cursor, states = await walk.step(cursor)
        slices.begin()
        for key, state in states.items():
            if is_listed(state) and _scope(key, state, catalog, scorers, now_ms).holds(rule):
                found.append(key)
            if slices.is_over:
                await slices.pause()
        if not cursor or len(found) >= PAGE:
            break
    return SegmentPage(found, cursor)


def _scope(key: str, state: VisitorState, catalog: CompiledCatalog, scorers: Scorers, now_ms: int) -> VisitorScope:
    scores = Scores(scorers, []) if catalog.scored else None
    return VisitorScope(state, {}, catalog, max(now_ms, state.now_ms), is_registered(key), scores)


class NoWalk:
    """Where nobody keeps visitors to walk over."""

    async def sizes(self) -> list[SegmentSizes | None]:
        """None."""
        return []

    async def step(self, cursor: int) -> tuple[int, Mapping[str, VisitorState]]:
        """Nobody."""
        return 0, {}
