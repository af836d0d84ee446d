"""Which pairs of ids a request links, and which were linked lately."""

from __future__ import annotations

from collections import OrderedDict

from personalization.audience.consent import stands_alone
from personalization.events.event import Alias, ClientEvent, Identify
from personalization.visitor.identity import canonical_of
from personalization.visitor.visitor_key import anonymous_key, user_key, visitor_key

MAX_LINKED = 65_536
"""Losing keys remembered by each process (``benchmarks.api_memory``)."""

RECENT_MS = 10 * 60_000
"""A pair is linked again after this: whoever logged out may have begun a new visit under the anonymous id since,
and it is joined by the next link. One small entry in ten minutes of a known visitor's."""


class Linker:
    """Knows which keys were linked to which lately, so that not every event of a known visitor links them again."""

    def __init__(self, size: int = MAX_LINKED) -> None:
        self._size = size
        self._linked: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def links(self, event: ClientEvent, now_ms: int) -> list[tuple[str, str]]:
        """(losing key, canonical key) of the links this event asks for."""
        found: list[tuple[str, str]] = []
        if stands_alone(event):
            return found
        again = isinstance(event, Identify | Alias)
        if event.user_id and event.anonymous_id:
            found += self.links_of(user_key(event.user_id), anonymous_key(event.anonymous_id), now_ms, again=again)
        if isinstance(event, Alias):
            own = visitor_key(event.user_id, event.anonymous_id)
            found += self.links_of(own, anonymous_key(event.previous_id), now_ms, again=True)
        return found

    def links_of(self, left: str, right: str, now_ms: int, *, again: bool = False) -> list[tuple[str, str]]:
        """The link of two keys of one person; none where they were linked lately, unless it is said ``again``."""
        canonical = canonical_of(left, right)
        if canonical is None or left == right:
            return []
        losing = right if canonical == left else left
        if not again:
            linked = self._linked.get(losing)
            if linked is not None and linked[0] == canonical and now_ms - linked[1] < RECENT_MS:
                return []
        return [(losing, canonical)]

    def appended(self, links: list[tuple[str, str]], now_ms: int) -> None:
        """These are in the log."""
        for losing, canonical in links:
            self._linked[losing] = (canonical, now_ms)
            self._linked.move_to_end(losing)
        while len(self._linked) > self._size:
            self._linked.popitem(last=False)
